"""The controls of TSD: whose saliency they look at, and that all else is as under TSD."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tsdistill.config.resolve import conf_folder, grid_keys
from tsdistill.config.schema import register
from tsdistill.data.tensors import TensorPart
from tsdistill.errors import TsdistillError
from tsdistill.methods.build import build_stages
from tsdistill.methods.kd import kd_loss
from tsdistill.methods.kd_perturbed import PerturbedKnowledgeDistillation
from tsdistill.methods.shuffled import ShuffledSaliency, partners
from tsdistill.methods.stage import Stage, StageTask
from tsdistill.methods.step import TeacherView
from tsdistill.methods.tsd import TemporalSaliency, tsd_loss
from tsdistill.models.fcn import FCN
from tsdistill.saliency.draws import Draws, References, draw_pool
from tsdistill.saliency.pools import pool_logits
from tsdistill.saliency.source import CachedWindows, OnlineWindows

N, T, W, K = 12, 10, 3, 3


def composed(method):
    register()
    with initialize_config_dir(str(Path(conf_folder()).resolve()), version_base="1.3"):
        return compose("distill", [f"method={method}"])


class AsIs:
    """A student's task and the source of its windows, of which the last draw is kept."""

    def __init__(self, term, P=None, channels=None):
        y = torch.arange(N) % K
        x = torch.randn(N, 2, T, generator=torch.Generator().manual_seed(0))
        torch.manual_seed(1)
        self.teacher = FCN(2, K, filters=(4, 6, 5), kernels=(3, 3, 3)).eval().requires_grad_(False)
        part, references = TensorPart(x, y), References(x, y)
        pool = draw_pool(references, y, torch.full((N,), T - W + 1), P or T - W + 1, generator(), channels)
        self.logits = self.teacher(x)
        self.pool, self.answers = pool, pool_logits(self.teacher, part, pool, references, W)
        source = CachedWindows(pool, self.answers, references, W, 4, "uniform", generator())
        draw = source.draw

        def kept(rows, x):
            self.windows, answers = draw(rows, x)
            return self.windows, answers

        source.draw = kept
        torch.manual_seed(2)
        self.student = FCN(2, K, filters=(3, 4, 3), kernels=(3, 3, 3)).eval()
        stage = Stage("train", {"t": term}, {"t": 1.0})
        self.task = StageTask(
            self.student, stage, TeacherView({"train": self.logits}, windows=source), {"train": part}
        )
        self.x = x


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("y", [[0, 1, 0, 1, 2, 2, 1, 0], [0, 0, 0, 1, 1, 2], [3, 1, 1, 1, 1, 1, 3]])
def test_partners_within_are_another_series_of_the_same_class(y):
    y = torch.tensor(y)
    found = partners(y, "within")
    assert torch.equal(y[found], y)
    assert sorted(found.tolist()) == list(range(len(y)))
    alone = torch.bincount(y)[y] == 1
    assert torch.equal(found == torch.arange(len(y)), alone)


@pytest.mark.parametrize("y", [[0, 1, 0, 1, 2, 2, 1, 0], [0, 0, 0, 1, 1, 2], [0, 1] * 20])
def test_partners_across_are_a_permutation_between_classes(y):
    y = torch.tensor(y)
    found = partners(y, "across")
    assert not (y[found] == y).any()
    assert sorted(found.tolist()) == list(range(len(y)))


def test_partners_across_are_of_another_class_even_where_no_permutation_is():
    y = torch.tensor([0] * 9 + [1] * 2)
    assert not (y[partners(y, "across")] == y).any()


def test_partners_are_the_same_every_time():
    y = torch.arange(50) % 4
    torch.manual_seed(7)
    first = partners(y, "within"), partners(y, "across")
    torch.manual_seed(8)
    assert torch.equal(first[0], partners(y, "within")) and torch.equal(first[1], partners(y, "across"))


@pytest.mark.parametrize("partner", ["within", "across"])
def test_the_target_is_the_partners_saliency_at_the_same_starts(partner):
    """Against a plain loop that looks every perturbation up by its start."""
    term = ShuffledSaliency(tau=2.0, partner=partner)
    case = AsIs(term)
    rows = torch.tensor([5, 0, 11])
    loss = case.task.step(rows, 1)["t"]
    other = partners(torch.arange(N) % K, partner)[rows]
    perturbed = torch.stack(
        [
            torch.stack([case.answers[row, case.pool.starts[row].tolist().index(int(s))] for s in starts])
            for row, starts in zip(other.tolist(), case.windows.starts, strict=True)
        ]
    )
    own = case.windows.apply(case.x[rows])
    student = torch.stack([case.student(copies) for copies in own])
    wanted = tsd_loss(case.student(case.x[rows]), student, case.logits[other], perturbed, 2.0, "classwise")
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-4)
    assert loss.item() != pytest.approx(AsIs(TemporalSaliency(2.0)).task.step(rows, 1)["t"].item(), rel=1e-3)


def test_a_class_of_one_keeps_its_own_saliency_so_there_it_is_tsd():
    term = ShuffledSaliency(partner="within")
    case = AsIs(term)
    term.bind(SimpleNamespace(y=torch.arange(N)))
    plain = AsIs(TemporalSaliency())
    rows = torch.arange(6)
    assert case.task.step(rows, 1)["t"].item() == plain.task.step(rows, 1)["t"].item()


@pytest.mark.parametrize("settings", [{"P": 5}, {"channels": 2}])
def test_pools_whose_windows_differ_between_series_are_refused(settings):
    case = AsIs(ShuffledSaliency(), **settings)
    with pytest.raises(TsdistillError, match="saliency of another series needs the same windows") as error:
        case.task.step(torch.arange(4), 1)
    assert "\n" not in str(error.value)


def test_series_of_unequal_length_are_refused():
    y = torch.arange(4) % 2
    pool = draw_pool(References(torch.zeros(4, 1, T), y), y, torch.tensor([8, 8, 8, 5]), 8, generator())
    source = CachedWindows(pool, torch.zeros(4, 8, 2), None, W, 4, "uniform", generator())
    with pytest.raises(TsdistillError, match="series of one length"):
        source.elsewhere(torch.arange(4), None)


def test_online_draws_are_refused():
    with pytest.raises(TsdistillError, match="set saliency"):
        OnlineWindows(None, None, None, W, 4, None, generator()).elsewhere(torch.arange(4), None)


def test_kd_on_perturbed_series_is_kd_over_clean_and_perturbed_ones_alike():
    case = AsIs(PerturbedKnowledgeDistillation(tau=3.0))
    rows = torch.tensor([2, 7])
    loss = case.task.step(rows, 1)["t"]
    copies = case.windows.apply(case.x[rows])
    series = torch.cat([case.x[rows], copies.flatten(0, 1)])
    wanted = kd_loss(case.student(series), case.teacher(series), 3.0)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("method", "like", "term"),
    [
        ("tsd_shuffled_within", "tsd", "tsd"),
        ("tsd_shuffled_across", "tsd", "tsd"),
        ("kd_perturbed", "kd", "kd"),
    ],
)
def test_a_control_differs_from_its_method_in_one_term_alone(method, like, term):
    control, method_conf = (OmegaConf.to_container(composed(m).method, resolve=True) for m in (method, like))
    assert control.pop("name") == method and method_conf.pop("name") == like
    changed = control["stages"]["train"]["terms"].pop(term)
    unchanged = method_conf["stages"]["train"]["terms"].pop(term)
    assert control == method_conf
    assert {**changed, "_target_": 0, "partner": 0} == {**unchanged, "_target_": 0, "partner": 0}
    assert len(control["grid"]) == 4


def test_controls_are_built_with_their_partners():
    for partner in ("within", "across"):
        conf = OmegaConf.to_container(composed(f"tsd_shuffled_{partner}").method, resolve=True)
        term = build_stages(conf)[0].terms["tsd"]
        assert isinstance(term, ShuffledSaliency) and term.partner == partner
    assert grid_keys(composed("kd_perturbed").method) == ["method.tau"]


def test_draws_keep_their_starts_in_the_default_pool():
    """What the lookup by column rests on: every start once, ascending, in every row."""
    pool: Draws = AsIs(TemporalSaliency()).pool
    assert torch.equal(pool.starts, torch.arange(T - W + 1).expand(N, -1))

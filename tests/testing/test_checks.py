"""Our own models and terms pass the checks, and what is wrong is named in one line."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tsdistill.cli import run
from tsdistill.errors import TsdistillError
from tsdistill.methods.at import AttentionTransfer
from tsdistill.methods.base import LossTerm
from tsdistill.methods.ce import CrossEntropy
from tsdistill.methods.crd import ContrastiveDistillation
from tsdistill.methods.dkd import DecoupledDistillation
from tsdistill.methods.dt2w import TimeWarping
from tsdistill.methods.dual_view import DualView
from tsdistill.methods.e2kd import ExplanationMatching
from tsdistill.methods.fd_raw import FiniteDifferences
from tsdistill.methods.fitnets import Hint
from tsdistill.methods.gradxinput import AttributionMatching
from tsdistill.methods.jacobian import JacobianMatching
from tsdistill.methods.kd import KnowledgeDistillation
from tsdistill.methods.kd_perturbed import PerturbedKnowledgeDistillation
from tsdistill.methods.memkd import MemoryTransfer
from tsdistill.methods.pkt import ProbabilisticTransfer
from tsdistill.methods.rkd import RelationAngle, RelationDistance
from tsdistill.methods.shuffled import ShuffledSaliency
from tsdistill.methods.sp import SimilarityPreserving
from tsdistill.methods.tsd import TemporalSaliency
from tsdistill.methods.vid import VariationalInformation
from tsdistill.models.fcn import FCN
from tsdistill.models.inception import Inception
from tsdistill.models.recurrent import GRU, LSTM
from tsdistill.models.resnet import ResNet
from tsdistill.teachers.base import Teacher
from tsdistill.teachers.network import NetworkTeacher
from tsdistill.testing import check_dataset, check_loss_term, check_model, check_teacher

EXAMPLES = Path(__file__).parents[2] / "examples"
TERMS = [
    *(CrossEntropy, Hint, KnowledgeDistillation, PerturbedKnowledgeDistillation),
    *(ShuffledSaliency, TemporalSaliency, DecoupledDistillation, DualView, FiniteDifferences),
]
ON_FEATURES = [
    *(RelationDistance, RelationAngle, AttentionTransfer, VariationalInformation, SimilarityPreserving),
    *(ProbabilisticTransfer, ContrastiveDistillation, TimeWarping, Hint),
]
ON_GRADIENTS = [JacobianMatching, AttributionMatching, ExplanationMatching]
WEIGHTS = {ProbabilisticTransfer: 30000.0}
MODELS = {
    "lstm": lambda c, k: LSTM(c, k, hidden=5, layers=2),
    "gru": lambda c, k: GRU(c, k, hidden=5, layers=1),
    "fcn": lambda c, k: FCN(c, k, filters=(4, 5, 4), kernels=(3, 3, 3)),
    "resnet": lambda c, k: ResNet(c, k, filters=[4, 5], kernels=[3, 3, 3]),
    "inception": lambda c, k: Inception(c, k, filters=3, depth=3, bottleneck=3, kernels=[5, 3]),
}


@pytest.mark.parametrize("term", TERMS)
def test_our_terms_pass(term):
    check_loss_term(term)


@pytest.mark.parametrize("pair", [("fcn", "lstm"), ("inception", "fcn")], ids="-".join)
@pytest.mark.parametrize("term", ON_FEATURES)
def test_terms_on_features_pass_across_families_and_with_padding(term, pair):
    teacher, student = map(MODELS.get, pair)
    check_loss_term(term, teacher=teacher, student=student, padded=True, weight=WEIGHTS.get(term, 1.0))


@pytest.mark.parametrize("term", ON_GRADIENTS)
def test_terms_on_gradients_pass_across_families_and_with_padding(term):
    check_loss_term(term, teacher=MODELS["lstm"], student=MODELS["fcn"], padded=True)


def test_memory_transfer_passes_between_recurrent_models_and_is_refused_elsewhere():
    check_loss_term(MemoryTransfer, teacher=MODELS["lstm"], student=MODELS["gru"], padded=True)
    with pytest.raises(TsdistillError, match=r"layer blocks.1 of the teacher \(FCN\) is not one; choose"):
        check_loss_term(MemoryTransfer, student=MODELS["gru"])


@pytest.mark.parametrize("name", MODELS)
def test_our_models_pass(name):
    check_model(MODELS[name])


class Net(nn.Module):
    def __init__(self, in_channels, n_classes):
        super().__init__()
        self.head = nn.Linear(in_channels, n_classes)

    def forward(self, x):
        return self.head(x.mean(-1))


class Transposed(Net):
    def forward(self, x):
        return super().forward(x).T


class Unused(Net):
    def __init__(self, in_channels, n_classes):
        super().__init__(in_channels, n_classes)
        self.spare = nn.Linear(2, 2)


class Mixed(Net):
    def forward(self, x):
        return super().forward(x - x.mean(0))


class Hidden(Net):
    def __init__(self, in_channels, n_classes):
        super().__init__(in_channels, n_classes)
        self.secret = torch.randn(n_classes)

    def forward(self, x):
        return super().forward(x) + self.secret


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (Transposed, "logits have shape (3, 6), not (B, K) = (6, 3)"),
        (Unused, "parameters that get no gradient: spare.weight, spare.bias"),
        (Mixed, "a series' logits depend on its batch"),
        (Hidden, "some state is not in it"),
    ],
)
def test_what_is_wrong_with_a_model_is_named(model, told):
    with pytest.raises(AssertionError) as error:
        check_model(model)
    assert told in str(error.value).splitlines()[0]


class Vector(LossTerm):
    def forward(self, step):
        return step.student.logits.sum(dim=1)


class Apart(LossTerm):
    def forward(self, step):
        return step.x.square().mean()


class Counting(LossTerm):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, step):
        self.count += 1
        return step.student.logits.square().mean()


class Rising(LossTerm):
    def forward(self, step):
        return step.student.logits.square().mean() + step.epoch


@pytest.mark.parametrize(
    ("term", "told"),
    [
        (Vector, "it must be a scalar"),
        (Apart, "the loss does not depend on the student"),
        (Counting, "validation changes the term's state"),
        (Rising, "do not lower the loss"),
    ],
)
def test_what_is_wrong_with_a_term_is_named(term, told):
    with pytest.raises(AssertionError) as error:
        check_loss_term(term)
    assert told in str(error.value).splitlines()[0]


@pytest.fixture
def examples(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    yield
    for name in ("own_data", "own_loss", "own_metric", "own_model", "own_teacher"):
        sys.modules.pop(name, None)


def test_a_strangers_model_and_term_pass_and_train(examples, tmp_path, capsys):
    from own_loss import Relations
    from own_model import Pooled

    check_model(Pooled)
    check_loss_term(Relations)
    words = [
        *(f"--config-dir={EXAMPLES / 'conf'}", "method=relations", "dataset.name=UnitTest", "hardware=cpu"),
        *("student=custom", "student.name=pooled", "student.model._target_=own_model.Pooled"),
        *("teacher=fcn_8", "training.epochs=2", "teacher.training.epochs=2", f"out={tmp_path}"),
    ]
    assert run("distill", words) == 0
    [record] = tmp_path.glob("runs/UnitTest/*/terms.safetensors")
    assert record.stat().st_size > 0


def test_a_strangers_data_teacher_and_metric_work_together(examples, tmp_path, capsys):
    import own_metric
    from own_teacher import Forest

    check_teacher(Forest)
    check_dataset("own_data.Chirps")
    words = [
        *(f"--config-dir={EXAMPLES / 'conf'}", "teacher=forest", "teacher.kind.trees=20", "hardware=cpu"),
        "dataset=chirps",
        *("training.epochs=2", "method=tsd", f"out={tmp_path}"),
    ]
    assert run("distill", words) == 0
    assert run("distill", [*words[:-2], "method=fitnets", words[-1]]) == 2
    told = capsys.readouterr()
    assert "needs teacher_features, which teacher forest (Forest) does not provide" in told.err + told.out
    assert run("evaluate", [f"out={tmp_path}", "allow_code=true", "series=4"]) == 0
    assert run("report", [f"out={tmp_path}", "figures=false"]) == 0
    own_metric.main(str(tmp_path))
    assert "Chirps" in capsys.readouterr().out


def test_our_own_network_passes_as_a_teacher():
    check_teacher(lambda: NetworkTeacher(lambda: FCN(2, 3, filters=(4, 6, 5), kernels=(3, 3, 3))))


def test_our_own_reader_passes():
    check_dataset("tsdistill.data.planted.PlantedReader", n_train=6, n_test=4)


class Constant(Teacher):
    """Ignores the labels."""

    def fit(self, task):
        self.bias = torch.rand(3)
        return {}

    def logits(self, x, lengths=None):
        return self.bias.expand(len(x), 3).contiguous()


class Drawn(Constant):
    """Draws from nowhere."""

    def logits(self, x, lengths=None):
        return x.mean(dim=(1, 2))[:, None] * torch.arange(3) + 0.1 * self.bias - torch.arange(3) ** 2 / 2


@pytest.mark.parametrize(
    ("teacher", "told"), [(Constant, "is the order of classes kept?"), (Drawn, "task.seeds")]
)
def test_what_is_wrong_with_a_teacher_is_named(teacher, told):
    with pytest.raises(AssertionError) as error:
        check_teacher(teacher)
    assert told in str(error.value).splitlines()[0]

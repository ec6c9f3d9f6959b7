"""From a method's config to its stages; every method of conf/method."""

from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tsdistill.config.resolve import apply_trial, conf_folder, grid_keys, settle_method
from tsdistill.config.schema import Donors, register
from tsdistill.errors import TsdistillError
from tsdistill.methods.build import build_stages
from tsdistill.methods.ce import CrossEntropy
from tsdistill.methods.kd import KnowledgeDistillation
from tsdistill.methods.kd_perturbed import PerturbedKnowledgeDistillation
from tsdistill.methods.tsd import TemporalSaliency

METHODS = sorted(path.stem for path in (conf_folder() / "method").glob("*.yaml"))
CE = {"_target_": "tsdistill.methods.ce.CrossEntropy"}
KD = {"_target_": "tsdistill.methods.kd.KnowledgeDistillation", "tau": 2.0}
TSD = {"_target_": "tsdistill.methods.tsd.TemporalSaliency"}


@cache
def _compose(*overrides):
    register()
    with initialize_config_dir(str(Path(conf_folder()).resolve()), version_base="1.3"):
        return compose("distill", list(overrides))


def composed(*overrides):
    return _compose(*overrides).copy()


def stages_of(conf):
    return build_stages(OmegaConf.to_container(conf.method, resolve=True))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_builds_at_every_trial_and_names_itself(name):
    conf = composed(f"method={name}")
    assert conf.method.name == name
    trials = len(conf.method.grid)
    kept = []
    for trial in range(trials + 1):
        conf = composed(f"method={name}")
        conf.trial = trial
        apply_trial(conf)
        assert stages_of(conf)
        kept.append(OmegaConf.to_yaml(OmegaConf.masked_copy(conf, ["method", "training"]), resolve=True))
    assert len(set(kept)) == trials + 1  # no trial repeats another, nor the default


def test_every_method_has_as_many_trials_as_the_plain_student():
    assert {name: len(composed(f"method={name}").method.grid) for name in METHODS} == dict.fromkeys(
        METHODS, 4
    )
    assert grid_keys(composed("method=none").method) == ["training.lr"]
    assert grid_keys(composed("method=tsd").method) == ["method.lam"]


def test_the_methods_of_the_card_are_there():
    assert {"none", "kd", "fitnets", "fitnets_joint", "tsd", "tsd_kd"} <= set(METHODS)


def test_tsd_kd_is_the_terms_of_both():
    [stage] = stages_of(composed("method=tsd_kd", "method.lam=3", "method.kd_tau=5"))
    assert {name: type(term) for name, term in stage.terms.items()} == {
        "ce": CrossEntropy,
        "tsd": TemporalSaliency,
        "kd": PerturbedKnowledgeDistillation,
    }
    assert stage.weights == {"ce": 0.1, "tsd": 3.0, "kd": 0.9}
    assert stage.terms["kd"].tau == 5.0 and stage.terms["tsd"].tau == 8.0
    [published] = stages_of(composed("method=tsd_kd_paper"))
    assert type(published.terms["kd"]) is KnowledgeDistillation
    assert published.weights == {"ce": 1.0, "tsd": 1.0, "kd": 0.1}


def test_fitnets_has_two_stages_with_their_own_epochs_and_monitors():
    hint, train = stages_of(composed("method=fitnets", "method.hint_epochs=7"))
    assert (hint.name, hint.epochs, hint.monitor, set(hint.terms)) == ("hint", 7, "hint", {"hint"})
    assert (train.name, train.epochs, train.monitor) == ("train", None, None)
    assert train.weights == {"ce": 0.1, "kd": 0.9}
    assert hint.needs == {"teacher_features"} and train.needs == {"teacher_logits"}


@pytest.mark.parametrize(
    ("weight", "needs"), [(0.0, set()), (0, set()), (0.5, {"teacher_logits", "windows"})]
)
def test_a_term_of_weight_zero_is_not_built_and_needs_nothing(weight, needs):
    [stage] = build_stages(
        {"stages": {"s": {"terms": {"ce": CE, "tsd": TSD}, "weights": {"ce": 1, "tsd": weight}}}}
    )
    assert stage.needs == needs
    assert ("tsd" in stage.terms) is bool(weight)


def one_stage(**changes):
    stage = {"terms": {"ce": CE, "kd": KD}, "weights": {"ce": 1.0, "kd": 1.0}} | changes
    return {"name": "mine", "stages": {"s": stage}}


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ({"name": "mine"}, "method mine: it has no stages; see conf/method/tsd.yaml"),
        (one_stage(epoch=3), "method.stages.s.epoch: a stage has no such setting; did you mean 'epochs'?"),
        (
            one_stage(weights={"ce": 1.0, "kd": 1.0, "kdd": 1.0}),
            "method.stages.s.terms has no 'kdd'; did you mean 'kd'?",
        ),
        (one_stage(weights={"ce": 1.0}), "method.stages.s.weights has no 'kd'; choose from: ce"),
        (
            one_stage(weights={"ce": -1.0, "kd": 1.0}),
            "method.stages.s.weights.ce=-1.0 should be a number, 0 or more",
        ),
        (
            one_stage(weights={"ce": True, "kd": 1.0}),
            "method.stages.s.weights.ce=true should be a number, 0 or more",
        ),
        (
            one_stage(weights={"ce": 0.0, "kd": 0.0}),
            "method.stages.s.weights: all are 0, so there is nothing to train; give one a weight",
        ),
        (
            one_stage(terms={"ce": CE, "kd": KD | {"taus": 1.0}}),
            "method.stages.s.terms.kd.taus: tsdistill.methods.kd.KnowledgeDistillation takes no such "
            "setting; did you mean 'tau'?",
        ),
        (
            one_stage(terms={"ce": CE, "kd": KD | {"tau": "hot"}}),
            "method.stages.s.terms.kd.tau=hot should be a number",
        ),
        (
            one_stage(terms={"ce": CE, "kd": KD | {"tau": 0.0}}),
            "method.stages.s.terms.kd: tau=0 should be above 0",
        ),
        (
            one_stage(
                terms={"ce": CE, "kd": {"_target_": "tsdistill.methods.tsd.TemporalSaliency", "tau": -4.0}}
            ),
            "method.stages.s.terms.kd: tau=-4 should be above 0",
        ),
        (
            one_stage(terms={"ce": CE, "kd": {"_target_": "tsdistill.methods.kd.KnowledgeDestillation"}}),
            "method.stages.s.terms.kd._target_=tsdistill.methods.kd.KnowledgeDestillation: "
            "tsdistill.methods.kd has no 'KnowledgeDestillation'; did you mean 'KnowledgeDistillation'?",
        ),
        (
            one_stage(terms={"ce": CE, "kd": {"_target_": "torch.nn.ReLU"}}),
            "method.stages.s.terms.kd._target_=torch.nn.ReLU is not a tsdistill.methods.base.LossTerm",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(method, told):
    with pytest.raises(TsdistillError) as error:
        build_stages(method)
    assert str(error.value) == told


def settled(*overrides):
    conf = composed(*overrides)
    settle_method(conf)
    return conf


@pytest.mark.parametrize("name", [name for name in METHODS if "tsd" not in name])
def test_tsd_can_be_added_to_every_method(name):
    alone = stages_of(composed(f"method={name}"))
    conf = settled(f"method={name}+tsd", "method.tsd_lam=3", "method.tsd_tau=2")
    both = stages_of(conf)
    assert conf.method.name == f"{name}+tsd" and "added" not in conf.method
    assert [stage.name for stage in both] == [stage.name for stage in alone]
    assert [dict(stage.weights) for stage in both[:-1]] == [dict(stage.weights) for stage in alone[:-1]]
    assert both[-1].weights == {**alone[-1].weights, "ce": 1.0, "tsd": 3.0}
    assert both[-1].terms["tsd"].tau == 2.0
    kinds = {key: type(term) for key, term in both[-1].terms.items()}
    expected = {key: type(term) for key, term in alone[-1].terms.items()}
    assert kinds == {**expected, "ce": CrossEntropy, "tsd": TemporalSaliency}
    assert conf.method.grid == composed(f"method={name}").method.grid


def test_a_trial_of_the_methods_own_grid_applies_with_tsd_added():
    conf = settled("method=dkd+tsd", "trial=1")
    [stage] = stages_of(conf)
    assert stage.terms["dkd"].tau == 1.0 and stage.terms["tsd"].tau == 8.0


def test_tsd_is_not_added_twice():
    with pytest.raises(TsdistillError, match=r"method tsd_kd\+tsd: tsd_kd has TSD already"):
        settled("method=tsd_kd+tsd")


def test_noise_goes_with_its_method_alone():
    assert composed("method=fd_noise", "saliency=paper").saliency.donors is Donors.noise
    assert composed("method=fd_raw").saliency.donors is Donors.opposing

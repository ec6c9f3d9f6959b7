"""Composed configs: everything in conf/, trials, and what a record keeps."""

from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tsdistill.config.resolve import (
    apply_trial,
    check_composed,
    check_keys,
    conf_folder,
    grid_keys,
    recorded_settings,
)
from tsdistill.config.schema import COMMANDS, register
from tsdistill.config.targets import check_target
from tsdistill.data.load import COMMON_KEYS
from tsdistill.errors import TsdistillError
from tsdistill.runs.session import BUILT_IN_SIZES


@cache
def _compose(command, *overrides):
    register()
    with initialize_config_dir(str(Path(conf_folder()).resolve()), version_base="1.3"):
        return compose(command, list(overrides))


def composed(*overrides, command="distill"):
    return _compose(command, *overrides).copy()


def options(group):
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))


def test_a_composed_config_is_nobody_else_s():
    register()
    with initialize_config_dir(str(conf_folder().resolve()), version_base="1.3"):
        first = compose("distill", ["method=tsd"])
        lam = first.method.lam
        first.method.lam = lam + 1
        assert compose("distill", ["method=tsd"]).method.lam == lam


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes_into_its_schema(command):
    assert isinstance(OmegaConf.to_object(composed(command=command)), COMMANDS[command])


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_composes(experiment):
    conf = composed(f"experiment={experiment}")
    check_keys(conf)
    OmegaConf.to_object(conf)


@pytest.mark.parametrize("training", options("training"))
def test_every_training_composes_for_teacher_and_student(training):
    OmegaConf.to_object(composed(f"training={training}", f"training@teacher.training={training}"))


@pytest.mark.parametrize("group", ["hardware", "saliency"])
def test_other_groups_compose(group):
    for option in options(group):
        OmegaConf.to_object(composed(f"{group}={option}"))


@pytest.mark.parametrize("scheduler", options("scheduler"))
def test_every_scheduler_fits_its_target(scheduler):
    conf = OmegaConf.to_object(composed(f"scheduler@training.scheduler={scheduler}"))
    if conf.training.scheduler:
        check_target(conf.training.scheduler, "training.scheduler", supplied=("optimizer",))


def test_every_model_is_a_teacher_and_a_student_and_fits_its_target():
    for name in set(options("model")) - {"custom"}:  # whose target is the user's to name
        conf = OmegaConf.to_object(composed(f"teacher={name}", f"student={name}"))
        assert conf.teacher.name == conf.student.name == name
        assert conf.teacher.model == conf.student.model
        check_target(conf.student.model, "student.model", supplied=BUILT_IN_SIZES)


@pytest.mark.parametrize("dataset", options("dataset"))
def test_every_dataset_fits_its_reader(dataset):
    conf = OmegaConf.to_object(composed(f"dataset={dataset}"))
    check_target({k: v for k, v in conf.dataset.items() if k not in COMMON_KEYS}, "dataset")
    assert set(COMMON_KEYS) <= set(conf.dataset)


def test_the_teacher_s_training_stands_apart_from_the_student_s():
    conf = composed("training.lr=0.5", "scheduler@training.scheduler=cosine", "training.epochs=7")
    assert conf.teacher.training.lr == 0.001 and conf.training.lr == 0.5
    assert not conf.teacher.training.scheduler
    assert conf.training.scheduler.T_max == 7


def test_the_reference_s_training_steps_its_scheduler_by_batch():
    conf = composed("training=reference")
    assert conf.training.schedule_by.value == "step"
    assert list(conf.training.scheduler.milestones) == [25, 30, 35]


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("+training.lrr=1", "training.lrr: there is no such setting; did you mean 'lr'?"),
        ("+student.modle=1", "student.modle: there is no such setting; did you mean 'model'?"),
        (
            "+teacher.training.epoch=1",
            "teacher.training.epoch: there is no such setting; did you mean 'epochs'?",
        ),
        ("+sede=1", "sede: there is no such setting; did you mean 'seed'?"),
    ],
)
def test_an_added_key_that_nothing_reads_is_refused(added, told):
    with pytest.raises(TsdistillError) as error:
        check_keys(composed(added))
    assert str(error.value) == told


def test_open_nodes_take_keys_of_the_user_s_own():
    check_keys(composed())
    check_keys(composed("student=custom", "+student.model.width=3", "+method.mine=1", "+dataset.mine=1"))


def test_a_trial_sets_what_the_grid_says_and_nothing_else():
    conf = composed("method=tsd", "trial=4")
    apply_trial(conf)
    assert conf.method.lam == 100.0
    assert conf.method.stages.train.weights.tsd == 100.0
    default = composed("method=tsd")
    before = OmegaConf.to_yaml(default)
    apply_trial(default)
    assert OmegaConf.to_yaml(default) == before
    plain = composed("method=none", "trial=1")
    apply_trial(plain)
    assert plain.training.lr == 0.001


@pytest.mark.parametrize("trial", [-1, 5])
def test_a_trial_that_is_not_there(trial):
    with pytest.raises(TsdistillError) as error:
        apply_trial(composed("method=tsd", f"trial={trial}"))
    assert str(error.value) == f"trial={trial}: method tsd has trials 0 (its default) to 4"


def test_a_grid_of_the_user_s_own():
    conf = composed("method=tsd", "method.grid=[{method.lam: 2.0, method.tau: 1.0}]", "trial=1")
    assert grid_keys(conf.method) == ["method.lam", "method.tau"]
    apply_trial(conf)
    assert (conf.method.lam, conf.method.tau) == (2.0, 1.0)
    bad = composed("method=tsd", "method.grid=[{method.lamda: 2.0}]", "trial=1")
    with pytest.raises(TsdistillError, match=r"method\.grid of tsd: there is no setting 'method\.lamda'"):
        apply_trial(bad)
    with pytest.raises(TsdistillError, match="trials 0 \\(its default\\) to 0"):
        apply_trial(composed("method=tsd", "method.grid=null", "trial=1"))


def test_recorded_settings_are_flat_and_leave_out_where_and_how():
    kept = recorded_settings(composed("method=tsd", "method.lam=3", "out=elsewhere", "hardware.threads=2"))
    assert kept["method.lam"] == 3 and kept["saliency.window"] == 10 and kept["training.optimizer"] == "adam"
    assert kept["student.model.hidden"] == 8 and kept["hardware.precision"] == "fp32"
    tops = {key.split(".")[0] for key in kept}
    assert tops == {
        "dataset", "split", "teacher", "saliency", "student", "method", "training", "calibration", "hardware"
    }  # fmt: skip
    assert [key for key in kept if key.startswith("hardware")] == ["hardware.precision"]
    assert not any(key.endswith(".name") for key in kept)
    assert not any(isinstance(value, dict) for value in kept.values())
    # A stage repeats no number of the method's own settings: two values of lambda differ in one key.
    other = recorded_settings(composed("method=tsd", "method.lam=4"))
    assert {key for key in kept if kept[key] != other[key]} == {"method.lam"}
    left = recorded_settings(composed("method=none"), ("saliency",))
    assert not any(key.startswith("saliency") for key in left)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("seed=-3", "seed=-3 should be from 0 to 4294967295"),
        ("seed=99999999999999999999999", "seed=99999999999999999999999 should be from 0 to 4294967295"),
        ("teacher.seeds=[0,-1]", r"teacher.seeds\[1\]=-1 should be from 0 to"),
        ("split.seed=-1", "split.seed=-1 should be from 0 to"),
        ("saliency.pool_seed=-1", "saliency.pool_seed=-1 should be from 0 to"),
        ("saliency.window=nan", "saliency.window=nan should be a finite number"),
        ("training.weight_decay=inf", "training.weight_decay=inf should be a finite number"),
        ("method.lam=inf", "method.lam=inf should be a finite number"),
    ],
)
def test_numbers_that_no_run_could_use_are_refused_before_anything_is_trained(word, told):
    with pytest.raises(TsdistillError, match=told):
        check_composed(composed(word))

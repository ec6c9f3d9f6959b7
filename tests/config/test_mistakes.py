"""What Hydra and OmegaConf complain of, in one line of ours."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from tsdistill.config.mistakes import CONFIG_ERRORS, explain
from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import register

OWN = ": it has settings of its own; --cfg job shows them"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("method=tds", "method=tds: there is no such method; did you mean 'tsd'?"),
        (
            "dataset=GunPoint",
            "dataset=GunPoint: there is no such dataset; "
            "choose from: csv, folder, long, npz, planted, ucr, uea; "
            "a set of the archive is named by dataset.name=GunPoint",
        ),
        (
            "scheduler@training.scheduler=cosinus",
            "scheduler=cosinus: there is no such scheduler; did you mean 'cosine'?",
        ),
        (
            "hardware=x",
            "hardware=x: there is no such hardware; choose from: auto, cpu, cuda, mps",
        ),
        ("mehtod=tsd", "mehtod: there is no setting 'mehtod'; did you mean 'method'?"),
        ("training.lrr=1", "training.lrr: training has no key 'lrr'; did you mean 'lr'?"),
        ("method.lamda=1", "method.lamda: method has no key 'lamda'; did you mean 'lam'?"),
        (
            "learning_rate=1",
            "learning_rate: there is no setting 'learning_rate'; did you mean 'training.lr'?",
        ),
        ("teacher.lr=1", "teacher.lr: teacher has no key 'lr'; did you mean 'teacher.training.lr'?"),
        ("epochs=5", "epochs: there is no setting 'epochs'; did you mean 'training.epochs'?"),
        ("training.lr=abc", "training.lr=abc should be a number"),
        ("seed=1.5", "seed=1.5 should be a whole number"),
        ("training.epochs=null", "training.epochs=null should be a whole number"),
        ("training.optimizer=adamm", "training.optimizer=adamm: did you mean 'adam'?"),
        ("training.optimizer=3", "training.optimizer=3: choose from: adam, adamw, sgd"),
        ("teacher.seeds=5", "teacher.seeds=5 should be a list of whole numbers"),
        ("teacher.seeds=[0,a]", "teacher.seeds[1]=a should be a whole number"),
        ("retrain=maybe", "retrain=maybe should be true or false"),
        ("split=3", "split=3: it has settings of its own; set one of split.validation, split.seed"),
        ("student=custom", "student.model._target_: a value is missing; set student.model._target_=..."),
        ("dataset.name=${nowhere}", "dataset.name refers to nowhere, which is not set"),
        ("method.lam=${method.lam}", "method.lam refers to itself"),
        (
            "training.scheduler=[1]",
            "training.scheduler=[1]: it has settings of its own; --cfg job shows them",
        ),
        ("method.stages=[1]", "method.stages=[1]" + OWN),
        ("method.grid={}", "method.grid={}: it should be a list"),
        ("+method.lam=1", "method.lam: there is one already; write method.lam=VALUE, without +"),
        ("+method=tsd", "method: there is one already; write method=NAME, without +"),
        ("+method=kd", "method: there is one already; write method=NAME, without +"),
        ("~method.nope", "~method.nope: there is none; --cfg job shows all"),
        ("~nope", "~nope: there is none; --cfg job shows all"),
        ("nope@training=cosine", "nope@training=cosine: there is no such group; --help lists them"),
        (
            "method==kd",
            "method==kd: the value can't be read; "
            "write a text that has special characters as method=\\'TEXT\\'",
        ),
        (
            "method=none,",
            "method=none,: nothing follows the last comma; write method=A,B without spaces",
        ),
        ("seed=int(x)", "seed=int(x): invalid literal for int() with base 10: 'x'"),
        ("method", "method: a setting is written NAME=VALUE, without spaces"),
    ],
)
def test_a_wrong_override_is_told_in_one_line(override, told):
    register()
    with (
        pytest.raises(CONFIG_ERRORS) as error,
        initialize_config_dir(str(Path(conf_folder()).resolve()), version_base="1.3"),
    ):
        conf = compose("distill", [override])
        OmegaConf.to_object(conf)
    assert explain(error.value) == told


def test_a_launcher_that_is_not_installed_names_its_extra():
    options = "Available options in 'hydra/launcher':\n\tbasic\nConfig search path:"
    told = "Could not find 'hydra/launcher/{}'\n\n" + options
    joblib = explain(MissingConfigException(told.format("joblib"), "hydra/launcher/joblib"))
    assert joblib == "hydra/launcher=joblib is not installed: pip install 'tsdistill[joblib]'"
    other = explain(MissingConfigException(told.format("basik"), "hydra/launcher/basik"))
    assert other == "hydra/launcher=basik: there is no such hydra/launcher; did you mean 'basic'?"

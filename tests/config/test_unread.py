"""Words that set what no method reads are told; what some method of a sweep reads is in order."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from tsdistill.config.resolve import UNSET, conf_folder
from tsdistill.config.schema import register
from tsdistill.config.unread import unread

METHODS = sorted(path.stem for path in (conf_folder() / "method").glob("*.yaml"))


def composed(*words: str) -> DictConfig:
    register()
    with initialize_config_dir(str(Path(conf_folder()).resolve()), version_base="1.3"):
        return compose("distill", list(words))


def test_a_misspelt_setting_is_told_with_the_nearest_that_is_read() -> None:
    words = ["method=tsd", "+method.lamda=1", "method.lam=2", "training.lr=0.1"]
    assert unread(words, [composed(*words)]) == [
        "+method.lamda=1 has no effect: method tsd reads no such setting; did you mean 'lam'?"
    ]


def test_a_setting_of_another_method_is_told_with_those_that_there_are() -> None:
    words = ["method=none", "+method.lam=1"]
    assert unread(words, [composed(*words)]) == [
        "+method.lam=1 has no effect: method none reads no such setting"
    ]


def test_in_a_sweep_one_method_that_reads_it_is_enough() -> None:
    confs = [
        composed(f"method={name}", "++method.lam=1", "++method.lamda=1") for name in ("none", "kd", "tsd")
    ]
    words = ["+method.lam=0.1,1", "+method.lamda=1", "method=none,kd,tsd"]
    assert unread(words, confs) == [
        "+method.lamda=1 has no effect: no method of this sweep reads it; did you mean 'lam'?"
    ]


@pytest.mark.parametrize(
    "reference", ["${method.mine}", "${.mine}", "${oc.select:method.mine,3}", "${method[mine]}"]
)
def test_every_way_to_refer_to_a_setting_counts(reference: str) -> None:
    words = ["method=tsd", "+method.mine=1.0", f"++method.lam='{reference}'"]
    assert unread(words, [composed(*words)]) == []


def test_a_reference_from_elsewhere_and_what_is_read_by_name_count() -> None:
    words = ["+method.mine=4", "student.model.hidden=${method.mine}", "method.grid=[]", "~method.ranges"]
    assert unread([*words, "method.name=other", "+method.stages.train.epochs=3"], [composed(*words)]) == []


@pytest.mark.parametrize("name", [*METHODS, "kd+tsd"])
def test_our_own_methods_read_all_their_settings(name: str) -> None:
    conf = composed(f"method={name}")
    own = [f"method.{key}=1" for key in map(str, conf.method) if key not in UNSET]
    assert unread(own, [conf]) == []

"""A sweep's configs, composed once for each choice of groups, are those of Hydra's own sweep."""

import pickle
from collections.abc import Iterator

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from tsdistill.config.compose import Composer
from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import register

JOBS = [
    ("method=tsd", "seed=1", "dataset.name=GunPoint"),
    ("method=tsd", "seed=24", "dataset.name='ECG200'", "method.lam=2"),
    ("method=kd", "experiment=smoke", "training=paper", "seed=3", "teacher.seeds=[1,2]"),
    ("seed=1", "student=custom", "student.name=x", "student.model._target_=m.Net", "+student.model.width=8"),
    ("method=dkd+tsd", "++training.lr=0.5", "++training.scheduler={eta: 1}"),
    ("dataset.name=GunPoint", "~hydra.callbacks.sweep", "seed=7"),
]


@pytest.fixture(scope="module")
def master() -> Iterator[DictConfig]:
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        yield loader.load_configuration("distill", ["hydra.mode=MULTIRUN", "out=x"], RunMode.MULTIRUN)


def plain(config: DictConfig) -> object:
    return OmegaConf.to_container(config, resolve=False, enum_to_str=True)


def test_a_job_has_the_config_that_hydra_composes(master: DictConfig) -> None:
    loader = GlobalHydra.instance().config_loader()
    composer = Composer(loader, master)
    for words in JOBS:
        ours, theirs = composer.compose(words), loader.load_sweep_config(master, list(words))
        assert plain(ours) == plain(theirs), words
        assert OmegaConf.is_struct(ours) and OmegaConf.get_type(ours) is OmegaConf.get_type(theirs)


def test_each_choice_of_groups_is_composed_once_and_goes_along_to_another_process(
    master: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = GlobalHydra.instance().config_loader()
    composer = Composer(loader, master)
    composer.compose(("method=kd", "seed=1")).teacher.seeds.append(9)
    composer.compose(("method=tsd", "seed=1"))
    assert 9 not in composer.compose(("method=kd", "seed=1")).teacher.seeds  # jobs share nothing
    monkeypatch.delattr(type(loader), "load_sweep_config")
    assert composer.compose(("method=kd", "seed=2")).seed == 2
    assert pickle.loads(pickle.dumps(composer)).compose(("method=tsd", "seed=3")).method.name == "tsd"


@pytest.mark.parametrize("word", ["method.absent=1", "seed=many", "seed=1=2,"])
def test_a_wrong_override_is_refused_as_by_hydra(master: DictConfig, word: str) -> None:
    loader = GlobalHydra.instance().config_loader()
    with pytest.raises(HydraException) as theirs:
        loader.load_sweep_config(master, ["method=tsd", word])
    with pytest.raises(HydraException) as ours:
        Composer(loader, master).compose(["method=tsd", word])
    assert str(ours.value) == str(theirs.value)

"""A command's config is composed once, is that of Hydra's own, and is refused for the same reasons."""

from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf

from tsdistill.cli import run
from tsdistill.config.once import composed_once
from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import register

WORDS = ["dataset.name=GunPoint", "method=kd", "seed=3"]


@pytest.mark.parametrize(
    ("command", "words", "status", "times"),
    [("runs", [], 2, 1), ("distill", ["-m", "dataset.name=NoSuchSet"], 1, 2)],  # the sweep's, and its job's
)
def test_a_command_composes_its_config_once(
    command: str,
    words: list[str],
    status: int,
    times: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    composed = []
    compose = ConfigLoaderImpl._load_configuration_impl

    def counted(*args: object, **named: object) -> object:
        composed.append(named["config_name"])
        return compose(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", counted)
    assert run(command, [*words, f"out={tmp_path}"]) == status
    assert composed == [command] * times


@pytest.mark.parametrize("mode", RunMode)
def test_it_is_the_config_that_hydra_composes_for_the_run(mode: RunMode) -> None:
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert isinstance(hydra, Hydra)
        words = [*WORDS, f"hydra.mode={mode.name}"]  # as Hydra adds it
        theirs = hydra.compose_config("distill", list(words), mode)
        with composed_once():
            assert hydra.get_mode("distill", list(WORDS)) is None
            ours = hydra.compose_config("distill", list(words), mode)
            again = hydra.compose_config("distill", list(words), mode)
    plain = [OmegaConf.to_container(each, resolve=False, enum_to_str=True) for each in (theirs, ours, again)]
    assert plain[0] == plain[1] == plain[2]
    assert again is not ours


def test_values_to_sweep_over_are_refused_in_a_run_and_the_mode_is_still_seen() -> None:
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert isinstance(hydra, Hydra)
        with composed_once():
            assert hydra.get_mode("distill", ["seed=1,2"]) is None
            with pytest.raises(ConfigCompositionException, match="--multirun"):
                hydra.compose_config("distill", ["seed=1,2"], RunMode.RUN)
            assert hydra.get_mode("distill", ["experiment=smoke"]) is RunMode.MULTIRUN
            assert hydra.get_mode("distill", ["no_such=1"]) is None


@pytest.mark.usefixtures("surroundings")
def test_a_command_that_has_registered_its_own_schema_alone_finds_an_ensembles_members(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ConfigStore.instance()
    kept = {name: node for name, node in store.repo.items() if not name.endswith("_schema.yaml")}
    monkeypatch.setattr(store, "repo", kept)  # as in a new process; other tests have registered all
    words = ["dataset.name=UnitTest", "dataset.download=false", "saliency.window=5", "hardware=cpu"]
    assert run("distill", [*words, "teacher=ensemble", "why=true"]) == 0
    assert "UnitTest tsd lstm_8 seed 0: not stored" in capsys.readouterr().out


def test_a_sweep_in_a_config_may_supply_a_choice_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSDISTILL_OUT", str(tmp_path / "out"))
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/own.yaml").write_text("""\
# @package _global_
defaults:
  - override /method: ???
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      method: none,kd
      dataset.name: NoSuchSet
""")
    words = ["--config-dir", str(tmp_path), "experiment=own"]
    assert run("distill", words) == 1
    assert "2 runs, 2 failed" in capsys.readouterr().out


def test_a_config_may_build_on_that_of_another_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConfigStore.instance(), "repo", {**_without_schemas()})
    (tmp_path / "own.yaml").write_text("defaults: [train-teacher]\n")
    words = ["--config-dir", str(tmp_path), "--config-name", "own", "--cfg", "job"]
    assert run("distill", words) == 0
    assert "teacher:" in capsys.readouterr().out


def _without_schemas() -> dict[str, object]:
    store = ConfigStore.instance()
    return {name: node for name, node in store.repo.items() if not name.endswith("_schema.yaml")}


def test_hydra_is_as_before_afterwards() -> None:
    before = Hydra.get_mode, ConfigLoaderImpl.load_configuration
    with pytest.raises(RuntimeError), composed_once():
        raise RuntimeError
    assert (Hydra.get_mode, ConfigLoaderImpl.load_configuration) == before

"""Shared fixtures."""

import copy
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.plugins.config_source import ConfigResult

from tsdistill import cli
from tsdistill.config.resolve import conf_folder
from tsdistill.runs import sweep

torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what is there for good.

    Libraries and tests are half a million objects; going through them took a third of a command's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True)
def root_logger_as_it_was() -> Iterator[None]:
    """Hydra's flags put a handler on the captured output, which is closed when the next test logs."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        if type(handler) is logging.StreamHandler and handler not in before:
            root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For commands in this process: a folder of their own, no local archive, and the process as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    for name in ("TSDISTILL_DATA", "TSDISTILL_OUT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HYDRA_FULL_ERROR", sweep.SWEEP_VARIABLE, sweep.JOBS_VARIABLE):
        monkeypatch.setenv(name, "")
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def make() -> Callable[..., None]:
    """Runs a command of which the results serve a whole module."""

    def run(*words: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", sys.argv)
            assert cli.run(words[0], words[1:]) == 0

    return run


@pytest.fixture
def archive_root() -> Path:
    """Folder with real UCR/UEA data, or a skip that says how to provide it; a wrong path is an error."""
    named = os.environ.get("TSDISTILL_DATA")
    if not named:
        pytest.skip(
            "set TSDISTILL_DATA to a folder with UCRArchive_2018/ and Multivariate_ts/ to run archive tests"
        )
    root = Path(named)
    if not (root / "UCRArchive_2018").is_dir():
        fault = "holds no UCRArchive_2018/" if root.is_dir() else "is not a folder"
        pytest.fail(
            f"TSDISTILL_DATA={named} {fault}; correct it, or unset it to skip archive tests", pytrace=False
        )
    return root


@pytest.fixture(autouse=True, scope="session")
def sweeps_in_this_process() -> Iterator[None]:
    """Run the jobs of a sweep in this process, where a test's patches reach them, unless it says how many.

    Fixtures of a module or the session come under it too: each process of a sweep pays seconds for imports.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSDISTILL_JOBS", "1")
        yield


@pytest.fixture(autouse=True, scope="session")
def package_configs_are_parsed_once() -> Iterator[None]:
    """Keep what each file of ``conf/`` holds, which Hydra would parse twice for each command."""
    read, own = FileConfigSource.load_config, str(conf_folder().resolve())
    kept: dict[tuple[str, str], ConfigResult] = {}

    def load_config(self: FileConfigSource, config_path: str) -> ConfigResult:
        if os.path.realpath(self.path) != own:
            return read(self, config_path)
        key = (self.provider, config_path)
        if key not in kept:
            kept[key] = read(self, config_path)
        return copy.deepcopy(kept[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileConfigSource, "load_config", load_config)
        yield

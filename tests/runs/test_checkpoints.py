"""A run that is broken off goes on from its checkpoint and ends in the same bits as one that is not.

``make test`` breaks a sample of the methods off; ``TSDISTILL_LONG=1`` every one of ``conf/method``.
"""

import json
import math
import os
import shutil
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from tsdistill.cli import run
from tsdistill.config.groups import config_folders
from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import register
from tsdistill.runs.checkpoints import Checkpoints
from tsdistill.runs.signals import Stopped, heeded
from tsdistill.runs.story import distill, train_teacher
from tsdistill.saliency import pools
from tsdistill.store.checkpoints import STATE, TENSORS

LONG = bool(os.environ.get("TSDISTILL_LONG"))
TINY = (
    *("dataset.name=UnitTest", "dataset.download=false", "data_root=null", "hardware=cpu"),
    *("teacher=fcn_8", "teacher.training.epochs=1", "saliency.window=5", "saliency.perturbations=4"),
)
STUDENT = (*TINY, "student=lstm_8", "training.epochs=3", "training.batch_size=8")
KD = ("distill", *STUDENT, "method=kd")
METHODS = sorted(path.stem for path in (conf_folder() / "method").glob("*.yaml"))
pytestmark = pytest.mark.usefixtures("surroundings")


def stored(out: Path) -> dict[str, bytes]:
    """Every stored file but those of times, and the manifests, which hold their hashes."""
    files = [path for kind in ("runs", "teachers", "pools") for path in (out / kind).rglob("*.*")]
    return {
        str(path.relative_to(out)): path.read_bytes().replace(str(out).encode(), b"OUT")
        for path in files
        if path.is_file() and path.name not in ("timing.json", "manifest.json")
    }


def checkpoints(out: Path) -> list[Path]:
    return sorted((out / "checkpoints").glob("*/*"))


def at_offer(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> None:
    """Do something at each step or chunk, whose number since now, from 1, is given."""
    offers, offer = [0], Checkpoints.offer

    def spy(self: Checkpoints, capture: Callable[[], object]) -> None:
        offers[0] += 1
        act(offers[0])
        offer(self, capture)

    monkeypatch.setattr(Checkpoints, "offer", spy)


@cache
def composed(words: tuple[str, ...]) -> DictConfig:
    """The settings of a command, which Hydra takes longer to compose than a short run to train."""
    register(config_folders(()))
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose(words[0], overrides=list(words[1:]))


def status_of(words: tuple[str, ...], out: Path) -> int:
    """Do what a command does, and say with which status it would end."""
    task = distill if words[0] == "distill" else train_teacher
    try:
        with heeded():
            task(OmegaConf.merge(composed(words), {"out": str(out)}))
    except Stopped as stopped:
        return stopped.status
    return 0


def until_done(monkeypatch: pytest.MonkeyPatch, every: int, words: tuple[str, ...], out: Path) -> int:
    """Repeat a command, SIGTERM coming at every so manieth step, until it ends by itself.

    Returns:
        How often it was broken off.
    """
    broken = 0
    with monkeypatch.context() as patch:
        at_offer(patch, lambda offer: signal.raise_signal(signal.SIGTERM) if offer % every == 0 else None)
        while (status := status_of(words, out)) != 0:
            assert status == 143
            broken += 1
    return broken


def check_broken_is_unbroken(
    monkeypatch: pytest.MonkeyPatch, folder: Path, every: int, *words: str, seed: Path | None = None
) -> int:
    """Compare a command's records, unbroken and broken off at every so manieth step.

    Args:
        every: how many steps lie between two breaks.
        words: the command.
        seed: an output folder to start from.

    Returns:
        How often it was broken off.
    """
    one, two = folder / "one", folder / "two"
    for out in (one, two):
        if seed is not None:
            shutil.copytree(seed, out)
    assert status_of(words, one) == 0
    broken = until_done(monkeypatch, every, words, two)
    assert broken > 0
    unbroken, resumed = stored(one), stored(two)
    assert unbroken.keys() == resumed.keys()
    assert [name for name in unbroken if unbroken[name] != resumed[name]] == []
    assert checkpoints(two) == [] and not [*two.rglob("*.tmp-*")]
    return broken


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The teacher of ``TINY`` and its pool."""
    out = tmp_path_factory.mktemp("taught")
    assert status_of(("train-teacher", *TINY), out) == 0
    return out


@pytest.mark.parametrize(
    ("every", "words"),
    [
        (4, ("method=tsd_kd",)),
        (4, ("method=fitnets", "method.hint_epochs=3")),  # breaks in both stages
        (4, ("method=none", "student=fcn_8", "training.monitor=ce")),  # batch normalisation, validation
        (3, ("method=tsd", "student.model.layers=2", "student.model.dropout=0.5", "saliency.mode=online")),
    ],
    ids=["tsd_kd", "fitnets", "fcn_8", "dropout"],
)
def test_a_student_ends_in_the_same_bits(every, words, taught, tmp_path, monkeypatch):
    check_broken_is_unbroken(monkeypatch, tmp_path, every, "distill", *STUDENT, *words, seed=taught)


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="every method takes minutes; set TSDISTILL_LONG")
@pytest.mark.parametrize("method", METHODS)
def test_every_method_ends_in_the_same_bits(method, tmp_path, monkeypatch):
    recurrent = ("teacher=lstm_8",) if method == "memkd" else ()
    words = ("distill", *STUDENT, "training.epochs=6", *recurrent, f"method={method}")
    assert check_broken_is_unbroken(monkeypatch, tmp_path, 5, *words) >= 2


def test_a_run_that_begins_anew_ends_in_the_same_bits(taught, tmp_path, monkeypatch):
    monkeypatch.setattr("tsdistill.runs.session.Job.learns", lambda job, model: False)
    words = ("distill", *STUDENT, "method=none", "training.epochs=50", "training.restarts=1")
    words = (*words, "training.batch_size=32")
    # The first attempt ends at the tenth of its steps, one for each epoch: the breaks lie in both attempts.
    assert check_broken_is_unbroken(monkeypatch, tmp_path, 8, *words, seed=taught) > 2
    (result,) = (tmp_path / "two" / "runs").rglob("result.json")
    assert json.loads(result.read_text())["training"]["restarts"] == 1


def test_a_teacher_and_its_pool_end_in_the_same_bits(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pools, "STEPS_AT_ONCE", 500)
    words = (*TINY, "teacher.training.epochs=4", "teacher.training.batch_size=8")
    monitored = ("teacher.training.monitor=accuracy", "teacher.training.patience=3")
    assert check_broken_is_unbroken(monkeypatch, tmp_path, 3, "train-teacher", *words, *monitored) > 4
    told = capsys.readouterr().out
    assert "UnitTest teacher fcn_8 seed 0: resumed at epoch 2 of 4" in told
    assert "UnitTest teacher fcn_8 seed 0: its pool is resumed at series" in told


def test_a_run_that_is_killed_goes_on_from_its_last_checkpoint(taught, tmp_path, monkeypatch, capfd):
    words = ("distill", *STUDENT, "method=tsd_kd", "hardware.checkpoint_seconds=1e-9")
    monkeypatch.setattr("tsdistill.runs.checkpoints.LARGEST_SHARE", math.inf)
    unbroken = shutil.copytree(taught, tmp_path / "one")
    assert status_of(words, unbroken) == 0
    out = shutil.copytree(taught, tmp_path / "two")
    child = os.fork()
    if child == 0:
        at_offer(monkeypatch, lambda n: os.kill(os.getpid(), signal.SIGKILL) if n == 5 else None)
        status_of(words, out)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    (folder,) = checkpoints(out)
    before = json.loads((folder / STATE).read_text())["state"]["seconds"]
    capfd.readouterr()
    assert status_of(words, out) == 0
    assert "UnitTest tsd_kd lstm_8 seed 0: resumed at epoch 2 of 3" in capfd.readouterr().out
    assert stored(out) == stored(unbroken) and checkpoints(out) == []
    (timing,) = (out / "runs").rglob("timing.json")
    assert json.loads(timing.read_text())["train_seconds"] > before > 0


@pytest.fixture
def broken(taught, tmp_path, monkeypatch) -> Path:
    """An output folder with the checkpoint of a run that SIGTERM ended."""
    out = shutil.copytree(taught, tmp_path / "out")
    with monkeypatch.context() as patch:
        at_offer(patch, lambda n: signal.raise_signal(signal.SIGTERM) if n == 3 else None)
        assert status_of(KD, out) == 143
    return out


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "damage"),
    [(TENSORS, flip), (TENSORS, cut), (STATE, flip), (STATE, lambda path: path.write_bytes(b""))],
    ids=["flipped", "cut", "flipped state", "emptied state"],
)
def test_a_damaged_checkpoint_is_set_aside_in_one_line(name, damage, broken, caplog, capsys):
    (folder,) = checkpoints(broken)
    damage(folder / name)
    assert status_of(KD, broken) == 0
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder} is damaged ({name} has changed since it was written); set aside as {folder.name}.broken-1"
    ]
    assert "resumed" not in capsys.readouterr().out
    assert [path.name for path in checkpoints(broken)] == [f"{folder.name}.broken-1"]


def test_the_checkpoint_of_another_run_is_refused(broken, caplog, capsys, monkeypatch):
    (folder,) = checkpoints(broken)
    with monkeypatch.context() as patch:
        at_offer(patch, lambda n: signal.raise_signal(signal.SIGINT) if n == 1 else None)
        assert status_of((*KD, "seed=1"), broken) == 130
    (other,) = (path for path in checkpoints(broken) if path != folder)
    shutil.rmtree(other)
    shutil.copytree(folder, other)
    capsys.readouterr()
    assert status_of((*KD, "seed=1"), broken) == 0
    assert "it is of another run: its settings has another seed" in caplog.text
    assert "resumed" not in capsys.readouterr().out
    assert folder.is_dir()


def test_a_checkpoint_of_other_code_or_another_machine_is_refused(tmp_path, caplog):
    wanted = {"settings": {"seed": 0, "code": {"m": "1"}}, "arithmetic": {"threads": 1}}
    Checkpoints(tmp_path / "of", wanted, 1.0, "a run")._write(None)
    assert Checkpoints(tmp_path / "of", wanted, 1.0, "a run").seconds_before > 0
    for part, changed in (("settings", {"seed": 0, "code": {"m": "2"}}), ("arithmetic", {"threads": 2})):
        shutil.rmtree(tmp_path / "of", ignore_errors=True)
        Checkpoints(tmp_path / "of", wanted, 1.0, "a run")._write(None)
        assert Checkpoints(tmp_path / "of", {**wanted, part: changed}, 1.0, "a run").seconds_before == 0.0
        (differing,) = (name for name in changed if changed[name] != wanted[part].get(name))
        assert f"its {part} has another {differing}" in caplog.text


def test_the_interval_is_no_part_of_a_run_and_0_writes_nothing(broken, capsys):
    assert status_of(KD, broken) == 0
    assert status_of((*KD, "hardware.checkpoint_seconds=0"), broken) == 0
    assert "already there" in capsys.readouterr().out
    words = (*KD[1:], f"out={broken}", "hardware.checkpoint_seconds=-1", "seed=2")
    assert run("distill", words) == 2
    assert "hardware.checkpoint_seconds=-1 should be 0 or more" in capsys.readouterr().err


def test_without_an_interval_a_signal_ends_the_run_all_the_same(taught, tmp_path, monkeypatch):
    out = shutil.copytree(taught, tmp_path / "out")
    at_offer(monkeypatch, lambda n: signal.raise_signal(signal.SIGTERM) if n == 2 else None)
    assert run("distill", (*KD[1:], f"out={out}", "hardware.checkpoint_seconds=0")) == 143
    assert checkpoints(out) == []


def test_clean_removes_the_checkpoints_that_no_run_goes_on_from(broken, monkeypatch, capsys):
    (folder,) = checkpoints(broken)
    assert run("clean", (f"out={broken}", "apply=true")) == 0
    assert folder.is_dir()
    state = json.loads((folder / STATE).read_text())
    state["state"]["made_for"]["settings"]["code"]["tsdistill.methods.kd"] = "edited"
    (folder / STATE).write_text(json.dumps(state))
    capsys.readouterr()
    assert run("clean", (f"out={broken}", "apply=true")) == 0
    assert (
        f"removed: checkpoint UnitTest/{folder.name}: tsdistill.methods.kd was edited"
        in capsys.readouterr().out
    )
    assert checkpoints(broken) == []

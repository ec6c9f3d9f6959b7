"""Sweeps whose jobs run in processes of their own: equal records, lost processes, and an early end."""

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest

from tsdistill import cli
from tsdistill.runs.share import share_of
from tsdistill.runs.sweep import SWEEP_VARIABLE
from tsdistill.store.locks import locked

TINY = (
    *("dataset.download=false", "data_root=null", "hardware=cpu", "saliency.window=5"),
    *("teacher=fcn_8", "teacher.training.epochs=1", "student=lstm_8", "training.epochs=1"),
)

PROCESSES = 2 if "TSDISTILL_LONG" in os.environ else 1
"""Processes that train for real; each pays seconds for its imports."""

LIVELY = """
import os, pathlib, signal, time
from tsdistill.errors import TsdistillError
from tsdistill.runs.sweep import as_job
from tsdistill.store.locks import locked

def run(config):
    as_job(lambda: live(config), debug=False, on_failure=lambda told: note(config, "recorded", told))

def note(config, name, text=""):
    path = pathlib.Path(config.out) / f"{name}-{config.seed}"
    path.write_text(path.read_text() + text if path.exists() else text)

def live(config):
    dies = config.split.seed * (config.seed - 1)  # how often this run kills its process
    tries = len(list(pathlib.Path(config.out).glob(f"begun-{config.seed}-*")))
    (pathlib.Path(config.out) / f"begun-{config.seed}-{tries}").touch()
    if tries < dies:
        os.kill(os.getpid(), signal.SIGKILL)
    if config.seed == 9:
        raise TsdistillError("nine is too many")
    if config.seed == 7:
        with locked(pathlib.Path(config.out) / "runs" / "A" / "7"):
            note(config, "held")
    time.sleep(config.trial)
    note(config, "done", os.environ["OMP_NUM_THREADS"])
"""


@pytest.fixture
def lively(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A command whose runs sleep for ``trial`` seconds and fail with seed 9.

    Seed 7 needs the lock of an artefact. With ``split.seed=1`` they kill their process once with seed 2 and
    twice with seed 3.
    """
    home = tmp_path / "modules"
    home.mkdir()
    (home / "lively.py").write_text(LIVELY)
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.chdir(tmp_path)
    import lively  # type: ignore[import-not-found]

    monkeypatch.setattr(cli, "_task", lambda command: lively.run)
    yield lively
    sys.modules.pop("lively")


@pytest.fixture
def sweep(tmp_path: Path, lively: ModuleType) -> Callable[..., int]:
    out = tmp_path / "out"
    out.mkdir()

    def start(*words: str) -> int:
        return cli.run("distill", ["-m", f"out={out}", "dataset.name=A", "hardware=cpu", *words])

    return start


def notes(out: Path) -> dict[int, str | None]:
    folder = out / "sweeps" / os.environ[SWEEP_VARIABLE] / "status"
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return {note["job"]: note["error"] for note in found}


def test_a_run_whose_process_is_killed_is_tried_again_and_then_recorded(
    sweep: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status = sweep("hardware.jobs=1", "retry=1", "split.seed=1", "seed=1,2,3")
    said = capsys.readouterr().out
    assert status == 1 and "3 runs, 1 failed" in said
    assert said.count("was killed (SIGKILL), perhaps for want of memory; try 1 of 1 more") == 2
    lost = "its process was killed (SIGKILL), perhaps for want of memory; tried 2 times"
    assert notes(out) == {0: None, 1: None, 2: lost}
    assert (out / "recorded-3").read_text() == lost
    assert [(out / f"done-{seed}").read_text() for seed in (1, 2)] == ["1", "1"]  # with one thread each


def test_fail_fast_ends_the_sweep_at_the_first_failed_run(
    sweep: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = sweep("hardware.jobs=2", "fail=fast", "trial=300", "dataset.name=A,B,C", "seed=9,1")
    assert status == 1
    said = capsys.readouterr().out
    # Two that run side by side may both fail before the sweep is ended.
    assert "nine is too many" in said
    assert "6 runs, 1 failed, 5 not run" in said or "6 runs, 2 failed, 4 not run" in said
    assert "nine is too many" in notes(tmp_path / "out").values()
    assert not list((tmp_path / "out").glob("done-*"))


def test_fail_fast_in_one_process_and_late_by_default(sweep: Callable[..., int], tmp_path: Path) -> None:
    assert sweep("hardware.jobs=1", "fail=fast", "seed=1,9,2") == 1
    assert notes(tmp_path / "out") == {0: None, 1: "nine is too many"}
    assert sweep("hardware.jobs=1", "seed=1,9,2") == 1
    assert notes(tmp_path / "out") == {0: None, 1: "nine is too many", 2: None}


def test_a_run_that_another_process_makes_is_put_off_in_one_process_too(
    sweep: Callable[..., int], tmp_path: Path
) -> None:
    out, others = tmp_path / "out", []

    def make() -> None:
        until = time.monotonic() + 60
        with locked(out / "runs" / "A" / "7"):
            holds.set()
            while not (out / "done-2").exists() and time.monotonic() < until:
                time.sleep(0.01)
            others.extend(path.name for path in out.glob("done-*"))

    holds = threading.Event()
    maker = threading.Thread(target=make)
    maker.start()
    assert holds.wait(60)
    assert sweep("hardware.jobs=1", "seed=7,1,2") == 0
    maker.join()
    assert sorted(others) == ["done-1", "done-2"] and (out / "done-7").exists()


def test_shares_make_up_the_sweep(
    sweep: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for share, seeds in (("1/2", "1 4 5"), ("2/2", "2 3"), ("6/6", "")):
        assert sweep("hardware.jobs=1", "seed=1,2,3,4,5", f"share={share}") == 0
        done = sorted(path.name for path in (tmp_path / "out").glob("done-*"))
        assert done == [f"done-{seed}" for seed in seeds.split()]
        assert f"{len(done)} runs, 0 failed" in capsys.readouterr().out
        for name in done:
            (tmp_path / "out" / name).unlink()


@pytest.mark.parametrize("share", ["0/3", "4/3", "half", "1/0", "1/3/5"])
def test_a_share_that_is_none_is_refused(
    share: str, sweep: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("seed=1,2", f"share={share}") == 2
    assert capsys.readouterr().err == (
        f"tsdistill: share={share} should be a share of how many, such as 1/20, ..., 20/20\n"
    )


def test_a_share_is_of_a_sweep_and_a_single_one(
    sweep: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("seed=1,2", "share=1/2,2/2") == 2
    assert capsys.readouterr().err == (
        "tsdistill: share=1/2,2/2: a command runs one share; start one for each\n"
    )
    assert cli.run("distill", ["dataset.name=A", "hardware=cpu", "share=1/2"]) == 2
    assert capsys.readouterr().err == (
        "tsdistill: share=1/2: a single run has no shares; -m sweeps over several\n"
    )


@pytest.mark.parametrize("count", [2, 3, 4, 6, 12])
def test_shares_are_disjoint_equal_and_mixed(count: int) -> None:
    jobs = list(product("abc", "uvwxyz", range(4)))  # the last setting varies fastest, as in a sweep
    shares = [share_of(jobs, f"{which}/{count}") for which in range(1, count + 1)]
    assert sorted(job for share in shares for job in share) == jobs
    for share in shares:
        assert len(share) == len(jobs) // count
        assert all(len({job[at] for job in share}) > 1 for at in range(3))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["retry=1", "fail=fast"], "fail=fast and retry: for the built-in launcher only"),
        (["retry=1"], "retry: for the built-in launcher only"),
        ([], ""),
    ],
)
def test_another_launcher_says_what_it_ignores(
    words: list[str], told: str, sweep: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("hydra/launcher=basic", "seed=1,2", *words) == 0
    said = capsys.readouterr().out
    assert said.count("for the built-in launcher only; BasicLauncher goes on without") == bool(told)
    assert told in said


def test_records_are_the_bits_of_a_serial_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.chdir(tmp_path)
    words = ("-m", *TINY, "method=none,tsd", "dataset.name=UnitTest", "seed=1,2")
    assert cli.run("distill", (*words, "out=two", "retry=1", f"hardware.jobs={PROCESSES}")) == 0
    assert cli.run("distill", (*words, "out=one", "hardware.jobs=1")) == 0
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert len(one) > 4 * 5 and one == two


PASSING = ("timing.json", "environment.json", "config.yaml", "manifest.json")
"""Files of a record that tell of its sweep; what a run takes from its config stands in ``facts.json`` too."""


def digests(out: Path) -> dict[str, str]:
    """Of all that is stored, but for times and where and how many at a time it was made."""
    kept = [path for kind in ("runs", "teachers", "pools") for path in (out / kind).rglob("*")]
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in kept
        if path.is_file() and path.name not in PASSING
    }

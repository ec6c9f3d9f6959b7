"""What has become of the runs of a sweep: the same as what the sweep itself would find, from keys alone."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from held import held

from tsdistill import cli
from tsdistill.runs import status
from tsdistill.runs.state import State
from tsdistill.store import locks

TINY = (
    *("dataset.name=UnitTest", "dataset.download=false", "data_root=null", "hardware=cpu"),
    *("teacher=fcn_8", "teacher.training.epochs=1", "teacher.seeds=[0,1]"),
    *("student=lstm_8", "training.epochs=1", "saliency.window=5"),
)
SWEEP = ("-m", *TINY, "method=none,tsd", "seed=1,2")


@pytest.fixture(scope="module")
def out(make: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which seed 1 of both methods is done, beside two teachers, the better of which counts."""
    folder = tmp_path_factory.mktemp("states") / "out"
    make("distill", "-m", *TINY, "method=none,tsd", "seed=1", f"out={folder}")
    return folder


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch, surroundings: None) -> Callable[..., list[State]]:
    """Asks for the state of a sweep by its words."""
    found: list[State] = []
    monkeypatch.setattr(status, "_show", found.extend)

    def ask(*words: str) -> list[State]:
        found.clear()
        assert cli.run("status", words) == 0
        return list(found)

    return ask


def short(states: list[State]) -> list[tuple[str, int, str]]:
    return [(state.method, state.seed, state.what) for state in states]


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_done_and_missing_runs_are_told_apart_and_nothing_is_touched(
    states: Callable[..., list[State]], out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(out)
    found = states(*SWEEP, f"out={out}")
    assert short(found) == [
        ("none", 1, "done"),
        ("none", 2, "missing"),
        ("tsd", 1, "done"),
        ("tsd", 2, "missing"),
    ]
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and said[0].startswith("4 runs: 2 done, 2 missing; about ")
    assert files(out) == before
    # a setting that is in no record: all is missing, whatever the seed
    assert {state.what for state in states(*SWEEP, f"out={out}", "training.lr=0.5")} == {"missing"}


def test_a_set_that_is_named_by_its_file_has_that_name(
    states: Callable[..., list[State]], tmp_path: Path
) -> None:
    for name in ("mine", "test"):
        lines = [f"{i % 2},{i},{i % 3},{-i}" for i in range(8)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["label,a,b,c", *lines]))
    data = (f"dataset.train={tmp_path}/mine.csv", f"dataset.test={tmp_path}/test.csv", "dataset.label=label")
    tiny = [word for word in TINY if not word.startswith("dataset.") and not word.startswith("saliency")]
    found = states("-m", *tiny, "dataset=csv", *data, "method=none", "seed=1,2", f"out={tmp_path}/out")
    assert [(state.dataset, state.what) for state in found] == [("mine", "missing")] * 2


class All:
    """Holds any name."""

    def __contains__(self, name: object) -> bool:
        return True


def test_a_run_whose_lock_is_held_is_running_and_unknown_without_locks(
    states: Callable[..., list[State]], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        looked: list[Path] = []
        patch.setattr("tsdistill.runs.states._locks", lambda out: All())
        patch.setattr("tsdistill.runs.states.holder", lambda folder: looked.append(folder))
        states(*SWEEP, f"out={out}", "method=tsd", "seed=2")
    (folder,) = looked
    with held(folder):
        found = states(*SWEEP, f"out={out}")
        assert short(found)[2:] == [("tsd", 1, "done"), ("tsd", 2, "running")]
        assert found[3].holder is not None and found[3].holder.since is not None

        def lacking(path: Path) -> object:
            raise NotImplementedError

        monkeypatch.setattr(locks, "lock_at", lacking)
        assert short(states(*SWEEP, f"out={out}"))[3] == ("tsd", 2, "unknown")


def test_a_failed_run_says_why(
    states: Callable[..., list[State]], out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = (*SWEEP, f"out={out}", "saliency.window=999", "seed=1,3")
    assert cli.run("distill", wrong) == 1
    capsys.readouterr()
    found = states(*wrong)
    assert [state.what for state in found] == ["done", "done", "failed", "failed"]
    assert "saliency.window=999" in str(found[2].why)
    said = capsys.readouterr().out
    assert said.count("and 1 more: ") == 1  # one reason, two runs


def test_a_packed_run_is_done(states: Callable[..., list[State]], out: Path, tmp_path: Path) -> None:
    packed = shutil.copytree(out, tmp_path / "packed")
    assert cli.run("pack", [f"out={packed}"]) == 0
    assert not list(packed.glob("runs/*/*/manifest.json"))
    assert short(states(*SWEEP, f"out={packed}")) == short(states(*SWEEP, f"out={out}"))


def test_without_words_all_that_is_stored(
    out: Path, surroundings: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("status", [f"out={out}"]) == 0
    said = capsys.readouterr().out
    assert "UnitTest" in said and "tsd" in said and "done" in said

"""``tsdistill status train-teacher``: what has become of the teachers of a sweep."""

from collections.abc import Callable
from pathlib import Path

import pytest
from held import held

from tsdistill import cli
from tsdistill.runs import status
from tsdistill.runs.teacher_states import TeacherState

TINY = (
    *("dataset.name=UnitTest", "dataset.download=false", "data_root=null", "hardware=cpu"),
    *("saliency.window=5", "teacher.training.epochs=1", "teacher.seeds=[0,1]"),
)
SWEEP = ("-m", *TINY, "teacher=fcn_8,lstm_8")
pytestmark = pytest.mark.usefixtures("surroundings")


@pytest.fixture(scope="module")
def out(make: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one teacher, of two seeds, is done."""
    folder = tmp_path_factory.mktemp("states") / "out"
    make("train-teacher", *TINY, "teacher=fcn_8", f"out={folder}")
    return folder


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[TeacherState]]:
    """Asks for the state of a sweep by its words."""
    found: list[TeacherState] = []
    monkeypatch.setattr(status, "_show", lambda states, kind: found.extend(states))

    def ask(*words: str) -> list[TeacherState]:
        found.clear()
        assert cli.run("status", ("train-teacher", *words)) == 0
        return list(found)

    return ask


def short(states: list[TeacherState]) -> list[tuple[str, str, str]]:
    return [(state.teacher, state.what, state.making) for state in states]


def stored(out: Path) -> dict[Path, bytes]:
    files = [path for kind in ("teachers", "pools", "maps") for path in (out / kind).rglob("*.*")]
    return {path: path.read_bytes() for path in files}


def test_done_missing_and_running_teachers_are_told_apart_and_nothing_is_made(
    states, out, monkeypatch, capsys
):
    before = stored(out)
    words = (*SWEEP, f"out={out}")
    assert short(states(*words)) == [("fcn_8", "done", ""), ("lstm_8", "missing", "")]
    assert capsys.readouterr().out == "2 teachers: 1 done, 1 missing\n"
    looked: list[Path] = []
    with monkeypatch.context() as patch:
        patch.setattr("tsdistill.runs.teacher_states.holder", looked.append)
        states(*words)
    second = looked[1]  # of the seed 1 of the missing one
    with held(second):
        found = states(*words)
    assert short(found) == [("fcn_8", "done", ""), ("lstm_8", "running", "seed 1")]
    assert "running: UnitTest teacher lstm_8 seed 1 on " in capsys.readouterr().out
    [pool] = (out / "pools" / "UnitTest").iterdir()
    aside = pool.rename(out / "aside")
    try:
        assert short(states(*words))[0] == ("fcn_8", "missing", "")
        with held(pool):
            found = states(*words)
        assert short(found)[0] == ("fcn_8", "running", "pool")
    finally:
        aside.rename(pool)
    assert stored(out) == before


def test_a_teacher_that_failed_says_why_until_it_is_done(states, tmp_path, capsys):
    words = (*SWEEP, f"out={tmp_path}/out", "saliency.window=999")
    assert cli.run("train-teacher", words) == 1
    capsys.readouterr()
    found = states(*words, "hardware.threads=2")  # which bears on no teacher
    assert [state.what for state in found] == ["failed", "failed"]
    assert "saliency.window=999" in str(found[0].why)
    said = capsys.readouterr().out
    assert "failed: UnitTest teacher fcn_8 and 1 more: saliency.window=999" in said
    assert "2 teachers: 2 failed" in said
    found = states(*words[:-1])
    assert [state.what for state in found] == ["missing", "missing"]


def test_what_cannot_be_read_is_missing_with_the_reason(states, tmp_path, capsys):
    found = states("-m", *TINY, "dataset.name=UnitTest,Nowhere", "teacher=fcn_8", f"out={tmp_path}/out")
    assert [(state.dataset, state.what) for state in found] == [
        ("UnitTest", "missing"),
        ("Nowhere", "missing"),
    ]
    assert found[0].why is None and "Nowhere" in str(found[1].why)


def test_without_words_teachers_under_way_are_told(out, capsys):
    with held(out / "teachers" / "UnitTest" / "abc"):
        assert cli.run("status", [f"out={out}"]) == 0
    assert "running: teacher abc on " in capsys.readouterr().out

"""``tsdistill clean``: what it lists, removes, and leaves alone."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tsdistill import cli
from tsdistill.config import code
from tsdistill.runs import spec
from tsdistill.store.inventory import STALE_SECONDS
from tsdistill.store.listing import iter_results
from tsdistill.store.locks import locked
from tsdistill.store.manifest import seal

TINY = (
    *("dataset.name=UnitTest", "dataset.download=false", "data_root=null", "hardware=cpu"),
    *("teacher=fcn_8", "teacher.training.epochs=1", "saliency.window=0.2", "saliency.perturbations=4"),
)
STUDENT = ("student=lstm_8", "training.epochs=1")
WHOLE = {"teachers": 1, "pools": 1, "maps": 1, "runs": 3}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher, its pool, its maps, and three students."""
    out = tmp_path_factory.mktemp("clean") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [])
        patch.chdir(out.parent)
        assert cli.run("train-teacher", (*TINY, f"out={out}")) == 0
        for method in ("kd", "tsd", "none"):
            assert cli.run("distill", (*TINY, *STUDENT, f"method={method}", f"out={out}")) == 0
    torch.use_deterministic_algorithms(False)
    return out


@pytest.fixture
def out(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [])
    return Path(shutil.copytree(stored, tmp_path / "out"))


def edit(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Let a module's digest be another, as after an edit."""

    def behind(targets: Sequence[str]) -> dict[str, str]:
        found = code.code_behind(targets)
        return {name: "edited" if name == module else digest for name, digest in found.items()}

    monkeypatch.setattr(spec, "code_behind", behind)


def told(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    capsys.readouterr()
    assert cli.run("clean", words) == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


def files(folder: Path) -> dict[str, bytes]:
    derived = {".lock", ".sqlite"}
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in derived)
    return {str(path): path.read_bytes() for path in found}


def counts(out: Path) -> dict[str, int]:
    return {kind: sum(1 for _ in (out / kind).glob("*/*")) for kind in WHOLE}


def methods(out: Path) -> set[str]:
    return {result["method"] for result in iter_results(out)}


def record_of(out: Path, method: str) -> Path:
    [found] = [result for result in iter_results(out) if result["method"] == method]
    return out / "runs" / "UnitTest" / str(found["id"])


def test_what_is_current_stays(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert counts(out) == WHOLE
    assert "0 removed, 0 bytes freed" in told(capsys, f"out={out}", "apply=true")
    assert counts(out) == WHOLE


def test_a_dry_run_lists_and_removes_nothing(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(monkeypatch, "tsdistill.methods.kd")
    before = files(out)
    lines = told(capsys, f"out={out}").splitlines()
    size = sum(path.stat().st_size for path in record_of(out, "kd").iterdir())
    assert lines[0].endswith(f"the code of tsdistill.methods.kd was edited, {size:,} bytes")
    assert lines[1].startswith(f"1 unreachable, {size:,} bytes; 5 kept")
    assert lines[2:] == ["nothing was removed; add apply=true to remove them"]
    assert files(out) == before


def test_after_an_edited_loss_only_its_record_goes(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(monkeypatch, "tsdistill.methods.kd")
    size = sum(path.stat().st_size for path in record_of(out, "kd").iterdir())
    assert f"1 removed, {size:,} bytes freed" in told(capsys, f"out={out}", "apply=true")
    assert counts(out) == {**WHOLE, "runs": 2} and methods(out) == {"tsd", "none"}


def test_an_edited_teacher_takes_its_students_pool_and_maps_along(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(monkeypatch, "tsdistill.models.convolution")
    shutil.rmtree(record_of(out, "none"))
    listed = told(capsys, f"out={out}", "apply=true")
    assert "the code of tsdistill.models.convolution was edited" in listed and "5 removed" in listed
    assert set(counts(out).values()) == {0}


def test_a_plain_student_that_is_current_keeps_the_teacher_beside_it(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(monkeypatch, "tsdistill.models.convolution")
    told(capsys, f"out={out}", "apply=true")
    assert methods(out) == {"none"} and counts(out)["teachers"] == 1


def test_edited_draws_take_the_pool_its_maps_and_its_students(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(monkeypatch, "tsdistill.saliency.pools")
    told(capsys, f"out={out}", "apply=true")
    assert counts(out) == {"teachers": 1, "pools": 0, "maps": 0, "runs": 2}
    assert methods(out) == {"kd", "none"}


def test_a_filter_says_what_may_go(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(monkeypatch, "tsdistill.methods.kd")
    assert "0 removed" in told(capsys, f"out={out}", "where=method=tsd", "apply=true")
    assert "0 removed" in told(capsys, f"out={out}", "method=tsd", "apply=true")
    assert "did you mean 'method'" in told(capsys, f"out={out}", "where=methd=tsd", status=2)
    assert "1 removed" in told(capsys, f"out={out}", "where=method=kd and seed=0", "apply=true")


def test_what_is_locked_stays(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(monkeypatch, "tsdistill.methods.kd")
    record = record_of(out, "kd")
    with locked(record):
        assert "another process uses it now" in told(capsys, f"out={out}", "apply=true")
    assert record.is_dir()
    assert "1 removed" in told(capsys, f"out={out}", "apply=true") and not record.exists()


def test_strangers_and_links_stay_and_are_named(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(monkeypatch, "tsdistill.methods.kd")
    record, link = record_of(out, "kd"), out / "runs/UnitTest/0123456789abcdef"
    outside = Path(shutil.copytree(record, tmp_path / "outside/UnitTest/x")).parents[1]
    link.symlink_to(outside / "UnitTest/x")
    (out / "runs/Linked").symlink_to(outside / "UnitTest")
    (out / "runs/UnitTest/notes.txt").write_text("mine")
    (record / "thesis.tex").write_text("mine too")
    before = files(tmp_path)
    listed = told(capsys, f"out={out}", "apply=true")
    for name in (link.name, "Linked", "notes.txt", record.name):
        assert f"{name}: not made by tsdistill" in listed
    assert files(tmp_path) == before and link.is_symlink() and (out / "runs/Linked").is_symlink()


def test_what_cannot_be_judged_stays_with_its_teacher(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(monkeypatch, "tsdistill.models.convolution")
    shutil.rmtree(record_of(out, "none"))
    config = record_of(out, "kd") / "config.yaml"
    config.write_text(config.read_text().replace("tsdistill.methods.kd.", "gone.terms."))
    seal(config.parent)
    listed = told(capsys, f"out={out}", "apply=true")
    assert "cannot import gone" in listed
    assert methods(out) == {"kd"} and counts(out)["teachers"] == 1


def test_older_records_and_leftovers_go(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in out.glob("runs/*/*/result.json"):
        path.write_text(path.read_text().replace('"schema": 2', '"schema": 1'))
    teacher = next(out.glob("teachers/*/*"))
    teacher.with_name(f"{teacher.name}.broken-1").mkdir()
    scratch = out / "code" / ".code-abc"
    scratch.write_text("{}")
    os.utime(scratch, times=(scratch.stat().st_mtime - 2 * STALE_SECONDS,) * 2)
    listed = told(capsys, f"out={out}")
    assert listed.count("an older version of tsdistill made it") == 3 and "5 unreachable" in listed
    told(capsys, f"out={out}", "apply=true")
    assert counts(out) == {**WHOLE, "runs": 0} and not scratch.exists()


def test_a_folder_that_is_not_there_is_refused(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no such folder" in told(capsys, f"out={out}/none", status=2)

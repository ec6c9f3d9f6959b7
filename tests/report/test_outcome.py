"""A report whose records, options, program and files are what they were is not made again."""

import io
import os

import pytest
from rich.console import Console

from tsdistill.cli import run
from tsdistill.report import write as write_module
from tsdistill.report import write_report
from tsdistill.report.cells import Cell, Table
from tsdistill.report.options import Options
from tsdistill.report.outcome import tables_of, told_tables
from tsdistill.store import outcomes, scan
from tsdistill.store.index import NAME
from tsdistill.store.listing import list_runs
from tsdistill.store.manifest import seal

OPTIONS = Options(figures=False)


@pytest.fixture
def made(monkeypatch):
    """How many reports were made rather than remembered."""
    found, make = [], write_module._made
    monkeypatch.setattr(write_module, "_made", lambda *args: found.append(args) or make(*args))
    return found


@pytest.fixture
def out(record, failure, stored, monkeypatch):
    monkeypatch.setattr(scan, "YOUNGEST_SECONDS", -1.0)
    runs = [
        record(name, method, seed, ap=0.5 + seed / 9)
        for name in ("A", "B")
        for method in ("none", "kd", "tsd")
        for seed in (1, 2)
    ]
    return stored([*runs, failure("B", "tsd", 3)])


def printed(out, options=OPTIONS, width=100):
    console = Console(file=io.StringIO(), width=width)
    result = write_report(out, options, console=console)
    return console.file.getvalue(), result


def test_the_second_report_is_the_first_one_again(out, made):
    text, first = printed(out)
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in first.files}
    again, second = printed(out)
    assert len(made) == 1
    assert again == text and second == first
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in second.files} == before
    narrow, _ = printed(out, width=50)
    assert len(made) == 1 and narrow != text


def test_without_the_index_it_is_made_again_with_the_same_bytes(out, made):
    text, first = printed(out)
    before = {path: path.read_bytes() for path in first.files}
    (out / NAME).unlink()
    again, second = printed(out)
    assert len(made) == 2 and again == text and second == first
    assert {path: path.read_bytes() for path in second.files} == before


def _one_record(out):
    return next(path for path in sorted((out / "runs" / "A").iterdir()) if path.is_dir())


def _flip(path):
    status, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("name", ["result.json", "timing.json", "environment.json", "manifest.json"])
def test_a_changed_byte_of_a_record_is_noticed(out, made, name):
    printed(out)
    _flip(_one_record(out) / name)
    text, result = printed(out)
    assert len(made) == 2 and result.runs == 11
    assert "Damaged records left out: 1" in " ".join(text.split())
    printed(out)
    assert len(made) == 3  # what is damaged is looked at every time


def test_a_record_that_was_made_anew_is_noticed(out, made):
    printed(out)
    folder = _one_record(out)
    (folder / "timing.json").write_text('{"train_seconds": 2.5}')
    seal(folder)
    printed(out)
    assert len(made) == 2


@pytest.mark.parametrize("what", ["note", "new note", "gone", "aside"])
def test_what_else_lies_beside_the_records_is_noticed(out, made, what, failure, stored):
    printed(out)
    [note] = (out / "runs" / "B").glob("*.failed.json")
    if what == "note":
        stored([failure("B", "tsd", 3, error="another reason")])
    elif what == "new note":
        stored([failure("B", "tsd", 4)])
    elif what == "gone":
        note.unlink()
    else:
        folder = _one_record(out)
        folder.rename(folder.with_name(f"{folder.name}.broken-1"))
    printed(out)
    assert len(made) == 2


@pytest.mark.parametrize(
    "name", ["runs.csv", "report.html", "made_from.json", "tables/summary-fcn-lstm_8.tex"]
)
def test_a_changed_byte_of_a_written_file_is_noticed_and_mended(out, made, name):
    _, first = printed(out)
    before = (first.folder / name).read_bytes()
    _flip(first.folder / name)
    printed(out)
    assert len(made) == 2 and (first.folder / name).read_bytes() == before
    (first.folder / name).unlink()
    printed(out)
    assert len(made) == 3 and (first.folder / name).read_bytes() == before


def test_a_strangers_table_in_the_folder_goes_as_it_would_with_a_new_report(out, made):
    _, first = printed(out)
    (first.folder / "tables" / "mine.tex").write_text("x")
    printed(out)
    assert len(made) == 2 and not (first.folder / "tables" / "mine.tex").exists()


@pytest.mark.parametrize(
    "options",
    [
        Options(figures=False, decimals=2),
        Options(figures=False, metrics=("accuracy",)),
        Options(figures=False, where="seed=1"),
        Options(figures=False, filters={"method": "kd,tsd"}),
        Options(figures=False, labels={"kd": "KD"}),
    ],
)
def test_another_option_is_another_report(out, made, options):
    printed(out)
    text, _ = printed(out, options)
    assert len(made) == 2
    assert printed(out, options)[0] == text and len(made) == 2


def test_changed_published_numbers_are_noticed(out, made, tmp_path):
    path = tmp_path / "published.csv"
    path.write_text("dataset,name,metric,value,protocol\nA,theirs,average_precision,0.5,other\n")
    options = Options(figures=False, published=str(path))
    printed(out, options)
    path.write_text("dataset,name,metric,value,protocol\nA,theirs,average_precision,0.6,other\n")
    assert ".600" in printed(out, options)[0] and len(made) == 2


def test_another_program_makes_it_again(out, made, monkeypatch):
    printed(out)
    monkeypatch.setattr(outcomes, "_program", lambda: "edited")
    printed(out)
    assert len(made) == 2


def test_a_changed_source_is_another_program(tmp_path, monkeypatch):
    package = tmp_path / "tsdistill"
    (package / "conf").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(outcomes.tsdistill, "__file__", str(package / "__init__.py"))
    found = []
    for text in ("a = 1", "a = 2"):
        (package / "conf" / "x.yaml").write_text(text)
        outcomes._program.cache_clear()
        found.append(outcomes._program())
    outcomes._program.cache_clear()
    assert found[0] != found[1]


def test_young_records_are_reported_and_nothing_is_remembered(record, stored, made):
    out = stored([record("A", method) for method in ("none", "kd")])
    assert printed(out)[0] == printed(out)[0] and len(made) == 2


def test_tables_come_back_as_they_were():
    cell = Cell("x", 0.1 + 0.2, float("nan"), ("partial",), 1, 2, False)
    table = Table(
        "key", "title", ("a", "b"), [[Cell("r"), cell]], [[Cell("f"), Cell(mean=3, digits=0)]], ("n",)
    )
    told = told_tables([table])
    assert told is not None and repr(tables_of(told)) == repr([table])


@pytest.mark.parametrize(("command", "words"), [("runs", ()), ("status", ()), ("runs", ("where=seed=1",))])
def test_a_listing_is_printed_again_until_a_byte_changes(out, capsys, caplog, monkeypatch, command, words):
    told, listed = [], []
    module = "tsdistill.commands.runs" if command == "runs" else "tsdistill.runs.status"
    monkeypatch.setattr(f"{module}.list_runs", lambda *args: listed.append(args) or list_runs(*args))
    for _ in range(2):
        assert run(command, (f"out={out}", *words)) == 0
        told.append(capsys.readouterr())
    assert len(listed) == 1 and told[0] == told[1] and told[0].out
    _flip(_one_record(out) / "timing.json")
    assert run(command, (f"out={out}", *words)) == 0
    assert len(listed) == 2 and "is left out" in caplog.text

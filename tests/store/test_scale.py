"""What is remembered of verified records, and what a listing of many of them takes from other processes."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tsdistill.store import listing as listing_module
from tsdistill.store import processes, scan
from tsdistill.store.columns import decode, encode
from tsdistill.store.index import NAME, Index
from tsdistill.store.listing import list_runs, mark_of_runs
from tsdistill.store.manifest import seal
from tsdistill.store.packing import pack
from tsdistill.store.records import run_folder
from tsdistill.store.scan import Known, Verified

RESULT: dict[str, Any] = {
    "schema": 2,
    "status": "ok",
    "method": "kd",
    "teacher": "fcn",
    "student": "lstm_8",
    "seed": 1,
    "trial": 0,
    "settings": {"method.lam": 1.0, "training.layers": [8, 16]},
    "teacher_id": "cd34",
    "flags": [],
    "test": {"accuracy": 0.75},
    "teacher_test": {"accuracy": 0.9},
    "validation": None,
    "teacher_validation": None,
    "cost": {"parameters": 370},
    "training": {"epochs": 3},
}


def store(out: Path, run_id: str, dataset: str = "A", accuracy: float | None = 0.75) -> Path:
    folder = run_folder(out, dataset, run_id)
    folder.mkdir(parents=True)
    result = {**RESULT, "id": run_id, "dataset": dataset, "test": {"accuracy": accuracy}}
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "timing.json").write_text('{"train_seconds": 1.5}')
    (folder / "environment.json").write_text('{"python": "3.11"}')
    (folder / "weights.safetensors").write_bytes(b"weights")
    seal(folder)
    return folder


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four records of two data sets, each old enough to be told from a later one."""
    monkeypatch.setattr(scan, "YOUNGEST_SECONDS", -1.0)
    for number in range(4):
        store(tmp_path, f"run{number}", "AB"[number % 2], number / 7)
    return tmp_path


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the records that are read and hashed."""
    found: list[str] = []
    hold = scan.hold

    def noted(record: Any, wanted: Any) -> Any:
        found.append(record.path.name)
        return hold(record, wanted)

    monkeypatch.setattr(scan, "hold", noted)
    return found


@pytest.mark.parametrize(
    "values",
    [
        [0.0, -0.0, 0.0, -0.0],
        [1, True, 1.0, None],
        [math.nan, 1e-320, 0.1 + 0.2, math.inf],
        ["a", "a", "a", "a"],
        [[1, 2.0], [1.0, 2], {"x": None}, {}],
        [2**80, -1, "\ud800", ""],
    ],
)
def test_columns_give_back_what_was_put_in_bit_for_bit(values: list[Any]) -> None:
    results = [{"id": n, "test": {"x": value, "y": 0.5}, "none": None} for n, value in enumerate(values)]
    results[2] = {"none": None, **results[2], "more": {"z": 1}}
    found = decode(encode(results)).rows()
    assert [repr(row) for row in found] == [repr(result) for result in results]
    assert [list(row) for row in found] == [list(result) for result in results]


def test_numbers_of_another_processor_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode([{"x": 0.5}])
    monkeypatch.setattr(sys, "byteorder", "middle")
    with pytest.raises(ValueError, match="another processor"):
        decode(content)


def test_records_share_settings_that_are_alike() -> None:
    one, other, third = decode(
        encode([{"settings": {"a": 1.5, "b": name}, "n": n} for n, name in enumerate("xxy")])
    ).rows()
    assert one["settings"] is other["settings"] and third["settings"] == {"a": 1.5, "b": "y"}


def test_without_the_index_the_same_is_listed(out: Path, held: list[str]) -> None:
    first = list_runs(out)
    assert len(held) == 4
    again = list_runs(out)
    assert len(held) == 4 and repr(again) == repr(first) and again.mark == first.mark != ""
    (out / NAME).unlink()
    assert repr(list_runs(out)) == repr(first) and len(held) == 8


def test_listing_one_data_set_forgets_nothing_of_the_others(out: Path, held: list[str]) -> None:
    list_runs(out)
    list_runs(out, "A")
    held.clear()
    assert len(list_runs(out).results) == 4 and held == []


def test_a_record_that_is_added_or_removed_leaves_the_rest_of_the_index(out: Path, held: list[str]) -> None:
    list_runs(out)
    held.clear()
    store(out, "run4", "A")
    for path in run_folder(out, "A", "run0").iterdir():
        path.unlink()
    run_folder(out, "A", "run0").rmdir()
    assert [row["id"] for row in list_runs(out).results] == ["run2", "run4", "run1", "run3"]
    assert held == ["run4"]
    assert [row["id"] for row in list_runs(out).results] == ["run2", "run4", "run1", "run3"]
    assert held == ["run4"]


@pytest.mark.parametrize("name", ["result.json", "weights.safetensors", "manifest.json"])
def test_every_file_of_a_record_counts(out: Path, name: str) -> None:
    before = list_runs(out).mark
    path = run_folder(out, "A", "run0") / name
    content, status = path.read_bytes(), path.stat()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert mark_of_runs(out) != before
    listing = list_runs(out)
    assert [each.name for each in listing.damaged] == ["A/run0"] and listing.mark == ""
    assert len(listing.results) == 3


def test_packed_records_are_not_read_again(
    out: Path, held: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(out / "runs" / "A")
    first = list_runs(out)
    held.clear()
    monkeypatch.setattr(scan, "read_pack", lambda path: pytest.fail("the pack's directory was read again"))
    again = list_runs(out)
    assert repr(again) == repr(first) and held == [] and again.mark == first.mark != ""


def test_a_part_of_the_index_that_is_not_whole_is_verified_again(out: Path, held: list[str]) -> None:
    first = list_runs(out)
    with Index(out) as index:
        [known] = index.known("A")
        part = index.part("A", known.number)
        assert part is not None
        broken = Verified(part.names, part.stamps, part.digests, part.content[:-9])
        index.replace("A", [known.number], [broken])
    held.clear()
    assert repr(list_runs(out)) == repr(first) and held == ["run0", "run2"]
    held.clear()
    assert repr(list_runs(out)) == repr(first) and held == []


def test_small_parts_of_the_index_become_one(out: Path) -> None:
    for number in range(4, 8):
        store(out, f"run{number}")
        list_runs(out)
    with Index(out) as index:
        [known] = index.known("A")
    assert sorted(known.names) == ["run0", "run2", "run4", "run5", "run6", "run7"]


@pytest.fixture
def in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "ALONE", {"scan": 0, "mark": 0})
    monkeypatch.setattr(listing_module, "free_cores", lambda: 2)


def test_processes_find_what_one_finds(out: Path, held: list[str], in_processes: None) -> None:
    (run_folder(out, "B", "run1") / "weights.safetensors").write_bytes(b"Weights")
    told = repr(list_runs(out))
    assert held == [] and "run1" in told and "has changed" in told
    (out / NAME).unlink(missing_ok=True)  # records this young are not remembered
    assert told == repr(_alone(out))


def _alone(out: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing_module, "ALONE", {"scan": 1000, "mark": 1000})
        return list_runs(out)


def test_marks_are_those_of_the_listing(out: Path, in_processes: None) -> None:
    mark = _alone(out).mark
    assert mark_of_runs(out) == mark != ""


@pytest.mark.parametrize("words", ["import os; os._exit(3)", "print('x' * 99)", "pass"])
def test_the_work_of_a_process_that_dies_is_done_here(
    out: Path, held: list[str], in_processes: None, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setattr(processes, "_START", words)
    assert len(list_runs(out).results) == 4 and len(held) == 4


def test_where_no_process_can_be_started_the_work_is_done_here(
    out: Path, held: list[str], in_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*words: object, **options: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refused)
    assert len(list_runs(out).results) == 4 and len(held) == 4


def test_a_process_imports_neither_torch_nor_pandas() -> None:
    words = (
        "import sys; import tsdistill.store.processes; print({'torch', 'pandas', 'hydra'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_what_is_known_holds_for_the_files_that_were_read(out: Path) -> None:
    found = scan.scan(out / "runs" / "A")
    [part] = found.verified
    known = Known(7, part.names, part.stamps)
    again = scan.scan(out / "runs" / "A", [known])
    assert again.kept == {7: [0, 1]} and again.verified == [] and again.mark == found.mark
    other = scan.scan(out / "runs" / "A", [Known(7, part.names, ["x", part.stamps[1]])])
    assert other.kept == {7: [1]} and [each.names for each in other.verified] == [("run0",)]


def test_young_files_are_listed_and_not_remembered(tmp_path: Path, held: list[str]) -> None:
    store(tmp_path, "run0")
    for _ in range(2):
        listing = list_runs(tmp_path)
        assert len(listing.results) == 1 and listing.mark == ""
    assert held == ["run0", "run0"]


def test_a_record_with_a_file_that_no_record_has_is_read_every_time(out: Path, held: list[str]) -> None:
    folder = run_folder(out, "A", "run0")
    (folder / "maps.safetensors").write_bytes(b"maps")
    seal(folder)
    for _ in range(2):
        assert list_runs(out).mark == ""
    assert held.count("run0") == 2 and held.count("run2") == 1


def test_a_damaged_pack_is_named_every_time(out: Path) -> None:
    pack(out / "runs" / "A")
    path = out / "runs" / "A" / "pack-0001.zip"
    path.write_bytes(path.read_bytes()[:-1])
    for _ in range(3):
        listing = list_runs(out)
        assert [each.name for each in listing.damaged] == ["A/pack-0001.zip"] and listing.mark == ""


def test_an_index_that_another_process_changed_meanwhile_is_not_used(
    out: Path, held: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = list_runs(out)
    answer = processes.answer

    def slow(question: processes.Question) -> scan.Scanned:
        found = answer(question)
        if question.dataset.name == "A" and question.known:
            with Index(out) as index:  # another listing puts other records under the same number
                [other] = [index.part("B", each.number) for each in index.known("B")]
                assert other is not None
                index.replace("A", [each.number for each in index.known("A")], [other])
        return found

    held.clear()
    monkeypatch.setattr(processes, "answer", slow)
    assert repr(list_runs(out)) == repr(first) and held == ["run0", "run2"]


def test_a_pack_that_is_a_link_to_nothing_is_named(out: Path) -> None:
    (out / "runs" / "A" / "pack-0001.zip").symlink_to(out / "nowhere")
    listing = list_runs(out)
    assert len(listing.results) == 4
    assert [(each.name, each.problem) for each in listing.damaged] == [
        ("A/pack-0001.zip", "it is a link to a file that is not there")
    ]

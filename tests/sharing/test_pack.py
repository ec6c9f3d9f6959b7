"""``tsdistill pack``: packed records are read like folders, verified like them, and never lost."""

import os
import random
import signal
import struct
import sys
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tsdistill import cli
from tsdistill.commands.pack import pack_all
from tsdistill.errors import DamagedError, TsdistillError
from tsdistill.runs.verify import verify
from tsdistill.store import packing
from tsdistill.store.contents import Folder
from tsdistill.store.listing import list_runs
from tsdistill.store.locks import locked
from tsdistill.store.lookup import contents_of
from tsdistill.store.packs import Packed, packs_in, read_pack
from tsdistill.store.records import read_run, run_names, write_failure
from tsdistill.store.temporary import is_temporary

LONG = bool(os.environ.get("TSDISTILL_LONG"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def figures(out: Path) -> list[tuple[str, float]]:
    return [(result["id"], result["test"]["accuracy"]) for result in list_runs(out).results]


@pytest.fixture
def out(write: Callable[..., Path], tmp_path: Path) -> Path:
    """Three whole records of one dataset and one of another."""
    for number, name in enumerate(("a1", "b2", "c3-t")):
        write(tmp_path / "out", name, accuracy=number / 4)
    write(tmp_path / "out", "d4", dataset="Coffee")
    return tmp_path / "out"


def test_packed_records_are_read_like_folders_and_come_back_bit_for_bit(out, capsys):
    before, listed = files(out / "runs"), list_runs(out)
    record = read_run(out, "GunPoint", "b2")
    assert cli.run("pack", (f"out={out}",)) == 0
    assert capsys.readouterr().out == (
        f"Coffee: 1 runs into 1 pack\nGunPoint: 3 runs into 1 pack\n4 runs packed under {out}\n"
    )
    assert sorted(files(out / "runs")) == ["Coffee/pack-0001.zip", "GunPoint/pack-0001.zip"]
    assert str(list_runs(out)) == str(listed)
    assert str(read_run(out, "GunPoint", "b2")) == str(record)
    assert run_names(out, "GunPoint") == ["a1", "b2", "c3-t"]
    assert cli.run("pack", (f"out={out}", "unpack=true")) == 0
    assert files(out / "runs") == before


def test_the_same_records_give_the_same_pack_which_any_program_can_unzip(out, tmp_path):
    before = files(out / "runs" / "GunPoint")
    packing.pack(out / "runs" / "GunPoint")
    [path] = (out / "runs" / "GunPoint").iterdir()
    content = path.read_bytes()
    with zipfile.ZipFile(path) as found:
        assert found.testzip() is None
        found.extractall(tmp_path / "unzipped")
    assert files(tmp_path / "unzipped") == before
    packing.unpack(out / "runs" / "GunPoint")
    packing.pack(out / "runs" / "GunPoint")
    assert path.read_bytes() == content


def test_what_finishes_or_changes_later_goes_before_the_pack_and_into_the_next(out, write):
    dataset = out / "runs" / "GunPoint"
    packing.pack(dataset)
    write(out, "b2", accuracy=0.9, replace=True)
    write(out, "e5", accuracy=0.8)
    now = [("d4", 0.75), ("a1", 0.0), ("b2", 0.9), ("c3-t", 0.5), ("e5", 0.8)]
    assert figures(out) == now
    moved = packing.pack(dataset)
    assert (moved.records, moved.files, moved.left) == (2, 1, {})
    assert [path.name for path in dataset.iterdir()] == ["pack-0002.zip"]
    assert figures(out) == now
    assert packing.pack(dataset).files == 0


def test_many_records_go_into_several_packs(out, monkeypatch):
    monkeypatch.setattr(packing, "MOST_RECORDS", 2)
    before = figures(out)
    assert packing.pack(out / "runs" / "GunPoint").files == 2
    assert figures(out) == before


def test_a_record_that_is_not_whole_stays_a_folder_and_is_named(out, capsys):
    path = out / "runs" / "GunPoint" / "a1" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    (out / "runs" / "GunPoint" / "b2" / "notes.txt").write_text("mine")
    assert cli.run("pack", (f"out={out}",)) == 1
    said = capsys.readouterr()
    assert "GunPoint/a1 stays as it is: weights.safetensors has changed since it was written" in said.out
    assert "GunPoint/b2 stays as it is: notes.txt is not a file of a record" in said.out
    assert said.err == f"2 runs packed under {out}; 2 stay as they are, see above\n"
    assert (out / "runs" / "GunPoint" / "b2" / "notes.txt").read_text() == "mine"


def test_a_run_that_another_process_holds_stays_a_folder(out, capsys):
    with locked(out / "runs" / "GunPoint" / "c3"):  # the key of its training
        pack_all(out)
    assert "GunPoint/c3-t stays a folder: another process uses it now" in capsys.readouterr().out
    assert (out / "runs" / "GunPoint" / "c3-t").is_dir() and len(figures(out)) == 4


def test_two_processes_do_not_pack_at_once(out):
    with (
        locked(out / "runs" / "GunPoint" / "pack"),
        pytest.raises(TsdistillError, match="another process packs or unpacks"),
    ):
        pack_all(out)


def test_every_flipped_byte_of_a_pack_is_noticed(out):
    dataset = out / "runs" / "GunPoint"
    right = {name: value for name, value in figures(out) if name != "d4"}
    packing.pack(dataset)
    path = dataset / "pack-0001.zip"
    content = path.read_bytes()
    positions = range(len(content)) if LONG else random.Random(0).sample(range(len(content)), 150)
    noticed = 0
    for position in positions:
        path.write_bytes(content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :])
        listing = list_runs(out, "GunPoint")
        found = {result["id"]: result["test"]["accuracy"] for result in listing.results}
        assert all(right.get(name) == value for name, value in found.items()), position
        noticed += len(listing.damaged) > 0
    assert noticed > len(positions) / 2  # the others are dates, checksums and the like, which nothing reads


def test_a_damaged_packed_record_is_left_out_and_trained_again_beside_the_pack(out, write, capsys, caplog):
    dataset = out / "runs" / "GunPoint"
    packing.pack(dataset)
    path = dataset / "pack-0001.zip"
    member = read_pack(path).records["b2"]["curve.csv"]
    content = bytearray(path.read_bytes())
    content[member.header_offset + 60] ^= 1
    path.write_bytes(bytes(content))
    [damaged] = list_runs(out).damaged
    assert (damaged.name, damaged.problem) == ("GunPoint/b2", "curve.csv has changed since it was written")
    assert read_run(out, "GunPoint", "b2") is None and "b2 in" in caplog.text
    assert cli.run("runs", (f"out={out}", "verify=true")) == 1
    assert "run again: tsdistill distill dataset.name=GunPoint" in capsys.readouterr().out
    with pytest.raises(DamagedError, match="2 runs unpacked"):  # the pack stays
        pack_all(out, unpack=True)
    assert path.exists() and (dataset / "a1").is_dir()
    write(out, "b2", accuracy=0.25)
    assert not list_runs(out).damaged and len(figures(out)) == 4
    pack_all(out)
    assert not list_runs(out).damaged and len(figures(out)) == 4


def zipped(path: Path, *members: tuple[str, bytes], **settings: int) -> None:
    with zipfile.ZipFile(path, "w", **settings) as file:
        for name, content in members:
            file.writestr(name, content)


def overlapping(path: Path) -> None:
    """Many members that are all the same bytes, as in a zip bomb."""
    zipped(path, *((f"{number}/curve.csv", b"x" * 1000) for number in range(50)))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    while content[at : at + 4] == b"PK\x01\x02":
        content[at + 42 : at + 46] = struct.pack("<L", 0)
        at += 46 + len(f"{0}/curve.csv") + (content[at + 28 : at + 30] != struct.pack("<H", 11))
    del content[1100 : content.index(b"PK\x01\x02")]
    start = content.index(b"PK\x01\x02")
    content[-6:-2] = struct.pack("<L", start)
    path.write_bytes(bytes(content))


def twice(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        zipped(path, ("a1/curve.csv", b"1"), ("a1/curve.csv", b"2"))


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "bytes, not 0"),
    "no zip": (lambda path: path.write_bytes(b"x" * 1000), "does not end like a pack"),
    "path": (lambda path: zipped(path, ("../../evil/result.json", b"x")), "no pack has"),
    "absolute": (lambda path: zipped(path, ("/etc/result.json", b"x")), "no pack has"),
    "stranger": (lambda path: zipped(path, ("a1/evil.py", b"x")), "no pack has"),
    "deep": (lambda path: zipped(path, ("a1/b/result.json", b"x")), "no pack has"),
    "bomb": (
        lambda path: zipped(path, ("a1/curve.csv", b"0" * 10**6), compression=zipfile.ZIP_DEFLATED),
        "compressed",
    ),
    "overlapping": (overlapping, "overlap"),
    "twice": (twice, "holds a1/curve.csv twice"),
    "comment": (lambda path: _commented(path), "does not end like a pack"),
    "prefix": (lambda path: _prefixed(path), "is not where a pack has it"),
    "sparse": (lambda path: _sparse(path), "a pack has 42 to"),
}


def _commented(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a1/curve.csv", b"1")
        file.comment = b"hello"


def _prefixed(path: Path) -> None:
    zipped(path, ("a1/curve.csv", b"1"))
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_pack_is_refused_named_and_moves_nothing(out, attack, capsys):
    make, said = HOSTILE[attack]
    path = out / "runs" / "GunPoint" / "pack-0007.zip"
    make(path)
    before = files(out / "runs" / "GunPoint") if attack != "sparse" else {}
    with pytest.raises(ValueError, match=said):
        read_pack(path)
    [damaged] = list_runs(out).damaged
    assert damaged.name == "GunPoint/pack-0007.zip" and said in damaged.problem
    assert len(figures(out)) == 4 and packs_in(path.parent) == []
    with pytest.raises(DamagedError):
        verify(out)
    assert f"runs/GunPoint/pack-0007.zip: {damaged.problem}" in capsys.readouterr().out
    if before:
        pack_all(out, unpack=True)
        assert files(out / "runs" / "GunPoint") == before


def test_a_packed_record_of_another_run_or_dataset_is_left_out(out):
    packing.pack(out / "runs" / "GunPoint")
    (out / "runs" / "Coffee" / "pack-0001.zip").write_bytes(
        (out / "runs" / "GunPoint" / "pack-0001.zip").read_bytes()
    )
    problems = [each.problem for each in list_runs(out).damaged]
    assert problems == ["result.json is that of data set 'GunPoint'"] * 3


def test_a_note_of_failure_is_told_until_the_packed_run_of_its_name_is_there(out, identity):
    write_failure(out, "GunPoint", "zz", {**identity, "error": "nan"})
    write_failure(out, "GunPoint", "a1", {**identity, "error": "nan"})
    packing.pack(out / "runs" / "GunPoint")
    assert [note["id"] for note in list_runs(out).failures] == ["zz"]
    assert not list_runs(out).damaged


STEPS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "open")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do something in a forked process that is killed before its n-th change; whether it was."""
    child = os.fork()
    if child == 0:
        left = step

        def hook(event: str, _: object) -> None:
            nonlocal left
            left -= event in STEPS
            if left < 0 and event in STEPS:  # os.kill is an event too
                os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            sys.addaudithook(hook)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


@pytest.mark.parametrize("way", ["pack", "pack again", "unpack"])
def test_a_kill_at_any_moment_loses_nothing_and_leaves_nothing(out, write, way):
    dataset = out / "runs" / "GunPoint"
    if way != "pack":
        packing.pack(dataset)
    if way == "pack again":
        write(out, "b2", accuracy=0.9, replace=True)
    work = packing.unpack if way == "unpack" else packing.pack
    right = figures(out)
    step, kills = 0, 0
    while killed_at(step, lambda: work(dataset)):
        kills += 1
        assert figures(out) == right and not list_runs(out).damaged, step
        step += 1 if LONG else 17
        if step % 2:  # from the beginning again, or on from what the killed one left
            packing.unpack(dataset)
            packing.pack(dataset) if way == "unpack" else None
    assert kills > 5 and figures(out) == right
    assert not any(is_temporary(path) for path in dataset.iterdir())
    assert isinstance(contents_of(dataset / "b2"), Folder if way == "unpack" else Packed)


def test_a_reader_sees_the_same_records_while_they_are_packed_and_unpacked(out):
    dataset, right = out / "runs" / "GunPoint", figures(out)
    child = os.fork()
    if child == 0:
        try:
            for _ in range(40 if LONG else 6):
                packing.pack(dataset)
                packing.unpack(dataset)
        finally:
            os._exit(0)
    looks = 0
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        assert figures(out) == right
        assert read_run(out, "GunPoint", "b2") is not None
        looks += 1
        time.sleep(0.001)
    assert looks > 3

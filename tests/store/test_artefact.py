import errno
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdistill.errors import TsdistillError
from tsdistill.store.artefact import is_leftover, place, read_artefact, replaced_whole, safe_name, staged
from tsdistill.store.contents import Contents, Folder
from tsdistill.store.listing import list_runs
from tsdistill.store.manifest import hold


def write(folder: Path, text: str, replace: bool = False) -> None:
    with staged(folder, replace) as new:
        (new / "a.txt").write_text(text)


def read(folder: Path) -> str | None:
    return read_artefact(folder, lambda found: found.text("a.txt"))


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "teachers" / "GunPoint" / "0123456789abcdef"


def listing(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir())


def test_what_is_written_is_read_back_with_a_manifest_of_hashes(folder):
    assert read(folder) is None
    write(folder, "content")
    assert read(folder) == "content"
    assert listing(folder) == ["a.txt", "manifest.json"]
    assert hashlib.sha256(b"content").hexdigest() in (folder / "manifest.json").read_text()


def test_first_writer_is_kept_unless_replacement_is_asked_for(folder):
    write(folder, "first")
    write(folder, "second")
    assert read(folder) == "first"
    write(folder, "third", replace=True)
    assert read(folder) == "third"
    assert listing(folder.parent) == [folder.name]


@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError, TsdistillError])
def test_any_exception_leaves_nothing(folder, problem):
    with pytest.raises(problem), staged(folder) as new:
        (new / "a.txt").write_text("half")
        raise problem
    assert listing(folder.parent) == []


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_full_disk_leaves_what_was_there_and_says_so_in_one_line(folder, monkeypatch, code, replace):
    write(folder, "before")
    other = folder.with_name("other")

    def fail(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    for target in (folder, other):
        with pytest.raises(TsdistillError) as caught:
            write(target, "after", replace)
        assert str(target) in str(caught.value) and os.strerror(code) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert listing(folder.parent) == [folder.name]
    assert read(folder) == "before"


def test_failing_rename_puts_the_old_one_back(folder, monkeypatch):
    write(folder, "before")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.startswith(".") and not self.name.endswith("-old"):
            raise OSError(errno.EIO, "broken disk")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(TsdistillError, match="broken disk"):
        write(folder, "after", replace=True)
    monkeypatch.undo()
    assert read(folder) == "before"
    assert listing(folder.parent) == [folder.name]


KILLED = """
import sys, time
from pathlib import Path
from tsdistill.store.artefact import staged
with staged(Path(sys.argv[1])) as new:
    (new / "a.txt").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_killed_writer_leaves_nothing_half_and_is_swept_up(folder):
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    write(folder.with_name("other"), "x")
    assert len(listing(folder.parent)) == 3  # the living writer's folder is let alone
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert read(folder) is None
    write(folder, "whole")
    assert read(folder) == "whole"
    assert listing(folder.parent) == [folder.name, "other"]


def test_an_old_folder_whose_writer_lives_is_let_alone(folder):
    """A day and an hour back: what a clock that runs ahead makes of a folder that is being written."""
    with staged(folder) as new:
        (new / "a.txt").write_text("half")
        os.utime(new, (time.time() - 25 * 3600,) * 2)
        write(folder.with_name("other"), "x")
        assert new.is_dir() and not is_leftover(new)
    assert read(folder) == "half" and listing(folder.parent) == [folder.name, "other"]


KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from tsdistill.store.artefact import staged
rename = Path.rename
def kill(self, target):
    if Path(target).name == "0123456789abcdef":
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.rename = kill
with staged(Path(sys.argv[1]), replace=True) as new:
    (new / "a.txt").write_text("after")
"""


def test_what_a_killed_writer_was_about_to_replace_is_put_back(folder):
    write(folder, "before")
    assert subprocess.run([sys.executable, "-c", KILLED_BETWEEN, str(folder)]).returncode == -signal.SIGKILL
    assert not folder.exists() and len(listing(folder.parent)) == 3
    write(folder.with_name("other"), "x")
    assert read(folder) == "before" and listing(folder.parent) == [folder.name, "other"]


KILLED_WITH_A_FILE = """
import os, signal, sys
from pathlib import Path
from tsdistill.store.artefact import replaced_whole
with replaced_whole(Path(sys.argv[1])) as new:
    new.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_single_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "made" / "maps.npz"
    for text in ("before", "after"):
        with replaced_whole(path) as new:
            new.write_text(text)
        assert path.read_text() == text and listing(path.parent) == [path.name]
    with pytest.raises(TsdistillError, match="free some space"), replaced_whole(path) as new:
        new.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == "after" and listing(path.parent) == [path.name]
    killed = subprocess.run([sys.executable, "-c", KILLED_WITH_A_FILE, str(path)])
    assert killed.returncode == -signal.SIGKILL and path.read_text() == "after"
    with replaced_whole(path.with_name("other")) as new:
        new.write_text("x")
    assert listing(path.parent) == [path.name, "other"]  # what was half-written is swept up


@pytest.mark.skipif(os.name == "nt", reason="no umask there")
def test_what_is_written_follows_the_umask(folder):
    before = os.umask(0o002)
    try:
        write(folder, "x")
        with staged(folder.with_name("other")) as new:
            [lock] = new.parent.glob(".*.lock")
            assert lock.stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o664}


WRITER = """
import sys
from pathlib import Path
from tsdistill.store.artefact import staged
for n in range(int(sys.argv[3])):
    with staged(Path(sys.argv[1]) / "runs" / "Set" / f"{sys.argv[2]}{n}") as new:
        for name in "abc":
            (new / name).write_text("x" * 1000)
"""


def unshared() -> list[str]:
    """What begins a command in a process namespace of its own."""
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody make a process namespace (unshare)")
    return unshare


def test_writers_in_two_process_namespaces_lose_nothing(tmp_path):
    """Two containers on one host: one host name, one folder, the same process ids."""
    words = [*unshared(), sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*words, mark, "60"]) for mark in "xy"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(listing(tmp_path / "runs" / "Set")) == 120
    assert all(hold(Folder(path)) for path in (tmp_path / "runs" / "Set").iterdir())


@pytest.mark.skipif(not os.environ.get("TSDISTILL_LONG"), reason="120 runs; set TSDISTILL_LONG=1")
def test_two_sweeps_in_two_process_namespaces_lose_no_run(tmp_path):
    words = [*unshared(), sys.executable, "-m", "tsdistill", "distill", "-m", "dataset.name=UnitTest"]
    words += ["dataset.download=false", "data_root=null", "hardware=cpu", "hardware.jobs=1", "teacher=fcn_8"]
    words += ["teacher.training.epochs=1", "student=lstm_8", "training.epochs=1", "method=kd", "out=out"]
    sweeps = [
        subprocess.Popen(
            [*words, f"seed={','.join(map(str, seeds))}"], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        for seeds in (range(60), range(60, 120))
    ]
    assert [sweep.wait() for sweep in sweeps] == [0, 0]
    found = list_runs(tmp_path / "out")
    assert sorted(run["seed"] for run in found.results) == list(range(120))
    assert not found.damaged and not found.failures
    assert len(list((tmp_path / "out" / "teachers" / "UnitTest").iterdir())) == 1
    assert not list((tmp_path / "out").rglob(".*tmp-*"))


RACER = """
import sys, time
from pathlib import Path
from tsdistill.store.artefact import staged
while time.time() < float(sys.argv[2]):
    pass
for n in range(50):
    with staged(Path(sys.argv[1]) / str(n), replace=sys.argv[4] == "replace") as new:
        for name in "abc":
            (new / name).write_text(sys.argv[3] * 10000)
"""


@pytest.mark.parametrize("mode", ["keep", "replace"])
def test_racing_writers_leave_one_whole_artefact(tmp_path, mode):
    start = str(time.time() + 1)
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), start, mark, mode]) for mark in "xyz"
    ]
    assert [racer.wait() for racer in racers] == [0, 0, 0]
    assert listing(tmp_path) == sorted(str(n) for n in range(50))
    for n in range(50):
        contents = read_artefact(tmp_path / str(n), lambda found: {found.text(name) for name in "abc"})
        assert contents is not None and len(contents) == 1  # all three files from one writer


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))


def test_every_flipped_byte_is_noticed_set_aside_and_said(folder, caplog):
    write(folder, "content")
    sizes = {name: (folder / name).stat().st_size for name in listing(folder)}
    number = 0
    for name, size in sizes.items():
        for position in range(size):
            number += 1
            flip(folder / name, position)
            with caplog.at_level(logging.WARNING, "tsdistill"):
                assert read(folder) is None, (name, position)
            assert not folder.exists()
            aside = folder.with_name(f"{folder.name}.broken-{number}")
            assert f"{aside.name}" in caplog.messages[-1] and str(folder) in caplog.messages[-1]
            flip(aside / name, position)
            assert read(aside) == "content"
            write(folder, "content")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "a.txt").unlink(), "a.txt"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "not a JSON object"),
        (
            lambda folder: (folder / "manifest.json").write_text('{"schema": 1, "files": []}'),
            "lists no files",
        ),
        (lambda folder: (folder / "manifest.json").write_text('{"schema": 99, "files": {}}'), "schema 99"),
        (
            lambda folder: (folder / "manifest.json").write_text('{"schema": 1, "files": {"../x": {}}}'),
            "outside the folder",
        ),
    ],
)
def test_missing_and_malformed_files_are_noticed(folder, caplog, damage, said):
    write(folder, "content")
    damage(folder)
    assert read(folder) is None
    assert said in caplog.text
    assert listing(folder.parent) == [f"{folder.name}.broken-1"]


def test_one_that_was_replaced_while_it_was_read_is_read_again(folder):
    write(folder, "old")
    seen = []

    def parse(found: Contents) -> str:
        seen.append(found.text("a.txt"))
        if len(seen) == 1:
            write(folder, "new", replace=True)
            raise ValueError("saw half of each")
        return seen[-1]

    assert read_artefact(folder, parse) == "new"
    assert listing(folder.parent) == [folder.name]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read and write everything")
def test_folder_without_permissions_is_named(folder):
    write(folder, "content")
    (folder / "a.txt").chmod(0)
    with pytest.raises(TsdistillError, match=r"cannot read .*Permission denied"):
        read(folder)
    assert folder.exists()


def test_output_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(TsdistillError, match=r"cannot write .*out/runs"):
        write(tmp_path / "out" / "runs" / "x" / "y", "content")


HOSTILE = [
    "../x",
    "/etc/passwd",
    ".",
    "..",
    ".hidden",
    "a/b",
    "a\\b",
    "nul\0byte",
    "x" * 5000,
    "a b\n",
    "é" * 300,
    "%2E",
]


@pytest.mark.parametrize("name", [*HOSTILE, "\ud800", "CON:", "trailing."])
def test_hostile_names_stay_one_component(tmp_path, name):
    path = tmp_path / safe_name(name)
    path.mkdir()
    assert path.resolve().parent == tmp_path.resolve()
    assert not path.name.startswith(".")
    assert len(path.name) <= 120


def test_usual_names_are_kept():
    assert safe_name("NonInvasiveFatalECG_Thorax1-v1.0") == "NonInvasiveFatalECG_Thorax1-v1.0"


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_names_have_different_folders(one, other):
    assert (safe_name(one) == safe_name(other)) == (one == other)


def test_empty_names_and_strange_keys_are_refused(tmp_path):
    with pytest.raises(TsdistillError, match="empty"):
        safe_name("")
    for key in ("", "../x", "a.b", "a/b"):
        with pytest.raises(ValueError, match="not a key"):
            place(tmp_path, "runs", "GunPoint", key)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no file system in which no file can be made")
def test_a_place_where_no_file_can_be_made_is_told() -> None:
    with pytest.raises(TsdistillError, match="cannot write /proc/nope"), staged(Path("/proc/nope")):
        pass

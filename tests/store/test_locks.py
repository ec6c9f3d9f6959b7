import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tsdistill.errors import TsdistillError
from tsdistill.store.locks import (
    BusyError,
    Holder,
    holder,
    holders,
    impatient,
    locked,
    locked_if_free,
    made_once,
)

WORKER = """
import sys, time
from pathlib import Path
from tsdistill.store.artefact import read_artefact, staged
from tsdistill.store.locks import made_once
folder = Path(sys.argv[1])
def make():
    print("making", flush=True)
    time.sleep(1)
    with staged(folder) as new:
        (new / "a.txt").write_text("made")
    return "made"
read = lambda: read_artefact(folder, lambda found: found.text("a.txt"))
print(made_once(folder, read, make, lambda: print("waiting", flush=True)))
"""


def test_second_process_waits_says_so_once_and_reuses(tmp_path):
    folder = tmp_path / "teachers" / "GunPoint" / "abc"

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder)], stdout=subprocess.PIPE, text=True
        )

    first = start()
    assert first.stdout is not None and first.stdout.readline() == "making\n"
    second = start()
    assert second.communicate()[0] == "waiting\nmade\n"
    assert first.communicate()[0] == "made\n"
    assert start().communicate()[0] == "made\n"


def test_lock_of_a_killed_process_is_free(tmp_path):
    folder = tmp_path / "teachers" / "GunPoint" / "abc"
    code = (
        "import sys, time; from pathlib import Path; from tsdistill.store.locks import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    with locked(folder, waiting=lambda: pytest.fail("a dead process holds the lock")):
        pass


HOLDING = (
    "import sys; from pathlib import Path; from tsdistill.store.locks import locked\n"
    "with locked(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[None]:
    """Let another process hold the lock of an artefact in the meantime."""
    words = [sys.executable, "-c", HOLDING, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield
        process.communicate("")


def test_who_holds_a_lock_is_told_without_touching_anything(tmp_path):
    folder, before = tmp_path / "runs" / "GunPoint" / "abc", time.time()
    assert holder(folder) is None and not list(tmp_path.iterdir())
    with held_elsewhere(folder):
        found = holder(folder)
        assert found is not None and found.host == platform.node()
        assert found.since is not None and before - 1 <= found.since <= time.time() + 1
        assert list(holders(tmp_path, "runs")) == [("abc", found)]
        assert not list(holders(tmp_path, "pools"))
        (tmp_path / "locks" / "runs-abc.lock").write_text("half a no")
        assert holder(folder) == Holder("an unknown machine", None)
    assert holder(folder) is None and not list(holders(tmp_path, "runs"))


def test_an_impatient_process_says_what_it_would_wait_for(tmp_path):
    folder = tmp_path / "teachers" / "GunPoint" / "abc"
    with held_elsewhere(folder), impatient():
        with pytest.raises(BusyError) as busy, locked(folder, waiting=lambda: pytest.fail("it waits")):
            pass
        assert busy.value.kind == "teachers"
        with locked(folder.with_name("other")):  # a free lock is taken as ever
            pass


def test_who_holds_a_lock_can_not_be_told_without_locks(tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "GunPoint" / "abc"
    with locked(folder):
        pass

    def refuse(self, *args, **kwargs):
        raise NotImplementedError

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with pytest.raises(NotImplementedError, match=r"runs-abc\.lock"):
        holder(folder)


def test_free_lock_lies_under_out_and_does_not_wait(tmp_path):
    def waiting() -> None:
        raise AssertionError("nobody holds it")

    with locked(tmp_path / "pools" / "GunPoint" / "abc", waiting):
        assert (tmp_path / "locks" / "pools-abc.lock").exists()
    with locked(tmp_path / "pools" / "GunPoint" / "abc", waiting):
        pass


def test_what_is_there_is_not_made():
    def make() -> str:
        raise AssertionError("it is there")

    assert made_once(Path("never/looked/at"), lambda: "there", make) == "there"


def test_unwritable_folder_is_refused_in_one_line(tmp_path):
    (tmp_path / "locks").write_text("a file")
    with pytest.raises(TsdistillError, match="cannot write"), locked(tmp_path / "teachers" / "x" / "abc"):
        pass


def test_where_locks_do_not_work_nothing_is_taken_for_free(tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise NotImplementedError

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with pytest.raises(TsdistillError, match="has no locks"), locked_if_free(tmp_path / "runs" / "d" / "k"):
        pass


def test_a_folder_in_the_place_of_a_lock_is_set_aside(tmp_path):
    folder = tmp_path / "runs" / "GunPoint" / "abc"
    (tmp_path / "locks" / "runs-abc.lock").mkdir(parents=True)
    with locked(folder):
        assert (tmp_path / "locks" / "runs-abc.lock").is_file()

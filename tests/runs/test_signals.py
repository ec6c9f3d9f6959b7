"""A signal to the command lets its launcher's processes finish their step, then all of them end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = """
import multiprocessing, sys, time
from pathlib import Path
from tsdistill.runs import signals

signals.LINGER = 0.2
folder = Path(sys.argv[1])


def job(number):
    with signals.heeded_by_worker(), signals.deferred():
        (folder / f"began-{number}").touch()
        while not signals.asked_to_stop():
            time.sleep(0.01)
        time.sleep(0.1 * number)
        (folder / f"saved-{number}").touch()


def idle(number):
    with signals.heeded_by_worker():
        pass
    (folder / f"began-{number}").touch()
    time.sleep(60)


def main():
    workers = [multiprocessing.get_context("spawn").Process(target=do, args=(n,)) for n, do in
               enumerate((job, job, idle))]
    try:
        with signals.heeded():
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
    except signals.Stopped as stopped:
        print([worker.exitcode for worker in workers])
        sys.exit(stopped.status)


if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_launchers_processes_end_too(number: int, status: int, tmp_path: Path) -> None:
    script = tmp_path / "command.py"
    script.write_text(COMMAND)
    command = [sys.executable, str(script), str(tmp_path)]
    root = str(Path(__file__).parents[2])
    where = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=where)
    try:
        until = time.monotonic() + 120
        while len([*tmp_path.glob("began-*")]) < 3:
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == status
    assert said.split("\n")[-2] == str([status] * 3)
    assert sorted(path.name for path in tmp_path.glob("saved-*")) == ["saved-0", "saved-1"]

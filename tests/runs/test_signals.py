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
if int(sys.argv[2]) and __name__ != "__main__":
    signals.end_by_itself()


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


@pytest.mark.parametrize("to_all", [False, True], ids=["the command alone", "as a terminal does"])
@pytest.mark.parametrize("own", [False, True], ids=["another's launcher", "own launcher"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_launchers_processes_end_too(
    number: int, status: int, own: bool, to_all: bool, tmp_path: Path
) -> None:
    script = tmp_path / "command.py"
    script.write_text(COMMAND)
    command = [sys.executable, str(script), str(tmp_path), str(int(own))]
    root = str(Path(__file__).parents[2])
    where = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=where, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while len([*tmp_path.glob("began-*")]) < 3:
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, number) if to_all else process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == status
    # The command passes SIGTERM on; an idle process of the own launcher leaves Ctrl-C to the command.
    by_itself = status if to_all else 143
    assert said.split("\n")[-2] == str([by_itself, by_itself, 143 if own else by_itself])
    assert sorted(path.name for path in tmp_path.glob("saved-*")) == ["saved-0", "saved-1"]

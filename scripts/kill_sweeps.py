"""Kill the processes of a sweep at random moments, and check what they leave in the end.

    python scripts/kill_sweeps.py [--kills 100] [--seed 0]

Two processes do one small sweep side by side in one output folder. Each time that one of them is killed
(SIGKILL), it is started again. When the sweep is done, the next one begins in a fresh folder, until all kills
are spent. Each folder then has to hold the records of a sweep that nobody killed, bit for bit, and nothing
else; and no record that was whole may have been made again.

Processes are forked, so that they need not import everything anew; that takes Linux or macOS.
"""

import argparse
import os
import random
import re
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from tsdistill.config.groups import config_folders
from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import register
from tsdistill.console import silenced
from tsdistill.runs.story import distill

RUN = (
    *("dataset.name=UnitTest", "dataset.download=false", "data_root=null", "hardware=cpu"),
    *("hardware.checkpoint_seconds=0.02", "teacher=fcn_8", "teacher.training.epochs=12"),
    *("teacher.training.batch_size=4", "student=lstm_8", "training.epochs=12", "training.batch_size=4"),
    *("saliency.window=5", "saliency.perturbations=4"),
)
METHODS = (("method=none",), ("method=fitnets", "method.hint_epochs=6"), ("method=tsd_kd",))
SEEDS = (0, 1)
PROCESSES = (0, 1)
"""One goes through the runs from the beginning, one from the end."""
KINDS = ("teachers", "pools", "runs")
SHARE = 4
"""One process is killed about so many times in the time of an undisturbed sweep."""
COUNTED = (
    *("sweeps", "kills", "resumed in training", "resumed in a pool", "records", "records that differ"),
    *("leftovers", "whole things made again", "failed processes"),
)
TIMES = ("timing.json", "manifest.json")
"""Files that differ with the time: the manifest holds the other's hash."""

Identity = tuple[int, int]


def main() -> None:
    """Spend all kills; print the counts; exit with 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    chosen = parser.parse_args()
    os.environ.pop("TSDISTILL_DATA", None)
    moments, counts = random.Random(chosen.seed), Counter[str]()
    with TemporaryDirectory(prefix="tsdistill-kills-") as name:
        folder = Path(name)
        whole, took = _undisturbed(folder)
        while counts["kills"] < chosen.kills:
            counts["sweeps"] += 1
            out = folder / f"sweep-{counts['sweeps']}"
            _disturbed(out, moments, took / SHARE, chosen.kills, counts)
            _check(out, whole, counts)
            print(_told(counts), flush=True)
    if any(counts[name] for name in ("records that differ", "leftovers", "whole things made again")):
        sys.exit(1)


def _undisturbed(folder: Path) -> tuple[dict[str, bytes], float]:
    """The records of a sweep that nobody kills, and the time that it takes in a process like the others."""
    with silenced():  # in this process: those that are forked then have everything imported
        _sweep(folder / "first", PROCESSES[0])
    began = time.monotonic()
    if _ended(_start(folder / "timed", PROCESSES[0])):
        sys.exit("the undisturbed sweep failed")
    return _records(folder / "first"), time.monotonic() - began


@cache
def _runs() -> list[DictConfig]:
    """The settings of all runs, composed once: Hydra takes longer for that than such a run to train."""
    register(config_folders(()))
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return [
            compose("distill", overrides=[*RUN, *method, f"seed={seed}"])
            for method in METHODS
            for seed in SEEDS
        ]


def _sweep(out: Path, process: int) -> None:
    """Do all runs."""
    runs = _runs()
    for composed in reversed(runs) if process else runs:
        distill(OmegaConf.merge(composed, {"out": str(out)}))  # type: ignore[arg-type]


def _start(out: Path, process: int) -> int:
    """Fork a process that does the sweep; what it says is appended to ``<out>.log``."""
    child = os.fork()
    if child:
        return child
    said = os.open(out.with_suffix(".log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(said, 1)
    os.dup2(said, 2)
    status = 1
    try:
        _sweep(out, process)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _ended(child: int) -> int:
    """Wait for a process; its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _disturbed(out: Path, moments: random.Random, longest: float, kills: int, counts: Counter[str]) -> None:
    """Do the sweep in two processes, killing one after the other until both come to the end."""
    running = {_start(out, process): process for process in PROCESSES}
    seen: dict[Path, Identity] = {}
    while running:
        if counts["kills"] < kills:
            time.sleep(moments.uniform(0, 2 * longest))
        for child in list(running):
            ended, status = os.waitpid(child, os.WNOHANG if counts["kills"] < kills else 0)
            if ended:
                counts["failed processes"] += status != 0
                del running[child]
        if running and counts["kills"] < kills:
            victim = moments.choice(sorted(running))
            os.kill(victim, signal.SIGKILL)
            counts["kills"] += 1
            _ended(victim)
            process = running.pop(victim)
            running[_start(out, process)] = process
        counts["whole things made again"] += _changed(out, seen)


def _changed(out: Path, seen: dict[Path, Identity]) -> int:
    """How many artefacts that were whole before are others now; notes those that are there."""
    changed = 0
    for path in _files(out):
        try:
            status = path.stat()
        except FileNotFoundError:
            changed += path in seen
            continue
        identity = status.st_ino, status.st_mtime_ns
        changed += seen.setdefault(path, identity) != identity
        seen[path] = identity
    return changed


def _files(out: Path) -> Iterator[Path]:
    """Files of all artefacts; nothing that is being written, nothing set aside."""
    for kind in KINDS:
        for folder in sorted((out / kind).glob("*/*")):
            if "." not in folder.name:
                yield from sorted(folder.iterdir())


def _records(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes().replace(str(out).encode(), b"OUT")
        for path in _files(out)
        if path.name not in TIMES
    }


def _check(out: Path, whole: dict[str, bytes], counts: Counter[str]) -> None:
    """Count what is wrong in a folder whose sweep is done, and what the processes went through."""
    found = _records(out)
    counts["records"] += len({Path(name).parent for name in found})
    counts["records that differ"] += len(
        {Path(name).parent for name in {*found, *whole} if found.get(name) != whole.get(name)}
    )
    left = [path for path in out.rglob("*") if ".tmp-" in path.name or "broken" in path.name]
    left += [path for path in (out / "checkpoints").glob("*/*") if path not in left]
    for path in left:
        print(f"left: {path.relative_to(out)}")
    counts["leftovers"] += len(left)
    said = out.with_suffix(".log").read_text(encoding="utf-8")
    counts["resumed in training"] += len(re.findall("resumed at epoch", said))
    counts["resumed in a pool"] += len(re.findall("resumed at series", said))


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in COUNTED)


if __name__ == "__main__":
    main()

"""Time ``report``, ``runs`` and ``status`` on many stored runs: the first time, again, and with one run more.

    python scripts/scale.py [--records 2000 10000] [--commands runs status] [--packed]

One small run is distilled. The others are copies of its record with settings, figures and id of their own,
each with its own files and manifest: 8 methods x 5 trials x seeds on 125 data sets. The first time every file
is hashed. Again, nothing has changed, so the outcome is remembered. With one run more, the index of verified
records is there, and the outcome is worked out anew. ``--packed`` packs the records first. All is deleted at
the end. Seconds of a core and memory are those of the command and, of its other processes, the largest.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tsdistill.console import say
from tsdistill.store.index import NAME
from tsdistill.store.manifest import MANIFEST, seal
from tsdistill.store.records import run_folder
from tsdistill.store.scan import YOUNGEST_SECONDS

SETS, METHODS, TRIALS = 125, 8, 5
ONE_MORE = 10**9
"""Number of the record that is added."""
COMMANDS = ("report", "runs", "status")
ONE_RUN = (
    *("distill", "dataset.name=UnitTest", "dataset.download=false", "data_root=null", "hardware=cpu"),
    *("teacher=fcn_8", "teacher.training.epochs=1", "student=lstm_8", "training.epochs=1", "method=kd"),
)


class Took(NamedTuple):
    """What a command took."""

    seconds: float
    processor: float
    megabytes: float


def main() -> None:
    """Measure each number of records, and print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[2000, 10_000])
    parser.add_argument("--folder", type=Path, help="where the records go for the time being")
    parser.add_argument("--packed", action="store_true", help="pack the records first")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    chosen = parser.parse_args()
    with TemporaryDirectory(dir=chosen.folder) as made:
        out, record = Path(made) / "out", _one_record(Path(made) / "one")
        size = sum(map(len, record.values())) / 2**10
        written, before = 0, dict[tuple[str, str], float]()
        for records in sorted(chosen.records):
            for number in range(written, records):
                write_copy(out, record, number)
            if chosen.packed:
                subprocess.run([sys.executable, "-m", "tsdistill", "pack", f"out={out}"], check=True)
            say(f"{records:,} records of {size:.0f} kB, {os.cpu_count()} cores")
            for name, when, took in _measured(out, record, chosen.commands):
                slope = (took.processor - before.get((name, when), 0.0)) / max(records - written, 1)
                told = f", {slope * 1e3:.2f} ms of a core for each further record" if written else ""
                say(
                    f"  {name:6} {when:8}: {took.seconds:6.1f} s ({took.processor:.1f} s of a core), "
                    f"{took.megabytes:,.0f} MB{told}"
                )
                before[name, when] = took.processor
            written = records


def _one_record(out: Path) -> dict[str, bytes]:
    """The files of one run that was distilled here, without the manifest."""
    subprocess.run([sys.executable, "-m", "tsdistill", *ONE_RUN, f"out={out}"], check=True)
    found = next(path for path in out.glob("runs/*/*") if path.is_dir())
    return {path.name: path.read_bytes() for path in found.iterdir() if path.name != MANIFEST}


def write_copy(out: Path, record: dict[str, bytes], number: int) -> None:
    """Write a record as that of another run; its number decides data set, method, trial, seed and figures."""
    result: dict[str, Any] = json.loads(record["result.json"])
    method, trial = number // SETS % METHODS, number // (SETS * METHODS) % TRIALS
    seed = number // (SETS * METHODS * TRIALS)
    result |= {"id": f"{number:016x}", "dataset": f"Set{number % SETS}", "method": f"method{method}"}
    result |= {"seed": seed, "trial": trial, "teacher_id": f"{number % SETS:016x}"}
    result["settings"] = {**result["settings"], "method.lam": trial / 4}
    result["grid_keys"] = ["method.lam"]
    for part in ("test", "validation"):
        names = [name for name, value in (result[part] or {}).items() if isinstance(value, float)]
        for at, name in enumerate(names):
            result[part][name] = 0.5 + ((number + at) * 7919 % 999_983) / 2_500_000
    facts = {**json.loads(record["facts.json"]), "seed": seed, "number": number}
    changed = {"result.json": result, "facts.json": facts}
    folder = run_folder(out, result["dataset"], result["id"])
    folder.mkdir(parents=True)
    for name, content in record.items():
        (folder / name).write_bytes(json.dumps(changed[name]).encode() if name in changed else content)
    seal(folder)


def _measured(
    out: Path, record: dict[str, bytes], commands: Sequence[str]
) -> Iterator[tuple[str, str, Took]]:
    """Run each command without the index of what was verified, then with it, then with a further record."""
    for name in commands:
        (out / NAME).unlink(missing_ok=True)
        time.sleep(YOUNGEST_SECONDS + 1)  # younger files are not remembered
        for when in ("first", "again", "one more"):
            if when == "one more":
                write_copy(out, record, ONE_MORE)
                time.sleep(YOUNGEST_SECONDS + 1)
            yield name, when, _took([name, f"out={out}"])
        shutil.rmtree(run_folder(out, f"Set{ONE_MORE % SETS}", f"{ONE_MORE:016x}"))


def _took(words: list[str]) -> Took:
    began = time.perf_counter()
    command = [sys.executable, "-m", "tsdistill", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"tsdistill {words[0]} ended with status {process.returncode}")
    processor = usage.ru_utime + usage.ru_stime
    return Took(time.perf_counter() - began, processor, usage.ru_maxrss / 2**10)


if __name__ == "__main__":
    main()

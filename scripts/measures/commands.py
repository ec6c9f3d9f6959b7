"""Whole commands: their start, a run inside a sweep, a report on many records."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measures.base import Goal, Row, side_by_side

RECORDS = 5000
SWEEPS, JOBS = 5, 6
BESIDE = 18
"""Runs of the longer of the two sweeps by which runs side by side are timed."""


def _command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from tsdistill.cli import main; main()", *words]


def _run(words: list[str], folder: Path) -> None:
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def measure_start(folder: Path) -> list[Row]:
    """Time to help and to composed settings, against an empty Python."""
    took = side_by_side(
        {"pass": lambda: _run([sys.executable, "-c", "pass"], folder)},
        {
            "help": lambda: _run(_command("--help"), folder),
            "cfg": lambda: _run(_command("distill", "--cfg", "job"), folder),
        },
    )
    return [
        Row("tsdistill --help", "python -c pass", took["pass"], took["help"], Goal("extra", 100)),
        Row("tsdistill distill --cfg job", "python -c pass", took["pass"], took["cfg"], Goal("extra", 400)),
    ]


FIRST_EPOCH = """
import os, sys
from tsdistill.training import loop

fit = loop.fit
loop.fit = lambda *words, **named: fit(*words, **named | {"listener": lambda epoch, values: os._exit(0)})
from tsdistill.cli import main
main()
"""
"""``tsdistill`` up to the end of the first epoch of a student or teacher."""


def measure_cold(folder: Path) -> list[Row]:
    """A process that trains one student whose teacher is stored, up to its first epoch."""
    words = ["distill", "dataset.name=GunPoint", "method=tsd", "teacher=fcn_8", "hardware=cpu"]
    words += ["teacher.training.epochs=2", f"out={folder / 'cold'}"]
    subprocess.run(
        _command("train-teacher", *words[1:2], *words[3:]), cwd=folder, check=True, stdout=subprocess.DEVNULL
    )
    took = side_by_side(
        {"torch": lambda: _run([sys.executable, "-c", "import torch"], folder)},
        {"cold": lambda: _run([sys.executable, "-c", FIRST_EPOCH, *words], folder)},
    )
    what = "tsdistill distill with its teacher stored, from its start to the end of its first epoch"
    return [Row(what, "python -c 'import torch'", took["torch"], took["cold"], Goal("extra", 700))]


def measure_report(folder: Path) -> list[Row]:
    """``tsdistill report`` on generated records."""
    out = folder / "report"
    for number in range(RECORDS):
        _write_record(out, number)
    took = side_by_side({}, {"report": lambda: _run(_command("report", f"out={out}"), folder)}, 2)
    what = f"tsdistill report on {RECORDS:,} generated records"
    return [Row(what, "nothing", 0.0, took["report"], Goal("extra", 10_000))]


def _write_record(out: Path, number: int) -> None:
    """One of 5 methods x 5 trials x 5 seeds on 40 sets, with what a report reads of it."""
    from tsdistill.store.manifest import seal
    from tsdistill.store.records import run_folder

    method, trial, seed, dataset = number % 5, number // 5 % 5, number // 25 % 5, number // 125
    score = (0.5 + (number * 7919 % 1000) / 2500) if number % 97 else None
    measured = dict.fromkeys(
        ("average_precision", "auc_prc", "roc_auc", "micro_average_precision", "accuracy", "macro_f1"), score
    ) | {"nll": 0.5, "brier": 0.3, "ece": 0.1}
    record: dict[str, Any] = {
        "schema": 2,
        "status": "ok",
        "id": f"{number:016x}",
        "dataset": f"Set{dataset}",
        "method": f"method{method}",
        "teacher": "fcn",
        "student": "lstm_8",
        "seed": seed,
        "trial": trial,
        "settings": {"method.lam": float(trial), "training.lr": 0.005, **{f"s.{i}": i for i in range(40)}},
        "grid_keys": ["method.lam"],
        "data": {"channels": 1, "length": 100, "classes": 2, "train": 40, "validation": 10, "test": 150},
        "validation": measured,
        "test": measured | {"agreement": 0.9, "kl": 0.1, "js": 0.1, "negative_flips": 0.1},
        "teacher_id": f"{dataset:016x}",
        "teacher_test": measured,
        "teacher_validation": measured,
        "cost": {"parameters": 370, "teacher_parameters": 265000, "compression": 716.2},
        "training": {"epochs": 123, "best_epoch": 73, "stages": {"train": {"epochs": 123}}},
        "flags": [],
    }
    folder = run_folder(out, record["dataset"], record["id"])
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(record), encoding="utf-8")
    (folder / "timing.json").write_text('{"train_seconds": 1.5}', encoding="utf-8")
    (folder / "environment.json").write_text("{}", encoding="utf-8")
    seal(folder)


def measure_sweep(folder: Path) -> list[Row]:
    """A run inside a sweep without its training and evaluation, against an empty Hydra job."""
    words = [sys.executable, "-m", "measures.sweep", str(folder / "sweep"), str(SWEEPS), str(JOBS)]
    environment = {**os.environ, "TSDISTILL_DATA": ""}
    done = subprocess.run(
        words, cwd=Path(__file__).parents[1], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    found = []
    for method, (empty, ours) in json.loads(done.stdout.splitlines()[-1]).items():
        what = f"a run of method={method} in a sweep less training and evaluation"
        found.append(Row(what, "empty Hydra job, same config", empty, ours, Goal("extra", 100)))
    return found


def measure_beside(folder: Path) -> list[Row]:
    """Two runs at a time against one: a sweep of runs that last seconds, all of whose teachers are there."""
    words = ["distill", "-m", "dataset.name=GunPoint", "method=kd", "hardware=cpu", "teacher=fcn_8"]
    words += ["teacher.training.epochs=2", "training.restarts=0"]
    environment = {**os.environ, "TSDISTILL_DATA": ""}
    took = []
    for jobs in (1, 2):
        own = [*words, f"out={folder / f'beside-{jobs}'}", f"hardware.jobs={jobs}"]
        seconds = []
        for seeds in ("0,1", ",".join(map(str, range(2, 2 + BESIDE)))):  # the first time: imports and teacher
            began = time.perf_counter()
            command = _command(*own, f"seed={seeds}")
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env=environment)
            seconds.append(time.perf_counter() - began)
        took.append(1e3 * (seconds[1] - seconds[0]) / (BESIDE - 2))
    note = "between sweeps of 2 and of 18 runs, so that the start of processes doesn't count"
    what = "a run of a sweep, two at a time"
    return [Row(what, "one at a time", took[0], took[1], Goal("faster", 1.8), note=note)]

"""A process of its own that runs sweeps, and empty sweeps of the same config, and prints what a job takes."""

import json
import statistics
import sys
import time
from pathlib import Path

from tsdistill import cli
from tsdistill.commands import distill
from tsdistill.store.listing import iter_results

METHODS = ("none", "tsd")


def main(out: Path, sweeps: int, jobs: int) -> None:
    """Print, for each method, the median milliseconds of an empty job and of ours without its training."""
    found = {}
    for method in METHODS:
        _sweep("distill", out, method, range(1))  # imports, the teacher and its pool
        empty, ours = [], []
        for number in range(sweeps):
            seeds = range(1 + number * jobs, 1 + (number + 1) * jobs)
            empty.append(_sweep("empty", out, method, seeds) / jobs)
            took = _sweep("distill", out, method, seeds)
            ours.append((took - _training_ms(out, method, seeds)) / jobs)
        found[method] = (statistics.median(empty), statistics.median(ours))
    print(json.dumps(found))


def _sweep(task: str, out: Path, method: str, seeds: range) -> float:
    """Milliseconds of a sweep over seeds."""
    words = ["-m", "dataset.name=ItalyPowerDemand", f"method={method}", f"out={out}"]
    words += ["teacher=fcn_8", "teacher.training.epochs=2", "training.epochs=3", "hardware=cpu"]
    words += [f"seed={','.join(map(str, seeds))}", "hardware.jobs=1"]
    task_of_distill = distill.run
    began = time.perf_counter()
    if task == "empty":
        words += ["hydra/launcher=basic", "hydra/sweeper=basic"]
        distill.run = lambda composed: None
    try:
        status = cli.run("distill", words)
    finally:
        distill.run = task_of_distill
    if status and task != "empty":  # whose jobs leave no note and count as lost
        raise SystemExit(f"the sweep failed with status {status}")
    return 1e3 * (time.perf_counter() - began)


def _training_ms(out: Path, method: str, seeds: range) -> float:
    """Milliseconds that the runs of a sweep spent in training and evaluation."""
    timings = [r["timing"] for r in iter_results(out) if r["method"] == method and r["seed"] in seeds]
    return 1e3 * sum(float(t["train_seconds"]) + float(t["evaluate_seconds"]) for t in timings)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

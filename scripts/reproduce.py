"""Run an experiment by name, after saying what it will cost here, and report it.

    python scripts/reproduce.py {paper,paper_as_released,modern} [sets=small] [yes=true] [out=FOLDER] [A=B]

``sets=small`` keeps the sets whose runs take under a minute. Above an hour it asks on a terminal; elsewhere
it needs ``yes=true``. Sets that are not in TSDISTILL_DATA are left out and named. An interrupted experiment
goes on from where it was. Further settings go to ``tsdistill distill``; those that the experiment sweeps
(``trial=0 student=lstm_8 dataset.name=CBF,Beef``) shorten it.
"""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported

from hydra import compose, initialize_config_dir
from measures.methods import last_stage
from measures.setting import Parts, fit_epochs, random_part, student, teacher
from omegaconf import OmegaConf

from tsdistill import cli
from tsdistill.config.mistakes import CONFIG_ERRORS, explain
from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import DistillConf, HardwareConf, register
from tsdistill.console import say
from tsdistill.data.catalogue import collection
from tsdistill.errors import TsdistillError
from tsdistill.runs.session import prepare
from tsdistill.training.device import set_up

SELECTION = {"paper": "validation", "paper_as_released": "test", "modern": "validation"}
"""The experiments, and the part on which their report selects."""
ASKS_ABOVE_HOURS = 1.0
SMALL_SECONDS = 60.0
RECORD_BYTES = 70_000
"""Disk of a record without its logits: 20 records of ItalyPowerDemand took 1.4 MB."""
SERIES, STEPS = 80, 96
"""The size that epochs are timed on; they are taken to grow with series times timesteps."""


@dataclass(frozen=True)
class Size:
    """Training series, all series, timesteps and classes of a set."""

    train: int
    series: int
    steps: int
    classes: int


class Experiment:
    """An experiment, its settings and what it will cost.

    Args:
        name: of the config in ``conf/experiment``.
        words: further settings.
    """

    def __init__(self, name: str, words: list[str]) -> None:
        register()
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            overrides = [f"experiment={name}", *words]
            params = OmegaConf.to_container(
                compose("distill", overrides[:1], return_hydra_config=True).hydra.sweeper.params
            )
            assert isinstance(params, dict)
            swept = {str(key): str(value) for key, value in params.items()}
            given = dict(word.split("=", 1) for word in words if word.partition("=")[0] in swept)
            composed = compose("distill", [word for word in overrides if word.partition("=")[0] not in given])
        self.params = {key: given.get(key, value).split(",") for key, value in swept.items()}
        self.split_by_seed = OmegaConf.is_interpolation(composed.split, "seed")
        """Whether each seed has a split, and so a teacher, of its own."""
        conf = OmegaConf.to_object(composed)
        assert isinstance(conf, DistillConf)
        self.conf = conf

    @property
    def runs(self) -> int:
        """Number of runs of one set."""
        counts = [len(values) for key, values in self.params.items() if key != "dataset.name"]
        total = 1
        for count in counts:
            total *= count
        return total

    @cached_property
    def epoch_seconds(self) -> dict[tuple[str, str], float]:
        """Seconds of an epoch on ``SERIES`` x ``STEPS``, by method and student, measured now."""
        parts = {"train": random_part(SERIES, STEPS, 2), "validation": random_part(20, STEPS, 2)}
        names = self.params.get("student", [self.conf.student.name])
        found: dict[tuple[str, str], float] = {}
        for method in ("none", "tsd", *(name for name in self.params["method"] if "+" not in name)):
            for name in names:
                found[method, name] = self._timed(method, name, parts)
        for method in self.params["method"]:
            base, added, _ = method.partition("+tsd")
            if added:
                for name in names:
                    found[method, name] = found[base, name] + found["tsd", name] - found["none", name]
        return found

    def _timed(self, method: str, name: str, parts: Parts) -> float:
        task = last_stage(
            method, student(name, 2), parts, self.conf.saliency.perturbations, self.conf.teacher.name
        )
        fit_epochs(task, 1)
        began = time.perf_counter()
        fit_epochs(task, 1)
        return time.perf_counter() - began

    @cached_property
    def teacher_seconds(self) -> float:
        """Seconds of a teacher's epoch on the same size."""
        model = teacher(self.conf.teacher.name, 2).requires_grad_(True)
        task = last_stage("none", model, {"train": random_part(SERIES, STEPS, 2)})
        began = time.perf_counter()
        fit_epochs(task, 1)
        return time.perf_counter() - began

    def run_seconds(self, size: Size) -> dict[tuple[str, str], float]:
        """At most how long a run takes, by method and student."""
        scale = size.train * size.steps / (SERIES * STEPS) * self.conf.training.epochs
        return {key: scale * seconds for key, seconds in self.epoch_seconds.items()}

    def hours(self, size: Size) -> float:
        """At most how long all runs of a set take, its teachers included."""
        runs = self.run_seconds(size)
        each = sum(runs[key] for key in runs if key[0] in self.params["method"])
        repeats = len(self.params.get("trial", "0")) * len(self.params["seed"])
        teachers = len(self.conf.teacher.seeds) * (len(self.params["seed"]) if self.split_by_seed else 1)
        scale = size.train * size.steps / (SERIES * STEPS) * self.conf.teacher.training.epochs
        return (each * repeats + teachers * scale * self.teacher_seconds) / 3600

    def bytes(self, size: Size) -> float:
        """Disk of a set's records and of its pool."""
        logits = 2 * 4 * size.classes * size.series
        pool = 4 * size.train * size.steps * size.classes
        return self.runs * (RECORD_BYTES + logits) + pool


def main() -> None:
    """Refuse mistakes in one line, as the command itself does."""
    try:
        _reproduce()
    except CONFIG_ERRORS as error:
        print(f"reproduce: {explain(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except TsdistillError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _reproduce() -> None:
    """Say what it costs, ask, run, report."""
    name, *words = sys.argv[1:] or [""]
    if name not in SELECTION:
        raise TsdistillError(f"name an experiment: {', '.join(SELECTION)}")
    given = dict(word.split("=", 1) for word in words if word.startswith(("sets=", "yes=", "out=")))
    rest = [word for word in words if not word.startswith(("sets=", "yes=", "out="))]
    out = given.get("out", f"tsdistill-out/{name}")
    set_up(HardwareConf(device="cpu"))
    experiment = Experiment(name, rest)
    sizes = _sizes(experiment, small=given.get("sets") == "small")
    hours = _say_costs(name, experiment, sizes)
    if not _agreed(hours, given.get("yes")):
        raise SystemExit(2)
    rest = [word for word in rest if not word.startswith("dataset.name=")]
    sets = f"dataset.name={','.join(sizes)}"
    status = cli.run("distill", [f"experiment={name}", sets, f"out={out}", *rest])
    raise SystemExit(max(status, cli.run("report", [f"out={out}", f"select={SELECTION[name]}"])))


def _sizes(experiment: Experiment, *, small: bool) -> dict[str, Size]:
    """Sizes of the sets that are there, smallest first; those that are left out are named."""
    root = os.environ.get("TSDISTILL_DATA")
    there = set(collection("local", Path(root))) if root else set()
    wanted = experiment.params["dataset.name"]
    found = {name: _size(experiment.conf, name) for name in wanted if name in there}
    if absent := [name for name in wanted if name not in there]:
        say(f"{len(absent)} of {len(wanted)} sets are not in TSDISTILL_DATA: {', '.join(absent)}")
    found = dict(sorted(found.items(), key=lambda each: each[1].train * each[1].steps))
    if small:
        long = [name for name in found if max(experiment.run_seconds(found[name]).values()) > SMALL_SECONDS]
        if long:
            say(f"left out by sets=small, with runs above a minute: {', '.join(long)}")
        found = {name: size for name, size in found.items() if name not in long}
    if not found:
        raise TsdistillError("no set is left; set TSDISTILL_DATA to a folder with UCRArchive_2018/")
    return found


def _size(conf: DistillConf, name: str) -> Size:
    with TemporaryDirectory(prefix="tsdistill-size-") as folder:
        conf.dataset["name"], conf.out = name, folder
        conf.data_root = os.environ["TSDISTILL_DATA"]
        job = prepare(conf)
    parts = job.parts
    series = sum(len(part) for part in parts.values())
    return Size(len(parts["train"]), series, int(parts["train"].x.shape[2]), len(job.dataset.classes))


def _say_costs(name: str, experiment: Experiment, sizes: Mapping[str, Size]) -> float:
    """Print the costs and return the hours."""
    hours = {each: experiment.hours(size) for each, size in sizes.items()}
    for each, took in hours.items():
        say(f"  {each}: {experiment.runs} runs, at most {took:.1f} h")
    disk = sum(experiment.bytes(size) for size in sizes.values()) / 1e9
    total = sum(hours.values())
    say(
        f"{name}: {len(sizes)} sets, {experiment.runs * len(sizes):,} runs, at most {total:.1f} hours on one "
        f"core of this machine, {disk:.1f} GB of disk; stored runs are not repeated"
    )
    return total


def _agreed(hours: float, yes: Any) -> bool:
    if hours <= ASKS_ABOVE_HOURS or yes == "true":
        return True
    if not sys.stdin.isatty():
        say("that is above an hour; add yes=true, or sets=small for less")
        return False
    return input("go on? [y/N] ").strip().lower() in ("y", "yes")


if __name__ == "__main__":
    main()

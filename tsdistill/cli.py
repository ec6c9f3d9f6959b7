"""The commands; each takes Hydra overrides and Hydra's own flags."""

import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tsdistill import __version__
from tsdistill.errors import UNWRITABLE, TsdistillError, advice_on, nearest

HELP = """\
tsdistill compresses time series classifiers by knowledge distillation.

usage: tsdistill COMMAND [name=value ...] [Hydra's flags]

commands:
  train-teacher   train a teacher; cache its logits, its perturbation pool and its saliency maps
  distill         distil a student (trains the teacher first if it is not there)
  evaluate        add metrics to stored runs without retraining: noise, saliency, cost
  explain         draw what a teacher and its stored students look at
  report          write tables from all stored runs
  datasets        list the sets at hand, show one, or download a collection

examples:
  tsdistill train-teacher dataset.name=GunPoint teacher=fcn
  tsdistill distill method=tsd dataset.name=GunPoint
  tsdistill distill -m method=none,kd,tsd seed=1,24,300 dataset.name=GunPoint,ItalyPowerDemand
  tsdistill distill experiment=demo
  tsdistill report

flags of every command (Hydra's): -m sweeps over comma-separated values, --cfg job prints the composed
settings, --help lists groups and settings, --config-dir adds a folder of your own configs.
Local UCR/UEA archives: data_root=FOLDER, or the variable TSDISTILL_DATA.
"""


def main() -> None:
    """Entry point: dispatch on the first argument and exit with the command's status."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        sys.exit(0)
    if arguments[0] == "--version":
        print(__version__)
        sys.exit(0)
    command, rest = arguments[0], arguments[1:]
    if command not in TASKS:
        sys.exit(_refuse(f"there is no command '{command}'; {nearest(command, TASKS)}"))
    sys.exit(run(command, rest))


def run(command: str, overrides: Sequence[str]) -> int:
    """Run one command.

    Args:
        command: a key of ``TASKS``.
        overrides: Hydra overrides and flags.

    Returns:
        Exit status: 0; 1 if jobs of a sweep failed or on an internal error; 2 for a mistake of the user's.
    """
    import hydra

    from tsdistill import sweep
    from tsdistill.config.mistakes import CONFIG_ERRORS, explain
    from tsdistill.config.resolve import conf_folder
    from tsdistill.config.schema import register

    register()
    sweep.name_sweep()
    # Hydra then raises what it would otherwise print with a traceback of its own and exit status 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    debug = "debug=true" in overrides
    try:
        sys.argv = [f"tsdistill {command}", *_flags_last(_expand(command, overrides))]
        start = hydra.main(config_path=str(conf_folder()), config_name=command, version_base="1.3")
        failures: list[Exception] = []
        start(_kept_from_hydra(TASKS[command], failures))()
        for error in failures:
            raise error
    except KeyboardInterrupt:
        print(
            "interrupted; what was finished is stored, and the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough; stay silent at exit too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (TsdistillError, OSError, *CONFIG_ERRORS) as error:
        if debug:
            raise
        told = explain(error) if isinstance(error, CONFIG_ERRORS) else _spell(error)
        return _refuse(told)
    except Exception as error:
        if debug:
            raise
        print(f"tsdistill: internal error: {_spell(error)}; debug=true shows where", file=sys.stderr)
        return 1
    return 1 if sweep.failed_jobs else 0


def _kept_from_hydra(task: Callable[[Any], None], failures: list[Exception]) -> Callable[[Any], None]:
    """Let a single job's failure past Hydra, which would print all overrides before it is told."""
    from tsdistill import sweep

    def job(conf: Any) -> None:
        try:
            task(conf)
        except Exception as error:
            if sweep.in_sweep():
                raise
            failures.append(error)

    return job


def _expand(command: str, words: Sequence[str]) -> list[str]:
    """Write out what Hydra has no word for: collections in a sweep, the set to show, the runs to read."""
    if command == "datasets":
        return [
            word if "=" in word or word.startswith("-") or before in VALUED_FLAGS else f"name={word}"
            for before, word in pairwise(["", *words])
        ]
    if command not in COMPOSING:
        return [_restriction(word) for word in words]
    for word in words:
        group, _, choice = word.partition("=")
        if group in ("method", "teacher", "student", "dataset") and choice.startswith("["):
            # Hydra would merge them all into one.
            several = choice.strip("[]").replace(" ", "")
            raise TsdistillError(f"{word}: a run has one {group}; sweep over several by -m {group}={several}")
    if not any("@" in word for word in words):
        return list(words)
    from tsdistill.data.catalogue import expand_collections

    roots = [word.partition("=")[2] for word in words if word.startswith("data_root=")]
    root = roots[-1] if roots else os.environ.get("TSDISTILL_DATA")
    return expand_collections(words, Path(root) if root else None)


def _restriction(word: str) -> str:
    """``method=none,tsd`` restricts what a command reads; Hydra would take it for a config group's choice."""
    name, equals, value = word.partition("=")
    if not equals or name not in ("dataset", "method", "teacher", "student"):
        return word
    return f"only.{name}=[{value.strip('[]')}]"


def _flags_last(words: Sequence[str]) -> list[str]:
    """Move flags, and their values, behind the overrides: argparse knows none between them."""
    flags: list[str] = []
    rest: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        is_value = before.startswith("-") and "=" not in before + word and not word.startswith("~")
        (flags if word.startswith("-") or is_value else rest).append(word)
    return [*rest, *flags]


def _refuse(message: str) -> int:
    print(f"tsdistill: {message}", file=sys.stderr)
    return 2


def _spell(error: BaseException) -> str:
    """An error in one or two lines; the system's own errors say which file."""
    if isinstance(error, TsdistillError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        advice = f"; {advice_on(error)}" if error.errno in UNWRITABLE else ""
        return f"{error.filename or 'a file'}: {error.strerror}{advice}"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _train_teacher(conf: Any) -> None:
    from tsdistill.pipeline import train_teacher

    _as_job(lambda: train_teacher(conf), debug=conf.debug)


def _distill(conf: Any) -> None:
    from tsdistill.pipeline import distill, record_failure

    _as_job(lambda: distill(conf), debug=conf.debug, on_failure=lambda told: record_failure(conf, told))


def _report(conf: Any) -> None:
    from tsdistill.console import console
    from tsdistill.report.write import write_report

    filters = {name: list(wanted) for name, wanted in conf.only.items() if wanted}
    out, select = Path(conf.out), conf.select.value
    write_report(out, select, filters, console, reference=conf.reference, figures=conf.figures)


def _evaluate(conf: Any) -> None:
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_keys
    from tsdistill.evaluate import evaluate

    check_keys(conf)
    settings: Any = OmegaConf.to_object(conf)
    evaluate(settings)


def _explain(conf: Any) -> None:
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_keys
    from tsdistill.explain import explain

    check_keys(conf)
    settings: Any = OmegaConf.to_object(conf)
    explain(settings)


def _as_job(
    task: Callable[[], object], *, debug: bool, on_failure: Callable[[str], None] = lambda told: None
) -> None:
    """Run a task; inside a sweep a failure is noted, told, and does not end the others."""
    from tsdistill import sweep
    from tsdistill.console import prefixed, say

    if not sweep.in_sweep():
        task()
        return
    with prefixed(f"{sweep.place_in_sweep()} "):
        try:
            task()
        except Exception as error:
            if debug:
                raise
            sweep.note_job(_spell(error))
            say(f"failed: {_spell(error)}")
            try:
                on_failure(_spell(error))
            except Exception as problem:  # the other jobs go on all the same
                say(f"the failure is not written down: {_spell(problem)}")
        else:
            sweep.note_job(None)


def _datasets(conf: Any) -> None:
    from omegaconf import OmegaConf

    from tsdistill.datasets import show_datasets

    settings: Any = OmegaConf.to_object(conf)
    if show_datasets(settings):
        raise TsdistillError("some sets could not be fetched; the same command goes on with those")


VALUED_FLAGS = (
    *("--cfg", "--config-dir", "--config-path", "--config-name", "--info"),
    *("-c", "-cd", "-cp", "-cn", "-i"),
)
"""Hydra's flags that the next word belongs to."""

COMPOSING = ("train-teacher", "distill")
"""Commands that compose an experiment; the others read what these stored."""

TASKS: dict[str, Callable[[Any], None]] = {
    "train-teacher": _train_teacher,
    "distill": _distill,
    "report": _report,
    "evaluate": _evaluate,
    "explain": _explain,
    "datasets": _datasets,
}

"""The commands; each takes Hydra overrides and Hydra's own flags."""

import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields
from functools import wraps
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from tsdistill import __version__
from tsdistill.config.flags import MULTIRUN, SWEEPABLE
from tsdistill.errors import DamagedError, TsdistillError, nearest, one_line, visible

HELP = """\
tsdistill compresses time series classifiers by knowledge distillation.

usage: tsdistill COMMAND [name=value ...] [Hydra's flags]

commands:
  train-teacher   train a teacher; cache its logits, its perturbation pool and its saliency maps
  distill         distil a student (trains the teacher first if it is not there)
  tune            search a method's settings on the validation part
  ask             write the series that a teacher elsewhere has to answer (teacher=answers reads its answers)
  evaluate        add metrics to stored runs without retraining: noise, saliency, cost
  explain         draw what a teacher and its stored students look at
  predict         answer on new series with a stored student
  export          write a stored student as a PyTorch folder, an ONNX graph or a C header
  report          write tables from all stored runs
  status          count what is done, running, failed and missing of a sweep, or of all that is stored
  runs            list stored runs, show one in full, compare two, or verify all that is stored
  track           write stored runs for TensorBoard, MLflow or Weights & Biases
  merge           copy what other folders hold into one
  pack            put finished runs into one file a dataset, or back into folders
  clean           list, and on request remove, what is stored but no longer reachable
  datasets        list available sets, show one, or download a collection
  completion      print a script by which bash, zsh or fish completes commands, groups and settings

examples:
  tsdistill train-teacher dataset.name=GunPoint teacher=fcn
  tsdistill distill method=tsd dataset.name=GunPoint
  tsdistill distill -m method=none,kd,tsd seed=1,24,300 dataset.name=GunPoint,ItalyPowerDemand
  tsdistill distill experiment=demo
  tsdistill status experiment=demo
  tsdistill report
  tsdistill predict input=new.csv dataset=GunPoint method=tsd

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
    if command == COMPLETION:
        sys.exit(_complete(rest))
    if command not in COMMANDS:
        known = (*COMMANDS, COMPLETION)
        sys.exit(_refuse(f"there is no command '{command}'; {nearest(command, known)}"))
    sys.exit(run(command, rest))


def _complete(words: Sequence[str]) -> int:
    from tsdistill.commands import completion

    try:
        completion.run(words)
    except TsdistillError as error:
        return _refuse(str(error))
    return 0


def run(command: str, overrides: Sequence[str]) -> int:
    """Run one command.

    Args:
        command: one of ``COMMANDS``.
        overrides: Hydra overrides and flags.

    Returns:
        Exit status: 0; 1 if jobs of a sweep failed or on an internal error; 2 for a mistake of the user's;
        130 after Ctrl-C and 143 after SIGTERM.
    """
    from tsdistill.config.code import watch_imports

    _show_warnings()
    watch_imports()  # before whatever computes a number is imported
    import hydra

    from tsdistill.config.groups import config_folders
    from tsdistill.config.mistakes import CONFIG_ERRORS, explain
    from tsdistill.config.once import composed_once
    from tsdistill.config.resolve import conf_folder
    from tsdistill.config.schema import register
    from tsdistill.runs import signals, sweep

    register(config_folders(overrides), _schemas(command, overrides))
    sweep.name_sweep()
    # Hydra then raises what it would otherwise print with a traceback of its own and exit status 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    debug = any(re.fullmatch("debug=(true|yes|y|on|1)", word, re.IGNORECASE) for word in overrides)
    try:
        words = [*_expand(command, overrides), *_sweep_folder(command, overrides)]
        sys.argv = [f"tsdistill {command}", *_flags_last(words)]
        _refuse_flags(command, overrides)
        name = _asked_about(overrides) if ASKING[0] in sys.argv else command
        start = hydra.main(config_path=str(conf_folder()), config_name=name, version_base="1.3")
        failures: list[Exception] = []
        with signals.heeded(), composed_once():
            start(_kept_from_hydra(_task(command), failures))()
        for error in failures:
            raise error
    except KeyboardInterrupt as interrupt:
        print(
            "interrupted; finished work is stored, and the same command resumes from there",
            file=sys.stderr,
        )
        return interrupt.status if isinstance(interrupt, signals.Stopped) else 130
    except BrokenPipeError:  # whoever read our output has seen enough; stay silent at exit too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except DamagedError as error:
        print(visible(str(error)), file=sys.stderr)
        return 1
    except (TsdistillError, OSError, MemoryError, *CONFIG_ERRORS) as error:
        if debug:
            raise
        told = explain(error) if isinstance(error, CONFIG_ERRORS) else one_line(error)
        return _refuse(told)
    except Exception as error:
        if debug:
            raise
        told = visible(one_line(error))
        print(f"tsdistill: internal error: {told}; debug=true shows where", file=sys.stderr)
        return 1
    return 1 if sweep.failed_jobs else 0


class _Line(logging.Formatter):
    """A warning's text, in which nothing commands a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _show_warnings() -> None:
    """Print warnings as plain lines; the standard library's last handler is the only one at first."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Line())


def _kept_from_hydra(task: Callable[[Any], None], failures: list[Exception]) -> Callable[[Any], None]:
    """Let a single job's failure past Hydra, which would print all overrides before it is told."""
    from tsdistill.runs import sweep

    @wraps(task)  # which another process imports by its name
    def job(conf: Any) -> None:
        try:
            if not sweep.in_sweep():
                sweep.check_lone(conf)
            task(conf)
        except Exception as error:
            if sweep.in_sweep():
                raise
            failures.append(error)

    return job


def _expand(command: str, words: Sequence[str]) -> list[str]:
    """Write out what Hydra has no word for: collections in a sweep, the set to show, the runs to read."""
    from tsdistill.config.overrides import refuse_misread

    if command == "datasets":
        named = [
            word if "=" in word or word.startswith("-") or before in VALUED_FLAGS else f"name={word}"
            for before, word in pairwise(["", *words])
        ]
        refuse_misread(named)
        return [_as_text(word) for word in named]
    if command == "status" and _asks(words):
        rest = [word for word in words if word not in (*MULTIRUN, *SWEEPING)]
        return [*_expand(_asked_about(words), rest), *ASKING]
    if command not in COMPOSING:
        restrictions = [_restriction(word, command) for word in words]
        refuse_misread(restrictions)
        return [_as_text(word) for word in restrictions]
    refuse_misread(words)
    words = [_as_text(word) if _is_plain_path(word) else word for word in words]
    if not any("@" in word for word in words):
        return list(words)
    from tsdistill.data.catalogue import expand_collections

    roots = [word.partition("=")[2] for word in words if word.startswith("data_root=")]
    root = roots[-1] if roots else os.environ.get("TSDISTILL_DATA")
    return expand_collections(words, Path(root) if root else None)


def _sweep_folder(command: str, words: Sequence[str]) -> list[str]:
    """Write the sweep's folder out: a process on another node has not this one's variables."""
    from tsdistill.runs.sweep import SWEEP_VARIABLE

    own = any(word.startswith("hydra.sweep.dir=") for word in words)
    return (
        []
        if own or command not in COMPOSING
        else [f"hydra.sweep.dir=${{out}}/sweeps/{os.environ[SWEEP_VARIABLE]}"]
    )


def _asks(words: Sequence[str]) -> bool:
    """Whether the words of ``status`` are those of a sweep, rather than the name of a folder alone."""
    names = {word.partition("=")[0] for word in words if "=" in word}
    return bool(names - {"out", "debug"}) or any(word in (*MULTIRUN, *SWEEPING) for word in words)


def _schemas(command: str, words: Sequence[str]) -> Collection[str]:
    """The commands whose schemas a command may need.

    ``runs id=`` composes ``distill``, and a config of the user's own may build on any command's.
    """
    own = any(word.startswith(("--config", "-cd", "-cn", "-cp")) for word in words)
    return COMMANDS if own else {command, "distill", _asked_about(words)}


def _asked_about(words: Sequence[str]) -> str:
    """The command whose sweep ``status`` is asked about."""
    return next((word for word in words if word in SWEEPING), SWEEPING[0])


TEXTS = (
    *("out", "data_root", "where", "id", "sort", "input", "reference", "to", "again", "published"),
    *("name", "collection", "download", "run", "sources", "folder", "teacher.path", "tracking.folder"),
)
"""Settings whose values are text; Hydra would read commas, spaces and digits as something else."""


NAMED = ("out", "to", "folder", "again", "input", "published", "teacher.path")
"""Settings that name a place, which an empty text does not."""


RESTRICTING = ("dataset", "method", "teacher", "student")
"""Words by which a command that reads is told what to read."""

LISTS = ("metric", "order", "columns", "vary", "figures")
"""Settings of commands that read: lists, which may be written without brackets."""


def _is_plain_path(word: str) -> bool:
    """Whether a word of a sweep sets one folder, rather than several or Hydra's own syntax."""
    name, _, value = word.partition("=")
    return name in ("out", "data_root", "to", "teacher.path", "tracking.folder") and not any(
        sign in value for sign in ",${}[]()"
    )


def _as_text(word: str) -> str:
    """Quote a text for Hydra's grammar, unless it is quoted already; expand ``~/`` of a path.

    Raises:
        TsdistillError: a folder or a file is empty.
    """
    name, equals, value = word.partition("=")
    if name in NAMED and equals and not value:
        kind = "folder" if name == "out" else "folder or a file"
        raise TsdistillError(f"{name} is empty; name a {kind}")
    if name.startswith("labels.") and equals:
        name = f"++{name}"  # to Hydra, a key that is not there yet
    elif not equals or name not in TEXTS:
        return word
    if value == "null" or value[:1] in ("'", '"'):
        return f"{name}={value}"
    if value.startswith("~/"):
        value = str(Path(value).expanduser())
    from hydra.core.override_parser.types import Quote, QuotedString

    return f"{name}={QuotedString(value, Quote.single).with_quotes()}"


def _restriction(word: str, command: str) -> str:
    """Write lists out for Hydra, which would sweep over ``metric=accuracy,kl``.

    ``method=none,tsd`` restricts what a command reads; Hydra would take it for a config group's choice.

    Raises:
        TsdistillError: the word restricts to nothing, or sets nothing.
    """
    from tsdistill.config.schema import COMMANDS as SCHEMAS

    taken = {field.name for field in fields(SCHEMAS[command])}
    lists = (*LISTS, *(["series"] if command == "explain" else []))
    name, equals, value = word.partition("=")
    if re.fullmatch(r"\{\s*\}", value):
        raise TsdistillError(f"{word}: an empty {{}} sets nothing; leave it out, or write a value")
    if not equals or value in ("true", "false") or (value == "null" and name not in RESTRICTING):
        return word
    if name == "from" and "sources" in taken and not value.strip("[], "):
        raise TsdistillError(f"{word}: name the folders to copy from, such as from=A,B out=C")
    if name == "from" and "sources" in taken:  # no name that a schema's field may have
        return f"sources={value}"
    if name in lists:
        return word if value.startswith("[") else f"{name}=[{value}]"
    name = name.removesuffix(".name")  # the word by which it was trained will do, too
    if name not in RESTRICTING or "only" not in taken:
        return word
    if value == "null":
        return f"only.{name}=null"
    if not value.strip("[] "):
        raise TsdistillError(f"{word}: name a {name}, or several with commas between them")
    return f"only.{name}=[{value.strip('[]')}]"


def _refuse_flags(command: str, words: Sequence[str]) -> None:
    """Refuse ``--method tsd``, for which argparse would print its usage, and ``-m`` where nothing is swept.

    Raises:
        TsdistillError: a word is a flag that Hydra doesn't have, or one that the command doesn't take.
    """
    from hydra._internal.utils import get_args_parser

    sweeping = next((word for word in words if word in MULTIRUN), None)
    if sweeping and command not in SWEEPABLE:
        raise TsdistillError(f"{command} sweeps over nothing; leave {sweeping} out")

    known = get_args_parser()._option_string_actions
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("-") and not any(_is_flag(flag, name) for name in known):
            raise TsdistillError(
                f"{word}: there is no such flag; settings are written NAME=VALUE without dashes, "
                "such as training.epochs=5"
            )


def _is_flag(word: str, name: str) -> bool:
    """Whether argparse takes a word for a flag: the beginning of one, or a short one with its value."""
    return name.startswith(word) or (name in WITH_VALUE and word.startswith(name))


def _flags_last(words: Sequence[str]) -> list[str]:
    """Move flags, and their values, behind the overrides: argparse knows none between them."""
    flags: list[str] = []
    rest: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        is_value = before.startswith("-") and "=" not in before + word and not word.startswith("~")
        (flags if word.startswith("-") or is_value else rest).append(word)
    return [*rest, *flags]


def _refuse(message: str) -> int:
    print(f"tsdistill: {visible(message)}", file=sys.stderr)
    return 2


VALUED_FLAGS = (
    *("--cfg", "--config-dir", "--config-path", "--config-name", "--info"),
    *("-c", "-cd", "-cp", "-cn", "-i"),
)
"""Hydra's flags that the next word belongs to."""

SWEEPING = ("distill", "train-teacher")
"""Commands whose words ``status`` takes; the first is meant where none is named."""

ASKING = ("hydra/sweeper=status", "hydra.mode=MULTIRUN", "~hydra.callbacks.sweep")
"""What makes the words of a sweep a question about it."""

WITH_VALUE = ("-cp", "-cn", "-cd")
"""Hydra's short flags whose value may follow without a space."""

COMPOSING = ("train-teacher", "distill", "tune", "ask")
"""Commands that compose an experiment; the others read what these stored."""

COMMANDS = (
    *("train-teacher", "distill", "tune", "ask", "evaluate", "explain", "predict", "export"),
    *("report", "runs", "status", "track", "merge", "pack", "clean", "datasets"),
)
"""Each is a module of ``tsdistill.commands`` with a function ``run``."""

COMPLETION = "completion"
"""The one command that takes no settings."""


def _task(command: str) -> Callable[[Any], None]:
    """Import a command's module and return its ``run``."""
    module = import_module(f"tsdistill.commands.{command.replace('-', '_')}")
    task: Callable[[Any], None] = module.run
    return task

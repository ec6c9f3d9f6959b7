"""Checks all that is stored against its manifests, and says what to run again; nothing is changed."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tsdistill.console import say
from tsdistill.errors import DamagedError, TsdistillError
from tsdistill.runs.defaults import default_settings
from tsdistill.store.inventory import KINDS
from tsdistill.store.listing import list_runs
from tsdistill.store.lookup import contents_of, stored_in
from tsdistill.store.manifest import BROKEN, problem_with
from tsdistill.store.shape import check_result

UNKNOWN = "repeat the command that made it; what is whole is not trained again"
ON_DEMAND = "it is made again when a run needs it"


def verify(out: Path) -> None:
    """Check every stored file, and say what is damaged and what to run again.

    Args:
        out: the output folder.

    Raises:
        TsdistillError: there is no such folder, or nothing is stored in it.
        DamagedError: something is damaged.
    """
    if not out.is_dir():
        raise TsdistillError(f"out={out}: there is no such folder")
    runs = list_runs(out)
    checked = len(runs.results) + len(runs.failures) + len(runs.damaged)
    for each in runs.damaged:
        say(f"runs/{each.name}: {each.problem}")
        say(f"  run again: {command_of(each.path)}")
    damaged = len(runs.damaged)
    for kind in KINDS:
        for stored in stored_in(out / kind) if kind != "runs" else ():
            checked += 1
            problem = problem_with(stored)
            if problem is not None:
                damaged += 1
                say(f"{kind}/{stored.name}: {problem}")
                say(f"  {ON_DEMAND}")
    if not checked:
        raise TsdistillError(f"nothing is stored under {out}: name the folder that `distill` wrote into")
    told = f"{checked} stored things checked, {damaged} damaged; nothing was changed"
    if damaged:
        raise DamagedError(told)
    say(told)


def command_of(folder: Path) -> str:
    """The command that makes a damaged run again, from what can still be read of it.

    The settings are taken from a ``result.json`` that need not be whole itself, so the command is a proposal
    for the user to read, and is not run.
    """
    try:
        stored = contents_of(folder)
        if stored is None:
            return UNKNOWN
        result = stored.json("result.json")
        check_result(result)
        words = list(_words(result))
    except (*BROKEN, OSError, TsdistillError):
        return UNKNOWN
    return shlex.join(["tsdistill", "distill", *words])


def _words(result: Mapping[str, Any]) -> Iterator[str]:
    """Overrides that give a result's settings."""
    yield f"dataset.name={result['dataset']}"
    for name in ("method", "teacher", "student", "seed", "trial"):
        yield f"{name}={result[name]}"
    told = {"seed", "trial", "dataset.name", "method.name", "teacher.name", "student.name"}
    defaults = default_settings(result)
    for name, value in result["settings"].items():
        if name not in told and (name not in defaults or defaults[name] != value):
            yield f"{name}={_spelt(value)}"


def _spelt(value: object) -> str:
    """A value in Hydra's words."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_spelt, value))}]"
    return str(value)

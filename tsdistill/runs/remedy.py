"""The command that makes again what is damaged, from what can still be read of it.

A command is a proposal for the user to read; it is never run here.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

from tsdistill.errors import TsdistillError
from tsdistill.runs.defaults import default_settings, reader_of, with_members_named
from tsdistill.store.artefact import safe_name
from tsdistill.store.keys import key_of
from tsdistill.store.lookup import contents_of
from tsdistill.store.manifest import BROKEN
from tsdistill.store.records import run_folder
from tsdistill.store.shape import check_result

UNKNOWN = "repeat the command that made it; what is whole is not trained again"
ON_DEMAND = "it is made again when a run needs it"
_TAUGHT = ("dataset", "split", "teacher", "saliency", "hardware")
"""Groups of settings that `tsdistill train-teacher` has."""


def told_by(folder: Path) -> dict[str, Any] | None:
    """The result of a damaged run, which need not be whole itself; None if it can't be read."""
    try:
        stored = contents_of(folder)
        if stored is None:
            return None
        result = stored.json("result.json")
        check_result(result)
    except (*BROKEN, OSError):
        return None
    return result


def run_again(folder: Path) -> str:
    """What to do about a damaged run; the settings are those that its result tells."""
    result = told_by(folder)
    if result is None:
        return UNKNOWN
    try:
        words = [f"{name}={result[name]}" for name in ("method", "teacher", "student", "seed", "trial")]
        words += _changed(result, apart=("method.name", "teacher.name", "student.name", "seed", "trial"))
    except (*BROKEN, TsdistillError):
        return UNKNOWN
    return _command("distill", result, words, folder)


def teacher_again(folder: Path, results: Iterable[Mapping[str, Any]]) -> str:
    """What to do about a damaged teacher, or about its pool or maps.

    Args:
        folder: where it lies.
        results: of runs; the first that used it tells the settings.
    """
    try:
        return _teacher_command(folder, results) or ON_DEMAND
    except (*BROKEN, TsdistillError):  # a damaged run's result may tell anything
        return ON_DEMAND


def _teacher_command(folder: Path, results: Iterable[Mapping[str, Any]]) -> str | None:
    here = (result for result in results if safe_name(result["dataset"]) == folder.parent.name)
    users = sorted(here, key=_has_no_pool)  # `train-teacher` makes a pool as well: one that is used
    result = next((each for each in users if _has_used(folder, each)), None)
    if result is None:
        return None
    words = _changed(result, apart=("teacher.name",))
    taught = [word for word in words if word.partition(".")[0] in _TAUGHT]
    return _command("train-teacher", result, [f"teacher={result['teacher']}", *taught], folder)


def _has_no_pool(result: Mapping[str, Any]) -> bool:
    """Whether a run's method asks nothing of a pool; its settings then say nothing of one."""
    return not any(name.startswith("saliency.") for name in result["settings"])


def _has_used(folder: Path, result: Mapping[str, Any]) -> bool:
    try:
        return folder.name in _used(folder, result)
    except (*BROKEN, OSError):  # the run is damaged, too
        return False


def _used(folder: Path, result: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys of what a run used of a folder's kind."""
    kind, teacher = folder.parents[1].name, result["teacher_id"]
    if kind == "teachers":
        return (teacher,)
    record = contents_of(run_folder(folder.parents[2], result["dataset"], result["id"]))
    pool = None if record is None else record.json("facts.json").get("pool")
    if pool is None:
        return ()
    return (pool,) if kind == "pools" else (key_of("map", {"teacher": teacher, "pool": pool}),)


def _command(command: str, result: Mapping[str, Any], words: Iterable[str], folder: Path) -> str:
    """A command line in the words of the shell."""
    reader = reader_of(result["settings"].get("dataset._target_"))
    choice = [f"dataset={reader}"] if reader not in ("", "ucr") else []
    named = [f"dataset.name={_spelt(result['dataset'])}", *choice, *words, f"out={folder.parents[2]}"]
    return f"run again: {shlex.join(['tsdistill', command, *named])}"


def _changed(result: Mapping[str, Any], apart: Iterable[str]) -> Iterator[str]:
    """Overrides that give the settings in which a result differs from the defaults."""
    told, defaults = {"dataset.name", *apart}, default_settings(result)
    for name, value in with_members_named(result).items():
        if name not in told and (name not in defaults or defaults[name] != value):
            yield f"{name}={_spelt(value)}"


def _spelt(value: object) -> str:
    """A value in Hydra's words."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_spelt, value))}]"
    if isinstance(value, str) and not re.fullmatch(r"[\w./:+-]+", value):
        return str(QuotedString(value, Quote.single).with_quotes())
    return str(value)

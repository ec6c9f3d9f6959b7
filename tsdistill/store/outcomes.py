"""What came of a question about all stored runs, remembered until anything that it depends on changes.

That is the question itself, every byte of the program and its libraries' versions, and the stamps of every
record (see :mod:`tsdistill.store.stamps`). Nothing is remembered while a record is damaged or a file is so
young that a later change could leave its stamp as it is.
"""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tsdistill
from tsdistill.config.resolve import conf_folder
from tsdistill.store.index import Index
from tsdistill.store.listing import mark_of_runs

LIBRARIES = ("numpy", "pandas", "scipy", "matplotlib", "rich", "omegaconf", "pyarrow")
_SOURCES = (".py", ".yaml", ".css", ".js")


def recall(outs: Sequence[Path], asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """What came of a question; None if it was not asked, or if anything has changed since.

    Args:
        outs: the output folders that it is about.
        asked: the command, and all settings that its outcome depends on.

    Raises:
        TsdistillError: a folder can't be read.
    """
    with Index(outs[0]) as index:
        key = _key(outs, asked)
        if not index.is_asked(key):
            return None
        marks = [mark_of_runs(out) for out in outs]
        found = index.outcome(key, _seen(marks)) if all(marks) else None
    outcome: dict[str, Any] | None = None if found is None else json.loads(found)
    return outcome


def remember(
    outs: Sequence[Path], asked: Mapping[str, Any], marks: Sequence[str], outcome: Mapping[str, Any]
) -> None:
    """Remember what came of a question.

    Args:
        outs: the output folders that it is about.
        asked: see ``recall``.
        marks: of the listings that it was made from.
        outcome: whatever JSON holds.
    """
    if all(marks):
        with Index(outs[0]) as index:
            index.remember(_key(outs, asked), _seen(marks), json.dumps(outcome, separators=(",", ":")))


def _seen(marks: Sequence[str]) -> str:
    return ",".join(marks)


def _key(outs: Sequence[Path], asked: Mapping[str, Any]) -> str:
    told = json.dumps([[str(out) for out in outs], asked, _program()], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


@cache
def _program() -> str:
    """The hash of this package's files, and the versions of what they use."""
    package = Path(tsdistill.__file__).resolve().parent
    files = [path for top in {package, conf_folder()} for path in top.rglob("*") if path.suffix in _SOURCES]
    found = hashlib.sha256(platform.python_version().encode())
    for path in sorted(files):
        found.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    for name in LIBRARIES:
        try:
            found.update(f"{name} {version(name)}\0".encode())
        except PackageNotFoundError:
            continue
    return found.hexdigest()

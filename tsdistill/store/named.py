"""Names of what is stored, for a shell that completes a word: found within a moment, or left out."""

import json
import re
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from tsdistill.store.lookup import contents_of, names_in

SECONDS = 0.1
"""Time that a search may take."""
MOST = 500
"""Names that are found at most."""
_plain = re.compile(r"[\w.+:@%-]+")
"""Names that a shell takes without quotes."""


def stored_names(kind: str, begun: str, out: Path) -> list[str]:
    """Names that begin as given; nothing is verified, and what can't be read is passed over.

    Args:
        kind: ``dataset``, ``run``, ``study``, or a name that a result has: ``method``, ``teacher``,
            ``student``.
        begun: how they begin.
        out: the output folder.

    Returns:
        The names in the order found, each once; those that would need quotes in a shell are left out.
    """
    finders = {"dataset": _datasets, "run": _runs, "study": _studies}
    names = finders[kind](out) if kind in finders else _in_results(kind, out)
    fitting = (n for n in _in_time(names) if n.startswith(begun) and _plain.fullmatch(n))
    return list(islice(dict.fromkeys(fitting), MOST))


def _in_time(names: Iterator[str]) -> Iterator[str]:
    end = time.monotonic() + SECONDS
    for name in names:
        yield name
        if time.monotonic() >= end:
            return


def _datasets(out: Path) -> Iterator[str]:
    found = {folder.name for kind in ("runs", "teachers") for folder in _folders(out / kind)}
    yield from sorted(unquote(name) for name in found if "=" not in name)  # a long name is cut, then a hash


def _folders(kind: Path) -> list[Path]:
    return sorted(path for path in kind.iterdir() if path.is_dir()) if kind.is_dir() else []


def _runs(out: Path) -> Iterator[str]:
    for folder in _folders(out / "runs"):
        yield from names_in(folder)


def _studies(out: Path) -> Iterator[str]:
    yield from sorted(path.stem for path in (out / "studies").glob("*.journal"))


def _in_results(kind: str, out: Path) -> Iterator[str]:
    for folder in _folders(out / "runs"):
        for name in names_in(folder):
            try:
                stored = contents_of(folder / name)
                yield "" if stored is None else str(json.loads(stored.read("result.json"))[kind])
            except (OSError, ValueError, KeyError, TypeError):
                yield ""

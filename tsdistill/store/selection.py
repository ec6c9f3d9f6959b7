"""Stored runs by name and filter."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tsdistill.config.schema import OnlyConf
from tsdistill.errors import TsdistillError, nearest
from tsdistill.store.listing import iter_results
from tsdistill.store.where import Where


def stored_runs(out: Path, only: OnlyConf, where: str | None = None) -> list[Mapping[str, Any]]:
    """Results of the stored runs of the given names, by dataset, teacher and id.

    Raises:
        TsdistillError: nothing is stored, or nothing has these names.
    """
    found = list(iter_results(out))
    if not found:
        raise TsdistillError(f"no run records under {out}: run `tsdistill distill` first, or name its folder")
    kept = select_runs(found, only, where)
    return sorted(kept, key=lambda result: (result["dataset"], result["teacher_id"], result["id"]))


def select_runs(
    found: Sequence[Mapping[str, Any]], only: OnlyConf, where: str | None
) -> list[Mapping[str, Any]]:
    """Keep the results, or notes of failed runs, that have the given names and pass the filter.

    Raises:
        TsdistillError: nothing has these names, or nothing passes.
    """
    for key in ("dataset", "method", "teacher", "student"):
        wanted = getattr(only, key)
        known = {result[key] for result in found}
        for name in wanted or ():
            if name not in known:
                raise TsdistillError(f"no stored run has {key}={name}: {nearest(name, known)}")
        found = [result for result in found if not wanted or result[key] in wanted]
    if not found:
        raise TsdistillError("no stored run has all these names together; drop one of them")
    return list(found) if where is None else Where(where).kept(found)


def is_selected(result: Mapping[str, Any], only: OnlyConf, where: str | None) -> bool:
    """Whether a result, or the note of a failed run, has the given names and passes the filter."""
    names = {key: getattr(only, key) for key in ("dataset", "method", "teacher", "student")}
    named = all(not wanted or result.get(key) in wanted for key, wanted in names.items())
    return named and (where is None or Where(where)(result))

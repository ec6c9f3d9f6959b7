"""``distill why=true``: whether a run is stored and, if not, how it differs from the nearest one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tsdistill.config.canonical import canonical
from tsdistill.store.lookup import contents_of
from tsdistill.store.records import run_folder, run_names

MOST_SHOWN = 12
ABSENT = "absent"


def explain_run(out: Path, dataset: str, run_id: str, facts: Mapping[str, Any]) -> list[str]:
    """Say whether a record exists and, if not, why not.

    Args:
        out: the output folder.
        dataset: name of the dataset.
        run_id: key of the run.
        facts: what the key is the hash of.

    Returns:
        Lines for the terminal.
    """
    folder = run_folder(out, dataset, run_id)
    if contents_of(folder) is not None:
        return [f"stored as {run_id}, in {folder}"]
    nearest = _nearest(out, dataset, facts)
    if nearest is None:
        return [f"not stored: there is no run on {dataset} under {out}"]
    name, differing = nearest
    if not differing:
        return [
            f"not stored, but run {name} has the same student beside another teacher: it is not trained again"
        ]
    lines = [f"not stored; the nearest run is {name}, which differs in:"]
    lines += [f"  {line}" for line in differing[:MOST_SHOWN]]
    if len(differing) > MOST_SHOWN:
        lines.append(f"  and {len(differing) - MOST_SHOWN} more")
    return lines


def _nearest(out: Path, dataset: str, facts: Mapping[str, Any]) -> tuple[str, list[str]] | None:
    """The stored run with the fewest other facts, and these facts; the method counts first."""
    found: list[tuple[bool, int, str, list[str]]] = []
    for name in run_names(out, dataset):
        try:
            record = contents_of(run_folder(out, dataset, name))
            theirs = None if record is None else record.json("facts.json")
        except (OSError, ValueError):
            continue
        if theirs is None:  # removed meanwhile
            continue
        differing = differences(facts, theirs)
        found.append((theirs.get("method") != facts["method"], len(differing), name, differing))
    return min(found)[2:] if found else None


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Say in which facts two runs differ, one line each; edited code is named by its module."""
    mine, other = dict(_leaves(canonical(ours), "")), dict(_leaves(canonical(theirs), ""))
    lines = []
    for key in sorted(mine.keys() | other.keys()):
        one, two = mine.get(key, ABSENT), other.get(key, ABSENT)
        if one == two:
            continue
        if key.startswith("code."):
            how = "is not used there" if two == ABSENT else "is used there" if one == ABSENT else "was edited"
            lines.append(f"the code of {key.removeprefix('code.')} {how}")
        else:
            lines.append(f"{key}: {one} here, {two} there")
    return lines


def _leaves(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}{key}.")
    elif isinstance(node, list):
        for at, value in enumerate(node):
            yield from _leaves(value, f"{prefix}{at}.")
    else:
        yield prefix.removesuffix("."), node

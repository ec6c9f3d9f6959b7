"""Joining output folders: what others hold is copied into one, and nothing that is there is changed.

Everything is compared before anything is written. Two folders agree about an id if the files in ``COMPARED``
have equal hashes; when and where something was made, and the paths in its config, may differ.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tsdistill.console import say
from tsdistill.errors import DamagedError, TsdistillError
from tsdistill.store.artefact import copy_artefact, set_aside, write_atomically
from tsdistill.store.contents import Contents
from tsdistill.store.listing import list_runs
from tsdistill.store.lookup import contents_of, stored_in
from tsdistill.store.manifest import BROKEN, digests_of, problem_with
from tsdistill.store.records import failure_path, run_folder

KINDS = ("teachers", "pools", "maps", "runs")
"""What is copied, in this order: a run never lies anywhere without its teacher."""
COMPARED = frozenset(
    {
        *("result.json", "facts.json", "curve.csv"),
        *("logits.safetensors", "weights.safetensors", "terms.safetensors"),
        *("pool.safetensors", "maps.safetensors"),
    }
)


@dataclass
class _Plan:
    """What a merge will do.

    Attributes:
        copies: what is copied, by where it goes.
        notes: notes of failed runs, with the identity of each, likewise.
        finished: identities of all runs that succeeded.
        equal: how many things are there already, or in two sources.
        conflicts: what differs, a line each.
        damaged: what is left out, a line each.
    """

    out: Path
    copies: dict[Path, Contents] = field(default_factory=dict)
    notes: dict[Path, tuple[str, Path]] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    equal: int = 0
    conflicts: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def merge(sources: Sequence[Path], out: Path) -> None:
    """Copy all whole runs, teachers, pools and maps, and all notes of failed runs, into ``out``.

    Each is written whole or not at all, so an interrupted merge is finished by the same command.

    Args:
        sources: output folders.
        out: the folder to copy into; made if it is not there.

    Raises:
        TsdistillError: a source is no folder, or two folders hold different things under one id: then
            nothing was written.
        DamagedError: something damaged was left out; the rest was copied.
    """
    for source in sources:
        if not source.is_dir():
            raise TsdistillError(f"from={source}: there is no such folder")
        if out.exists() and source.samefile(out):
            raise TsdistillError(f"from={source}: that is the folder to copy into; leave it out")
    plan = _Plan(out)
    for source in sources:
        for stored in _whole(source, plan):
            _add(plan, source, stored)
    for line in plan.conflicts:
        say(f"conflict: {line}")
    if plan.conflicts:
        raise TsdistillError(
            f"{len(plan.conflicts)} stored things differ under one id, so nothing was copied; "
            "remove the one that is wrong, or merge into separate folders"
        )
    _carry_out(plan)


def _whole(source: Path, plan: _Plan) -> Iterator[Contents]:
    """All that is whole in a source; the rest is noted."""
    for kind in KINDS[:-1]:
        for stored in stored_in(source / kind):
            if (problem := problem_with(stored)) is None:
                yield stored
            else:
                plan.damaged.append(f"{kind}/{stored.name} of {source}: {problem}")
    listing = list_runs(source)
    plan.damaged += [f"runs/{each.name} of {source}: {each.problem}" for each in listing.damaged]
    if listing.older:
        plan.damaged.append(f"{listing.older} runs of {source}: an older version of tsdistill made them")
    for result in listing.results:
        if (record := contents_of(run_folder(source, result["dataset"], result["id"]))) is not None:
            yield record
        plan.finished.add(_identity(result))
    for note in listing.failures:
        goal = failure_path(plan.out, note["dataset"], note["id"])
        path = failure_path(source, note["dataset"], note["id"])
        plan.notes.setdefault(goal, (_identity(note), path))


def _identity(record: Mapping[str, Any]) -> str:
    """What a finished run and the note of its failure have in common."""
    names = ("dataset", "method", "teacher", "student", "seed", "trial", "settings")
    return json.dumps([record[name] for name in names], sort_keys=True)


def _add(plan: _Plan, source: Path, stored: Contents) -> None:
    """Plan to copy one thing, unless an equal one is there or planned."""
    inside = stored.path.relative_to(source)
    goal = plan.out / inside
    other = plan.copies.get(goal) or _whole_at(goal)
    if other is None:
        plan.copies[goal] = stored
    elif differing := _differing(stored, other):
        plan.conflicts.append(f"{inside}: {', '.join(differing)} of {stored.path} and {other.path} differ")
    else:
        plan.equal += 1


def _whole_at(goal: Path) -> Contents | None:
    there = contents_of(goal)
    return there if there is not None and problem_with(there) is None else None


def _differing(one: Contents, other: Contents) -> list[str]:
    """Names of the compared files that two stored things do not share."""
    mine, theirs = digests_of(one), digests_of(other)
    return [name for name in sorted(COMPARED) if mine.get(name) != theirs.get(name)]


def _carry_out(plan: _Plan) -> None:
    copied = 0
    for goal, stored in plan.copies.items():
        there = contents_of(goal)
        if there is not None and (problem := problem_with(there)) is not None:
            set_aside(goal, problem)
        try:
            copy_artefact(stored, goal)
            copied += 1
        except BROKEN as problem:
            plan.damaged.append(f"{stored.path}: {problem}")
    finished = plan.finished | {_identity(result) for result in list_runs(plan.out).results}
    for goal, (identity, note) in plan.notes.items():
        if identity not in finished and not goal.exists():
            write_atomically(goal, note.read_text(encoding="utf-8"))
    for line in plan.damaged:
        say(f"left out: {line}")
    told = f"{copied} stored things copied into {plan.out}, {plan.equal} were there already"
    if plan.damaged:
        raise DamagedError(f"{told}; {len(plan.damaged)} damaged or old ones were left out")
    say(told)

"""What ``tsdistill clean`` may remove, and why; what stays, and why.

A run's record goes if its key, computed again with today's code, differs. A teacher stays if its own key is
current or if a record that stays names it. A pool stays if its teacher does and its key is current; maps of
training series if their pool does; maps of test series, whose key covers no code, with their teacher. What
can't be judged here stays, and so does whatever tsdistill has not made.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from tsdistill.config.schema import OnlyConf, SaliencyConf
from tsdistill.errors import TsdistillError, nearest
from tsdistill.runs.reach import Verdict, judge_run, judge_teacher, pool_key_today
from tsdistill.store.artefact import discard
from tsdistill.store.contents import Folder
from tsdistill.store.formats import from_yaml, read_json
from tsdistill.store.inventory import Entry, inventory
from tsdistill.store.keys import key_of
from tsdistill.store.locks import locked_if_free
from tsdistill.store.lookup import contents_of
from tsdistill.store.records import SCHEMA
from tsdistill.store.selection import is_selected
from tsdistill.store.where import Where, names_of

OLDER = Verdict(False, "an older version of tsdistill made it")
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, SafetensorError)


@dataclass(frozen=True)
class Thing:
    """Something stored, and what becomes of it.

    Attributes:
        entry: where it lies.
        verdict: whether today's code still leads to it.
        result: what a filter sees: a run's result, or the names of something else.
        facts: its own facts; of a teacher its config.
        removed: whether it goes.
    """

    entry: Entry
    verdict: Verdict
    result: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    removed: bool = False

    @property
    def name(self) -> str:
        """Its dataset and name."""
        return f"{self.entry.path.parent.name}/{self.entry.path.name}"

    @property
    def key(self) -> str:
        """Its own key."""
        return self.entry.path.name


def plan(out: Path, only: OnlyConf, where: str | None) -> list[Thing]:
    """Judge everything under an output folder.

    Args:
        out: the output folder.
        only: names that what is removed must have.
        where: a filter that what is removed must pass.

    Raises:
        TsdistillError: a folder that can't be read, or a filter that names what nothing has.
    """
    found = [_judged(entry) for entry in inventory(out)]
    _check_names(where, [thing.result for thing in found])
    runs = [_decided(thing, only, where) for thing in found if thing.entry.kind == "runs"]
    kept = [run for run in runs if not run.removed]
    named = {run.result.get("teacher_id") for run in kept}
    teachers = [
        _decided(_needed(thing, thing.key in named), only, where)
        for thing in found
        if thing.entry.kind == "teachers"
    ]
    standing = {teacher.key for teacher in teachers if not teacher.removed}
    pools = [
        _decided(_judge_pool(thing, standing, runs, kept), only, where)
        for thing in found
        if thing.entry.kind == "pools"
    ]
    current = {str(run.facts.get("pool")) for run in kept} | {pool.key for pool in pools if not pool.removed}
    maps = [
        _decided(_judge_map(thing, standing, current), only, where)
        for thing in found
        if thing.entry.kind == "maps"
    ]
    rest = [thing for thing in found if thing.entry.kind not in ("runs", "teachers", "pools", "maps")]
    return maps + pools + runs + teachers + [_decided(thing, only, where) for thing in rest]


def remove(thing: Thing) -> bool:
    """Remove one thing under its lock; returns False, and removes nothing, if a process holds that.

    Raises:
        TsdistillError: it can't be removed.
    """
    path = thing.entry.path
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return True
    if thing.entry.what != "artefact":
        discard(path)
        return True
    key = path.name.partition("-")[0] if thing.entry.kind == "runs" else path.name
    with locked_if_free(path.with_name(key)) as held:
        if held:
            discard(path)
    return held


def _judged(entry: Entry) -> Thing:
    """Judge by a thing's own facts."""
    names = {"id": entry.path.name, "dataset": entry.path.parent.name}
    if entry.what == "stranger":
        return Thing(entry, Verdict(None, "not made by tsdistill"), names)
    if entry.what == "leftover":
        return Thing(entry, Verdict(False, "left by an interrupted process, or set aside as damaged"), names)
    try:
        if entry.what == "failure":
            return _failure(entry, names)
        return _JUDGES[entry.kind](entry, names)
    except _UNREADABLE as error:
        return Thing(entry, Verdict(None, f"cannot be read: {error}"), names)


def _failure(entry: Entry, names: Mapping[str, Any]) -> Thing:
    note = read_json(entry.path)
    return Thing(entry, OLDER if _is_older(note) else Verdict(True), {**names, **note})


def _run(entry: Entry, names: Mapping[str, Any]) -> Thing:
    record = contents_of(entry.path)
    if record is None:
        raise FileNotFoundError("another process has just removed it")
    result = record.json("result.json")
    if _is_older(result):
        return Thing(entry, OLDER, {**names, **result})
    facts = record.json("facts.json")
    config = record.text("config.yaml")
    return Thing(entry, judge_run(result, config, facts), result, {**facts, "pool_seed": _pool_seed(config)})


def _pool_seed(config: str) -> int:
    try:
        return int(from_yaml(config)["saliency"]["pool_seed"])
    except (ValueError, KeyError, TypeError):
        return SaliencyConf().pool_seed


def _is_older(record: Mapping[str, Any]) -> bool:
    schema = record.get("schema")
    return schema is None or (isinstance(schema, int) and schema < SCHEMA)


def _teacher(entry: Entry, names: Mapping[str, Any]) -> Thing:
    config = from_yaml(Folder(entry.path).text("config.yaml"))
    verdict = judge_teacher(entry.path.name, config) if "code" in config else OLDER
    return Thing(entry, verdict, {**names, "teacher": config.get("name"), "seed": config.get("seed")}, config)


def _pool(entry: Entry, names: Mapping[str, Any]) -> Thing:
    facts = Folder(entry.path).json("facts.json")
    with safe_open(entry.path / "pool.safetensors", framework="np") as stored:
        shape = {"size": stored.get_slice("starts").get_shape()[1], "drawn": "channels" in set(stored.keys())}
    return Thing(entry, Verdict(None), names, {**facts, **shape})


def _map(entry: Entry, names: Mapping[str, Any]) -> Thing:
    facts = Folder(entry.path).json("facts.json")
    with safe_open(entry.path / "maps.safetensors", framework="np") as stored:
        return Thing(entry, Verdict(None), names, {**facts, "of": sorted(stored.keys())})


_JUDGES = {"runs": _run, "teachers": _teacher, "pools": _pool, "maps": _map}


def _needed(teacher: Thing, named: bool) -> Thing:
    """Keep a teacher that a record names which stays."""
    return replace(teacher, verdict=Verdict(True)) if named else teacher


def _judge_pool(pool: Thing, standing: set[str], runs: Sequence[Thing], kept: Sequence[Thing]) -> Thing:
    """Judge a pool by its teacher and its key.

    A pool does not hold its seed: those of the records and the default are tried.
    """
    if pool.entry.what != "artefact" or "teacher" not in pool.facts:
        return pool
    facts, teacher = pool.facts, pool.facts["teacher"]
    if teacher not in standing:
        return replace(pool, verdict=Verdict(False, f"its teacher {teacher} goes or is gone"))
    if any(run.facts.get("pool") == pool.key for run in kept):
        return replace(pool, verdict=Verdict(True))
    seeds = {SaliencyConf().pool_seed, *(run.facts["pool_seed"] for run in runs if "pool_seed" in run.facts)}
    channels = {run.result["data"]["channels"] for run in runs if run.result.get("teacher_id") == teacher}
    drawn: Iterable[int | None] = channels if facts["drawn"] else (None,)
    made_of = (teacher, facts["window"], facts["size"])
    possible = product(seeds, drawn, (False, True))
    if pool.key in {pool_key_today(*made_of, *each) for each in possible}:
        return replace(pool, verdict=Verdict(True))
    if any(run.facts.get("pool") == pool.key for run in runs):
        return replace(pool, verdict=Verdict(False, "the code that draws it was edited"))
    return replace(pool, verdict=Verdict(None, "no record names it, and its seed is not known"))


def _judge_map(maps: Thing, standing: set[str], pools: set[str]) -> Thing:
    """Judge maps by their teacher and, of training series, by their pool."""
    if maps.entry.what != "artefact" or "teacher" not in maps.facts:
        return maps
    teacher = maps.facts["teacher"]
    if teacher not in standing:
        return replace(maps, verdict=Verdict(False, f"their teacher {teacher} goes or is gone"))
    known = {key_of("map", {"teacher": teacher, "pool": pool}) for pool in pools}
    if maps.facts["of"] == ["train"] and maps.key not in known:
        return replace(maps, verdict=Verdict(False, "their pool goes or is gone"))
    return replace(maps, verdict=Verdict(True))


def _decided(thing: Thing, only: OnlyConf, where: str | None) -> Thing:
    goes = thing.verdict.current is False and is_selected(thing.result, only, where)
    if goes and thing.entry.packed:
        why = f"{thing.verdict.why}; it is packed, and `tsdistill pack unpack=true` lets clean remove it"
        return replace(thing, verdict=Verdict(None, why))
    return replace(thing, removed=goes)


def _check_names(where: str | None, results: Sequence[Mapping[str, Any]]) -> None:
    if where is None:
        return
    known = names_of(results)
    for name in Where(where).names:
        if name not in known:
            raise TsdistillError(f"where: nothing stored has '{name}'; {nearest(name, known)}")

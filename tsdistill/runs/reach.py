"""Recomputes the keys of stored things, to tell which of them today's code and settings still reach.

The data are taken as stored: a record is judged by its own fingerprint of them, and no file is read again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tsdistill.config.code import code_behind
from tsdistill.config.schema import Donors, SaliencyConf, SplitConf, TeacherConf, TrainingConf, TuneConf
from tsdistill.errors import TsdistillError, one_line
from tsdistill.runs.spec import RunSpec, pool_facts, teacher_facts
from tsdistill.runs.why import differences
from tsdistill.saliency.draws import resolve_window
from tsdistill.saliency.pools import pool_limits
from tsdistill.store.checkpoints import artefact_of
from tsdistill.store.formats import from_yaml
from tsdistill.store.keys import key_of

_UNJUDGED = (TsdistillError, OmegaConfBaseException, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class Verdict:
    """Whether a key is still what today's code gives.

    Attributes:
        current: None where this can't be decided here.
        why: the reason, unless it is current.
    """

    current: bool | None
    why: str = ""


def judge_teacher(key: str, config: Mapping[str, Any]) -> Verdict:
    """Compute a teacher's key again.

    Args:
        key: its name.
        config: its ``config.yaml``.
    """
    stored = {name: value for name, value in config.items() if name != "name"}
    try:
        training: Any = OmegaConf.merge(OmegaConf.structured(TrainingConf), stored["training"] or {})
        conf = TeacherConf(
            name=config["name"],
            kind=stored["kind"],
            model=stored["model"],
            cross_fit="auto" if stored["cross_fit"] is None else stored["cross_fit"],
            path=(stored["file"] or {}).get("path"),
            members={name: member["conf"] for name, member in (stored["members"] or {}).items()},
            training=OmegaConf.to_object(training),  # type: ignore[arg-type]
        )
        split, precision = SplitConf(**stored["split"]), stored["precision"]
        today = teacher_facts(conf, split, stored["data"], precision, stored["seed"])
        if key_of("teacher", today) == key:
            return Verdict(True)
    except _UNJUDGED as error:
        return Verdict(None, one_line(error))
    return _stale(today, stored)


def judge_checkpoint(checkpoint: Path, code: Mapping[str, str]) -> Verdict:
    """Say whether a checkpoint could still be gone on from.

    Args:
        checkpoint: its folder.
        code: digests of the code behind what it is of.
    """
    if artefact_of(checkpoint).is_dir():
        return Verdict(False, "what it is of is stored")
    try:
        today = code_behind(sorted(code))
    except TsdistillError as error:
        return Verdict(None, one_line(error))
    edited = sorted(name for name, digest in code.items() if today.get(name) != digest)
    return Verdict(False, f"{edited[0]} was edited") if edited else Verdict(True)


def judge_run(result: Mapping[str, Any], config_yaml: str, facts: Mapping[str, Any]) -> Verdict:
    """Compute a run's key again, with those of its teacher and its pool.

    A plain student is current under any teacher, since runs beside other teachers take it from its record.

    Args:
        result: its ``result.json``.
        config_yaml: its ``config.yaml``.
        facts: its ``facts.json``.
    """
    teacher = result["teacher_id"]
    try:
        # A tuned run's config holds all of ``tune``'s settings, others only those that ``distill`` has too.
        composed: Any = OmegaConf.merge(OmegaConf.structured(TuneConf), from_yaml(config_yaml))
        spec = RunSpec.of(composed)
        if spec.taught and teacher not in _teachers(spec, facts["data"]):
            return Verdict(False, f"its teacher {teacher} is not current")
        pool = facts["pool"]
        if pool is not None and pool not in _pools(spec.conf.saliency, teacher, result["data"]):
            return Verdict(False, f"its pool {pool} is not current")
        today = spec.facts(facts["data"], teacher, pool)
        if spec.training_id(spec.run_id(today, teacher)) == spec.training_id(result["id"]):
            return Verdict(True)
    except _UNJUDGED as error:
        return Verdict(None, one_line(error))
    return _stale(today, facts)


def pool_key_today(teacher: str, window: int, size: int, seed: int, channels: int | None, noise: bool) -> str:
    """Key that today's code gives a pool."""
    made_of = {"window": window, "size": size, "seed": seed, "channels": channels, "noise": noise}
    return key_of("pool", pool_facts(teacher, made_of))


def _stale(today: Mapping[str, Any], stored: Mapping[str, Any]) -> Verdict:
    found = differences(today, stored)
    if not found:
        return Verdict(None, "its name is not the key of its facts")
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return Verdict(False, f"{found[0]}{more}")


def _teachers(spec: RunSpec, data: str) -> set[str]:
    """Keys of the teachers that a run would train today."""
    conf = spec.conf
    precision = conf.hardware.precision.value
    facts = (teacher_facts(conf.teacher, conf.split, data, precision, seed) for seed in conf.teacher.seeds)
    return {key_of("teacher", each) for each in facts}


def _pools(conf: SaliencyConf, teacher: str, data: Mapping[str, Any]) -> Iterator[str]:
    """Keys that a run's pool may have today.

    A window below 1 is a fraction of the shortest series, whose length no record holds: all are tried. So
    are the sizes that a slow teacher may have.
    """
    longest = data["length"]
    channels = data["channels"] if conf.per_channel else None
    shortest = range(1, longest + 1) if conf.window < 1 else (longest,)
    for window in sorted({resolve_window(conf.window, length) for length in shortest}):
        every = longest - window + 1
        sizes = [min(every, max(most, conf.perturbations)) for most in (every, *pool_limits(every))]
        noise = conf.donors is Donors.noise
        for size in sorted(set(sizes)) if conf.pool_size is None else [conf.pool_size]:
            yield pool_key_today(teacher, window, size, conf.pool_seed, channels, noise)

"""From a composed config to settings: trials of the grid, plain values, and what is kept in a record."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

import tsdistill
from tsdistill.config.canonical import canonical
from tsdistill.config.targets import shown, spell
from tsdistill.errors import TsdistillError, nearest

UNRECORDED = (
    *("out", "debug", "data_root", "retrain", "why", "fail", "retry", "share"),
    *("hardware", "tracking", "seed", "trial", "hydra"),
    *("study", "trials", "sampler", "pruner"),
)
"""Settings that choose where and how, or stand in a record by themselves."""


def conf_folder() -> Path:
    """The folder of configs: inside an installed wheel, or beside the package in a checkout."""
    package = Path(tsdistill.__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


NODES = (
    *("dataset", "method", "method.stages", "student.model", "training.scheduler"),
    *("teacher.kind", "teacher.model", "teacher.training.scheduler"),
)
"""Places that hold settings of their own, though their schema takes anything."""
BUILT = ("student.model", "teacher.kind")
"""Nodes that something is always built from."""
NAMES = ("method.name", "teacher.name", "student.name")
"""By which a record and its tables call a run's parts."""
UNSET = ("grid", "ranges", "stages", "name")
"""Keys of a method that are no settings of it."""
LARGEST_SEED = 2**32 - 1


def check_composed(conf: DictConfig) -> None:
    """Refuse what no run could work with: unknown keys, numbers that are not finite, seeds out of range.

    Args:
        conf: a composed config.

    Raises:
        TsdistillError: names the setting.
    """
    check_keys(conf)
    check_nodes(conf)
    for path, value in _leaves(OmegaConf.to_container(conf, resolve=True), ""):
        if isinstance(value, float) and not math.isfinite(value):
            raise TsdistillError(f"{path}={value} should be a finite number")
        name = path.rsplit(".", 1)[-1].partition("[")[0]
        seeds = name in ("seed", "seeds") or name.endswith("_seed")
        if seeds and isinstance(value, int) and not 0 <= value <= LARGEST_SEED:
            raise TsdistillError(f"{path}={value} should be from 0 to {LARGEST_SEED}")


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value of a plain config with its place."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for at, value in enumerate(node):
            yield from _leaves(value, f"{path}[{at}]")
    else:
        yield path, node


def check_keys(conf: DictConfig, path: str = "") -> None:
    """Refuse settings that were added (``+key=value``) where the schema knows no such key.

    Args:
        conf: a composed config or one of its nodes.
        path: the node's place, ending in a dot.

    Raises:
        TsdistillError: a key that nothing would read, or a list in a list of plain values.
    """
    schema = OmegaConf.get_type(conf)
    if schema is None or not is_dataclass(schema):
        return  # an open node: its target's signature is its schema
    known = [field.name for field in fields(schema)]
    for key in map(str, conf):
        if key not in known:
            raise TsdistillError(f"{path}{key}: there is no such setting; {nearest(key, known)}")
        if OmegaConf.is_missing(conf, key):
            continue
        if isinstance(conf[key], DictConfig):
            check_keys(conf[key], f"{path}{key}.")
        if isinstance(conf[key], ListConfig):
            _check_items(conf[key], f"{path}{key}")


def _check_items(values: ListConfig, path: str) -> None:
    """Refuse a list or a node among a list's plain values, which OmegaConf lets through."""
    wanted = values._metadata.element_type
    for at, value in enumerate(values):
        if wanted is not Any and isinstance(value, DictConfig | ListConfig):
            told = shown(OmegaConf.to_container(value, resolve=False))
            raise TsdistillError(f"{path}[{at}]={told} should be {spell(wanted)}")


def check_nodes(conf: DictConfig) -> None:
    """Refuse a single value in the place of a node, a stage or a term, and a name that is none.

    Raises:
        TsdistillError: names the setting.
    """
    stages = _inside(conf, "method.stages")
    parts = [f"{stage}.{part}" for stage in stages for part in ("terms", "weights")]
    terms = [term for stage in stages for term in _inside(conf, f"{stage}.terms")]
    for path in (*NODES, *stages, *parts, *terms, *_inside(conf, "teacher.members")):
        value = _selected(conf, path)
        if value is not None and not isinstance(value, DictConfig):
            raise TsdistillError(f"{path}={shown(value)}: it has settings of its own; --cfg job shows them")
    for path in BUILT:
        if _holds(conf, path) and _selected(conf, path) is None:
            raise TsdistillError(f"{path}=null: a run needs one; choose it by {path.partition('.')[0]}=NAME")
    for path in NAMES:
        name = _selected(conf, path)
        if _holds(conf, path) and not (isinstance(name, str) and name.strip()):
            raise TsdistillError(f"{path}={shown(name)} should be a text")
    _check_lists(conf)


def _check_lists(conf: DictConfig) -> None:
    """Refuse other than a list for a method's grid and an ensemble's members."""
    grid = _selected(conf, "method.grid")
    if grid is not None and not (
        isinstance(grid, ListConfig) and all(isinstance(each, DictConfig) for each in grid)
    ):
        raise TsdistillError(
            f"method.grid={grid} should be a list of settings, such as [{{method.lam: 0.1}}]"
        )
    members = _selected(conf, "teacher.members")
    if not (members is None or isinstance(members, ListConfig | DictConfig)):
        raise TsdistillError(f"teacher.members={shown(members)} should be a list, such as [fcn,resnet]")


def _holds(conf: DictConfig, path: str) -> bool:
    """Whether a key is there and has a value, null included."""
    parent, key = path.split(".")
    node = _selected(conf, parent)
    return isinstance(node, DictConfig) and key in node and not OmegaConf.is_missing(node, key)


def _inside(conf: DictConfig, path: str) -> list[str]:
    """Places of all that stands in a node; none where no node is."""
    node = _selected(conf, path)
    return [f"{path}.{name}" for name in map(str, node)] if isinstance(node, DictConfig) else []


def _selected(conf: DictConfig, path: str) -> Any:
    return OmegaConf.select(conf, path, throw_on_missing=False)


def settle_method(conf: DictConfig) -> None:
    """Add to the last stage what ``method=NAME+tsd`` adds, then apply the trial; in place.

    Args:
        conf: a composed ``DistillConf``.

    Raises:
        TsdistillError: the method has TSD already, or see ``apply_trial``.
    """
    check_nodes(conf)
    added = conf.method.get("added")
    if added is not None:
        stages = conf.method.get("stages") or {}
        if not stages:
            raise TsdistillError(f"method {conf.method.name}: it has no stages; see conf/method/tsd.yaml")
        last = stages[list(stages)[-1]]
        if "tsd" in last.terms:
            raise TsdistillError(
                f"method {conf.method.name}: {conf.method.name.partition('+')[0]} has TSD already"
            )
        with open_dict(conf.method):
            last.merge_with(added)
            del conf.method.added
    apply_trial(conf)


def apply_trial(conf: DictConfig) -> None:
    """Set what the method's grid varies, in place; trial 0 is the default setting.

    Args:
        conf: a composed ``DistillConf``.

    Raises:
        TsdistillError: no such trial, or a grid that names no setting.
    """
    grid = list(conf.method.get("grid") or [])
    if not 0 <= conf.trial <= len(grid):
        raise TsdistillError(
            f"trial={conf.trial}: method {conf.method.name} has trials 0 (its default) to {len(grid)}"
        )
    if conf.trial == 0:
        return
    for key, value in grid[conf.trial - 1].items():
        if OmegaConf.select(conf, key, default=_ABSENT) is _ABSENT:
            raise TsdistillError(f"method.grid of {conf.method.name}: there is no setting '{key}'")
        OmegaConf.update(conf, key, value)


_ABSENT = object()


def grid_keys(method: Mapping[Any, Any], ranged: bool = False) -> list[str]:
    """Settings that a method's grid varies; with ``ranged`` also those that a study does."""
    keys = {key for point in method.get("grid") or [] for key in point}
    return sorted(keys | set(method.get("ranges") or () if ranged else ()))


def recorded_settings(conf: DictConfig, left_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """Flat settings of a run as the report compares them.

    A method's stages are kept as written, with their references unresolved: their numbers then stand in one
    place only, the method's own settings.

    Args:
        conf: the composed config.
        left_out: further top-level nodes that do not bear on this run.

    Returns:
        Plain values by dotted key.
    """
    plain = OmegaConf.to_container(conf, resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    if "method" in plain:
        written = OmegaConf.to_container(conf.method, resolve=False)
        assert isinstance(written, dict)
        plain["method"] = {k: v for k, v in plain["method"].items() if k not in UNSET}
        plain["method"]["stages"] = written["stages"]
    kept = {str(k): v for k, v in plain.items() if k not in (*UNRECORDED, *left_out)}
    for node in ("dataset", "teacher", "student"):
        kept.get(node, {}).pop("name", None)
    kept["hardware.precision"] = plain["hardware"]["precision"]
    return dict(_flat(kept, ""))


def _flat(node: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in node.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", canonical(value)))
    return found

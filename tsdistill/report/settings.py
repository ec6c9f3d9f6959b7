"""Several settings of one method: one row to select among, or a row each."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from omegaconf import OmegaConf

from tsdistill.config.canonical import canonical
from tsdistill.config.resolve import conf_folder

Tune = Literal["equal", "always", "never"]
"""When one of a method's settings is selected: where all methods have equally many, always, or never."""

Pair = tuple[str, str]
_Row = dict[str, Any]


def split_settings(rows: Sequence[_Row], tune: Tune) -> list[_Row]:
    """Give settings rows of their own in every teacher-student pair where none may be selected.

    The default setting keeps the method's plain name; the others are named by the grid's settings in which
    they differ, such as ``tsd [method.lam=10]``. The default is trial 0 or, where trial 0 was run with
    several settings, the one that equals the method's own config; without such a one every setting is named.

    Args:
        rows: runs with ``dataset``, ``teacher``, ``student``, ``method``, ``variant``, ``trial``, ``config``
            (the grid's settings in words) and ``grid`` (the same by key).
        tune: when a setting may be selected.

    Returns:
        The rows without ``grid``, with ``default`` (whether a run has the default setting) and ``settings``:
        how many the method has, each in a row of its own (0 where they share one row).
    """
    by_variant: dict[tuple[str, ...], list[_Row]] = defaultdict(list)
    for row in rows:
        by_variant[row["teacher"], row["student"], row["variant"]].append(row)
    split = _unselected_pairs(rows, tune)
    for (teacher, student, _), group in by_variant.items():
        several = len({row["config"] for row in group})
        default = _default_config(group)
        names = _names(group, default) if (teacher, student) in split and several > 1 else {}
        for row in group:
            row["default"] = row["config"] == default
            row["settings"] = several if names else 0
            row["variant"] = names.get(row["config"], row["variant"])
    return [{key: value for key, value in row.items() if key != "grid"} for row in rows]


def _unselected_pairs(rows: Sequence[_Row], tune: Tune) -> set[Pair]:
    """The pairs in which no setting may be selected, such as those with unequal numbers of settings."""
    tried: dict[Pair, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        tried[row["teacher"], row["student"]][row["dataset"], row["variant"]].add(row["config"])
    if tune != "equal":
        return set() if tune == "always" else set(tried)
    return {pair for pair, found in tried.items() if len({len(configs) for configs in found.values()}) > 1}


def _names(group: Sequence[_Row], default: str | None) -> dict[str, str]:
    """The row's name of each setting of one method."""
    settings = {row["config"]: row["grid"] for row in group}
    texts = {config: {key: shown(value) for key, value in grid.items()} for config, grid in settings.items()}
    keys = sorted({key for text in texts.values() for key in text})
    differing = [key for key in keys if len({text.get(key) for text in texts.values()}) > 1]
    return {
        config: group[0]["variant"]
        if config == default
        else with_settings(group[0]["variant"], [f"{key}={text.get(key)}" for key in differing])
        for config, text in texts.items()
    }


def with_settings(variant: str, settings: Sequence[str]) -> str:
    """A row's name with further settings in its brackets."""
    joined = ", ".join(settings)
    return f"{variant[:-1]}, {joined}]" if variant.endswith("]") else f"{variant} [{joined}]"


def _default_config(group: Sequence[_Row]) -> str | None:
    at_zero: dict[str, _Row] = {row["config"]: row["grid"] for row in group if row["trial"] == 0}
    if len(at_zero) == 1:
        return next(iter(at_zero))
    own = method_defaults(group[0]["method"])
    found = [
        config
        for config, grid in at_zero.items()
        if grid and all(key in own and own[key] == canonical(value) for key, value in grid.items())
    ]
    return found[0] if len(found) == 1 else None


def method_defaults(method: str) -> dict[str, Any]:
    """Default settings of a built-in method and of training, by dotted key; only the latter's for others."""
    found = {f"training.{name}": value for name, value in _written("training", "default").items()}
    found |= {f"method.{name}": value for name, value in _written("method", method).items()}
    return {key: canonical(value) for key, value in found.items()}


def _written(group: str, name: str) -> Mapping[str, Any]:
    """Plain settings in a built-in config file and those that it builds on."""
    path = conf_folder() / group / f"{name}.yaml"
    if Path(name).name != name or not path.is_file():
        return {}
    node = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(node, dict)
    inherited: dict[str, Any] = {}
    for base in node.get("defaults", []):
        if isinstance(base, str) and base != "_self_":
            inherited |= _written(group, base)
    return inherited | {
        str(key): value for key, value in node.items() if isinstance(value, int | float | str)
    }


def shown(value: Any) -> str:
    """A setting as it stands in names of rows."""
    return value if isinstance(value, str) else json.dumps(value)

"""Choices that no file holds: models as ``teacher`` and ``student``, and ``method=NAME+tsd``."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from tsdistill.config.resolve import conf_folder

ROLES = ("teacher", "student")
"""The groups that are made from ``model/``."""

PROVIDER = "tsdistill model"
"""Marks the nodes that this module has stored."""


def register_models(folders: Iterable[Path]) -> None:
    """Let every ``model/NAME.yaml`` be chosen as ``teacher=NAME`` and ``student=NAME``.

    What an earlier call stored and this one would not is dropped. A name that has a file of its own in the
    group is left to it: Hydra would otherwise take what is stored for that file's schema.

    Args:
        folders: folders of configs besides the package's own.
    """
    searched = (conf_folder(), *folders)
    store = ConfigStore.instance()
    for role in ROLES:
        group = store.repo.setdefault(role, {})
        ours = {file for file, node in group.items() if getattr(node, "provider", None) == PROVIDER}
        taken = {path.name for folder in searched for path in (folder / role).glob("*.yaml")}
        models = {path.name for folder in searched for path in (folder / "model").glob("*.yaml")}
        wanted = models - taken - (set(group) - ours)
        for file in ours - wanted:
            del group[file]
        for file in wanted - ours:
            name = file.removesuffix(".yaml")
            node = {"defaults": [{"/model@model": name}, "_self_"], "name": name}
            store.store(name=name, group=role, node=node, provider=PROVIDER)


PLUS = "+tsd"
"""Behind a method's name: TSD is added to its last stage."""


def register_additions(folders: Iterable[Path]) -> None:
    """Let TSD be added to every ``method/NAME.yaml``, as ``method=NAME+tsd``.

    Args:
        folders: folders of configs besides the package's own.
    """
    store = ConfigStore.instance()
    names = {path.stem for folder in (conf_folder(), *folders) for path in (folder / "method").glob("*.yaml")}
    stored = store.repo.get("method", {})
    for name in (name for name in names if f"{name}{PLUS}.yaml" not in stored):
        node = {"defaults": [name, "_self_"], **_addition(name)}
        store.store(name=f"{name}{PLUS}", group="method", node=node, provider=PROVIDER)


def _addition(name: str) -> dict[str, Any]:
    """What is added: TSD with its default settings, and cross-entropy of weight 1."""
    term = {
        "_target_": "tsdistill.methods.tsd.TemporalSaliency",
        "tau": "${method.tsd_tau}",
        "form": "${method.tsd_form}",
        "scale": "${method.tsd_scale}",
    }
    return {
        "name": f"{name}{PLUS}",
        "w_ce": 1.0,
        "tsd_lam": 1.0,
        "tsd_tau": 8.0,
        "tsd_form": "classwise",
        "tsd_scale": "own",
        "added": {
            "terms": {"ce": {"_target_": "tsdistill.methods.ce.CrossEntropy"}, "tsd": term},
            "weights": {"ce": "${method.w_ce}", "tsd": "${method.tsd_lam}"},
        },
    }


def config_folders(words: Sequence[str]) -> list[Path]:
    """Folders of the user's own configs, from the words of a command.

    Args:
        words: overrides and flags, as given.

    Returns:
        The folders of ``--config-dir`` and of ``hydra.searchpath``, whether they are there or not.
    """
    found: list[str] = []
    for before, word in pairwise(["", *words]):
        key, equals, value = word.partition("=")
        if before in ("--config-dir", "-cd"):
            found.append(word)
        elif key in ("--config-dir", "-cd") and equals:
            found.append(value)
        elif key.lstrip("+") == "hydra.searchpath":
            found += _listed(word)
    return [Path(place.removeprefix("file://")) for place in found if not place.startswith("pkg://")]


def _listed(word: str) -> list[str]:
    """The places that an override of ``hydra.searchpath`` lists; Hydra itself tells what is wrong with it."""
    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException:
        return []
    return [place for place in value if isinstance(place, str)] if isinstance(value, list) else []

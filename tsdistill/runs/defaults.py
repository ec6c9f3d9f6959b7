"""What a stored run's settings would be had none been changed."""

from collections.abc import Mapping
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from tsdistill.config.canonical import canonical
from tsdistill.config.resolve import recorded_settings

GROUPS = ("method", "teacher", "student")


def default_settings(result: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of ``tsdistill distill`` under a run's method, teacher, student and reader.

    A choice that no config folder of this command holds is left at the default: what it sets then counts as
    changed. Must be called within a command (Hydra is initialised there).

    Args:
        result: a stored result, or the note of a failed run.

    Returns:
        Plain values by dotted key, as in ``result["settings"]``.
    """
    loader = GlobalHydra.instance().config_loader()
    chosen = {group: str(result[group]) for group in GROUPS}
    chosen["dataset"] = reader_of(result["settings"].get("dataset._target_"))
    words = [f"{group}={name}" for group, name in chosen.items() if name in loader.get_group_options(group)]
    composed = compose("distill", overrides=words)
    OmegaConf.set_struct(composed, False)
    settings: dict[str, Any] = canonical(recorded_settings(composed))
    return settings


def reader_of(target: str | None) -> str:
    """The choice of the group ``dataset`` that reads with a given class; empty if there is none."""
    for name in GlobalHydra.instance().config_loader().get_group_options("dataset"):
        if OmegaConf.select(compose(f"dataset/{name}"), "dataset._target_") == target:
            return str(name)
    return ""

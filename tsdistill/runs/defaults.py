"""What a stored run's settings would be had none been changed."""

from collections.abc import Mapping
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from tsdistill.config.canonical import canonical
from tsdistill.config.members import compose_teacher, expand_members
from tsdistill.config.mistakes import CONFIG_ERRORS
from tsdistill.config.resolve import recorded_settings
from tsdistill.errors import TsdistillError

GROUPS = ("method", "teacher", "student")
MEMBERS = "teacher.members."


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


def with_members_named(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result's settings, in which an ensemble's members are their names again, as they were typed.

    Members whose settings are not those that their names stand for stay written out. Must be called within a
    command.
    """
    settings = dict(result["settings"])
    written = {key: value for key, value in settings.items() if key.startswith(MEMBERS)}
    names = list(dict.fromkeys(key.removeprefix(MEMBERS).partition(".")[0] for key in written))
    if not names or _written_out(result, names) != written:
        return settings
    return {key: value for key, value in settings.items() if key not in written} | {MEMBERS[:-1]: names}


def _written_out(result: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Settings of members of these names under a result's training; none if there are no such teachers."""
    try:
        composed = compose_teacher(result["teacher"])
        OmegaConf.set_struct(composed, False)
        composed.teacher.members = names
        for key, value in result["settings"].items():
            if key.startswith("teacher.training."):
                OmegaConf.update(composed, key, value)
        expand_members(composed)
    except (TsdistillError, *CONFIG_ERRORS):
        return {}
    return {k: v for k, v in canonical(recorded_settings(composed)).items() if k.startswith(MEMBERS)}


def reader_of(target: str | None) -> str:
    """The choice of the group ``dataset`` that reads with a given class; empty if there is none."""
    for name in GlobalHydra.instance().config_loader().get_group_options("dataset"):
        if OmegaConf.select(compose(f"dataset/{name}"), "dataset._target_") == target:
            return str(name)
    return ""

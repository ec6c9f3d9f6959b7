"""The members of an ensemble: names of teachers become their settings."""

from typing import Any

from hydra import compose
from omegaconf import DictConfig, ListConfig, OmegaConf

from tsdistill.config.schema import register_schemas
from tsdistill.errors import TsdistillError, nearest


def expand_members(conf: DictConfig) -> None:
    """Write the settings of every teacher that ``teacher.members`` names into it, in place.

    What differs from the defaults in the ensemble's own ``teacher.training`` holds for every member. A config
    whose members are written out, as a stored one's, stays.

    Args:
        conf: a config that Hydra has composed and, where members are named, is running.

    Raises:
        TsdistillError: no such teacher, none or one twice.
    """
    names = conf.teacher.get("members")
    if not isinstance(names, ListConfig):
        return
    default = compose_teacher(conf.teacher.name).teacher.training
    changed = {key: value for key, value in conf.teacher.training.items() if value != default[key]}
    if not names or len(set(names)) < len(names):
        raise TsdistillError(
            f"teacher.members={list(names)} should name teachers, each once; "
            "teacher.kind.size=N trains N of each"
        )
    conf.teacher.members = {str(name): _settings(str(name), changed) for name in names}


def compose_teacher(name: str) -> DictConfig:
    """The config of ``train-teacher`` for a teacher; must be called within a command, whichever it is."""
    register_schemas(["train-teacher"])  # a command registers only what it needs itself
    return compose("train-teacher", [f"teacher={name}"])


def _settings(name: str, training: dict[Any, Any]) -> Any:
    """A teacher's settings, as plain values."""
    from hydra.core.global_hydra import GlobalHydra

    known = GlobalHydra.instance().config_loader().get_group_options("teacher")
    if name not in known:
        raise TsdistillError(f"teacher.members: there is no teacher '{name}'; {nearest(name, known)}")
    composed = compose_teacher(name)
    composed.teacher.training.update(training)
    expand_members(composed)
    return OmegaConf.to_container(composed.teacher, resolve=True, enum_to_str=True)

"""Hydra's and OmegaConf's complaints in one or two lines, with the nearest valid name."""

import re
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import COMMANDS
from tsdistill.errors import nearest

_NO_SUCH_OPTION = re.compile(
    r"Could not find '(?P<what>[^']+)'\n\nAvailable options in '(?P<group>[^']+)':(?P<rest>.*?)"
    r"(\nConfig search path|$)",
    re.DOTALL,
)

LAUNCHERS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}
"""The extra that each of Hydra's launchers comes with."""

CONFIG_ERRORS = (HydraException, OmegaConfBaseException)


def explain(error: BaseException) -> str:
    """Say what is wrong with the user's overrides.

    Args:
        error: what Hydra or OmegaConf raised.

    Returns:
        One or two lines for the terminal.
    """
    for step in _chain(error):
        if isinstance(step, MissingMandatoryValue):
            return f"{step.full_key}: a value is missing; set {step.full_key}=..."
        if isinstance(step, ConfigAttributeError | ConfigKeyError) and step.full_key:
            return _unknown_key(step)
        if isinstance(step, ValidationError) and step.full_key:
            return f"{step.full_key}: {_sentence(step.msg or str(step))}"
        if isinstance(step, InterpolationResolutionError):
            return _sentence(str(step))
    return _hydra(error)


def _chain(error: BaseException) -> Iterable[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _unknown_key(error: OmegaConfBaseException) -> str:
    full_key = str(error.full_key)
    parent_path, _, key = full_key.rpartition(".")
    parent: Any = error.parent_node
    names = [str(name) for name in parent] if isinstance(parent, DictConfig) else []
    where = f"{parent_path} has no key '{key}'" if parent_path else f"there is no setting '{key}'"
    deeper = [f"{name}.{key}" for name in names if _holds(parent, name, key)]
    return f"{full_key}: {where}; {nearest(deeper[0], deeper) if deeper else nearest(key, names)}"


def _holds(parent: DictConfig, name: str, key: str) -> bool:
    node = parent._get_node(name)
    return isinstance(node, DictConfig) and not node._is_missing() and not node._is_none() and key in node


def _hydra(error: BaseException) -> str:
    """Complaints that Hydra makes only in words."""
    text = str(error)
    option = _NO_SUCH_OPTION.search(text)
    if option:
        group, name = option["group"], option["what"].rpartition("/")[2]
        if group == "hydra/launcher" and name in LAUNCHERS:
            return f"{group}={name} is not installed: pip install 'tsdistill[{LAUNCHERS[name]}]'"
        choices = [line.strip() for line in option["rest"].splitlines() if line.startswith("\t")]
        return f"{group}={name}: there is no such {group}; {nearest(name, choices)}"
    default = re.search(r"Could not override '(?P<key>[^']+)'", text)
    if default:
        key = default["key"]
        if key in _known():
            return f"{key}: this command has no such setting or group; --help lists what it takes"
        return f"{key}: there is no such setting or group; {nearest(key, _known())}"
    return _sentence(text)


def _known() -> set[str]:
    """Groups of configs, and settings at the top level of any command."""
    groups = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    return groups | {field.name for schema in COMMANDS.values() for field in fields(schema)}


def _sentence(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not re.match(r"(full_key|object_type|reference_type)[:=]", line)]
    return " ".join(lines[:2])

"""Hydra's and OmegaConf's complaints in one or two lines, with the nearest valid name."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, EnumNode, ListConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from tsdistill.config.overrides import groups
from tsdistill.config.schema import COMMANDS
from tsdistill.config.targets import shown, spell
from tsdistill.errors import nearest

_NO_SUCH_OPTION = re.compile(
    r"Could not find '(?P<what>[^']+)'\n\nAvailable options in '(?P<group>[^']+)':(?P<rest>.*?)"
    r"(\nConfig search path|$)",
    re.DOTALL,
)

_TOLD = (
    (r"Ambiguous value for argument '(?P<word>.*)'", "{word}: a run has one value; -m sweeps over several"),
    (r"Sweep parameters '(?P<word>.*)' requires", "{word}: a run has one value; -m sweeps over several"),
    (r"already at '(?P<key>.*)'", "{key}: there is one already; write {key}=VALUE, without +"),
    (r"(?P<key>\S+) appears more than once", "{key}: there is one already; write {key}=NAME, without +"),
    (r"Multiple values for (?P<key>\S+)\.\s", "{key}: there is one already; write {key}=NAME, without +"),
    (
        r"Could not delete from config. '(?P<key>.*)'",
        "~{key}: there is none; --cfg job shows all",
    ),
    (r"Could not delete '(?P<key>.*)'", "~{key}: there is no such group; --help lists them"),
    (r"Override (?P<word>.*) looks like a config group", "{word}: there is no such group; --help lists them"),
)
"""What Hydra says of an override, and what is said instead."""

_MEANT = {"dataset": "; a set of the archive is named by dataset.name={name}"}
"""What else may be meant by a name that a group does not have."""

LAUNCHERS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}
"""The extra that each of Hydra's launchers comes with."""

CONFIG_ERRORS = (HydraException, OmegaConfBaseException)

RESTRICTIONS = "only"
"""The node of what a command that reads is restricted to; its names are written without it."""


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
            return _wrong_value(step)
        if isinstance(step, InterpolationKeyError) and step.full_key:
            missing = str(step.msg).partition("'")[2].partition("'")[0]
            return f"{step.full_key} refers to {missing}, which is not set"
        if isinstance(step, InterpolationResolutionError):
            told = _sentence(str(step))
            return f"{step.full_key} refers to itself" if "Recursive" in told else told
        if isinstance(step, OverrideParseException):
            return _unreadable(step)
    return _hydra(error)


def _chain(error: BaseException) -> Iterable[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _wrong_value(error: OmegaConfBaseException) -> str:
    """A value that its setting can't have."""
    parent: Any = error.parent_node
    node: Any = error.child_node
    told = f"{error.full_key}={shown(error.value)}"
    if isinstance(node, DictConfig):
        names = ", ".join(f"{error.full_key}.{name}" for name in map(str, node))
        return f"{told}: it has settings of its own" + (f"; set one of {names}" if names else "")
    if isinstance(node, EnumNode):
        return f"{told}: {nearest(shown(error.value), (member.name for member in node.enum_type))}"
    inner = node is None and isinstance(parent, ListConfig | DictConfig)
    if node is None and not inner:
        return f"{error.full_key}: {_sentence(error.msg or str(error))}"
    return f"{told} should be {spell(parent._metadata.element_type if inner else node._metadata.ref_type)}"


def _unknown_key(error: OmegaConfBaseException) -> str:
    full_key = str(error.full_key)
    parent_path, _, key = full_key.rpartition(".")
    parent: Any = error.parent_node
    names = [str(name) for name in parent if name != "hydra"] if isinstance(parent, DictConfig) else []
    if RESTRICTIONS in names:  # dataset=... and so on are written without it
        names.remove(RESTRICTIONS)
        names += [str(name) for name in parent[RESTRICTIONS]]
        if key in names:
            return f"{key}.*: it is restricted by its name alone, as in {key}=NAME"
    where = f"{parent_path} has no key '{key}'" if parent_path else f"there is no setting '{key}'"
    below = [n for n in _deeper(parent) if not n.startswith(f"{RESTRICTIONS}.")] if names else []
    deeper = [f"{parent_path}.{name}" if parent_path else name for name in below]
    return f"{full_key}: {where}; {nearest(key, map(_written, names), deeper)}"


def _written(name: str) -> str:
    """The word by which a setting is written; ``from`` is no name that a schema's field may have."""
    return "from" if name == "sources" else name


def _deeper(parent: DictConfig, path: str = "") -> Iterator[str]:
    """The dotted paths of what lies below a config's own settings; Hydra's are left out."""
    for key in parent:
        name, node = str(key), parent._get_node(key)
        if path:
            yield f"{path}{name}"
        if name == "hydra" or not isinstance(node, DictConfig):
            continue
        if not (node._is_missing() or node._is_none() or node._is_interpolation()):
            yield from _deeper(node, f"{path}{name}.")


def _hydra(error: BaseException) -> str:
    """Complaints that Hydra makes only in words."""
    text = str(error)
    option = _NO_SUCH_OPTION.search(text)
    if option:
        group, name = option["group"], option["what"].rpartition("/")[2]
        if group == "hydra/launcher" and name in LAUNCHERS:
            return f"{group}={name} is not installed: pip install 'tsdistill[{LAUNCHERS[name]}]'"
        choices = [line.strip() for line in option["rest"].splitlines() if line.startswith("\t")]
        meant = _MEANT.get(group, "").format(name=name)
        return f"{group}={name}: there is no such {group}; {nearest(name, choices)}{meant}"
    default = re.search(r"Could not override '(?P<key>[^']+)'", text)
    if default:
        key = default["key"]
        if key in _known():
            return f"{key}: this command has no such setting or group; --help lists what it takes"
        return f"{key}: there is no such setting or group; {nearest(key, _known())}"
    for pattern, told in _TOLD:
        found = re.search(pattern, text)
        if found:
            return told.format(**found.groupdict())
    merged = re.search(r"Error merging override (?P<name>[^=]*)=(?P<value>.*)", text)
    if merged:
        is_list = merged["value"].startswith("[")
        told = "it has settings of its own; --cfg job shows them" if is_list else "it should be a list"
        return f"{merged['name']}={merged['value']}: {told}"
    return _sentence(text)


def _unreadable(error: OverrideParseException) -> str:
    """A word that is not in Hydra's grammar, or calls one of its functions amiss."""
    word, told = str(error.override), str(error.message)
    call = re.search(r"while evaluating .*?: (?P<told>.*)", told)
    if call:
        return f"{word}: {call['told']}"
    if "=" not in word:
        return f"{word}: a setting is written NAME=VALUE, without spaces"
    name = word.partition("=")[0]
    if word.endswith(","):
        return f"{word}: nothing follows the last comma; write {name}=A,B without spaces"
    return f"{word}: the value can't be read; write a text that has special characters as {name}=\\'TEXT\\'"


def _known() -> set[str]:
    """Groups of configs, and settings at the top level of any command."""
    return groups() | {field.name for schema in COMMANDS.values() for field in fields(schema)}


def _sentence(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not re.match(r"(full_key|object_type|reference_type)[:=]", line)]
    return " ".join(lines[:2])

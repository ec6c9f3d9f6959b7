"""Overrides that Hydra misreads, accepts without an effect, or refuses in words that are not the user's."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import get_args, get_type_hints

from tsdistill.config.groups import ROLES
from tsdistill.config.resolve import NODES, conf_folder
from tsdistill.config.schema import COMMANDS
from tsdistill.errors import TsdistillError

__neutral__ = "it refuses overrides and sets none"

SCALAR = r"null|true|false|[+-]?[\d.]+(e[+-]?\d+)?"
"""What is no name of a file: null, a truth value or a number."""
SEVERAL = ("experiment",)
"""Groups of which a run may have several choices."""


def refuse_misread(words: Iterable[str]) -> None:
    """Refuse what can be told to be wrong without composing a config.

    Args:
        words: overrides and flags of a command.

    Raises:
        TsdistillError: a word has no name, chooses nothing, several things or a number, removes what every
            run has, or sets a number where true or false belongs.
    """
    for word in words:
        name, equals, value = word.partition("=")
        if equals and not name.strip("+~ "):
            raise TsdistillError(f"{word}: a setting is written NAME=VALUE, without spaces")
        if name.startswith("~"):
            _refuse_removal(word, name[1:])
        elif equals:
            _refuse_value(word, name.lstrip("+"), value.strip())


def groups() -> set[str]:
    """Groups of configs from which an experiment is composed."""
    return {path.name for path in conf_folder().iterdir() if path.is_dir()} | set(ROLES)


def _refuse_removal(word: str, name: str) -> None:
    """A key may be removed from what has a target's settings; of all else a run has one."""
    name = name.partition("@")[0]
    if name.startswith(tuple(f"{node}." for node in NODES)):
        return
    if name in groups():
        raise TsdistillError(f"{word}: it can't be removed; choose another by {name}=NAME")
    if name.partition(".")[0] in {field.name for schema in COMMANDS.values() for field in fields(schema)}:
        raise TsdistillError(f"{word}: it can't be removed; set another value by {name}=VALUE")


def _refuse_value(word: str, name: str, value: str) -> None:
    if name in _truths():
        _refuse_number(name, value)
    group = name.partition("@")[0]
    is_group = group in groups() or group.startswith("hydra/")
    if re.fullmatch(r"\{\s*\}", value) and (is_group or name in (*NODES, "method.ranges")):
        advice = f"choose by {name}=NAME or " if is_group else ""
        raise TsdistillError(f"{word}: an empty {{}} sets nothing; {advice}set one of its settings")
    if not is_group:
        return
    if value.startswith("["):
        _refuse_list(word, group, name, value)
    if any(_is_scalar(each) for each in value.split(",")):
        raise TsdistillError(f"{word}: there is no such {group}; --help lists the choices")


def _refuse_number(name: str, value: str) -> None:
    """OmegaConf takes any number but 0 for true."""
    for each in value.split(","):
        if re.fullmatch(r"[+-]?\d+", each.strip()) and each.strip() not in ("0", "1"):
            raise TsdistillError(f"{name}={each.strip()} should be true or false")


@cache
def _truths() -> frozenset[str]:
    """Places of all settings that are true or false."""
    return frozenset(name for schema in COMMANDS.values() for name in _truths_in(schema))


def _truths_in(schema: type) -> Iterator[str]:
    hints = get_type_hints(schema)
    for name, hint in hints.items():
        if is_dataclass(hint):
            yield from (f"{name}.{inner}" for inner in _truths_in(hint))  # type: ignore[arg-type]
        elif bool in (hint, *get_args(hint)):
            yield name


def _is_scalar(choice: str) -> bool:
    return re.fullmatch(SCALAR, choice.strip(), re.IGNORECASE) is not None


def _refuse_list(word: str, group: str, name: str, value: str) -> None:
    chosen = [each.strip() for each in value.strip("[]").split(",") if each.strip()]
    if not chosen or any(map(_is_scalar, chosen)):
        raise TsdistillError(f"{word}: there is no such {group}; --help lists the choices")
    if group not in SEVERAL:
        raise TsdistillError(
            f"{word}: a run has one {group}; sweep over several by -m {name}={','.join(chosen)}"
        )

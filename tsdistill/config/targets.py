"""Checks nodes with a ``_target_`` against the signature of their target before anything is built."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tsdistill.errors import TsdistillError, nearest

__neutral__ = "it checks settings and computes nothing"


def locate(target: object, path: str) -> Callable[..., Any]:
    """Import what a ``_target_`` names.

    Args:
        target: dotted path such as ``package.module.Class``.
        path: place of the node in the config, for the message.

    Returns:
        The class or function.

    Raises:
        TsdistillError: if it cannot be imported or is not callable.
    """
    module_name, _, name = str(target).rpartition(".")
    if not module_name:
        raise TsdistillError(
            f"{path}._target_='{target}' is not an import path; write package.module.ClassName"
        )
    try:
        module = import_module(module_name)
    except Exception as error:  # a user's own module may fail in any way
        advice = "; is its folder on PYTHONPATH?" if isinstance(error, ModuleNotFoundError) else ""
        raise TsdistillError(
            f"{path}._target_={target}: cannot import {module_name} ({type(error).__name__}: {error}){advice}"
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise TsdistillError(
            f"{path}._target_={target}: {module_name} has no '{name}'; {nearest(name, names)}"
        )
    return found  # type: ignore[no-any-return]


def check_target(node: Mapping[str, Any], path: str, supplied: Collection[str] = ()) -> None:
    """Check a node's keys and the types of its values against its target's signature.

    Args:
        node: the resolved node, plain Python values.
        path: place of the node in the config, for the message.
        supplied: arguments that the program itself passes.

    Raises:
        TsdistillError: unknown or missing key, or a value of another type.
    """
    found = locate(node.get("_target_"), path)
    signature = inspect.signature(found)
    hints = _hints(found)
    settings = {k: v for k, v in node.items() if k != "_target_"}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    known = [n for n, p in signature.parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    for key, value in settings.items():
        if key not in known or key in supplied:
            if open_ended and key not in supplied:
                continue
            valid = [name for name in known if name not in supplied]
            raise TsdistillError(
                f"{path}.{key}: {node['_target_']} takes no such setting; {nearest(key, valid)}"
            )
        if key in hints and not _fits(value, hints[key]):
            raise TsdistillError(f"{path}.{key}={shown(value)} should be {spell(hints[key])}")
    required = {n for n in known if signature.parameters[n].default is inspect.Parameter.empty}
    missing = sorted(required - set(settings) - set(supplied))
    if missing:
        raise TsdistillError(
            f"{path}: {node['_target_']} needs {', '.join(missing)}; set {path}.{missing[0]}=..."
        )


def build(node: Mapping[str, Any], path: str, **supplied: Any) -> Any:
    """Call what a node's ``_target_`` names; nodes inside it are checked and built first.

    Args:
        node: the resolved node, plain Python values, checked by ``check_target``.
        path: place of the node in the config, for messages.
        supplied: arguments that the program itself passes.

    Raises:
        TsdistillError: a node inside has wrong settings.
    """
    settings = {key: _built(value, f"{path}.{key}") for key, value in node.items() if key != "_target_"}
    return locate(node["_target_"], path)(**settings, **supplied)


def _built(value: Any, path: str) -> Any:
    """A setting with every node inside it built."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            check_target(value, path)
            return build(value, path)
        return {key: _built(inner, f"{path}.{key}") for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_built(inner, f"{path}[{at}]") for at, inner in enumerate(value)]
    return value


def takes(found: Callable[..., Any], name: str) -> bool:
    """Say whether a callable has a parameter of that name."""
    return name in inspect.signature(found).parameters


def _hints(found: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of a callable; none where they name what is imported for type checkers alone."""
    try:
        return get_type_hints(found.__init__ if inspect.isclass(found) else found)
    except NameError:
        return {}


def _fits(value: object, hint: Any) -> bool:
    """Whether a plain value is of an annotated type; annotations that say no plain type accept anything."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in arguments)
    if origin is Literal:
        return value in arguments
    if hint in (None, NoneType):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        wanted = [a for a in arguments if a is not Ellipsis]
        return (
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and (not wanted or all(any(_fits(v, a) for a in wanted) for v in value))
        )
    return True


def shown(value: object) -> str:
    """A plain value as it is written on the command line; a text that reads like another value is quoted."""
    match value:
        case str() if re.fullmatch(r"null|true|false|[+-]?[\d.]+(e[+-]?\d+)?", value, re.IGNORECASE):
            return f"'{value}'"
        case None | bool():
            return "null" if value is None else str(value).lower()
        case Mapping():
            return f"{{{','.join(f'{key}:{shown(inner)}' for key, inner in value.items())}}}"
        case Sequence() if not isinstance(value, str):
            return f"[{','.join(map(shown, value))}]"
    return str(value)


def spell(hint: Any) -> str:
    """An annotated type in the user's words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if inspect.isclass(hint) and issubclass(hint, Enum):
        return "one of " + ", ".join(member.name for member in hint)
    if origin in (Union, UnionType):
        return " or ".join(spell(option) for option in arguments)
    if origin is Literal:
        return "one of " + ", ".join(str(a) for a in arguments)
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "a text", NoneType: "null"}
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        wanted = [a for a in arguments if a is not Ellipsis]
        inner = spell(wanted[0]) if wanted else ""
        if not inner or inner.startswith("one of "):
            return "a list" + (f" of any of {inner.removeprefix('one of ')}" if inner else "")
        return f"a list of {inner.removeprefix('a ')}s"
    return names.get(hint, str(hint))

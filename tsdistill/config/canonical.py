"""Settings in one canonical form, so that runs which differ only in spelling are one run."""

import inspect
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Any

from tsdistill.config.targets import locate

__neutral__ = "what it makes of the settings is itself part of every key"

PLAIN = (bool, int, float, str, list, tuple, type(None))


def canonical(value: Any) -> Any:
    """Bring plain settings into one form: ``8``, ``8.0`` and ``8e0`` are one number, enums are their names.

    Args:
        value: numbers, texts, None, enums, and lists, tuples and mappings of these.

    Returns:
        The same with whole floats as integers, tuples as lists and text keys.
    """
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): canonical(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def filled(node: Mapping[str, Any], path: str, supplied: Collection[str] = ()) -> dict[str, Any]:
    """Canonical settings of a node with a ``_target_``, the defaults of its signature filled in.

    Args:
        node: the node, plain values.
        path: its place in the config, for messages.
        supplied: arguments that the program passes itself.

    Returns:
        ``_target_`` and every setting that it is called with.

    Raises:
        TsdistillError: the target cannot be imported.
    """
    parameters = inspect.signature(locate(node["_target_"], path)).parameters.values()
    defaults = {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.name not in supplied and isinstance(parameter.default, PLAIN)
    }
    return {str(key): value for key, value in canonical({**defaults, **node}).items()}


def targets_in(value: Any) -> Iterator[str]:
    """Every ``_target_`` in a node, those inside others included."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield str(value["_target_"])
        for inner in value.values():
            yield from targets_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from targets_in(inner)

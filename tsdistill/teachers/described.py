"""A classifier object as the settings that build another like it."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from tsdistill.errors import TsdistillError


def described(estimator: Any, place: str = "teacher") -> dict[str, Any]:
    """The ``_target_`` and settings that build a classifier like a given one, fitted or not.

    Args:
        estimator: an object of scikit-learn's or sktime's manner: its settings are what ``get_params`` says.
        place: where it stands, for messages.

    Returns:
        Plain data for ``teacher.kind.estimator``: the settings that differ from the defaults of its class.

    Raises:
        TsdistillError: it has no ``get_params``, its class can't be imported by its name, or a setting is
            not plain data.
    """
    kind = type(estimator)
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise TsdistillError(
            f"{place}={estimator!r} should be the name of a teacher, or a classifier object with get_params"
        )
    if kind.__module__ == "__main__" or "<" in kind.__qualname__ or "." in kind.__qualname__:
        raise TsdistillError(
            f"{place}: {kind.__module__}.{kind.__qualname__} can't be imported by its name; "
            "put the class at the top of a module"
        )
    usual = {name: given.default for name, given in inspect.signature(kind).parameters.items()}
    settings = {
        name: _plain(value, f"{place}.{name}")
        for name, value in estimator.get_params(deep=False).items()
        if not _same(value, usual.get(name, inspect.Parameter.empty))
    }
    return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **settings}


def _same(value: Any, usual: Any) -> bool:
    return value is usual or (isinstance(value, bool | int | float | str) and bool(value == usual))


def _plain(value: Any, place: str) -> Any:
    """A setting as plain data: classifiers inside it become nodes."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_plain(each, f"{place}[{at}]") for at, each in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(each, f"{place}.{key}") for key, each in value.items()}
    if hasattr(value, "get_params"):
        return described(value, place)
    raise TsdistillError(f"{place} is a {type(value).__name__}; a teacher's settings must be plain data")

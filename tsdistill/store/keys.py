"""Names for what is stored: a hash of all that determines it."""

import hashlib
import inspect
import json
import math
import pydoc
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tsdistill
from tsdistill.errors import TsdistillError

OWN_PACKAGES = {"tsdistill", "torch", "builtins"}
"""What these do is covered by RESULTS_VERSION and the recorded environment, not by a hash of their source."""


def key_of(kind: str, facts: Mapping[str, Any]) -> str:
    """Name an artefact by the facts that determine it.

    Args:
        kind: ``"teacher"``, ``"pool"``, ``"map"`` or ``"run"``; the same facts of two kinds have two keys.
        facts: JSON-like values (str, int, finite float, bool, None; lists, tuples and dicts with str keys of
            these). The order of dict entries does not matter; ``1`` and ``1.0`` differ.

    Returns:
        16 hex digits of the SHA-256 of the canonical JSON of kind, RESULTS_VERSION and facts.

    Raises:
        TsdistillError: a value is not JSON (its path is named).
    """
    _refuse_not_json(facts, kind)
    whole = {"kind": kind, "results_version": tsdistill.RESULTS_VERSION, "facts": facts}
    text = json.dumps(whole, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _refuse_not_json(value: object, path: str) -> None:
    """Raise for anything that ``json`` would refuse, or would silently turn into something else."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise TsdistillError(
                    f"{path}: the name {name!r} is not text, so no cache key can be made of it"
                )
            _refuse_not_json(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _refuse_not_json(inner, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise TsdistillError(f"{path} is {value}: a setting must be a finite number")
    elif value is not None and not isinstance(value, str | int | float):
        raise TsdistillError(f"{path} is a {type(value).__name__}, so no cache key can be made of it")


def code_fingerprint(target: str) -> str | None:
    """Hash the source behind a user's ``_target_``, so that an edited model is another model.

    The modules that define the target and its base classes are hashed; what these import is not.

    Args:
        target: dotted path of a class or function.

    Returns:
        Hex SHA-256, or None for targets inside ``tsdistill`` and ``torch``.

    Raises:
        TsdistillError: the target can't be imported, or has no source file.
    """
    if target.partition(".")[0] in OWN_PACKAGES:
        return None
    try:
        found = pydoc.locate(target)
    except pydoc.ErrorDuringImport as error:
        raise TsdistillError(f"_target_: {target}: its module fails on import: {error.value!r}") from error
    if found is None:
        raise TsdistillError(f"_target_: {target} is not found: is its folder on PYTHONPATH?")
    family = inspect.getmro(found) if inspect.isclass(found) else (found,)
    modules = sorted({getattr(member, "__module__", None) or target.rpartition(".")[0] for member in family})
    digest = hashlib.sha256()
    for module in modules:
        if module.partition(".")[0] not in OWN_PACKAGES:
            digest.update(module.encode() + b"\0" + _source(module, target) + b"\0")
    return digest.hexdigest()


def _source(module: str, target: str) -> bytes:
    """Read the file that ``module`` was imported from."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        raise TsdistillError(f"_target_: {target} has no source file: put it into a module of its own")
    return Path(file).read_bytes()

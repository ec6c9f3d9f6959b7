"""Names for what is stored: a hash of all that determines it."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from tsdistill.config.canonical import canonical
from tsdistill.errors import TsdistillError


def key_of(kind: str, facts: Mapping[str, Any]) -> str:
    """Name an artefact by the facts that determine it.

    Args:
        kind: ``"teacher"``, ``"pool"``, ``"map"`` or ``"run"``; the same facts of two kinds have two keys.
        facts: JSON-like values (str, int, finite float, bool, None; lists, tuples and dicts with str keys of
            these). Neither the order of dict entries nor the spelling of numbers matters: ``1`` is ``1.0``.

    Returns:
        16 hex digits of the SHA-256 of the canonical JSON of kind and facts.

    Raises:
        TsdistillError: a value is not JSON (its path is named).
    """
    _refuse_not_json(facts, kind)
    whole = {"kind": kind, "facts": canonical(facts)}
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

"""What a run's result must look like: a record from elsewhere may hold anything."""

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_KEY = re.compile(r"[0-9A-Za-z_-]{1,64}")
DEEPEST = 6
"""Levels of the deepest block of a result."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_key(value: object) -> bool:
    return isinstance(value, str) and _KEY.fullmatch(value) is not None


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_block(value: object) -> bool:
    return isinstance(value, dict) and _is_plain(value, DEEPEST)


def _is_block_or_none(value: object) -> bool:
    return value is None or _is_block(value)


def _is_scores(value: object) -> bool:
    return _is_block(value) and not any(isinstance(each, str) for each in value.values())  # type: ignore[attr-defined]


def _is_scores_or_none(value: object) -> bool:
    return value is None or _is_scores(value)


def _is_plain(value: object, depth: int) -> bool:
    """Whether a value is made of finite numbers, texts and null, and not too deep."""
    if isinstance(value, float):
        return math.isfinite(value)
    if not isinstance(value, dict | list):
        return True
    if depth <= 0:
        return False
    for inner in value.values() if isinstance(value, dict) else value:
        kind = type(inner)
        if kind is float:
            if not math.isfinite(inner):
                return False
        elif kind is not str and kind is not int and not _is_plain(inner, depth - 1):
            return False
    return True


_IDENTITY: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(("dataset", "method", "teacher", "student"), _is_text),
    **dict.fromkeys(("seed", "trial"), _is_whole),
    "settings": _is_block,
}
_RESULT: Mapping[str, Callable[[object], bool]] = {
    **_IDENTITY,
    "id": _is_key,
    "status": lambda value: value == "ok",
    "teacher_id": _is_key,
    "flags": _is_texts,
    "test": _is_scores,
    "teacher_test": _is_scores,
    "validation": _is_scores_or_none,
    "teacher_validation": _is_scores_or_none,
    "cost": _is_block,
    "training": _is_block,
}
_OPTIONAL: Mapping[str, Callable[[object], bool]] = {
    "grid_keys": _is_texts,
    "study": _is_text,
    "data": _is_block,
    **dict.fromkeys(("code", "metric_code"), lambda value: value is None or isinstance(value, str)),
    **dict.fromkeys(("noise", "reseeded", "reasoning"), _is_block_or_none),
}
_FAILURE: Mapping[str, Callable[[object], bool]] = {
    **_IDENTITY,
    "id": _is_key,
    "status": lambda value: value == "failed",
    "error": _is_text,
}


def check_result(result: Mapping[str, Any]) -> None:
    """Refuse a result that lacks something or holds a value of another type.

    Raises:
        ValueError: it does; the name is told.
    """
    _check(result, _RESULT, "result.json")


def check_failure(note: Mapping[str, Any]) -> None:
    """Refuse the note of a failed run that lacks something or holds a value of another type.

    Raises:
        ValueError: it does; the name is told.
    """
    _check(note, _FAILURE, "the note")


def check_logits(found: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Refuse a run's logits that lack the test part or do not fit together; returns them.

    For each part of the data, the student's and the teacher's logits are (n, K) floats, and the labels
    ``y_<part>`` (n,) whole numbers below K.

    Raises:
        ValueError: they do not fit; the name is told.
    """
    if "test" not in found:
        raise ValueError("logits.safetensors lacks test")
    for name, tensor in found.items():
        part = name.removeprefix("y_").removeprefix("teacher_")
        logits = found.get(part, found["test"])
        if name.startswith("y_"):
            fits = tensor.ndim == 1 and not tensor.is_floating_point() and not tensor.is_complex()
            fits = fits and (
                not len(tensor) or 0 <= int(tensor.min()) <= int(tensor.max()) < logits.shape[-1]
            )
        else:
            fits = tensor.ndim == 2 and tensor.is_floating_point() and tensor.shape[1:] == logits.shape[1:]
        if not fits or len(tensor) != len(logits):
            raise ValueError(f"logits.safetensors has no valid {name}")
    return found


def _check(found: Mapping[str, Any], wanted: Mapping[str, Callable[[object], bool]], what: str) -> None:
    for name, fits in wanted.items():
        if name not in found:
            raise ValueError(f"{what} lacks {name}")
        if not fits(found[name]):
            raise ValueError(f"{what} has no valid {name}")
    for name, fits in _OPTIONAL.items():
        if name in found and not fits(found[name]):
            raise ValueError(f"{what} has no valid {name}")

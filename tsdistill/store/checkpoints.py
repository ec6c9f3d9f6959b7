"""A checkpoint: how far an artefact has come that is being made, as nested plain values and tensors.

It is a folder of its own, ``<out>/checkpoints/<dataset>/<kind>-<key>``, and no listing of what is stored sees
it. It holds ``state.json``, in which each tensor is named, and ``state.safetensors``.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tsdistill.store.artefact import discard, read_artefact, staged
from tsdistill.store.contents import Contents
from tsdistill.store.formats import save_tensors, to_json
from tsdistill.store.temporary import sweep

SCHEMA = 1
FOLDER = "checkpoints"
STATE, TENSORS = "state.json", "state.safetensors"


class UnstorableError(TypeError):
    """A state that holds something else than plain values and tensors."""


def checkpoint_folder(artefact: Path) -> Path:
    """Where the checkpoint of an artefact lies.

    Args:
        artefact: the folder that the artefact will get, ``<out>/<kind>/<dataset>/<key>``.
    """
    kind = artefact.parents[1].name
    return artefact.parents[2] / FOLDER / artefact.parent.name / f"{kind}-{artefact.name}"


def write_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint, in the place of one that is there.

    Raises:
        UnstorableError: a value that is neither plain nor a tensor.
        TsdistillError: it can't be written.
    """
    tensors: dict[str, Tensor] = {}
    plain = _packed(dict(state), "", tensors)
    with staged(folder, replace=True) as new:
        save_tensors(new / TENSORS, tensors)
        (new / STATE).write_text(to_json({"schema": SCHEMA, "state": plain}), encoding="utf-8")


def read_checkpoint(folder: Path, accept: Callable[[Mapping[str, Any]], None]) -> dict[str, Any] | None:
    """Read a checkpoint.

    Args:
        folder: where it lies.
        accept: raises a ValueError, which says why, for a checkpoint that is of no use here.

    Returns:
        What was written; None if there is none, or if it was damaged or not accepted and has been set aside.
    """

    def parse(stored: Contents) -> dict[str, Any]:
        found = stored.json(STATE)
        if found.get("schema") != SCHEMA:
            raise ValueError(f"{STATE} has schema {found.get('schema')!r}, not {SCHEMA}")
        state: dict[str, Any] = _unpacked(found["state"], stored.tensors(TENSORS))
        accept(state)
        return state

    if folder.parent.is_dir():
        sweep(folder.parent)  # a writer may have been killed between the two renames of a replacement
    return read_artefact(folder, parse)


def remove_checkpoint(folder: Path) -> None:
    """Remove a checkpoint if there is one.

    Raises:
        TsdistillError: it can't be removed.
    """
    if folder.is_dir():
        discard(folder)


def _packed(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON can hold it; tensors are collected by their place in it."""
    if isinstance(value, Tensor):
        tensors[path] = value
        return {"$tensor": path}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, list | tuple):
        items = [_packed(each, f"{path}/{i}", tensors) for i, each in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping):
        if not isinstance(value, Counter) and all(isinstance(k, str) and k[:1] != "$" for k in value):
            return {key: _packed(each, f"{path}/{key}", tensors) for key, each in value.items()}
        pairs = [[_packed(k, path, tensors), _packed(v, f"{path}/{k}", tensors)] for k, v in value.items()]
        return {"$counter" if isinstance(value, Counter) else "$map": pairs}
    raise UnstorableError(f"{path.lstrip('/')} is a {type(value).__name__}")


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What ``_packed`` was given; tensors no longer depend on the file."""
    if isinstance(value, list):
        return [_unpacked(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"$tensor": str(path)}:
            return tensors[path].clone()
        case {"$float": str(text)}:
            return float(text)
        case {"$tuple": list(items)}:
            return tuple(_unpacked(each, tensors) for each in items)
        case {"$map": list(pairs)}:
            return {_unpacked(k, tensors): _unpacked(v, tensors) for k, v in pairs}
        case {"$counter": list(pairs)}:
            return Counter({_unpacked(k, tensors): v for k, v in pairs})
    return {key: _unpacked(each, tensors) for key, each in value.items()}

"""The file formats of the store: strict JSON, YAML and safetensors; never pickle.

JSON has no NaN: a float that is not finite (an undefined metric) is written as ``null``. Code that reads a
block of float metrics passes it through :func:`metrics`, which turns each ``null`` inside back into ``nan``.
A block that is ``null`` as a whole (no validation part) stays None.
"""

import errno
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Tensors = Mapping[str, Tensor | NDArray[Any]]


def to_json(value: object) -> str:
    """Write ``value`` as strict, indented JSON with a final newline; NaN and infinities become ``null``.

    numpy and torch scalars are taken as the Python numbers they hold.
    """
    return json.dumps(_finite(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    """Replace what strict JSON can't hold."""
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if not isinstance(value, str | int | float) and hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: it is malformed, or no object.
    """
    value = json.loads(path.read_bytes())
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return value


def metrics(block: Any) -> Any:
    """Turn each ``null`` inside a block of float metrics back into ``nan``; a block of None stays None."""
    if not isinstance(block, dict):
        return block
    return {name: math.nan if value is None else metrics(value) for name, value in block.items()}


def to_yaml(config: Mapping[str, Any]) -> str:
    """Write a resolved config as YAML, in its own order."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(dict(config)))


def from_yaml(text: str) -> dict[str, Any]:
    """Read a config as plain dicts, lists and scalars: nothing in it is instantiated or interpolated.

    Raises:
        ValueError: it is malformed, no mapping, or holds an interpolation.
    """
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        config = OmegaConf.create(text)
    except (YAMLError, OmegaConfBaseException) as error:
        raise ValueError(f"config is malformed: {str(error).splitlines()[0]}") from error
    if not isinstance(config, DictConfig):
        raise ValueError("config is not a mapping")
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=False)  # type: ignore[assignment]
    if _interpolates(plain):  # configs are stored resolved; an interpolation could build anything
        raise ValueError("config holds an interpolation (${...}), which no stored config has")
    return plain


def _interpolates(node: object) -> bool:
    if isinstance(node, dict):
        return any(_interpolates(inner) for pair in node.items() for inner in pair)
    if isinstance(node, list):
        return any(map(_interpolates, node))
    return isinstance(node, str) and "${" in node


def save_tensors(path: Path, tensors: "Tensors") -> None:
    """Write named tensors or arrays of any shape as safetensors.

    Raises:
        OSError: the file can't be written.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    own: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in tensors.items():
        tensor = torch.as_tensor(value).detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        own[name] = tensor.clone() if storage in seen else tensor  # safetensors refuses shared memory
        seen.add(storage)
    try:
        path.touch()
        mode = path.stat().st_mode
        save_file(own, path)
        path.chmod(mode)  # safetensors lets nobody but the owner read, whatever the umask says
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error)) from error


def load_tensors(path: Path) -> "dict[str, Tensor]":
    """Read named tensors.

    Raises:
        ValueError: it is not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return tensors

"""The file formats of the store: strict JSON, YAML and safetensors; never pickle.

JSON has no NaN: a float that is not finite (an undefined metric) is written as ``null``. Code that reads a
block of float metrics passes it through :func:`metrics`, which turns each ``null`` inside back into ``nan``.
A block that is ``null`` as a whole (no validation part) stays None.
"""

import errno
import hashlib
import json
import math
import re
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsdistill.store.files import opened, read_whole

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray
    from torch import Tensor

    Tensors = Mapping[str, Tensor | NDArray[Any]]

LONGEST_CONFIG = 2**18
"""Characters of the longest stored config that is read; usual ones have some 5,000."""
DEEPEST_CONFIG = 32
LONGEST_HEADER = 4 * 2**20
"""Bytes of the longest safetensors header that is read; a network of 1,000 tensors has some 100,000."""


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
    return parse_json(read_whole(path), path.name)


def parse_json(text: bytes | str, name: str) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        text: the file's content.
        name: the file, for the message.

    Raises:
        ValueError: it is malformed, nested too deeply, or no object; or it holds NaN or an infinity.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{name} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not a JSON object")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def sealed(note: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the hash of all else in it under ``"sha256"``."""
    facts = {name: value for name, value in note.items() if name != "sha256"}
    plain = json.dumps(_finite(facts), sort_keys=True, allow_nan=False)
    return {**facts, "sha256": hashlib.sha256(plain.encode()).hexdigest()}


def is_sealed(note: Mapping[str, Any]) -> bool:
    """Whether an object is still what :func:`sealed` made."""
    return bool(sealed(note)["sha256"] == note.get("sha256"))


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
    """Read a stored config as plain dicts, lists and scalars.

    The text is checked before anything is built from it: :func:`to_yaml` writes no alias, tag or
    interpolation, so none is read. An alias can multiply what it names without end, a tag can name a type,
    and an interpolation could call whatever it names.

    Raises:
        ValueError: it is malformed, no mapping, too long or too deep, or holds one of these.
    """
    return deepcopy(_parsed_yaml(text))


@lru_cache(maxsize=16)
def _parsed_yaml(text: str) -> dict[str, Any]:
    """See ``from_yaml``; the runs of a sweep read their teacher's config again and again."""
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        _refuse_lively_yaml(text)
        config = OmegaConf.create(text)
        if not isinstance(config, DictConfig):
            raise ValueError("config is not a mapping")
        plain: dict[str, Any] = OmegaConf.to_container(config, resolve=False)  # type: ignore[assignment]
    except (YAMLError, OmegaConfBaseException, RecursionError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"config is malformed: {reason}") from error
    return plain


def _refuse_lively_yaml(text: str) -> None:
    """Refuse all in a YAML text but plain mappings, lists and scalars of a bounded size and depth."""
    import yaml

    if len(text) > LONGEST_CONFIG:
        raise ValueError(f"config has {len(text):,} characters, more than {LONGEST_CONFIG:,}")
    depth, root = 0, None
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_CONFIG:
            raise ValueError(f"config is nested more than {DEEPEST_CONFIG} levels deep")
        if getattr(event, "anchor", None) is not None:  # an alias has one too
            raise ValueError("config holds an anchor or an alias, which no stored config has")
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"config holds the tag {event.tag!r}, which no stored config has")
        if "${" in getattr(event, "value", ""):
            raise ValueError("config holds an interpolation (${...}), which no stored config has")
        if root is None and isinstance(event, yaml.NodeEvent):
            root = event
    if not isinstance(root, yaml.MappingStartEvent):
        raise ValueError("config is not a mapping")


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

    with opened(path) as file:
        check_header(file, path.name)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    return tensors


def parse_tensors(content: bytes, name: str) -> "dict[str, Tensor]":
    """Named tensors from the bytes of a safetensors file.

    Args:
        content: the bytes.
        name: the file, for the message.

    Raises:
        ValueError: they are no safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors: dict[str, Tensor] = load(content)
    except (SafetensorError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from error
    return tensors


def check_header(file: "BinaryIO", name: str) -> None:
    """Refuse a safetensors file whose header is longer than any that is written here.

    Raises:
        ValueError: it is.
    """
    size = int.from_bytes(file.read(8), "little")
    if size > LONGEST_HEADER:
        raise ValueError(f"{name} claims a header of {size:,} bytes, more than {LONGEST_HEADER:,}")

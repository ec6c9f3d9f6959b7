"""Parsed sets on disk, keyed by the contents of the files that they were parsed from."""

import hashlib
import json
import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tsdistill.data.download import file_digest
from tsdistill.data.npz import UNSOUND
from tsdistill.data.raw import FileReader, RawDataset, RawPart, Sources
from tsdistill.errors import TsdistillError

PARSER_VERSION = 1
"""Raised by hand when a reader of ours gives other values for the same file."""

_log = logging.getLogger(__name__)
_BROKEN = (*UNSOUND, MemoryError, ValueError, KeyError, TypeError, AttributeError)


def read_cached(
    reader: FileReader, settings: Mapping[str, Any], data_root: Path | None, cache: Path
) -> RawDataset:
    """Read a set, from the cache where the same files were parsed with the same settings before.

    A damaged cached set is parsed again; a cache that cannot be written is skipped.

    Args:
        reader: the reader.
        settings: its ``_target_`` and settings, as plain values.
        data_root: root of the user's local data, or None.
        cache: folder for downloads and parsed sets; where the folder above it isn't there, no parsed set is
            kept.

    Returns:
        Both parts as read.
    """
    sources = reader.locate(data_root, cache)
    if not str(settings["_target_"]).startswith("tsdistill."):
        # A user's reader may be edited at any time: what it parsed before is not what it says now.
        return RawDataset(sources.name, *reader.parse(sources), sources.source, sources.notes)
    path = cache / "parsed" / f"{sources.name}-{content_key(sources, settings)[:24]}.npz"
    parts = _load(path)
    if parts is None:
        try:
            parts = reader.parse(sources)
        except MemoryError:
            raise TsdistillError(f"{sources.files[0]}: its series do not fit into memory") from None
        if cache.parent.is_dir():  # what only asks makes no output folder
            _save(path, parts)
    return RawDataset(sources.name, *parts, sources.source, sources.notes)


def content_key(sources: Sources, settings: Mapping[str, Any]) -> str:
    """Hex SHA-256 of all that determines what is parsed: the files' contents and the reader's settings."""
    for path in sources.files:
        if path.exists() and not path.is_file():
            raise TsdistillError(f"{path}: not a plain file")
    try:
        digests = [file_digest(path) for path in sources.files]
    except OSError as error:
        raise TsdistillError(f"{error.filename}: cannot be read ({error.strerror})") from None
    known = [PARSER_VERSION, sources.name, digests, dict(settings)]
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=repr).encode()).hexdigest()


def _load(path: Path) -> tuple[RawPart, RawPart] | None:
    """Read a parsed set; the archive's own checksums tell whether it is whole."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            train, test = (
                RawPart(
                    stored[f"{half}_values"],
                    stored[f"{half}_lengths"],
                    tuple(stored[f"{half}_labels"].tolist()),
                    tuple(stored[f"{half}_channels"].tolist()),
                )
                for half in ("train", "test")
            )
    except _BROKEN as error:
        _log.warning("%s is damaged (%s); the set is parsed again", path, error)
        return None
    return train, test


def _save(path: Path, parts: tuple[RawPart, RawPart]) -> None:
    """Write a parsed set under a temporary name, then give it its own."""
    arrays: dict[str, Any] = {}
    for half, part in zip(("train", "test"), parts, strict=True):
        arrays[f"{half}_values"] = part.values
        arrays[f"{half}_lengths"] = part.lengths
        arrays[f"{half}_labels"] = np.array(part.labels, dtype=np.str_)
        arrays[f"{half}_channels"] = np.array(part.channels, dtype=np.str_)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.stem}-{secrets.token_hex(8)}")
        try:
            with scratch.open("xb") as file:  # unlike mkstemp's, its mode follows the umask
                np.savez(file, allow_pickle=False, **arrays)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("%s: the parsed set is not kept (%s)", path, error)

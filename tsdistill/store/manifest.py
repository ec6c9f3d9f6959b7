"""A folder's manifest: the size and hash of each of its files, and the check against it."""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tsdistill.store.contents import Contents
from tsdistill.store.files import refuse_long
from tsdistill.store.formats import to_json

MANIFEST = "manifest.json"
SCHEMA = 1
FILES = frozenset(
    {
        MANIFEST,
        *("config.yaml", "curve.csv", "environment.json", "facts.json", "metrics.json"),
        *("result.json", "state.json", "timing.json"),
        *("logits.safetensors", "maps.safetensors", "pool.safetensors"),
        *("state.safetensors", "terms.safetensors", "weights.safetensors"),
    }
)
"""Every file that an artefact may hold."""
SMALL = 2**20
"""Bytes of a file that is read at once to be hashed."""
LARGEST = 8 * 2**30
"""Bytes of the largest file that is hashed; a sparse file can claim any size."""

BROKEN = (
    *(ValueError, KeyError, TypeError, AttributeError, RecursionError),
    *(FileNotFoundError, NotADirectoryError, IsADirectoryError),
)
"""What is raised while a damaged folder is read; other system errors say that it can't be read here."""


@dataclass(frozen=True)
class Held:
    """What was held against a manifest.

    Attributes:
        files: the bytes of the files that were asked for, by name.
        digests: the hash of each file in the manifest, by name.
    """

    files: Mapping[str, bytes]
    digests: Mapping[str, str]


def seal(folder: Path) -> None:
    """Write the manifest of the files in a folder, in the place of one that is there."""
    files = {}
    for path in sorted(path for path in folder.iterdir() if path.name != MANIFEST):
        with path.open("rb") as file:
            files[path.name] = {
                "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                "size": file.tell(),
            }
    (folder / MANIFEST).write_text(to_json({"schema": SCHEMA, "files": files}), encoding="utf-8")


def hold(stored: Contents, wanted: Collection[str] = ()) -> Held:
    """Check every file of a stored thing against its manifest.

    Args:
        stored: what is checked.
        wanted: names of the files whose bytes are returned. These are the bytes that were hashed, so nothing
            can change between the check and their use.

    Raises:
        one of ``BROKEN``: a file is missing, changed, no plain file, or known but not listed.
        OSError: a file can't be read.
    """
    try:
        entries = _entries(stored.json(MANIFEST))
    except FileNotFoundError:
        raise ValueError(f"{MANIFEST} is missing") from None
    here = stored.names()
    unlisted = sorted((here & FILES) - entries.keys() - {MANIFEST})
    if unlisted:
        raise ValueError(f"{unlisted[0]} is not in {MANIFEST}")
    lacking = sorted({*entries, *wanted} - here) or sorted({*wanted} - entries.keys())
    if lacking:
        raise ValueError(f"{lacking[0]} is missing")
    found = {}
    for name, (size, digest) in entries.items():
        with stored.opened(name) as (file, length):
            if length != size:
                raise ValueError(f"{name} has changed since it was written")
            if name in wanted:
                if not name.endswith(".safetensors"):
                    refuse_long(size, name)
                found[name] = file.read(size + 1)
                seen = hashlib.sha256(found[name]).hexdigest()
            elif size <= SMALL:
                seen = hashlib.sha256(file.read(size + 1)).hexdigest()
            else:
                seen = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        if seen != digest:
            raise ValueError(f"{name} has changed since it was written")
    return Held(found, {name: digest for name, (_, digest) in entries.items()})


def problem_with(stored: Contents) -> str | None:
    """What is wrong with an artefact; None if it is whole."""
    try:
        hold(stored)
    except BROKEN as problem:
        return " ".join(str(problem).split())
    except OSError as error:
        return f"it can't be read: {error.strerror or error}"
    return None


def digests_of(stored: Contents) -> dict[str, str]:
    """The hash of each file by its name, as the manifest of a stored thing has it.

    Raises:
        one of ``BROKEN``: the manifest is missing or malformed.
        OSError: it can't be read.
    """
    return {name: digest for name, (_, digest) in _entries(stored.json(MANIFEST)).items()}


def _entries(manifest: Mapping[str, object]) -> dict[str, tuple[int, str]]:
    """Size and hash by name.

    Raises:
        ValueError: the manifest is malformed.
    """
    if manifest.get("schema") != SCHEMA:
        raise ValueError(f"{MANIFEST} has schema {manifest.get('schema')!r}, not {SCHEMA}")
    files = manifest.get("files")
    if not isinstance(files, dict) or not files or len(files) > len(FILES):
        raise ValueError(f"{MANIFEST} lists no files, or more than an artefact has")
    found = {}
    for name, entry in files.items():
        if name not in FILES and (Path(name).name != name or "\0" in name or "\\" in name):
            raise ValueError(f"{MANIFEST} names a file outside the folder: {name!r}")
        match entry:
            case {"size": int(size), "sha256": str(digest)} if 0 <= size <= LARGEST and re.fullmatch(
                "[0-9a-f]{64}", digest
            ):
                found[name] = (size, digest)
            case _:
                raise ValueError(f"{MANIFEST} has no valid size and hash of {name!r}")
    return found

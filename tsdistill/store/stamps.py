"""Stamps tell files as they are from the same files changed, without reading them.

A stamp is made of the inode, size and times of each file. Of 100,000 runs those are a million calls, so each
file costs one.
"""

import hashlib
import os
import struct
from collections.abc import Iterable
from typing import NamedTuple

_NAMES = (
    *("manifest.json", "result.json", "timing.json", "environment.json", "config.yaml", "curve.csv"),
    *("facts.json", "logits.safetensors", "weights.safetensors", "terms.safetensors"),
)
RUN_FILES = frozenset(_NAMES)
"""Every file of a run's record. The folder's own times tell whether another was added or one removed."""
_FACTS = struct.Struct("<Qqqq")
_MOST = 2**64 - 1


class Stamp(NamedTuple):
    """What tells files as they are from the same files changed.

    Attributes:
        text: changes if a file does.
        changed: when one last did, in seconds since 1970.
    """

    text: str
    changed: float


def stamp_of_record(folder: str) -> Stamp:
    """The stamp of a run's folder.

    Raises:
        OSError: it can't be read.
    """
    stat = os.stat
    stats: list[os.stat_result | None] = [stat(folder)]
    for name in _NAMES:
        try:
            stats.append(stat(f"{folder}/{name}"))
        except FileNotFoundError:
            stats.append(None)
    return _stamp(stats)


def stamp_of_file(path: str) -> Stamp:
    """The stamp of one file.

    Raises:
        OSError: it can't be read.
    """
    return _stamp([os.stat(path)])  # noqa: PTH116 (a path would be made for each)


def _stamp(stats: Iterable[os.stat_result | None]) -> Stamp:
    facts, changed = [], 0
    for s in stats:
        if s is None:
            facts.append(b"-")
            continue
        at = s.st_ctime_ns
        facts.append(_FACTS.pack(s.st_ino & _MOST, s.st_size, s.st_mtime_ns, at))
        changed = max(changed, at)
    return Stamp(hashlib.blake2b(b"".join(facts), digest_size=16).hexdigest(), changed / 1e9)

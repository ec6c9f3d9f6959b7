"""Many results as columns: what records share is kept once, and figures lie side by side as doubles.

A result is an object of values and of blocks, such as ``test``, of values. Results with the same names in the
same order form a group, whose columns hold one value a record. The results are read through :class:`Row`,
which looks like the object that was stored; the report takes whole columns.
"""

import json
import struct
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

WHOLE = frozenset({"environment"})
"""Blocks that many records share as a whole."""
MOST_CODED = 256
"""Different values of a column that are numbered, a byte each."""
_LENGTH = struct.Struct("<Q")

Shape = tuple[tuple[str, tuple[str, ...] | None], ...]
"""Names of a result; of a block, those within it."""


@dataclass(frozen=True, slots=True)
class Column:
    """One value a record.

    Attributes:
        values: the values, or, with ``codes``, those that differ.
        codes: which of ``values`` each record has.
    """

    values: Sequence[Any]
    codes: bytes | None = None

    def __getitem__(self, at: int) -> Any:
        return self.values[at] if self.codes is None else self.values[self.codes[at]]


@dataclass(frozen=True)
class Group:
    """Results of one shape.

    Attributes:
        shape: their names.
        columns: in the order of the shape, those of a block one after another.
        size: how many results.
    """

    shape: Shape
    columns: Sequence[Column]
    size: int

    @cached_property
    def places(self) -> Mapping[str, int | Mapping[str, int]]:
        """Where the column of each name is, and of each name within a block."""
        found: dict[str, int | Mapping[str, int]] = {}
        at = 0
        for name, inner in self.shape:
            found[name] = at if inner is None else {key: at + n for n, key in enumerate(inner)}
            at += 1 if inner is None else len(inner)
        return found

    @cached_property
    def _differing(self) -> Mapping[str, Sequence[Column] | None]:
        """The columns of each block that differ among the results; None where some hold a value each."""
        found: dict[str, Sequence[Column] | None] = {}
        for name, place in self.places.items():
            if not isinstance(place, int):
                columns = [self.columns[at] for at in place.values()]
                coded = all(column.codes is not None for column in columns)
                found[name] = [column for column in columns if len(column.values) > 1] if coded else None
        return found

    @cached_property
    def _blocks(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        return {}

    def block(self, name: str, place: Mapping[str, int], at: int) -> dict[str, Any]:
        """A block of one result; those that are alike are one object."""
        differing = self._differing[name]
        if differing is None:
            return {key: self.columns[inner][at] for key, inner in place.items()}
        key = (name, *[column.codes[at] for column in differing if column.codes is not None])
        if key not in self._blocks:
            self._blocks[key] = {key: self.columns[inner][at] for key, inner in place.items()}
        return self._blocks[key]


class Row(Mapping[str, Any]):
    """One result of a group, read like the object that was stored; not to be changed."""

    __slots__ = ("at", "group")

    def __init__(self, group: Group, at: int) -> None:
        self.group, self.at = group, at

    def __getitem__(self, name: str) -> Any:
        place = self.group.places[name]
        if isinstance(place, int):
            return self.group.columns[place][self.at]
        return self.group.block(name, place, self.at)

    def __iter__(self) -> Iterator[str]:
        return iter(self.group.places)

    def __len__(self) -> int:
        return len(self.group.places)

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True)
class Batch:
    """Results of one data set.

    Attributes:
        groups: their columns.
        members: of each group, the places of its results in the batch.
    """

    groups: Sequence[Group]
    members: Sequence[Sequence[int]]

    def rows(self) -> list[Row]:
        """The results in the order in which they were put in."""
        found: dict[int, Row] = {}
        for group, places in zip(self.groups, self.members, strict=True):
            found.update((place, Row(group, at)) for at, place in enumerate(places))
        return [found[place] for place in range(len(found))]


def encode(results: Sequence[Mapping[str, Any]]) -> bytes:
    """Results in the form in which the index keeps them; each number comes back bit for bit."""
    groups: dict[Shape, list[int]] = {}
    for at, result in enumerate(results):
        groups.setdefault(_shape(result), []).append(at)
    told: list[Any] = []
    numbers: list[bytes] = []
    for shape, members in groups.items():
        lines = [_values(results[at], shape) for at in members]
        columns = [_encoded(values, numbers) for values in zip(*lines, strict=True)]
        told.append([shape, members, columns])
    head = json.dumps([sys.byteorder, told], separators=(",", ":")).encode()
    return b"".join([_LENGTH.pack(len(head)), head, *numbers])


def decode(content: bytes) -> Batch:
    """What :func:`encode` made.

    Raises:
        ValueError, KeyError, TypeError, IndexError, struct.error: it is something else.
    """
    (length,) = _LENGTH.unpack_from(content)
    at = _LENGTH.size + length
    view = memoryview(content)
    order, found = json.loads(bytes(view[_LENGTH.size : at]))
    if order != sys.byteorder:
        raise ValueError("its numbers are another processor's")
    groups, every = [], []
    for shape, members, told in found:
        size, same = len(members), bytes(len(members))
        columns = []
        for kind, values in told:
            if kind == "doubles":
                doubles = array("d")
                doubles.frombytes(view[at : at + 8 * size])
                at += 8 * size
                columns.append(Column(doubles))
            elif kind == "same":
                columns.append(Column(values, same))
            elif kind == "coded":
                columns.append(Column(values, bytes(view[at : at + size])))
                at += size
            else:
                columns.append(Column(values))
        names = tuple((name, None if inner is None else tuple(inner)) for name, inner in shape)
        groups.append(Group(names, columns, size))
        every.append(members)
    return Batch(groups, every)


def _shape(result: Mapping[str, Any]) -> Shape:
    return tuple(
        (name, tuple(value) if isinstance(value, dict) and value and name not in WHOLE else None)
        for name, value in result.items()
    )


def _values(result: Mapping[str, Any], shape: Shape) -> list[Any]:
    found: list[Any] = []
    for name, inner in shape:
        if inner is None:
            found.append(result[name])
        else:
            found.extend(result[name].values())
    return found


def _encoded(values: Sequence[Any], numbers: list[bytes]) -> tuple[str, list[Any]]:
    """A column's kind and values; doubles and codes go to ``numbers``."""
    kinds = set(map(type, values))
    texts: Sequence[Any] = values
    packed = b""
    if kinds == {float}:  # 0.0 and -0.0 are equal, and are not the same
        packed = array("d", values).tobytes()
        texts = [packed[at : at + 8] for at in range(0, len(packed), 8)]
    elif len(kinds) > 1 or kinds & {list, dict}:  # nor are 1, 1.0 and True
        texts = [json.dumps(value) for value in values]
    codes = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    if len(codes) == 1:
        return "same", [values[0]]
    if packed and 2 * len(codes) > len(values):
        numbers.append(packed)
        return "doubles", []
    if len(codes) > MOST_CODED:
        return "each", list(values)
    numbers.append(bytes(codes[text] for text in texts))
    return "coded", [values[texts.index(text)] for text in codes]

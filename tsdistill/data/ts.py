"""The ``.ts`` text form of the UCR and UEA archives: a header of tags, then ``channel:channel:...:label``.

A reader of our own rather than sktime's, which spends a pandas object on every channel of every series, folds
the labels to lower case and cannot say which row is wrong. A test holds the two against each other.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tsdistill.data.raw import RawPart
from tsdistill.data.text import parse_numbers, text_lines
from tsdistill.errors import TsdistillError

Channels = NDArray[np.float32] | list[NDArray[np.float32]]
"""The channels of a series: (C, T), or a list of (T_c,) where they differ in length."""
_COMMENTS = ("#", "%")


@dataclass(frozen=True)
class _Header:
    """What a ``.ts`` header declares; None, or no labels, where it declares nothing."""

    labels: frozenset[str]
    dimensions: int | None
    length: int | None


def read_ts(path: Path, labelled: bool = True) -> RawPart:
    """Read a ``.ts`` file of a classification set.

    Args:
        path: the file.
        labelled: the header must declare labels; otherwise it may, and a file without has "" for each.

    Returns:
        The part, float32; channels and series may differ in length.

    Raises:
        TsdistillError: the file does not have this form, or its rows contradict the header; the
            message names file and row.
    """
    series: list[Channels] = []
    labels: list[str] = []
    with text_lines(path) as lines:
        header = _read_header(path, lines, labelled)
        channels = header.dimensions
        for row, line in lines:
            if line.startswith(_COMMENTS):
                continue
            where = f"{path}, row {row}"
            one, label = _read_row(line, header, where)
            if channels is not None and len(one) != channels:
                promised = "the header declares" if header.dimensions else "the first row has"
                raise TsdistillError(f"{where}: {len(one)} channels, but {promised} {channels}")
            channels = len(one)
            series.append(one)
            labels.append(label)
    if not series:
        raise TsdistillError(f"{path}: no series after @data")
    return RawPart.ragged(series, labels, str(path))


def _read_header(path: Path, lines: Iterator[tuple[int, str]], labelled: bool) -> _Header:
    """Read the tags up to ``@data``."""
    tags: dict[str, list[str]] = {}
    for row, line in lines:
        if line.startswith(_COMMENTS):
            continue
        if not line.startswith("@"):
            raise TsdistillError(f"{path}, row {row}: a series before @data (is this a .ts file?)")
        tag, *words = line.split()
        if tag.lower() == "@data":
            return _check_header(path, tags, labelled)
        tags[tag.lower()] = words
    if not tags:
        raise TsdistillError(f"{path}: the file is empty")
    raise TsdistillError(f"{path}: the header has no @data line")


def _check_header(path: Path, tags: dict[str, list[str]], labelled: bool) -> _Header:
    def flag(tag: str) -> str:
        return (tags.get(tag) or [""])[0].lower()

    def count(tag: str) -> int | None:
        word = (tags.get(tag.lower()) or [""])[0]
        if word and not re.fullmatch("0*[1-9][0-9]{0,17}", word):
            raise TsdistillError(f"{path}: {tag} {word[:20]} should be a whole number, 1 or more")
        return int(word) if word else None

    if flag("@timestamps") == "true":
        raise TsdistillError(
            f"{path}: @timeStamps true is not supported; write the values without time stamps"
        )
    words = tags.get("@classlabel", []) if flag("@classlabel") == "true" else []
    if labelled and len(words) < 2:
        raise TsdistillError(f"{path}: the header has no '@classLabel true' with the labels after it")
    dimensions = 1 if flag("@univariate") == "true" else count("@dimensions") or count("@dimension")
    length = None if flag("@equallength") == "false" else count("@seriesLength")  # some write 0 or -1 there
    holds = flag("@equallength") == "true"
    return _Header(frozenset(word.casefold() for word in words[1:]), dimensions, length if holds else None)


def _read_row(line: str, header: _Header, where: str) -> tuple[Channels, str]:
    """One series: its channels and its label."""
    *texts, label = line.split(":") if header.labels else [*line.split(":"), ""]
    label = label.strip()
    if header.labels and (not texts or label.casefold() not in header.labels):
        raise TsdistillError(f"{where}: the label {label[:20]!r} is not among the header's (a cut row?)")
    one = _read_channels(texts, where)
    if not any(np.isfinite(channel).any() for channel in one):
        raise TsdistillError(f"{where}: the series has no value at all")
    for c, channel in enumerate(one, start=1):
        if header.length is not None and len(channel) != header.length:
            raise TsdistillError(
                f"{where}, channel {c}: {len(channel)} values, but the header declares {header.length}"
            )
    return one, label


def _read_channels(texts: list[str], where: str) -> Channels:
    """The channels of a row, parsed at one go; one by one only to say which of them is wrong."""
    filled = [text.strip() for text in texts]
    try:
        numbers = parse_numbers(",".join(text for text in filled if text), ",", where)
    except TsdistillError:
        for c, text in enumerate(filled, start=1):
            if text:
                parse_numbers(text, ",", f"{where}, channel {c}")
        raise
    ends = list(accumulate(text.count(",") + 1 if text else 0 for text in filled))
    if ends[0] * len(ends) == ends[-1] and all(end == (c + 1) * ends[0] for c, end in enumerate(ends)):
        return numbers.reshape(len(ends), ends[0])
    return [numbers[start:end] for start, end in pairwise([0, *ends])]

"""Available datasets: named collections, a listing, a description, and downloads in advance."""

import contextlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tsdistill.data import names
from tsdistill.data.archive import ArchiveReader, bundled_folder, find_here, local_names
from tsdistill.data.load import check_root, load_dataset, read_raw
from tsdistill.data.parsed import content_key
from tsdistill.data.preprocess import inside
from tsdistill.data.raw import RawDataset
from tsdistill.errors import TsdistillError, nearest
from tsdistill.store.artefact import replaced_whole

_ARCHIVE = "tsdistill.data.archive.ArchiveReader"
_SWEEP = re.compile(r"(dataset\.name=)(.*@.*)")
_SUMMARY_VERSION = 1


# ---------------------------------------------------------------------------------------------- collections


def collection(name: str, data_root: Path | None = None) -> tuple[str, ...]:
    """The names of a collection's sets.

    Args:
        name: ``paper``, ``ucr128``, ``ucr112``, ``uea30``, ``uea26``, ``bundled`` or ``local``.
        data_root: root of the user's local data, for ``local``.

    Raises:
        TsdistillError: no such collection, or ``local`` without a root or with no set under it.
    """
    if name in names.COLLECTIONS:
        return names.COLLECTIONS[name]
    if name != "local":
        raise TsdistillError(f"@{name}: no such collection; {nearest(name, [*names.COLLECTIONS, 'local'])}")
    if data_root is None:
        raise TsdistillError("@local: no local folder is set; set data_root or the variable TSDISTILL_DATA")
    check_root(data_root)
    if not (found := local_names(data_root)):
        raise TsdistillError(f"@local: {data_root} has no set of the archives")
    return tuple(found)


def expand_collections(argv: Sequence[str], data_root: Path | None) -> list[str]:
    """Write out the collections in ``dataset.name=@paper,@local,GunPoint`` as a list of names.

    Args:
        argv: command-line words; all but those that set ``dataset.name`` to a collection stay as they are.
        data_root: root of the user's local data, for ``@local``.

    Returns:
        The words, each set named once, in the order of its first naming.
    """
    return [_expand(word, data_root) for word in argv]


def _expand(word: str, data_root: Path | None) -> str:
    match = _SWEEP.fullmatch(word)
    if match is None:
        return word
    expanded: dict[str, None] = {}
    for item in match[2].split(","):
        item = item.strip()
        found = collection(item[1:], data_root) if item.startswith("@") else (item,)
        expanded.update(dict.fromkeys(found))
    return match[1] + ",".join(expanded)


# ---------------------------------------------------------------------------------------------- listing


@dataclass(frozen=True)
class DatasetRow:
    """One set in the listing; the figures are None where the set is not on this machine.

    Attributes:
        name: the set's name.
        source: ``local folder``, ``bundled with sktime``, ``downloaded before``, ``download``
            (can be fetched), or ``broken``.
        train: number of training series.
        test: number of test series.
        channels: number of channels.
        shortest: steps of the shortest series.
        longest: steps of the longest series.
        classes: number of classes in the training part.
        gaps: number of series with missing values.
        z_normalised: whether nearly all series have mean 0 and deviation 1 in every channel.
        problem: for a broken set, what is wrong with it.
    """

    name: str
    source: str
    train: int | None = None
    test: int | None = None
    channels: int | None = None
    shortest: int | None = None
    longest: int | None = None
    classes: int | None = None
    gaps: int | None = None
    z_normalised: bool | None = None
    problem: str = ""


def list_datasets(
    data_root: Path | None, cache: Path, which: Sequence[str] | None = None
) -> list[DatasetRow]:
    """Describe sets in a row each, without downloading any.

    Figures are kept in the cache by the files' contents: a second listing parses nothing.

    Args:
        data_root: root of the user's local data, or None.
        cache: folder for downloads and figures.
        which: the sets' names; None for all that are on this machine.

    Returns:
        The rows, in the order of ``which``, or of the names.
    """
    check_root(data_root)
    here = which if which is not None else _names_here(data_root, cache)
    return [_row(name, data_root, cache) for name in here]


def _names_here(data_root: Path | None, cache: Path) -> list[str]:
    found = {*local_names(data_root), *local_names(cache / "archive")}
    if (bundle := bundled_folder()) is not None:
        found |= {name for name in names.BUNDLED if (bundle / name).is_dir()}
    return sorted(found, key=str.lower)


def _row(name: str, data_root: Path | None, cache: Path) -> DatasetRow:
    reader = ArchiveReader(name, download=False)
    try:
        found = find_here(names.modern_name(name)[0], data_root, cache)
        if found is None:
            return DatasetRow(name, "download")
        sources = reader.locate(data_root, cache)
        key = content_key(sources, {"summary": _SUMMARY_VERSION})
        path = cache / "summaries" / f"{sources.name}-{key[:24]}.json"
        figures = _load_figures(path)
        if figures is None:
            train, test = reader.parse(sources)
            figures = _figures(RawDataset(sources.name, train, test, sources.source))
            _keep_figures(path, figures)
    except TsdistillError as error:
        return DatasetRow(name, "broken", problem=str(error))
    return DatasetRow(sources.name, found.place, **figures)


def _load_figures(path: Path) -> dict[str, Any] | None:
    try:
        figures: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return figures


def _keep_figures(path: Path, figures: dict[str, Any]) -> None:
    """Keep figures for the next listing; a cache that cannot be written is skipped."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        scratch.write_text(json.dumps(figures))
        scratch.replace(path)


def _figures(raw: RawDataset) -> dict[str, Any]:
    """The figures of a row, from the series as read."""
    parts = (raw.train, raw.test)
    lengths = [part.lengths.max(axis=1) for part in parts]
    missing = [np.isnan(part.values) & inside(part.lengths, part.values.shape[2]) for part in parts]
    return {
        "train": len(raw.train),
        "test": len(raw.test),
        "channels": raw.train.values.shape[1],
        "shortest": int(min(one.min() for one in lengths)),
        "longest": int(max(one.max() for one in lengths)),
        "classes": len(set(raw.train.labels)),
        "gaps": int(sum(one.any(axis=(1, 2)).sum() for one in missing)),
        "z_normalised": _is_z_normalised(raw),
    }


def _is_z_normalised(raw: RawDataset) -> bool:
    """Whether at least 95 of 100 training channels have mean 0 and deviation 1, to 0.05."""
    values = raw.train.values.astype(np.float64)
    mask = ~np.isnan(values)
    mean = values.mean(axis=2, where=mask)
    deviation = values.std(axis=2, where=mask)
    return bool(((np.abs(mean) < 0.05) & (np.abs(deviation - 1) < 0.05)).mean() >= 0.95)


# ---------------------------------------------------------------------------------------------- one set


@dataclass(frozen=True)
class Description:
    """One set in detail.

    Attributes:
        row: the figures of the listing.
        source: where the set comes from.
        train_sizes: number of training series of each class, by label.
        test_sizes: number of test series of each class, by label.
        notes: what was done to the set, a sentence each.
        picture: the file with the class means, if one was asked for.
    """

    row: DatasetRow
    source: str
    train_sizes: dict[str, int]
    test_sizes: dict[str, int]
    notes: tuple[str, ...]
    picture: Path | None


def describe_dataset(
    conf: str | Mapping[str, Any], data_root: Path | None, cache: Path, picture: Path | None = None
) -> Description:
    """Describe one set, and draw the means of its classes.

    Args:
        conf: the name of a set of the archives, or a whole dataset config.
        data_root: root of the user's local data, or None.
        cache: folder for downloads and parsed sets.
        picture: the PNG file to write the class means of the training part to, or None.

    Returns:
        The description.
    """
    whole = {"_target_": _ARCHIVE, "name": conf} if isinstance(conf, str) else dict(conf)
    raw = read_raw(whole, data_root, cache)
    dataset = load_dataset(whole, data_root, cache)
    sizes = [
        dict(zip(dataset.classes, np.bincount(part.y, minlength=len(dataset.classes)).tolist(), strict=True))
        for part in (dataset.train, dataset.test)
    ]
    if picture is not None:
        _draw_means(dataset.name, dataset.train.x, dataset.train.y, dataset.classes, picture)
    row = DatasetRow(raw.name, raw.source, **_figures(raw))
    return Description(row, dataset.source, sizes[0], sizes[1], dataset.notes, picture)


def _draw_means(name: str, x: Any, y: Any, classes: tuple[str, ...], path: Path) -> None:
    """Draw each class's mean series, one panel a channel (the first six)."""
    from matplotlib.figure import Figure

    shown = min(x.shape[1], 6)
    figure = Figure(figsize=(6, 0.8 + 1.7 * shown), dpi=80, layout="constrained")
    panels = figure.subplots(shown, 1, sharex=True, squeeze=False)[:, 0]
    for channel, panel in enumerate(panels):
        for k, label in enumerate(classes):
            panel.plot(x[y == k, channel].mean(axis=0), lw=1.2, label=label, color=f"C{k % 10}")
        if x.shape[1] > 1:
            panel.set_ylabel(f"channel {channel + 1}")
    panels[0].set_title(f"{name}: class means of the training part")
    panels[-1].set_xlabel("step")
    if len(classes) <= 10:
        figure.legend(*panels[0].get_legend_handles_labels(), title="class", loc="outside right upper")
    with replaced_whole(path) as new:
        figure.savefig(new, format="png")


# ---------------------------------------------------------------------------------------------- fetching


@dataclass(frozen=True)
class Fetched:
    """Outcome of downloading one set: ``here`` already, ``fetched``, or ``failed`` with the reason."""

    name: str
    outcome: Literal["here", "fetched", "failed"]
    reason: str = ""


def download_collection(
    which: Sequence[str], data_root: Path | None, cache: Path, mirrors: Sequence[str] | None = None
) -> list[Fetched]:
    """Download the sets that are not on this machine; continue after one that fails.

    Args:
        which: names of sets, or ``@`` and the name of a collection.
        data_root: root of the user's local data, or None.
        cache: folder for downloads.
        mirrors: addresses to fetch from; None for sktime's.

    Returns:
        What came of each set.
    """
    check_root(data_root)
    wanted: dict[str, None] = {}
    for item in which:
        wanted.update(dict.fromkeys(collection(item[1:], data_root) if item.startswith("@") else (item,)))
    return [_fetch_one(name, data_root, cache, mirrors) for name in wanted]


def _fetch_one(name: str, data_root: Path | None, cache: Path, mirrors: Sequence[str] | None) -> Fetched:
    try:
        if find_here(names.modern_name(name)[0], data_root, cache):
            return Fetched(name, "here")
        ArchiveReader(name, mirrors=mirrors).locate(data_root, cache)
    except TsdistillError as error:
        return Fetched(name, "failed", str(error))
    return Fetched(name, "fetched")


def as_table(rows: Sequence[DatasetRow]) -> list[dict[str, str]]:
    """The rows as text for a table: an unknown figure is ``-``, a range of lengths ``7-29``."""

    def text(value: int | bool | None) -> str:
        if value is None:
            return "-"
        return ("yes" if value else "no") if isinstance(value, bool) else str(value)

    table = []
    for row in rows:
        span = "-" if row.shortest is None else str(row.shortest)
        if row.shortest != row.longest:
            span += f"-{row.longest}"
        table.append(
            {
                "dataset": row.name,
                "source": row.source,
                "train": text(row.train),
                "test": text(row.test),
                "channels": text(row.channels),
                "length": span,
                "classes": text(row.classes),
                "gaps": "-" if row.gaps is None else ("no" if row.gaps == 0 else f"{row.gaps} series"),
                "z-normalised": text(row.z_normalised),
            }
        )
    return table

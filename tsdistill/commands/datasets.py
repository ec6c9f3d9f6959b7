"""``tsdistill datasets``: lists datasets, describes one, or downloads some in advance."""

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from tsdistill.config.schema import DatasetsConf
from tsdistill.console import console, say
from tsdistill.data.catalogue import (
    DatasetRow,
    collection,
    describe_dataset,
    download_collection,
    list_datasets,
)
from tsdistill.data.names import COLLECTIONS, modern_name
from tsdistill.errors import TsdistillError

_SOURCES = {"local": "local", "bundled": "sktime", "downloaded": "fetched"}
"""What the first word of a source is called in the table."""


def run(composed: Any) -> None:
    """List datasets, describe one, or download a collection in advance.

    Raises:
        TsdistillError: some sets could not be fetched.
    """
    from omegaconf import OmegaConf

    settings: Any = OmegaConf.to_object(composed)
    if show_datasets(settings):
        raise TsdistillError("some sets could not be downloaded; run the same command again to retry them")


def show_datasets(conf: DatasetsConf) -> int:
    """List datasets, describe one, or download a collection in advance.

    Args:
        conf: the command's settings.

    Returns:
        Number of sets that could not be fetched.
    """
    root = None if conf.data_root is None else Path(conf.data_root)
    cache = Path(conf.out) / "data"
    if conf.download is not None:
        return _fetch(conf.download, root, cache)
    if conf.name is not None:
        _describe(conf.name, root, cache, Path(conf.out) / "datasets")
        return 0
    which = None if conf.collection is None else collection(conf.collection.removeprefix("@"), root)
    rows = list_datasets(root, cache, which)
    console.print(_table(rows))
    for row in rows:
        if row.problem:
            say(f"{row.name} is broken: {row.problem}")
    say(
        f"{len(rows)} sets; collection=paper, ucr128, ucr112, uea30, uea26, bundled or local lists others; "
        "in a sweep: dataset.name=@paper"
    )
    return 0


def _table(rows: list[DatasetRow]) -> Table:
    table = Table(box=None, pad_edge=False)
    heads = ("set", "source", "train", "test", "channels", "length", "classes", "gaps", "z-norm.")
    for head in heads:
        table.add_column(head, justify="left" if head in ("set", "source") else "right", no_wrap=True)
    for row in rows:
        cells = [escape(row.name), _SOURCES.get(row.source.split()[0], escape(row.source))]
        cells += [_number(v) for v in (row.train, row.test, row.channels)]
        cells += [_length(row), _number(row.classes), _number(row.gaps)]
        cells.append("" if row.z_normalised is None else "yes" if row.z_normalised else "no")
        table.add_row(*cells)
    return table


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _length(row: DatasetRow) -> str:
    if row.shortest == row.longest:
        return _number(row.longest)
    return f"{row.shortest}-{row.longest}"


def _describe(name: str, root: Path | None, cache: Path, pictures: Path) -> None:
    picture = pictures / f"{modern_name(name)[0]}.png"
    found = describe_dataset(name, root, cache, picture)
    console.print(_table([found.row]))
    say(f"source: {found.source}")
    for label, count in found.train_sizes.items():
        say(f"class {label}: {count} training and {found.test_sizes[label]} test series")
    for note in found.notes:
        say(note)
    say(f"class means: {picture}")


def _fetch(which: str, root: Path | None, cache: Path) -> int:
    """Download sets and collections, given as a comma-separated list."""
    named = [item.strip().removeprefix("@") for item in which.split(",")]
    fetched = download_collection([f"@{n}" if n in COLLECTIONS else n for n in named], root, cache)
    for one in fetched:
        say(f"{one.name}: {one.outcome}{': ' + one.reason if one.reason else ''}")
    failed = sum(one.outcome == "failed" for one in fetched)
    say(f"{len(fetched)} sets, {failed} could not be fetched")
    return failed

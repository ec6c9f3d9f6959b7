"""What a report was made of: which records were read, what was asked, and how to make it again."""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsdistill import __version__
from tsdistill.errors import TsdistillError
from tsdistill.report.options import Options
from tsdistill.store.formats import read_json, to_json
from tsdistill.store.records import failure_path

if TYPE_CHECKING:
    import pandas as pd

FILE = "made_from.json"
_WORDS = {"metrics": "metric"}
"""Options whose word on the command line is another."""

Digests = Mapping[tuple[str, str], str]
"""SHA-256 of a run's ``result.json``, or of the note of its failure, by data set and id."""


@dataclass(frozen=True)
class Made:
    """How an earlier report was made.

    Attributes:
        outs: the folders read.
        options: what was asked for.
        digests: the records that passed the filters.
        published: SHA-256 of the file of published numbers, if there was one.
    """

    outs: Sequence[Path]
    options: Options
    digests: Digests
    published: str | None = None


def made_from(outs: Sequence[Path], options: Options, runs: "pd.DataFrame") -> str:
    """The text of ``made_from.json``: the command, the options, and every record with its digest."""
    read = [
        {"out": key[0], "dataset": key[1], "id": key[2], "status": key[3], "sha256": _digest(*key)}
        for key in _keys(runs)
    ]
    records: Any = sorted(read, key=lambda each: (each["dataset"], each["id"]))
    return to_json(
        {
            "tsdistill": __version__,
            "command": command(outs, options),
            "out": [str(out) for out in outs],
            "options": asdict(options),
            "published": _published(options),
            "records": records,
        }
    )


def read_made(folder: Path) -> Made:
    """How the report in a folder was made.

    Raises:
        TsdistillError: no report that knows it lies there.
    """
    try:
        found = read_json(folder / FILE)
        digests = {(each["dataset"], each["id"]): each["sha256"] for each in found["records"]}
        asked: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in found["options"].items()
        }
        outs = [Path(out) for out in found["out"]]
        return Made(outs, Options(**asked), digests, found["published"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TsdistillError(
            f"again={folder}: no whole {FILE} lies there; name the folder of a report"
        ) from error


def check_published_unchanged(made: Made) -> None:
    """Make sure that the published numbers of an earlier report are still the same.

    Raises:
        TsdistillError: the file is gone or has changed.
    """
    if _published(made.options) != made.published:
        raise TsdistillError(
            f"the report cannot be made again: {made.options.published} is gone or has changed; leave out "
            "again= to report the runs as they are now"
        )


def check_unchanged(runs: "pd.DataFrame", digests: Digests) -> None:
    """Make sure that a report is made of the same records as an earlier one.

    Raises:
        TsdistillError: a record is gone or has changed.
    """
    now = {(key[1], key[2]): _digest(*key) for key in _keys(runs)}
    for what, names in {
        "is gone": set(digests) - set(now),
        "has changed": {key for key, digest in now.items() if digests[key] != digest},
    }.items():
        if names:
            dataset, run_id = min(names)
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise TsdistillError(
                f"the report cannot be made again: run {run_id} of {dataset} {what}{more}; leave out "
                "again= to report the runs as they are now"
            )


def command(outs: Sequence[Path], options: Options) -> str:
    """The command line that asks for the same."""
    words = ["out=" + ",".join(map(str, outs))]
    words += [f"{name}={_text(value)}" for name, value in sorted(options.filters.items())]
    words += [f"labels.{name}={label}" for name, label in options.labels.items()]
    plain = Options()
    for name, value in vars(options).items():
        if name not in ("filters", "labels") and value != getattr(plain, name):
            words.append(f"{_WORDS.get(name, name)}={_text(value)}")
    return shlex.join(["tsdistill", "report", *words])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ",".join(value)


def _published(options: Options) -> str | None:
    path = None if options.published is None else Path(options.published)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and path.is_file() else None


def _keys(runs: "pd.DataFrame") -> Iterator[tuple[str, str, str, str, str]]:
    return zip(*(runs[name] for name in ("out", "dataset", "id", "status", "sha256")), strict=True)


def _digest(out: str, dataset: str, run_id: str, status: str, held: str) -> str:
    """The hash of a run's ``result.json`` as it was verified, or of the note of its failure."""
    if status == "ok":
        return held
    return hashlib.sha256(failure_path(Path(out), dataset, run_id).read_bytes()).hexdigest()

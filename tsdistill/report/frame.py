"""Stored runs as one tidy frame."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsdistill.errors import TsdistillError, visible
from tsdistill.store.listing import list_runs
from tsdistill.store.records import read_run
from tsdistill.store.where import BLOCKS

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def load_results(out: str | Path = "tsdistill-out") -> "pd.DataFrame":
    """Read the stored runs as a frame, one row per run, failed runs included; damaged records are left out.

    Args:
        out: the output folder of ``tsdistill distill``.

    Returns:
        Columns ``id``, ``dataset``, ``method``, ``teacher``, ``student``, ``seed``, ``trial``, ``status``,
        ``flags``, ``error``; settings under their own names (``saliency.window``); metrics as ``test.*``,
        ``validation.*`` and so on; ``cost.*``, ``trained.*`` (how training went), ``timing.*``,
        ``environment.*``.

    Raises:
        TsdistillError: nothing is stored there.
    """
    import pandas as pd

    listing = list_runs(Path(out))
    listing.tell()
    rows = [_row(result) for result in listing.results]
    rows += [{"flags": [], **_row(failure)} for failure in listing.failures]
    if not rows:
        raise TsdistillError(f"no run records under {out}: run `tsdistill distill` first, or name its folder")
    return pd.DataFrame([{"error": "", **row} for row in rows])


def load_logits(out: str | Path, dataset: str, run_id: str) -> "dict[str, NDArray[Any]]":
    """Read a run's logits and the labels beside them.

    Args:
        out: the output folder of ``tsdistill distill``.
        dataset: the run's dataset, as in ``load_results``.
        run_id: its id, likewise.

    Returns:
        For each part (``train``, ``test`` and, where there is one, ``validation``): the student's logits,
        (N, K) float32, under the part's name; the teacher's under ``teacher_<part>``; the classes, (N,)
        int64, under ``y_<part>``.

    Raises:
        TsdistillError: there is no such run.
    """
    record = read_run(Path(out), dataset, run_id)
    if record is None:
        raise TsdistillError(f"no run {run_id} of {dataset} under {out}; `tsdistill runs` lists them")
    return {name: tensor.numpy() for name, tensor in record.logits.items()}


def as_csv(frame: "pd.DataFrame") -> str:
    """A frame as CSV that commands no one: control characters are written out, formulas get an apostrophe.

    A formula is to a spreadsheet what begins with = + - or @.
    """

    def neutral(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return f"'{visible(value)}" if value.startswith(_FORMULA) else visible(value)

    return str(frame.map(neutral).rename(columns=neutral).to_csv(index=False, lineterminator="\n"))


def _row(result: Mapping[str, Any]) -> dict[str, Any]:
    kept = {BLOCKS.get(key, key): value for key, value in result.items() if key != "settings"}
    row = dict(_leaves({key: value for key, value in kept.items() if value is not None}, ""))
    row.update(result["settings"])
    return row


def _leaves(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

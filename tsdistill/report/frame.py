"""Stored runs, their curves and their logits as tidy frames."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsdistill.errors import TsdistillError, visible
from tsdistill.store.artefact import replaced_whole
from tsdistill.store.listing import held_file, list_runs
from tsdistill.store.records import read_run, run_folder
from tsdistill.store.where import BLOCKS, Where

IDENTITY = ("id", "dataset", "method", "teacher", "student", "seed", "trial")
"""What names a run in every frame."""
ENDINGS = (".csv", ".json", ".parquet")
"""Forms in which runs are written to a file."""
ROWS_AT_ONCE = 4096
"""Rows of a CSV file that are in memory as text at a time."""
_TRAIN, _TEACHER = "train/", "teacher_"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def load_results(out: str | Path = "tsdistill-out", where: str | None = None) -> "pd.DataFrame":
    """Read the stored runs as a frame, one row per run, failed runs included; damaged records are left out.

    Args:
        out: the output folder of ``tsdistill distill``.
        where: a filter such as ``"seed=1 and method.lam<0.5"``, as in ``tsdistill runs``; None for all runs.

    Returns:
        Columns ``id``, ``dataset``, ``method``, ``teacher``, ``student``, ``seed``, ``trial``, ``status``,
        ``flags``, ``error``; settings under their own names (``saliency.window``); metrics as ``test.*``,
        ``validation.*`` and so on; ``cost.*``, ``trained.*`` (how training went), ``timing.*``,
        ``environment.*``.

    Raises:
        TsdistillError: nothing is stored there, or nothing matches.
    """
    import pandas as pd

    listing = list_runs(Path(out))
    listing.tell()
    results = [*listing.results, *({"flags": [], **failure} for failure in listing.failures)]
    if not results:
        raise TsdistillError(f"no run records under {out}: run `tsdistill distill` first, or name its folder")
    rows = map(_row, _matching(results, where))
    return pd.DataFrame([{"error": "", **row} for row in rows])


def load_curves(out: str | Path = "tsdistill-out", where: str | None = None) -> "pd.DataFrame":
    """Read the learning curves of all finished runs as one tidy frame, a row a value.

    Args:
        out: the output folder of ``tsdistill distill``.
        where: a filter, see ``load_results``.

    Returns:
        ``id``, ``dataset``, ``method``, ``teacher``, ``student``, ``seed`` and ``trial`` of the run;
        ``stage`` of the method; ``epoch``, from 1; ``part``, ``"train"`` or ``"validation"``; ``name`` of the
        value: ``loss`` (the weighted sum; on validation of the terms that are measured there), a loss term
        (unweighted), or a metric; ``value``.

    Raises:
        TsdistillError: no finished run is stored there, or none matches.
    """
    import io

    import pandas as pd

    frames = []
    for result in _finished(out, where):
        stored = held_file(_folder(out, result), "curve.csv")
        if stored is not None:
            curve = pd.read_csv(io.BytesIO(stored))
            trained = curve["name"].str.startswith(_TRAIN)
            part = trained.map({True: "train", False: "validation"})
            curve = curve.assign(part=part, name=curve["name"].str.removeprefix(_TRAIN))
            frames.append(curve[["stage", "epoch", "part", "name", "value"]].assign(**_identity(result)))
    return _in_columns(frames, ["stage", "epoch", "part", "name", "value"])


def load_logits(out: str | Path = "tsdistill-out", where: str | None = None) -> "pd.DataFrame":
    """Read the logits of all finished runs as one tidy frame, a row a series, class and model.

    A run has (N series) x (K classes) x 2 rows for each part; narrow it with ``where``.

    Args:
        out: the output folder of ``tsdistill distill``.
        where: a filter, see ``load_results``.

    Returns:
        ``id``, ``dataset``, ``method``, ``teacher``, ``student``, ``seed`` and ``trial`` of the run;
        ``part``, ``"train"``, ``"validation"`` or ``"test"``; ``series``, its row in the part from 0;
        ``label``, the number of its class from 0; ``model``, ``"student"`` or ``"teacher"``; ``class``, the
        class that the logit is of; ``logit``, float32.

    Raises:
        TsdistillError: no finished run is stored there, or none matches.
    """
    from safetensors.numpy import load

    frames = []
    for result in _finished(out, where):
        stored = held_file(_folder(out, result), "logits.safetensors")
        logits = {} if stored is None else load(stored)
        for name, values in logits.items():
            part = name.removeprefix(_TEACHER)
            if not name.startswith("y_"):
                model = "teacher" if name.startswith(_TEACHER) else "student"
                frame = _tidy(values, logits.get(f"y_{part}"))
                frames.append(frame.assign(part=part, model=model, **_identity(result)))
    return _in_columns(frames, ["part", "series", "label", "model", "class", "logit"])


def load_arrays(out: str | Path, dataset: str, run_id: str) -> "dict[str, NDArray[Any]]":
    """Read a run's logits and the labels beside them as arrays.

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


def _matching(results: Sequence[Mapping[str, Any]], where: str | None) -> Sequence[Mapping[str, Any]]:
    return results if where is None else Where(where).kept(results)


def _finished(out: str | Path, where: str | None) -> Sequence[Mapping[str, Any]]:
    listing = list_runs(Path(out))
    listing.tell()
    if not listing.results:
        raise TsdistillError(
            f"no finished run under {out}: run `tsdistill distill` first, or name its folder"
        )
    return _matching(listing.results, where)


def _folder(out: str | Path, result: Mapping[str, Any]) -> Path:
    return run_folder(Path(out), result["dataset"], result["id"])


def _identity(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in IDENTITY}


def _tidy(logits: "NDArray[Any]", labels: "NDArray[Any] | None") -> "pd.DataFrame":
    """(N, K) logits as a row a series and class."""
    import numpy as np
    import pandas as pd

    series, classes = logits.shape
    told = np.full(series, -1) if labels is None else labels
    return pd.DataFrame(
        {
            "series": np.repeat(np.arange(series), classes),
            "label": np.repeat(told, classes),
            "class": np.tile(np.arange(classes), series),
            "logit": logits.ravel(),
        }
    )


def _in_columns(frames: "Sequence[pd.DataFrame]", columns: Sequence[str]) -> "pd.DataFrame":
    """All frames below one another, the run's identity first."""
    import pandas as pd

    every = [*IDENTITY, *columns]
    return pd.concat(frames, ignore_index=True)[every] if frames else pd.DataFrame(columns=every)


def write_frame(frame: "pd.DataFrame", path: Path) -> None:
    """Write a frame of ``load_results`` whole: as CSV, JSON (a list of rows) or Parquet, told by the ending.

    Args:
        frame: a row a run.
        path: ends in ``.csv``, ``.json`` or ``.parquet``.

    Raises:
        TsdistillError: the ending is another, the file can't be written, or Parquet is asked for and pyarrow
            is not installed.
    """
    from importlib.util import find_spec

    if path.suffix not in ENDINGS:
        raise TsdistillError(f"to={path}: end it in " + ", ".join(ENDINGS))
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise TsdistillError(
            f"to={path}: Parquet needs pyarrow: pip install tsdistill[parquet], or end it in .csv"
        )
    with replaced_whole(path) as new:
        if path.suffix == ".csv":
            write_csv(frame, new)
        elif path.suffix == ".json":
            frame.to_json(new, orient="records", indent=1)
        else:
            of_one_type(frame).to_parquet(new, index=False)


def of_one_type(frame: "pd.DataFrame") -> "pd.DataFrame":
    """A frame whose columns of mixed values are text: a setting may be a number here and a word there."""

    def told(value: Any) -> str | None:
        if isinstance(value, list | tuple):
            return ";".join(map(str, value))
        return None if value is None or value != value else str(value)

    mixed = [name for name in frame.columns if frame[name].dtype == object]
    return frame.assign(**{name: frame[name].map(told) for name in mixed})


def as_csv(frame: "pd.DataFrame") -> str:
    """A frame as CSV that commands no one: control characters are written out, formulas get an apostrophe.

    A formula is to a spreadsheet what begins with = + - or @.
    """
    return "".join(_csv_lines(frame))


def write_csv(frame: "pd.DataFrame", path: Path) -> None:
    """Write a frame as :func:`as_csv` tells it, some rows at a time."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(_csv_lines(frame))


def _csv_lines(frame: "pd.DataFrame") -> Iterator[str]:
    """The text of a CSV file in pieces."""

    @cache
    def neutral_text(value: str) -> str:
        return f"'{visible(value)}" if value.startswith(_FORMULA) else visible(value)

    def neutral(value: Any) -> Any:
        return neutral_text(value) if isinstance(value, str) else value

    words = [name for name in frame.columns if frame[name].dtype.kind not in "bif"]
    plain = frame.assign(**{name: frame[name].map(neutral) for name in words}).rename(columns=neutral)
    for start in range(0, max(len(frame), 1), ROWS_AT_ONCE):
        piece = plain.iloc[start : start + ROWS_AT_ONCE]
        yield str(piece.to_csv(index=False, lineterminator="\n", header=start == 0))


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

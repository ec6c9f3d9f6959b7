"""Run records: one folder per student, one file per failure. All tables are made from these."""

import csv
import io
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsdistill.store.artefact import place, read_artefact, safe_name, staged, write_atomically
from tsdistill.store.contents import Contents
from tsdistill.store.formats import (
    metrics,
    parse_json,
    save_tensors,
    sealed,
    to_json,
)
from tsdistill.store.lookup import names_in
from tsdistill.store.shape import check_logits, check_result

if TYPE_CHECKING:
    from torch import Tensor

    from tsdistill.store.formats import Tensors

SCHEMA = 2
"""Schema of a record; records of an older version are left out of every listing."""
TERMS = "terms.safetensors"
"""The one file that not every record has."""
CURVE_COLUMNS = ("stage", "epoch", "name", "value")
METRIC_BLOCKS = (
    "validation",
    "test",
    "teacher_validation",
    "teacher_test",
    "cost",
    "noise",
    "reseeded",
    "reasoning",
    "timing",
)
"""The parts of a listed result in which ``null`` stands for an undefined number and is read as ``nan``."""


class OlderVersionError(ValueError):
    """A record that an older version of tsdistill wrote."""


@dataclass(frozen=True)
class RunRecord:
    """All that a run left.

    Attributes:
        result: identity, settings and metrics (``result.json``), undefined metrics as ``nan``.
        config_yaml: the resolved config, as text.
        curve: learning curve, rows of ``stage, epoch, name, value``.
        logits: student's logits, labels and teacher's logits by name.
        weights: the student's state dict.
        timing: measured times, in seconds.
        environment: where it ran.
        facts: all that determines the trained student.
        terms: state of the method's terms.
    """

    result: dict[str, Any]
    config_yaml: str
    curve: list[dict[str, Any]]
    logits: "dict[str, Tensor]"
    weights: "dict[str, Tensor]"
    timing: dict[str, Any]
    environment: dict[str, Any]
    facts: dict[str, Any]
    terms: "dict[str, Tensor]"


def run_folder(out: Path, dataset: str, run_id: str) -> Path:
    """Where a run's record lies."""
    return place(out, "runs", dataset, run_id)


def run_names(out: Path, dataset: str) -> list[str]:
    """Ids of the runs that are stored of a dataset, whole or not, sorted."""
    return names_in(run_folder(out, dataset, "any").parent)


def write_run(
    out: Path,
    dataset: str,
    run_id: str,
    *,
    result: Mapping[str, Any],
    config_yaml: str,
    curve: Iterable[Mapping[str, Any]],
    logits: "Tensors",
    weights: "Tensors",
    timing: Mapping[str, Any],
    environment: Mapping[str, Any],
    facts: Mapping[str, Any],
    terms: "Tensors",
    replace: bool = False,
) -> Path:
    """Store a run that succeeded, and remove the note that it failed earlier.

    Args:
        out: the output folder.
        dataset: name of the dataset.
        run_id: key of the run.
        result: ``result.json``; its ``"id"`` and ``"dataset"`` must be those given.
        config_yaml: the resolved config.
        curve: rows with ``stage``, ``epoch``, ``name`` and ``value``.
        logits: ``"test"`` and ``"validation"`` (n, K), ``"y_test"`` (n,) and so on.
        weights: the student's state dict.
        timing: measured times; outside every claim of equality.
        environment: see :func:`tsdistill.store.environment.environment`.
        facts: all that determines the trained student; the run's key is their hash.
        terms: state of the method's terms (a regressor, a memory bank), by stage, term and name.
        replace: take the place of a record that is there (a run that was asked for again, metrics added).

    Returns:
        The record's folder.

    Raises:
        TsdistillError: it can't be written.
        ValueError: the result is another run's.
    """
    if (result.get("id"), result.get("dataset")) != (run_id, dataset):
        raise ValueError(f"the result is not that of run {run_id} on {dataset}")
    folder = run_folder(out, dataset, run_id)
    with staged(folder, replace) as new:
        record = {"schema": SCHEMA, "status": "ok", **result}
        (new / "result.json").write_text(to_json(record), encoding="utf-8")
        (new / "config.yaml").write_text(config_yaml, encoding="utf-8")
        _write_curve(new / "curve.csv", curve)
        save_tensors(new / "logits.safetensors", logits)
        save_tensors(new / "weights.safetensors", weights)
        (new / "timing.json").write_text(to_json(timing), encoding="utf-8")
        (new / "environment.json").write_text(to_json(environment), encoding="utf-8")
        (new / "facts.json").write_text(to_json(facts), encoding="utf-8")
        if terms:
            save_tensors(new / TERMS, terms)
    with suppress(OSError):  # iter_failures leaves out what has succeeded since anyway
        failure_path(out, dataset, run_id).unlink()
    return folder


def rewrite_run(out: Path, record: RunRecord) -> None:
    """Store a record in its own place, with what was added to it."""
    write_run(
        out,
        record.result["dataset"],
        record.result["id"],
        result=record.result,
        config_yaml=record.config_yaml,
        curve=record.curve,
        logits=record.logits,
        weights=record.weights,
        timing=record.timing,
        environment=record.environment,
        facts=record.facts,
        terms=record.terms,
        replace=True,
    )


def find_run(out: Path, dataset: str, prefix: str) -> RunRecord | None:
    """Read the first intact record whose id starts with a prefix; None if there is none."""
    names = [name for name in run_names(out, dataset) if name.startswith(prefix)]
    return next((found for name in names if (found := read_run(out, dataset, name)) is not None), None)


def _write_curve(path: Path, curve: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, CURVE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(curve)


def _parse_curve(text: str, name: str) -> list[dict[str, Any]]:
    """Parse a learning curve; a record from elsewhere may hold any text in its place.

    Raises:
        ValueError: it is malformed.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = list(reader)
        if any(set(row) != set(CURVE_COLUMNS) or None in row.values() for row in rows):
            raise ValueError(f"its columns are not {', '.join(CURVE_COLUMNS)}")
        return [{**row, "epoch": int(row["epoch"]), "value": float(row["value"])} for row in rows]
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{name} is malformed: {error}") from error


def read_run(out: Path, dataset: str, run_id: str) -> RunRecord | None:
    """Read a run's record; None if there is none, or if it was damaged and has been set aside."""

    def parse(stored: Contents) -> RunRecord:
        return RunRecord(
            result=with_nan(parse_result(stored.read("result.json"), stored.path)),
            config_yaml=stored.text("config.yaml"),
            curve=_parse_curve(stored.text("curve.csv"), "curve.csv"),
            logits=check_logits(stored.tensors("logits.safetensors")),
            weights=stored.tensors("weights.safetensors"),
            timing=stored.json("timing.json"),
            environment=stored.json("environment.json"),
            facts=stored.json("facts.json"),
            terms=stored.tensors(TERMS) if TERMS in stored.names() else {},
        )

    return read_artefact(run_folder(out, dataset, run_id), parse)


def parse_result(text: bytes, folder: Path) -> dict[str, Any]:
    """The result in a record's ``result.json``, its undefined metrics still None.

    Args:
        text: the file's content.
        folder: the record's folder.

    Raises:
        OlderVersionError: it has an older schema.
        ValueError: it is malformed, of a newer schema, another run's, or of another data set.
    """
    result = of_this_schema(parse_json(text, "result.json"), "result.json")
    check_result(result)
    if result["id"] != folder.name:
        raise ValueError(f"result.json is that of run {result['id']!r}")
    if safe_name(result["dataset"]) != folder.parent.name:
        raise ValueError(f"result.json is that of data set {result['dataset']!r}")
    return result


def with_nan(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result whose undefined metrics are ``nan``."""
    return {name: metrics(value) if name in METRIC_BLOCKS else value for name, value in result.items()}


def of_this_schema(value: dict[str, Any], name: str) -> dict[str, Any]:
    """A JSON object whose ``"schema"`` is ours; raises as ``parse_result`` does."""
    schema = value.get("schema")
    if schema is None or (isinstance(schema, int) and schema < SCHEMA):
        raise OlderVersionError(f"{name} is of an older version of tsdistill")
    if schema != SCHEMA:
        raise ValueError(f"{name} has schema {schema!r}, not {SCHEMA}")
    return value


def failure_path(out: Path, dataset: str, run_id: str) -> Path:
    """Where the note of a failed run lies, beside the folder that it would have got."""
    return run_folder(out, dataset, run_id).with_name(f"{run_id}.failed.json")


def write_failure(out: Path, dataset: str, run_id: str, failure: Mapping[str, Any]) -> Path:
    """Note that a run failed.

    Args:
        out: the output folder.
        dataset: name of the dataset.
        run_id: key of the run.
        failure: the run's identity and settings as in a result, and ``"error"``, one line.

    Raises:
        TsdistillError: it can't be written.
    """
    path = failure_path(out, dataset, run_id)
    note = {**failure, "schema": SCHEMA, "status": "failed", "id": run_id, "dataset": dataset}
    write_atomically(path, to_json(sealed(note)))
    return path

"""docs/report.md is what its script makes, and describes every file and column that a report has."""

import json
import sys
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
import pytest

from tsdistill.evaluation import performance, substitution
from tsdistill.report import write_report
from tsdistill.report.options import Options
from tsdistill.store.manifest import seal
from tsdistill.store.records import run_folder


@pytest.fixture
def document(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "scripts"), *sys.path])
    import document_report

    return document_report


def test_the_page_is_up_to_date(document):
    text = document.PAGE.read_text()
    for name, section in document.sections().items():
        made = f"<!-- {name} -->\n{section}\n<!-- end of {name} -->"
        assert made in text, "run scripts/document_report.py: docs/report.md is out of date"


def test_every_metric_is_described(document):
    assert set(document.METRICS) == {*performance.METRICS, *substitution.METRICS, "classes_absent"}


def test_every_file_and_column_of_a_report_is_described(document, record, failure, stored):
    runs = [record("A", "tsd", settings={"method.lam": lam}) for lam in (1.0, 2.0)] + [record("A", "none")]
    for run in runs:
        run["reseeded"] = {"count": 2, "accuracy": 0.9}
    out = stored([*runs, failure("A", "kd")])
    for run in runs:
        folder = run_folder(out, "A", run["id"])
        (folder / "curve.csv").write_text("stage,epoch,name,value\ntrain,1,train/loss,0.5\n")
        seal(folder)
    result = write_report(out, Options(vary=("method.lam",), figures=("curves",)))
    told = document.facts()
    for path in result.files:
        name = path.relative_to(result.folder).as_posix()
        assert any(fnmatch(name, known) for known in told["files"]), name
    for name, columns in told["columns"].items():
        found = set(pd.read_csv(result.folder / name).columns)
        if "*" in columns:
            named = {column for column in columns if "*" not in column}
            metrics = {f"{metric}{end}" for metric in document.METRICS for end in ("", "_std", "_sets")}
            costs = {column for column in found if column.startswith("cost.")}
            assert found - named - metrics - costs <= {"method.lam"}, name
        assert all(any(fnmatch(column, known) for known in columns) for column in found), name
        plain = {column for column in columns if "*" not in column}
        assert plain <= found, (name, plain - found)
    assert {"statistics", "selection"} == set(json.loads((result.folder / "statistics.json").read_text()))

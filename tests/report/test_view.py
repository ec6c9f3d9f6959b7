"""What the user asks of a report's content: metrics, names, order, columns and decimals."""

import json
import sys

import pandas as pd
import pytest

from tsdistill.cli import run
from tsdistill.commands.report import folders
from tsdistill.errors import TsdistillError
from tsdistill.report import write_report
from tsdistill.report.metrics import METRICS, metric_of
from tsdistill.report.options import Options

QUIET = {"figures": False}


def _text(out, **options):
    return (write_report(out, Options(**QUIET | options)).folder / "report.md").read_text()


def _titles(text):
    return [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]


@pytest.fixture
def two_sets(record, stored):
    """On AP, tsd is ahead; on KL (lower is better), kd is."""
    kl = {"none": 0.3, "kd": 0.1, "tsd_kd": 0.15, "tsd": 0.2}
    ap = {"none": 0.5, "kd": 0.6, "tsd_kd": 0.65, "tsd": 0.7}
    return stored(
        [record(name, method, ap=ap[method], kl=kl[method]) for name in ("A", "B") for method in kl]
    )


@pytest.mark.usefixtures("only_svg")
def test_a_metric_drives_the_first_table_ranks_tests_and_figures(two_sets):
    result = write_report(two_sets, Options(metrics=("kl",)))
    titles = _titles((result.folder / "report.md").read_text())
    assert titles[1].startswith("KL, fcn") and titles[2].startswith("KL over data sets, fcn")
    first = json.loads((result.folder / "statistics.json").read_text())["statistics"][0]
    assert first["metric"] == "kl" and list(first["ranks"]) == ["kd", "tsd_kd", "tsd", "none"]
    drawn = {path.name for path in result.files if path.suffix == ".svg"}
    assert {"ranks-kl-fcn-lstm_8.svg", "matrix-kl-fcn-lstm_8.svg", "scatter-kl-fcn-lstm_8.svg"} <= drawn
    assert not any("average_precision" in name for name in drawn)


def test_several_metrics_have_tables_each(two_sets):
    titles = _titles(_text(two_sets, metrics=("accuracy", "kl")))
    assert [title.split(",")[0] for title in titles[:5]] == [
        "Mean over 2 data sets",
        "Accuracy",
        "Accuracy over data sets",
        "KL",
        "KL over data sets",
    ]


@pytest.mark.parametrize(("metric", "chosen", "told"), [("accuracy", 1, "Accuracy"), ("brier", 0, "Brier")])
def test_the_metric_decides_among_trials_in_its_own_direction(record, stored, metric, chosen, told):
    """Trial 0 is best by AP and by the Brier score (lower is better), trial 1 by accuracy."""
    runs = [
        record(method=method, trial=trial, settings={"method.lam": float(trial)})
        for method in ("kd", "tsd")
        for trial in (0, 1)
    ]
    for each in runs:
        trial = each["trial"]
        each["validation"] |= {"average_precision": 0.9 - trial / 10, "brier": 0.1 + trial / 10}
        each["validation"]["accuracy"] = each["test"]["brier"] = 0.5 + trial / 10
    out = stored(runs)
    text = _text(out, metrics=(metric,))
    assert f"best of 2 settings, selected on validation by {told}" in text
    assert f"the setting with the best mean {told}" in text
    table = pd.read_csv(out / "report" / "table.csv")
    assert set(table.loc[table["method"] != "teacher", "trial"]) == {chosen}


def test_without_the_metric_on_validation_average_precision_decides_and_is_named(record, stored):
    runs = [
        record(method=method, trial=trial, settings={"method.lam": float(trial)}, validation_ap=0.5 + trial)
        for method in ("kd", "tsd")
        for trial in (0, 1)
    ]
    assert "selected on validation by AP" in _text(stored(runs), metrics=("kl",))


def test_names_order_columns_and_decimals_are_as_asked(two_sets):
    text = _text(
        two_sets,
        labels={"tsd_kd": "TSD+KD", "fcn": "FCN", "A": "Set A", "accuracy": "Acc."},
        order=("tsd", "tsd_kd"),
        columns=("accuracy", "kl"),
        decimals=1,
    )
    summary = text.split("### Mean over")[1].split("###")[0]
    lines = [line for line in summary.splitlines() if line.startswith("| ")]
    assert lines[0] == "| method | Acc. | KL |"
    assert [line.split(" | ")[0] for line in lines[1:]] == [
        "| teacher",
        "| tsd",
        "| TSD+KD",
        "| none",
        "| kd",
    ]
    assert lines[2] == "| tsd | **0.7** | *0.2* |"
    assert "### AP, FCN → lstm" in text and "| Set A | 1.0 |" in text and "| TSD+KD | " in text
    table = pd.read_csv(two_sets / "report" / "table.csv")
    assert set(table["variant"]) == {"teacher", "none", "kd", "tsd", "tsd_kd"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"metrics": ("acuracy",)}, "metric: no stored run has 'acuracy': did you mean 'accuracy'?"),
        ({"columns": ("AP",)}, "columns: no stored run has 'AP'"),
        ({"labels": {"tsdkd": "x"}}, "labels: no stored run has 'tsdkd': did you mean 'tsd_kd'?"),
        ({"order": ("kd", "tds")}, "order: no stored run has 'tds': did you mean 'tsd'?"),
        ({"decimals": 9}, "decimals=9: choose from 0 to 8"),
    ],
)
def test_what_nothing_stored_has_is_refused(two_sets, asked, told):
    with pytest.raises(TsdistillError) as caught:
        write_report(two_sets, Options(**QUIET, **asked))
    assert str(caught.value).startswith(told)


def test_metrics_have_titles_and_directions():
    assert metric_of("average_precision") is METRICS["average_precision"]
    up = {
        "macro_f1",
        "agreement_snr10",
        "saliency_spearman",
        "occlusion_insertion",
        "error_agreement",
        "mine",
    }
    down = {"nll", "kl_snr0", "js", "negative_flips", "saliency_deletion", "saliency_deletion_chance"}
    assert all(metric_of(name).higher_is_better for name in up)
    assert not any(metric_of(name).higher_is_better for name in down)
    assert metric_of("kl_snr10").title == "KL at 10 dB" and metric_of("macro_f1").title == "Macro F1"


def test_several_folders_are_read_once_each_run(record, failure, stored_in, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    stored_in(one, [record(method="kd"), record(method="none"), failure(method="tsd")])
    stored_in(two, [record(method="kd"), record(method="tsd")])
    with pytest.raises(TsdistillError, match="name it with to=FOLDER"):
        write_report([one, two], Options(**QUIET))
    result = write_report([one, two], Options(**QUIET), to=tmp_path / "report")
    assert (result.runs, result.failed) == (3, 0)
    with pytest.raises(TsdistillError, match=f"no run records under {tmp_path / 'three'}"):
        write_report([one, tmp_path / "three"], Options(**QUIET), to=tmp_path / "report")


def test_folders_are_split_at_commas_unless_one_has_the_name(tmp_path):
    (tmp_path / "a,b").mkdir()
    assert folders(str(tmp_path / "a,b")) == [tmp_path / "a,b"]
    assert [path.name for path in folders(f"{tmp_path}/a, {tmp_path}/b")] == ["a", "b"]


def test_the_command_takes_lists_and_labels_as_they_are_written(two_sets, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", sys.argv)
    words = ["metric=accuracy,kl", "labels.tsd_kd=TSD+KD (ours)", "order=tsd,tsd_kd", "decimals=2"]
    folder = tmp_path / "mine"
    assert run("report", [f"out={two_sets}", *words, "figures=false", f"to={folder}"]) == 0
    text = (folder / "report.md").read_text()
    assert "| TSD+KD (ours) | " in text and "### KL over data sets" in text
    assert run("report", [f"out={two_sets}", "metric=acc"]) == 2
    assert "metric: no stored run has 'acc'" in capsys.readouterr().err

"""Settings that were varied on purpose: a row a value, curves, a heat map; pairs in one table."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tsdistill.errors import TsdistillError
from tsdistill.report import write_report
from tsdistill.report.assemble import assemble
from tsdistill.report.figures.looks import looks
from tsdistill.report.figures.style import style
from tsdistill.report.figures.sweeps import sweep_curves, sweep_map
from tsdistill.report.options import Options


def _swept(record, keys, values, method="tsd"):
    """Two data sets and two seeds at each value; AP is 0.5 + value / 100, 0.1 more on B, 0.02 on seed 2."""
    return [
        record(
            name,
            method,
            seed,
            settings=dict(zip(keys, value, strict=True)),
            ap=0.5 + sum(value) / 100 + (name == "B") / 10 + (seed == 2) / 50,
        )
        for value in values
        for name in ("A", "B")
        for seed in (1, 2)
    ]


@pytest.fixture
def one(record, stored):
    runs = _swept(record, ["saliency.window"], [(10,), (5,), (20,)])
    runs += [record(name, "none", seed, ap=0.4 + seed / 10) for name in ("A", "B") for seed in (1, 2)]
    return stored(runs)


def test_each_value_has_a_row_in_order_and_rivals_stand_below(one):
    report = assemble([one], Options(vary=("saliency.window",)))
    table = next(table for table in report.tables if table.key.startswith("sweep"))
    assert table.columns == ("method", "saliency.window", "AP", "sets", "seeds")
    assert [row[1].text for row in table.rows] == ["5", "10", "20"]
    # mean of 0.5, 0.6 and 0.02 more on one of two seeds; the deviation of two seeds 0.02 apart
    assert table.rows[0][2].mean == pytest.approx(0.5 + 0.05 + 0.05 + 0.01)
    assert table.rows[0][2].std == pytest.approx(0.02 / 2**0.5)
    assert [row[0].text for row in table.footer] == ["none"]
    assert table.footer[0][2].mean == pytest.approx(0.55)


def test_curves_have_error_bars_and_rivals_are_bands(one):
    sweep = assemble([one], Options(vary=("saliency.window",))).sweeps[0]
    with style():
        figure = sweep_curves(sweep, "average_precision", "AP", looks(["tsd", "none"]), "title")
    axes = figure.axes[0]
    container = axes.containers[0]
    assert list(container.lines[0].get_xdata()) == [5, 10, 20]
    assert list(container.lines[0].get_ydata()) == pytest.approx([0.61, 0.66, 0.76])
    low, high = container.lines[2][0].get_segments()[0][:, 1]
    assert high - low == pytest.approx(2 * 0.02 / 2**0.5)
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (band.y0, band.y1) == pytest.approx((0.55 - 0.1 / 2**0.5, 0.55 + 0.1 / 2**0.5))


def test_two_settings_give_a_heat_map_with_gaps_where_nothing_was_run(record, stored):
    keys = ["method.lam", "saliency.window"]
    out = stored(_swept(record, keys, [(1.0, 5), (1.0, 10), (10.0, 5)]))
    report = assemble([out], Options(vary=tuple(keys)))
    with style():
        figure = sweep_map(report.sweeps[0], "tsd", "average_precision", "AP", "title")
    grid = figure.axes[0].images[0].get_array().filled(np.nan)
    assert grid == pytest.approx(np.array([[0.62, 0.67], [0.71, np.nan]]), nan_ok=True)
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.620", "0.670", "0.710", "-"]


def test_a_setting_varied_besides_gives_series_of_their_own(record, stored):
    keys = ["method.lam", "saliency.window"]
    out = stored(_swept(record, keys, [(1.0, 5), (10.0, 5), (1.0, 10), (10.0, 10)]))
    sweep = assemble([out], Options(vary=("method.lam",))).sweeps[0]
    assert list(sweep.varied) == ["tsd [saliency.window=5]", "tsd [saliency.window=10]"]
    assert list(sweep.varied["tsd [saliency.window=5]"]) == [(1.0,), (10.0,)]


@pytest.mark.usefixtures("only_svg")
def test_files_hold_the_points_and_mistakes_are_told(one, stored, record):
    result = write_report(one, Options(vary=("saliency.window",), metrics=("accuracy",)))
    points = pd.read_csv(result.folder / "sweep.csv")
    assert list(points["saliency.window"].dropna()) == [5, 10, 20] and set(points["metric"]) == {"accuracy"}
    assert any(path.name == "sweep-saliency_window-accuracy-fcn-lstm_8.svg" for path in result.files)
    for vary, told in {
        ("saliency.windw",): "did you mean 'saliency.window'",
        ("a", "b", "c"): "name one or two settings",
        ("dataset.name",): "no runs of a method differ in it alone",
    }.items():
        with pytest.raises(TsdistillError, match=told):
            assemble([stored([record("A")])], Options(vary=vary, where="dataset=A"))


def test_a_setting_that_does_not_vary_is_refused_with_those_that_do(record, stored):
    runs = [
        record("A", "tsd", settings={"saliency.window": window, "method.lam": 1.0, "teacher.seeds": [0, 1]})
        for window in (5, 10)
    ]
    out = stored(runs)
    told = "differ in it alone; they have several values of saliency.window$"
    with pytest.raises(TsdistillError, match=told):
        assemble([out], Options(vary=("method.lam",)))


def test_pairs_stand_in_one_table_teachers_down_and_students_across(record, stored):
    sizes = {"lstm_8": 0.5, "lstm_16": 0.7}
    runs = [
        record("A", method, teacher=teacher, student=student, ap=ap + (teacher == "gru") / 10)
        for teacher in ("fcn", "gru")
        for student, ap in sizes.items()
        for method in ("none", "tsd")
    ]
    console = Console(file=io.StringIO(), width=100)
    write_report(stored(runs[:-1]), Options(figures=False), console)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "AP by teacher and student, mean over 1 data set"
    assert lines[1].split() == ["teacher", "method", "lstm_8", "lstm_16"]
    assert [line.split() for line in lines[3:9]] == [
        ["fcn", "teacher", ".990", ".990"],
        ["fcn", "none", ".500", ".700"],
        ["fcn", "tsd", ".500", ".700"],
        ["gru", "teacher", ".990", ".990"],
        ["gru", "none", ".600", ".800"],
        ["gru", "tsd", ".600", "-"],
    ]


def test_a_value_with_a_run_that_never_left_the_plateau_is_marked(record, stored):
    runs = _swept(record, ["saliency.window"], [(5,), (10,)])
    runs[0]["flags"] = ["plateau"]
    out = stored(runs)
    table = assemble([out], Options(vary=("saliency.window",))).tables[0]
    assert [row[2].marks for row in table.rows] == [("plateau",), ()]
    assert any("never left the plateau" in note for note in table.notes)

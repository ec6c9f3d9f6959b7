"""Figures: what they draw, that nothing leaves the page, that they are the same every time."""

import json
import re
import sys
import warnings
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from tsdistill.config.resolve import conf_folder
from tsdistill.evaluation.performance import performance
from tsdistill.report.aggregate import with_latency
from tsdistill.report.assemble import assemble
from tsdistill.report.figures import comparison
from tsdistill.report.figures.answers import confusion, confusion_counts, reliability
from tsdistill.report.figures.comparison import comparison_matrix, critical_difference, one_against_another
from tsdistill.report.figures.draw import draw_all, not_drawn
from tsdistill.report.figures.looks import (
    BUILT_IN,
    COLOURS,
    LOSS_PARTS,
    colours_of_parts,
    looks,
)
from tsdistill.report.figures.style import SHEETS, heading, save, style, wrapped
from tsdistill.report.figures.training import learning_curves
from tsdistill.report.figures.trends import against_cost, against_noise
from tsdistill.report.options import Options
from tsdistill.report.statistics import compare_methods
from tsdistill.store.manifest import seal
from tsdistill.store.records import run_folder

LONG = "tsd [saliency.perturbations=50, student.model.layers=[8, 8], training.lr=0.005]"


@pytest.fixture
def compared():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.4, 0.7, 12)
    names = {"none": 0.0, "kd": 0.01, "tsd": 0.2, LONG: 0.15}
    scores = pd.DataFrame({name: base + gain + rng.normal(0, 0.03, 12) for name, gain in names.items()})
    scores.index = [f"Set{at}" for at in range(12)]
    return scores, compare_methods(scores, "average_precision", "tsd"), looks(list(names))


def _texts(figure):
    return [text for text in figure.findobj(lambda each: hasattr(each, "get_text")) if text.get_text()]


def test_the_rank_diagram_names_every_method_with_its_rank_and_hides_none(compared):
    _, statistics, palette = compared
    with style():
        figure = critical_difference(statistics, palette, "title")
        figure.draw_without_rendering()
        labels = [text for text in _texts(figure) if "(" in text.get_text() and text.get_visible()]
        shown = " ".join(text.get_text() for text in labels)
        assert all(f"({rank:.2f})" in shown for rank in statistics.ranks.values())
        boxes = [text.get_window_extent() for text in labels]
        assert not [1 for at, box in enumerate(boxes) for other in boxes[at + 1 :] if box.overlaps(other)]


def test_the_matrix_holds_each_difference_with_both_signs(compared):
    scores, statistics, palette = compared
    with style():
        shown = " ".join(text.get_text() for text in _texts(comparison_matrix(statistics, palette, "title")))
    difference = float((scores["tsd"] - scores["none"]).mean())
    assert f"{difference:+.3f}\n12 / 0 / 0\np < 0.001" in shown
    assert f"\N{MINUS SIGN}{difference:.3f}\n0 / 0 / 12\np < 0.001" in shown


def test_a_difference_that_rounds_to_zero_has_no_sign():
    assert [comparison._signed(value) for value in (0.25, -0.25, -0.0004, 0.0)] == [
        "+0.250",
        "\N{MINUS SIGN}0.250",
        "0.000",
        "0.000",
    ]


def test_the_scatter_has_a_dot_for_each_data_set(compared):
    scores, statistics, palette = compared
    with style():
        figure = one_against_another(scores, statistics, "AP", palette, "title")
    assert len(figure.axes) == 3
    dots = figure.axes[0].collections[0].get_offsets()
    other = statistics.against_reference[0].other
    assert np.allclose(dots, scores[[other, "tsd"]].to_numpy())


def test_a_saved_figure_is_the_same_every_time_and_dollars_are_no_formulas(compared, tmp_path):
    _, statistics, palette = compared
    found = []
    for at in range(2):
        with style():
            figure = critical_difference(statistics, palette, wrapped("$x^2$ & $", 40))
            found.append([path.read_bytes() for path in save(figure, tmp_path / str(at), "ranks")])
    assert found[0] == found[1]


def test_names_are_broken_at_their_joints_and_shortened_where_they_stay_apart():
    assert wrapped("tsd_shuffled_across", 13) == "tsd_shuffled_\nacross"
    assert wrapped("x" * 30, 10) == "\n".join(["x" * 10] * 3)
    assert looks(["tsd [a.b.m=1]", "tsd [a.b.m=2]"])["tsd [a.b.m=1]"].label == "tsd [m=1]"
    alike = looks(["tsd [a.m=1]", "tsd [b.m=1]"])
    assert [look.label for look in alike.values()][1:] == ["tsd [a.m=1]", "tsd [b.m=1]"]


def test_no_two_methods_look_alike():
    palette = looks([f"m{at}" for at in range(3 * len(COLOURS))])
    assert len({(look.colour, look.marker, look.line) for look in palette.values()}) == len(palette)


CURVES = {"train/loss": 3, "train/ce": 1, "train/tsd": 20, "ce": 0.5, "loss": 0.05}
"""As of a student of TSD: on validation the cross-entropy alone is measured, times its weight."""


def _stored_run(out, record, method, seed):
    rng = np.random.default_rng(seed)
    run = record("CBF", method, seed, **{f"agreement_snr{ratio}": 0.5 + ratio / 100 for ratio in (0, 10, 20)})
    folder = run_folder(out, "CBF", run["id"])
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(run))
    (folder / "timing.json").write_text("{}")
    lines = [
        f"train,{epoch},{name},{value / epoch}" for epoch in range(1, 6) for name, value in CURVES.items()
    ]
    (folder / "curve.csv").write_text("\n".join(["stage,epoch,name,value", *lines]) + "\n")
    y = rng.integers(0, 2, 50)
    logits = np.stack([-y, y], axis=1).astype("float32")
    save_file({"test": logits, "teacher_test": 9 * logits, "y_test": y}, str(folder / "logits.safetensors"))
    (folder / "environment.json").write_text("{}")
    seal(folder)


@pytest.fixture
def report(record, tmp_path):
    for method in ("none", "tsd"):
        for seed in (1, 2):
            _stored_run(tmp_path, record, method, seed)
    return assemble([tmp_path], Options())


def test_curves_have_a_panel_a_method_and_a_line_a_seed_and_part_validation_dashed(report):
    with style():
        figure = learning_curves(report.selection.runs, looks(["none", "tsd"]), "title")
    assert len(figure.axes) == 2
    lines = figure.axes[1].get_lines()
    named = [line.get_label() for line in lines if not line.get_label().startswith("_")]
    assert sorted(named) == ["ce", "loss", "tsd"]
    assert len(lines) == 8  # two seeds, each with three parts in training and one on validation
    dashed = [line for line in lines if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in dashed] == [[0.5 / epoch for epoch in range(1, 6)]] * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "loss",
        "ce",
        "tsd",
        "training",
        "validation",
    ]


def test_a_sum_of_one_part_is_not_drawn_over_it(record, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "CURVES", {"train/loss": 1, "train/ce": 1, "loss": 2, "ce": 2})
    _stored_run(tmp_path, record, "none", 1)
    with style():
        figure = learning_curves(assemble([tmp_path], Options()).selection.runs, looks(["none"]), "title")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ce", "training", "validation"]


def test_confusion_counts_true_classes_down_and_answers_across():
    logits = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    counts = confusion_counts([(logits, np.array([0, 0, 1, 2])), (logits[:1], np.array([2]))])
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]


def test_a_confusion_matrix_has_every_count_and_the_teacher_once(report):
    with style():
        figure = confusion(report.selection.runs, looks(["none", "tsd"]), "title")
    assert [axes.get_title() for axes in figure.axes] == ["teacher", "none", "tsd"]
    classes = [np.bincount(np.random.default_rng(seed).integers(0, 2, 50)) for seed in (1, 2)]
    ones = sum(count[1] for count in classes)  # logits of class 0 are equal, and the first class is answered
    assert [text.get_text() for text in figure.axes[1].texts] == [str(100 - ones), "0", "0", str(ones)]


def test_reliability_shows_the_teacher_and_the_gap_by_hand(report):
    palette = looks(["none", "tsd"])
    with style():
        figure = reliability(report.selection.runs, palette, "title")
    # the teacher is always right, so its gap is the mean of one minus its confidence
    y = np.random.default_rng(1).integers(0, 2, 50)
    gap = np.mean(1 - np.where(y == 1, 1 / (1 + np.exp(-18.0)), 0.5))
    assert [axes.get_title() for axes in figure.axes] == ["teacher", "none", "tsd"]
    assert figure.axes[0].texts[0].get_text() == f"ECE {gap:.3f}"


def test_the_calibration_error_of_a_figure_is_that_of_the_tables(report):
    with style():
        figure = reliability(report.selection.runs, looks(["none", "tsd"]), "title")
    logits = [
        np.stack([-y, y], axis=1) for y in (np.random.default_rng(s).integers(0, 2, 50) for s in (1, 2))
    ]
    stored = np.mean([performance(each, each[:, 1])["ece"] for each in logits])
    assert figure.axes[2].texts[0].get_text() == f"ECE {stored:.3f}"
    # bins are open below: a confidence of one half, as class 0 has here, lies in the eighth of fifteen
    assert figure.axes[2].patches[7].get_height() == np.mean([each[:, 1] == 0 for each in logits])


def test_noise_is_drawn_by_ratio_and_left_out_where_it_was_not_measured(report):
    palette = looks(["none", "tsd"])
    with style():
        line = against_noise(report.selection.runs, palette, "title").axes[0].get_lines()[0]
        without = report.selection.runs.drop(columns=[name for name in report.runs if "snr" in name])
        assert against_noise(without, palette, "title") is None
    assert list(line.get_xdata()) == [0, 10, 20]
    assert list(line.get_ydata()) == pytest.approx([0.5, 0.6, 0.7])


def test_under_noise_a_seed_that_lacks_a_set_does_not_shift_the_mean():
    rows = [("A", 1, 0.9), ("B", 1, 0.3), ("A", 2, 0.7)]
    runs = pd.DataFrame(rows, columns=["dataset", "seed", "test.agreement_snr0"]).assign(variant="tsd")
    runs["test.agreement_snr10"] = runs["test.agreement_snr0"]
    with style():
        axes = against_noise(runs, looks(["tsd"]), "title").axes[0]
    assert list(axes.get_lines()[0].get_ydata()) == pytest.approx([0.55, 0.55])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert band == pytest.approx(0.55)  # one seed alone has all sets


def _sized(record, stored, sizes):
    """Two methods for each (student, data set, parameters) of one teacher with 1,202 parameters."""
    runs = []
    for student, dataset, parameters in sizes:
        for method in ("none", "tsd"):
            run = record(dataset, method, student=student)
            run["cost"] = {"parameters": parameters, "teacher_parameters": 1202}
            runs.append(run)
    report = assemble([stored(runs)], Options())
    palette = looks(list(report.means["variant"]))
    with style():
        figure = against_cost(
            report.rows, report.means, "cost.parameters", "parameters", palette, report.view, "title"
        )
        figure.draw_without_rendering()
    axes = figure.axes[0]
    lines = [list(map(float, line.get_xdata())) for line in axes.get_lines() if line.get_marker() != "None"]
    return axes, lines


def test_size_is_on_a_log_axis_at_the_true_numbers_of_parameters(record, stored):
    axes, lines = _sized(record, stored, [("lstm_8", "A", 370), ("lstm_16", "A", 1250)])
    assert axes.get_xscale() == "log"
    assert lines.count([1202.0]) == 1
    assert lines.count([370.0, 1250.0]) == 2
    named = {text.get_text().replace("\n", ""): text.xy[0] for text in axes.texts}
    assert named == {"lstm_8": 370.0, "lstm_16": 1250.0}


def test_a_single_cost_has_an_axis_around_it(record, stored):
    out = stored([record("A", method, kl=0.1) for method in ("none", "tsd")])
    report = assemble([out], Options(metrics=("kl",)))
    palette = looks(["none", "tsd"])
    with style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = against_cost(
            report.rows, report.means, "cost.parameters", "parameters", palette, report.view, ""
        )
        figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    assert 0 < low < 370 < high < 1000


def test_no_line_joins_students_on_different_data_sets(record, stored):
    axes, lines = _sized(record, stored, [("lstm_8", "A", 370), ("lstm_16", "B", 1250)])
    assert lines.count([370.0]) == lines.count([1250.0]) == 2
    assert all(len(line) == 1 for line in lines)
    labels = axes.get_legend_handles_labels()[1]
    assert len(labels) == len(set(labels)) == 3


def test_every_figure_carries_the_selection_and_lies_in_three_formats(report, tmp_path):
    drawn = draw_all(report, tmp_path / "figures")
    assert {figure.title.split(",")[0] for figure in drawn} == {
        "Agreement with the teacher under noise",
        "Loss by part in training and on validation",
        "Reliability",
        "Quality against size",
    }
    assert all("one setting per method" in figure.title for figure in drawn)
    assert all({path.suffix for path in figure.files} == {".svg", ".pdf", ".png"} for figure in drawn)


@pytest.mark.parametrize("name", ["column"])
def test_figures_have_the_width_of_their_sheet_no_titles_and_no_small_text(
    report, compared, tmp_path, name, monkeypatch
):
    monkeypatch.setattr("tsdistill.report.figures.style.FORMATS", ("pdf",))
    report = replace(report, options=Options(figures=("all",), style=name))
    scores, statistics, palette = compared
    sheet = SHEETS[name]
    with style(name):
        figures = [
            critical_difference(statistics, palette, heading("title")),
            comparison_matrix(statistics, palette, heading("title")),
            one_against_another(scores, statistics, "AP", palette, heading("title")),
        ]
        found = [path for at, each in enumerate(figures) for path in save(each, tmp_path, str(at))]
    for figure in figures:
        sizes = {text.get_fontsize() for text in _texts(figure) if text.get_text().strip()}
        assert min(sizes) >= sheet.small >= 7
        assert figure.get_suptitle() == ""
    found += [path for drawn in draw_all(report, tmp_path / "all") for path in drawn.files]
    widths = {path.name: _pdf_width(path) for path in found if path.suffix == ".pdf"}
    assert len(widths) == 3 + 5
    assert all(width <= sheet.width + 0.01 for width in widths.values()), widths
    assert not [path for path in found if path.suffix == ".pdf" and b"/Type3" in path.read_bytes()]


def _pdf_width(path):
    box = re.search(rb"/MediaBox \[ ?([\d. ]+)\]", path.read_bytes())[1].split()
    return (float(box[2]) - float(box[0])) / 72


def test_only_the_kinds_that_are_named_are_drawn_and_what_is_lacking_is_said(report, tmp_path):
    report = replace(report, options=Options(figures=("confusion", "latency")))
    drawn = draw_all(report, tmp_path)
    assert [each.kind for each in drawn] == ["confusion"]
    assert [note.partition(":")[0] for note in not_drawn(report, drawn)] == ["figures=latency"]


def test_curves_are_drawn_for_every_data_set_where_they_are_named_else_it_is_said(
    record, stored, tmp_path, monkeypatch
):
    monkeypatch.setattr("tsdistill.report.figures.draw.save", lambda *_: [])
    out = stored([record(f"Set{at}", method) for at in range(4) for method in ("none", "tsd")])
    report = assemble([out], Options())
    for folder in report.runs["folder"]:
        (Path(folder) / "curve.csv").write_text("stage,epoch,name,value\ntrain,1,train/loss,0.5\n")
        seal(Path(folder))
    usual = [each.title for each in draw_all(report, tmp_path / "usual") if each.kind == "curves"]
    assert len(usual) == 2 and all(title.endswith("; 2 of 4 data sets drawn") for title in usual)
    every = draw_all(replace(report, options=Options(figures=("curves",))), tmp_path / "named")
    assert [each.title.split(", ")[1] for each in every] == [f"Set{at}" for at in range(4)]


def test_latency_is_the_mean_over_data_sets_of_stored_measurements(record, stored):
    runs = [record(name, method) for name in ("A", "B") for method in ("none", "tsd")]
    out = stored(runs)
    for at, run in enumerate(runs):
        folder = run_folder(out, run["dataset"], run["id"])
        (folder / "timing.json").write_text(json.dumps({"latency_ms": at, "teacher_latency_ms": 9}))
        seal(folder)
    report = assemble([out], Options())
    found = with_latency(report.means, report.selection).set_index("variant")["timing.latency_ms"]
    assert found.to_dict() == {"teacher": 9.0, "none": 1.0, "tsd": 2.0}


def test_no_pdf_holds_type_3_fonts(compared, tmp_path):
    _, statistics, palette = compared
    with style():
        paths = save(critical_difference(statistics, palette, "title"), tmp_path, "ranks")
    written = next(path for path in paths if path.suffix == ".pdf").read_bytes()
    assert b"/Type3" not in written and b"/FontFile2" in written


# --- colours ---

# Machado, Oliveira and Fernandes (2009), severity 1, on linear sRGB
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def _linear(colour):
    values = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _lab(colour, vision):
    x, y, z = XYZ @ np.clip(np.array(VISION[vision]) @ _linear(colour), 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = (np.cbrt(v) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in (x, y, z))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _apart(one, other, vision):
    return float(np.linalg.norm(_lab(one, vision) - _lab(other, vision)))


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_has_a_contrast_of_three_to_one_on_white(colour):
    assert 1.05 / (float(_linear(colour) @ XYZ[1]) + 0.05) >= 3


@pytest.mark.parametrize("vision", VISION)
def test_colours_are_told_apart_with_any_vision(vision):
    assert min(_apart(one, other, vision) for one, other in combinations((*COLOURS, "#000000"), 2)) >= 15
    looks_ = list(BUILT_IN.values())
    assert all(
        _apart(one[0], other[0], vision) >= 15 or one[1] != other[1] for one, other in combinations(looks_, 2)
    )


def test_a_method_looks_the_same_in_every_report():
    few = looks(["teacher", "none", "mine", "tsd [method.lam=10]"])
    many = looks(["kd", "tsd", "tsd [method.lam=10]", "mine", "none", "tsd_kd", "teacher"])
    for name in few:
        assert (few[name].colour, few[name].marker, few[name].line) == (
            many[name].colour,
            many[name].marker,
            many[name].line,
        )
    assert few["tsd [method.lam=10]"].colour == BUILT_IN["tsd"][0]
    every = [(look.colour, look.marker, look.line) for look in many.values()]
    assert len(set(every)) == len(every)
    settings = looks([f"tsd [method.lam={at}]" for at in range(30)])
    assert len({(look.marker, look.line) for look in settings.values()}) == 31


@pytest.mark.parametrize(
    "names",
    [
        ["none", "kd", "tsd", "tsd_kd", "fitnets", "mine", "yours", "theirs"],
        [f"mine{at}" for at in range(8)],
        ["none", "kd", *(f"tsd [method.lam={at}]" for at in range(6))],
    ],
)
def test_eight_methods_are_told_apart_without_colour(names):
    grey = [(look.marker, look.line) for look in looks(names).values()]
    assert len(set(grey)) == len(grey) == 9


def test_a_part_of_the_loss_has_the_same_colour_in_every_report():
    parts = colours_of_parts(["ce", "loss", "mine", "tsd"])
    assert parts["mine"] == colours_of_parts(["mine"])["mine"] not in LOSS_PARTS.values()
    assert len(set(parts.values())) == 4


def test_every_built_in_method_has_a_look():
    assert {path.stem for path in (conf_folder() / "method").glob("*.yaml")} <= set(BUILT_IN)

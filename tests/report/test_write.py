"""The written report: values by hand, all formats, the same bytes every time."""

import errno
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from tsdistill.errors import TsdistillError
from tsdistill.report import write_report
from tsdistill.report.cells import MARKS, Cell, Table
from tsdistill.report.frame import as_csv
from tsdistill.report.latex import to_latex
from tsdistill.report.options import Options
from tsdistill.report.write import folder_name
from tsdistill.store.manifest import seal
from tsdistill.store.records import run_folder


@pytest.fixture
def sweep(record, failure, stored):
    def build(name="GunPoint"):
        records = [record("CBF", "none", seed, ap=0.5 + seed / 100) for seed in (1, 2, 3)]
        records += [record("CBF", "tsd", seed, ap=0.8 + seed / 100) for seed in (1, 2, 3)]
        records += [record(name, "none", seed, ap=0.3) for seed in (1, 2, 3)]
        records += [record(name, "tsd", seed, ap=0.6 + seed / 10) for seed in (1, 2)]
        return stored([*records, failure(name, "tsd", 3, error="out of luck")])

    return build


def _printed(out, **options):
    console = Console(file=io.StringIO(), width=100)
    write_report(out, Options(**({"figures": False} | options)), console=console)
    return console.file.getvalue()


def test_means_and_deviations_by_hand(sweep):
    folder = write_report(sweep(), Options(figures=False)).folder
    table = pd.read_csv(folder / "table.csv").set_index(["dataset", "variant"])
    assert table.loc[("CBF", "none"), "average_precision"] == pytest.approx(0.52)
    assert table.loc[("CBF", "none"), "average_precision_std"] == pytest.approx(0.01)
    assert table.loc[("GunPoint", "tsd"), "average_precision"] == pytest.approx(0.75)
    assert table.loc[("GunPoint", "tsd"), "average_precision_std"] == pytest.approx(0.1 / 2**0.5)
    assert table.loc[("CBF", "teacher"), "average_precision"] == 0.99
    means = pd.read_csv(folder / "summary.csv").set_index("variant")
    assert means.loc["none", "average_precision"] == pytest.approx(0.41)
    assert means.loc["none", "average_precision_std"] == pytest.approx(0.005)
    assert means.loc["tsd", "average_precision"] == pytest.approx((0.82 + 0.75) / 2)
    assert list(means.loc["tsd", ["runs", "failed", "missing"]]) == [5, 1, 0]


def test_the_terminal_shows_the_means_the_marks_and_the_failures_within_100_columns(sweep):
    text = _printed(sweep())
    assert "AP, fcn → lstm_8, one setting per method" in text
    assert ".520±.010" in text
    assert ".750±.071‡" in text
    assert "out of luck" in text
    assert max(map(len, text.splitlines())) <= 100


def _trials(record, methods, lams=(1.0, 10.0), datasets=("CBF", "GunPoint")):
    """Runs of each method at each lam; all but the first are better on validation and test."""
    return [
        record(name, method, trial=at, settings={"method.lam": lam}, ap=score, validation_ap=score)
        for name in datasets
        for method in methods
        for at, lam in enumerate(lams)
        for score in [0.5 + at / 10]
    ]


def test_selection_on_test_is_labelled_in_every_table_and_kept_apart(record, stored):
    out = stored(_trials(record, ("none", "tsd")))
    text = _printed(out, select="test", figures=True)
    assert text.count("selected on TEST") == 4
    assert "selected on validation" not in text
    folder = out / "report_test"
    lines = (folder / "report.md").read_text().splitlines()
    titles = [line for line in lines if line.startswith(("# ", "### "))]
    assert len(titles) > 2 and all("selected on TEST" in line for line in titles if "Failed runs" not in line)
    assert "selected on TEST" in (folder / "report.html").read_text()
    assert {path.suffix for path in (folder / "figures").iterdir()} == {".svg", ".pdf", ".png"}
    assert not (out / "report").exists()


@pytest.mark.usefixtures("only_svg")
def test_records_without_the_metric_that_leads_give_a_report_all_the_same(record, stored):
    records = [record("CBF", method, seed) for method in ("kd", "tsd") for seed in (1, 2)]
    for each in records:
        each |= {part: {"accuracy": 0.5} for part in ("test", "validation", "teacher_test")}
    folder = write_report(stored(records)).folder
    assert "AP: no value." in (folder / "report.md").read_text()
    assert "0.500" in (folder / "tables" / "accuracy-fcn-lstm_8.tex").read_text()


def test_the_same_records_give_the_same_bytes(sweep):
    out = sweep()
    first = {path.name: path.read_bytes() for path in write_report(out).files}
    second = {path.name: path.read_bytes() for path in write_report(out).files}
    assert first == second


def test_markdown_and_latex_mark_the_best_and_escape_names(sweep):
    folder = write_report(sweep("a|b_<i>&$%"), Options(figures=False)).folder
    markdown = (folder / "report.md").read_text()
    assert "a\\|b\\_&lt;i&gt;&amp;$%" in markdown
    assert "**0.820** ± 0.010" in markdown
    latex = (folder / "tables" / "average_precision-fcn-lstm_8.tex").read_text()
    assert r"a$|$b\_$<$i$>$\&\$\%" in latex
    assert r"\textbf{0.820}" in latex
    assert r"\underline{0.520}" in latex


@pytest.mark.usefixtures("only_svg")
def test_the_reseeded_teacher_is_a_yardstick_and_no_competitor(record, stored):
    again = {"settings": {"teachers": ["a", "b"]}, "count": 2, "average_precision": 0.97, "agreement": 0.93}
    runs = [
        record("GunPoint", method, seed) | {"reseeded": again} for method in ("kd", "none") for seed in (1, 2)
    ]
    folder = write_report(stored(runs)).folder
    table = pd.read_csv(folder / "table.csv").set_index("variant")
    assert list(table.index) == ["teacher", "teacher, re-seeded", "none", "kd"]
    assert table.loc["teacher, re-seeded", ["agreement", "average_precision", "seeds"]].tolist() == [
        0.93,
        0.97,
        2,
    ]
    statistics = json.loads((folder / "statistics.json").read_text())["statistics"]
    assert all(set(each["ranks"]) == {"none", "kd"} for each in statistics)
    text = (folder / "report.md").read_text()
    assert "from other seeds (teacher, re-seeded)" in text
    assert "| teacher, re-seeded | 0.970 " in text.replace("| .", "| 0.")


def _summary(out, **options):
    folder = write_report(out, Options(figures=False, **options)).folder
    return pd.read_csv(folder / "summary.csv").set_index("variant")["average_precision"].drop("teacher")


def test_settings_are_selected_where_all_methods_have_equally_many(record, stored):
    out = stored(_trials(record, ("none", "tsd")))
    assert _summary(out).to_dict() == {"none": 0.6, "tsd": 0.6}
    assert "best of 2 settings, selected on validation" in _printed(out)
    never = _summary(out, tune="never").to_dict()
    assert never == {"none": 0.5, "none [method.lam=10.0]": 0.6, "tsd": 0.5, "tsd [method.lam=10.0]": 0.6}


@pytest.mark.parametrize("swept_by", ["trial", "override"])
def test_a_sweep_of_one_method_leaves_its_default_in_the_headline(record, stored, swept_by):
    """Of settings that all are trial 0, the default is the one in the method's own config: lam 1."""
    sweep = _trials(record, ["tsd"], (1.0, 10.0, 0.1) if swept_by == "trial" else (0.1, 1.0, 10.0))
    if swept_by == "override":
        sweep = [each | {"trial": 0} for each in sweep]
    out = stored([*_trials(record, ["kd"], (1.0,)), *sweep])
    found = _summary(out)
    default = 0.5 if swept_by == "trial" else 0.6
    assert list(found.index) == ["kd", "tsd", "tsd [method.lam=0.1]", "tsd [method.lam=10.0]"]
    assert (found["kd"], found["tsd"]) == (0.5, default)
    text = _printed(out)
    assert "default settings, none selected" in text
    assert "Methods have unequal numbers of settings, so none" in (out / "report" / "report.md").read_text()
    assert "Settings per method: tsd 3, every other method 1" in " ".join(text.split())
    assert _summary(out, tune="always")["tsd"] == pytest.approx(0.7)
    text = _printed(out, tune="always")
    assert "best of 1 to 3 settings, selected on validation" in text
    assert "unequal numbers of settings" in text


def test_settings_of_an_unknown_method_are_all_named(record, stored):
    mine = [each | {"trial": 0} for each in _trials(record, ["mine"])]
    out = stored([*_trials(record, ["kd"], (1.0,)), *mine])
    assert list(_summary(out).index) == ["kd", "mine [method.lam=1.0]", "mine [method.lam=10.0]"]


def test_one_data_set_with_unequal_settings_is_enough(record, stored):
    out = stored(_trials(record, ("none", "tsd"))[:-1])
    assert _summary(out)["none"] == 0.5


def _line(text, start):
    return next(line for line in text.splitlines() if line.startswith(start))


def test_incomplete_and_collapsed_means_take_no_place_and_are_marked(record, stored):
    scores = {"none": 0.5, "kd": 0.6, "tsd": 0.7}
    runs = [record(name, method, ap=score) for name in ("A", "B") for method, score in scores.items()]
    runs += [record("A", "tsd_kd", ap=0.9)]
    runs += [record(name, "fitnets", ap=0.95) | {"flags": ["collapsed"]} for name in ("A", "B")]
    text = (write_report(stored(runs), Options(figures=False)).folder / "report.md").read_text()
    summary = text.split("### Mean over")[1].split("###")[0]
    assert "| tsd\\_kd | 0.900§ |" in summary
    assert "| fitnets | 0.950° |" in summary
    assert "| tsd | **0.700** |" in summary and "| kd | *0.600* |" in summary
    assert "§ mean over some of the data sets only; not ranked" in summary
    table = text.split("### AP, fcn")[1].split("###")[0]
    assert "| A | 0.990 | 0.500 | 0.950° | 0.600 | *0.700* | **0.900** |" in table


def test_a_mean_that_lacks_a_value_on_one_set_is_marked(record, stored):
    runs = [record(name, method) for name in ("A", "B") for method in ("kd", "tsd")]
    runs[0]["test"]["kl"] = None
    text = (write_report(stored(runs), Options(figures=False)).folder / "report.md").read_text()
    assert "0.100§" in _line(text.split("### Mean over")[1], "| kd ")


def test_ranks_say_which_data_sets_they_use(record, stored):
    runs = [record(name, method) for name in ("A", "B", "C") for method in ("kd", "tsd")]
    told = (write_report(stored(runs), Options(figures=False)).folder / "report.md").read_text()
    assert "Ranks, means and tests use all 3 data sets." in told
    runs += [record(name, "none") for name in ("A", "B")]
    told = (write_report(stored(runs), Options(figures=False)).folder / "report.md").read_text()
    assert (
        "use the 2 of 3 data sets on which every method in this table has a result: A, B. Not used: C."
        in told
    )


def test_a_pair_without_the_reference_is_reported_without_comparison(record, stored):
    runs = [record(name, method) for name in ("A", "B") for method in ("kd", "tsd")]
    runs += [record(name, method, student="gru") for name in ("A", "B") for method in ("kd", "none")]
    folder = write_report(stored(runs), Options(figures=False, reference="tsd")).folder
    text = (folder / "report.md").read_text()
    assert "### AP over data sets, fcn → lstm" in text and "### AP over data sets, fcn → gru" not in text
    summary = text.split("### Mean over 2 data sets, fcn → gru")[1].split("###")[0]
    assert "Methods are not compared: no row here is named tsd." in summary
    with pytest.raises(TsdistillError, match="no row is named reference=tds: did you mean 'tsd'"):
        write_report(folder.parent, Options(reference="tds"))


def test_rows_are_sorted_by_number(record, stored):
    runs = [record(method="tsd", settings={"saliency.window": window}) for window in (10, 20, 5)]
    assert list(_summary(stored(runs)).index) == [f"tsd [saliency.window={window}]" for window in (5, 10, 20)]


def test_nothing_but_failures_is_told(failure, stored):
    with pytest.raises(TsdistillError, match=r"all 1 stored runs failed.*boom"):
        write_report(stored([failure()]))


def test_several_pairs_have_tables_of_their_own(record, stored):
    out = stored([record(student="lstm_8"), record(student="gru")])
    text = _printed(out)
    assert "AP, fcn → gru" in text
    assert "AP, fcn → lstm_8" in text


def test_pairs_are_sorted_by_size(record, stored):
    text = _printed(stored([record(student="lstm_16"), record(student="lstm_8")]))
    assert text.index("AP, fcn → lstm_8") < text.index("AP, fcn → lstm_16")


def test_training_times_stand_in_a_file_of_their_own(sweep):
    folder = write_report(sweep(), Options(figures=False)).folder
    times = pd.read_csv(folder / "times.csv")
    assert set(times["train_seconds"]) == {1.5}
    assert set(times["ratio_to_none"]) == {1.0}
    holders = [
        path.name for path in folder.iterdir() if path.suffix == ".csv" and "seconds" in path.read_text()
    ]
    assert holders == ["times.csv"]


def test_further_metrics_and_costs_are_shown(record, stored):
    out = stored([record(negative_flips=0.125), record(seed=2, negative_flips=0.375)])
    text = (write_report(out, Options(figures=False)).folder / "report.md").read_text()
    assert "| negative flips | - | 0.250 ± 0.177 |" in text
    assert "| parameters | 265000 | 370 |" in text


def test_maps_have_tables_of_their_own_with_chance_beside_each_figure(record, stored):
    maps = {
        "settings": {"seed": 0},
        "series": 100,
        "of": 150,
        "saliency_spearman": 0.7,
        "saliency_spearman_chance": 0.1,
        "saliency_undefined": 2.0,
        "saliency_insertion": 0.8,
        "saliency_insertion_chance": 0.6,
        "teacher_saliency_insertion": 0.95,
        "teacher_saliency_insertion_chance": 0.65,
        "occlusion_spearman": 0.5,
        "occlusion_spearman_chance": 0.2,
        "occlusion_undefined": 0.0,
    }
    runs = [record(method="tsd") | {"reasoning": maps}, record(method="none")]
    text = (write_report(stored(runs), Options(figures=False)).folder / "report.md").read_text()
    table = text.split("### Maps by perturbation saliency")[1].split("###")[0]
    assert "| method | Spearman | chance | insertion | chance | undefined |" in table
    assert "| teacher | - | - | 0.950 | 0.650 | - |" in table
    assert "| tsd | 0.700 | 0.100 | 0.800 | 0.600 | 2.0 |" in table
    assert "| none |" not in table
    assert "### Maps by occlusion" in text
    assert "saliency" not in text.split("### Further metrics")[1].split("###")[0]


def test_a_run_that_diverged_does_not_widen_the_table(record, stored):
    runs = [record(method="kd", kl=50980303.2847), record(method="none")]
    text = (write_report(stored(runs), Options(figures=False)).folder / "report.md").read_text()
    assert "5.10e+07" in text and "50980303" not in text


def test_parquet_holds_one_row_a_run(sweep):
    pytest.importorskip("pyarrow")
    result = write_report(sweep(), Options(figures=False))
    written = pd.read_parquet(result.folder / "runs.parquet")
    assert len(written) == result.runs + result.failed == 12
    assert written["chosen"].sum() == 11
    assert set(written["setting.method.lam"]) == {1.0}


def test_without_pyarrow_parquet_is_left_out_and_said_so(sweep, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = write_report(sweep(), Options(figures=False))
    assert not (result.folder / "runs.parquet").exists()
    assert any("tsdistill[parquet]" in note for note in result.notes)


def test_all_statistics_are_in_one_json_file(sweep):
    folder = write_report(sweep(), Options(figures=False, reference="none")).folder
    found = json.loads((folder / "statistics.json").read_text())
    assert found["selection"] == "one setting per method"
    first = found["statistics"][0]
    assert (first["metric"], first["reference"], first["datasets"]) == (
        "average_precision",
        "none",
        ["CBF", "GunPoint"],
    )
    against = first["against_reference"][0]
    assert (against["other"], against["wins"], against["losses"], against["p_smallest"]) == ("tsd", 0, 2, 0.5)


def test_importing_the_room_is_light():
    program = "import sys, tsdistill.report; print({'pandas', 'matplotlib', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.usefixtures("only_svg")
def test_what_a_killed_report_left_is_removed(sweep, monkeypatch):
    out = sweep()
    program = """
import os, sys
from pathlib import Path
from tsdistill.report import html
from tsdistill.report.write import write_report

html.to_html = lambda *_: os._exit(9)
write_report(Path(sys.argv[1]))
"""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(out)]
    assert subprocess.run(command, cwd=root, check=False).returncode == 9
    left = [path for path in out.iterdir() if path.name.startswith(".report")]
    assert len([path for path in left if path.is_dir()]) == 1
    write_report(out)
    assert not any(path.exists() for path in left)


def test_a_full_disk_leaves_the_earlier_report_whole(sweep, monkeypatch):
    out = sweep()
    folder = write_report(out).folder
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "figures" / "of-old.png").write_bytes(b"")
    (folder / "notes.txt").write_text("mine")
    write = Path.write_text

    def full(path, text, *args, **kwargs):
        if path.name == "report.html":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, text, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(TsdistillError, match="No space left on device; free some space"):
            write_report(out)
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    write_report(out)
    assert not (folder / "figures" / "of-old.png").exists()
    assert (folder / "notes.txt").read_text() == "mine"


def test_runs_that_a_later_one_outdates_are_told(stored, record):
    out = stored([record(), record() | {"id": "edited"}, record(seed=2)])
    text = (write_report(out, Options(figures=False)).folder / "report.md").read_text()
    assert "Finished runs left out: 1. Later runs have the same settings" in text


@pytest.mark.parametrize("change", [{"code": "edited"}, {"teacher_id": "retrained"}])
def test_no_mean_mixes_runs_of_old_and_new_code_or_data(stored, record, change):
    old = [record(seed=seed, ap=0.2) for seed in (1, 2, 3)]
    new = [record(seed=seed, ap=0.8) | {"id": f"new{seed}"} | change for seed in (1, 2)]
    out = stored([*old, *new])
    for run in new:
        timing = run_folder(out, run["dataset"], run["id"]) / "timing.json"
        timing.write_text('{"train_seconds": 1.0, "finished": 10.0}')
        seal(timing.parent)
    folder = write_report(out, Options(figures=False)).folder
    row = pd.read_csv(folder / "table.csv").set_index("variant").loc["kd"]
    assert (row["average_precision"], row["seeds"], row["outdated"], row["missing"]) == (0.8, 2, 3, 1)
    assert "Finished runs left out: 3." in (folder / "report.md").read_text()


@pytest.mark.usefixtures("only_svg")
def test_tables_alone_keep_earlier_figures_and_say_so(sweep):
    out = sweep()
    folder = write_report(out).folder
    before = sorted((folder / "figures").iterdir())
    text = _printed(out)
    assert before and sorted((folder / "figures").iterdir()) == before
    told = "figures/ holds the figures of an earlier report"
    assert told in text and told in (folder / "report.html").read_text()


def test_a_filtered_report_leaves_the_full_one_alone(sweep, tmp_path):
    out = sweep()
    full = write_report(out, Options(figures=False)).folder
    before = (full / "table.csv").read_bytes()
    text = _printed(out, filters={"method": "tsd, none", "dataset": ["CBF"]})
    folder = full / "dataset=CBF+method=none,tsd"
    assert (folder / "report.html").is_file() and (full / "table.csv").read_bytes() == before
    text = "".join(text.split())  # lines break where the folder's length has them break
    assert f"writtento{folder}" in text and "wasnotchanged" in text
    filtered = write_report(out, Options(figures=False, where="seed=1"), to=tmp_path / "mine")
    assert filtered.folder == tmp_path / "mine"


def test_names_of_folders_are_plain_and_differ():
    wheres = ["seed=1 and method.lam<0.5", "seed=1 and method.lam>0.5", "x=" + "y" * 300, "x=../.."]
    names = [folder_name({"where": where}) for where in wheres]
    assert names[0].startswith("where=seed=1-and-method.lam-0.5-")
    assert len(set(names)) == 4 and all(re.fullmatch(r"[\w=,.+-]{1,90}", name) for name in names)


def test_latex_has_minus_signs_powers_and_shrinks_to_the_column():
    table = Table("k", "t", ("a", "b", "c"), [[Cell(text="x"), Cell(mean=-0.5, std=0.1), Cell(mean=-2.5e7)]])
    text = to_latex(table)
    assert r"$-$0.500\,{\scriptsize$\pm$\,0.100} & $-$2.50$\times10^{7}$" in text
    assert r"\resizebox{\ifdim\width>\columnwidth\columnwidth\else\width\fi}{!}{%" in text
    assert text.count("{") == text.count("}")


def test_commands_in_the_protocol_are_code(sweep):
    folder = write_report(sweep(), Options(figures=False)).folder
    assert "then `tsdistill evaluate`." in (folder / "report.md").read_text()
    page = (folder / "report.html").read_text()
    assert "then <code>tsdistill evaluate</code>." in page and "`" not in page.split("<script>")[0]


def test_no_name_in_a_csv_file_is_a_formula():
    frame = pd.DataFrame({"=1+1": ["=cmd|x", "+1", "-tsd", "@x", "tsd"], "mean": [-0.5, 1.0, 0.0, 2.0, 3.0]})
    told = as_csv(frame)
    assert told.splitlines() == ["'=1+1,mean", "'=cmd|x,-0.5", "'+1,1.0", "'-tsd,0.0", "'@x,2.0", "tsd,3.0"]


def test_every_mark_has_its_own_sign_and_a_latex_form():
    signs = [sign for sign, _ in MARKS.values()]
    assert len(set(signs)) == len(signs)
    cell = Cell(mean=0.5, marks=tuple(MARKS))
    assert r"\parallel" in to_latex(Table("t", "title", ("value",), [[cell]]))


def test_a_damaged_record_is_left_out_named_and_counted_under_the_table(record, stored):
    runs = [record(seed=seed, ap=0.5) for seed in (1, 2)]
    out = stored(runs)
    path = run_folder(out, "GunPoint", runs[1]["id"]) / "result.json"
    path.write_text(path.read_text().replace("0.5", "0.9"))
    folder = write_report(out, Options(figures=False)).folder
    assert pd.read_csv(folder / "table.csv").set_index("variant").loc["kd", "average_precision"] == 0.5
    told = (folder / "report.md").read_text().replace("\\", "")
    assert f"Damaged records left out: 1 (GunPoint/{runs[1]['id']}: result.json has changed" in told


def test_headings_are_broken_at_their_joints_and_the_default_stands_before_its_variants(record, stored):
    settings = [{"saliency.window": 5}, {"saliency.window": 5, "method.lam": 10.0}, {"saliency.window": 10}]
    records = [record("CBF", "tsd", trial=at, settings=each) for at, each in enumerate(settings)]
    said = Console(width=100, record=True, file=io.StringIO())
    report = write_report(stored([*records, record("CBF", "none")]), console=said)
    lines = [line.rstrip() for line in said.export_text().splitlines()]
    heading = " ".join(lines[1 : next(at for at, line in enumerate(lines) if "───" in line)]).split()
    pieces = {"tsd", "[saliency.", "window=5]", "window=5,", "method.lam=", "10.0]", "window=10]"}
    assert set(heading) == pieces | {"data", "set", "teacher", "none"}
    rows = pd.read_csv(report.folder / "summary.csv")["variant"].tolist()
    assert rows == [
        "teacher",
        "none",
        "tsd [saliency.window=5]",
        "tsd [saliency.window=5, method.lam=10.0]",
        "tsd [saliency.window=10]",
    ]


def test_what_follows_the_seed_is_told(record, stored_in, tmp_path):
    def told(split):
        runs = [record(seed=seed, settings={"split.seed": split or seed}) for seed in (1, 24)]
        text = (write_report(stored_in(tmp_path / str(split), runs)).folder / "report.md").read_text()
        assert "\\[split" not in text
        return "Each seed has a validation split of its own, so deviations over seeds include theirs." in text

    assert told(None) and not told(3)

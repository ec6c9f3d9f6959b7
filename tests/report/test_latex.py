"""Tables for LaTeX: they compile, and none is wider than a column of a two-column paper."""

import re
import shutil
import subprocess

import pytest

from tsdistill.report import write_report
from tsdistill.report.cells import MARKS, Cell, Table
from tsdistill.report.latex import PREAMBLE, to_latex
from tsdistill.report.names import broken, file_name
from tsdistill.report.options import Options

DOCUMENT = r"""\documentclass[10pt,twocolumn]{article}
\usepackage[textwidth=506pt,columnsep=24pt,textheight=648pt]{geometry}
%s
\extrafloats{100}
\begin{document}
\typeout{column \the\columnwidth}
%s
\end{document}
"""


def _compiled(folder, names):
    """The log of a two-column document of these tables; the test is skipped without a TeX."""
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex on the PATH: LaTeX tables are not compiled")
    body = "\n".join(rf"\input{{{name}}}\clearpage" for name in names)
    (folder / "paper.tex").write_text(DOCUMENT % (PREAMBLE, body), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    if missing := re.search(r"File `((?:booktabs|siunitx|graphicx|geometry)\.sty)' not found", done.stdout):
        pytest.skip(f"the TeX on the PATH lacks {missing[1]}: LaTeX tables are not compiled")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "column 241.0pt" in done.stdout
    return (folder / "paper.log").read_text(encoding="utf-8", errors="replace")


def test_every_table_of_a_report_fits_the_column(record, stored):
    names = ["A", *(f"AVeryLongNameOfADataSet_{at}_with$&%#{{}}~^\\" for at in range(15))]
    methods = ("none", "kd", "fitnets_joint", "tsd_shuffled_within", "tsd")
    runs = [
        record(name, method, ap=(at * 7 + len(method)) % 40 / 40, kl=at * 1e5)
        for at, name in enumerate(names)
        for method in methods
    ]
    runs += [record("A", "tsd", 1, settings={"saliency.window": w, "saliency.mode": "on"}) for w in (1, 2)]
    options = Options(figures=False, vary=("saliency.window",))
    folder = write_report(stored(runs), options).folder
    files = sorted((folder / "tables").glob("*.tex"))
    assert {"sweep-saliency_window-fcn-lstm_8.tex", "summary-fcn-lstm_8.tex"} <= {each.name for each in files}
    log = _compiled(folder, [f"tables/{each.stem}" for each in files])
    assert "Overfull" not in log
    assert "Float too large" not in log


def test_hostile_text_and_every_kind_of_cell_compile(tmp_path):
    marked = Cell(mean=-0.5, std=1e7, marks=tuple(MARKS), place=1)
    row = [Cell(text="x" * 300), marked, Cell(mean=-1.5, marks=("significant",)), Cell(text="-")]
    table = Table("a b/c", "t_$" * 60, ("a", "b" * 90, "c%", "é"), [row] * 9, [row], ("note^" * 99,))
    (tmp_path / "t.tex").write_text(to_latex(table), encoding="utf-8")
    assert "Overfull" not in _compiled(tmp_path, ["t"])


def test_a_wide_table_is_turned_where_that_makes_it_fit():
    cells = [Cell(mean=at / 10, std=0.1) for at in range(8)]
    names = ("data set", *(f"method_{at}" for at in range(8)))
    text = to_latex(Table("k", "t", names, [[Cell(text="GunPoint"), *cells]], [[Cell(text="mean"), *cells]]))
    assert r" & GunPoint & mean \\" in text
    assert text.count(r"\begin{tabular}{lrr}") == 1
    assert [line.split(" & ")[0] for line in text.splitlines() if line.startswith("method")] == [
        rf"method\_{at}" for at in range(8)
    ]


def test_a_table_that_is_too_wide_and_too_long_is_broken_and_loses_no_cell():
    body = [
        [Cell(text=f"set{row}"), *[Cell(mean=row + at / 10, std=0.0, digits=1) for at in range(9)]]
        for row in range(100)
    ]
    text = to_latex(Table("k", "t", ("data set", *(f"m{at}" for at in range(9))), body))
    assert text.count(r"\label{tab:k}") == 1
    assert text.count("(continued)") == text.count(r"\begin{table}") - 1 > 0
    found = sorted(float(each) for each in re.findall(r"& (\d+\.\d)\\,", text))
    assert found == pytest.approx(sorted(row + at / 10 for row in range(100) for at in range(9)))
    named = re.findall(r"^(set\d+) &", text, re.MULTILINE)
    parts = [range(44)] * 3 + [range(44, 88)] * 3 + [range(88, 100)] * 3  # nine columns: three by three
    assert named == [f"set{row}" for rows in parts for row in rows]


def test_plain_numbers_are_aligned_by_siunitx_and_words_among_them_are_in_braces():
    rows = [[Cell(text="a"), Cell(mean=-0.25, digits=2)], [Cell(text="b"), Cell(text="-")]]
    text = to_latex(Table("k", "t", ("method", "difference"), rows))
    assert r"\begin{tabular}{lS[mode=text,table-format=-1.2]}" in text
    assert "a & -0.25 \\\\\nb & {--} \\\\" in text


def test_names_are_broken_at_their_joints_and_files_have_plain_names():
    assert broken("ItalyPowerDemand", 10) == ["ItalyPower", "Demand"]
    assert broken("tsd_shuffled_across", 13) == ["tsd_shuffled_", "across"]
    assert file_name("sweep-a.b-x y/z") == "sweep-a_b-x_y_z"
    assert file_name("a.b", {"a_b"}) == "a_b-2"

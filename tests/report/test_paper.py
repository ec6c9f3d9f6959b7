"""The example paper compiles with a report's own files: no overfull box, no Type 3 font."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tsdistill.report import write_report
from tsdistill.report.options import Options
from tsdistill.store.manifest import seal
from tsdistill.store.records import run_folder

from .conftest import make_record, store

EXAMPLE = Path(__file__).parents[2] / "examples" / "paper"
METHODS = ("none", "kd", "fitnets", "tsd", "tsd_kd")


def lacking(tex: str) -> list[str]:
    """Packages that a document uses and the TeX on the PATH has not."""
    used = ",".join(re.findall(r"\\usepackage(?:\[[^]]*\])?\{([^}]+)\}", tex)).split(",")
    asked = {
        f"{name}.sty": subprocess.run(["kpsewhich", f"{name}.sty"], capture_output=True) for name in used
    }
    return [name for name, answer in asked.items() if answer.returncode]


pytestmark = [
    pytest.mark.skipif(not os.environ.get("TSDISTILL_LONG"), reason="compiles a paper: `make test-all`"),
    pytest.mark.skipif(
        not shutil.which("pdflatex"), reason="no pdflatex on the PATH: the paper is not compiled"
    ),
]


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """The folder in which the paper was compiled."""
    tmp_path = tmp_path_factory.mktemp("paper")
    if shutil.which("kpsewhich") and (missing := lacking((EXAMPLE / "paper.tex").read_text())):
        pytest.skip(f"the TeX on the PATH lacks {', '.join(missing)}: the paper is not compiled")
    runs = [
        make_record(name, method, seed, ap=0.5 + (len(name) + len(method) + seed) / 100)
        for name in ("GunPoint", "ItalyPowerDemand")
        for method in METHODS
        for seed in (1, 2)
    ]
    out = store(tmp_path, runs)
    for run in runs:
        run["data"]["test"] = 150 if run["dataset"] == "GunPoint" else 1029
        folder = run_folder(out, run["dataset"], run["id"])
        y = np.arange(20) % 2
        logits = np.stack([-y, y], axis=1).astype("float32")
        save_file({"test": logits, "teacher_test": logits, "y_test": y}, str(folder / "logits.safetensors"))
        seal(folder)
    asked = re.search(r"style=(\w+) figures=([\w,]+)", (EXAMPLE / "Makefile").read_text())
    paper = tmp_path / "paper"
    shutil.copytree(EXAMPLE, paper, ignore=shutil.ignore_patterns("report", "paper.pdf"))
    options = Options(style=asked[1], figures=tuple(asked[2].split(",")))
    write_report(out, options, to=paper / "report")
    for _ in range(2):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
        done = subprocess.run(
            command,
            cwd=paper,
            env={**os.environ, "max_print_line": "1000"},
            capture_output=True,
            text=True,
            errors="replace",
        )
        if missing := re.search(r"File `([\w.-]+\.(sty|cls|def))' not found", done.stdout):
            pytest.skip(f"the TeX on the PATH lacks {missing[1]}, which a package needs")
        assert done.returncode == 0, done.stdout[-2000:]
    return paper


def test_the_paper_has_two_tables_three_figures_and_no_overfull_box(paper):
    log = (paper / "paper.log").read_text(encoding="utf-8", errors="replace")
    assert "Overfull" not in log
    assert "undefined" not in log
    assert len(set(re.findall(r"<use report/figures/+[\w-]+\.pdf", log))) == 3
    assert len(re.findall(r"\(\./?report/tables/|\(report/tables/", log)) == 2


@pytest.mark.skipif(not shutil.which("pdffonts"), reason="no pdffonts on the PATH: fonts are not looked at")
def test_the_paper_has_no_type_3_font(paper):
    fonts = subprocess.run(["pdffonts", "paper.pdf"], cwd=paper, capture_output=True, text=True).stdout
    assert "TrueType" in fonts and "Type 3" not in fonts

"""Fill the tables of docs/report.md from docs/report-facts.yaml and the code.

python scripts/document_report.py
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measures.document import markdown_table, put
from omegaconf import OmegaConf

from tsdistill.report.metrics import metric_of
from tsdistill.report.options import FIGURES

DOCS = Path(__file__).parents[1] / "docs"
PAGE, FACTS = DOCS / "report.md", DOCS / "report-facts.yaml"
METRICS: Mapping[str, str] = {
    "average_precision": "average precision, mean over classes",
    "auc_prc": "area under the precision-recall curve by the trapezoid rule, mean over classes",
    "roc_auc": "area under the ROC curve, mean over classes",
    "micro_average_precision": "average precision over all pairs of series and class",
    "accuracy": "share of series whose class is answered",
    "macro_f1": "F1, mean over classes",
    "nll": "negative log-likelihood in nats, mean over series",
    "brier": "Brier score, summed over classes, mean over series",
    "ece": "expected calibration error in 15 bins of equal width",
    "classes_absent": "classes that the part has no series of",
    "agreement": "share of series on which student and teacher answer the same class",
    "kl": "divergence of the student from its teacher at temperature 1, in nats",
    "js": "Jensen-Shannon divergence of student and teacher, in nats",
    "negative_flips": "share of series that the teacher answers rightly and the student wrongly",
    "error_agreement": "share of the teacher's errors on which the student answers the same wrong class",
}


def main() -> None:
    """Write the sections."""
    for section, text in sections().items():
        put(PAGE, section, text)


def facts() -> dict[str, Any]:
    """What is said of files, columns and figures."""
    found = OmegaConf.to_container(OmegaConf.load(FACTS))
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def sections() -> dict[str, str]:
    """The generated sections of the page.

    Raises:
        SystemExit: the kinds of figures that are described are not those that there are.
    """
    told = facts()
    if list(told["figures"]) != list(FIGURES):
        raise SystemExit(f"{FACTS} describes other kinds of figures than {', '.join(FIGURES)}")
    columns = [
        f"### {name}\n\n" + _table(("column", "what it is"), found) for name, found in told["columns"].items()
    ]
    metrics = [
        (
            f"`{name}`",
            metric_of(name).title,
            "higher" if metric_of(name).higher_is_better else "lower",
            meaning,
        )
        for name, meaning in METRICS.items()
    ]
    return {
        "files": _table(("file", "what it holds"), told["files"]),
        "figures": _table(("kind", "what it shows"), told["figures"]),
        "columns": "\n\n".join(columns),
        "metrics": markdown_table(("name", "title", "better", "what it is"), metrics),
    }


def _table(heads: tuple[str, str], found: Mapping[str, str]) -> str:
    return markdown_table(heads, [(f"`{name}`", meaning) for name, meaning in found.items()])


if __name__ == "__main__":
    main()

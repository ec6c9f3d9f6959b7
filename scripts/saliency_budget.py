"""Quality of TSD against its budget: M, and one factor at a time the pool's size, w, tau, draws and mode.

    python scripts/saliency_budget.py run --out FOLDER [--part paired|factors|more|all] [override ...]
    python scripts/saliency_budget.py write --out FOLDER --docs docs

``run`` makes ordinary sweeps of ``tsdistill distill experiment=budget``: what is stored is not run again, and
several processes may share FOLDER. It reads the archive under TSDISTILL_DATA. ``write`` makes
``saliency-budget.md`` with its figure from the stored runs; what is missing is counted.
"""

import argparse
import sys
from pathlib import Path

from budget.document import document
from budget.figure import draw, save
from budget.points import NAME, SEEDS, sweeps
from budget.runs import check_protocol, frame, of_seeds, provenance

from tsdistill.cli import run
from tsdistill.report.figures.style import style
from tsdistill.store.records import iter_failures, iter_results


def main() -> int:
    """Run the sweeps or write the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run", help="make the runs that are missing")
    runner.add_argument("--out", required=True)
    runner.add_argument("--part", choices=("paired", "factors", "more", "all"), default="all")
    runner.add_argument("overrides", nargs="*", help="such as dataset.name=ECG200 or training.epochs=2")
    writer = commands.add_parser("write", help="write the document from stored runs")
    writer.add_argument("--out", type=Path, required=True)
    writer.add_argument("--docs", type=Path, required=True)
    chosen = parser.parse_args()
    if chosen.command == "write":
        write(chosen.out, chosen.docs)
        return 0
    commands_made = [[*words, f"out={chosen.out}", *chosen.overrides] for words in sweeps(chosen.part)]
    return max([run("distill", words) for words in commands_made])


def write(out: Path, docs: Path) -> None:
    """Write the document and its figure."""
    results = list(iter_results(out))
    check_protocol(results)
    runs = frame(results)
    if not (runs["method"] == "tsd").any():
        raise SystemExit(f"no runs of TSD lie under {out}")
    docs.mkdir(parents=True, exist_ok=True)
    with style():
        save(draw(of_seeds(runs, SEEDS)), docs)
    text = document(runs, provenance(out, results), len(list(iter_failures(out))))
    (docs / f"{NAME}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    sys.exit(main())

"""The table of docs/which-student.md: ``python scripts/which_student.py --out tsdistill-out``.

For each student of the stored runs, by method: accuracy, average precision and agreement, means over seeds
and over the data sets that all students and methods have; and what its C header costs: bytes of flash and of
RAM and stack on a Cortex-M4 (see ``header_sizes.py``), multiply-accumulates, and microseconds a series on
this machine (the least of several rounds). Costs are those of the data set that is named by ``--cost``.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from header_sizes import sizes

from tsdistill.config.schema import StudentChoiceConf
from tsdistill.console import silenced
from tsdistill.data.raw import RawPart
from tsdistill.deploy.c.compiled import CompiledStudent, compiled
from tsdistill.deploy.c.header import write_header
from tsdistill.evaluation.cost import macs
from tsdistill.runs.export import raw_test
from tsdistill.runs.load import restore
from tsdistill.store.listing import iter_results

REPEATS, ROUNDS = 200, 7
METRICS = ("accuracy", "average_precision", "agreement")


def quality(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Means of the metrics over runs."""
    return [f"{sum(r['test'][name] for r in results) / len(results):.3f}" for name in METRICS]


def costs(out: Path, run: str) -> list[str]:
    """Flash and RAM by the kind of weights, multiply-accumulates, and time of a series."""
    with silenced():
        found = restore(StudentChoiceConf(out=str(out), run=run))
    student, raw = found.student, raw_test(found)
    flash = []
    for int8 in (False, True):
        header = write_header(student, 0.1, int8=int8)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "student.h")
            path.write_text(header, encoding="utf-8")
            measured = sizes(path)
        flash.append(f"{measured['student']:,}")
        if not int8:
            with compiled(header, len(student.classes), student.preparation.length) as library:
                spent = min(_microseconds(library, raw) for _ in range(ROUNDS))
    counted = macs(student.model, student.preparation.channels, student.preparation.length)
    return [*flash, f"{measured['memory'] + measured['stack']:,}", f"{counted:,}", f"{spent:.0f}"]


def _microseconds(library: CompiledStudent, raw: RawPart) -> float:
    """Mean time of a series over one round."""
    began = time.perf_counter()
    library.repeat(raw, REPEATS)
    return (time.perf_counter() - began) / REPEATS * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("tsdistill-out"))
    parser.add_argument("--cost", default="ItalyPowerDemand", help="the data set whose headers are measured")
    given = parser.parse_args()
    results = [result for result in iter_results(given.out) if result["trial"] == 0]
    rows = {(result["student"], result["method"]) for result in results}
    names = [
        name
        for name in sorted({result["dataset"] for result in results})
        if rows == {(r["student"], r["method"]) for r in results if r["dataset"] == name}
    ]  # those that every row has runs on
    results = [result for result in results if result["dataset"] in names]
    print(f"{len(results)} runs on {', '.join(names)}; costs on {given.cost}\n")
    heads = [*("student", "parameters", "method", "accuracy", "AP", "agreement")]
    heads += ["flash float32", "flash int8", "RAM and stack", "MACs", "µs"]
    print("| " + " | ".join(heads) + " |\n|---|--:|---|" + "--:|" * (len(heads) - 3))
    for student in sorted({result["student"] for result in results}):
        mine = [result for result in results if result["student"] == student]
        for method in sorted({result["method"] for result in mine}):
            runs = [result for result in mine if result["method"] == method]
            measured = [result for result in runs if result["dataset"] == given.cost]
            paid = costs(given.out, measured[0]["id"]) if measured else ["-"] * 5
            cells = [student, f"{runs[0]['cost']['parameters']:,}", method, *quality(runs), *paid]
            print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

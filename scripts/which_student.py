"""The tables of docs/which-student.md: ``python scripts/which_student.py --out tsdistill-out``.

The first table has what each student of the stored runs costs: its parameters; as a C header its bytes of
flash and of RAM and stack on a Cortex-M4 (see ``header_sizes.py``); its multiply-accumulates; and
microseconds a series on this machine (the least of several rounds). Costs are those of the data set that is
named by ``--cost``.

The second has, for each student and method, means over seeds and then over data sets, and accuracies by data
set. A student that lacks a data set has no means. ``--csv`` writes all of it by data set.
"""

import argparse
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from header_sizes import sizes

from tsdistill import load_results
from tsdistill.config.schema import StudentChoiceConf
from tsdistill.console import silenced
from tsdistill.data.raw import RawPart
from tsdistill.deploy.c.compiled import CompiledStudent, compiled
from tsdistill.deploy.c.header import write_header
from tsdistill.evaluation.cost import macs
from tsdistill.runs.export import raw_test
from tsdistill.runs.load import restore

REPEATS, ROUNDS = 200, 7
METRICS = ("average_precision", "accuracy", "agreement")
COSTS = ("parameters", "flash float32", "flash int8", "RAM and stack", "MACs", "µs")


def costs(out: Path, run: str) -> list[int]:
    """Values of ``COSTS`` for one stored run."""
    with silenced():
        found = restore(StudentChoiceConf(out=str(out), run=run))
    student, raw = found.student, raw_test(found)
    flash = []
    for int8 in (True, False):
        header = write_header(student, 0.1, int8=int8)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "student.h")
            path.write_text(header, encoding="utf-8")
            measured = sizes(path)
        flash.append(measured["student"])
    with compiled(header, len(student.classes), student.preparation.length) as library:
        spent = min(_microseconds(library, raw) for _ in range(ROUNDS))
    parameters = sum(p.numel() for p in student.model.parameters())
    counted = macs(student.model, student.preparation.channels, student.preparation.length)
    memory = measured["memory"] + measured["stack"]
    return [parameters, flash[1], flash[0], memory, counted, round(spent)]


def _microseconds(library: CompiledStudent, raw: RawPart) -> float:
    """Mean time of a series over one round."""
    began = time.perf_counter()
    library.repeat(raw, REPEATS)
    return (time.perf_counter() - began) / REPEATS * 1e6


def by_dataset(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds of ``METRICS`` for each student, method and data set, the teacher's beside them."""
    keys = ["student", "method", "dataset"]
    columns = {f"test.{name}": name for name in METRICS}
    columns |= {f"teacher_test.{name}": f"teacher_{name}" for name in METRICS[:2]}
    means = runs.groupby(keys)[list(columns)].mean().rename(columns=columns)
    return means.assign(seeds=runs.groupby(keys)["seed"].nunique()).reset_index()


def quality(means: pd.DataFrame, students: Sequence[str]) -> Iterable[list[str]]:
    """Rows of the second table: the teacher, then each student by method."""
    datasets = sorted(set(means["dataset"]))
    teacher = means.groupby("dataset")[[f"teacher_{name}" for name in METRICS[:2]]].mean()
    yield ["teacher", "", *map(_decimal, teacher.mean()), "", *map(_decimal, teacher["teacher_accuracy"])]
    for student in students:
        for method, mine in means[means["student"] == student].groupby("method"):
            by = mine.set_index("dataset").reindex(datasets)
            whole = by[list(METRICS)].mean(skipna=False)
            yield [student, str(method), *map(_decimal, whole), *map(_decimal, by["accuracy"])]


def _decimal(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"


def _print(heads: Sequence[str], rows: Iterable[Sequence[str]], words: int) -> None:
    """A table whose first columns are words."""
    print("\n| " + " | ".join(heads) + " |\n|" + "---|" * words + "--:|" * (len(heads) - words))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def main() -> None:
    """Print the tables, and write the file that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("tsdistill-out"))
    parser.add_argument("--cost", default="ItalyPowerDemand", help="the data set whose headers are measured")
    parser.add_argument("--csv", type=Path, help="the file that everything is written to, by data set")
    given = parser.parse_args()
    runs = load_results(given.out)
    runs = runs[(runs["trial"] == 0) & (runs["status"] == "ok")]
    means, measured = by_dataset(runs), runs[runs["dataset"] == given.cost].groupby("student")["id"].first()
    paid = pd.DataFrame({name: costs(given.out, run) for name, run in measured.items()}, index=COSTS).T
    paid = paid.sort_values("parameters")
    datasets, seeds = (", ".join(map(str, sorted(set(runs[key])))) for key in ("dataset", "seed"))
    print(f"{len(runs)} runs on {datasets}, seeds {seeds}; costs on {given.cost}")
    _print(["student", *COSTS], ([name, *(f"{one:,}" for one in row)] for name, row in paid.iterrows()), 1)
    heads = ["student", "method", "AP", "accuracy", "agreement", *sorted(set(means["dataset"]))]
    _print(heads, quality(means, list(paid.index)), 2)
    if given.csv:
        table = means.merge(paid[["parameters"]], left_on="student", right_index=True)
        table.to_csv(given.csv, index=False, float_format="%.4f", lineterminator="\n")


if __name__ == "__main__":
    main()

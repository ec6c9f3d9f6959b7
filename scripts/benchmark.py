"""Measure the product's speed against stated yardsticks, side by side in one run on one thread.

    python scripts/benchmark.py [--write FILE] [--base FILE] [--markdown FILE] [--only NAME ... | --read FILE]

Every yardstick is built plainly in ``scripts/measures``. ECG200 and MoteStrain are read from TSDISTILL_DATA;
where they are not, noise of the same sizes takes their place and the row says so.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each command compiles all of this package's sources

from measures import commands, epochs, hardware, kernel, loading, memory, methods, pools, steps
from measures.base import Goal, Row
from measures.document import markdown_table, put
from rich.table import Table

from tsdistill.config.schema import HardwareConf
from tsdistill.console import console, say
from tsdistill.store.environment import environment
from tsdistill.training.device import set_up

MEASURES: dict[str, Callable[[Path], list[Row]]] = {
    "start": commands.measure_start,
    "cold": commands.measure_cold,
    "step": steps.measure,
    "default": epochs.measure_default,
    "methods": methods.measure,
    "kernel": kernel.measure,
    "epochs": epochs.measure_runs,
    "pool": pools.measure,
    "sweep": commands.measure_sweep,
    "beside": commands.measure_beside,
    "report": commands.measure_report,
    "memory": memory.measure,
    "loading": loading.measure,
    "hardware": hardware.measure,
}
UNASKED = [name for name in MEASURES if name != "hardware"]
"""What is measured where ``--only`` does not say."""
HEADS = ("measure", "yardstick", "its value", "ours", "ratio", "goal", "reached")


def main() -> None:
    """Run the measures that are asked for; print and write their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", type=Path, help="JSON with versions, device and commit")
    parser.add_argument("--base", type=Path, help="JSON of an earlier run: the change is shown")
    parser.add_argument(
        "--markdown", type=Path, help="document whose section gets the table: benchmark, or the one measure's"
    )
    parser.add_argument("--read", type=Path, help="show what --write wrote, instead of measuring anew")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=UNASKED)
    chosen = parser.parse_args()
    base = {} if chosen.base is None else _rows_by_measure(chosen.base)
    rows, facts = _measured(chosen.only) if chosen.read is None else _read(chosen.read)
    table = [_cells(row, base) for row in rows]
    _print(table, compared=bool(base))
    if chosen.write:
        measured = [{**asdict(row), "value": row.value, "reached": row.reached} for row in rows]
        chosen.write.write_text(json.dumps({"environment": facts, "rows": measured}, indent=1) + "\n")
    if chosen.markdown:
        section = chosen.only[0] if len(chosen.only) == 1 else "benchmark"
        put(chosen.markdown, section, _markdown(table, rows, facts, compared=bool(base)))


def _measured(names: Sequence[str]) -> tuple[list[Row], dict[str, Any]]:
    """Rows and environment of the measures of these names."""
    set_up(HardwareConf(device="cpu"))
    rows: list[Row] = []
    with TemporaryDirectory(prefix="tsdistill-benchmark-") as folder:
        for name in names:
            began = time.perf_counter()
            rows += MEASURES[name](Path(folder))
            say(f"{name}: measured in {time.perf_counter() - began:.0f} s")
    return rows, environment("cpu")


def _read(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """Rows and environment of an earlier run."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    names = [each.name for each in fields(Row)]
    rows = [Row(**{name: row[name] for name in names}) for row in stored["rows"]]
    goals = [None if row.goal is None else Goal(**row.goal) for row in rows]  # type: ignore[arg-type]
    return [replace(row, goal=goal) for row, goal in zip(rows, goals, strict=True)], stored["environment"]


def _rows_by_measure(path: Path) -> dict[str, dict[str, Any]]:
    """Rows of an earlier run."""
    return {row["measure"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}


def _cells(row: Row, base: Mapping[str, Mapping[str, Any]]) -> list[str]:
    reached = {True: "yes", False: "no", None: ""}[row.reached]
    cells = [
        row.measure,
        row.yardstick,
        _amount(row.expected, row.unit),
        _amount(row.ours, row.unit),
        row.spelt_value(),
        row.spelt_goal(),
        reached,
    ]
    if base:
        before = base.get(row.measure)
        cells.append("" if before is None else f"{row.ours / before['ours'] - 1:+.0%}")
    return cells


def _amount(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _heads(compared: bool) -> tuple[str, ...]:
    return (*HEADS, "change of ours") if compared else HEADS


def _print(table: Sequence[Sequence[str]], compared: bool) -> None:
    shown = Table(box=None, pad_edge=False)
    for head in _heads(compared):
        shown.add_column(head, justify="right" if head in HEADS[2:5] else "left")
    for cells in table:
        shown.add_row(*cells)
    console.print(shown)


def _markdown(
    table: Sequence[Sequence[str]], rows: Sequence[Row], facts: Mapping[str, Any], compared: bool
) -> str:
    commit = f"{str(facts['commit'])[:12]}{' and changes' if facts['dirty'] else ''}"
    where = f"{facts['device_name']}, {facts['cpus']} CPUs, one thread; torch {facts['torch']}, "
    where += f"Python {facts['python']}, commit {commit}."
    notes = sorted({f"- {row.measure}: {row.note}." for row in rows if row.note})
    return "\n".join([where, "", markdown_table(_heads(compared), table), *([""] if notes else []), *notes])


if __name__ == "__main__":
    main()

"""Profile one whole run, from the teacher to the record, by PyTorch's operators.

    python scripts/profile_run.py [--markdown docs/performance.md]

An FCN teacher of 20 epochs and an LSTM 1x8 under TSD at the default settings, of 100 epochs, on GunPoint as
sktime bundles it, in a fresh folder, on one thread.
"""

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported

from measures.document import markdown_table, put
from torch.profiler import ProfilerActivity, profile

from tsdistill.cli import run

SHOWN = 12
WORDS = (
    "dataset.name=GunPoint",
    "method=tsd",
    "teacher.training.epochs=20",
    "training.epochs=100",
    "training.patience=0",
    "hardware.device=cpu",
)


def main() -> None:
    """Run, profile, print the top and put it into the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--markdown", type=Path, help="document whose marked section gets the table")
    chosen = parser.parse_args()
    os.environ.pop("TSDISTILL_DATA", None)
    with TemporaryDirectory(prefix="tsdistill-profile-") as out:
        began = time.perf_counter()
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            status = run("distill", [*WORDS, f"out={out}"])
        wall = time.perf_counter() - began
    if status:
        raise SystemExit(status)
    table = _table(profiled, wall)
    print(table)
    if chosen.markdown:
        put(chosen.markdown, "profile", table)


def _table(profiled: profile, wall: float) -> str:
    """The operators that take most, and what is left outside of all."""
    events = sorted(profiled.key_averages(), key=lambda event: -event.self_cpu_time_total)
    seconds = {event.key: event.self_cpu_time_total / 1e6 for event in events}
    rows = [
        (
            f"`{event.key}`",
            f"{seconds[event.key]:.2f} s",
            f"{seconds[event.key] / wall:.1%}",
            str(event.count),
        )
        for event in events[:SHOWN]
    ]
    rest, outside = sum(seconds.values()) - sum(list(seconds.values())[:SHOWN]), wall - sum(seconds.values())
    rows.append(("all other operators", f"{rest:.2f} s", f"{rest / wall:.1%}", ""))
    rows.append(("Python, files, imports", f"{outside:.2f} s", f"{outside / wall:.1%}", ""))
    return markdown_table((f"of {wall:.1f} s", "self time", "share", "calls"), rows)


if __name__ == "__main__":
    main()

"""Time and memory of loading: a large ``.tsv`` file, and a set of usual size the second time."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from measures.base import Goal, Row
from measures.memory import resident

READER = "tsdistill.data.archive.ArchiveReader"
VALUES = 5_000
"""Values a row of the large file."""


def measure(folder: Path) -> list[Row]:
    """Rows of a 100 MB file, in a process of its own, and of GunPoint's second load."""
    command = [sys.executable, "-m", "measures.loading", str(folder)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    size, seconds, peak, array = json.loads(done.stdout.splitlines()[-1])
    what = f"loading a .tsv file of {size:.0f} MB for the first time"
    return [
        Row(what, "nothing", 0.0, seconds * 1e3, Goal("extra", 5_000)),
        Row(f"memory while {what}", "its array", array, peak, Goal("ratio", 3.0), "MB"),
        Row("loading GunPoint for the second time", "nothing", 0.0, _second_load(folder), Goal("extra", 50)),
    ]


def _second_load(folder: Path) -> float:
    """Median milliseconds, with the parsed set in the cache."""
    from tsdistill.data.load import load_dataset

    took = []
    for _ in range(8):
        began = time.perf_counter()
        load_dataset({"_target_": READER, "name": "GunPoint", "download": False}, None, folder / "loading")
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took[1:])


def main(folder: Path) -> None:
    """Load once; print the file's size in MB, the seconds, the peak growth and the array's size in MB."""
    from tsdistill.data.load import load_dataset

    home = folder / "UCRArchive_2018" / "Large"
    home.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["\t".join(f"{v:.6f}" for v in rng.standard_normal(VALUES)) for _ in range(40)]
    lines = [f"{n % 2}\t{rows[n % 40]}\n" for n in range(2_200)]
    (home / "Large_TRAIN.tsv").write_text("".join(lines), encoding="utf-8")
    (home / "Large_TEST.tsv").write_text("".join(lines[:40]), encoding="utf-8")
    size = (home / "Large_TRAIN.tsv").stat().st_size / 1e6
    del lines
    before, began = resident("VmRSS"), time.perf_counter()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets the peak
    conf = {"_target_": READER, "name": "Large", "download": False}
    data = load_dataset(conf, folder, folder / "cache")
    seconds = time.perf_counter() - began
    array = (data.train.x.nbytes + data.test.x.nbytes) / 1e6
    print(json.dumps([size, seconds, resident("VmHWM") - before, array]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Resident memory while a pool is built and stored; each size in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from measures.base import Goal, Row

SIZES = {"ShapesAll": (600, 512, 60), "FordA": (3601, 500, 2)}
"""Training series, timesteps, classes."""


def measure(folder: Path) -> list[Row]:
    """Rows of both sizes; they run at the same time, since only their memory counts."""
    scripts = Path(__file__).parents[1]
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", "measures.memory", *map(str, sizes), str(folder)],
            cwd=scripts,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, sizes in SIZES.items()
    }
    found = []
    for name, process in started.items():
        said, _ = process.communicate()
        grown, disk, seconds = json.loads(said.splitlines()[-1])
        what = f"memory while building a pool of {name}'s size, fcn_8 teacher"
        note = f"built in {seconds:.0f} s, two at a time"
        found.append(Row(what, "pool on disk", disk, grown, Goal("extra", 500), "MB", note))
    return found


def main(series: int, length: int, classes: int, folder: Path) -> None:
    """Build and store one pool; print the growth of resident memory and the size on disk, in MB."""
    import time

    import torch

    from measures.setting import WINDOW, random_part, student
    from tsdistill.saliency.draws import References, draw_pool
    from tsdistill.saliency.pools import pool_logits
    from tsdistill.store.teachers import PoolArtefact, write_pool
    from tsdistill.training.device import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory(True)
    model = student("fcn_8", classes).eval().requires_grad_(False)
    train = random_part(series, length, classes)
    with torch.no_grad():
        model(train.x[:1])
    before, began = resident("VmRSS"), time.perf_counter()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets the peak
    starts = length - WINDOW + 1
    references = References(train.x, train.y)
    generator = torch.Generator().manual_seed(0)
    draws = draw_pool(references, train.y, torch.full((series,), starts), starts, generator)
    logits = pool_logits(model, train, draws, references, WINDOW)
    pool = PoolArtefact("k", "t", WINDOW, draws.starts, draws.references, None, logits)
    with TemporaryDirectory(dir=folder) as out:
        written = write_pool(Path(out), "pool", pool)
        disk = sum(path.stat().st_size for path in written.iterdir()) / 1e6
    print(json.dumps([resident("VmHWM") - before, disk, time.perf_counter() - began]))


def resident(field: str) -> float:
    """A figure of this process's status (Linux), in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(field)) / 1e3 * 1.024


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))

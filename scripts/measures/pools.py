"""Building the pool's logits against the teacher's bare forward pass."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from measures.base import Goal, Row, side_by_side
from measures.setting import WINDOW, Bare, random_part, teacher
from tsdistill.saliency.draws import References, draw_pool
from tsdistill.saliency.pools import pool_logits

SERIES, LENGTH, CLASSES = 20, 100, 5
BATCH = 256


def measure(_: Path) -> list[Row]:
    """Rows of both teachers; of the recurrent one with and without shared states."""
    found = []
    for name in ("lstm", "fcn"):
        model = teacher(name, CLASSES)
        train = random_part(SERIES, LENGTH, CLASSES)
        starts = LENGTH - WINDOW + 1
        references = References(train.x, train.y)
        generator = torch.Generator().manual_seed(0)
        draws = draw_pool(references, train.y, torch.full((SERIES,), starts), starts, generator)
        ready = random_part(SERIES * starts, LENGTH, CLASSES).x
        built = partial(pool_logits, train=train, draws=draws, references=references, window=WINDOW)
        took = side_by_side(
            {"bare": partial(_forward, model, ready)},
            {"general": partial(built, Bare(model)), "ours": partial(built, model)},
            repetitions=5,
        )
        what, against = f"pool of {SERIES} x {starts}, {name} teacher", "bare forward pass of as many series"
        found.append(Row(what, against, took["bare"], took["general"], Goal("ratio", 1.15)))
        if name == "lstm":
            found.append(
                Row(f"{what}, states shared", against, took["bare"], took["ours"], Goal("ratio", 0.65))
            )
    return found


@torch.no_grad()
def _forward(model: nn.Module, ready: Tensor) -> None:
    for first in range(0, len(ready), BATCH):
        model(ready[first : first + BATCH])

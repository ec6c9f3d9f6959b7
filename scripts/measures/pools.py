"""Building the pool's logits against the teacher's bare forward pass, and from the touched steps alone."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import Occlusion
from torch import Tensor, nn

from measures.base import Goal, Row, by_pytorch, side_by_side
from measures.setting import WINDOW, Bare, random_part, student, teacher
from tsdistill.evaluation.attribution import CentredLogits, occlusion
from tsdistill.saliency.draws import References, draw_pool
from tsdistill.saliency.pools import pool_logits

SERIES, LENGTH, CLASSES = 20, 100, 5
BATCH = 256
TOUCHED = ((100, 20, 1.8), (500, 2, 8.0))
"""Length, series and how much faster the touched steps alone should be than whole copies."""
LONG_SERIES, LONG, MOST_MS = 100, 1000, 120_000.0


def measure(_: Path) -> list[Row]:
    """Rows of all teachers."""
    return [*_against_bare(), *_touched(), *_occlusion()]


def _occlusion() -> list[Row]:
    """Occlusion maps against captum's, which computes every occluded series whole."""
    found = []
    for name, model in (("fcn teacher", teacher("fcn", CLASSES)), ("lstm_8", student("lstm_8", CLASSES))):
        for length, series, _ in TOUCHED:
            x = random_part(series, length, CLASSES).x
            explained = torch.zeros(series, dtype=torch.int64)
            by_captum = partial(
                Occlusion(CentredLogits(model.eval())).attribute, x, (1, WINDOW), (1, 1), 0.0, explained
            )
            ours = partial(occlusion, model, x.numpy(), np.zeros(series, np.int64), window=WINDOW)
            took = side_by_side({"captum": torch.no_grad()(by_captum)}, {"ours": ours}, repetitions=3)
            what = f"occlusion maps of {series} series of {length} steps, {name}"
            found.append(Row(what, "captum's", took["captum"], took["ours"]))
    return found


def _touched() -> list[Row]:
    """Pools of a convolutional teacher: touched steps against whole copies, and a pool of long series."""
    found, model = [], teacher("fcn", CLASSES)
    for length, series, least in TOUCHED:
        built = partial(pool_logits, model, **_pool_of(series, length))
        took = side_by_side({}, {"whole": by_pytorch(built), "touched": built}, repetitions=5)
        what = f"pool of {series} x {length - WINDOW + 1}, fcn teacher, from the touched steps"
        found.append(Row(what, "whole copies", took["whole"], took["touched"], Goal("faster", least)))
    built = partial(pool_logits, model, **_pool_of(LONG_SERIES, LONG))
    took = side_by_side({}, {"touched": built}, repetitions=1)
    what = f"pool of {LONG_SERIES} x {LONG - WINDOW + 1}, fcn teacher, from the touched steps"
    return [*found, Row(what, "nothing", 0.0, took["touched"], Goal("extra", MOST_MS))]


def _pool_of(series: int, length: int) -> dict[str, Any]:
    """What a pool of noise is made of."""
    train, starts = random_part(series, length, CLASSES), length - WINDOW + 1
    references = References(train.x, train.y)
    limits, generator = torch.full((series,), starts), torch.Generator().manual_seed(0)
    draws = draw_pool(references, train.y, limits, starts, generator)
    return {"train": train, "draws": draws, "references": references, "window": WINDOW}


def _against_bare() -> list[Row]:
    """Rows of two teachers; of the recurrent one with and without shared states."""
    found = []
    for name in ("lstm", "fcn"):
        model = teacher(name, CLASSES)
        starts = LENGTH - WINDOW + 1
        ready = random_part(SERIES * starts, LENGTH, CLASSES).x
        built = partial(pool_logits, **_pool_of(SERIES, LENGTH))
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

"""Whole epochs: against worker processes and the plain step, and TSD against the plain student."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from measures.base import Goal, Row, side_by_side
from measures.plain import ce_loss, loader_epochs, tsd_with_teacher
from measures.setting import (
    PAPER_COPIES,
    WINDOW,
    Parts,
    default_copies,
    fit_epochs,
    real_parts,
    student,
    task,
    teacher,
)

EPOCHS = 5
CLASSES = 2


def measure_runs(folder: Path) -> list[Row]:
    """Five epochs with validation, an LSTM of 8 units, against DataLoaders of 4 workers."""
    found = []
    for name in ("ItalyPowerDemand", "ECG200"):
        parts, note = real_parts(name, folder)
        for method, least in (("plain", 20.0), ("TSD", 10.0)):
            copies = None if method == "plain" else PAPER_COPIES
            trained = task(student("lstm_8", CLASSES), parts, copies)
            took = side_by_side(
                {"yardstick": _with_loaders(parts, copies)},
                {"ours": partial(fit_epochs, trained, EPOCHS)},
                repetitions=5 if copies is None else 1,
            )
            what = f"{EPOCHS} epochs with validation, lstm_8, {method}, {name}"
            against = "DataLoaders of 4 workers" + (", plain step" if copies else "")
            found.append(
                Row(what, against, took["yardstick"], took["ours"], Goal("faster", least), note=note)
            )
    return found


def _with_loaders(parts: Parts, copies: int | None) -> Callable[[], None]:
    model = student("lstm_8", CLASSES)
    if copies is None:
        loss = ce_loss(model)
    else:
        loss = tsd_with_teacher(model, teacher("lstm", CLASSES), parts["train"], copies, WINDOW)
    return lambda: loader_epochs(model, loss, parts, EPOCHS)


def measure_default(folder: Path) -> list[Row]:
    """An epoch of TSD at the default M against one of the plain student."""
    found = []
    for name in ("ECG200", "MoteStrain"):
        parts, note = real_parts(name, folder)
        for size in ("lstm_8", "lstm_16"):
            tasks = {
                "plain": task(student(size, CLASSES), parts, None),
                "TSD": task(student(size, CLASSES), parts, default_copies()),
            }
            took = side_by_side({}, {kind: partial(fit_epochs, t, 10) for kind, t in tasks.items()})
            what = f"TSD epoch at the default M = {default_copies()}, {size}, {name}"
            found.append(
                Row(
                    what,
                    "plain student's epoch",
                    took["plain"] / 10,
                    took["TSD"] / 10,
                    Goal("ratio", 3.0),
                    note=note,
                )
            )
    return found

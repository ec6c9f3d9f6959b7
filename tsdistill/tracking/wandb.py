"""Runs as Weights & Biases reads them: offline unless its variables say otherwise."""

import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tsdistill.tracking.base import Point, Tracked, Writing, settings_of, title_of
from tsdistill.tracking.folders import FolderTracker, mark

PROJECT = "tsdistill"


class Wandb(FolderTracker):
    """Writes ``<folder>/<dataset>/<run>/wandb/offline-run-...``, which ``wandb sync`` sends."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import wandb

        self._wandb: Any = wandb

    def begin(self, result: Mapping[str, Any], at: float) -> Writing:
        """See :class:`Tracker`."""
        folder = self.cleared(result)
        settings = self._wandb.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True
        )
        run = self._wandb.init(
            mode=os.environ.get("WANDB_MODE", "offline"),
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=str(folder),
            id=str(result["id"]),
            name=title_of(result),
            group=str(result["dataset"]),
            config=settings_of(result),
            settings=settings,
            reinit="create_new",
        )
        run.define_metric("*", step_metric="epoch")
        return _Run(run, folder)


class _Run(Writing):
    def __init__(self, run: Any, folder: Path) -> None:
        self._run, self._folder = run, folder

    def log(self, points: Sequence[Point], at: float) -> None:
        """See :class:`Writing`."""
        for epoch, together in groupby(points, lambda point: point.epoch):
            self._run.log({"epoch": epoch, **{point.name: point.value for point in together}})

    def finish(self, run: Tracked) -> None:
        """See :class:`Writing`."""
        self._run.summary.update(run.metrics())
        self._run.finish()
        mark(self._folder, run.digest)

    def leave(self) -> None:
        """See :class:`Writing`."""
        self._run.finish(exit_code=1)

"""Runs as TensorBoard reads them: a folder with an event file for each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tsdistill.tracking.base import Point, Tracked, Writing, settings_of
from tsdistill.tracking.folders import FolderTracker, mark


class TensorBoard(FolderTracker):
    """Writes ``<folder>/<dataset>/<run>/events.out.tfevents...``: curves, metrics and settings."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import torch.utils.tensorboard  # noqa: F401

    def begin(self, result: Mapping[str, Any], at: float) -> Writing:
        """See :class:`Tracker`."""
        return _Events(self.cleared(result))


class _Events(Writing):
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder = folder
        self._writer = SummaryWriter(str(folder))

    def log(self, points: Sequence[Point], at: float) -> None:
        """See :class:`Writing`."""
        for name, epoch, value in points:
            self._writer.add_scalar(name, value, epoch, walltime=at)
        self._writer.flush()

    def finish(self, run: Tracked) -> None:
        """See :class:`Writing`."""
        metrics = {name.replace(".", "/", 1): value for name, value in run.metrics().items()}
        self.log([Point(name, run.epochs, value) for name, value in metrics.items()], run.finished)
        shown = {name: v for name, v in metrics.items() if name.startswith(("validation/", "test/"))}
        _add_settings(self._writer, run, shown)
        self._writer.close()
        mark(self._folder, run.digest)

    def leave(self) -> None:
        """See :class:`Writing`."""
        self._writer.close()


def _add_settings(writer: Any, run: Tracked, metrics: Mapping[str, float]) -> None:
    """What TensorBoard's page of hyperparameters shows; ``add_hparams`` would begin a file of its own."""
    from torch.utils.tensorboard.summary import hparams

    for summary in hparams(settings_of(run.record.result), dict(metrics)):  # type: ignore[no-untyped-call]
        writer.file_writer.add_summary(summary, walltime=run.finished)

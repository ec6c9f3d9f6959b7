"""Runs as TensorBoard reads them: a folder with an event file for each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsdistill.errors import TsdistillError
from tsdistill.store.artefact import safe_name, staged
from tsdistill.tracking.base import Tracked, Tracker

DIGEST = "record.sha256"
"""Names the state of the record that was written; TensorBoard reads event files alone."""


class TensorBoard(Tracker):
    """Writes ``<folder>/<dataset>/<run>/events.out.tfevents...``: curves, metrics and settings."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            raise TsdistillError(
                "to=tensorboard needs tensorboard: pip install 'tsdistill[tensorboard]'"
            ) from None

    def holds(self, result: Mapping[str, Any], digest: str) -> bool:
        """See :class:`Tracker`."""
        try:
            return (self._place(result) / DIGEST).read_text(encoding="utf-8") == digest
        except OSError:
            return False

    def _place(self, result: Mapping[str, Any]) -> Path:
        name = f"{result['method']}-{result['student']}-seed{result['seed']}-{result['id']}"
        return self.folder / safe_name(result["dataset"]) / safe_name(name)

    def write(self, run: Tracked) -> None:
        """See :class:`Tracker`."""
        from torch.utils.tensorboard import SummaryWriter

        epochs = run.record.result["training"].get("epochs", 0)
        metrics = {name.replace(".", "/", 1): value for name, value in run.metrics().items()}
        with (
            staged(self._place(run.record.result), replace=True) as folder,
            SummaryWriter(str(folder)) as writer,
        ):
            (folder / DIGEST).write_text(run.digest, encoding="utf-8")
            for name, epoch, value in (*run.curve(), *((n, epochs, v) for n, v in metrics.items())):
                writer.add_scalar(name, value, epoch, walltime=run.finished)
            shown = {name: v for name, v in metrics.items() if name.startswith(("validation/", "test/"))}
            _add_settings(writer, run, shown)


def _add_settings(writer: Any, run: Tracked, metrics: Mapping[str, float]) -> None:
    """What TensorBoard's page of hyperparameters shows; ``add_hparams`` would begin a file of its own."""
    from torch.utils.tensorboard.summary import hparams

    for summary in hparams(run.settings(), dict(metrics)):  # type: ignore[no-untyped-call]
        writer.file_writer.add_summary(summary, walltime=run.finished)

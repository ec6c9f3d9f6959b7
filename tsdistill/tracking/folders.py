"""Trackers that have a folder for each run, ``<folder>/<dataset>/<run>``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsdistill.store.artefact import discard, safe_name
from tsdistill.tracking.base import Tracker

DIGEST = "record.sha256"
"""Names the state of the record that was written; it comes last."""


class FolderTracker(Tracker):
    """A tracker whose runs lie in folders of their own, so that processes side by side write apart."""

    def holds(self, result: Mapping[str, Any], digest: str) -> bool:
        """See :class:`Tracker`."""
        try:
            return (self._place(result) / DIGEST).read_text(encoding="utf-8") == digest
        except OSError:
            return False

    def cleared(self, result: Mapping[str, Any]) -> Path:
        """The folder of a run, empty."""
        folder = self._place(result)
        if folder.exists():
            discard(folder)
        folder.mkdir(parents=True)
        return folder

    def _place(self, result: Mapping[str, Any]) -> Path:
        name = f"{result['method']}-{result['student']}-seed{result['seed']}-{result['id']}"
        return self.folder / safe_name(result["dataset"]) / safe_name(name)


def mark(folder: Path, digest: str) -> None:
    """Say in a run's folder that all of it is there."""
    (folder / DIGEST).write_text(digest, encoding="utf-8")

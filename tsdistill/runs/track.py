"""``tsdistill track``: writes stored runs in the form of an experiment tracker, whenever that is wanted."""

import hashlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tsdistill.config.schema import TrackConf, TrackerName
from tsdistill.console import say
from tsdistill.errors import TsdistillError
from tsdistill.runs.restore import read_whole
from tsdistill.store.lookup import contents_of
from tsdistill.store.manifest import MANIFEST
from tsdistill.store.records import run_folder
from tsdistill.store.selection import stored_runs
from tsdistill.tracking.base import Tracked, Tracker

TRACKERS = {
    TrackerName.tensorboard: "tsdistill.tracking.tensorboard.TensorBoard",
    TrackerName.mlflow: "tsdistill.tracking.mlflow.Mlflow",
    TrackerName.wandb: "tsdistill.tracking.wandb.Wandb",
}


def track(conf: TrackConf) -> None:
    """Write every stored run of the given names that is not there yet, or has changed since.

    Raises:
        TsdistillError: nothing is stored, the tracker is not installed, or a file can't be written.
    """
    if conf.to is None:
        raise TsdistillError(f"name a tracker: to={'|'.join(name.value for name in TrackerName)}")
    out = Path(conf.out)
    results = stored_runs(out, conf.only, conf.where)
    tracker = tracker_of(conf.to, conf.folder, out, "to")
    written = sum(written_whole(tracker, out, result) for result in results)
    say(f"{written} runs written into {tracker.folder}, {len(results) - written} were there already")


def tracker_of(name: TrackerName, folder: str | None, out: Path, setting: str) -> Tracker:
    """The tracker of a name.

    Args:
        name: one of ``TRACKERS``.
        folder: where it writes; None for a folder of its name below ``out``.
        out: the output folder.
        setting: that by which it was chosen, for the message.

    Raises:
        TsdistillError: it is not installed.
    """
    module, _, kind = TRACKERS[name].rpartition(".")
    place = Path(folder).expanduser() if folder else out / name.value
    try:
        tracker: Tracker = getattr(import_module(module), kind)(place)
    except ImportError:
        extra = name.value
        raise TsdistillError(f"{setting}={extra} needs {extra}: pip install 'tsdistill[{extra}]'") from None
    return tracker


def written_whole(tracker: Tracker, out: Path, result: Mapping[str, Any]) -> bool:
    """Write a stored run; returns False where it was there already."""
    digest = digest_of(out, result)
    if tracker.holds(result, digest):
        return False
    tracker.write(Tracked(read_whole(out, result), digest))
    return True


def digest_of(out: Path, result: Mapping[str, Any]) -> str:
    """Hash of a stored run, which changes with any of its files."""
    stored = contents_of(run_folder(out, result["dataset"], result["id"]))
    return "" if stored is None else hashlib.sha256(stored.read(MANIFEST)).hexdigest()

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
    folder = Path(conf.folder).expanduser() if conf.folder else out / conf.to.value
    tracker = _tracker(conf.to, folder)
    written = sum(_written(tracker, out, result) for result in results)
    say(f"{written} runs written into {folder}, {len(results) - written} were there already")


def _tracker(name: TrackerName, folder: Path) -> Tracker:
    module, _, kind = TRACKERS[name].rpartition(".")
    tracker: Tracker = getattr(import_module(module), kind)(folder)
    return tracker


def _written(tracker: Tracker, out: Path, result: Mapping[str, Any]) -> bool:
    stored = contents_of(run_folder(out, result["dataset"], result["id"]))
    digest = "" if stored is None else hashlib.sha256(stored.read(MANIFEST)).hexdigest()
    if tracker.holds(result, digest):
        return False
    tracker.write(Tracked(read_whole(out, result), digest))
    return True

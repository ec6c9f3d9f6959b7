"""Runs as MLflow reads them: a local database, with an experiment for each dataset."""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tsdistill.errors import TsdistillError
from tsdistill.store.temporary import is_lacking, lock_at
from tsdistill.tracking.base import Point, Tracked, Tracker, Writing, settings_of, title_of

FILE = "mlflow.db"
ID = "tsdistill.id"
DIGEST = "tsdistill.record"
"""Tags of a run: its id, and the state of the record that was written."""
LONGEST = 500
"""Characters of a setting's value, which MLflow bounds."""
MOST_METRICS = 1000
MOST_SETTINGS = 100
"""How many MLflow takes at once."""
PATIENCE = 30.0
"""Seconds that a process waits for others to be done with the database."""


class Mlflow(Tracker):
    """Writes ``<folder>/mlflow.db``, which ``mlflow ui --backend-store-uri sqlite:///...`` shows."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder.resolve())
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what is stored here is nobody else's
        import mlflow  # noqa: F401

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it tells of each table made
        self._experiments: dict[str, str] = {}

    @cached_property
    def client(self) -> Any:
        """MLflow's, with its database made."""
        from mlflow import MlflowClient

        return MlflowClient(f"sqlite:///{self.folder / FILE}")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only process that uses the database, and tell MLflow's errors in one line."""
        from filelock import Timeout
        from mlflow.exceptions import MlflowException

        self.folder.mkdir(parents=True, exist_ok=True)
        lock = lock_at(self.folder / f"{FILE}.lock")
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            raise TsdistillError(f"mlflow: another process has kept {self.folder / FILE} busy") from None
        except (NotImplementedError, OSError) as error:
            if not is_lacking(error):
                raise
        try:
            yield
        except MlflowException as error:
            raise TsdistillError(f"mlflow: {str(error).splitlines()[0][:300]}") from error
        finally:
            lock.release()

    def holds(self, result: Mapping[str, Any], digest: str) -> bool:
        """See :class:`Tracker`."""
        with self.alone():
            found = self._found(result)
        return [(run.info.status, run.data.tags.get(DIGEST)) for run in found] == [("FINISHED", digest)]

    def _found(self, result: Mapping[str, Any]) -> Sequence[Any]:
        """What is there of a run; a half-written one is not finished."""
        experiment = self._experiment(str(result["dataset"]))
        found: Sequence[Any] = self.client.search_runs([experiment], f"tags.`{ID}` = '{result['id']}'")
        return found

    def _experiment(self, dataset: str) -> str:
        if dataset not in self._experiments:
            known = self.client.get_experiment_by_name(dataset)
            place = (self.folder / "artifacts").as_uri()
            self._experiments[dataset] = (
                self.client.create_experiment(dataset, artifact_location=place)
                if known is None
                else known.experiment_id
            )
        return self._experiments[dataset]

    def begin(self, result: Mapping[str, Any], at: float) -> Writing:
        """See :class:`Tracker`."""
        from mlflow.entities import Param

        settings = [Param(_named(key), str(value)[:LONGEST]) for key, value in settings_of(result).items()]
        with self.alone():
            for earlier in self._found(result):
                self.client.delete_run(earlier.info.run_id)
            made = self.client.create_run(
                self._experiment(str(result["dataset"])),
                start_time=_milliseconds(at),
                tags={ID: str(result["id"])},
                run_name=title_of(result),
            )
            run_id = str(made.info.run_id)
            for first in range(0, len(settings), MOST_SETTINGS):
                self.client.log_batch(run_id, params=settings[first : first + MOST_SETTINGS])
        return _Run(self, run_id)


class _Run(Writing):
    def __init__(self, tracker: Mlflow, run_id: str) -> None:
        self._tracker, self._id = tracker, run_id

    def log(self, points: Sequence[Point], at: float) -> None:
        """See :class:`Writing`."""
        with self._tracker.alone():
            self._log(points, at)

    def _log(self, points: Sequence[Point], at: float) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(_named(name), value, _milliseconds(at), epoch) for name, epoch, value in points]
        for first in range(0, len(metrics), MOST_METRICS):
            self._tracker.client.log_batch(self._id, metrics=metrics[first : first + MOST_METRICS])

    def finish(self, run: Tracked) -> None:
        """See :class:`Writing`."""
        client = self._tracker.client
        with self._tracker.alone():
            self._log([Point(name, run.epochs, v) for name, v in run.metrics().items()], run.finished)
            client.set_tag(self._id, DIGEST, run.digest)
            client.set_terminated(self._id, "FINISHED", end_time=_milliseconds(run.finished))

    def leave(self) -> None:
        """See :class:`Writing`."""
        with self._tracker.alone():
            self._tracker.client.set_terminated(self._id, "KILLED")


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _named(name: str) -> str:
    """A name that MLflow takes: letters, digits and a few signs."""
    return re.sub(r"[^\w.:/ -]", "_", name)

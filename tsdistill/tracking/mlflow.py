"""Runs as MLflow reads them: a local database, with an experiment for each dataset."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tsdistill.errors import TsdistillError
from tsdistill.tracking.base import Tracked, Tracker

FILE = "mlflow.db"
ID = "tsdistill.id"
DIGEST = "tsdistill.record"
"""Tags of a run: its id, and the state of the record that was written."""
LONGEST = 500
"""Characters of a setting's value, which MLflow bounds."""
MOST_METRICS = 1000
MOST_SETTINGS = 100
"""How many MLflow takes at once."""


class Mlflow(Tracker):
    """Writes ``<folder>/mlflow.db``, which ``mlflow ui --backend-store-uri sqlite:///...`` shows."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what is stored here is nobody else's
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise TsdistillError("to=mlflow needs mlflow: pip install 'tsdistill[mlflow]'") from None
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        with _said():
            self._client: Any = MlflowClient(f"sqlite:///{self._folder / FILE}")
        self._experiments: dict[str, str] = {}

    def holds(self, result: Mapping[str, Any], digest: str) -> bool:
        """See :class:`Tracker`."""
        found = self._found(result)
        return [(run.info.status, run.data.tags.get(DIGEST)) for run in found] == [("FINISHED", digest)]

    def _found(self, result: Mapping[str, Any]) -> Sequence[Any]:
        """What is there of a run; a half-written one is not finished."""
        with _said():
            experiment = self._experiment(str(result["dataset"]))
            found: Sequence[Any] = self._client.search_runs([experiment], f"tags.`{ID}` = '{result['id']}'")
            return found

    def _experiment(self, dataset: str) -> str:
        if dataset not in self._experiments:
            known = self._client.get_experiment_by_name(dataset)
            place = (self._folder / "artifacts").as_uri()
            self._experiments[dataset] = (
                self._client.create_experiment(dataset, artifact_location=place)
                if known is None
                else known.experiment_id
            )
        return self._experiments[dataset]

    def write(self, run: Tracked) -> None:
        """See :class:`Tracker`."""
        with _said():
            for earlier in self._found(run.record.result):
                self._client.delete_run(earlier.info.run_id)
            self._write(run, self._experiment(str(run.record.result["dataset"])))

    def _write(self, run: Tracked, experiment: str) -> None:
        from mlflow.entities import Metric, Param

        at = int(run.finished * 1000)
        epochs = run.record.result["training"].get("epochs", 0)
        metrics = [Metric(_named(name), value, at, epochs) for name, value in run.metrics().items()]
        metrics += [Metric(_named(name), value, at, epoch) for name, epoch, value in run.curve()]
        settings = [Param(_named(key), str(value)[:LONGEST]) for key, value in run.settings().items()]
        tags = {ID: run.id, DIGEST: run.digest}
        made = self._client.create_run(experiment, start_time=at, tags=tags, run_name=run.title).info.run_id
        for at_once in range(0, len(settings), MOST_SETTINGS):
            self._client.log_batch(made, params=settings[at_once : at_once + MOST_SETTINGS])
        for at_once in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(made, metrics=metrics[at_once : at_once + MOST_METRICS])
        self._client.set_terminated(made, "FINISHED", end_time=at)


def _named(name: str) -> str:
    """A name that MLflow takes: letters, digits and a few signs."""
    return re.sub(r"[^\w.:/ -]", "_", name)


@contextmanager
def _said() -> Iterator[None]:
    """Tell MLflow's errors in one line."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise TsdistillError(f"to=mlflow: {str(error).splitlines()[0][:300]}") from error

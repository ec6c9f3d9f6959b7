"""``tsdistill.load`` and the choice of one stored student: what predicts and what is exported."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsdistill.config.schema import HardwareConf, StudentChoiceConf
from tsdistill.console import say
from tsdistill.data.split import stratified_split
from tsdistill.data.types import FloatArray, IntArray
from tsdistill.data.unlabelled import Columns
from tsdistill.deploy.bundle import STUDENT, read_bundle, read_settings
from tsdistill.deploy.student import REFERENCES, Student, choose_references
from tsdistill.errors import TsdistillError
from tsdistill.runs.restore import (
    config_of,
    read_whole,
    refuse_foreign,
    restore_job,
    restore_student,
)
from tsdistill.runs.session import Job
from tsdistill.store.listing import iter_results
from tsdistill.store.records import RunRecord
from tsdistill.store.selection import stored_runs

ABOUT = ("dataset", "method", "student", "teacher", "seed", "trial")
"""What a student says of where it comes from, beside its run's id."""


@dataclass(frozen=True)
class Restored:
    """A stored student, with what an export is checked against.

    Attributes:
        student: the student.
        job: its dataset.
        test_logits: the stored logits of the test part, (n, K).
        test_y: classes of the test part, (n,) int64.
    """

    student: Student
    job: Job
    test_logits: FloatArray
    test_y: IntArray


def load(
    run: str | Path,
    *,
    out: str | Path | None = None,
    data_root: str | Path | None = None,
    references: int = REFERENCES,
    allow_code: bool = False,
) -> Student:
    """Load a trained student with its preprocessing and its class names.

    Args:
        run: the folder that ``tsdistill export format=torch`` wrote; or a stored run, by its folder or by
            the first digits of its id. A stored run needs its dataset.
        out: the output folder in which an id is looked up; None for ``TSDISTILL_OUT`` or ``tsdistill-out``.
        data_root: root of your local data; None for the one that the run was trained with.
        references: number of training series kept for explanations, for a stored run.
        allow_code: build a model from outside of this package and PyTorch that the record names.

    Returns:
        The student; ``predict``, ``predict_proba`` and ``explain`` take series before any preprocessing.

    Raises:
        TsdistillError: there is no such run, its dataset is gone or has changed, or it names foreign code.
    """
    folder = Path(run).expanduser()
    if (folder / STUDENT).is_file():
        return _from_bundle(folder, allow_code)
    root = os.environ.get("TSDISTILL_DATA") if data_root is None else str(data_root)
    found = Path(out) if out is not None else Path(os.environ.get("TSDISTILL_OUT", "tsdistill-out"))
    key = str(run)
    if (folder / "result.json").is_file():
        key, found = folder.resolve().name, folder.resolve().parents[2]
    conf = StudentChoiceConf(
        out=str(found), run=key, data_root=root, references=references, allow_code=allow_code
    )
    return restore(conf).student


def _from_bundle(folder: Path, allow_code: bool) -> Student:
    if not allow_code:
        refuse_foreign(read_settings(folder)["model"], "model")
    return read_bundle(folder)


def restore(conf: StudentChoiceConf) -> Restored:
    """Restore the student that settings name: by its run's id, or the best of those that match, as is said.

    Raises:
        TsdistillError: none matches, or none can be said to be the best; or as ``restore_student``.
    """
    out = Path(conf.out)
    record = read_whole(out, chosen_run(conf))
    hardware = HardwareConf(device="cpu")
    job = restore_job(out, record, data_root=conf.data_root, hardware=hardware, allow_code=conf.allow_code)
    student = _student_of(job, record, conf.references)
    return Restored(student, job, record.logits["test"].numpy(), job.dataset.test.y)


def _student_of(job: Job, record: RunRecord, references: int) -> Student:
    conf, data = config_of(record), job.dataset
    kept, _ = stratified_split(data.train.y, job.conf.split.validation, job.conf.split.seed)
    return Student(
        model=restore_student(job, record).cpu(),
        classes=data.classes,
        preparation=job.preparation,
        references=choose_references(data.train.rows(kept), references),
        columns=Columns.of(conf["dataset"]),
        model_conf=conf["student"]["model"],
        about={"run": record.result["id"], **{name: record.result[name] for name in ABOUT}},
    )


def chosen_run(conf: StudentChoiceConf) -> Mapping[str, Any]:
    """The result of the run that settings name.

    Raises:
        TsdistillError: see ``restore``.
    """
    if conf.run is not None:
        return _by_id(Path(conf.out), conf.run)
    found = stored_runs(Path(conf.out), conf.only, conf.where)
    if not found:
        raise TsdistillError(f"no stored run passes where={conf.where}")
    if len(found) == 1:
        return found[0]
    datasets = sorted({result["dataset"] for result in found})
    if len(datasets) > 1:
        raise TsdistillError(f"name one dataset, or a run by run=ID; stored are {', '.join(datasets)}")
    if any(result["validation"] is None for result in found):
        raise TsdistillError(
            f"{len(found)} stored runs match, and without a validation part none can be said to be the best; "
            f"choose one by run=ID:\n{_listed(found)}"
        )
    best = max(found, key=_on_validation)
    say(f"run {best['id']}: the best on validation (AP) of {len(found)} that match; run=ID names another")
    return best


def _on_validation(result: Mapping[str, Any]) -> tuple[float, float]:
    """How good a run is on its validation part: average precision, then the likelihood."""
    precision, nll = (result["validation"][name] for name in ("average_precision", "nll"))
    return (precision if precision == precision else -1.0, -nll if nll == nll else -float("inf"))


def _by_id(out: Path, prefix: str) -> Mapping[str, Any]:
    found = [result for result in iter_results(out) if str(result["id"]).startswith(prefix)]
    if not prefix or not found:
        raise TsdistillError(f"run={prefix}: no run under {out} has this id; `tsdistill runs` lists them")
    if len(found) > 1:
        raise TsdistillError(f"run={prefix}: {len(found)} runs begin so: {_listed(found)}; give more digits")
    return found[0]


def _listed(results: Sequence[Mapping[str, Any]], most: int = 8) -> str:
    shown = [f"{r['id'][:8]} ({r['method']} {r['student']} seed {r['seed']})" for r in results[:most]]
    return ", ".join(shown) + (", ..." if len(results) > most else "")

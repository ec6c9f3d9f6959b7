"""Tells the user of a distilled run that its teacher is no better than a plain student."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from tsdistill.evaluation.worth import is_ahead
from tsdistill.store.listing import list_runs

PLAIN = "none"
_SHARED = ("dataset.", "split.", "student.", "training.", "calibration.")


def weak_teacher_note(out: Path, result: Mapping[str, Any]) -> str | None:
    """Compare a run's teacher with the plain students that are stored beside it, on the validation part.

    Args:
        out: folder of the records.
        result: of a distilled run.

    Returns:
        One sentence where the teacher is not ahead of the mean plain student of the same dataset, split,
        model and training; None where it is, or where nothing can be compared.
    """
    if result["teacher_validation"] is None:
        return None
    plain = [
        float(other["validation"]["average_precision"])
        for other in list_runs(out, result["dataset"]).results
        if other["method"] == PLAIN and other["validation"] is not None and _alike(result, other)
    ]
    teacher = float(result["teacher_validation"]["average_precision"])
    if not plain or is_ahead(teacher, fmean(plain)):
        return None
    return (
        f"on validation, the teacher's AP ({teacher:.3f}) is no higher than the plain student's "
        f"({fmean(plain):.3f}), so a student that follows it may be worse than a plain one"
    )


def _alike(run: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def shared(settings: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in settings.items() if key.startswith(_SHARED)}

    return (run["student"], shared(run["settings"])) == (other["student"], shared(other["settings"]))

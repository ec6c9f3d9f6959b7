"""Names the datasets on which a teacher is no better than the plain student."""

from typing import TYPE_CHECKING

from tsdistill.evaluation.worth import is_ahead
from tsdistill.report.order import natural

if TYPE_CHECKING:
    import pandas as pd

PLAIN = "none"
_TEACHER, _STUDENT = "teacher_validation.average_precision", "validation.average_precision"


def weak_teachers(runs: "pd.DataFrame") -> tuple[str, ...]:
    """Say where a pair's teacher is not ahead of the plain student on validation.

    Args:
        runs: of one teacher and student, all methods, as ``load_runs`` lays them out.

    Returns:
        One sentence, or nothing where every teacher is ahead or no plain student has a validation part.
    """
    if not {_TEACHER, _STUDENT} <= set(runs.columns):
        return ()
    plain = runs[runs["method"] == PLAIN].dropna(subset=[_TEACHER, _STUDENT])
    means = plain.groupby("dataset")[[_TEACHER, _STUDENT]].mean()
    behind = [name for name, row in means.iterrows() if not is_ahead(row[_TEACHER], row[_STUDENT])]
    if not behind:
        return ()
    return (
        f"On validation, the teacher's AP is no higher than the plain student's on {len(behind)} of "
        f"{len(means)} data sets ({', '.join(sorted(map(str, behind), key=natural))}): a student that "
        "follows it may be worse than a plain one.",
    )

"""``tsdistill train-teacher``: a teacher, its logits, its pool and its saliency maps."""

from typing import Any


def run(composed: Any) -> None:
    """Train a teacher, or read it where it is stored."""
    from tsdistill.runs.story import train_teacher
    from tsdistill.runs.sweep import as_job

    as_job(lambda: train_teacher(composed), debug=composed.debug)

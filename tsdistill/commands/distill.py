"""``tsdistill distill``: one student under one method, from its record or trained."""

from typing import Any


def run(composed: Any) -> None:
    """Distil a student; inside a sweep a failure is recorded and the other jobs go on."""
    from tsdistill.runs.story import distill, record_failure
    from tsdistill.runs.sweep import as_job

    as_job(
        lambda: distill(composed),
        debug=composed.debug,
        on_failure=lambda error: record_failure(composed, error),
    )

"""``tsdistill tune``: searches a method's settings on the validation part."""

from typing import Any


def run(composed: Any) -> None:
    """Run a study; inside a sweep a failed one does not end the others."""
    from tsdistill.runs.sweep import as_job
    from tsdistill.runs.tune import tune

    as_job(lambda: tune(composed), debug=composed.debug)

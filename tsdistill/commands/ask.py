"""``tsdistill ask``: writes every series that a teacher elsewhere has to answer."""

from typing import Any


def run(composed: Any) -> None:
    """Write the questions and their index."""
    from tsdistill.runs.ask import ask
    from tsdistill.runs.sweep import as_job

    as_job(lambda: ask(composed), debug=composed.debug)

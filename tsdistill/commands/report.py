"""``tsdistill report``: tables, statistics and figures from stored runs."""

from pathlib import Path
from typing import Any


def run(composed: Any) -> None:
    """Write the report of the stored runs that the settings name."""
    from tsdistill.config.resolve import check_composed
    from tsdistill.console import console
    from tsdistill.report.write import write_report

    check_composed(composed)
    filters = {name: list(wanted) for name, wanted in composed.only.items() if wanted}
    write_report(
        Path(composed.out),
        composed.select.value,
        filters,
        console,
        reference=composed.reference,
        where=composed.where,
        tune=composed.tune.value,
        to=None if composed.to is None else Path(composed.to).expanduser(),
        figures=composed.figures,
    )

"""A report in a few sentences: what was compared, which method is ahead, and how sure that is."""

from typing import TYPE_CHECKING

from tsdistill.report.aggregate import TEACHERS
from tsdistill.report.metrics import metric_of
from tsdistill.report.render import number
from tsdistill.report.settings import Pair
from tsdistill.report.statistics import ALPHA, Statistics, smallest_adjusted
from tsdistill.report.tables import mean_cell, of_pair, placed, plural

if TYPE_CHECKING:
    from tsdistill.report.assemble import Report


NO_VALUE = "no value"


def summary(report: "Report") -> list[str]:
    """A sentence or two for each pair and driving metric.

    Args:
        report: what ``assemble`` gave.
    """
    return [
        f"{report.view.pair(pair)}, {_compared(report, pair)}. {_ahead(report, pair, metric)}"
        for pair in report.statistics
        for metric in report.view.driving
    ]


def _compared(report: "Report", pair: Pair) -> str:
    rows = of_pair(report.rows, pair)
    students = rows[~rows["method"].isin(TEACHERS)]
    sets, seeds = students["dataset"].nunique(), of_pair(report.selection.runs, pair)["seed"].nunique()
    rows_shown = students["variant"].nunique()
    settings = rows_shown > students["method"].nunique()
    methods = plural(rows_shown, "method", "methods and settings" if settings else "")
    return f"{methods}, {plural(sets, 'data set')}, {plural(seeds, 'seed')}"


def _ahead(report: "Report", pair: Pair, metric: str) -> str:
    title, best = report.view.title(metric), _best_mean(report, pair, metric)
    found = report.statistics[pair].get(metric)
    if best == NO_VALUE:
        return f"{title}: {best}."
    if found is None or len(found.datasets) < 2:
        return f"{title}: {best}; too few data sets for a test."
    rank = f"{next(iter(found.ranks.values())):.2f}"
    first = [report.view.row(name) for name, each in found.ranks.items() if f"{each:.2f}" == rank]
    return f"{title}: {best}, best average rank {' and '.join(first)} ({rank}). {_sure(report, found)}"


def _best_mean(report: "Report", pair: Pair, metric: str) -> str:
    """The rows that the summary's table marks as best."""
    lines = of_pair(report.means, pair).to_dict("records")
    sets, digits = of_pair(report.rows, pair)["dataset"].nunique(), report.view.decimals
    cells = placed(
        [mean_cell(line, metric, sets, digits=digits) for line in lines],
        higher_is_better=metric_of(metric).higher_is_better,
        alone=True,
    )
    best = {
        report.view.row(line["variant"]): number(cell.mean, digits)
        for line, cell in zip(lines, cells, strict=True)
        if cell.place == 1 and cell.mean is not None
    }
    if best:
        return f"best mean {' and '.join(best)} ({next(iter(best.values()))})"
    if all(cell.mean is None for cell in cells):
        return NO_VALUE
    return "no best mean, since each lacks data sets or holds a collapsed run"


def _sure(report: "Report", found: Statistics) -> str:
    """What differs from the reference over data sets, and what could."""
    view, reference = report.view, report.view.row(found.reference)
    test = "Wilcoxon test, Holm's correction, p < 0.05"
    differing = [view.row(each.other) for each in found.against_reference if each.p_holm < ALPHA]
    rest = len(found.against_reference) - len(differing)
    if differing:
        others = f"; {rest} of {len(found.against_reference)} do not" if rest else ""
        return f"These differ from {reference}: {', '.join(differing)} ({test}){others}."
    if smallest_adjusted(found.against_reference) >= ALPHA:
        return (
            f"With {plural(len(found.datasets), 'data set')} no difference from {reference} can be "
            f"significant ({test})."
        )
    return f"No method differs from {reference} ({test})."

"""A report in a few sentences: what was compared, which method is ahead, and how sure that is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tsdistill.report.aggregate import TEACHERS
from tsdistill.report.metrics import metric_of
from tsdistill.report.settings import Pair
from tsdistill.report.statistics import ALPHA, Statistics, smallest_adjusted
from tsdistill.report.tables import of_pair, plural

if TYPE_CHECKING:
    from tsdistill.report.assemble import Report


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
    methods = plural(students["variant"].nunique(), "method", "methods and settings")
    return f"{methods}, {plural(sets, 'data set')}, {plural(seeds, 'seed')}"


def _ahead(report: "Report", pair: Pair, metric: str) -> str:
    view, found = report.view, report.statistics[pair].get(metric)
    title = view.title(metric)
    if found is None or len(found.datasets) < 2:
        means = of_pair(report.means, pair)
        means = means[~means["method"].isin(TEACHERS)]
        if metric not in means or means[metric].isna().all():
            return f"{title}: no value."
        means = means.dropna(subset=[metric])
        up = metric_of(metric).higher_is_better
        ordered = means.sort_values(metric, ascending=not up, kind="stable").set_index("variant")[metric]
        best = _first(report, ordered.to_dict(), view.decimals)
        return f"{title}: best mean {best}; too few data sets for a test."
    mean, rank = _first(report, found.means, view.decimals), _first(report, found.ranks, 2)
    return f"{title}: best mean {mean}, best average rank {rank}. {_sure(report, found)}"


def _first(report: "Report", ordered: Mapping[str, float], digits: int) -> str:
    """The first of some rows with its value, and those that look the same."""
    value = f"{next(iter(ordered.values())):.{digits}f}"
    alike = [report.view.row(name) for name, each in ordered.items() if f"{each:.{digits}f}" == value]
    return f"{' and '.join(alike)} ({value})"


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

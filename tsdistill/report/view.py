"""How a report tells what it shows: which metrics, under which names, in what order."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tsdistill.errors import TsdistillError, nearest
from tsdistill.report.metrics import METRICS, Metric, metric_of
from tsdistill.report.options import FIGURES, PRIMARY, Options
from tsdistill.report.settings import Pair

if TYPE_CHECKING:
    import pandas as pd

MOST_DECIMALS = 8
MOST_VARIED = 2


@dataclass(frozen=True)
class View:
    """How a report's content is told.

    Attributes:
        driving: the metrics that have tables and figures of their own, the first of them first.
        metrics: every metric with a table: the driving ones, then the rest of the usual six.
        columns: metrics of the summary.
        labels: shown names by stored name.
        order: methods or rows in the order shown.
        decimals: of metrics in tables.
    """

    driving: tuple[str, ...] = (PRIMARY,)
    metrics: Mapping[str, Metric] = field(default_factory=lambda: dict(METRICS))
    columns: tuple[str, ...] = tuple(METRICS)
    labels: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    decimals: int = 3

    def name(self, name: str) -> str:
        """What is shown for a teacher, a student or a data set."""
        return self.labels.get(name, name)

    def row(self, variant: str) -> str:
        """What is shown for a row: a method, perhaps with settings in brackets."""
        if variant in self.labels:
            return self.labels[variant]
        method, bracket, settings = variant.partition(" [")
        return self.name(method) + bracket + settings

    def pair(self, pair: Pair) -> str:
        """What is shown for a teacher and a student."""
        return f"{self.name(pair[0])} → {self.name(pair[1])}"

    def title(self, metric: str) -> str:
        """What is shown for a metric."""
        return self.labels.get(metric, metric_of(metric).title)

    def place(self, variant: str) -> int:
        """Where a row stands by the order asked for; rows that it does not name come last."""
        names = (variant, variant.split(" [")[0])
        return min((self.order.index(name) for name in names if name in self.order), default=len(self.order))


def view_of(options: Options, runs: "pd.DataFrame", known: Collection[str]) -> View:
    """Check what was asked against what is stored.

    Args:
        options: what was asked for.
        runs: every run of the report.
        known: names of methods, teachers, students and data sets in the folders read, whatever the filter.

    Raises:
        TsdistillError: a metric, label or name that nothing stored has, or decimals out of range.
    """
    stored = {name.removeprefix("test.") for name in runs.columns if name.startswith("test.")}
    driving = tuple(dict.fromkeys(options.metrics)) or (PRIMARY,)
    usual = tuple(name for name in METRICS if name in stored or name == PRIMARY)
    _known("metric", [name for name in driving if name != PRIMARY], stored)
    if len(options.vary) > MOST_VARIED:
        raise TsdistillError(f"vary={','.join(options.vary)}: name one or two settings")
    settings = {name.removeprefix("setting.") for name in runs.columns if name.startswith("setting.")}
    _known("vary", options.vary, settings)
    _known("columns", options.columns, stored)
    _known("labels", options.labels, {*known, *stored, *runs["variant"]})
    _known("order", options.order, {*known, *runs["variant"]})
    for kind in () if isinstance(options.figures, bool) else options.figures:
        if kind not in (*FIGURES, "all"):
            known = nearest(kind, (*FIGURES, "all"))
            raise TsdistillError(f"figures: there is no kind of figure '{kind}': {known}")
    if not 0 <= options.decimals <= MOST_DECIMALS:
        raise TsdistillError(f"decimals={options.decimals}: choose from 0 to {MOST_DECIMALS}")
    shown = tuple(dict.fromkeys((*driving, *usual)))
    return View(
        driving=driving,
        metrics={name: metric_of(name) for name in shown},
        columns=tuple(options.columns) or shown,
        labels=dict(options.labels),
        order=tuple(options.order),
        decimals=options.decimals,
    )


def _known(setting: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise TsdistillError(f"{setting}: no stored run has '{name}': {nearest(name, known)}")

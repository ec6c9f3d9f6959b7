"""What a user asks of a report, in one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tsdistill.report.selection import Select
    from tsdistill.report.settings import Tune

PRIMARY = "average_precision"
"""The metric that drives a report unless another is named."""
USUAL = ("ranks", "matrix", "scatter", "noise", "curves", "reliability", "sweep", "size")
"""Kinds of figures that are drawn unless some are named."""
FIGURES = (*USUAL, "confusion", "bytes", "latency")
"""All kinds of figures."""


@dataclass(frozen=True)
class Options:
    """What a report is about and how it tells it.

    Attributes:
        select: what trials of a grid are chosen by; ``"test"`` is labelled in every table and figure.
        tune: when one of a method's settings is selected: where all methods of a pair have equally many
            (``"equal"``), ``"always"`` or ``"never"``. Otherwise the default setting stands for the method
            and other settings have rows of their own.
        filters: names to keep for dataset, method, teacher or student: a sequence, or split at commas.
        where: a filter over stored runs, see ``tsdistill.store.where.Where``.
        reference: the row that the others are tested against; by default ``tsd``, else the plain student.
        metrics: stored test metrics, each of which has its own tables and figures; the first also decides
            among trials.
        labels: what is shown instead of the name of a method, teacher, student, data set or metric.
        order: methods or rows in the order shown; the rest follow.
        vary: one or two settings that were varied on purpose: every value has a row, and curves or a heat map
            are drawn; nothing is selected among them.
        columns: metrics of the summary; by default those of ``metrics`` and the usual six.
        published: a file of published numbers that stand beside ours, see ``read_published``.
        decimals: of metrics in tables.
        figures: whether to draw, or the kinds of ``FIGURES`` that are drawn; the page is written either way.
            Without, figures of an earlier report in the folder stay, and a note says so; with, they are
            replaced. A kind that is named is drawn for every data set.
        style: what figures are drawn for: ``"text"``, ``"column"`` or ``"slides"``.
    """

    select: "Select" = "validation"
    tune: "Tune" = "equal"
    filters: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    where: str | None = None
    reference: str | None = None
    metrics: Sequence[str] = (PRIMARY,)
    labels: Mapping[str, str] = field(default_factory=dict)
    order: Sequence[str] = ()
    columns: Sequence[str] = ()
    vary: Sequence[str] = ()
    published: str | None = None
    decimals: int = 3
    figures: bool | Sequence[str] = True
    style: str = "text"

    @property
    def narrowed(self) -> Mapping[str, str | Sequence[str]]:
        """What the runs are narrowed to."""
        return self.filters if self.where is None else {**self.filters, "where": self.where}

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of figures that are drawn."""
        if isinstance(self.figures, bool):
            return USUAL if self.figures else ()
        return FIGURES if "all" in self.figures else self.figures

    @property
    def named_figures(self) -> Sequence[str]:
        """The kinds that were asked for by name."""
        return () if isinstance(self.figures, bool) else self.kinds

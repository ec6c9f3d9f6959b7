"""What a report's table is made of."""

from dataclasses import dataclass, field

MARKS = {
    "no_validation": ("†", "no validation part: default settings, fixed number of epochs"),
    "incomplete": ("‡", "fewer seeds than other methods"),
    "collapsed": ("°", "at least one run collapsed to a constant prediction; not ranked as best or second"),
    "plateau": ("‖", "at least one run never left the plateau at which training begins"),
    "partial": ("§", "mean over some of the data sets only; not ranked as best or second"),
    "budget": ("¶", "methods have unequal numbers of settings: they were not tuned alike"),
    "significant": ("*", "differs from the reference: Wilcoxon test with Holm's correction, p < 0.05"),
}
"""Signs beside a value, and what they mean."""


@dataclass(frozen=True)
class Cell:
    """One value of a table.

    Attributes:
        text: what is shown where there is no number.
        mean: the number, or None for a text cell.
        std: its deviation, or None.
        marks: keys of ``MARKS``.
        place: 1 for the best of its row or column, 2 for the second, else 0.
        digits: decimals shown.
        ranked: whether it competes for a place (the teacher does not).
    """

    text: str = ""
    mean: float | None = None
    std: float | None = None
    marks: tuple[str, ...] = ()
    place: int = 0
    digits: int = 3
    ranked: bool = True


@dataclass(frozen=True)
class Table:
    """A table ready to be drawn.

    Attributes:
        key: a short name, unique in the report, fit for a label or an anchor.
        title: what it shows.
        columns: headings; the first column names the row.
        rows: cells, as many a row as there are columns.
        footer: rows set apart at the foot (means).
        notes: sentences under it.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    footer: list[list[Cell]] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    def word_columns(self) -> list[bool]:
        """For each column whether it holds words, not numbers."""
        lines = [*self.rows, *self.footer]
        return [
            at == 0 or (bool(lines) and all(line[at].mean is None for line in lines))
            for at in range(len(self.columns))
        ]

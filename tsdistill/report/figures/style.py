"""How figures look and are saved: vector and PNG, the same bytes every time."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

from tsdistill.report.names import broken
from tsdistill.store.artefact import replaced_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "pdf", "png")


@dataclass(frozen=True)
class Sheet:
    """What figures are drawn for.

    Attributes:
        width: of a figure, in inches.
        size: of most text, in points.
        small: of the smallest text, in points.
        abreast: panels side by side.
        titles: whether a figure carries its title; a paper says it in the caption.
    """

    width: float
    size: float
    small: float
    abreast: int
    titles: bool

    @property
    def scale(self) -> float:
        """How much higher than on a page of text a line is."""
        return self.size / 8.5

    def signs(self, share: float = 1.0) -> int:
        """About how many signs of the smallest text fit into a share of the width."""
        return int(share * self.width * 72 / (0.53 * self.small))


SHEETS = {
    "text": Sheet(width=7.0, size=8.5, small=7.0, abreast=3, titles=True),
    "column": Sheet(width=3.4, size=7.5, small=7.0, abreast=2, titles=False),
    "slides": Sheet(width=12.0, size=14.5, small=12.0, abreast=3, titles=False),
}
"""The whole width of a page, a column of a two-column paper, and a slide."""
_sheet = ContextVar("sheet", default=SHEETS["text"])


def sheet() -> Sheet:
    """What the figures within the present ``style()`` are drawn for."""
    return _sheet.get()


_RC: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "tsdistill",
    "text.hinting": "none",
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    "ps.fonttype": 42,
    "figure.dpi": 160,
}


@contextmanager
def style(name: str = "text") -> Iterator[None]:
    """Draw and save within the report's own settings, whatever the user's are.

    Args:
        name: one of ``SHEETS``.
    """
    import matplotlib

    found = SHEETS[name]
    token = _sheet.set(found)
    try:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_RC)
            smaller: Any = ("xtick.labelsize", "ytick.labelsize", "legend.fontsize", "axes.titlesize")
            matplotlib.rcParams.update({"font.size": found.size, **dict.fromkeys(smaller, found.small)})
            yield
    finally:
        _sheet.reset(token)


def new_figure(title: str, height: float, width: float | None = None) -> "Figure":
    """An empty figure.

    Args:
        title: above it, where the sheet has titles.
        height: in inches on a page of text.
        width: in inches; None for that of the sheet.
    """
    from matplotlib.figure import Figure

    size = (width or sheet().width, height * sheet().scale)
    figure = Figure(figsize=size, layout="constrained")
    if title and sheet().titles:
        figure.suptitle(title, fontsize=sheet().size + 0.5)
    return figure


def panel_grid(
    panels: int, title: str, height: float = 1.95, *, square: bool = False
) -> tuple["Figure", list["Axes"]]:
    """A figure of panels, as many abreast as the sheet has room for.

    Args:
        panels: how many.
        title: above them.
        height: of a row of panels, in inches on a page of text.
        square: whether panels are as high as they are wide, whatever the height.
    """
    around = 0.7  # title and legend
    if square:
        height = sheet().width / sheet().abreast / sheet().scale + 0.1
        around = 0.35 if sheet().titles else 0.0
    columns = min(sheet().abreast, panels)
    lines = -(-panels // columns)
    width = max(sheet().width * columns / sheet().abreast, min(3.4 * sheet().scale, sheet().width))
    figure = new_figure(title, height * lines + around, width)
    return figure, [figure.add_subplot(lines, columns, at + 1) for at in range(panels)]


def legend_below(figure: "Figure", axes: Iterable["Axes"], order: Sequence[str] = ()) -> None:
    """One legend of all that some axes name, below the figure.

    Args:
        figure: the figure.
        axes: whose labelled lines are named, each label once.
        order: labels in the order shown; by default in the order drawn.
    """
    handles = {
        label: line for each in axes for line, label in zip(*each.get_legend_handles_labels(), strict=True)
    }
    names = [name for name in order if name in handles] or list(handles)
    longest = max(len(line) for name in names for line in name.splitlines())
    columns = max(1, min(len(names), sheet().signs() // (longest + 8)))
    figure.legend([handles[name] for name in names], names, loc="outside lower center", ncols=columns)


def logarithmic(axes: "Axes", which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain numbers: at 1, 2 and 5 where it is short."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator, StrMethodFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 30 * low else (1.0,)))
    axis.set_major_formatter(
        EngFormatter(sep="") if which == "x" and low >= 1 else StrMethodFormatter("{x:g}")
    )
    axis.set_minor_locator(NullLocator())


def wrapped(name: str, width: int = 22) -> str:
    """Break a name into lines at its own joints, so that long ones fit."""
    return literal("\n".join(broken(name, width)))


def heading(text: str, share: float = 1.0) -> str:
    """A title in lines that fit a share of the width of a figure; nothing on a sheet without titles."""
    if not sheet().titles:
        return ""
    return literal(
        fill(text, int(15 * share * sheet().width), break_long_words=False, break_on_hyphens=False)
    )


def literal(text: str) -> str:
    """A user's text for matplotlib, its dollars no formulas."""
    return text.replace("$", r"\$")


def save(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Save a figure in every format, as wide as it was made and as high as what is drawn.

    Args:
        figure: drawn within ``style()``, and saved within it too.
        folder: it is made if need be.
        name: file name without its ending.

    Raises:
        TsdistillError: a file can't be written; an earlier one of the same name then stays.
    """
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # settled: laid out and measured once, not once a format
    drawn = figure.get_tightbbox().padded(0.02)
    box = Bbox([[min(0.0, drawn.x0), drawn.y0], [max(figure.get_figwidth(), drawn.x1), drawn.y1]])
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    paths = []
    for kind in FORMATS:
        paths.append(folder / f"{name}.{kind}")
        with replaced_whole(paths[-1]) as new:
            figure.savefig(new, format=kind, dpi=160, bbox_inches=box, metadata=undated[kind])
    return paths

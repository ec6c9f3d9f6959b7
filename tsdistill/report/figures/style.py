"""How figures look and are saved: vector and PNG, the same bytes every time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

from tsdistill.report.names import broken

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "pdf", "png")
WIDTH = 7.0
"""Inches: a text width in print."""

_RC: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.titlesize": 9,
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
def style() -> Iterator[None]:
    """Draw and save within the report's own settings, whatever the user's are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def logarithmic(axes: "Axes", which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain numbers: at 1, 2 and 5 where it is short."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator, StrMethodFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 30 * low else (1.0,)))
    axis.set_major_formatter(EngFormatter(sep="") if which == "x" else StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def wrapped(name: str, width: int = 22) -> str:
    """Break a name into lines at its own joints, so that long ones fit."""
    return literal("\n".join(broken(name, width)))


def heading(text: str, width: int = 105) -> str:
    """A title in lines that fit the width of a figure."""
    return literal(fill(text, width, break_long_words=False, break_on_hyphens=False))


def literal(text: str) -> str:
    """A user's text for matplotlib, its dollars no formulas."""
    return text.replace("$", r"\$")


def save(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Save a figure in every format.

    Args:
        figure: drawn within ``style()``, and saved within it too.
        folder: it is made if need be.
        name: file name without its ending.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # settled: laid out and measured once, not once a format
    box = figure.get_tightbbox().padded(0.05)
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    paths = []
    for kind in FORMATS:
        paths.append(folder / f"{name}.{kind}")
        figure.savefig(paths[-1], dpi=160, bbox_inches=box, metadata=undated[kind])
    return paths

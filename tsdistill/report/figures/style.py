"""How figures look and are saved: colour-blind safe, vector and PNG, the same bytes every time."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

from tsdistill.report.aggregate import RESEEDED, TEACHER, TEACHERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Okabe and Ito's palette without its yellow, which does not show on white; black is the teacher's."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":")
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
    "figure.dpi": 160,
}


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one method, and its name as short as it can be told apart."""

    colour: str
    marker: str
    line: str
    label: str


Palette = Mapping[str, Look]
"""A look for each method, the same in every figure of a report."""


@contextmanager
def style() -> Iterator[None]:
    """Draw and save within the report's own settings, whatever the user's are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def looks(variants: Sequence[str]) -> dict[str, Look]:
    """A look for each method; the teachers are black, and no two are told apart by colour alone."""
    labels = _short_names(variants)
    found = {TEACHER: Look("#000000", "*", "-", TEACHER)}
    if RESEEDED in variants:
        found[RESEEDED] = Look("#000000", "p", ":", RESEEDED)
    for at, name in enumerate(name for name in variants if name not in TEACHERS):
        turn, index = divmod(at, len(COLOURS))
        marker, line = MARKERS[(index + turn) % len(MARKERS)], LINES[turn % len(LINES)]
        found[name] = Look(COLOURS[index], marker, line, labels[name])
    return found


def _short_names(variants: Sequence[str]) -> dict[str, str]:
    """Settings by the last part of their keys, where that leaves no two methods with one name."""
    short = {name: re.sub(r"(?<=[\[ ])[\w.]+\.(\w+=)", r"\1", name) for name in variants}
    return {name: label if list(short.values()).count(label) == 1 else name for name, label in short.items()}


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
    lines, line = [], ""
    for piece in _pieces(name):
        if line and len(line) + len(piece) > width:
            lines.append(line)
            line = ""
        while len(piece) > width:
            lines.append(piece[:width])
            piece = piece[width:]
        line += piece
    return literal("\n".join([*lines, line]).strip())


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


def _pieces(name: str) -> Iterator[str]:
    piece = ""
    for sign in name:
        piece += sign
        if sign in " _-,=./":
            yield piece
            piece = ""
    yield piece

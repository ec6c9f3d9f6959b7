"""The report as one self-contained page: nothing is fetched, nothing from a record is trusted."""

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from tsdistill.report.assemble import LABELS
from tsdistill.report.cells import MARKS, Cell, Table
from tsdistill.report.protocol import chosen_runs, environments, protocol
from tsdistill.report.render import number
from tsdistill.report.summary import summary

if TYPE_CHECKING:
    from tsdistill.report.assemble import Report
    from tsdistill.report.figures.draw import Drawn

FOLDED = ("chosen", "setting")
"""Sections that are folded at first."""
_PLACES = {1: "best", 2: "second"}


def to_html(report: "Report", drawn: Sequence["Drawn"], about_figures: str = "") -> str:
    """Lay the whole report out as a page.

    Every text is escaped; figures are images within data addresses, so nothing in them can run; a content
    policy lets only the page's own script run and nothing be fetched.

    Args:
        report: what ``assemble`` gave.
        drawn: the figures, already saved.
        about_figures: what stands in the place of figures where there are none.

    Returns:
        The page.
    """
    folder = files("tsdistill.report")
    style, script = (folder.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    sections = _sections(report, drawn, about_figures or "None were drawn.")
    links = "".join(f'<a href="#{key}">{escape(title)}</a>' for key, title, _ in sections)
    bodies = "".join(
        f'<section id="{key}"><details{"" if key in FOLDED else " open"}><summary><h2>{escape(title)}</h2>'
        f"</summary>{body}</details></section>"
        for key, title, body in sections
    )
    kind = "label test" if LABELS["test"] in report.label else "label"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Distillation report</title><style>{style}</style></head><body>"
        f'<h1>Distillation report</h1><p><span class="{kind}">{escape(report.label)}</span></p>'
        f"<nav>{links}</nav>{bodies}<script>{script}</script></body></html>\n"
    )


def _sections(report: "Report", drawn: Sequence["Drawn"], about_figures: str) -> list[tuple[str, str, str]]:
    lists = [
        "<ul>" + "".join(f"<li>{_with_code(line)}</li>" for line in lines) + "</ul>"
        for lines in (summary(report), protocol(report))
    ]
    tables = [table for table in report.tables if table.key != "choices"]
    choices = [table for table in report.tables if table.key == "choices"]
    failed = html_table(report.failures) if report.failures.rows else "<p>None.</p>"
    return [
        ("summary", "Summary", lists[0]),
        ("protocol", "Protocol", lists[1]),
        ("results", "Results", "".join(map(html_table, tables))),
        ("figures", "Figures", "".join(map(_figure, drawn)) or f"<p>{_text(about_figures)}</p>"),
        ("chosen", "Chosen trials and runs", "".join(map(html_table, [*choices, chosen_runs(report)]))),
        ("failed", "Failed runs", failed),
        ("setting", "Environment", html_table(environments(report))),
    ]


def html_table(table: Table) -> str:
    """A table that sorts by a click on a heading and filters by words."""
    words = table.word_columns()
    key = "t-" + "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in table.key)
    heads = "".join(
        f'<th scope="col"{_words(left)}><button type="button">{_breakable(name)}</button></th>'
        for name, left in zip(table.columns, words, strict=True)
    )
    body = "".join(_row(row, words) for row in table.rows)
    foot = "".join(_row(row, words) for row in table.footer)
    foot = f"<tfoot>{foot}</tfoot>" if foot else ""
    notes = "".join(f'<p class="notes">{_text(note)}</p>' for note in table.notes)
    return (
        f'<h3>{_text(table.title)}</h3><input type="search" data-for="{key}" placeholder="filter rows" '
        f'aria-label="filter rows"><div class="scroll"><table id="{key}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody>{foot}</table></div>{notes}"
    )


def _row(row: Sequence[Cell], words: Sequence[bool]) -> str:
    return "<tr>" + "".join(_cell(cell, left) for cell, left in zip(row, words, strict=True)) + "</tr>"


def _cell(cell: Cell, left: bool) -> str:
    signs = escape("".join(MARKS[mark][0] for mark in cell.marks))
    if cell.mean is None:
        return f"<td{_words(left)}>{_text(cell.text)}{signs}</td>"
    spread = f' <span class="spread">± {number(cell.std, cell.digits)}</span>' if cell.std is not None else ""
    shown = number(cell.mean, cell.digits)
    if cell.place:
        shown = f'<span class="{_PLACES[cell.place]}">{shown}</span>'
    return f'<td data-v="{float(cell.mean)!r}">{shown}{spread}{signs}</td>'


def _figure(drawn: "Drawn") -> str:
    """A figure in the size it was drawn for; on a small screen it scrolls rather than shrinks."""
    picture = Path(drawn.files[0]).read_bytes()
    width = re.search(rb'<svg[^>]* width="([0-9.]+)pt"', picture)
    inches = float(width[1]) / 72 if width else 7.0
    data, title = base64.b64encode(picture).decode(), _text(drawn.title)
    return (
        f'<figure><div class="scroll"><img style="--inches: {inches:.2f}" alt="{title}" '
        f'src="data:image/svg+xml;base64,{data}"></div><figcaption>{title}</figcaption></figure>'
    )


def _words(left: bool) -> str:
    return ' class="words"' if left else ""


def _breakable(text: str) -> str:
    """A heading that may be broken at its joints."""
    return re.sub(r"([_.,=])", r"\1<wbr>", _text(text))


def _with_code(text: str) -> str:
    """A sentence in which commands stand between backticks."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", _text(text))


def _text(text: str) -> str:
    """Escape a text; control characters, which no page may hold, become a sign that shows."""
    return escape("".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in text))

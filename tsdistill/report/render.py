"""The report's tables drawn: on the terminal and in Markdown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tsdistill.report.cells import MARKS, Cell, Table
from tsdistill.report.names import broken

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

NARROWEST_NAME = 24
"""The first column is broken into lines, of no fewer signs, to keep a table in one piece."""

LEAST_HEAD = 12
"""A longer heading is broken at its joints into lines as wide as its column, or of so many signs."""
HUGE = 1e5

_MARKDOWN_ESCAPES = {sign: "\\" + sign for sign in "\\`*_[]|~"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def number(value: float, digits: int, *, leading_zero: bool = True) -> str:
    """A number as the tables show it; a huge one, such as the KL of a run that diverged, in powers of ten.

    What rounds to zero has no sign.
    """
    text = f"{round(value, digits) + 0.0:.{digits}f}" if abs(value) < HUGE or not digits else f"{value:.2e}"
    return text if leading_zero else text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def to_terminal(table: Table, console: "Console") -> None:
    """Print a table, its columns in as many pieces as the terminal's width asks for."""
    from rich.text import Text

    lines = [*table.rows, *table.footer]
    texts = [[_plain(cell) for cell in line] for line in lines]
    widths = [max((len(line[at]) for line in texts), default=0) for at in range(len(table.columns))]
    console.print(Text(table.title, style="bold"))
    words = all(table.word_columns())
    pieces = [list(range(len(widths)))] if words else _pieces(table.columns, widths, console.width)
    for columns in pieces:
        console.print(_rich_table(table, texts, columns))
    for note in table.notes:
        console.print(Text(note, style="dim"))
    console.print()


def _rich_table(table: Table, texts: list[list[str]], columns: Sequence[int]) -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    text_columns = table.word_columns()
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for at in columns:
        justify: Literal["left", "right"] = "left" if text_columns[at] else "right"
        widest = max([LEAST_HEAD, *(len(line[at]) for line in texts)])
        name = table.columns[at] if at == 0 else "\n".join(broken(table.columns[at], widest))
        drawn.add_column(Text(name), justify=justify, overflow="fold")
    styles = {0: "", 1: "bold", 2: "underline"}
    lines = [*table.rows, *table.footer]
    for index, line in enumerate(lines):
        if index == len(table.rows) and index:
            drawn.add_section()
        drawn.add_row(*[Text(texts[index][at], style=styles[line[at].place]) for at in columns])
    return drawn


def _pieces(columns: Sequence[str], widths: Sequence[int], width: int) -> list[list[int]]:
    rest = sum(
        max(wide, min(len(name), LEAST_HEAD)) + 2 for wide, name in zip(widths[1:], columns[1:], strict=True)
    )
    spare = width - rest - 2
    most = spare if spare >= NARROWEST_NAME else width // 2
    first = min(max(widths[0], len(columns[0])), most) + 2
    pieces: list[list[int]] = [[0]]
    used = first
    for at in range(1, len(columns)):
        needed = max(widths[at], min(len(columns[at]), LEAST_HEAD)) + 2
        if used + needed > width and len(pieces[-1]) > 1:
            pieces.append([0])
            used = first
        pieces[-1].append(at)
        used += needed
    return pieces


def _plain(cell: Cell) -> str:
    if cell.mean is None:
        return cell.text + _signs(cell)
    text = number(cell.mean, cell.digits, leading_zero=False)
    if cell.std is not None:
        text += "±" + number(cell.std, cell.digits, leading_zero=False)
    return text + _signs(cell)


def _signs(cell: Cell) -> str:
    return "".join(MARKS[mark][0] for mark in cell.marks)


def to_markdown(table: Table) -> str:
    """A table as GitHub's Markdown: best bold, second in italics, deviations after ±."""
    text_columns = table.word_columns()
    lines = [f"### {markdown_text(table.title)}", ""]
    lines.append("| " + " | ".join(markdown_text(name) for name in table.columns) + " |")
    lines.append("|" + "|".join("---" if left else "--:" for left in text_columns) + "|")
    for row in [*table.rows, *table.footer]:
        lines.append("| " + " | ".join(_markdown_cell(cell) for cell in row) + " |")
    lines += [line for note in table.notes for line in ("", markdown_text(note))]
    return "\n".join(lines) + "\n"


def _markdown_cell(cell: Cell) -> str:
    if cell.mean is None:
        return markdown_text(cell.text)
    text = number(cell.mean, cell.digits)
    text = {0: text, 1: f"**{text}**", 2: f"*{text}*"}[cell.place]
    if cell.std is not None:
        text += f" ± {number(cell.std, cell.digits)}"
    return text + markdown_text(_signs(cell))


def markdown_text(text: str) -> str:
    """A user's text, its signs no markup."""
    return "".join(_MARKDOWN_ESCAPES.get(sign, sign) for sign in " ".join(text.split()))


def markdown_sentence(text: str) -> str:
    """A sentence in which commands stand between backticks."""
    pieces = text.replace("\n", " ").split("`")
    if len(pieces) % 2 == 0:
        return markdown_text(text)
    return "".join(f"`{piece}`" if at % 2 else _markdown_piece(piece) for at, piece in enumerate(pieces))


def _markdown_piece(text: str) -> str:
    return "".join(_MARKDOWN_ESCAPES.get(sign, sign) for sign in text)

"""The report's tables as LaTeX floats, each no wider than a column of a two-column paper.

They need the packages booktabs, siunitx (which loads array) and graphicx.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tsdistill.report.cells import MARKS, Cell, Table
from tsdistill.report.names import broken
from tsdistill.report.render import number

PREAMBLE = r"\usepackage{booktabs,siunitx,graphicx}"
COLUMN = 238.0
"""Points: a little less than a column of ACM's two-column class, the narrowest of the usual ones (241 pt)."""
MOST_LINES = 46
"""Lines of one float: more do not fit on a page."""
MOST_POINTS = 108.0
"""Words that are wider are set in several lines."""

_POINTS = 4.3  # of a digit in \footnotesize; a letter is narrower on average
_SMALL_POINTS = 3.7  # of a digit in \scriptsize
_GAP = 6.0  # between two columns
_SHORTEST_HEAD = 9
_LONGEST_WORD = 14
_MARKS = {
    "†": r"\dagger",
    "‡": r"\ddagger",
    "°": r"\circ",
    "‖": r"\parallel",
    "§": r"\S",
    "¶": r"\P",
    "*": "*",
}
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "→": r"$\rightarrow$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"${sign}$" for sign in "<>|"},  # other signs in the oldest font encoding
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    **{sign: f"{{{sign}}}" for sign in "[*"},  # else part of a line's end before them
    **{sign: f"$^{{{command}}}$" for sign, command in _MARKS.items() if sign != "*"},
}
_SHRINK = r"\resizebox{\ifdim\width>\columnwidth\columnwidth\else\width\fi}{!}{%"


@dataclass(frozen=True)
class _Column:
    """How a column is set.

    Attributes:
        layout: its letter or words in ``tabular``.
        width: in points, as estimated.
        head: lines of its heading.
        numbers: whether siunitx aligns it, so that words in it stand in braces.
        lines: of each of its cells.
    """

    layout: str
    width: float
    head: Sequence[str]
    numbers: bool
    lines: Sequence[int]


def to_latex(table: Table) -> str:
    r"""A table as one or more floats: best bold, second underlined, marks raised.

    What is wider than a column of a two-column paper is turned, where that makes it fit, or else broken into
    parts below one another, each with the first column; what is longer than a page is continued in the next
    float. Widths are estimated; a part that turns out wider is shrunk to the column.
    """
    table = _turned_if_narrower(table)
    columns = [_column(table, at) for at in range(len(table.columns))]
    pieces = _pieces([column.width for column in columns], _naming(table, columns))
    blocks = [
        _block(table, columns, piece, chunk)
        for chunk in _chunks(columns, len(table.rows), len(table.footer))
        for piece in pieces
    ]
    floats = _floats(blocks)
    parts = [
        _float(table, inside, first=at == 0, last=at == len(floats) - 1) for at, inside in enumerate(floats)
    ]
    return "\n".join(parts)


def _turned_if_narrower(table: Table) -> Table:
    """The table with its rows as columns, where only then all of it fits abreast."""
    other = _turned(table)
    wide, turned = _width(table), _width(other)
    return other if wide > COLUMN >= turned else table


def _turned(table: Table) -> Table:
    lines = [*table.rows, *table.footer]
    return replace(
        table,
        columns=("", *(line[0].text for line in lines)),
        rows=[
            [Cell(text=name), *(line[at] for line in lines)]
            for at, name in enumerate(table.columns)
            if at > 0
        ],
        footer=[],
    )


def _width(table: Table) -> float:
    return sum(_column(table, at).width + _GAP for at in range(len(table.columns)))


def _column(table: Table, at: int) -> _Column:
    cells = [line[at] for line in [*table.rows, *table.footer]]
    widest = max((_points(cell) for cell in cells), default=0.0)
    if at == 0 or all(cell.mean is None for cell in cells):
        width = max(widest, _POINTS * len(table.columns[at]))
        if width <= MOST_POINTS:
            return _Column("l", width, [table.columns[at]], False, [1] * len(cells))
        head = broken(table.columns[at], int(MOST_POINTS / _POINTS))
        lines = [_lines(cell.text) for cell in cells]
        layout = rf">{{\raggedright\arraybackslash}}p{{{MOST_POINTS:.0f}pt}}"
        return _Column(layout, MOST_POINTS, head, False, lines)
    head = broken(table.columns[at], max(_SHORTEST_HEAD, int(widest / _POINTS)))
    width = max(widest, _POINTS * max(map(len, head)))
    layout = _aligned(cells)
    return _Column(layout or "r", width, head, bool(layout), [1] * len(cells))


def _lines(text: str) -> int:
    """How many lines a text takes in a column of ``MOST_POINTS``."""
    count, used = 1, 0.0
    for word in text.split():
        for piece in broken(word, _LONGEST_WORD):
            if used and used + _POINTS * len(piece) > MOST_POINTS:
                count, used = count + 1, 0.0
            used += _POINTS * len(piece)
        used += _POINTS
    return count


def _aligned(cells: Sequence[Cell]) -> str:
    """Siunitx's layout of a column of plain numbers; nothing where more than a number stands in a cell."""
    plain = [cell for cell in cells if cell.mean is not None]
    texts = [number(cell.mean, cell.digits) for cell in plain if cell.mean is not None]
    more = any(cell.std is not None or cell.place or cell.marks for cell in plain)
    if more or any("e" in text for text in texts):
        return ""
    whole = max(len(text.lstrip("-").partition(".")[0]) for text in texts)
    decimals = max(len(text.partition(".")[2]) for text in texts)
    sign = "-" if any(text.startswith("-") for text in texts) else ""
    return f"S[mode=text,table-format={sign}{whole}.{decimals}]"


def _points(cell: Cell) -> float:
    """About how wide a cell is."""
    signs = _SMALL_POINTS * len(cell.marks)
    if cell.mean is None:
        return _POINTS * len(cell.text) + signs
    width = _POINTS * len(number(cell.mean, cell.digits)) + signs
    return width if cell.std is None else width + 10 + _SMALL_POINTS * len(number(cell.std, cell.digits))


def _naming(table: Table, columns: Sequence[_Column]) -> int:
    """How many of the first columns name the rows and stand in every part: words, up to half its width."""
    words, used = table.word_columns(), columns[0].width + _GAP
    for at in range(1, len(columns)):
        used += columns[at].width + _GAP
        if not words[at] or used > COLUMN / 2:
            return at
    return 1


def _pieces(widths: Sequence[float], naming: int) -> list[list[int]]:
    """Columns by part: as few parts as can be, alike in size, the naming columns in each."""
    needed = len(_filled(widths, naming, len(widths)))
    return _filled(widths, naming, -(-(len(widths) - naming) // needed))


def _filled(widths: Sequence[float], naming: int, most: int) -> list[list[int]]:
    names = list(range(naming))
    start = sum(widths[at] + _GAP for at in names)
    pieces, used = [[*names]], start
    for at in range(naming, len(widths)):
        count = len(pieces[-1]) - naming
        if count == most or (count and used + widths[at] + _GAP > COLUMN):
            pieces.append([*names])
            used = start
        pieces[-1].append(at)
        used += widths[at] + _GAP
    return pieces


def _chunks(columns: Sequence[_Column], rows: int, footers: int) -> list[range]:
    """Rows, the footer's after the others, in parts that fit on a page."""
    heights = [max(column.lines[row] for column in columns) for row in range(rows + footers)]
    room = MOST_LINES - max(len(column.head) for column in columns) - 1
    chunks, start, used = [], 0, 0
    for row, height in enumerate(heights):
        if used + height > room and row > start:
            chunks.append(range(start, row))
            start, used = row, 0
        used += height
    return [*chunks, range(start, rows + footers)]


@dataclass(frozen=True)
class _Block:
    text: str
    lines: int


def _block(table: Table, columns: Sequence[_Column], piece: Sequence[int], chunk: range) -> _Block:
    lines = [*table.rows, *table.footer]
    shown = [columns[at] for at in piece]
    text = [
        _SHRINK,
        rf"\begin{{tabular}}{{{''.join(column.layout for column in shown)}}}",
        r"\toprule",
        _row([_head(column) for column in shown]),
        r"\midrule",
    ]
    for row in chunk:
        if row == len(table.rows) and row > chunk.start:
            text.append(r"\midrule")
        text.append(_row([_cell(lines[row][at], columns[at]) for at in piece]))
    height = sum(max(column.lines[row] for column in columns) for row in chunk)
    text += [r"\bottomrule", r"\end{tabular}}"]
    return _Block("\n".join(text), height + max(len(column.head) for column in shown) + 1)


def _floats(blocks: Sequence[_Block]) -> list[list[str]]:
    """The blocks by float: as many as fit on a page."""
    floats: list[list[str]] = [[]]
    used = 0
    for block in blocks:
        if floats[-1] and used + block.lines > MOST_LINES:
            floats.append([])
            used = 0
        floats[-1].append(block.text)
        used += block.lines
    return floats


def _float(table: Table, blocks: Sequence[str], *, first: bool, last: bool) -> str:
    title = _text(table.title if first else f"{table.title} (continued)", breakable=True)
    lines = [r"\begin{table}", r"\centering\sloppy", rf"\caption{{{title}.}}"]
    if first:
        lines.append(rf"\label{{tab:{''.join(sign if sign.isalnum() else '-' for sign in table.key)}}}")
    lines += [r"\footnotesize\setlength{\tabcolsep}{3pt}", "\n\n\\medskip\n".join(blocks)]
    if last and table.notes:
        notes = " ".join(_text(note, breakable=True) for note in table.notes)
        lines += ["", r"\smallskip", rf"\parbox{{\columnwidth}}{{\scriptsize\raggedright {notes}}}"]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _row(cells: Iterator[str] | Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _head(column: _Column) -> str:
    text, side = r"\\".join(map(_text, column.head)), "l" if column.layout[0] in "l>" else "r"
    text = text if len(column.head) == 1 else rf"\shortstack[{side}]{{{text}}}"
    return f"{{{text}}}" if column.numbers else text


def _cell(cell: Cell, column: _Column) -> str:
    signs = "".join(_MARKS[MARKS[mark][0]] for mark in cell.marks)
    raised = f"$^{{{signs}}}$" if signs else ""
    if cell.mean is None:
        text = "--" if cell.text == "-" else _text(cell.text, breakable=column.layout != "l")
        return f"{{{text}{raised}}}" if column.numbers else text + raised
    if column.numbers:
        return number(cell.mean, cell.digits)
    text = _number(cell.mean, cell.digits)
    text = {0: text, 1: rf"\textbf{{{text}}}", 2: rf"\underline{{{text}}}"}[cell.place]
    if cell.std is not None:
        text += rf"\,{{\scriptsize$\pm$\,{_number(cell.std, cell.digits)}}}"
    return text + raised


def _number(value: float, digits: int) -> str:
    """A number with a true minus sign and powers of ten."""
    mantissa, _, power = number(value, digits).partition("e")
    text = mantissa.replace("-", "$-$")
    return rf"{text}$\times10^{{{int(power)}}}$" if power else text


def _text(text: str, breakable: bool = False) -> str:
    """A user's text; where it may be broken, long words have breaks at their joints."""
    words = (
        map(partial(broken, width=_LONGEST_WORD), text.split()) if breakable else ([w] for w in text.split())
    )
    return " ".join(r"\allowbreak{}".join(map(_escaped, pieces)) for pieces in words)


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(sign, sign) for sign in text)

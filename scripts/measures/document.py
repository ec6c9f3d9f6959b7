"""The marked sections of a document that commands fill."""

from collections.abc import Iterable, Sequence
from pathlib import Path


def put(path: Path, section: str, text: str) -> None:
    """Put text between the lines ``<!-- section -->`` and ``<!-- end of section -->``.

    Raises:
        SystemExit: the document lacks them.
    """
    begin, end = f"<!-- {section} -->", f"<!-- end of {section} -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{path} lacks the lines {begin} and {end}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = (heads, ["---"] * len(heads), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

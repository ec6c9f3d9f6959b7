"""Names of files, and long names in several lines."""

import re
from collections.abc import Collection, Iterator
from itertools import count, zip_longest

JOINTS = " _-,=./"


def broken(name: str, width: int) -> list[str]:
    """Break a name after its joints, so that no line is longer than a width.

    Args:
        name: any text.
        width: characters; a piece without joints that is longer is cut.

    Returns:
        At least one line.
    """
    lines, line = [], ""
    for piece in _pieces(name):
        if line and len(line) + len(piece.rstrip()) > width:
            lines.append(line)
            line = ""
        while len(piece.rstrip()) > width:
            lines.append(piece[:width])
            piece = piece[width:]
        line += piece
    return [each.strip() for each in [*lines, line] if each.strip()] or [""]


def file_name(name: str, taken: Collection[str] = ()) -> str:
    """A file's name, without its ending, that neither LaTeX nor a shell needs quoted.

    Args:
        name: any text.
        taken: file names that are in use.

    Returns:
        Letters, digits, ``_`` and ``-`` only; a number follows where the name is taken.
    """
    plain = re.sub(r"[^\w-]", "_", name, flags=re.ASCII)
    numbered = (f"{plain}-{number}" for number in count(2))
    return plain if plain not in taken else next(each for each in numbered if each not in taken)


def _pieces(name: str) -> Iterator[str]:
    """The name in pieces, each up to a joint: a sign of punctuation, or the end of a small letter's run."""
    piece = ""
    for sign, after in zip_longest(name, name[1:], fillvalue=""):
        piece += sign
        if sign in JOINTS or (sign.islower() and after.isupper()):
            yield piece
            piece = ""
    yield piece

"""Error messages for users: one or two lines, never a traceback."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches

__neutral__ = "messages alone"


class TsdistillError(Exception):
    """A mistake that the user can mend.

    The message says what is wrong, where, and what to do, in one or two lines. The command line prints it
    and exits with status 2; a traceback is shown only with ``debug=true``.
    """


class DamagedError(TsdistillError):
    """A check of what is stored found damage; the command line exits with status 1."""


MOST_MEANT = 3
"""Names of which an abbreviation may be one; more are left out."""


def nearest(name: str, choices: Iterable[str], deeper: Iterable[str] = ()) -> str:
    """Say which valid name was meant by an abbreviation or a misspelt name.

    Args:
        name: what the user wrote.
        choices: the valid names.
        deeper: names that may be abbreviated too, but are no choices to be listed.

    Returns:
        ``"did you mean 'tsd'?"``, or the list of choices where none is near, or ``""`` where there are none.
    """
    valid = sorted({str(choice) for choice in choices})
    if meant := _abbreviated(name, {*valid, *deeper}):
        *others, last = [f"'{choice}'" for choice in meant]
        return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
    folded = {choice.lower(): choice for choice in reversed(valid)}
    found = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if found:
        return f"did you mean '{folded[found[0]]}'?"
    if not valid:
        return ""
    shown = ", ".join(valid[:12]) + (", ..." if len(valid) > 12 else "")
    return f"choose from: {shown}"


def _abbreviated(name: str, choices: Iterable[str]) -> list[str]:
    """The names that are the least longer than their abbreviation, such as test.accuracy than test.acc."""
    ranks = {choice: rank for choice in choices if (rank := _rank(name.lower(), choice.lower())) is not None}
    least = min(ranks.values(), default=None)
    found = [choice for choice, rank in ranks.items() if rank == least]
    return sorted(found, key=lambda choice: (len(choice), choice))[:MOST_MEANT]


def _rank(name: str, choice: str) -> tuple[int, int] | None:
    """By how many letters a name's parts are abbreviated, then the number of parts; None if they are not.

    The last part stands for the last one; of those before, some may be left out.
    """
    *words, final = name.split(".")
    *before, last = choice.split(".")
    parts = reversed(before)
    letters = [_missing(final, last)]
    for word in reversed(words):
        letters.append(next((found for part in parts if (found := _missing(word, part)) is not None), None))
    known = [found for found in letters if found is not None]
    return (sum(known), len(before)) if len(known) == len(letters) else None


def _missing(word: str, part: str) -> int | None:
    """Letters that a word lacks of what it begins; 1 if one is the other's initials; None for other words."""
    if part.startswith(word) and len(word) > 1:
        return len(part) - len(word)
    return 1 if word == _initials(part) or part == _initials(word) else None


def _initials(text: str) -> str | None:
    """Those of learning_rate; None for a single word, and for words that are abbreviations themselves."""
    words = text.split("_")
    return "".join(word[0] for word in words) if len(words) > 1 and all(word[3:] for word in words) else None


_CONTROLS = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (
        *(code for code in range(0x20) if chr(code) not in "\t\n"),
        *range(0x7F, 0xA0),
        *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
    )
}
_JSON_CONTROLS = {code: f"\\u{code:04x}" for code in _CONTROLS}


def visible(text: str) -> str:
    """Write control characters out in hexadecimal: a name from elsewhere must not command a terminal.

    Those that turn the direction of writing are among them; the tab and the end of a line stay.
    """
    return text.translate(_CONTROLS)


def visible_json(text: str) -> str:
    """Write the control characters in a JSON text as JSON escapes, so that it reads back the same."""
    return text.translate(_JSON_CONTROLS)


UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of the system's that mean that a file cannot be written."""


def advice_on(error: OSError) -> str:
    """Say what to do about a file that the system would not write."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return f"{'free some space' if full else 'check the permissions'} or choose another output folder"


def one_line(error: BaseException) -> str:
    """Say in one or two lines what went wrong; the system's own errors name the file."""
    if isinstance(error, TsdistillError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        advice = f"; {advice_on(error)}" if error.errno in UNWRITABLE else ""
        return f"{error.filename or 'a file'}: {error.strerror}{advice}"
    if isinstance(error, MemoryError):
        return f"there is not enough memory{f' ({error})' if str(error) else ''}"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"

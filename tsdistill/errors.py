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


def nearest(name: str, choices: Iterable[str]) -> str:
    """Say which valid name a misspelt one most resembles.

    Args:
        name: what the user wrote.
        choices: the valid names.

    Returns:
        ``"did you mean 'tsd'?"``, or the list of choices where none is near, or ``""`` where there are none.
    """
    valid = sorted({str(choice) for choice in choices})
    folded = {choice.lower(): choice for choice in reversed(valid)}
    found = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if found:
        return f"did you mean '{folded[found[0]]}'?"
    if not valid:
        return ""
    shown = ", ".join(valid[:12]) + (", ..." if len(valid) > 12 else "")
    return f"choose from: {shown}"


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

"""Names in the order a reader expects: numbers within them by size."""

import re

_NUMBER = re.compile(r"((?<==)-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|\d+(?:\.\d+)?)")


def natural(text: str) -> tuple[str | float, ...]:
    """A key for sorting: ``w=5`` before ``w=10``, ``Set2`` before ``Set10``.

    Args:
        text: any name.

    Returns:
        Texts and numbers in turn, so that two keys can always be compared.
    """
    return tuple(float(piece) if at % 2 else piece for at, piece in enumerate(_NUMBER.split(text)))

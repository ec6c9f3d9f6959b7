"""Say so before code is compiled that takes a while."""

from functools import cache
from pathlib import Path
from typing import Any

from tsdistill.console import say


@cache
def announce(compiled: Any, what: str) -> None:
    """Say what is about to be compiled, unless it is kept from an earlier time; once per process.

    Args:
        compiled: the last function of its file that will be compiled, made by ``numba.njit(cache=True)``.
        what: it does, for people.
    """
    source = Path(compiled.py_func.__code__.co_filename)
    kept = Path(compiled.stats.cache_path).glob(f"{source.stem}.{compiled.py_func.__name__}-*.nbi")
    if not any(index.stat().st_mtime >= source.stat().st_mtime for index in kept):
        say(f"compiling {what}; the code is kept for the next time")

"""The share of a sweep that one of several machines runs: every Nth job."""

import re
from collections.abc import Sequence
from typing import TypeVar

from tsdistill.errors import TsdistillError

T = TypeVar("T")


def share_of(jobs: Sequence[T], share: str | None) -> Sequence[T]:
    """The jobs that are this command's: of ``2/5`` the second, the seventh, and so on.

    Neighbours in a sweep differ in method or seed, so all shares take about as long.

    Args:
        jobs: all jobs of the sweep.
        share: which of how many shares, counted from 1; None for all.

    Raises:
        TsdistillError: the share is none.
    """
    if share is None:
        return jobs
    read = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", share)
    which, count = (int(number) for number in read.groups()) if read else (0, 0)
    if not 1 <= which <= count:
        raise TsdistillError(f"share={share} should be a share of how many, such as 1/20, ..., 20/20")
    return jobs[which - 1 :: count]

"""The share of a sweep that one of several machines runs: one of every N jobs."""

import re
from collections.abc import Sequence
from typing import TypeVar

from tsdistill.errors import TsdistillError

T = TypeVar("T")


def share_of(jobs: Sequence[T], share: str | None) -> Sequence[T]:
    """The jobs that are this command's: with ``2/5`` one of the first five, one of the next five, and so on.

    Its place moves by one each time. At a fixed place, five shares of a sweep over five data sets would get
    one data set each, and the share with the largest would end last.

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
    return [job for at, job in enumerate(jobs) if (at + at // count) % count == which - 1]

"""What has become of a run."""

from dataclasses import dataclass
from typing import Literal

from tsdistill.store.locks import Holder

What = Literal["done", "running", "failed", "missing", "unknown"]


@dataclass(frozen=True)
class State:
    """What has become of a run.

    Attributes:
        dataset, method, student, seed, trial: which run it is.
        what: done, running, failed, missing, or unknown where no lock can be tried.
        why: why it failed, or why it can't be run.
        holder: who is at it.
    """

    dataset: str
    method: str
    student: str
    seed: int
    trial: int
    what: What
    why: str | None = None
    holder: Holder | None = None

    @property
    def name(self) -> str:
        """What stands beside the data set in a table."""
        return self.method

    @property
    def title(self) -> str:
        """The run in a few words."""
        trial = f" trial {self.trial}" if self.trial else ""
        return f"{self.dataset} {self.method} {self.student} seed {self.seed}{trial}"

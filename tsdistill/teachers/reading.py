"""What a classifier's answers are, and the logits that they stand for."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Answers = NDArray[np.float64]
Form = Literal["votes", "probabilities", "scores"]
FORMS: tuple[Form, ...] = ("votes", "probabilities", "scores")

LEAST = 1e-6
"""Probabilities below this are raised to it before the logarithm."""


@dataclass(frozen=True)
class Reading:
    """How the answers of one classifier are read.

    Attributes:
        form: ``votes`` are shares of ``voters`` votes; ``scores`` are those of a decision function.
        voters: how many vote; 0 where none do.
        temperature: by which scores are divided.
    """

    form: Form
    voters: int = 0
    temperature: float = 1.0

    @property
    def told(self) -> str:
        """In words."""
        if self.form == "scores":
            return f"decision scores, divided by the temperature {self.temperature:.3g}"
        return f"shares of {self.voters} votes, smoothed" if self.form == "votes" else "probabilities"

    def logits(self, answers: Answers) -> tuple[Answers, int]:
        """Turn answers into logits.

        Votes n_k of n become log((n_k + 1/2) / (n + K/2)), which is finite where nobody voted (Krichevsky and
        Trofimov, 1981). Probabilities become their logarithms, those below ``LEAST`` being raised to it.

        Args:
            answers: (N, K).

        Returns:
            Logits (N, K), and in how many rows a probability was raised.
        """
        if self.form == "scores":
            return answers / self.temperature, 0
        if self.form == "votes":
            K = answers.shape[1]
            smoothed = (answers * self.voters + 0.5) / (self.voters + K / 2)
            return np.log(smoothed), 0
        raised = int((answers < LEAST).any(axis=1).sum())
        return np.log(np.maximum(answers, LEAST)), raised


def fitted_temperature(scores: Answers, y: NDArray[np.int64]) -> float:
    """The temperature under which decision scores explain labels best.

    A series of a class with n of them counts as (n + 1) / (n + K) of its class and as 1 / (n + K) of each
    other, so that scores which are all right do not end in certainty (the targets of Platt, 1999).

    Args:
        scores: of series that the classifier has not seen, (N, K).
        y: their classes, (N,).

    Returns:
        The temperature with the lowest cross-entropy between these targets and softmax(scores / temperature),
        from 1e-3 to 1e3 times the scores' standard deviation; 1 where N is 0.
    """
    if not len(y):
        return 1.0
    spread = float(np.std(scores)) or 1.0
    K = scores.shape[1]
    total = np.bincount(y, minlength=K)[y] + K
    targets = np.repeat(1 / total[:, None], K, axis=1)
    targets[np.arange(len(y)), y] += 1 - K / total

    def cross_entropy(log_temperature: float) -> float:
        log_p = log_softmax(scores / (spread * np.exp(log_temperature)), axis=1)
        return float(-(targets * log_p).sum(axis=1).mean())

    edge = np.log(1e3)
    return spread * float(np.exp(minimize_scalar(cross_entropy, bounds=(-edge, edge), method="bounded").x))


def voters_of(model: Any) -> int:
    """How many members of a fitted classifier vote: its estimators or its neighbours; 0 if it has none."""
    members = getattr(model, "estimators_", None)
    if members is not None:
        return len(members)
    return int(getattr(model, "n_neighbors", 0) or 0)


def are_votes(answers: Answers, voters: int) -> bool:
    """Whether answers (N, K) are shares of so many votes, or reach the 0 and 1 that boosted sums never do."""
    votes = answers * voters
    return bool(np.allclose(votes, votes.round(), atol=1e-6) or np.isin(answers, (0.0, 1.0)).any())


def sums_to_one(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows of (N, K) are probabilities."""
    found: NDArray[np.bool_] = (values >= 0).all(axis=1) & (np.abs(values.sum(axis=1) - 1) < 1e-3)
    return found


def is_one_hot(answers: Answers) -> bool:
    """Whether each answer is one class with certainty."""
    return bool(np.isin(answers, (0.0, 1.0)).all())


def two_columns(scores: NDArray[Any]) -> Answers:
    """Scores of a decision function as (N, K): one score for two classes, (N,), becomes (-s, s)."""
    found = np.asarray(scores, dtype=np.float64)
    return np.stack([-found, found], axis=1) if found.ndim == 1 else found

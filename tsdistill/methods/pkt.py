"""Probabilistic knowledge transfer (Passalis and Tefas 2018, arXiv 1803.10837)."""

from torch import Tensor

from tsdistill.methods.pairs import PooledPair, unit
from tsdistill.methods.step import Step

_EPS = 1e-7


def pkt_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence of the conditional probabilities of neighbours, by cosine similarity (equations 3-6).

    Args:
        student: vectors, (B, F), with gradient.
        teacher: vectors, (B, G).

    Returns:
        Scalar: t log(t / s), the mean over all B^2 pairs. A row's probabilities sum to 1.
    """
    s, t = _neighbours(student), _neighbours(teacher.detach())
    return (t * ((t + _EPS) / (s + _EPS)).log()).mean()


def _neighbours(rows: Tensor) -> Tensor:
    """(cosine + 1) / 2 of all pairs, each row divided by its sum, (B, B)."""
    directions = unit(rows)
    similar = (directions @ directions.T + 1) / 2
    return similar / similar.sum(dim=1, keepdim=True)


class ProbabilisticTransfer(PooledPair):
    """``pkt_loss`` of a batch; the arguments are those of ``PooledPair``."""

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        return pkt_loss(*self.vectors(step))

"""How well a student stands in for its own teacher."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Labels = NDArray[np.int64]

METRICS = ("agreement", "kl", "js", "negative_flips", "error_agreement")
"""The keys of :func:`substitution`."""

HIGHER_IS_BETTER = {
    "agreement": True,
    "kl": False,
    "js": False,
    "negative_flips": False,
    "error_agreement": True,
}
"""Whether a larger value of each metric is the better one."""


def substitution(student_logits: Array, teacher_logits: Array, y: Labels) -> dict[str, float]:
    """Compare a student's answers with its teacher's, in float64.

    Agreement is confounded with accuracy (Stanton et al. 2021): read it beside a plain student's and a
    re-seeded teacher's.

    - ``agreement``: share of the series with the same predicted class;
    - ``kl``: mean KL(teacher || student) at temperature 1, in nats;
    - ``js``: mean Jensen-Shannon divergence, in nats, 0 to log 2;
    - ``negative_flips``: share of ALL series on which the teacher is right and the student wrong (Yan et
      al. 2021, eq. 1);
    - ``error_agreement``: share of the teacher's errors on which the student gives the same wrong class;
      NaN where the teacher makes none.

    Args:
        student_logits: (N, K), any real dtype.
        teacher_logits: (N, K).
        y: class indices, (N,) int64.

    Returns:
        The values by name; every one is NaN where N is 0 or a logit is not finite.
    """
    student_logits = np.asarray(student_logits, dtype=np.float64)
    teacher_logits = np.asarray(teacher_logits, dtype=np.float64)
    if len(y) == 0 or not (np.isfinite(student_logits).all() and np.isfinite(teacher_logits).all()):
        return dict.fromkeys(METRICS, float("nan"))
    student, teacher = student_logits.argmax(axis=1), teacher_logits.argmax(axis=1)
    same, wrong = student == teacher, teacher != y
    return {
        "agreement": float(same.mean()),
        "kl": float(divergence(teacher_logits, student_logits).mean()),
        "js": float(jensen_shannon(teacher_logits, student_logits).mean()),
        "negative_flips": float((~wrong & (student != y)).mean()),
        "error_agreement": float(same[wrong].mean()) if wrong.any() else float("nan"),
    }


def divergence(logits_p: Array, logits_q: Array) -> Array:
    """KL(p || q) of the softmaxes of two sets of logits.

    Args:
        logits_p: (..., K).
        logits_q: (..., K).

    Returns:
        The divergences in nats, (...) float64.
    """
    return _kl(_log_softmax(logits_p), _log_softmax(logits_q))


def jensen_shannon(logits_p: Array, logits_q: Array) -> Array:
    """Jensen-Shannon divergence of the softmaxes of two sets of logits.

    Args:
        logits_p: (..., K).
        logits_q: (..., K).

    Returns:
        The divergences in nats, (...) float64, from 0 to log 2.
    """
    log_p, log_q = _log_softmax(logits_p), _log_softmax(logits_q)
    log_m = np.logaddexp(log_p, log_q) - np.log(2.0)
    return (_kl(log_p, log_m) + _kl(log_q, log_m)) / 2


def is_collapsed(logits: Array) -> bool:
    """Whether a model has stopped telling series apart: one class for everything, or no finite answer.

    Args:
        logits: (N, K).

    Returns:
        True for a collapsed model; False for fewer than two series with finite logits, which cannot tell.
    """
    logits = np.asarray(logits)
    if not np.isfinite(logits).all():
        return True
    return len(logits) > 1 and len(np.unique(logits.argmax(axis=1))) == 1


def _log_softmax(logits: Array) -> Array:
    from scipy.special import log_softmax  # here, because it takes long to import

    log_p: Array = log_softmax(np.asarray(logits, dtype=np.float64), axis=-1)
    return log_p


def _kl(log_p: Array, log_q: Array) -> Array:
    # Rounding can leave the divergence of equal distributions at -1e-17.
    kl: Array = np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=-1), 0.0)
    return kl

"""How well a classifier's logits answer the labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Labels = NDArray[np.int64]

METRICS = (
    "average_precision",
    "auc_prc",
    "roc_auc",
    "micro_average_precision",
    "accuracy",
    "macro_f1",
    "nll",
    "brier",
    "ece",
)
"""The keys of :func:`performance`, the primary metric first."""

HIGHER_IS_BETTER = {name: name not in ("nll", "brier", "ece") for name in METRICS}
"""Whether a larger value of each metric is the better one."""

ECE_BINS = 15


def performance(logits: Array, y: Labels) -> dict[str, float]:
    """Measure logits against labels, in float64.

    Ranking metrics look at the K one-against-rest columns of the softmax, at K = 2 too. A class without a
    series in ``y`` has neither recall nor a true positive: it is left out of the macro means and counted.

    - ``average_precision``: macro mean of the step-wise area under the precision-recall curve; the primary
      metric, for a constant predictor it is the class's share;
    - ``auc_prc``: the same by trapezoids, which flatter a constant predictor (.75 at K = 2);
    - ``roc_auc``: macro mean; NaN where ``y`` holds one class only;
    - ``micro_average_precision``: step-wise, over all N K pairs at once, absent classes as negatives;
    - ``accuracy``, ``macro_f1`` (0 for a class that is present and never predicted);
    - ``nll``: mean negative log-likelihood in nats;
    - ``brier``: mean over series of the sum over classes of squared errors, 0 to 2 (Brier 1950, eq. 2);
    - ``ece``: expected calibration error of the predicted class in 15 equal bins (Guo et al. 2017, eq. 3);
      too noisy to be used below about 300 series;
    - ``classes_absent``: number of classes without a series in ``y``.

    Args:
        logits: (N, K), any real dtype.
        y: class indices in 0..K-1, (N,) int64.

    Returns:
        The values by name. Every metric is NaN where N is 0 or a logit is not finite.
    """
    logits = np.asarray(logits, dtype=np.float64)
    K = logits.shape[1]
    present = np.unique(y)
    absent = {"classes_absent": float(K - len(present))}
    if len(y) == 0 or not np.isfinite(logits).all():
        return dict.fromkeys(METRICS, float("nan")) | absent
    log_p = _log_softmax(logits)
    p = np.exp(log_p)
    truth = np.eye(K)[y]
    return {
        **_ranking(truth, p, present),
        **_decisions(logits.argmax(axis=1), y, present),
        "nll": float(-log_p[np.arange(len(y)), y].mean()),
        "brier": float(((p - truth) ** 2).sum(axis=1).mean()),
        "ece": expected_calibration_error(p, y),
        **absent,
    }


def expected_calibration_error(p: Array, y: Labels, bins: int = ECE_BINS) -> float:
    """Expected calibration error of the predicted class (Guo et al. 2017, eq. 3).

    Args:
        p: probabilities, (N, K).
        y: class indices, (N,) int64.
        bins: number of equal-width bins (lo, hi] of the predicted class's probability.

    Returns:
        Mean distance between a bin's accuracy and its confidence, weighted by its share of the series.
    """
    count, confidence, correct = reliability(p, y, bins)
    return float(np.abs(correct - confidence).sum() / count.sum())


def reliability(p: Array, y: Labels, bins: int = ECE_BINS) -> tuple[Array, Array, Array]:
    """Sort predictions into bins of confidence, for the calibration error and its diagram.

    Args:
        p: probabilities, (N, K).
        y: class indices, (N,) int64.
        bins: number of equal-width bins (lo, hi].

    Returns:
        For each bin the number of series, the sum of their confidences and the number of right answers,
        each (bins,) float64.
    """
    top = p.max(axis=1)
    right = p.argmax(axis=1) == y
    index = np.clip(np.ceil(top * bins).astype(np.int64) - 1, 0, bins - 1)
    count, confidence, correct = (
        np.bincount(index, weights=weights, minlength=bins) for weights in (np.ones_like(top), top, right)
    )
    return count, confidence, correct


def _log_softmax(logits: Array) -> Array:
    """Log-probabilities of logits (N, K), the same to the last bit however the classes are ordered.

    A sum in the order of the classes would break ties between series by its rounding, and the ranking
    metrics with them.
    """
    from scipy.special import logsumexp  # here, because it takes long to import

    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p: Array = shifted - logsumexp(np.sort(shifted, axis=1), axis=1, keepdims=True)
    return log_p


def _ranking(truth: Array, p: Array, present: Labels) -> dict[str, float]:
    """Average precision, both areas and the micro average of one-against-rest columns, (N, K) each."""
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

    steps, trapezoids, roc = [], [], []
    for k in present:
        steps.append(average_precision_score(truth[:, k], p[:, k]))
        precision, recall, _ = precision_recall_curve(truth[:, k], p[:, k])
        trapezoids.append(auc(recall, precision))
        roc.append(roc_auc_score(truth[:, k], p[:, k]) if len(present) > 1 else float("nan"))
    return {
        "average_precision": float(np.mean(steps)),
        "auc_prc": float(np.mean(trapezoids)),
        "roc_auc": float(np.mean(roc)),
        "micro_average_precision": float(average_precision_score(truth.ravel(), p.ravel())),
    }


def _decisions(predicted: Labels, y: Labels, present: Labels) -> dict[str, float]:
    """Accuracy and macro F1 of predicted classes, (N,) each."""
    from sklearn.metrics import f1_score

    return {
        "accuracy": float((predicted == y).mean()),
        "macro_f1": float(f1_score(y, predicted, labels=present, average="macro", zero_division=0)),
    }

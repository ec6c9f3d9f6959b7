"""The metrics of a report: their titles, and which end of each is good."""

import re
from dataclasses import dataclass

from tsdistill.evaluation import performance, substitution
from tsdistill.report.options import PRIMARY


@dataclass(frozen=True)
class Metric:
    """How a metric is shown, and which end of it is good."""

    title: str
    higher_is_better: bool = True


METRICS = {
    PRIMARY: Metric("AP"),
    "auc_prc": Metric("AUC-PRC"),
    "roc_auc": Metric("ROC-AUC"),
    "accuracy": Metric("Accuracy"),
    "agreement": Metric("Agreement"),
    "kl": Metric("KL", higher_is_better=False),
}
"""The six metrics of the summary, the primary one first."""

_TITLES = {
    "micro_average_precision": "Micro AP",
    "macro_f1": "Macro F1",
    "nll": "NLL",
    "brier": "Brier score",
    "ece": "ECE",
    "js": "JS",
}
_DIRECTIONS = performance.HIGHER_IS_BETTER | substitution.HIGHER_IS_BETTER
_LOWER_IS_BETTER = ("deletion", "undefined", "flat", "classes_absent")
_NOISE = re.compile(r"(.+)_snr(-?\d+(?:\.\d+)?)")


def metric_of(name: str) -> Metric:
    """How a stored metric is shown.

    A metric under noise (``kl_snr10``) has the direction of the clean one. A metric that this package does
    not compute counts as better where it is higher.

    Args:
        name: as in the records' ``test`` block, such as ``macro_f1``.
    """
    if name in METRICS:
        return METRICS[name]
    if noisy := _NOISE.fullmatch(name):
        clean = metric_of(noisy[1])
        return Metric(f"{clean.title} at {noisy[2]} dB", clean.higher_is_better)
    title = _TITLES.get(name, name.replace("_", " ").capitalize())
    lower = any(name.removesuffix("_chance").endswith(each) for each in _LOWER_IS_BETTER)
    return Metric(title, _DIRECTIONS.get(name, not lower))

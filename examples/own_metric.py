"""A metric of your own, from stored runs: the expected calibration error of each method.

PYTHONPATH=examples python examples/own_metric.py tsdistill-out
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

import tsdistill


def calibration_error(logits: NDArray[Any], y: NDArray[Any], bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over bins of confidence (Guo et al. 2017, equation 3)."""
    probabilities = softmax(logits, axis=1)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs((confidence - right)[bin_of == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(y))


def main(out: str) -> None:
    """Print the metric's mean for each dataset and method."""
    runs = tsdistill.load_results(out)
    runs = runs[runs["status"] == "ok"].copy()
    stored = [tsdistill.load_arrays(out, run["dataset"], run["id"]) for _, run in runs.iterrows()]
    runs["calibration_error"] = [calibration_error(found["test"], found["y_test"]) for found in stored]
    print(runs.pivot_table("calibration_error", "dataset", "method").round(3))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "tsdistill-out")

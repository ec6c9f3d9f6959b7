"""What each calibration would make of stored runs that were trained without one (docs/learning.md).

tsdistill distill -m experiment=learning calibration=none out=screening
python scripts/compare_calibration.py screening --part validation
"""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

import tsdistill
from tsdistill.evaluation.performance import performance
from tsdistill.evaluation.substitution import substitution
from tsdistill.training.calibration import fit_affine, one_hot

METRICS = ("average_precision", "accuracy", "agreement", "kl")
RIDGES = (0.01, 0.1)


def refitted(stored: Mapping[str, NDArray[Any]], part: str, target: str, ridge: float) -> NDArray[Any]:
    """A part's logits (N, K) after a fit on the clean training part."""
    if target == "none":
        return stored[part]
    classes = stored["train"].shape[1]
    labels, teacher = one_hot(stored["y_train"], classes), softmax(stored["teacher_train"], axis=1)
    fit = fit_affine(stored["train"], labels if target == "labels" else teacher, ridge=ridge)
    return fit(stored[part].astype(np.float64))


def measured(stored: Mapping[str, NDArray[Any]], part: str, target: str, ridge: float) -> dict[str, float]:
    """Metrics of a part after a fit."""
    logits, y = refitted(stored, part, target, ridge), stored[f"y_{part}"]
    return {**performance(logits, y), **substitution(logits, stored[f"teacher_{part}"], y)}


def main() -> None:
    """Print one row for each method, its settings and each calibration."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out")
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    asked = parser.parse_args()
    runs = tsdistill.load_results(asked.out)
    if "calibration.target" not in runs:  # records from before there was one
        runs["calibration.target"] = "none"
    runs = runs[(runs["status"] == "ok") & (runs["calibration.target"] == "none")]
    own = [c for c in runs if c.startswith("training.") or (c.startswith("method.") and c.count(".") == 1)]
    varied = [c for c in own if runs[c].astype(str).nunique() > 1]
    rows = []
    for _, run in runs.iterrows():
        stored = tsdistill.load_arrays(asked.out, run["dataset"], run["id"])
        name = " ".join([run["method"], *(f"{c.split('.')[1]}={run[c]}" for c in varied if run[c] == run[c])])
        for target, ridge in (("none", 0.0), *((t, r) for t in ("labels", "teacher") for r in RIDGES)):
            found = measured(stored, asked.part, target, ridge)
            rows.append({"method": name, "target": target, "ridge": ridge, **{m: found[m] for m in METRICS}})
    table = pd.DataFrame(rows).groupby(["method", "target", "ridge"])
    print(table[list(METRICS)].mean().assign(runs=table.size()).round(3).to_string())


if __name__ == "__main__":
    main()

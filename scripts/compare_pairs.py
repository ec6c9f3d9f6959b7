"""One method against others over data sets, in every metric (docs/learning.md).

    python scripts/compare_pairs.py tsdistill-out tsd_kd none kd
    python scripts/compare_pairs.py docs/tables/learning-all-sets.csv tsd_kd none kd

The first argument is the output folder of ``tsdistill distill``, or a report's table of every data set.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

import tsdistill

METRICS = {"average_precision": 1, "accuracy": 1, "agreement": 1, "kl": -1}
"""Each metric, and the sign of a better value."""


def main() -> None:
    """Print means, wins, losses, p and p after Holm's correction over the rivals."""
    parser = argparse.ArgumentParser(description="compare one method with others over data sets")
    parser.add_argument("out")
    parser.add_argument("method")
    parser.add_argument("rivals", nargs="+")
    asked = parser.parse_args()
    means = means_by_set(asked.out)
    for metric, sign in METRICS.items():
        table = means[metric].unstack("method")
        table = table[[asked.method, *asked.rivals]].dropna()
        gaps = {rival: sign * (table[asked.method] - table[rival]) for rival in asked.rivals}
        p = {rival: float(wilcoxon(gap).pvalue) for rival, gap in gaps.items()}
        ordered = sorted(p, key=lambda rival: p[rival])
        steps = [p[rival] * (len(ordered) - i) for i, rival in enumerate(ordered)]
        holm = dict(zip(ordered, np.minimum(1.0, np.maximum.accumulate(steps)), strict=True))
        print(f"{metric}: {asked.method} {table[asked.method].mean():.3f} over {len(table)} data sets")
        for rival, gap in gaps.items():
            print(
                f"  {rival} {table[rival].mean():.3f}: {int((gap > 0).sum())} wins, "
                f"{int((gap < 0).sum())} losses, p {p[rival]:.2g}, Holm {holm[rival]:.2g}"
            )


def means_by_set(source: str) -> pd.DataFrame:
    """Means over seeds, a row a data set and method, a column a metric."""
    names = list(METRICS)
    if Path(source).is_dir():
        runs = tsdistill.load_results(source)
        runs = runs[runs["status"] == "ok"].rename(columns={f"test.{name}": name for name in names})
    else:
        runs = pd.read_csv(source)
    return runs.groupby(["dataset", "method"])[names].mean()


if __name__ == "__main__":
    main()

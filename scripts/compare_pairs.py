"""One method against others over data sets, in every metric (the last table of docs/learning.md).

python scripts/compare_pairs.py tsdistill-out tsd_kd none kd
"""

import argparse

import numpy as np
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
    runs = tsdistill.load_results(asked.out)
    for metric, sign in METRICS.items():
        table = runs[runs["status"] == "ok"].pivot_table(f"test.{metric}", "dataset", "method")
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


if __name__ == "__main__":
    main()

"""Methods under a series of settings, each in a folder of its own: a table and a figure (docs/learning.md).

python scripts/compare_changes.py before=out/a calibrated=out/b --write docs/figures/learning-changes
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import tsdistill
from tsdistill.report.figures.looks import looks

METRICS = {"average_precision": "AP", "accuracy": "accuracy", "agreement": "agreement", "kl": "KL"}
SAME = {"tsd_kd_paper": "tsd_kd"}
"""Methods that stand in one row: TSD+KD of before and of now."""


def main() -> None:
    """Print one row for each change and method; ``--write`` saves a CSV and a figure of AP and accuracy."""
    parser = argparse.ArgumentParser(description="compare methods before and after changes of the settings")
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--methods", default="none,kd,tsd,tsd_kd")
    parser.add_argument("--part", default="test", choices=("test", "validation"))
    parser.add_argument("--write", type=Path, metavar="FILE", help="without its ending")
    asked = parser.parse_args()
    methods = asked.methods.split(",")
    named = [each.split("=", 1) for each in asked.folders]
    tables = [summary(Path(folder), methods, asked.part).assign(change=name) for name, folder in named]
    table = pd.concat(tables)[["change", *tables[0].columns.drop("change")]]
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    if asked.write:
        table.to_csv(asked.write.with_suffix(".csv"), index=False, float_format="%.4f")
        draw(table, [name for name, _ in named], asked.write.with_suffix(".png"))


def summary(out: Path, methods: list[str], part: str) -> pd.DataFrame:
    """Means over datasets of the means over seeds, deviations of that mean over seeds, and counts."""
    runs = tsdistill.load_results(out).query("status == 'ok'")
    runs = runs.assign(method=runs["method"].replace(SAME), plateau=["plateau" in f for f in runs["flags"]])
    names = {f"{part}.{metric}": shown for metric, shown in METRICS.items() if f"{part}.{metric}" in runs}
    rows = []
    for method in methods:
        here = runs[runs["method"] == method]
        by_seed = here.groupby("seed")[list(names)].mean()
        row = {"method": method, "runs": len(here), "plateau": int(here["plateau"].sum())}
        for column, shown in names.items():
            row |= {shown: by_seed[column].mean(), f"{shown} sd": by_seed[column].std()}
        rows.append(row | {"seconds": here["timing.train_seconds"].median()})
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, changes: list[str], path: Path) -> None:
    """AP and accuracy of each method from change to change."""
    figure, panels = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
    for axes, metric in zip(panels, ("AP", "accuracy"), strict=True):
        for method, look in looks(list(dict.fromkeys(table["method"]))).items():
            here = table[table["method"] == method].set_index("change").reindex(changes)
            if here["runs"].notna().any():
                axes.errorbar(
                    range(len(changes)),
                    here[metric],
                    here[f"{metric} sd"],
                    color=look.colour,
                    marker=look.marker,
                    linestyle=look.line,
                    label=look.label,
                    capsize=2,
                )
        axes.set_xticks(range(len(changes)), changes, rotation=20, ha="right")
        axes.set_ylabel(metric)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=160, metadata={"Software": None})


if __name__ == "__main__":
    main()

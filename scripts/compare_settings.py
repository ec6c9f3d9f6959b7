"""Settings of a method against its default, paired by dataset and seed (docs/saliency-budget.md).

python scripts/compare_settings.py OUT tsd_kd saliency.perturbations=16 saliency.window=10 training.epochs=300
"""

import argparse

import pandas as pd
from scipy.stats import t

import tsdistill
from tsdistill.errors import nearest

METRICS = {"average_precision": "AP", "accuracy": "accuracy", "agreement": "agreement", "kl": "KL"}
PAIR = ["dataset", "seed"]


def main() -> None:
    """Print each combination of settings: means, and the difference in AP with its 95 % interval."""
    parser = argparse.ArgumentParser(description="compare settings of a method with its default")
    parser.add_argument("out")
    parser.add_argument("method")
    parser.add_argument("default", nargs="+", metavar="SETTING=VALUE")
    parser.add_argument("--part", default="test", choices=("test", "validation"))
    asked = parser.parse_args()
    runs = tsdistill.load_results(asked.out).query("status == 'ok' and method == @asked.method")
    default = {name: _value(told) for name, told in (each.split("=", 1) for each in asked.default)}
    unknown = [name for name in default if name not in runs]
    if unknown:
        raise SystemExit(f"{unknown[0]}: no such setting in {asked.out}; {nearest(unknown[0], list(runs))}")
    groups = {key: group.set_index(PAIR) for key, group in runs.groupby(list(default))}
    base = groups.get(tuple(default.values()))
    if base is None:
        raise SystemExit(f"no run of {asked.method} in {asked.out} has {' '.join(asked.default)}")
    rows = [
        row(dict(zip(default, key, strict=True)), group, base, asked.part) for key, group in groups.items()
    ]
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}"))


def _value(told: str) -> float | str:
    try:
        return float(told)
    except ValueError:
        return told


def row(settings: dict[str, object], runs: pd.DataFrame, base: pd.DataFrame, part: str) -> dict[str, object]:
    """Means of a setting's runs, and the t interval of its difference from the default."""
    names = {f"{part}.{metric}": shown for metric, shown in METRICS.items() if f"{part}.{metric}" in runs}
    column = f"{part}.average_precision"
    gaps = (runs[column] - base[column]).dropna()
    half = t.ppf(0.975, len(gaps) - 1) * gaps.std() / len(gaps) ** 0.5
    times = (runs["timing.train_seconds"] / base["timing.train_seconds"]).dropna()
    return {
        **settings,
        "runs": len(runs),
        **{shown: runs[name].mean() for name, shown in names.items()},
        "AP minus default": f"{gaps.mean():+.3f} ({gaps.mean() - half:+.3f} to {gaps.mean() + half:+.3f})",
        "time": times.median(),
    }


if __name__ == "__main__":
    main()

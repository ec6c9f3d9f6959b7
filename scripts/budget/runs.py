"""The stored runs as a table, and which of them belong to what."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from budget.points import METRICS, VARIED, Point, key_of
from tsdistill.store.formats import read_json
from tsdistill.store.records import run_folder


def check_protocol(results: Sequence[Mapping[str, Any]]) -> None:
    """Refuse records that differ in more than what the study varies.

    Raises:
        SystemExit: they do.
    """
    seen: dict[str, set[str]] = {}
    for result in results:
        identity = {name: result[name] for name in ("teacher", "student", "trial")}
        # The plain student's record has no saliency settings, and its method's are its own.
        own = "method." if result["method"] == "none" else "-"
        kept = {k: v for k, v in result["settings"].items() if k not in map(key_of, VARIED)}
        for name, value in (identity | kept).items():
            if not name.startswith(own):
                seen.setdefault(name, set()).add(repr(value))
    mixed = {name: sorted(values) for name, values in seen.items() if len(values) > 1}
    if mixed:
        raise SystemExit(f"runs of several protocols lie there: {mixed}")


def frame(results: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a run: its point, metrics, seconds an epoch, and whether its student collapsed."""
    rows = []
    for result in results:
        plain = result["method"] == "none"
        point = Point() if plain else Point.of(result["settings"])
        rows.append(
            {
                **asdict(replace(point, window=float(point.window), tau=float(point.tau))),
                **{name: result[name] for name in ("method", "dataset", "seed")},
                **{name: result["test"][name] for name in METRICS},
                "seconds": result["timing"]["train_seconds"] / result["training"]["epochs"],
                "collapsed": "collapsed" in result["flags"],
            }
        )
    columns = [*asdict(Point()), "method", "dataset", "seed", *METRICS, "seconds", "collapsed"]
    return pd.DataFrame(rows, columns=columns)


def provenance(out: Path, results: Sequence[Mapping[str, Any]]) -> Counter[tuple[str, ...]]:
    """How many runs were made by which commit, versions and processor."""
    found: Counter[tuple[str, ...]] = Counter()
    for result in results:
        facts = read_json(run_folder(out, result["dataset"], result["id"]) / "environment.json")
        commit = f"commit {str(facts['commit'])[:12]}{' and changes' * bool(facts['dirty'])}"
        found[(commit, f"torch {facts['torch']}", f"Python {facts['python']}", facts["device_name"])] += 1
    return found


def of_seeds(runs: pd.DataFrame, seeds: Iterable[int]) -> pd.DataFrame:
    """The runs of these seeds."""
    return runs[runs["seed"].isin(list(seeds))]


def of_set(at: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The runs of one data set, of a table by set and seed."""
    return at[at.index.get_level_values("dataset") == dataset]


def scores(runs: pd.DataFrame, method: str = "tsd", **changed: Any) -> pd.DataFrame:
    """The runs at one point, by set and seed.

    Args:
        runs: ``frame``'s.
        method: ``tsd`` or ``none``.
        changed: where the point differs from the default.
    """
    chosen = runs["method"] == method
    for name, value in asdict(Point(**changed)).items():
        chosen &= runs[name].isna() if value is None else runs[name] == value
    return runs[chosen].set_index(["dataset", "seed"]).sort_index()


def paired(first: pd.DataFrame, second: pd.DataFrame, column: str) -> list[float]:
    """Differences first - second over the pairs of set and seed that both have."""
    both = first.index.intersection(second.index)
    return list(first.loc[both, column] - second.loc[both, column])

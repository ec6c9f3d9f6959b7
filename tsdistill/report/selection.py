"""Which trial of a grid stands for a method on a data set: chosen at report time, from stored runs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tsdistill.report.records import ROW

if TYPE_CHECKING:
    import pandas as pd

Select = Literal["validation", "test"]

MONITOR = "average_precision"
TIE_BREAKER = "nll"


@dataclass(frozen=True)
class Selection:
    """What was chosen, and of what.

    Attributes:
        runs: the runs of the chosen trials, one row a run.
        choices: one row for each ``ROW``: the chosen ``trial`` and ``config``; ``trials`` tried;
            how it was ``decided``; counts ``runs`` (stored, all trials), ``seeds`` (of the chosen trial;
            ``expected``: those of the sweep), ``failed``, ``collapsed`` and ``missing`` (all trials),
            ``collapsed_chosen``, and whether there is ``no_validation``.
    """

    runs: "pd.DataFrame"
    choices: "pd.DataFrame"


def select_trials(runs: "pd.DataFrame", by: Select = "validation") -> Selection:
    """Choose for each row among the trials of its grid by the mean over seeds.

    The highest mean average precision wins; ties go to the lower mean negative log-likelihood, then to the
    lower trial (0 is the default). Only trials with as many finished seeds as the best covered one take part,
    so that a lucky seed cannot win alone. A row in which any run has no validation part keeps its default.

    Args:
        runs: the frame of ``load_runs``.
        by: the part of the data whose metrics decide. ``"test"`` reproduces what much of the literature does.

    Returns:
        The chosen runs and the account of the choices, sorted like ``runs``.
    """
    import pandas as pd

    seeds = sorted(runs["seed"].unique())
    needed = [*ROW, "id", "status", "seed", "trial", "config", "flags", "has_validation"]
    measured = [name for name in (f"{by}.{MONITOR}", f"{by}.{TIE_BREAKER}") if name in runs]
    choices, kept = [], []
    for key, group in runs[[*needed, *measured]].groupby(ROW, sort=True):
        ok = group[group["status"] == "ok"].drop_duplicates(["config", "seed"])
        chosen, decided = _choose(ok, by)
        members = ok[ok["config"] == chosen] if chosen is not None else ok
        kept += list(members["id"])
        choices.append(
            dict(zip(ROW, key, strict=True)) | _account(group, ok, members, len(seeds)) | {"decided": decided}
        )
    chosen_runs = runs[runs["id"].isin(kept)].reset_index(drop=True)
    return Selection(chosen_runs, pd.DataFrame(choices))


def _choose(ok: "pd.DataFrame", by: Select) -> tuple[str | None, str]:
    if ok.empty:
        return None, "failed"
    trials = ok.groupby("config").agg(trial=("trial", "min"), seeds=("seed", "nunique"))
    validated = bool(ok["has_validation"].all())
    if by == "validation" and not validated:
        return str(trials["trial"].idxmin()), "default"
    trials = trials[trials["seeds"] == trials["seeds"].max()]
    means = ok.groupby("config")[[f"{by}.{MONITOR}", f"{by}.{TIE_BREAKER}"]].mean().round(12)
    ranked = trials.join(means).reset_index()
    ranked = ranked.sort_values(
        [f"{by}.{MONITOR}", f"{by}.{TIE_BREAKER}", "trial"], ascending=[False, True, True], na_position="last"
    )
    best = ranked[f"{by}.{MONITOR}"]
    tied = int((best == best.iloc[0]).sum()) > 1
    if len(ranked) == 1:
        return str(ranked["config"].iloc[0]), "only trial"
    return str(ranked["config"].iloc[0]), f"{by}, tie" if tied else by


def _account(
    group: "pd.DataFrame", ok: "pd.DataFrame", members: "pd.DataFrame", expected_seeds: int
) -> dict[str, Any]:
    failed = group[group["status"] == "failed"]
    trials = group["config"].nunique()
    return {
        "trial": int(members["trial"].min()) if len(members) else -1,
        "config": str(members["config"].iloc[0]) if len(members) else "",
        "trials": int(trials),
        "runs": len(ok),
        "expected": expected_seeds,
        "seeds": len(members),
        "failed": len(failed),
        "collapsed": int(ok["flags"].map(lambda flags: "collapsed" in flags).sum()),
        "collapsed_chosen": int(members["flags"].map(lambda flags: "collapsed" in flags).sum()),
        "missing": int(trials * expected_seeds - len(ok) - len(failed.drop_duplicates(["config", "seed"]))),
        "no_validation": bool(len(ok) and not ok["has_validation"].all()),
    }

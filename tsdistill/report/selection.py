"""Which trial of a grid stands for a method on a data set: chosen at report time, from stored runs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from tsdistill.report.metrics import metric_of
from tsdistill.report.options import PRIMARY
from tsdistill.report.order import natural
from tsdistill.report.records import ROW

if TYPE_CHECKING:
    import pandas as pd

Select = Literal["validation", "test"]

TIE_BREAKER = "nll"

_Run = dict[str, Any]


@dataclass(frozen=True)
class Selection:
    """What was chosen, and of what.

    Attributes:
        runs: the runs of the chosen trials, one row a run.
        choices: one row for each ``ROW``: the chosen ``trial`` and ``config``; ``trials`` tried;
            ``settings`` of the method that have rows of their own;
            how it was ``decided``; counts ``runs`` (stored, all trials), ``seeds`` (of the chosen trial;
            ``expected``: those of the sweep), ``failed``, ``collapsed`` and ``missing`` (all trials),
            ``collapsed_chosen``, ``plateau`` and ``plateau_chosen`` likewise, ``outdated`` (finished, but of
            other code or data than a later run of the row), and whether there is ``no_validation``.
    """

    runs: "pd.DataFrame"
    choices: "pd.DataFrame"


def select_trials(runs: "pd.DataFrame", by: Select = "validation", metric: str = PRIMARY) -> Selection:
    """Choose for each row among the trials of its grid by the mean over seeds.

    The best mean of the metric wins; ties go to the lower mean negative log-likelihood, then to the
    lower trial (0 is the default). Only trials with as many finished seeds as the best covered one take part,
    so that a lucky seed cannot win alone. A row in which any run has no validation part keeps its default.

    Args:
        runs: the frame of ``load_runs``.
        by: the part of the data whose metrics decide. ``"test"`` reproduces what much of the literature does.
        metric: what decides.

    Returns:
        The chosen runs and the account of the choices, sorted like ``runs``.
    """
    import pandas as pd

    needed = [
        *ROW,
        "settings",
        "default",
        "id",
        "status",
        "seed",
        "trial",
        "config",
        "flags",
        "has_validation",
        "version",
    ]
    score = runs.get(f"{by}.{metric}")
    if score is not None and not metric_of(metric).higher_is_better:
        score = -score
    slim = runs[needed].assign(score=score, loss=runs.get(f"{by}.{TIE_BREAKER}"))
    slim = slim.assign(finished=runs.get("timing.finished", 0.0)).fillna({"finished": 0.0})
    slim = slim.sort_values("finished", ascending=False, kind="stable")
    seeds = {pair: found["seed"].nunique() for pair, found in slim.groupby(["teacher", "student"])}
    groups: dict[tuple[str, ...], list[_Run]] = defaultdict(list)
    for run in slim.to_dict("records"):
        groups[tuple(run[key] for key in ROW)].append(run)
    choices, kept = [], set()
    for key in sorted(groups, key=lambda key: [natural(name) for name in key]):
        trials = _finished(groups[key])
        chosen, decided = _choose(trials, by)
        members = trials.get(chosen, [])
        kept |= {run["id"] for run in members}
        account = _account(groups[key], trials, members, seeds[key[1], key[2]])
        choices.append({**dict(zip(ROW, key, strict=True)), **account, "decided": decided})
    return Selection(runs[runs["id"].isin(kept)].reset_index(drop=True), pd.DataFrame(choices))


def _finished(runs: Sequence[_Run]) -> dict[str, list[_Run]]:
    """Finished runs by trial, latest first.

    Runs of other code or data than the latest run are left out, so that no mean mixes the two; of two with
    one seed the latest stands.
    """
    trials: dict[str, dict[int, _Run]] = defaultdict(dict)
    done = [run for run in runs if run["status"] == "ok"]
    for run in done:
        if run["version"] == done[0]["version"]:
            trials[run["config"]].setdefault(run["seed"], run)
    return {config: list(by_seed.values()) for config, by_seed in trials.items()}


def _choose(trials: Mapping[str, Sequence[_Run]], by: Select) -> tuple[str, str]:
    if not trials:
        return "", "failed"
    number = {config: min(run["trial"] for run in runs) for config, runs in trials.items()}
    default = min(
        trials,
        key=lambda config: (not any(run["default"] for run in trials[config]), number[config], config),
    )
    if by == "validation" and not all(run["has_validation"] for runs in trials.values() for run in runs):
        return default, "default"
    if len(trials) == 1:
        return default, "only trial"
    most = max(map(len, trials.values()))
    covered = [config for config, runs in trials.items() if len(runs) == most]
    scores = {config: _mean([run["score"] for run in trials[config]], worst=-inf) for config in covered}
    losses = {config: _mean([run["loss"] for run in trials[config]], worst=inf) for config in covered}
    best = min(covered, key=lambda config: (-scores[config], losses[config], number[config], config))
    tied = list(scores.values()).count(scores[best]) > 1
    return best, f"{by}, tie" if tied else by


def _mean(values: Sequence[float], worst: float) -> float:
    """Mean of the defined values, rounded so that means equal but for rounding tie."""
    defined = [value for value in values if value == value]
    return round(fmean(defined), 12) if defined else worst


def _account(
    runs: Sequence[_Run], trials: Mapping[str, Sequence[_Run]], members: Sequence[_Run], seeds: int
) -> dict[str, Any]:
    finished = [run for group in trials.values() for run in group]
    failed = {(run["config"], run["seed"]) for run in runs if run["status"] == "failed"}
    failed -= {(run["config"], run["seed"]) for run in finished}
    tried = len({run["config"] for run in runs})
    return {
        "trial": min((run["trial"] for run in members), default=-1),
        "config": members[0]["config"] if members else "",
        "trials": tried,
        "settings": int(runs[0]["settings"]),
        "runs": len(finished),
        "expected": seeds,
        "seeds": len(members),
        "failed": len(failed),
        "collapsed": sum("collapsed" in run["flags"] for run in finished),
        "collapsed_chosen": sum("collapsed" in run["flags"] for run in members),
        "plateau": sum("plateau" in run["flags"] for run in finished),
        "plateau_chosen": sum("plateau" in run["flags"] for run in members),
        "missing": tried * seeds - len(finished) - len(failed),
        "outdated": sum(run["status"] == "ok" for run in runs) - len(finished),
        "no_validation": not all(run["has_validation"] for run in finished),
    }

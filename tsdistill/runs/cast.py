"""Which stored students the pictures of ``tsdistill explain`` show, and under which names."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tsdistill.config.schema import ExplainConf
from tsdistill.console import say
from tsdistill.errors import TsdistillError
from tsdistill.report.figures.looks import short_names
from tsdistill.report.order import natural
from tsdistill.report.records import variant_suffixes
from tsdistill.store.artefact import safe_name

MOST_STUDENTS = 8

_Results = Sequence[Mapping[str, Any]]


def pair_folder(results: _Results) -> Path:
    """Teacher and students as folders, so that one pair's pictures do not replace another's."""
    students = "~".join(sorted({result["student"] for result in results}))
    return Path(safe_name(results[0]["teacher"]), safe_name(students))


def cast_of(conf: ExplainConf, results: _Results) -> list[list[Mapping[str, Any]]]:
    """Choose the students shown: of the teacher that has most of them and of one trial.

    Args:
        conf: seed and trial asked for, and whether all seeds are wanted.
        results: records of one data set.

    Returns:
        The runs of each student: one, or with ``over_seeds`` one a seed. What is left out is said.

    Raises:
        TsdistillError: no run has the seed or the trial.
    """
    name = results[0]["dataset"]
    of_trial = [result for result in results if result["trial"] == conf.trial]
    if not of_trial:
        raise TsdistillError(
            f"{name}: no stored run has trial={conf.trial}; stored: {_listed(results, 'trial')}"
        )
    teacher, _ = Counter(result["teacher_id"] for result in of_trial).most_common(1)[0]
    mine = [result for result in of_trial if result["teacher_id"] == teacher]
    groups = _by_student(mine) if conf.over_seeds else [[result] for result in _of_seed(conf, name, mine)]
    cast = _in_order(groups)
    if len(cast) > MOST_STUDENTS:
        most = f"at most {MOST_STUDENTS} students are shown"
        left_out = ", ".join(names_of([group[0] for group in cast])[MOST_STUDENTS:])
        say(f"{name}: {most}; left out: {left_out}. Choose with method= or where=")
    if len(mine) < len(of_trial):
        shown = f"students of the teacher {mine[0]['teacher']} are shown"
        say(f"{name}: {shown}, those of {_others(of_trial, teacher)} are not. Choose with teacher= or where=")
    return cast[:MOST_STUDENTS]


def _in_order(groups: Sequence[list[Mapping[str, Any]]]) -> list[list[Mapping[str, Any]]]:
    """By student and method, and within these by the name shown."""
    by_name = zip(names_of([group[0] for group in groups]), groups, strict=True)
    cast = [group for _, group in sorted(by_name, key=lambda each: natural(each[0]))]
    return sorted(
        cast, key=lambda group: (group[0]["student"], group[0]["method"] != "none", group[0]["method"])
    )


def _of_seed(conf: ExplainConf, name: str, results: _Results) -> _Results:
    """The runs of the seed asked for, or of the one that most runs have, the lowest of equals."""
    counts = Counter(sorted(result["seed"] for result in results))
    seed = counts.most_common(1)[0][0] if conf.seed is None else conf.seed
    found = [result for result in results if result["seed"] == seed]
    if not found:
        raise TsdistillError(f"{name}: no stored run has seed={seed}; stored: {_listed(results, 'seed')}")
    return found


def _by_student(results: _Results) -> list[list[Mapping[str, Any]]]:
    """Runs that differ in nothing but their seed, by seed."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for result in sorted(results, key=lambda result: result["seed"]):
        settings = {key: value for key, value in result["settings"].items() if key != "seed"}
        groups[repr((result["method"], result["student"], sorted(settings.items())))].append(result)
    return list(groups.values())


def _others(results: _Results, teacher: str) -> str:
    """The other teachers that have students, by name; one of the same name by its id as well."""
    mine = next(result["teacher"] for result in results if result["teacher_id"] == teacher)
    others = {(r["teacher"], r["teacher_id"]) for r in results if r["teacher_id"] != teacher}
    return ", ".join(sorted({f"{name} {key[:6]}" if name == mine else name for name, key in others}))


def _listed(results: _Results, key: str) -> str:
    return ", ".join(map(str, sorted({result[key] for result in results})))


def names_of(results: _Results) -> list[str]:
    """Names of the students: their method and what else differs, such as ``tsd [window=10]``.

    Runs with the same settings, such as those of edited code, are told apart by their ids.
    """
    suffixes = variant_suffixes(results, defaultdict(frozenset))
    several = len({result["student"] for result in results}) > 1
    methods = [f"{r['method']} {r['student']}" if several else str(r["method"]) for r in results]
    names = [method + suffix for method, suffix in zip(methods, suffixes, strict=True)]
    short = short_names(list(dict.fromkeys(names)))
    return [
        f"{short[name]} {result['id'][:6]}" if names.count(name) > 1 else short[name]
        for name, result in zip(names, results, strict=True)
    ]

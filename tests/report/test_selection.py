"""The choice among trials, by hand."""

import pytest

from tsdistill.report.records import as_records, frame_of_runs
from tsdistill.report.selection import select_trials


def _lam(value):
    return {"settings": {"method.lam": value}}


def _choose(records, by="validation"):
    selection = select_trials(frame_of_runs(as_records(records)), by)
    assert len(selection.choices) == 1
    return selection.choices.iloc[0], selection.runs


def test_the_mean_over_seeds_on_validation_decides_and_test_does_not(record):
    records = [
        record(seed=1, trial=0, validation_ap=0.9, ap=0.1),
        record(seed=2, trial=0, validation_ap=0.5, ap=0.1),
        record(seed=1, trial=1, validation_ap=0.75, ap=0.2, **_lam(10)),
        record(seed=2, trial=1, validation_ap=0.75, ap=0.2, **_lam(10)),
        record(seed=1, trial=2, validation_ap=0.1, ap=0.9, **_lam(100)),
        record(seed=2, trial=2, validation_ap=0.1, ap=0.9, **_lam(100)),
    ]
    choice, runs = _choose(records)
    assert (choice["trial"], choice["config"], choice["trials"], choice["decided"]) == (
        1,
        "method.lam=10",
        3,
        "validation",
    )
    assert list(runs["seed"]) == [1, 2]
    choice, _ = _choose(records, by="test")
    assert (choice["trial"], choice["decided"]) == (2, "test")


@pytest.mark.parametrize(("likelihoods", "expected"), [((0.5, 0.4), 1), ((0.5, 0.5), 0)])
def test_ties_go_to_the_lower_likelihood_then_to_the_default(record, likelihoods, expected):
    records = [
        record(trial=trial, validation_ap=0.7, validation_nll=nll, **_lam(float(trial + 1)))
        for trial, nll in enumerate(likelihoods)
    ]
    choice, _ = _choose(records)
    assert choice["trial"] == expected
    assert choice["decided"] == "validation, tie"


@pytest.mark.parametrize("later", [0, 1])
def test_of_two_runs_with_the_same_settings_and_seed_the_later_stands(record, later):
    """As where the student's code was edited between them: the ids differ, and say nothing of the order."""
    ids = ["a", "b"]
    records = [
        record() | {"id": name, "timing": {"finished": 200.0 if at == later else 100.0}}
        for at, name in enumerate(ids)
    ]
    choice, runs = _choose([*records, record() | {"id": "0"}])  # one from before the time was kept
    assert list(runs["id"]) == [ids[later]] and choice["seeds"] == 1


def test_without_validation_the_default_trial_stands_and_is_flagged(record):
    records = [record(trial=trial, validation_ap=None, ap=trial / 2, **_lam(trial)) for trial in (0, 1)]
    choice, _ = _choose(records)
    assert (choice["trial"], choice["decided"], choice["no_validation"]) == (0, "default", True)


def test_a_lucky_seed_alone_does_not_win(record, failure):
    records = [
        record(seed=1, trial=0, validation_ap=0.6),
        record(seed=2, trial=0, validation_ap=0.6),
        record(seed=1, trial=1, validation_ap=0.9, **_lam(10)),
        failure(seed=2, trial=1, **_lam(10)),
    ]
    choice, _ = _choose(records)
    assert (choice["trial"], choice["failed"], choice["missing"]) == (0, 1, 0)


def test_missing_failed_and_collapsed_runs_are_counted(record, failure):
    collapsed = record("A", seed=3) | {"flags": ["collapsed"]}
    records = [record("A", seed=1), record("A", seed=2), collapsed, record("B", seed=1), failure("B", seed=2)]
    choices = select_trials(frame_of_runs(as_records(records))).choices.set_index("dataset")
    counts = ["runs", "failed", "missing", "collapsed"]
    assert list(choices.loc["A", counts]) == [3, 0, 0, 1]
    assert list(choices.loc["B", counts]) == [1, 1, 1, 0]


def test_a_row_whose_runs_all_failed_is_kept(record, failure):
    choices = select_trials(frame_of_runs(as_records([record("A"), failure("B")]))).choices
    assert list(choices["decided"]) == ["only trial", "failed"]


def test_selection_does_not_depend_on_the_order_of_the_records(record):
    records = [record(trial=trial, validation_ap=0.7, **_lam(float(trial))) for trial in (2, 1, 0)]
    assert _choose(records)[0]["trial"] == _choose(records[::-1])[0]["trial"] == 0

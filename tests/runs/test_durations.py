"""How long a sweep still takes, worked out by hand."""

from omegaconf import OmegaConf

from tsdistill.runs.durations import Durations, Kind, kind_of

A, B, C = Kind("A", "tsd", "s"), Kind("B", "tsd", "s"), Kind("C", "kd", "t")


def learnt() -> Durations:
    found = Durations()
    for kind, seconds in ((A, 10.0), (A, 30.0), (A, 20.0), (C, 100.0)):
        found.add(kind, seconds)
    return found


def test_the_median_of_the_nearest_kin() -> None:
    durations = learnt()
    assert durations.expected(A) == 20.0
    assert durations.expected(Kind("A", "kd", "s")) == 20.0  # of the data set
    assert durations.expected(B) == 20.0  # of the method and student
    assert durations.expected(Kind("D", "x", "y")) == 25.0  # of all: 10, 20, 30, 100
    assert Durations().expected(A) is None


def test_what_is_left_is_spread_over_all_that_run_side_by_side() -> None:
    durations = learnt()
    # two that wait take 20 each, and what has run for 15 of 20 seconds takes 5 more
    assert durations.left({A: 2}, [(A, 15.0)], 1) == 45.0
    assert durations.left({A: 2}, [(A, 15.0)], 2) == 22.5
    assert durations.left({A: 2}, [(A, 99.0)], 2) == 20.0
    assert durations.left({A: 1, C: 1}, [], 8) == 100.0  # no less than the longest
    assert durations.left({}, [], 2) == 0.0
    assert Durations().left({A: 1}, [], 2) is None


def test_the_kind_of_a_job_is_in_its_words_or_in_what_is_chosen_by_default() -> None:
    config = OmegaConf.create(
        {
            "dataset": {"name": "???"},
            "hydra": {"runtime": {"choices": {"method": "tsd", "student": "lstm_8", "dataset": "ucr"}}},
        }
    )
    assert kind_of(["dataset.name=A", "seed=1"], config) == Kind("A", "tsd", "lstm_8")
    assert kind_of(["dataset=planted", "+method=kd", "student=t"], config) == Kind("planted", "kd", "t")

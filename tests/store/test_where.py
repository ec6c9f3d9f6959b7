"""Filters over stored runs, each against the runs that it keeps by hand."""

import pytest

from tsdistill.errors import TsdistillError
from tsdistill.store.where import Where

RUNS = [
    {"id": "a1", "dataset": "CBF", "method": "kd", "seed": 1, "trial": 0, "flags": [],
     "settings": {"method.lam": 0.1, "saliency.window": 10, "training.scheduler": None},
     "test": {"accuracy": 0.5}},
    {"id": "b2", "dataset": "GunPoint", "method": "tsd", "seed": 24, "trial": 0, "flags": ["collapsed"],
     "settings": {"method.lam": 1, "saliency.window": 10}, "test": {"accuracy": 0.9}},
    {"id": "12e5", "dataset": "GunPoint", "method": "tsd_kd", "seed": 1, "trial": 2, "flags": [],
     "settings": {"method.lam": 10, "hardware.compile": True}, "training": {"epochs": 9},
     "test": {"accuracy": float("nan")}},
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("seed=1", ["a1", "12e5"]),
        ("seed == 1.0", ["a1", "12e5"]),
        ("seed=1 and method.lam=0.1", ["a1"]),
        ("method.lam<1", ["a1"]),
        ("method.lam<=1e0 and not dataset=CBF", ["b2"]),
        ("method=kd,tsd", ["a1", "b2"]),
        ("method in kd, tsd_kd", ["a1", "12e5"]),
        ("method=tsd*", ["b2", "12e5"]),
        ("method!=tsd*", ["a1"]),
        ("method!=kd,tsd", ["12e5"]),
        ("(seed=24 or trial=2) and test.accuracy>0.8", ["b2"]),
        ("seed=24 or seed=1 and trial=2", ["b2", "12e5"]),  # 'and' binds more tightly
        ("saliency.window=10", ["a1", "b2"]),
        ("saliency.window!=10 or seed=24", ["b2"]),  # a run without the setting is not unequal to it
        ("hardware.compile=true", ["12e5"]),
        ("training.scheduler=null", ["a1"]),
        ("flags=collapsed", ["b2"]),
        ("test.accuracy=null", ["12e5"]),
        ("trained.epochs>5", ["12e5"]),
        ("id='12e5'", ["12e5"]),
        ('dataset="CBF"', ["a1"]),
        ("dataset=Gun*", ["b2", "12e5"]),
        ("not dataset='Gun*'", ["a1", "b2", "12e5"]),  # quoted, a star is a star
        ("method in 'tsd', kd*", ["a1", "b2"]),
        ("seed='1'", ["a1", "12e5"]),
    ],
)
def test_a_filter_keeps_what_it_says(text, kept):
    assert [run["id"] for run in Where(text).kept(RUNS)] == kept


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sede=1", "no stored run has 'sede'; did you mean 'seed'?"),
        ("seed", "expected =, !=, <, <=, >, >= or in after 'seed'"),
        ("seed=", "expected a value after 'seed ='"),
        ("seed=<", "expected a value after 'seed ='"),
        ("seed=1 method=kd", "expected 'and' or 'or' after 'seed = 1'"),
        ("(seed=1", "expected ')' after"),
        ("seed<x", "seed can be compared by size with numbers only, not with 'x'"),
        ("seed=3", "none of 3 stored runs matches seed=3"),
        ("id='a", "cannot read"),
        ("", "expected a name at the start"),
    ],
)
def test_a_wrong_filter_is_refused_in_one_line(text, told):
    with pytest.raises(TsdistillError) as error:
        Where(text).kept(RUNS)
    assert told in str(error.value) and "\n" not in str(error.value)

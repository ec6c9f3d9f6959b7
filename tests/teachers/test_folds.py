"""Which series a fold holds out."""

import numpy as np
import pytest

from tsdistill.errors import TsdistillError
from tsdistill.teachers.folds import folds_asked, held_out, is_worth_it, memorises


@pytest.mark.parametrize("sizes", [(10, 10), (7, 2), (3, 1, 5), (2, 2, 2), (30, 4, 1)])
def test_folds_hold_every_series_out_once_and_leave_every_class_in_the_rest(sizes):
    y = np.repeat(np.arange(len(sizes)), sizes)
    folds = held_out(y, 5, seed=3)
    rows = np.concatenate(folds)
    alone = [k for k, size in enumerate(sizes) if size == 1]
    assert sorted(rows) == [row for row in range(len(y)) if y[row] not in alone]
    for held in folds:
        assert set(np.delete(y, held)) == set(range(len(sizes)))
    assert [fold.tolist() for fold in held_out(y, 5, seed=3)] == [fold.tolist() for fold in folds]


def test_classes_of_one_series_have_no_folds():
    assert held_out(np.arange(6), 5, seed=0) == []


@pytest.mark.parametrize("wrong", [1, -2, "often"])
def test_a_wrong_setting_is_refused(wrong):
    with pytest.raises(TsdistillError, match=f"teacher.cross_fit={wrong} should be auto, 0 or the number"):
        folds_asked(wrong)


SURE, GRADED = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.4, 0.6], [0.9, 0.1]])


def test_a_classifier_memorises_if_it_is_equally_sure_of_all_its_series():
    assert memorises(SURE) and not memorises(GRADED)
    assert memorises(np.array([[-1.0, 1.0, 0.0], [0.95, -1.0, 0.0]]))  # margins 1 and 0.95


def test_the_setting_decides_and_auto_looks_at_accuracy_and_memory():
    folds = [np.array([0]), np.array([1])]
    assert is_worth_it(5, GRADED, 0.1, folds)
    assert not is_worth_it(0, SURE, 1.0, folds) and not is_worth_it(5, SURE, 1.0, [])
    assert is_worth_it("auto", SURE, 0.9, folds)
    assert not is_worth_it("auto", SURE, 0.8, folds) and not is_worth_it("auto", GRADED, 0.9, folds)
    assert not is_worth_it("auto", SURE, float("nan"), [])

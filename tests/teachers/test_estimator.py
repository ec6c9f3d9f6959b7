"""Classifiers as teachers: how they are asked, who answers whom, and what is wrong with the malformed."""

import os
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin

from tsdistill.errors import TsdistillError
from tsdistill.teachers.base import FitTask
from tsdistill.teachers.classifier import series, told
from tsdistill.teachers.estimator import EstimatorTeacher
from tsdistill.testing import check_teacher
from tsdistill.testing.teachers import _task

HERE = f"{__name__}."
LONG = pytest.mark.skipif("TSDISTILL_LONG" not in os.environ, reason="compiles for a minute: make test-all")


class Nearest(ClassifierMixin, BaseEstimator):
    """Nearest class mean: a classifier that can be made wrong in one way at a time."""

    def __init__(self, fault=None, random_state=None):
        self.fault = fault
        self.random_state = random_state

    def fit(self, x, y):
        if self.fault == "fit":
            raise ValueError("no fitting\ntoday")
        self.classes_ = np.unique(y)
        self.level_ = x.reshape(len(x), -1).mean(axis=1)
        self.means_ = np.array([self.level_[y == k].mean() for k in self.classes_])
        if self.fault == "order":
            self.classes_, self.means_ = self.classes_[::-1], self.means_[::-1]
        if self.fault == "labels":
            self.classes_ = self.classes_ + 1
        return self

    def predict_proba(self, x):
        if self.fault == "answer":
            raise RuntimeError("out of order")
        level = x.reshape(len(x), -1).mean(axis=1)
        weight = np.exp(-10 * (level[:, None] - self.means_) ** 2)
        found = weight / weight.sum(axis=1, keepdims=True)
        if self.fault == "nan":
            found[2, 1] = np.nan
        return found[:, :-1] if self.fault == "columns" else found


class Labels(BaseEstimator):
    """Answers with a label alone."""

    def fit(self, x, y):
        return self

    def predict(self, x):
        return np.zeros(len(x))


def teacher(target, cross_fit="auto", manner="auto", **settings):
    return EstimatorTeacher({"_target_": target, **settings}, manner, cross_fit)


ESTIMATORS = {
    "votes": ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 10}),
    "scores": ("sklearn.linear_model.RidgeClassifier", {}),
    "probabilities": ("sklearn.naive_bayes.GaussianNB", {}),
}


class TakesAllCores(Nearest):
    """Leaves PyTorch another number of threads, as numba's parallel loops do."""

    def fit(self, x, y):
        torch.set_num_threads(3)
        return super().fit(x, y)

    def predict_proba(self, x):
        torch.set_num_threads(3)
        return super().predict_proba(x)


def test_pytorch_keeps_its_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        made = teacher(f"{HERE}TakesAllCores", 0)
        made.fit(_task(0))
        assert torch.get_num_threads() == 2
        made.logits(torch.zeros(2, 1, 4))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("form", ESTIMATORS)
@pytest.mark.parametrize("cross_fit", [0, 3, "auto"])
def test_our_estimators_pass_as_teachers(form, cross_fit):
    target, settings = ESTIMATORS[form]
    made = teacher(target, cross_fit, **settings)
    assert made.fit(_task(0))["answers"] == form
    check_teacher(partial(teacher, target, cross_fit, **settings))


def test_a_series_is_answered_by_the_fold_that_has_not_seen_it():
    task = _task(0)
    train = task.parts["train"]
    made = teacher(HERE + "Nearest", cross_fit=3)
    made.fit(task)
    modules = made.training_modules(len(train))
    assert len(modules) == 3
    for rows, module in modules:
        rest = [row for row in range(len(train)) if row not in rows.tolist()]
        plain = Nearest().fit(train.x[rest].numpy(), train.y[rest].numpy())
        copies = train.x[rows] + 0.3  # as a perturbed copy would be
        wanted = np.log(np.maximum(plain.predict_proba(copies.double().numpy()), 1e-6))
        assert module(copies).numpy() == pytest.approx(wanted, abs=1e-3)
    again = teacher(HERE + "Nearest", cross_fit=3)
    again.restore(made.state(), task)
    for (rows, module), (other_rows, other) in zip(modules, again.training_modules(12), strict=True):
        assert torch.equal(rows, other_rows) and torch.equal(module(train.x), other(train.x))


def test_a_single_series_of_a_class_is_answered_by_the_whole_model():
    task = _task(0)
    train = task.parts["train"].rows(torch.tensor([0, 1, 3, 4, 6, 7, 2]))
    made = teacher(HERE + "Nearest", cross_fit=3)
    made.fit(FitTask({"train": train}, 3, task.device, (0,), task.optimise))
    rows, module = made.training_modules(7)[-1]
    assert rows.tolist() == [6] and torch.equal(module(train.x), made.logits(train.x))


def test_the_seed_reaches_every_random_state_that_is_not_set():
    node = {
        "_target_": "sklearn.ensemble.BaggingClassifier",
        "estimator": {"_target_": "sklearn.tree.DecisionTreeClassifier", "random_state": 7},
        "n_estimators": 2,
    }
    made = EstimatorTeacher(node, "flat", 0)
    made.fit(_task(5))
    model = made._whole.model
    assert model.random_state == 5 and model.estimator.random_state == 7


def test_notes_tell_accuracies_and_clipping():
    made = teacher(HERE + "Nearest", cross_fit=3)
    made.fit(_task(0))
    assert made.notes() == [
        "accuracy 1.000 in sample, 1.000 out of fold (3 folds); "
        "training series are answered by the folds that have not seen them",
        "its answers are probabilities",
    ]
    made.logits(torch.full((4, 2, 20), 2.0))
    assert made.notes() == [
        "4 of 4 answers held a probability below 1e-06, which was raised to it",
    ]
    assert made.notes() == []


WRONG = {
    "fit": "Nearest cannot be fitted to series; (N, C, T): ValueError: no fitting today; flat: ValueError",
    "answer": "Nearest.predict_proba failed on 12 series: RuntimeError: out of order",
    "columns": "Nearest.predict_proba gave shape (12, 2) for 12 series and 3 classes",
    "nan": "Nearest.predict_proba gave 12 of 12 answers that are not finite; the first is row 0",
    "labels": "Nearest.classes_ is [1, 2, 3]; it was fitted to the classes 0 to 2",
}
WRONG["nan"] = "Nearest.predict_proba gave 1 of 12 answers that are not finite; the first is row 2: ["


@pytest.mark.parametrize("fault", WRONG)
def test_a_malformed_classifier_is_refused_in_one_line(fault):
    with pytest.raises(TsdistillError) as caught:
        teacher(HERE + "Nearest", cross_fit=0, fault=fault).fit(_task(0))
    assert str(caught.value).startswith(WRONG[fault]) and "\n" not in str(caught.value)


def test_labels_in_another_order_are_put_right():
    task = _task(0)
    right, turned = teacher(HERE + "Nearest", 0), teacher(HERE + "Nearest", 0, fault="order")
    right.fit(task)
    turned.fit(task)
    x = task.parts["validation"].x
    assert torch.equal(right.logits(x), turned.logits(x))


def test_an_answer_of_labels_alone_is_refused():
    with pytest.raises(TsdistillError, match="Labels has neither predict_proba nor decision_function"):
        teacher(HERE + "Labels").fit(_task(0))


def test_wrong_settings_are_refused_by_name():
    with pytest.raises(TsdistillError, match=r"teacher.kind.estimator.falt: .* did you mean 'fault'"):
        teacher(HERE + "Nearest", falt=1)
    with pytest.raises(TsdistillError, match=r"teacher.kind.estimator._target_=sklearn.svm.SCV: "):
        teacher("sklearn.svm.SCV")


def test_what_is_missing_is_named_with_the_command_that_installs_it():
    error = ModuleNotFoundError("RocketClassifier requires package 'numba' to be present")
    assert told(error).endswith("; pip install 'tsdistill[rocket]'")
    assert told(ModuleNotFoundError("No module named 'xyz'", name="xyz")).endswith("; pip install 'xyz'")


def test_series_of_unequal_lengths_are_tables_of_their_own_length():
    x = torch.arange(12.0).reshape(2, 2, 3)
    first, second = series(x, torch.tensor([3, 2]), flat=False)
    assert first.to_numpy().tolist() == [[0, 3], [1, 4], [2, 5]]
    assert second.to_numpy().tolist() == [[6, 9], [7, 10]]
    with pytest.raises(TsdistillError, match=r"dataset.lengths=resample or truncate"):
        series(x, torch.tensor([3, 2]), flat=True)


@LONG
@pytest.mark.parametrize("transform", ["rocket", "minirocket", "multirocket"])
def test_the_rockets_pass_as_teachers(transform):
    check_teacher(partial(teacher, "tsdistill.teachers.rocket.RocketRidge", transform=transform, kernels=168))

"""Which valid name a wrong one is taken for."""

import pytest

from tsdistill.errors import nearest

NAMES = (
    *("dataset", "method", "training.lr", "teacher.training.lr", "training.epochs", "trained.epochs"),
    *("teacher.training.epochs", "training.batch_size", "test.accuracy", "test.auc_prc"),
    *("test.average_precision", "noise.accuracy_snr10", "student.model.hidden"),
)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("test.acc", "did you mean 'test.accuracy'?"),
        ("acc", "did you mean 'test.accuracy'?"),
        ("test.ap", "did you mean 'test.average_precision'?"),
        ("learning_rate", "did you mean 'training.lr'?"),
        ("teacher.learning_rate", "did you mean 'teacher.training.lr'?"),
        ("train.batch", "did you mean 'training.batch_size'?"),
        ("Epochs", "did you mean 'trained.epochs' or 'training.epochs'?"),
        ("hidden", "did you mean 'student.model.hidden'?"),
        ("mehtod", "did you mean 'method'?"),
        ("test.acuracy", "did you mean 'test.accuracy'?"),
        ("data", "did you mean 'dataset'?"),
    ],
)
def test_an_abbreviation_comes_before_a_name_that_is_only_like_it(name: str, told: str) -> None:
    assert nearest(name, NAMES) == told


def test_an_abbreviation_of_many_names_is_told_with_the_shortest_three() -> None:
    told = nearest("acc", ["a.accuracy", "bb.accuracy", "c.accuracy", "d.accuracy"])
    assert told == "did you mean 'a.accuracy', 'c.accuracy' or 'd.accuracy'?"


def test_what_is_like_nothing_gets_the_choices_without_those_below() -> None:
    assert nearest("zzz", ["b", "a"], ["a.y"]) == "choose from: a, b"
    assert nearest("y", ["b", "a"], ["a.yes"]) == "choose from: a, b"
    assert nearest("zzz", []) == ""

"""A classifier object as settings."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsdistill.errors import TsdistillError
from tsdistill.teachers.classifier import built
from tsdistill.teachers.described import described


class Nested(RandomForestClassifier):
    class Inner(RandomForestClassifier):
        pass


def test_only_settings_that_differ_from_the_defaults_are_kept() -> None:
    forest = RandomForestClassifier(np.int64(20), class_weight="balanced")
    assert described(forest) == {
        "_target_": "sklearn.ensemble._forest.RandomForestClassifier",
        "n_estimators": 20,
        "class_weight": "balanced",
    }


def test_what_is_built_has_the_same_settings_fitted_or_not() -> None:
    made = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(C=2.0))
    made.fit(np.array([[0.0], [1.0]]), [0, 1])
    again = built(described(made), seed=7)
    assert again.get_params()["logisticregression__C"] == 2.0
    assert again.get_params()["standardscaler__with_mean"] is False
    assert again.get_params()["logisticregression__random_state"] == 7
    assert not hasattr(again[-1], "coef_")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (RandomForestClassifier, "should be the name of a teacher, or a classifier object with get_params"),
        (3, "teacher=3 should be the name of a teacher"),
        (
            RandomForestClassifier(random_state=np.random.RandomState(0)),
            "teacher.random_state is a RandomState",
        ),
        (make_pipeline(LogisticRegression(C=np.arange(2))), r"teacher.steps\[0\]\[1\].C is a ndarray"),
        (RandomForestClassifier(class_weight={0: 2.0}), "teacher.class_weight is a dict"),
        (Nested.Inner(), "Nested.Inner can't be imported by its name"),
    ],
)
def test_what_can_t_be_described_is_refused(given: object, told: str) -> None:
    with pytest.raises(TsdistillError, match=told):
        described(given)

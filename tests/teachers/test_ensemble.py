"""Teachers that answer together, against means worked out by hand."""

import pytest
import torch
from torch import Tensor, nn

from tsdistill.errors import TsdistillError
from tsdistill.teachers.answers import AnswersTeacher
from tsdistill.teachers.base import ANSWERS, AnswerModule, Teacher
from tsdistill.teachers.ensemble import Ensemble, Member
from tsdistill.teachers.estimator import EstimatorTeacher
from tsdistill.teachers.network import NetworkTeacher
from tsdistill.testing import check_teacher
from tsdistill.testing.teachers import _task


class Fixed(Teacher):
    """Always the same probabilities; with folds, others for the last training series."""

    def __init__(self, p: list[float], folded: bool = False) -> None:
        self.p, self.folded, self.seed = torch.tensor(p), folded, -1

    def fit(self, task):
        self.seed = task.seeds[0]
        return {}

    def logits(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.p.log().expand(len(x), -1)

    def training_modules(self, rows):
        if not self.folded:
            return super().training_modules(rows)
        last = AnswerModule(lambda x, lengths: self.p.flip(0).log().expand(len(x), -1))
        return [(torch.arange(rows - 1), self.as_module()), (torch.tensor([rows - 1]), last)]


def ensemble(*members: Teacher, **settings) -> Ensemble:
    made = Ensemble([Member(str(n), lambda m=m: m, _task) for n, m in enumerate(members)], **settings)
    made.fit(_task(0))
    return made


ONE, OTHER = [0.8, 0.1, 0.1], [0.2, 0.2, 0.6]
X = torch.zeros(2, 2, 20)


def test_probabilities_are_averaged():
    found = ensemble(Fixed(ONE), Fixed(OTHER)).logits(X).exp()
    assert found[0].tolist() == pytest.approx([0.5, 0.15, 0.35])


def test_logits_are_averaged():
    found = ensemble(Fixed(ONE), Fixed(OTHER), combine="logits").logits(X).exp()
    assert found[1].tolist() == pytest.approx([0.4, 0.02**0.5, 0.06**0.5])


def test_a_training_series_is_answered_by_each_members_own_fold():
    made = ensemble(Fixed(ONE, folded=True), Fixed(OTHER))
    (first, whole), (last, folded) = made.training_modules(4)
    assert first.tolist() == [0, 1, 2] and last.tolist() == [3]
    assert whole(X).exp()[0].tolist() == pytest.approx([0.5, 0.15, 0.35])
    assert folded(X).exp()[0].tolist() == pytest.approx([0.15, 0.15, 0.7])


def test_new_series_are_answered_only_if_each_member_answers_them():
    def of(*members: Teacher) -> Ensemble:
        return Ensemble([Member(str(n), lambda m=m: m, _task) for n, m in enumerate(members)])

    assert of(Fixed(ONE), Fixed(OTHER)).provides == ANSWERS
    assert of(Fixed(ONE), AnswersTeacher("answers.csv")).provides == ANSWERS - {"teacher_answers"}


def test_each_of_several_has_a_seed_of_its_own_and_the_first_the_ensemble_s():
    made = Ensemble([Member("a", lambda: Fixed(ONE), _task)], size=3)
    made.fit(_task(4))
    seeds = [member.seed for member in made._teachers]
    assert seeds[0] == 4 and len(set(seeds)) == 3


def test_an_ensemble_of_a_network_and_a_forest_passes_as_a_teacher():
    forest = {"_target_": "sklearn.ensemble.RandomForestClassifier", "n_estimators": 5}
    members = [
        Member(
            "linear", lambda: NetworkTeacher(lambda: nn.Sequential(nn.Flatten(), nn.Linear(40, 3))), _task
        ),
        Member("forest", lambda: EstimatorTeacher(forest, "flat", 3), _task),
    ]
    check_teacher(lambda: Ensemble(members))


def test_a_size_below_one_is_refused():
    with pytest.raises(TsdistillError, match=r"teacher.kind.size=0 should be 1 or more"):
        Ensemble([], size=0)

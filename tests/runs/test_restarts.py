"""What a restart takes with it: nothing of the student that was given up."""

from tsdistill.training.plateau import until_learnt
from tsdistill.training.seeds import attempt_seeds


def test_a_run_begins_anew_until_it_learns_and_the_last_attempt_stands():
    asked = []

    def attempt(seed, watched):
        asked.append((seed, watched))
        return seed, watched and seed != 2

    assert until_learnt([1, 2, 3], attempt) == (2, 1)
    assert asked == [(1, True), (2, True)]
    assert until_learnt([1, 3, 4], attempt) == (4, 2)
    assert asked[-1] == (4, False)


def test_seeds_of_restarts_follow_from_the_runs_own():
    assert attempt_seeds(7, 2) == attempt_seeds(7, 2) and attempt_seeds(7, 2)[0] == 7
    assert len({*attempt_seeds(7, 2), *attempt_seeds(8, 2)}) == 6


def test_each_attempt_gets_terms_of_its_own(tmp_path, monkeypatch):
    from tsdistill.cli import run

    (tmp_path / "counting.py").write_text(TERM)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("tsdistill.runs.session.Job.learns", lambda job, model: False)
    words = [
        *("dataset.name=UnitTest", "teacher=fcn_8", "teacher.training.epochs=2", "hardware=cpu"),
        *("student=lstm_8", "method=none", "method.stages.train.weights.ce=0", "training.epochs=50"),
        "+method.stages.train.terms.count={_target_: counting.Count}",
        *("+method.stages.train.weights.count=1.0", f"out={tmp_path}", "training.restarts=2"),
    ]
    assert run("distill", words) == 0
    import counting

    assert counting.BOUND == [0.0, 0.0, 0.0]


TERM = """
import torch
from tsdistill.methods.base import LossTerm

BOUND = []


class Count(LossTerm):
    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))

    def bind(self, models):
        BOUND.append(float(self.steps))

    def forward(self, step):
        if self.training:
            self.steps += 1
        return 0.0 * step.student.logits.sum()
"""

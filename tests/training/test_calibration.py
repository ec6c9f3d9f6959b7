import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from torch import nn

from tsdistill.training.calibration import Affine, Calibrated, calibrate, fit_affine, one_hot
from tsdistill.training.plateau import label_entropy, on_plateau


def cross_entropy(logits, targets):
    return -(targets * log_softmax(logits, axis=1)).sum(axis=1).mean()


@pytest.fixture
def student():
    """Logits that rank well with a wrong threshold, and labels."""
    draw = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 40)
    logits = 0.1 * (2 * one_hot(y, 3) + draw.normal(size=(120, 3))) + np.array([1.0, 0.0, -1.0])
    return logits, y


def test_the_fit_moves_a_wrong_threshold(student):
    logits, y = student
    assert (logits.argmax(1) == y).mean() < 0.4
    fitted = fit_affine(logits, one_hot(y, 3))(logits)
    assert (fitted.argmax(1) == y).mean() > 0.8


def test_the_fit_is_the_minimum(student):
    logits, y = student
    fit = fit_affine(logits, one_hot(y, 3))

    def loss(free):
        return cross_entropy(free[0] * logits + free[1:], one_hot(y, 3))

    slow = minimize(
        loss, np.array([1.0, 0, 0, 0]), method="Nelder-Mead", options={"maxiter": 20000, "fatol": 1e-12}
    )
    assert loss([fit.scale, *fit.bias]) == pytest.approx(slow.fun, abs=1e-6)
    assert fit.bias.sum() == pytest.approx(0, abs=1e-9)


def test_a_fit_to_the_teacher_recovers_an_affine_student(student):
    logits, _ = student
    targets = softmax(Affine(3.0, np.array([0.5, -0.5, 0.0]))(logits), axis=1)
    fit = fit_affine(logits, targets)
    assert fit.scale == pytest.approx(3.0, rel=1e-3)
    np.testing.assert_allclose(fit.bias, [0.5, -0.5, 0.0], atol=1e-2)


def test_biases_alone_keep_the_scale(student):
    logits, y = student
    assert fit_affine(logits, one_hot(y, 3), scale=False).scale == 1.0


def test_a_ridge_holds_separable_logits(student):
    _, y = student
    separable = one_hot(y, 3)
    assert fit_affine(separable, one_hot(y, 3), ridge=0.01).scale < 20
    assert fit_affine(separable, one_hot(y, 3), ridge=1e6).scale == pytest.approx(1.0, abs=1e-4)


def test_a_fit_never_turns_the_order_round():
    y = np.array([0, 1, 0, 1])
    assert fit_affine(-5 * one_hot(y, 2), one_hot(y, 2)).scale > 0


class Net(nn.Module):
    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.last = last

    def forward(self, x):
        return self.last(self.head(x.mean(-1)))


@pytest.mark.parametrize(("last", "kind"), [(nn.Identity(), Net), (nn.Tanh(), Calibrated)])
def test_a_fit_folds_into_the_head_or_wraps_the_model(last, kind):
    torch.manual_seed(0)
    model, x, fit = Net(last), torch.randn(7, 4, 5), Affine(2.0, np.array([0.5, 0.0, -0.5]))
    wanted = fit(model(x).detach().double().numpy())
    made = calibrate(model, fit, lambda m: m(x))
    assert type(made) is kind
    np.testing.assert_allclose(made(x).detach().numpy(), wanted, atol=1e-5)
    assert sum(p.numel() for p in made.parameters()) == sum(p.numel() for p in model.parameters())


def test_predicting_the_prior_is_the_plateau():
    y = np.array([0, 0, 0, 1])
    assert label_entropy(y) == pytest.approx(0.5623, abs=1e-4)
    assert on_plateau(np.zeros((4, 2)), y)
    assert on_plateau(np.full((4, 2), np.nan), y)


def test_small_logits_with_a_wrong_threshold_are_not_the_plateau(student):
    logits, y = student
    assert not on_plateau(1e-3 * logits + np.array([5.0, 0.0, 0.0]), y)

"""Saliency from logits: values by hand, and each form against a plain loop."""

import math

import pytest
import torch
from torch.nn import functional

from tsdistill.saliency.measure import FORMS, saliency_loss, saliency_map, saliency_scale, window_saliency


def normalise(saliency, form):
    return saliency / saliency_scale(saliency, form)


HALF = math.log(3.0)
"""At logits (ln 3, 0) the probabilities are 3/4 and 1/4."""


def logits(B=4, M=6, K=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(B, K, generator=g, dtype=torch.double), torch.randn(
        B, M, K, generator=g, dtype=torch.double
    )


def softmax(row, tau):
    exponentials = [math.exp(z / tau) for z in row]
    return [e / sum(exponentials) for e in exponentials]


def plain_saliency(clean, perturbed, tau, form):
    rows = []
    for z, copies in zip(clean.tolist(), perturbed.tolist(), strict=True):
        p = softmax(z, tau)
        found = []
        for z_m in copies:
            q = softmax(z_m, tau)
            terms = [a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True)]
            change = [(a - b) / tau for a, b in zip(z, z_m, strict=True)]
            mean = sum(change) / len(change)
            found.append(
                {
                    "classwise": terms,
                    "summed": sum(terms),
                    "root": math.sqrt(sum(terms)),
                    "logit": [c - mean for c in change],
                }[form]
            )
        rows.append(found)
    return torch.tensor(rows, dtype=torch.double)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tau", [1.0, 8.0])
@pytest.mark.parametrize("K", [2, 5])
def test_every_form_equals_a_plain_loop(form, tau, K):
    clean, perturbed = logits(K=K)
    found = window_saliency(clean, perturbed, tau, form)
    torch.testing.assert_close(found, plain_saliency(clean, perturbed, tau, form), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("classwise", [0.75 * math.log(1.5), 0.25 * math.log(0.5)]),
        ("summed", 0.75 * math.log(1.5) + 0.25 * math.log(0.5)),
        ("root", math.sqrt(0.75 * math.log(1.5) + 0.25 * math.log(0.5))),
        ("logit", [HALF / 2, -HALF / 2]),
    ],
)
@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_values_by_hand(form, expected, tau):
    """From (3/4, 1/4) to (1/2, 1/2)."""
    clean, perturbed = torch.tensor([[HALF, 0.0]]) * tau, torch.tensor([[[7.0, 7.0]]])
    assert window_saliency(clean, perturbed, tau, form)[0, 0].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_equal_logits_have_no_saliency_and_finite_gradients(form):
    clean = torch.randn(3, 4, requires_grad=True)
    perturbed = clean.detach()[:, None].expand(3, 5, 4).clone().requires_grad_()
    saliency = window_saliency(clean, perturbed, 2.0, form)
    assert (saliency == 0).all()
    normalise(saliency, form).sum().backward()
    assert clean.grad is not None and clean.grad.isfinite().all()
    assert perturbed.grad is not None and perturbed.grad.isfinite().all()


@pytest.mark.parametrize("form", FORMS)
def test_saturated_logits_stay_finite(form):
    clean, perturbed = torch.tensor([[200.0, -200.0]]), torch.tensor([[[-200.0, 200.0]]])
    assert normalise(window_saliency(clean, perturbed, 1.0, form), form).isfinite().all()


def test_the_scale_is_the_mean_of_the_positive_entries():
    saliency = torch.tensor([[1.0, -5.0, 3.0, 0.0]])
    assert normalise(saliency, "classwise")[0].tolist() == pytest.approx([0.5, -2.5, 1.5, 0.0])
    assert normalise(saliency, "logit")[0].tolist() == pytest.approx([4 / 9, -20 / 9, 12 / 9, 0.0])


@pytest.mark.parametrize("form", FORMS)
def test_without_a_positive_entry_the_result_is_zero_not_nan(form):
    """The released code divides by the mean of an empty selection there."""
    assert (normalise(torch.zeros(2, 3, 4), form) == 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_normalised_saliency_forgets_its_scale(form):
    """So the factor tau squared of the released code cancels."""
    saliency = window_saliency(*logits(), 2.0, form)
    torch.testing.assert_close(normalise(saliency, form), normalise(64.0 * saliency, form), rtol=1e-6, atol=0)


def test_the_loss_is_smooth_l1_with_a_constant_teacher():
    student = torch.tensor([0.0, 0.0, 0.0], requires_grad=True)
    teacher = torch.tensor([0.5, -3.0, 0.0], requires_grad=True)
    loss = saliency_loss(student, teacher)
    assert loss.item() == pytest.approx((0.5 * 0.25 + 2.5 + 0.0) / 3)
    loss.backward()
    assert student.grad is not None and student.grad.tolist() == pytest.approx([-0.5 / 3, 1 / 3, 0.0])
    assert teacher.grad is None


@pytest.mark.parametrize(("width", "P"), [(1, 4), (3, 6), (7, 1), (3, 1)])
def test_the_map_equals_a_plain_loop(width, P):
    T = 7
    g = torch.Generator().manual_seed(P)
    starts = torch.randint(0, T - width + 1, (3, P), generator=g)
    saliency = torch.rand(3, P, generator=g)
    expected = torch.zeros(3, T)
    for n in range(3):
        for t in range(T):
            covering = [float(saliency[n, p]) for p in range(P) if starts[n, p] <= t < starts[n, p] + width]
            expected[n, t] = sum(covering) / len(covering) if covering else 0.0
    torch.testing.assert_close(saliency_map(starts, saliency, width, T), expected)


def test_the_summed_form_is_the_divergence_of_torch():
    clean, perturbed = logits()
    found = window_saliency(clean, perturbed, 3.0, "summed")
    p = functional.softmax(clean / 3.0, dim=-1)[:, None].expand_as(perturbed)
    q = functional.log_softmax(perturbed / 3.0, dim=-1)
    torch.testing.assert_close(found, functional.kl_div(q, p, reduction="none").sum(-1))

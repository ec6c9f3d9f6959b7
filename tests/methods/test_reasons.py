"""Losses on gradients and on changes of logits: by hand and against plain forms."""

import math

import pytest
import torch
from seen import Seen, double
from torch.nn import functional

from tsdistill.data.tensors import TensorPart
from tsdistill.methods.dual_view import DualView, dual_view_loss
from tsdistill.methods.e2kd import ExplanationMatching, explanation_loss
from tsdistill.methods.fd_raw import FiniteDifferences, difference_loss
from tsdistill.methods.gradxinput import AttributionMatching, attribution_loss, attributions
from tsdistill.methods.jacobian import JacobianMatching, jacobian_loss, top_class_gradients
from tsdistill.methods.step import Plan, Step, TeacherView
from tsdistill.methods.tsd import tsd_loss
from tsdistill.models.recurrent import GRU, LSTM

DTYPES = {torch.float64: 1e-9, torch.float32: 1e-4}


def test_jacobian_by_hand():
    """Directions (1, 0) and (0, 1) have squared distance 2; the size of a gradient does not matter."""
    student, teacher = torch.tensor([[[5.0, 0.0]], [[1.0, 1.0]]]), torch.tensor([[[0.0, 9.0]], [[2.0, 2.0]]])
    assert jacobian_loss(student, teacher).item() == pytest.approx(1.0)
    assert explanation_loss(student, teacher).item() == pytest.approx(0.5)
    assert jacobian_loss(-student, student).item() == pytest.approx(4.0)
    assert explanation_loss(-student, student).item() == pytest.approx(2.0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("B", [1, 4])
def test_gradient_losses_equal_plain_loops(dtype, B):
    student, teacher = double(B, 2, 6).to(dtype), double(B, 2, 6, seed=1).to(dtype)
    total = 0.0
    for s, t in zip(student.flatten(1).tolist(), teacher.flatten(1).tolist(), strict=True):
        a, b = (math.sqrt(sum(v * v for v in row)) for row in (s, t))
        total += sum((u / a - v / b) ** 2 for u, v in zip(s, t, strict=True))
    assert jacobian_loss(student, teacher).item() == pytest.approx(total / B, rel=DTYPES[dtype])
    # Between unit vectors, the squared distance is twice 1 - cosine.
    assert explanation_loss(student, teacher).item() == pytest.approx(total / B / 2, rel=DTYPES[dtype])


def test_gradients_of_zeros_are_finite():
    still = torch.zeros(2, 1, 5, requires_grad=True)
    for loss in (jacobian_loss, explanation_loss):
        found = loss(still, double(2, 1, 5).float())
        found.backward()
        assert found.item() == pytest.approx(1.0) and still.grad.isfinite().all()


def test_the_top_class_is_the_teachers():
    asked = []

    def gradients(classes):
        asked.append(classes.tolist())
        return torch.zeros(2, 1, 3)

    theirs = double(2, 3, 1, 3)
    step = Seen(
        torch.tensor([2, 2]),
        student_input_gradients=gradients,
        teacher_logits=torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]),
        teacher_input_gradients=theirs,
    )
    _, found = top_class_gradients(step)
    assert asked == [[1, 0]]
    assert torch.equal(found, torch.stack([theirs[0, 1], theirs[1, 0]]))


@pytest.mark.parametrize("K", [2, 4])
def test_attributions_are_those_of_autograd(K):
    """Of a linear model: x d(-log p_k)/dx by autograd, the norm over channels, of unit norm over time."""
    weight, x = double(K, 2 * 5), double(3, 2, 5, seed=1, grad=True)
    logits = x.flatten(1) @ weight.T
    gradients = weight.view(K, 2, 5).expand(3, K, 2, 5)
    found = attributions(x.detach(), logits.detach(), gradients)
    for k in range(K):
        loss = -functional.log_softmax(logits, 1)[:, k].sum()
        (by_autograd,) = torch.autograd.grad(loss, x, retain_graph=True)
        size = (x * by_autograd).square().sum(1).sqrt()
        assert torch.allclose(found[:, k], size / size.norm(dim=1, keepdim=True))


def test_attribution_loss_by_hand():
    """Two classes: (1, 0) against (0, 1) in one, equal in the other; the second series agrees."""
    student = torch.tensor([[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [1.0, 0.0]]])
    teacher = torch.tensor([[[0.0, 1.0], [0.6, 0.8]], [[1.0, 0.0], [1.0, 0.0]]])
    assert attribution_loss(student, teacher).item() == pytest.approx(1.0)
    flat = torch.zeros(1, 2, 1, 4, requires_grad=True)
    attributions(torch.ones(1, 1, 4), torch.zeros(1, 2), flat).sum().backward()
    assert flat.grad.isfinite().all()


def logits(seed=0, B=3, M=4, K=3, dtype=torch.double):
    return double(B, K, seed=seed).to(dtype), double(B, M, K, seed=seed + 5).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("B", "K"), [(1, 2), (3, 3)])
def test_changes_and_views_equal_plain_loops(dtype, B, K):
    (s, s_copies), (t, t_copies) = logits(0, B, 4, K, dtype), logits(1, B, 4, K, dtype)
    gaps, views = [], [((s - t) ** 2).flatten(), ((s_copies - t_copies) ** 2).flatten()]
    for b in range(B):
        for m in range(4):
            changes = [
                [z[b, k] - copies[b, m, k] for k in range(K)] for z, copies in ((s, s_copies), (t, t_copies))
            ]
            centred = [[float(c - sum(change) / K) for c in change] for change in changes]
            gaps += [(a - c) ** 2 for a, c in zip(*centred, strict=True)]
    found = difference_loss(s, s_copies, t, t_copies).item()
    assert found == pytest.approx(sum(gaps) / len(gaps), rel=DTYPES[dtype])
    found = dual_view_loss(s, s_copies, t, t_copies).item()
    assert found == pytest.approx(torch.cat(views).mean().item(), rel=DTYPES[dtype])


def test_differences_are_blind_to_bias_and_views_are_not():
    clean, copies = logits()
    bias = torch.tensor([1.0, -2.0, 4.0], dtype=torch.double)
    assert difference_loss(clean + bias, copies + bias, clean, copies).item() == pytest.approx(0.0, abs=1e-12)
    assert dual_view_loss(clean + bias, copies + bias, clean, copies).item() == pytest.approx(7.0)


def test_differences_are_tsd_in_its_logit_form_up_to_scale():
    """Under the teacher's scale and within beta, TSD's smooth L1 is half their square over the scale's."""
    (s, s_copies), (t, t_copies) = logits(0), logits(1)
    s, s_copies = t + 0.01 * s, t_copies + 0.01 * s_copies
    change = t[:, None] - t_copies
    scale = (change - change.mean(-1, keepdim=True)).abs().mean()
    raw = difference_loss(s, s_copies, t, t_copies)
    found = tsd_loss(s, s_copies, t, t_copies, 1.0, "logit", "teacher")
    assert found.item() == pytest.approx(float(raw / scale**2 / 2), rel=1e-6)


@pytest.mark.parametrize("kind", [DualView, FiniteDifferences])
def test_a_step_lowers_them(kind):
    (s, s_copies), (t, t_copies) = logits(0), logits(1)
    facts = {"teacher_logits": t, "teacher_perturbed": t_copies}
    s.requires_grad_(), s_copies.requires_grad_()
    before = kind()(Seen(None, student_logits=s, student_perturbed=s_copies, **facts))
    before.backward()
    with torch.no_grad():
        moved = Seen(
            None, student_logits=s - 0.01 * s.grad, student_perturbed=s_copies - 0.01 * s_copies.grad, **facts
        )
        assert kind()(moved) < before


@pytest.mark.parametrize("term", [JacobianMatching, AttributionMatching, ExplanationMatching])
@pytest.mark.parametrize("cell", [LSTM, GRU])
def test_a_recurrent_students_gradient_is_that_of_differences(term, cell):
    """Gradients of gradients through the student's own pass, padded series among them."""
    torch.manual_seed(0)
    model = cell(1, 3, hidden=4, layers=1).double()
    x, lengths = double(2, 1, 6), torch.tensor([6, 4])
    part = TensorPart(x, torch.tensor([0, 2]), lengths)
    view = TeacherView({"train": double(2, 3, seed=1)}, gradients=double(2, 3, 1, 6, seed=2))
    plan = Plan(term.needs)

    def loss():
        return term()(Step(plan, "train", torch.arange(2), part, 1, model, view))

    weight = model.layers[0].weight_hh_l0
    loss().backward()
    for at in ((0, 1), (9, 3)):
        found = []
        for change in (1e-2, -1e-2):
            with torch.no_grad():
                weight[at] += change
            found.append(loss().item())
            with torch.no_grad():
                weight[at] -= change
        assert weight.grad[at].item() == pytest.approx((found[0] - found[1]) / 2e-2, rel=1e-2, abs=1e-4)

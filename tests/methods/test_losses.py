"""Each loss against values by hand and a slow plain form; a gradient step lowers it."""

import math

import pytest
import torch
from seen import Bound, Seen, double
from torch import nn

from tsdistill.methods.base import LossTerm
from tsdistill.methods.ce import CrossEntropy
from tsdistill.methods.fitnets import Hint, hint_loss
from tsdistill.methods.kd import KnowledgeDistillation, kd_loss
from tsdistill.methods.tsd import TemporalSaliency, tsd_loss
from tsdistill.saliency.measure import FORMS

LN3 = math.log(3.0)


def softmax(row, tau):
    exponentials = [math.exp(z / tau) for z in row]
    return [e / sum(exponentials) for e in exponentials]


def test_cross_entropy_by_hand():
    step = Seen(torch.tensor([0, 1]), student_logits=torch.tensor([[LN3, 0.0], [0.0, 0.0]]))
    assert CrossEntropy()(step).item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_kd_by_hand(tau):
    """Teacher (3/4, 1/4), student (1/2, 1/2); a second series on which they agree halves the mean."""
    student = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    teacher = torch.tensor([[LN3 * tau, 0.0], [1.0, 2.0]])
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert kd_loss(student, teacher, tau).item() == pytest.approx(tau**2 * divergence / 2, rel=1e-5)


@pytest.mark.parametrize("K", [2, 3, 10])
@pytest.mark.parametrize("tau", [0.5, 1.0, 8.0])
def test_kd_equals_a_plain_loop(K, tau):
    """Summed over the classes, mean over the batch: the mean over both would be K times smaller."""
    student, teacher = double(5, K), double(5, K, seed=1)
    total = 0.0
    for z_s, z_t in zip(student.tolist(), teacher.tolist(), strict=True):
        p, q = softmax(z_t, tau), softmax(z_s, tau)
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert kd_loss(student, teacher, tau).item() == pytest.approx(tau**2 * total / 5, rel=1e-10)


def test_the_size_of_kd_gradients_hardly_depends_on_the_temperature():
    sizes = []
    for tau in (4.0, 8.0, 16.0, 32.0):
        student = double(20, 5, grad=True)
        kd_loss(student, double(20, 5, seed=1), tau).backward()
        sizes.append(float(student.grad.norm()))
    assert max(sizes) < 1.3 * min(sizes)
    # In the limit it is the difference of the centred logits over B K (Hinton 2015, section 2.1).
    student, teacher = double(20, 5), double(20, 5, seed=1)
    change = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    assert sizes[-1] == pytest.approx(float((change / 5 / 20).norm()), rel=0.05)


def plain_tsd(student, student_copies, teacher, teacher_copies, tau):
    """The class-wise form, smooth L1 of the normalised terms, in loops."""
    normalised = []
    for clean, copies in ((student, student_copies), (teacher, teacher_copies)):
        terms = []
        for z, perturbed in zip(clean.tolist(), copies.tolist(), strict=True):
            p = softmax(z, tau)
            for z_m in perturbed:
                q = softmax(z_m, tau)
                terms += [a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True)]
        positive = [term for term in terms if term > 0]
        scale = sum(positive) / len(positive) if positive else 0.0
        normalised.append([term / (scale + 1e-8) for term in terms])
    losses = []
    for a, b in zip(*normalised, strict=True):
        distance = abs(a - b)
        losses.append(0.5 * distance**2 if distance < 1 else distance - 0.5)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("tau", [1.0, 8.0])
def test_tsd_equals_a_plain_loop(tau):
    arguments = double(3, 4), double(3, 5, 4, seed=1), double(3, 4, seed=2), double(3, 5, 4, seed=3)
    found = tsd_loss(*arguments, tau, "classwise").item()
    assert found == pytest.approx(plain_tsd(*arguments, tau), rel=1e-9)


def test_tsd_by_hand():
    """One series, one window, K = 2 and the divergence proper: both models' normalised saliency is 1."""
    student, teacher = torch.tensor([[LN3, 0.0]]), torch.tensor([[0.0, 5.0]])
    copies = torch.zeros(1, 1, 2)
    assert tsd_loss(student, copies, teacher, copies, 1.0, "summed").item() == pytest.approx(0.0, abs=1e-6)
    blind = torch.zeros(1, 2)  # which sees nothing, so its saliency is 0: smooth L1 of 0 and 1
    assert tsd_loss(blind, copies, teacher, copies, 1.0, "summed").item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_tsd_of_a_model_with_itself_is_zero_and_its_gradient_finite(form):
    clean, copies = double(4, 3, grad=True), double(4, 6, 3, seed=1, grad=True)
    loss = tsd_loss(clean, copies, clean, copies, 8.0, form)
    assert loss.item() == 0
    loss.backward()
    assert clean.grad.isfinite().all() and copies.grad.isfinite().all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("blind", ["student", "teacher"])
def test_tsd_of_a_constant_predictor_is_finite(form, blind):
    clean, copies = double(4, 3), double(4, 6, 3, seed=1)
    constant, constants = torch.ones_like(clean), torch.ones_like(copies)
    student, teacher = (clean, copies), (constant, constants)
    if blind == "student":
        student, teacher = teacher, student
    leaves = [part.clone().requires_grad_() for part in student]
    loss = tsd_loss(*leaves, *teacher, 8.0, form)
    loss.backward()
    assert loss.isfinite() and all(leaf.grad.isfinite().all() for leaf in leaves)


def test_the_teacher_gets_no_gradient():
    student, copies = double(3, 4, grad=True), double(3, 5, 4, seed=1, grad=True)
    teacher, teacher_copies = double(3, 4, seed=2, grad=True), double(3, 5, 4, seed=3, grad=True)
    features, hint = double(3, 4, grad=True), double(3, 4, seed=1, grad=True)
    loss = (
        tsd_loss(student, copies, teacher, teacher_copies, 8.0, "classwise")
        + kd_loss(student, teacher, 4.0)
        + hint_loss(features, hint)
    )
    loss.backward()
    assert student.grad is not None and copies.grad is not None and features.grad is not None
    assert teacher.grad is None and teacher_copies.grad is None and hint.grad is None


def test_hint_by_hand():
    assert hint_loss(torch.tensor([[[1.0, 4.0]]]), torch.tensor([[[1.0, 1.0]]])).item() == 0.5 * 9 / 2


def test_padding_counts_in_no_hint():
    hint = double(2, 3, 4, seed=1)
    regressed = double(2, 3, 4, grad=True)
    inside = torch.tensor([[True, True, False, False], [True, True, True, False]])
    whole = [((regressed.detach()[i, :, :n] - hint[i, :, :n]) ** 2).sum() for i, n in enumerate((2, 3))]
    loss = hint_loss(regressed, hint, inside)
    assert loss.item() == pytest.approx(0.5 * float(sum(whole)) / (3 * 5))
    loss.backward()
    assert not regressed.grad[0, :, 2:].any() and not regressed.grad[1, :, 3:].any()
    assert hint_loss(regressed, hint, torch.ones(2, 4, dtype=torch.bool)).item() == pytest.approx(
        hint_loss(regressed, hint).item()
    )


def test_a_hint_of_another_length_keeps_to_the_same_part_of_the_series():
    term = Hint()
    term.bind(Bound((1, 2), (1, 2)))
    term.regressor = nn.Identity()
    step = Seen(
        torch.zeros(1, dtype=torch.int64),
        student_features=torch.zeros(1, 1, 2),
        teacher_features=torch.tensor([[[2.0, 9.0]]]),
        inside=torch.tensor([[True, True, False, False]]),
    )
    assert term(step).item() == pytest.approx(0.5 * 2.0**2)


def test_hint_regresses_widths_and_lengths():
    """Width 2 to 1 by a 1x1 convolution, length 2 to 3 by linear interpolation with aligned ends."""
    term = Hint()
    term.bind(Bound((1, 3), (2, 2)))
    assert isinstance(term.regressor, nn.Conv1d) and term.regressor.kernel_size == (1,)
    with torch.no_grad():
        term.regressor.weight.copy_(torch.tensor([[[1.0], [10.0]]]))
        term.regressor.bias.fill_(0.5)
    step = Seen(
        torch.zeros(1, dtype=torch.int64),
        student_features=torch.tensor([[[1.0, 3.0], [2.0, 4.0]]]),  # regressed: 21.5 and 43.5
        teacher_features=torch.tensor([[[21.5, 32.5, 40.5]]]),
    )
    assert term(step).item() == pytest.approx(0.5 * 3.0**2 / 3)


TERMS = [CrossEntropy(), KnowledgeDistillation(4.0), *(TemporalSaliency(8.0, form) for form in FORMS), Hint()]


@pytest.mark.parametrize("term", TERMS, ids=lambda t: f"{type(t).__name__}-{getattr(t, 'form', '')}")
def test_gradient_steps_lower_the_loss(term):
    logits, copies, features = (
        double(6, 3, grad=True),
        double(6, 4, 3, seed=1, grad=True),
        double(6, 2, 5, seed=2, grad=True),
    )
    if isinstance(term, Hint):
        term.bind(Bound((3, 5), (2, 5)))
        term.double()
    leaves = [logits, copies, features, *term.parameters()]
    optimizer = torch.optim.Adam(leaves, 0.01)
    losses = []
    for _ in range(30):
        step = Seen(
            torch.tensor([0, 1, 2] * 2),
            student_logits=logits,
            teacher_logits=double(6, 3, seed=5),
            student_features=features,
            teacher_features=double(6, 3, 5, seed=6),
            student_perturbed=copies,
            teacher_perturbed=double(6, 4, 3, seed=7),
        )
        optimizer.zero_grad()
        losses.append(term(step))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.95 * losses[0]


def test_a_term_without_a_loss_says_so():
    with pytest.raises(TypeError, match="LossTerm does not define forward"):
        LossTerm()(Seen(torch.zeros(1)))

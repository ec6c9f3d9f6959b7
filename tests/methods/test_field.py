"""The field's losses on features and logits: by hand, against slow plain forms, and where numbers run out."""

import itertools
import math

import pytest
import torch
from seen import Bound, Seen, double
from torch.nn import functional

from tsdistill.config.schema import Kernel
from tsdistill.kernels import choice
from tsdistill.methods.at import AttentionTransfer, attention_loss
from tsdistill.methods.crd import ContrastiveDistillation, contrastive_loss
from tsdistill.methods.dkd import DecoupledDistillation, dkd_parts
from tsdistill.methods.dt2w import TimeWarping, projected_soft_dtw, soft_dtw
from tsdistill.methods.kd import kd_loss
from tsdistill.methods.memkd import MemoryTransfer, memory_loss
from tsdistill.methods.pairs import FeaturePair, PooledPair, pooled
from tsdistill.methods.pkt import ProbabilisticTransfer, pkt_loss
from tsdistill.methods.rkd import RelationAngle, RelationDistance, angle_loss, distance_loss
from tsdistill.methods.sp import SimilarityPreserving, similarity_loss
from tsdistill.methods.vid import VariationalInformation, gaussian_nll

DTYPES = {torch.float64: 1e-9, torch.float32: 2e-4}
INSIDE = torch.tensor([[True] * 5 + [False] * 2, [True] * 7, [True] * 3 + [False] * 4])


def smooth(gap):
    gap = abs(gap)
    return 0.5 * gap**2 if gap < 1 else gap - 0.5


def norm(row):
    return math.sqrt(sum(v * v for v in row))


def minus(a, b):
    return [u - v for u, v in zip(a, b, strict=True)]


def dot(a, b):
    return sum(u * v for u, v in zip(a, b, strict=True))


def scaled(row):
    size = norm(row)
    return [v / size if size else 0.0 for v in row]


# ------------------------------------------------------------------------------------------ slow plain forms


def plain_distance(student, teacher):
    def relative(rows):
        found = [norm(minus(a, b)) for a in rows for b in rows]
        positive = [d for d in found if d > 0]
        mean = sum(positive) / len(positive) if positive else 1.0
        return [d / mean for d in found]

    pairs = zip(relative(student), relative(teacher), strict=True)
    return sum(smooth(a - b) for a, b in pairs) / len(student) ** 2


def plain_angle(student, teacher):
    def cosines(rows):
        return [dot(scaled(minus(a, at)), scaled(minus(b, at))) for at in rows for a in rows for b in rows]

    pairs = zip(cosines(student), cosines(teacher), strict=True)
    return sum(smooth(a - b) for a, b in pairs) / len(student) ** 3


def plain_similarity(student, teacher):
    def gram(rows):
        return [scaled([dot(a, b) for b in rows]) for a in rows]

    gaps = [minus(a, b) for a, b in zip(gram(student), gram(teacher), strict=True)]
    return sum(dot(gap, gap) for gap in gaps) / len(student) ** 2


def plain_pkt(student, teacher):
    def neighbours(rows):
        similar = [[(dot(scaled(a), scaled(b)) + 1) / 2 for b in rows] for a in rows]
        return [v / sum(row) for row in similar for v in row]

    pairs = zip(neighbours(student), neighbours(teacher), strict=True)
    return sum(t * math.log((t + 1e-7) / (s + 1e-7)) for s, t in pairs) / len(student) ** 2


def plain_crd(student, teacher, y=(0, 1, 2, 0, 1), tau=0.5):
    scores = [[dot(scaled(a), scaled(b)) / tau for b in teacher] for a in student]
    total = 0.0
    for i, j in itertools.product(range(2), range(len(student))):
        others = [k for k in range(len(student)) if k == j or y[k] != y[j]]
        seen = [scores[j][k] if i == 0 else scores[k][j] for k in others]
        total += math.log(sum(map(math.exp, seen))) - scores[j][j]
    return total / len(student)


ROWS = {
    "distance": (distance_loss, plain_distance),
    "angle": (angle_loss, plain_angle),
    "sp": (similarity_loss, plain_similarity),
    "pkt": (pkt_loss, plain_pkt),
    "crd": (lambda s, t: contrastive_loss(s, t, torch.arange(len(s)) % 3, 0.5), plain_crd),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ROWS)
def test_row_losses_equal_plain_loops(name, dtype):
    loss, plain = ROWS[name]
    student, teacher = double(5, 4).to(dtype), double(5, 4, seed=1).to(dtype)
    teacher[3] = teacher[1]  # equal rows, a zero distance among them
    student[2] = 0.0
    found = loss(student, teacher)
    assert found.dtype is dtype
    assert found.item() == pytest.approx(plain(student.tolist(), teacher.tolist()), rel=DTYPES[dtype])


@pytest.mark.parametrize("case", ["one series", "equal rows", "zeros"])
@pytest.mark.parametrize("name", ROWS)
def test_row_losses_stay_finite_where_there_is_nothing_to_compare(name, case):
    student = {"one series": double(1, 4), "equal rows": double(1, 4).expand(3, 4)}.get(case)
    student = torch.zeros(3, 4, dtype=torch.double) if student is None else student.clone()
    student.requires_grad_()
    loss = ROWS[name][0](student, student.detach().clone() if case == "one series" else double(3, 4, seed=1))
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all()
    if case == "one series":
        assert loss.item() == pytest.approx(0.0, abs=1e-12) and not student.grad.abs().max() > 1e-12


@pytest.mark.parametrize("name", ["distance", "angle", "sp", "pkt"])
def test_relations_of_a_model_with_itself_are_equal_and_a_step_lowers_the_loss(name):
    loss, same = ROWS[name][0], double(6, 4)
    assert loss(same, same).item() == pytest.approx(0.0, abs=1e-12)
    student, teacher = double(6, 4, grad=True), double(6, 3, seed=1)
    before = loss(student, teacher)
    before.backward()
    assert loss(student - 1e-3 * student.grad / student.grad.norm(), teacher) < before


def test_rkd_by_hand():
    """Points on a line at 0, 1, 3: distances 1, 2, 3 of mean 2; the teacher's at 0, 1, 2: 1, 1, 2 of 4/3.

    Cosines at a point between two others are -1, else 1; the order is the same, so all angles agree.
    """
    student, teacher = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.0], [1.0], [2.0]])
    gaps = [1 / 2 - 3 / 4, 3 / 2 - 3 / 2, 2 / 2 - 3 / 4]
    expected = 2 * sum(0.5 * gap**2 for gap in gaps) / 9
    assert distance_loss(student, teacher).item() == pytest.approx(expected)
    assert angle_loss(student, teacher).item() == pytest.approx(0.0)
    turned = torch.tensor([[0.0], [3.0], [1.0]])  # now the third lies between: four triples change by 2
    assert angle_loss(student, turned).item() == pytest.approx(4 * 1.5 / 27)


def test_angles_in_pieces_are_those_of_one(monkeypatch):
    student, teacher = double(7, 3, grad=True), double(7, 5, seed=1)
    whole = angle_loss(student, teacher)
    (expected,) = torch.autograd.grad(whole, student)
    monkeypatch.setattr("tsdistill.methods.rkd.LARGEST_PIECE", 100)
    cut = angle_loss(student, teacher)
    assert cut.item() == pytest.approx(whole.item())
    assert torch.allclose(torch.autograd.grad(cut, student)[0], expected)


def test_sp_by_hand():
    """Orthogonal against equal rows: unit rows (1, 0) against (1, 1) / sqrt 2, over B^2."""
    student, teacher = torch.eye(2), torch.ones(2, 2)
    gap = (1 - 1 / math.sqrt(2)) ** 2 + 1 / 2
    assert similarity_loss(student, teacher).item() == pytest.approx(2 * gap / 4)


def test_pkt_by_hand():
    """Orthogonal rows: probabilities 2/3 and 1/3; opposite rows: 1 and 0."""
    student, teacher = torch.eye(2), torch.tensor([[1.0], [-1.0]])
    assert pkt_loss(student, teacher).item() == pytest.approx(2 * math.log(3 / 2) / 4, rel=1e-5)


def test_crd_by_hand_and_series_of_one_class_are_no_negatives():
    rows = torch.eye(2)
    expected = 2 * (math.log(math.e + 1) - 1)
    assert contrastive_loss(rows, rows, torch.tensor([0, 1]), 1.0).item() == pytest.approx(expected)
    assert contrastive_loss(rows, rows, torch.tensor([1, 1]), 1.0).item() == 0.0


# ---------------------------------------------------------------------------------------------- logits: DKD


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_dkd_with_two_classes_is_kd(tau):
    student, teacher, y = double(6, 2), double(6, 2, seed=1), torch.arange(6) % 2
    tckd, nckd = dkd_parts(student, teacher, y, tau)
    assert nckd.item() == 0.0
    assert tckd.item() == pytest.approx(kd_loss(student, teacher, tau).item())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dkd_splits_kd_as_published(dtype):
    """KD = TCKD + (1 - p_target) NCKD for one series (equation 6)."""
    for seed in range(3):
        student, teacher = double(1, 5, seed=seed).to(dtype), double(1, 5, seed=seed + 9).to(dtype)
        tckd, nckd = dkd_parts(student, teacher, torch.tensor([seed]), 2.0)
        rest = 1 - torch.softmax(teacher / 2, 1)[0, seed]
        whole = kd_loss(student, teacher, 2.0).item()
        assert (tckd + rest * nckd).item() == pytest.approx(whole, rel=DTYPES[dtype])


def test_dkd_by_hand():
    """Teacher (1/2, 1/4, 1/4), student uniform, target 0: TCKD of (1/2, 1/2) and (1/3, 2/3), NCKD 0."""
    teacher = torch.tensor([[math.log(2.0), 0.0, 0.0]])
    tckd, nckd = dkd_parts(torch.zeros(1, 3), teacher, torch.tensor([0]), 1.0)
    assert tckd.item() == pytest.approx(0.5 * math.log(3 / 2) + 0.5 * math.log(3 / 4), rel=1e-5)
    assert nckd.item() == pytest.approx(0.0, abs=1e-7)


def test_dkd_of_a_certain_teacher_is_finite():
    student = torch.zeros(2, 3, requires_grad=True)
    teacher = torch.tensor([[1e4, 0.0, -1e4], [-1e4, 0.0, 1e4]])
    loss = sum(dkd_parts(student, teacher, torch.tensor([0, 0]), 1.0))
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all()


def test_dkd_warms_up_the_gradient_and_not_the_value():
    values, sizes = [], []
    for epoch in (1, 10, 20, 30):
        student = double(4, 3, grad=True)
        step = Seen(
            torch.tensor([0, 1, 2, 0]),
            epoch=epoch,
            student_logits=student,
            teacher_logits=double(4, 3, seed=1),
        )
        loss = DecoupledDistillation(warmup=20)(step)
        loss.backward()
        values.append(loss.item())
        sizes.append(student.grad.norm().item())
    assert values == pytest.approx([values[0]] * 4)
    assert [size / sizes[3] for size in sizes] == pytest.approx([0.05, 0.5, 1.0, 1.0])
    with pytest.raises(ValueError, match="warmup=0 should be 1 or more"):
        DecoupledDistillation(warmup=0)


# --------------------------------------------------------------------------------------- sequences: AT, VID


def plain_attention(student, teacher, inside):
    def attention(sequence, kept):
        return scaled([sum(row[t] ** 2 for row in sequence) / len(sequence) * k for t, k in enumerate(kept)])

    total, counted = 0.0, 0
    for s, t, kept in zip(student, teacher, inside, strict=True):
        gap = minus(attention(s, kept), attention(t, kept))
        total, counted = total + dot(gap, gap), counted + sum(kept)
    return total / counted


@pytest.mark.parametrize("inside", [None, INSIDE], ids=["whole", "padded"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_at_equals_a_plain_loop(dtype, inside):
    student, teacher = double(3, 2, 7).to(dtype), double(3, 4, 7, seed=1).to(dtype)
    student[0] = 0.0
    kept = torch.ones(3, 7, dtype=torch.bool) if inside is None else inside
    expected = plain_attention(student.tolist(), teacher.tolist(), kept.int().tolist())
    assert attention_loss(student, teacher, inside).item() == pytest.approx(expected, rel=DTYPES[dtype])


def test_at_by_hand():
    """Energy at one step against energy at the other: (1, 0) and (0, 1), mean over two steps."""
    student, teacher = torch.tensor([[[3.0, 0.0]]]), torch.tensor([[[0.0, 1.0], [0.0, 2.0]]])
    assert attention_loss(student, teacher).item() == pytest.approx(1.0)


def test_vid_by_hand_and_padding_does_not_count():
    mean, hint = torch.tensor([[[1.0, 9.0]]]), torch.tensor([[[3.0, 0.0]]])
    inside = torch.tensor([[True, False]])
    expected = 0.5 * (4 / 2 + math.log(2))
    assert gaussian_nll(mean, torch.tensor([2.0]), hint, inside).item() == pytest.approx(expected)


def test_vid_equals_the_library_and_its_variance_starts_at_five_and_is_trained():
    mean, hint, variance = double(3, 2, 5), double(3, 2, 5, seed=1), torch.tensor([0.5, 3.0])
    spread = variance[:, None].double().expand(3, 2, 5)
    library = functional.gaussian_nll_loss(mean, hint, spread)
    assert gaussian_nll(mean, variance.double(), hint).item() == pytest.approx(library.item())
    term = VariationalInformation()
    term.bind(Bound((3, 5), (2, 5)))
    assert torch.allclose(term.variance, torch.full((3,), 5.0))
    term(Seen(None, student_features=torch.randn(2, 2, 5), teacher_features=torch.randn(2, 3, 5))).backward()
    assert term.raw_variance.grad.abs().min() > 0 and "raw_variance" in term.state_dict()


# ---------------------------------------------------------------------------------------- sequences: Soft-DTW


def plain_soft_dtw(student, teacher, gamma):
    """Sum over all monotone paths, as the recursion of Cuturi and Blondel does it, in loops; (D, T) each."""
    n, m = student.shape[1], teacher.shape[1]
    found = {(i, j): math.inf for i in range(n + 1) for j in range(m + 1)}
    found[0, 0] = 0.0
    for i, j in itertools.product(range(1, n + 1), range(1, m + 1)):
        before = [found[i - 1, j], found[i, j - 1], found[i - 1, j - 1]]
        low = min(before)
        soft = low - gamma * math.log(sum(math.exp((low - b) / gamma) for b in before))
        gap = minus(student[:, i - 1].tolist(), teacher[:, j - 1].tolist())
        found[i, j] = soft + dot(gap, gap)
    return found[n, m]


@pytest.fixture(params=["torch", "fused"])
def either_kernel(request):
    """Anti-diagonals in PyTorch, and the compiled kernel where numba is there."""
    if request.param == "fused":
        pytest.importorskip("numba")
    choice.choose(Kernel[request.param])
    yield
    choice.choose(Kernel.auto)


def test_the_compiled_soft_dtw_is_that_of_anti_diagonals():
    """Values and gradients to 1e-6, of ends that differ, of costs from none to far above gamma."""
    pytest.importorskip("numba")
    for T, gamma, size in ((1, 1.0, 1.0), (2, 0.3, 0.0), (9, 2.0, 3.0), (30, 0.01, 50.0)):
        student, teacher = size * double(4, 2, T), size * double(4, 2, T, seed=1)
        inside = torch.arange(T) < torch.tensor([T, 1, (T + 1) // 2, T])[:, None]
        found = []
        for kernel in (Kernel.torch, Kernel.fused):
            choice.choose(kernel)
            ours = student.clone().requires_grad_()
            warped = soft_dtw(ours, teacher, gamma, inside)
            assert choice.used()["kernel"] == kernel.value
            found.append([warped, *torch.autograd.grad((warped * torch.arange(1, 5)).sum(), ours)])
        choice.choose(Kernel.auto)
        torch.testing.assert_close(*found, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("inside", [None, INSIDE], ids=["whole", "padded"])
def test_soft_dtw_of_a_projection_is_that_of_the_projected(inside):
    """Values, and gradients of sequence, weight and bias."""
    leaves = [double(3, 2, 7, grad=True), double(5, 2, seed=2, grad=True), double(5, seed=3, grad=True)]
    teacher, found = double(3, 5, 7, seed=1), []
    for warped in (
        soft_dtw(functional.conv1d(leaves[0], leaves[1][:, :, None], leaves[2]), teacher, 0.7, inside),
        projected_soft_dtw(*leaves, teacher, 0.7, inside),
    ):
        found.append([warped, *torch.autograd.grad((warped * torch.arange(1, 4)).sum(), leaves)])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("either_kernel")
def test_soft_dtw_keeps_nan_to_its_series():
    student = double(3, 2, 6)
    student[1, 0, 2] = torch.nan
    found = soft_dtw(student, double(3, 2, 6, seed=1), 1.0)
    assert found.isnan().tolist() == [False, True, False]


@pytest.mark.usefixtures("either_kernel")
@pytest.mark.parametrize("gamma", [0.1, 1.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_soft_dtw_equals_a_plain_loop(dtype, gamma):
    student, teacher = double(3, 2, 7).to(dtype), double(3, 2, 7, seed=1).to(dtype)
    for inside in (None, INSIDE):
        lengths = [7, 7, 7] if inside is None else inside.sum(1).tolist()
        expected = [
            plain_soft_dtw(s[:, :n], t[:, :n], gamma)
            for s, t, n in zip(student, teacher, lengths, strict=True)
        ]
        assert soft_dtw(student, teacher, gamma, inside).tolist() == pytest.approx(
            expected, rel=DTYPES[dtype]
        )


@pytest.mark.usefixtures("either_kernel")
def test_soft_dtw_by_hand():
    """One step has one path. Two equal steps have three paths of cost 0: -gamma log 3."""
    assert soft_dtw(torch.tensor([[[3.0]]]), torch.tensor([[[1.0]]]), 1.0).item() == pytest.approx(4.0)
    zeros = torch.zeros(1, 2, 2)
    assert soft_dtw(zeros, zeros, 2.0).item() == pytest.approx(-2 * math.log(3), rel=1e-6)


@pytest.mark.usefixtures("either_kernel")
@pytest.mark.parametrize("inside", [None, INSIDE], ids=["whole", "padded"])
def test_the_gradient_of_soft_dtw_is_that_of_differences(inside):
    student, teacher = double(3, 2, 7, grad=True), double(3, 2, 7, seed=1)
    torch.autograd.gradcheck(lambda s: soft_dtw(s, teacher, 0.7, inside), (student,))
    if inside is not None:
        (gradient,) = torch.autograd.grad(soft_dtw(student, teacher, 0.7, inside).sum(), student)
        assert not gradient.masked_select(~inside[:, None]).any()


@pytest.mark.usefixtures("either_kernel")
def test_soft_dtw_of_far_sequences_is_finite():
    student = (100 * double(2, 3, 50)).float().requires_grad_()
    loss = soft_dtw(student, torch.zeros(2, 3, 50), 0.01).sum()
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all() and student.grad.any()


# ------------------------------------------------------------------------------------------- sequences: MemKD


def plain_memory(student, teacher, pairs, inside):
    def moved(sequence, s, e):
        first, second = sequence[:, s].tolist(), sequence[:, e].tolist()
        return norm(minus(second, first)) / (norm(first) + 1e-8)

    gaps = [
        smooth(moved(student[b], s, e) - moved(teacher[b], s, e))
        for b in range(len(student))
        for s, e in pairs
        if inside[b, e]
    ]
    return sum(gaps) / len(gaps)


@pytest.mark.parametrize("inside", [None, INSIDE], ids=["whole", "padded"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_memkd_equals_a_plain_loop(dtype, inside):
    student, teacher = double(3, 2, 7).to(dtype), double(3, 4, 7, seed=1).to(dtype)
    pairs = [(0, 6), (2, 3), (1, 4), (0, 1)]
    starts, ends = torch.tensor(pairs).T
    kept = torch.ones(3, 7, dtype=torch.bool) if inside is None else inside
    expected = plain_memory(student, teacher, pairs, kept)
    found = memory_loss(student, teacher, starts, ends, inside).item()
    assert found == pytest.approx(expected, rel=DTYPES[dtype])


def test_memkd_by_hand():
    """From (3, 4) to (3, 0) the state moves by 4 / 5; from 1 to 3 by 2 / 1: smooth L1 of 1.2 is 0.7."""
    student, teacher = torch.tensor([[[3.0, 3.0], [4.0, 0.0]]]), torch.tensor([[[1.0, 3.0]]])
    first, second = torch.tensor([0]), torch.tensor([1])
    assert memory_loss(student, teacher, first, second).item() == pytest.approx(0.7)
    still = torch.zeros(1, 2, 2, requires_grad=True)
    memory_loss(still, teacher, first, second).backward()
    assert still.grad.isfinite().all()


def test_memkd_draws_ordered_pairs_and_the_same_ones_in_validation():
    term = MemoryTransfer(pairs=500)
    starts, ends = term._drawn(4)
    assert (starts < ends).all()
    counts = torch.bincount(4 * starts + ends, minlength=16)
    assert sorted(counts[counts > 0].tolist())[0] > 50 and (counts > 0).sum() == 6
    term.eval()
    assert all(map(torch.equal, term._drawn(9), term._drawn(9)))


# ----------------------------------------------------------------------------------------------- all of them


def test_pooling_ignores_padding():
    sequence = torch.arange(7.0).expand(3, 1, 7)
    assert pooled(sequence, INSIDE, "mean").flatten().tolist() == [2.0, 3.0, 1.0]
    assert pooled(sequence, INSIDE, "last").flatten().tolist() == [4.0, 6.0, 2.0]
    assert pooled(sequence, INSIDE, "flat").sum(1).tolist() == [10.0, 21.0, 3.0]
    assert pooled(sequence, None, "mean").flatten().tolist() == [3.0] * 3
    assert pooled(sequence, None, "last").flatten().tolist() == [6.0] * 3
    with pytest.raises(ValueError, match="pool=max is not one of mean, last, flat"):
        pooled(sequence, None, "max")


PAIRS = [
    *(RelationDistance, RelationAngle, AttentionTransfer, VariationalInformation, SimilarityPreserving),
    *(ProbabilisticTransfer, ContrastiveDistillation, TimeWarping),
]


@pytest.mark.parametrize("kind", PAIRS)
def test_widths_and_lengths_may_differ_and_padding_has_no_gradient(kind):
    term = kind()
    term.bind(Bound((5, 7), (3, 7)))
    student = torch.randn(3, 3, 7, requires_grad=True)
    term(
        Seen(torch.arange(3), inside=INSIDE, student_features=student, teacher_features=torch.randn(3, 5, 7))
    )
    other = torch.randn(3, 3, 4, requires_grad=True)
    y = torch.arange(3)
    for mine in (student, other):
        term(Seen(y, inside=INSIDE, student_features=mine, teacher_features=torch.randn(3, 5, 7))).backward()
        assert mine.grad.isfinite().all() and mine.grad.any()
    assert not student.grad.masked_select(~INSIDE[:, None]).any()


def test_half_precision_features_are_compared_in_the_teachers_precision():
    assert issubclass(PooledPair, FeaturePair)
    student = torch.randn(4, 3, 7).bfloat16().requires_grad_()
    for kind in PAIRS:
        term = kind()
        term.bind(Bound((5, 7), (3, 7)))
        loss = term(Seen(torch.arange(4), student_features=student, teacher_features=torch.randn(4, 5, 7)))
        loss.backward()
        assert loss.dtype is torch.float32 and student.grad.isfinite().all()

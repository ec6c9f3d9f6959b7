"""A stage at work: what it trains, what it leaves alone, and that rows and answers stay in step."""

import copy
import gc
import weakref

import pytest
import torch
from torch import nn

from tsdistill.config.schema import TrainingConf
from tsdistill.data.tensors import TensorPart
from tsdistill.errors import TsdistillError
from tsdistill.methods import stage as stage_module
from tsdistill.methods.base import LossTerm
from tsdistill.methods.ce import CrossEntropy
from tsdistill.methods.fitnets import Hint
from tsdistill.methods.kd import KnowledgeDistillation
from tsdistill.methods.stage import Stage, StageTask
from tsdistill.methods.step import TeacherView
from tsdistill.methods.tsd import TemporalSaliency
from tsdistill.models.fcn import FCN
from tsdistill.models.recurrent import LSTM
from tsdistill.saliency.draws import References, draw_pool
from tsdistill.saliency.pools import pool_logits
from tsdistill.saliency.source import CachedWindows
from tsdistill.training.loop import fit

N, V, T, W = 14, 6, 10, 3


def parts():
    g = torch.Generator().manual_seed(0)
    return {
        "train": TensorPart(torch.randn(N, 1, T, generator=g), torch.arange(N) % 2),
        "validation": TensorPart(torch.randn(V, 1, T, generator=g), torch.arange(V) % 2),
    }


def fcn(seed, filters=(4, 6, 5)):
    torch.manual_seed(seed)
    return FCN(1, 2, filters=filters, kernels=(3, 3, 3))


def view_of(teacher, data, M=4):
    """A teacher with cached logits and a cached pool."""
    with torch.no_grad():
        logits = {name: teacher(part.x) for name, part in data.items()}
    references = References(data["train"].x, data["train"].y)
    limits = torch.full((N,), T - W + 1)
    pool = draw_pool(references, data["train"].y, limits, T - W + 1, torch.Generator().manual_seed(0))
    answers = pool_logits(teacher, data["train"], pool, references, W)
    windows = CachedWindows(pool, answers, references, W, M, "uniform", torch.Generator().manual_seed(1))
    return TeacherView(logits, windows=windows, network=teacher)


def frozen(seed=1):
    teacher = fcn(seed, (6, 8, 6)).train()
    teacher(torch.randn(9, 1, T))  # running statistics of its own
    return teacher.eval().requires_grad_(False)


def trained(task, epochs=3, listener=None, **settings):
    conf = TrainingConf(epochs=epochs, batch_size=4, lr=0.01, **settings)
    generator = torch.Generator().manual_seed(0)
    return fit(
        task,
        conf,
        rows=N,
        validated=True,
        generator=generator,
        device=torch.device("cpu"),
        listener=listener,
    )


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def moved(before, model):
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def hint_stage():
    return Stage("hint", {"hint": Hint()}, {"hint": 1.0}, monitor="hint")


def whole_stage():
    terms = {"ce": CrossEntropy(), "kd": KnowledgeDistillation(), "tsd": TemporalSaliency(), "hint": Hint()}
    return Stage("train", terms, dict.fromkeys(terms, 1.0))


@pytest.mark.parametrize("make", [hint_stage, whole_stage])
def test_the_teacher_is_frozen_and_in_eval_mode_and_its_running_statistics_stand_still(make):
    """Under no_grad alone, a teacher in train mode would still move them."""
    teacher, data = frozen(), parts()
    before, modes = state(teacher), []
    task = StageTask(fcn(0), make(), view_of(teacher, data), data)
    handle = teacher.register_forward_hook(lambda module, *_: modes.append(module.training))
    trained(task, monitor="hint")
    task.train()
    handle.remove()
    assert not moved(before, teacher)
    assert not any(module.training for module in teacher.modules())
    assert not any(modes)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    teachers = {id(parameter) for parameter in teacher.parameters()}
    assert not teachers & {id(parameter) for parameter in task.parameters()}
    assert not any(name.startswith("_teacher") for name, _ in task.named_modules())


def test_the_first_stage_of_fitnets_trains_the_regressor_and_nothing_above_the_guided_layer():
    teacher, data, student = frozen(), parts(), fcn(0)
    task = StageTask(student, hint_stage(), view_of(teacher, data), data)
    before, regressor = state(student), state(task.terms["hint"].regressor)
    values = []
    trained(task, epochs=4, monitor="hint", listener=lambda _, v: values.append(v["train/hint"]))
    assert moved(regressor, task.terms["hint"].regressor) == {"weight", "bias"}
    changed = moved(before, student)
    assert {name for name in before if name.startswith(("blocks.0", "blocks.1"))} == changed
    assert not any(name.startswith(("blocks.2", "head")) for name in changed)
    assert values[-1] < values[0]


def test_the_regressor_is_stored_and_restored_with_the_best_weights():
    teacher, data = frozen(), parts()
    task = StageTask(fcn(0), hint_stage(), view_of(teacher, data), data)
    assert {"terms.hint.regressor.weight", "terms.hint.regressor.bias"} <= set(task.state_dict())
    seen = []
    result = trained(
        task, epochs=12, patience=2, monitor="hint", listener=lambda *_: seen.append(state(task))
    )
    assert not moved(seen[result.best_epoch - 1], task)


class SameRow(LossTerm):
    """Holds the teacher's logits and windows against the row number that the series itself carries."""

    def __init__(self, windows):
        super().__init__()
        self.needs = frozenset({"teacher_logits", "windows"} if windows else {"teacher_logits"})
        self.seen = []

    def forward(self, step):
        rows = step.student.logits[:, 0].detach()
        assert torch.equal(step.teacher.logits[:, 0], rows)
        assert torch.equal(step.y.float(), rows % 2)
        if "windows" in self.needs:
            # A perturbed series tells its row and its start; the pool's answers must say the same.
            assert torch.equal(step.teacher.perturbed, step.student.perturbed.detach())
            assert torch.equal(step.student.perturbed[:, :, 0].detach(), rows[:, None].expand(-1, 4))
        self.seen += rows.tolist()
        return step.student.logits.sum() * 0.0


class RowAndStart(nn.Module):
    """Reads a series' row number at its last step and the place of the first replaced step."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        replaced = x[:, 0, :-1] < 0
        start = torch.where(replaced.any(1), replaced.float().argmax(1).float(), -1.0)
        return torch.stack([x[:, 0, -1], start], dim=1) + self.unused


@pytest.mark.parametrize("windows", [False, True])
def test_cached_answers_stay_in_step_with_shuffled_rows(windows, monkeypatch):
    monkeypatch.setattr(stage_module, "EVALUATION_BATCH", 4)
    x = torch.zeros(N, 1, T)
    x[:, 0, -1] = torch.arange(N)
    validation = torch.zeros(V, 1, T)
    validation[:, 0, -1] = torch.arange(V)
    data = {
        "train": TensorPart(x, torch.arange(N) % 2),
        "validation": TensorPart(validation, torch.arange(V) % 2),
    }
    model = RowAndStart()
    references = References(torch.full((N, 1, T), -1.0), data["train"].y)
    limits = torch.full((N,), T - W)  # the last step, which tells the row, is left alone
    pool = draw_pool(references, data["train"].y, limits, T - W, torch.Generator().manual_seed(0))
    answers = pool_logits(model.eval().requires_grad_(False), data["train"], pool, references, W)
    source = CachedWindows(pool, answers, references, W, 4, "uniform", torch.Generator().manual_seed(1))
    logits = {name: torch.arange(len(part)).float()[:, None].expand(-1, 2) for name, part in data.items()}
    term = SameRow(windows)
    task = StageTask(
        RowAndStart(), Stage("s", {"t": term}, {"t": 1.0}), TeacherView(logits, windows=source), data
    )
    conf = TrainingConf(epochs=2, batch_size=4)
    fit(
        task,
        conf,
        rows=N,
        validated=True,
        generator=torch.Generator().manual_seed(2),
        device=torch.device("cpu"),
    )
    told = 0 if windows else V  # a term that needs windows has none on validation
    assert sorted(term.seen) == sorted([*range(N), *range(told)] * 2)
    assert term.seen[:N] != list(range(N))


def test_tsd_with_kd_is_the_sum_of_its_terms_by_value():
    teacher, data, student = frozen(), parts(), fcn(0)
    weights = {"ce": 1.0, "tsd": 0.7, "kd": 0.1}
    terms = {"ce": CrossEntropy(), "tsd": TemporalSaliency(), "kd": KnowledgeDistillation()}
    rows = torch.tensor([3, 0, 9, 5])

    def step(names):
        stage = Stage("s", {n: copy.deepcopy(terms[n]) for n in names}, {n: weights[n] for n in names})
        task = StageTask(copy.deepcopy(student), stage, view_of(teacher, data), data)
        found = task.step(rows, 1)
        found["loss"].backward()
        return found, [p.grad for p in task.student.parameters()]

    both, gradient = step(["ce", "tsd", "kd"])
    tsd, tsd_gradient = step(["ce", "tsd"])
    kd, kd_gradient = step(["kd"])
    assert torch.equal(both["tsd"], tsd["tsd"]) and both["ce"] == tsd["ce"]
    torch.testing.assert_close(both["kd"], kd["kd"])
    torch.testing.assert_close(both["loss"], tsd["loss"] + kd["loss"])
    assert both["loss"].item() == pytest.approx(sum(weights[n] * both[n].item() for n in weights), rel=1e-6)
    for whole, part, other in zip(gradient, tsd_gradient, kd_gradient, strict=True):
        torch.testing.assert_close(whole, part + other, rtol=1e-4, atol=1e-6)


def test_validation_leaves_out_what_only_training_rows_have():
    teacher, data = frozen(), parts()
    task = StageTask(fcn(0), whole_stage(), view_of(teacher, data), data)
    task.train(False)
    values = task.validate()
    assert set(values) == {"loss", "ce", "kd", "hint"}
    assert values["loss"] == pytest.approx(values["ce"] + values["kd"] + values["hint"], rel=1e-6)


@pytest.mark.parametrize("batch", [1, 4, 5, 100])
def test_validation_values_are_means_over_series_however_it_is_chunked(batch, monkeypatch):
    teacher, data = frozen(), parts()
    task = StageTask(
        fcn(0), Stage("s", {"kd": KnowledgeDistillation()}, {"kd": 2.0}), view_of(teacher, data), data
    )
    task.train(False)
    whole = task.validate()
    monkeypatch.setattr(stage_module, "EVALUATION_BATCH", batch)
    assert task.validate() == pytest.approx(whole, rel=1e-5)
    assert whole["loss"] == pytest.approx(2 * whole["kd"]) and "ce" in whole


def test_nothing_is_computed_that_no_term_needs():
    data, student = parts(), LSTM(1, 2, hidden=3, layers=1)

    class Refuses:
        def draw(self, rows, x):
            raise AssertionError("no term needs windows")

    task = StageTask(
        student, Stage("s", {"ce": CrossEntropy()}, {"ce": 1.0}), TeacherView({}, windows=Refuses()), data
    )
    assert set(task.step(torch.arange(4), 1)) == {"loss", "ce"}


def test_features_come_from_the_clean_series_alone():
    teacher, data, student = frozen(), parts(), LSTM(1, 2, hidden=4, layers=1)
    shapes = []

    class Watched(Hint):
        def forward(self, step):
            shapes.append(tuple(step.student.features(self._guided).shape))
            shapes.append(tuple(step.teacher.features(self._hint).shape))
            return super().forward(step)

    terms = {"hint": Watched(), "tsd": TemporalSaliency()}
    task = StageTask(student, Stage("s", terms, dict.fromkeys(terms, 1.0)), view_of(teacher, data), data)
    task.step(torch.arange(5), 1)
    assert shapes == [(5, 4, T), (5, 8, T)]


class _Seen(LossTerm):
    """Keeps what it is told of the padding."""

    needs = frozenset({"teacher_features"})

    def bind(self, models):
        self.layer = models.student_layer()

    def forward(self, step):
        self.inside = step.inside
        return step.student.features(self.layer).mean()


def test_terms_that_compare_features_are_told_of_the_padding():
    lengths = torch.tensor([T, 4] * (N // 2))
    data = {name: TensorPart(part.x, part.y, lengths[: len(part)]) for name, part in parts().items()}
    term = _Seen()
    task = StageTask(
        fcn(0), Stage("train", {"seen": term}, {"seen": 1.0}), TeacherView({}, network=frozen()), data
    )
    task.step(torch.tensor([0, 1]), epoch=1)
    assert term.inside.sum(1).tolist() == [T, 4] and term.inside[1, :4].all()
    task = StageTask(
        fcn(0), Stage("train", {"seen": term}, {"seen": 1.0}), TeacherView({}, network=frozen()), parts()
    )
    task.step(torch.tensor([0, 1]), epoch=1)
    assert term.inside is None


class _DistancesWithMemory(LossTerm):
    """A stranger's term: distances at two layers, against a bank of earlier series (as in RKD and CRD)."""

    needs = frozenset({"teacher_logits", "teacher_features", "teacher_answers"})

    def bind(self, models):
        self.pairs = [(models.teacher_layer(path), models.student_layer(path)) for path in (None, "blocks.0")]
        again = models.student_layer("blocks.0")
        assert again == self.pairs[1][1]
        self.register_buffer("bank", torch.zeros(0, 2))
        self.progress = []

    def forward(self, step):
        loss = step.student.logits.sum() * 0.0
        for hint, guided in self.pairs:
            teacher, student = step.teacher.features(hint).mean(-1), step.student.features(guided).mean(-1)
            loss = loss + (torch.pdist(student).mean() - torch.pdist(teacher).mean()).abs()
        torch.testing.assert_close(step.teacher.answers(step.x), step.teacher.logits)
        if self.training:
            self.bank = torch.cat([self.bank, step.teacher.logits.detach()])[-5:]
            self.progress.append(step.progress)
        return loss


class _Asked:
    """A teacher as far as a step asks one."""

    def __init__(self, network):
        self.network = network

    def logits(self, x, lengths=None):
        return self.network(x)


def test_a_term_may_compare_several_layers_ask_the_teacher_and_keep_a_bank():
    teacher, data = frozen(), parts()
    view = view_of(teacher, data)
    view.teacher = _Asked(teacher)
    term = _DistancesWithMemory()
    task = StageTask(fcn(0), Stage("s", {"rkd": term}, {"rkd": 1.0}), view, data, epochs=4)
    passes = []
    task.student.blocks[0].register_forward_hook(lambda *_: passes.append(1))
    task.step(torch.arange(4), 1)
    assert len(passes) == 1  # logits and both layers come from one pass
    task.step(torch.arange(4, 8), 3)
    assert term.bank.shape == (5, 2) and term.progress == [0.0, 0.5]
    assert "terms.rkd.bank" in task.state_dict()


class _Slopes(LossTerm):
    """Input gradients of the student against the teacher's."""

    needs = frozenset({"teacher_gradients", "student_gradients"})

    def forward(self, step):
        teacher = step.teacher.input_gradients[torch.arange(len(step.y)), step.y]
        return (step.student.input_gradients() - teacher).square().mean()


@pytest.mark.parametrize("make", [lambda: fcn(0), lambda: LSTM(1, 2, hidden=3, layers=1)])
def test_gradients_with_respect_to_the_input_can_be_matched(make):
    data, student = parts(), make()
    wanted = torch.randn(N, 2, 1, T, generator=torch.Generator().manual_seed(3))
    task = StageTask(
        student, Stage("s", {"g": _Slopes()}, {"g": 1.0}), TeacherView({}, gradients=wanted), data
    )
    rows = torch.tensor([5, 2, 7])
    loss = task.step(rows, 1)["loss"]
    x = data["train"].x[rows].clone().requires_grad_()
    y = data["train"].y[rows]
    task.student(x).gather(1, y[:, None]).sum().backward()
    by_hand = (x.grad - wanted[rows, y]).square().mean()
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-4)
    loss.backward()
    assert all(p.grad is not None for name, p in student.named_parameters() if "bias" not in name)
    task.train(False)
    assert set(task.validate()) == {"ce"}


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda step: step.teacher.logits, "'teacher_logits' without declaring it"),
        (lambda step: step.windows, "'windows' without declaring it"),
        (lambda step: step.student.input_gradients(), "'student_gradients' without declaring it"),
    ],
)
def test_what_was_not_declared_is_refused(ask, message):
    class Greedy(LossTerm):
        def forward(self, step):
            return ask(step)

    task = StageTask(fcn(0), Stage("s", {"g": Greedy()}, {"g": 1.0}), TeacherView({}), parts())
    with pytest.raises(TsdistillError, match=message):
        task.step(torch.arange(4), 1)


@pytest.mark.parametrize("largest", [2**26, 1])
def test_a_frozen_teachers_features_are_computed_once_unless_they_are_too_many(largest, monkeypatch):
    monkeypatch.setattr(stage_module, "LARGEST_KEPT", largest)
    data, teacher = parts(), frozen()
    passes = []
    teacher.blocks[0].register_forward_hook(lambda _, inputs, __: passes.append(len(inputs[0])))
    task = StageTask(fcn(0), Stage("s", {"hint": Hint()}, {"hint": 1.0}), TeacherView(network=teacher), data)
    passes.clear()
    rows = torch.tensor([5, 0, 9])
    losses = [float(task.step(rows, epoch)["hint"].detach()) for epoch in (1, 2)]
    task.train(False)
    task.validate()
    assert passes == ([N, V] if largest > 1 else [3, 3, V])
    with torch.no_grad():
        hint = teacher.blocks[1](teacher.blocks[0](data["train"].x[rows]))
        torch.manual_seed(0)
        student = task.student.train()
        guided = student.blocks[1](student.blocks[0](data["train"].x[rows]))
        expected = 0.5 * (task.terms["hint"].regressor(guided) - hint).square().mean()
    assert losses == pytest.approx([float(expected)] * 2, rel=1e-4)


def test_what_a_step_computed_goes_with_it():
    data, kept = parts(), []

    class Keeping(LossTerm):
        needs = frozenset({"teacher_logits", "windows"})

        def forward(self, step):
            kept.extend(map(weakref.ref, (step, step.student.perturbed, step.teacher.perturbed)))
            return step.student.perturbed.sum() + step.teacher.perturbed.sum()

    stage = Stage("s", {"k": Keeping()}, {"k": 1.0})
    task = StageTask(LSTM(1, 2, 3, 1), stage, view_of(frozen(), data), data)
    gc.disable()
    try:
        task.step(torch.arange(4), 1)["loss"].backward()
        assert kept and all(each() is None for each in kept)
    finally:
        gc.enable()

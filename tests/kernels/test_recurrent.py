"""The compiled kernel against nn.LSTM and nn.GRU."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tsdistill.config.schema import HardwareConf, Kernel, Precision, TrainingConf
from tsdistill.errors import TsdistillError
from tsdistill.kernels import choice
from tsdistill.methods.features import captured, forward_to
from tsdistill.models.recurrent import GRU, LSTM
from tsdistill.saliency.joint import joint_logits
from tsdistill.saliency.windows import Windows
from tsdistill.store.environment import environment
from tsdistill.training.device import set_up
from tsdistill.training.loop import autocast

pytest.importorskip("numba")
CLOSE = {torch.double: {"rtol": 1e-9, "atol": 1e-11}, torch.float: {"rtol": 1e-4, "atol": 2e-4}}
cells = pytest.mark.parametrize("cell", [LSTM, GRU])


@pytest.fixture(autouse=True)
def by_kernel():
    choice.choose(Kernel.fused)
    yield
    choice.choose(Kernel.auto)


def both_ways(model: nn.Module, run) -> list[list[Tensor]]:
    """What a pass says and the gradients of the weights, by the kernel and by PyTorch."""
    found = []
    for kernel in (Kernel.fused, Kernel.torch):
        choice.choose(kernel)
        torch.manual_seed(7)
        answers = run()
        loss = sum((answer.sin() * (i + 1)).mean() for i, answer in enumerate(answers))
        found.append([*answers, *torch.autograd.grad(loss, list(model.parameters()))])
        assert choice.used()["kernel"] == kernel.value
    return found


def drawn_windows(x: Tensor, M: int, w: int) -> Windows:
    B, C, T = x.shape
    return Windows(torch.randint(0, T - w + 1, (B, M)), torch.randn(B, M, C, w, dtype=x.dtype))


@st.composite
def cases(draw):
    B, M, C, T, hidden = (draw(st.integers(1, top)) for top in (40, 6, 5, 25, 11))
    dtype, cell = draw(st.sampled_from([torch.double, torch.float])), draw(st.sampled_from([LSTM, GRU]))
    torch.manual_seed(draw(st.integers(0, 2**31)))
    dropout = draw(st.sampled_from([0.0, 0.4]))
    model = cell(C, 3, hidden=hidden, layers=draw(st.integers(1, 3)), dropout=dropout).to(dtype)
    lengths = torch.randint(1, T + 1, (B,)) if draw(st.booleans()) else None
    x = torch.randn(B, C, T, dtype=dtype)
    return model, x, drawn_windows(x, M, draw(st.integers(1, T))), lengths


def equal(case) -> None:
    model, x, windows, lengths = case

    def run() -> list[Tensor]:
        # Of a plain pass each way draws its dropout in the order in which it stores the sequence.
        plain = [] if model.dropout.p else [model(x, lengths)]
        return [*plain, *model.forward_perturbed(x, windows, lengths)]

    torch.testing.assert_close(*both_ways(model, run), **CLOSE[x.dtype])


@settings(max_examples=25, deadline=None)
@given(cases())
def test_equals_pytorch_with_gradients(case):
    equal(case)


def equal_features(case, layers: set[int]) -> None:
    """Sequences of some layers, of a plain pass and of the clean series in one with copies."""
    model, x, windows, lengths = case
    model.dropout.p = 0.0  # each way draws it in the order in which it stores a sequence
    paths = [f"layers.{i}" for i in sorted(layers) if i < len(model.layers)]

    def run() -> list[Tensor]:
        found = [*forward_to(model, paths, x, lengths).values()]
        with captured(model, paths) as caught:
            found += joint_logits(model, x, windows, lengths, tapped=True)
        return [*found, *(caught[path][: len(x)] for path in paths)]

    torch.testing.assert_close(*both_ways(model, run), **CLOSE[x.dtype])


@settings(max_examples=15, deadline=None)
@given(cases(), st.sets(st.integers(0, 2)))
def test_features_equal_pytorchs_with_gradients(case, layers):
    equal_features(case, layers | {0})


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(cases(), st.sets(st.integers(0, 2)))
def test_equals_pytorch_with_gradients_on_many_shapes(case, layers):
    equal(case)
    equal_features(case, layers | {0})


@cells
def test_a_tapped_pass_gives_the_same_logits(cell):
    torch.manual_seed(0)
    model, x = cell(1, 2, hidden=8, layers=2), torch.randn(20, 1, 60)
    windows, lengths = drawn_windows(x, 5, 10), torch.randint(1, 61, (20,))
    for ends in (None, lengths):
        plain = joint_logits(model, x, windows, ends)
        with captured(model, ["layers.0"]) as caught:
            tapped = joint_logits(model, x, windows, ends, tapped=True)
        torch.testing.assert_close(tapped, plain, rtol=0, atol=0)
        assert caught["layers.0"].shape == (20, 8, 60)


@cells
@pytest.mark.parametrize("rows", [1, 15, 16, 17, 33])
@pytest.mark.parametrize("length", [1, 12])
def test_ragged_blocks_and_single_steps(cell, rows, length):
    torch.manual_seed(0)
    model, x = cell(2, 3, hidden=6, layers=2).double(), torch.randn(rows, 2, length, dtype=torch.double)
    equal((model, x, drawn_windows(x, 3, 1), None))


@cells
def test_perturbed_pass_is_windows_apply(cell):
    torch.manual_seed(0)
    model, x = cell(1, 2, hidden=8, layers=1).double(), torch.randn(20, 1, 60, dtype=torch.double)
    windows = drawn_windows(x, 5, 10)
    clean, perturbed = model.forward_perturbed(x, windows)
    copies = windows.apply(x)
    one_by_one = torch.stack([model(copies[:, m]) for m in range(5)], dim=1)
    torch.testing.assert_close(perturbed, one_by_one, rtol=0, atol=0)
    torch.testing.assert_close(clean, model(x), rtol=0, atol=0)


@cells
@pytest.mark.parametrize("watched", [[], ["layers.0"], ["layers.0", "layers.1"]])
def test_gradients_are_those_of_finite_differences(cell, watched):
    torch.manual_seed(0)
    model, x = cell(2, 2, hidden=3, layers=2, dropout=0.3).double(), torch.randn(2, 2, 7, dtype=torch.double)
    windows, lengths = drawn_windows(x, 2, 3), torch.tensor([7, 4])
    names = [name for name, _ in model.named_parameters()]

    def answers(*weights: Tensor) -> Tensor:
        named = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(_Perturbed(model), {f"model.{k}": v for k, v in named.items()}, x)

    class _Perturbed(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            torch.manual_seed(1)
            with captured(self.model, watched) as caught:
                clean, perturbed = joint_logits(self.model, x, windows, lengths, tapped=bool(watched))
            answers = [clean, perturbed, *(caught[path] for path in watched)]
            return torch.cat([answer.flatten() for answer in answers])

    weights = [p.detach().clone().requires_grad_() for p in model.parameters()]
    assert torch.autograd.gradcheck(answers, weights)
    assert choice.used()["kernel"] == "fused"


@cells
def test_a_graph_can_be_walked_twice_and_weights_may_change_in_between(cell):
    model = cell(1, 2, hidden=4, layers=1)
    loss = model(torch.randn(3, 1, 9)).sin().sum()
    first = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(model.parameters()))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_what_stands_outside_the_read_steps_changes_nothing():
    model, x = LSTM(1, 2, hidden=5, layers=2, dropout=0.5), torch.randn(4, 1, 20)
    lengths, windows = torch.tensor([3, 20, 7, 1]), drawn_windows(x, 3, 4)
    rubbish = torch.where(torch.arange(20) < lengths[:, None, None], x, torch.tensor(1e30))
    results = []
    for series in (x, rubbish):
        torch.manual_seed(0)
        answers = model.forward_perturbed(series, windows, lengths)
        results.append(
            [*answers, *torch.autograd.grad(sum(a.sum() for a in answers), list(model.parameters()))]
        )
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_nan_is_not_hidden():
    x = torch.zeros(17, 1, 5)
    x[3, 0, 2] = torch.nan
    answers = LSTM(1, 2, hidden=4, layers=1)(x)
    assert torch.equal(answers.isnan().any(dim=1), torch.arange(17) == 3)


@pytest.mark.parametrize("magnitude", [1e-6, 1e-2, 1.0, 30.0, 1e8])
def test_activations_at_all_magnitudes(magnitude):
    torch.manual_seed(0)
    model, x = GRU(3, 2, hidden=7, layers=1), magnitude * torch.randn(50, 3, 4)
    with torch.no_grad():
        for p in model.layers.parameters():
            p.mul_(3)
        fused = model(x)
        with choice.by_torch():
            torch.testing.assert_close(fused, model(x), rtol=1e-5, atol=1e-6)


def test_copies_of_inputs_with_gradients_are_left_to_pytorch_and_differentiate_twice():
    model, x = LSTM(1, 2, hidden=4, layers=1), torch.randn(3, 1, 9, requires_grad=True)
    _, perturbed = model.forward_perturbed(x, drawn_windows(x.detach(), 2, 3))
    (slope,) = torch.autograd.grad(perturbed.sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert choice.used() == {"kernel": "torch"}
    assert all(p.grad is not None for p in model.layers.parameters())


def test_hooked_layers_and_half_precision_are_left_to_pytorch():
    model, x = LSTM(1, 2, hidden=4, layers=2), torch.randn(3, 1, 9)
    handle = model.layers[1].register_forward_hook(lambda *_: None)
    model(x)
    handle.remove()
    with autocast(torch.device("cpu"), Precision.bf16):
        model(x)
    assert choice.used() == {"kernel": "torch"}
    model(x)
    assert choice.used()["kernel"] == "fused"


def test_auto_takes_small_layers_of_single_precision(monkeypatch):
    monkeypatch.setattr(choice, "_has_fma", lambda: True)
    choice.choose(Kernel.auto)
    for model, x in (
        (LSTM(1, 2, hidden=choice.MOST_UNITS + 1, layers=1), torch.randn(2, 1, 5)),
        (LSTM(1, 2, hidden=4, layers=1).double(), torch.randn(2, 1, 5, dtype=torch.double)),
    ):
        model(x)
        assert choice.used() == {"kernel": "torch"}
    LSTM(1, 2, hidden=choice.MOST_UNITS, layers=1)(torch.randn(2, 1, 5))
    assert choice.used()["kernel"] == "fused"


def test_where_numba_compiles_nothing_auto_falls_back(monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    choice._problem.cache_clear()
    try:
        set_up(HardwareConf(device="cpu"))
        LSTM(1, 2, hidden=4, layers=1)(torch.randn(2, 1, 5))
        assert choice.used() == {"kernel": "torch"}
        with pytest.raises(TsdistillError, match="NUMBA_DISABLE_JIT is set"):
            set_up(HardwareConf(device="cpu", kernel=Kernel.fused))
    finally:
        choice._problem.cache_clear()


@pytest.mark.parametrize(
    ("features", "kernel"), [({"fma": False}, "torch"), ({"fma": True}, "fused"), ({"neon": True}, "fused")]
)
def test_without_fused_multiply_add_auto_falls_back(monkeypatch, features, kernel):
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: features)
    choice._has_fma.cache_clear()
    try:
        set_up(HardwareConf(device="cpu"))
        LSTM(1, 2, hidden=4, layers=1)(torch.randn(2, 1, 5))
        assert choice.used()["kernel"] == kernel
    finally:
        choice._has_fma.cache_clear()


def test_without_numba_auto_falls_back_and_fused_is_refused(monkeypatch):
    monkeypatch.setattr(choice, "_problem", lambda: "numba can't be imported (No module named 'numba')")
    set_up(HardwareConf(device="cpu"))
    LSTM(1, 2, hidden=4, layers=1)(torch.randn(2, 1, 5))
    assert choice.used() == {"kernel": "torch"}
    with pytest.raises(TsdistillError, match=r"hardware.kernel=fused: .*pip install 'tsdistill\[fast\]'"):
        set_up(HardwareConf(device="cpu", kernel=Kernel.fused))


def test_environment_names_the_kernel():
    assert environment()["kernel"] == "torch"
    LSTM(1, 2, hidden=4, layers=1)(torch.randn(2, 1, 5))
    described = environment()
    assert described["kernel"] == "fused" and described["numba"] and described["kernel_cpu"]


@cells
def test_training_by_either_gives_nearly_the_same(cell):
    x = torch.randn(48, 1, 30, generator=torch.Generator().manual_seed(0))
    y, losses = (x[:, 0, 5:15].mean(dim=1) > 0).long(), []
    for kernel in (Kernel.fused, Kernel.torch):
        choice.choose(kernel)
        torch.manual_seed(0)
        model = cell(1, 2, hidden=8, layers=1)
        optimizer = torch.optim.Adam(model.parameters(), TrainingConf().lr)
        for _ in range(40):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        losses.append(loss.detach())
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-4)


BITS = """
import hashlib, torch
from tsdistill.models.recurrent import GRU, LSTM
torch.manual_seed(0)
digest = hashlib.sha256()
for cell in (LSTM, GRU):
    model, x = cell(2, 2, hidden=9, layers=2), torch.randn(20, 2, 15)
    read = []
    model.head.register_forward_pre_hook(lambda _, args: read.append(args[0]))
    model(x)
    grown = torch.autograd.grad(read[0].sum(), list(model.layers.parameters()))
    for each in (read[0].detach(), *grown):
        digest.update(each.numpy().tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
@pytest.mark.skipif("TSDISTILL_LONG" not in os.environ, reason="compiles twice: `make test-all`")
def test_the_same_bits_whatever_the_instruction_set(tmp_path):
    printed = []
    for variables in ({}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}):
        where = {**os.environ, **variables, "NUMBA_CACHE_DIR": str(tmp_path / str(len(printed)))}
        done = subprocess.run(
            [sys.executable, "-c", BITS], env=where, capture_output=True, text=True, check=True
        )
        printed.append(done.stdout.split()[-1])
    assert printed[0] == printed[1]

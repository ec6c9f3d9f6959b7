"""Second gradients by the compiled kernel against nn.LSTM and nn.GRU."""

import pytest
import torch
from torch import Tensor, nn

from tsdistill.config.schema import Kernel
from tsdistill.errors import TsdistillError
from tsdistill.kernels import choice
from tsdistill.models.recurrent import GRU, LSTM

pytest.importorskip("numba")
CLOSE = {torch.double: {"rtol": 1e-9, "atol": 1e-12}, torch.float: {"rtol": 1e-4, "atol": 1e-6}}
cells = pytest.mark.parametrize("cell", [LSTM, GRU])


@pytest.fixture(autouse=True)
def by_kernel():
    choice.choose(Kernel.fused)
    yield
    choice.choose(Kernel.auto)


def losses_on_gradients(model: nn.Module, x: Tensor, lengths: Tensor | None) -> list[Tensor]:
    """Logits, input gradients of two of them, and what a loss on all three sends to series and weights."""
    x = x.clone().requires_grad_()
    logits = model(x, lengths)
    slopes = [torch.autograd.grad(logits[:, k].sum(), x, create_graph=True)[0] for k in range(2)]
    loss = logits.sin().mean() + (30 * slopes[0]).sin().mean() + 3 * slopes[1].square().sum()
    return [logits, *slopes, *torch.autograd.grad(loss, [x, *model.parameters()])]


@cells
@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize(
    ("B", "C", "T", "units", "layers"),
    [(1, 1, 1, 1, 1), (19, 2, 7, 5, 2), (16, 6, 4, 8, 1), (33, 1, 5, 3, 3)],
)
def test_second_gradients_equal_pytorchs(cell, dtype, B, C, T, units, layers):
    torch.manual_seed(0)
    model = cell(C, 3, hidden=units, layers=layers).to(dtype)
    x = torch.randn(B, C, T, dtype=dtype)
    for lengths in (None, torch.randint(1, T + 1, (B,))):
        found = losses_on_gradients(model, x, lengths)
        assert choice.used()["kernel"] == "fused"
        with choice.by_torch():
            expected = losses_on_gradients(model, x, lengths)
        torch.testing.assert_close(found, expected, **CLOSE[dtype])


@cells
def test_second_gradients_are_those_of_finite_differences(cell):
    torch.manual_seed(0)
    model = cell(2, 2, hidden=3, layers=2).double()
    x = torch.randn(3, 2, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: model(x, torch.tensor([5, 2, 4])), x)
    assert torch.autograd.gradgradcheck(lambda x: model(x, torch.tensor([5, 2, 4])), x)
    weight = model.layers[0].weight_hh_l0

    def slopes(changed: Tensor) -> Tensor:
        named = {"layers.0.weight_hh_l0": changed}
        logits = torch.func.functional_call(model, named, (x,))
        return torch.autograd.grad(logits.sin().sum(), x, create_graph=True)[0]

    assert torch.autograd.gradcheck(slopes, weight.detach().clone().requires_grad_())
    assert choice.used()["kernel"] == "fused"


@cells
def test_second_gradients_under_dropout_are_those_of_finite_differences(cell):
    model = cell(1, 2, hidden=4, layers=2, dropout=0.5).double()
    x = torch.randn(2, 1, 6, dtype=torch.double, requires_grad=True)

    def answers(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return model(x)

    assert torch.autograd.gradcheck(answers, x)
    assert torch.autograd.gradgradcheck(answers, x)


def test_what_the_kernel_lacks_is_said():
    model, x = LSTM(1, 2, hidden=4, layers=1), torch.randn(3, 1, 9, requires_grad=True)
    weight = model.layers[0].weight_hh_l0
    (slope,) = torch.autograd.grad(model(x).sum(), weight, create_graph=True)
    with pytest.raises(TsdistillError, match=r"use hardware\.kernel=torch"):
        slope.square().sum().backward()

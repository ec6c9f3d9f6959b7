"""What any classifier has to do to be a teacher or a student."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tsdistill.models.build import takes_lengths

N_SERIES, CHANNELS, CLASSES, LENGTH = 6, 2, 3, 20


def check_model(build: Callable[[int, int], nn.Module]) -> None:
    """Check a classifier: shapes, gradients, determinism, padding, state.

    Args:
        build: called as ``build(in_channels, n_classes)``, such as the model's class.

    Raises:
        AssertionError: one line that says what is wrong.
    """
    torch.manual_seed(0)
    model = build(CHANNELS, CLASSES)
    x = torch.randn(N_SERIES, CHANNELS, LENGTH)
    _check_shape(model(x))
    _check_gradients(model, x)
    model.eval()
    with torch.no_grad():
        answers = model(x)
        assert torch.equal(answers, model(x)), "in eval mode, the same series get different logits"
        assert torch.allclose(answers[:1], model(x[:1]), atol=1e-4), "a series' logits depend on its batch"
        _check_state(build, model, x, answers)
        if takes_lengths(model):
            _check_padding(model, x)


def _check_shape(logits: Tensor) -> None:
    wanted = (N_SERIES, CLASSES)
    assert isinstance(logits, Tensor), f"forward returns a {type(logits).__name__}, not logits"
    assert tuple(logits.shape) == wanted, f"logits have shape {tuple(logits.shape)}, not (B, K) = {wanted}"
    assert logits.is_floating_point(), f"logits are {logits.dtype}, not floating point"
    assert torch.isfinite(logits).all(), "logits are not finite"


def _check_gradients(model: nn.Module, x: Tensor) -> None:
    loss = nn.functional.cross_entropy(model(x), torch.arange(N_SERIES) % CLASSES)
    loss.backward()  # type: ignore[no-untyped-call]
    unused = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused, f"parameters that get no gradient: {', '.join(unused[:5])}"


def _check_state(
    build: Callable[[int, int], nn.Module], model: nn.Module, x: Tensor, answers: Tensor
) -> None:
    torch.manual_seed(1)
    restored = build(CHANNELS, CLASSES).eval()
    restored.load_state_dict(model.state_dict())
    same = torch.allclose(restored(x), answers, atol=1e-6)
    assert same, "a model restored from state_dict answers differently: some state is not in it"


def _check_padding(model: nn.Module, x: Tensor) -> None:
    lengths = torch.full((N_SERIES,), LENGTH // 2)
    padded = x.clone()
    padded[:, :, LENGTH // 2 :] = 0.0
    short = model(x[:, :, : LENGTH // 2].contiguous())
    assert torch.allclose(model(padded, lengths), short, atol=1e-4), "padding changes a series' logits"

"""The perturbed series against a plain loop."""

import pytest
import torch

from tsdistill.saliency.windows import Windows


@pytest.mark.parametrize("by_channel", [False, True])
@pytest.mark.parametrize("width", [1, 3, 7])
def test_stack_and_apply_equal_a_plain_loop(by_channel, width):
    seed = torch.Generator().manual_seed(width)
    B, M, C, T = 3, 5, 2, 7
    x = torch.randn(B, C, T, generator=seed)
    starts = torch.randint(0, T - width + 1, (B, M), generator=seed)
    segments = torch.randn(B, M, C, width, generator=seed)
    channels = torch.randint(0, C, (B, M), generator=seed) if by_channel else None
    windows = Windows(starts, segments, channels)

    expected = x[:, None].repeat(1, M, 1, 1)
    for b in range(B):
        for m in range(M):
            for c in range(C):
                if channels is None or c == channels[b, m]:
                    for t in range(width):
                        expected[b, m, c, starts[b, m] + t] = segments[b, m, c, t]

    before = x.clone()
    assert windows.width == width
    assert torch.equal(windows.apply(x), expected)
    stacked = windows.stack(x)
    assert torch.equal(stacked[0], x)
    assert torch.equal(stacked[1:], expected.transpose(0, 1))
    assert torch.equal(x, before)


def test_the_gradient_of_kept_steps_reaches_the_series():
    x = torch.zeros(1, 1, 4, requires_grad=True)
    Windows(torch.tensor([[1]]), torch.ones(1, 1, 1, 2)).apply(x).sum().backward()
    assert x.grad is not None and x.grad.flatten().tolist() == [1, 0, 0, 1]

"""The optimisers are PyTorch's own, without its compiler."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from tsdistill.config.schema import Optimizer, TrainingConf
from tsdistill.training.optimizers import build_optimizer

OWN = {
    Optimizer.adam: lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.01, fused=True),
    Optimizer.adamw: lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01, fused=True),
    Optimizer.sgd: lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.01, momentum=0.9, fused=True),
}


@pytest.mark.parametrize("kind", Optimizer)
def test_steps_are_those_of_pytorch(kind: Optimizer) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(8, 3)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    settings = TrainingConf(optimizer=kind, lr=0.1, weight_decay=0.01)
    for model, optimizer in (
        (ours, build_optimizer(ours.parameters(), settings)),
        (theirs, OWN[kind](theirs.parameters())),
    ):
        for _ in range(3):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.bias, theirs.bias)


def test_the_compiler_is_not_loaded() -> None:
    code = """
import sys, torch
from tsdistill.config.schema import HardwareConf, TrainingConf
from tsdistill.training.device import set_up
from tsdistill.training.optimizers import build_optimizer
set_up(HardwareConf(device="cpu", threads=1))
weight = torch.nn.Parameter(torch.ones(2))
optimizer = build_optimizer([weight], TrainingConf())
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
weight.sum().backward()
optimizer.step()
scheduler.step()
optimizer.load_state_dict(optimizer.state_dict())
assert torch.are_deterministic_algorithms_enabled()
print("torch._dynamo" in sys.modules, "sympy" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout.split() == ["False", "False"]

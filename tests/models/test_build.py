"""From configurations to models, and what a user's mistake is answered."""

import sys
import types

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from tsdistill.errors import TsdistillError
from tsdistill.models.build import build_model, count_parameters, takes_lengths


class Linear(nn.Module):
    """A user's model: takes the series' length, and no lengths."""

    def __init__(self, in_channels: int, n_classes: int, series_length: int, scale: float = 1.0) -> None:
        super().__init__()
        self.map = nn.Linear(in_channels * series_length, n_classes)
        self.scale = scale
        self.map.bias.requires_grad_(False)

    def forward(self, x):
        return self.scale * self.map(x.flatten(1))


def broken(in_channels: int, n_classes: int) -> nn.Module:
    raise RuntimeError("no luck\nsecond line")


def no_module(in_channels: int, n_classes: int) -> int:
    return in_channels + n_classes


@pytest.fixture(autouse=True)
def user_module(monkeypatch):
    module = types.ModuleType("users_own")
    for thing in (Linear, broken, no_module):
        monkeypatch.setattr(thing, "__module__", "users_own")
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "users_own", module)


def test_a_users_model_gets_the_sizes_it_asks_for():
    conf = OmegaConf.create({"_target_": "users_own.Linear", "scale": 2.0})
    model = build_model(conf, channels=3, classes=4, length=5)
    assert model(torch.randn(2, 3, 5)).shape == (2, 4)
    assert model.scale == 2.0
    assert not takes_lengths(model)
    assert count_parameters(model) == 3 * 5 * 4


def test_sequences_reach_the_model_as_plain_lists():
    conf = OmegaConf.create({"_target_": "tsdistill.models.fcn.FCN", "filters": [2], "kernels": [3]})
    assert len(build_model(conf, 1, 2, 5).blocks) == 1
    assert conf == {"_target_": "tsdistill.models.fcn.FCN", "filters": [2], "kernels": [3]}


@pytest.mark.parametrize(
    ("conf", "answer"),
    [
        ({"_target_": "users_own.Liner"}, "has no 'Liner'; did you mean 'Linear'"),
        ({"_target_": "users_own.broken"}, "users_own.broken cannot be built: RuntimeError: no luck"),
        ({"_target_": "users_own.no_module"}, "gives a int; it must give a torch.nn.Module"),
        ({"_target_": "nowhere.Net"}, "cannot import nowhere .ModuleNotFoundError"),
        ({"_target_": "Net"}, "write package.module.ClassName"),
        ({"_target_": "users_own.Linear", "scal": 1}, "unexpected keyword argument 'scal'"),
        ({"_target_": "tsdistill.models.recurrent.LSTM", "hidden": 0}, "hidden_size"),
    ],
)
def test_a_model_that_cannot_be_built_is_answered_in_one_line(conf, answer):
    with pytest.raises(TsdistillError, match=answer) as caught:
        build_model(conf, 1, 2, 5)
    assert "\n" not in str(caught.value)

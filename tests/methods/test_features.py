"""Hidden sequences at named submodules."""

import pytest
import torch
from torch import nn

from tsdistill.errors import TsdistillError
from tsdistill.methods.features import captured, feature_shape, forward_to, hint_layer
from tsdistill.models.fcn import FCN
from tsdistill.models.inception import Inception
from tsdistill.models.recurrent import GRU, LSTM
from tsdistill.models.resnet import ResNet

X = torch.randn(3, 2, 10, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("model", "width"),
    [
        (LSTM(2, 3, hidden=5, layers=3), 5),
        (GRU(2, 3, hidden=6, layers=1), 6),
        (FCN(2, 3, filters=(4, 7, 5), kernels=(3, 3, 3)), 7),
        (ResNet(2, 3, filters=(4, 6, 5), kernels=(3, 3, 3)), 6),
        (Inception(2, 3, filters=2, depth=3, bottleneck=2, kernels=(3,)), 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_family_gives_width_before_time_at_its_own_hint_layer(model, width):
    layer = hint_layer(model, None, "a setting")
    assert feature_shape(model, layer, X) == (width, 10)
    assert forward_to(model, [layer], X)[layer].shape == (3, width, 10)


def test_recurrent_sequences_keep_their_times():
    model = LSTM(2, 3, hidden=5, layers=2).eval()
    caught = forward_to(model, ["layers.0"], X)["layers.0"]
    by_hand, _ = model.layers[0](X.transpose(1, 2))
    torch.testing.assert_close(caught[1, :, 7], by_hand[1, 7])


def test_a_flat_layer_has_one_timestep():
    assert feature_shape(FCN(2, 3, filters=(4,), kernels=(3,)), "head", X) == (3, 1)


def test_what_lies_above_is_not_run_and_its_statistics_stay():
    model = FCN(2, 3, filters=(4, 4, 4), kernels=(3, 3, 3)).train()
    ran = []
    model.blocks[2].register_forward_hook(lambda *_: ran.append("above"))
    caught = forward_to(model, {"blocks.0", "blocks.1"}, X)
    assert set(caught) == {"blocks.0", "blocks.1"} and not ran
    tracked = [int(block.norm.norm.num_batches_tracked) for block in model.blocks]
    assert tracked == [1, 1, 0]


def test_hooks_are_gone_afterwards_even_after_an_error():
    model = FCN(2, 3, filters=(4,), kernels=(3,))
    forward_to(model, ["blocks.0"], X)
    with pytest.raises(RuntimeError), captured(model, ["blocks.0"]):
        model(X[:, :1])
    assert not any(module._forward_hooks for module in model.modules())


def test_asking_for_a_shape_leaves_the_mode_and_the_statistics_alone():
    model = FCN(2, 3, filters=(4,), kernels=(3,)).train()
    feature_shape(model, "blocks.0", X)
    assert model.training and model.blocks[0].norm.norm.num_batches_tracked == 0


def test_layers_that_are_not_there_are_refused_by_name():
    model = LSTM(2, 3, hidden=5, layers=2)
    with pytest.raises(TsdistillError) as error:
        hint_layer(model, "layer.0", "method.student_layer")
    assert str(error.value) == "method.student_layer: LSTM has no layer 'layer.0'; did you mean 'layers.0'?"
    with pytest.raises(TsdistillError) as error:
        hint_layer(nn.Sequential(nn.Linear(2, 2)), None, "method.student_layer")
    assert str(error.value) == "Sequential names no hint_layer; set method.student_layer to one of: 0"

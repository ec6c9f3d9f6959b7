"""What holds for every classifier: shapes, parameters, padding, batch statistics."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from tsdistill.config.schema import Precision, register
from tsdistill.models.build import build_model, count_parameters, takes_lengths
from tsdistill.models.convolution import MaskedBatchNorm1d, SameConv1d
from tsdistill.models.fcn import FCN
from tsdistill.models.inception import Inception
from tsdistill.models.recurrent import GRU, LSTM
from tsdistill.models.resnet import ResNet
from tsdistill.training.loop import autocast

CONF = Path(__file__).parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "model").glob("*.yaml") if path.stem != "custom")
SMALL = {
    "lstm": (LSTM, {"hidden": 5, "layers": 2}),
    "gru": (GRU, {"hidden": 5, "layers": 2}),
    "fcn": (FCN, {"filters": [4, 6, 4]}),
    "resnet": (ResNet, {"filters": [4, 6, 6]}),
    "inception": (Inception, {"filters": 3, "depth": 4, "bottleneck": 4, "kernels": [8, 4, 3]}),
}
families = pytest.mark.parametrize("family", SMALL)


def small(family: str, channels: int = 2, classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    cls, settings = SMALL[family]
    return cls(channels, classes, **settings).double()


def padded(lengths: list[int], channels: int = 2) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    x = torch.randn(len(lengths), channels, max(lengths), dtype=torch.double)
    return x, torch.tensor(lengths)


def role(group: str, name: str):
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=[f"+{group}={name}"])[group]


@pytest.mark.parametrize("name", NAMES)
def test_every_config_builds_under_either_role(name):
    teacher, student = role("teacher", name), role("student", name)
    assert teacher == student
    assert teacher.name == name
    model = build_model(teacher.model, channels=2, classes=3, length=20)
    assert takes_lengths(model)
    assert isinstance(model.get_submodule(model.hint_layer), nn.Module)
    assert model(torch.randn(2, 2, 20)).shape == (2, 3)
    with autocast(torch.device("cpu"), Precision.bf16):
        logits = model(torch.randn(2, 2, 20))
    assert torch.isfinite(logits).all()


# Sums over layers: weights + biases (+ 2 a channel of batch normalisation), then the classifier.
FCN_PUBLISHED = (8 * 128 + 128 + 256) + (5 * 128 * 256 + 256 + 512) + (3 * 256 * 128 + 128 + 256)
RESNET_BLOCKS = sum(
    (8 * c * f + f + 2 * f) + (5 * f * f + f + 2 * f) + (3 * f * f + f + 2 * f) + shortcut
    for c, f, shortcut in ((1, 64, 64 + 64 + 128), (64, 128, 64 * 128 + 128 + 256), (128, 128, 256))
)
INCEPTION_BLOCKS = (32 * 70 + 32 + 256) + 5 * (128 * 32 + 32 * 32 * 70 + 128 * 32 + 256)
INCEPTION_SHORTCUTS = (128 + 256) + (128 * 128 + 256)


@pytest.mark.parametrize(
    ("name", "channels", "classes", "count"),
    [
        ("lstm_8", 1, 2, 4 * 8 * (1 + 8) + 8 * 8 + 8 * 2 + 2),
        ("lstm_16", 3, 5, 4 * 16 * (3 + 16) + 8 * 16 + 16 * 5 + 5),
        ("lstm", 1, 2, 4 * 100 * 101 + 800 + 2 * (4 * 100 * 200 + 800) + 202),
        ("gru_8", 1, 2, 3 * 8 * (1 + 8) + 6 * 8 + 8 * 2 + 2),
        ("fcn", 1, 2, FCN_PUBLISHED + 128 * 2 + 2),
        ("fcn_8", 1, 2, (64 + 8 + 16) + (640 + 16 + 32) + (384 + 8 + 16) + 18),
        ("resnet", 1, 2, RESNET_BLOCKS + 128 * 2 + 2),
        ("inception", 1, 2, INCEPTION_BLOCKS + INCEPTION_SHORTCUTS + 128 * 2 + 2),
    ],
)
def test_parameters_counted_by_hand(name, channels, classes, count):
    assert count_parameters(build_model(role("teacher", name).model, channels, classes, 50)) == count


def test_students_of_one_channel_and_two_classes_have_370_and_1202_parameters():
    sizes = [
        count_parameters(build_model(role("student", name).model, 1, 2, 100)) for name in ("lstm_8", "fcn_8")
    ]
    assert sizes == [370, 1202]


@families
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 1), (1, 4, 2), (2, 3, 7)])
@pytest.mark.parametrize("train", [True, False])
def test_series_of_any_size(family, shape, train):
    model = small(family, shape[1]).train(train)
    x = torch.randn(*shape, dtype=torch.double)
    lengths = torch.full((shape[0],), shape[2])
    for logits in (model(x), model(x, lengths)):
        assert logits.shape == (shape[0], 3)
        assert torch.isfinite(logits).all()
    logits.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@families
def test_padded_series_are_read_as_each_alone(family):
    model = small(family).eval()
    x, lengths = padded([11, 4, 1, 8])
    alone = torch.cat([model(x[i : i + 1, :, :n]) for i, n in enumerate(lengths)])
    torch.testing.assert_close(model(x, lengths), alone, rtol=1e-12, atol=1e-12)


@families
@pytest.mark.parametrize("train", [True, False])
def test_what_stands_in_the_padding_changes_nothing(family, train):
    model = small(family).train(train)
    x, lengths = padded([11, 4, 1, 8])
    rubbish = x.clone()
    rubbish[torch.arange(11).expand(4, 2, 11) >= lengths[:, None, None]] = 1e6
    torch.testing.assert_close(model(x, lengths), model(rubbish, lengths), rtol=0, atol=0)


@families
def test_full_lengths_are_no_lengths(family):
    model = small(family).train()
    x, lengths = padded([9, 9, 9])
    torch.testing.assert_close(model(x, lengths), model(x), rtol=1e-12, atol=1e-12)


@families
def test_more_padding_moves_no_gradient_and_no_running_statistics(family):
    x, lengths = padded([6, 4, 3])
    results = []
    for extra in (0, 5):
        model = small(family).train()
        model(nn.functional.pad(x, (0, extra)), lengths).square().sum().backward()
        results.append([*(p.grad for p in model.parameters()), *model.buffers()])
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kernel", [1, 2, 3, 8, 40])
def test_same_padding_puts_the_odd_zero_on_the_right(kernel):
    conv = SameConv1d(1, 1, kernel, bias=False).double()
    x = torch.randn(1, 1, 9, dtype=torch.double)
    left = (kernel - 1) // 2
    taps = conv.weight[0, 0]
    by_hand = [
        sum(taps[j] * x[0, 0, t + j - left] for j in range(kernel) if 0 <= t + j - left < 9) for t in range(9)
    ]
    torch.testing.assert_close(conv(x)[0, 0], torch.stack(by_hand))


def test_convolutions_start_glorot_uniform_with_zero_bias():
    conv = SameConv1d(16, 32, 8)
    bound = (6 / (16 * 8 + 32 * 8)) ** 0.5
    assert 0.98 * bound < conv.weight.abs().max() <= bound
    assert not conv.bias.any()


def test_batch_statistics_count_true_steps_once():
    norm = MaskedBatchNorm1d(1)
    x = torch.tensor([[[1.0, 2.0, 3.0]], [[6.0, 99.0, 99.0]]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    y = norm(x, mask)
    mean, variance = 3.0, (4 + 1 + 0 + 9) / 4
    expected = (torch.tensor([1.0, 2.0, 3.0, 6.0]) - mean) / (variance + 1e-5) ** 0.5
    torch.testing.assert_close(y[:, 0][mask], expected)
    assert not y[:, 0][~mask].any()
    torch.testing.assert_close(norm.norm.running_mean, torch.tensor([0.1 * mean]))
    torch.testing.assert_close(norm.norm.running_var, torch.tensor([0.9 + 0.1 * variance * 4 / 3]))


def test_one_value_a_channel_is_normalised_by_the_running_averages():
    norm = MaskedBatchNorm1d(2)
    y = norm(torch.tensor([[[3.0], [-1.0]]]))
    torch.testing.assert_close(y, torch.tensor([[[3.0], [-1.0]]]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.norm.running_mean, torch.zeros(2))


def test_every_recurrent_layer_can_be_hooked():
    model = LSTM(2, 3, hidden=4, layers=3)
    seen = {}
    for i, layer in enumerate(model.layers):
        layer.register_forward_hook(lambda _, __, out, i=i: seen.update({i: out[0].shape}))
    model(torch.randn(5, 2, 7))
    assert seen == dict.fromkeys(range(3), (5, 7, 4))
    assert model.hint_layer == "layers.1"


@pytest.mark.parametrize(("family", "width"), [("fcn", 6), ("resnet", 6), ("inception", 12)])
def test_hint_of_a_convolutional_model_is_a_sequence(family, width):
    model = small(family)
    seen = []
    model.get_submodule(model.hint_layer).register_forward_hook(lambda _, __, out: seen.append(out.shape))
    x, lengths = padded([9, 5])
    model(x, lengths)
    assert seen == [(2, width, 9)]


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (FCN, {"filters": [8, 8]}),
        (FCN, {"filters": [], "kernels": []}),
        (ResNet, {"filters": []}),
        (Inception, {"depth": 0}),
        (LSTM, {"layers": 0}),
    ],
)
def test_impossible_settings_are_refused(cls, settings):
    with pytest.raises(ValueError, match="at least"):
        cls(1, 2, **settings)

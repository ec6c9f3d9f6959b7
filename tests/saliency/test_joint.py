"""One pass for clean and perturbed series: what they share, and what it leaves behind."""

import copy

import pytest
import torch
from torch import nn

from tsdistill.models.fcn import FCN
from tsdistill.models.inception import Inception
from tsdistill.models.recurrent import GRU, LSTM
from tsdistill.models.resnet import ResNet
from tsdistill.saliency.joint import joint_logits, stacked_logits
from tsdistill.saliency.measure import FORMS, window_saliency
from tsdistill.saliency.windows import Windows

STATISTICS = ["clean", "joint", "joint_running_clean"]
B, M, C, T, W = 6, 5, 2, 13, 4


class Dropped(nn.Module):
    """A user's model with dropout of several kinds, batch normalisation and no shared prefix."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(C, 8, 3), nn.BatchNorm1d(8), nn.Dropout1d(0.5), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, x):
        return self.head(self.body(x).mean(-1))


MODELS = {
    "fcn": lambda: FCN(C, 3, filters=(4, 6), kernels=(4, 3)),
    "resnet": lambda: ResNet(C, 3, filters=(4, 6), kernels=(4, 3, 2)),
    "inception": lambda: Inception(C, 3, filters=2, depth=3, bottleneck=2, kernels=(5, 3)),
    "lstm": lambda: LSTM(C, 3, hidden=5, layers=2, dropout=0.5),
    "gru": lambda: GRU(C, 3, hidden=5, layers=2, dropout=0.5),
    "dropped": Dropped,
}


def series(padded=False):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(B, C, T, generator=g)
    lengths = torch.tensor([13, 9, 12, 13, 8, 11]) if padded else None
    if lengths is not None:
        x = x * (torch.arange(T) < lengths[:, None])[:, None]
    return x, lengths


def windows_of(x, identity, lengths=None):
    g = torch.Generator().manual_seed(2)
    starts = torch.randint(0, (T if lengths is None else 8) - W + 1, (B, M), generator=g)
    steps = starts[:, :, None] + torch.arange(W)
    own = x.transpose(1, 2)[torch.arange(B)[:, None, None], steps].transpose(2, 3)
    return Windows(starts, own if identity else torch.randn(own.shape, generator=g))


def buffers(model):
    return {name: value.clone() for name, value in model.named_buffers()}


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize("name", MODELS)
def test_an_identity_perturbation_has_no_saliency_in_train_mode(name, statistics, padded):
    torch.manual_seed(0)
    model = MODELS[name]().train()
    x, lengths = series(padded and name != "dropped")
    clean, perturbed = joint_logits(model, x, windows_of(x, True, lengths), lengths, statistics)
    torch.testing.assert_close(perturbed, clean[:, None].expand_as(perturbed), rtol=1e-6, atol=1e-6)
    saliency = window_saliency(clean.double(), perturbed.double(), 1.0, "summed")
    assert saliency.abs().max() < 1e-10


@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize("name", MODELS)
def test_in_one_batch_that_saliency_is_exactly_zero_in_every_form(name, statistics):
    torch.manual_seed(0)
    model = MODELS[name]().train()
    x, _ = series()
    clean, perturbed = stacked_logits(model, x, windows_of(x, True), None, statistics)
    for form in FORMS:
        assert (window_saliency(clean, perturbed, 8.0, form) == 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_in_eval_mode_it_is_two_plain_passes_and_moves_nothing(name):
    torch.manual_seed(0)
    model = MODELS[name]().train()
    x, _ = series()
    model(x)  # running statistics of their own
    model.eval()
    before, windows = buffers(model), windows_of(x, False)
    clean, perturbed = joint_logits(model, x, windows)
    copies = windows.apply(x)
    torch.testing.assert_close(clean, model(x), rtol=1e-5, atol=1e-6)
    for m in range(M):
        torch.testing.assert_close(perturbed[:, m], model(copies[:, m]), rtol=1e-5, atol=1e-6)
    assert all(torch.equal(value, before[key]) for key, value in buffers(model).items())


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ["fcn", "resnet", "inception"])
def test_clean_statistics_are_those_of_a_clean_forward_alone(name, padded):
    torch.manual_seed(0)
    model = MODELS[name]().train()
    alone = copy.deepcopy(model)
    x, lengths = series(padded)
    clean, _ = stacked_logits(model, x, windows_of(x, False, lengths), lengths, "clean")
    expected = alone(x) if lengths is None else alone(x, lengths)
    torch.testing.assert_close(clean, expected, rtol=1e-4, atol=1e-5)
    for key, value in buffers(alone).items():
        torch.testing.assert_close(buffers(model)[key], value, rtol=1e-5, atol=1e-6, msg=key)


def test_the_running_statistics_move_by_exactly_the_clean_rows_or_by_all():
    x, _ = series()
    x, windows = x + 3.0, windows_of(x, False)
    moved = {}
    for statistics in STATISTICS:
        model = nn.Sequential(nn.BatchNorm1d(C), nn.Flatten(), nn.Linear(C * T, 3)).train()
        stacked_logits(model, x, windows, None, statistics)
        moved[statistics] = model[0]
    clean, joint = nn.BatchNorm1d(C), nn.BatchNorm1d(C)
    clean(x)
    joint(windows.stack(x).flatten(0, 1))
    for norm, like in (
        (moved["clean"], clean),
        (moved["joint_running_clean"], clean),
        (moved["joint"], joint),
    ):
        assert torch.equal(norm.running_mean, like.running_mean)
        assert torch.equal(norm.running_var, like.running_var)
        assert norm.num_batches_tracked == 1
    assert not torch.allclose(clean.running_mean, joint.running_mean)


@pytest.mark.parametrize("affine", [True, False])
def test_normalisation_by_the_clean_rows_equals_a_plain_loop(affine):
    x, _ = series()
    windows = windows_of(x, False)
    norm = nn.BatchNorm1d(C, affine=affine).train()
    if affine:
        nn.init.uniform_(norm.weight)
        nn.init.uniform_(norm.bias)
    model = nn.Sequential(norm, nn.Flatten())
    clean, perturbed = stacked_logits(model, x, windows, None, "clean")
    for c in range(C):
        mean, variance = x[:, c].mean(), x[:, c].var(correction=0)

        def plain(values, mean=mean, variance=variance, c=c):
            y = (values - mean) / torch.sqrt(variance + norm.eps)
            return y * norm.weight[c] + norm.bias[c] if affine else y

        torch.testing.assert_close(clean.view(B, C, T)[:, c], plain(x[:, c]), rtol=1e-4, atol=1e-5)
        copies = windows.apply(x)[:, :, c]
        torch.testing.assert_close(perturbed.view(B, M, C, T)[:, :, c], plain(copies), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("statistics", STATISTICS)
def test_the_gradient_flows_through_the_shared_statistics(statistics):
    torch.manual_seed(0)
    x, _ = series()
    norm = nn.BatchNorm1d(C).double().train()
    model = nn.Sequential(norm, nn.Flatten(), nn.Linear(C * T, 2).double())
    segments = windows_of(x, False).segments.double()

    def loss(values):
        clean, perturbed = stacked_logits(
            model, values, Windows(windows_of(x, True).starts, segments), None, statistics
        )
        return (clean**2).sum() + (perturbed**3).sum()

    small = x[:, :, :].double().requires_grad_()
    assert torch.autograd.gradcheck(loss, (small,), atol=1e-4, rtol=1e-3)


def test_a_copy_has_its_series_dropout_mask():
    torch.manual_seed(0)
    x = torch.ones(B, C, T)
    windows = Windows(torch.zeros(B, M, dtype=torch.int64), torch.full((B, M, C, W), 2.0))
    model = nn.Sequential(nn.Dropout(0.5), nn.Flatten()).train()
    clean, perturbed = stacked_logits(model, x, windows)
    kept = (clean != 0)[:, None].expand_as(perturbed)
    assert torch.equal(perturbed != 0, kept)
    assert 0 < kept.float().mean() < 1
    assert not torch.equal(kept[0], kept[1])


def test_modules_are_themselves_again_afterwards_even_after_an_error():
    model = Dropped().train()
    x, _ = series()
    stacked_logits(model, x, windows_of(x, False))
    with pytest.raises(RuntimeError):
        stacked_logits(model, x[:, :1], windows_of(x[:, :1], False))
    assert not any("forward" in vars(module) for module in model.modules())


def test_frozen_normalisation_inside_a_training_model_stays_frozen():
    model = nn.Sequential(nn.BatchNorm1d(C), nn.Flatten(), nn.Linear(C * T, 3)).train()
    model[0].eval()
    before = buffers(model)
    x, _ = series()
    stacked_logits(model, x, windows_of(x, False))
    assert all(torch.equal(value, before[key]) for key, value in buffers(model).items())

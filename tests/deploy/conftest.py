"""Students of random family, size, channels, lengths and preprocessing."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tsdistill.data.prepare import Preparation
from tsdistill.data.preprocess import Preprocessing, preprocess
from tsdistill.data.raw import RawDataset, RawPart
from tsdistill.data.unlabelled import Columns
from tsdistill.deploy.c.header import quantised
from tsdistill.deploy.student import Student, choose_references
from tsdistill.models.build import build_model
from tsdistill.models.convolution import ConvBlock, MaskedBatchNorm1d
from tsdistill.models.inception import InceptionModule

FAMILIES = ("recurrent.LSTM", "recurrent.GRU", "fcn.FCN", "resnet.ResNet", "inception.Inception")


def model_conf(family: str, rng: np.random.Generator) -> dict[str, Any]:
    conf: dict[str, Any] = {"_target_": f"tsdistill.models.{family}"}
    kernels = [int(k) for k in rng.integers(1, 9, 3)]
    if family.startswith("recurrent"):
        return conf | {"hidden": int(rng.integers(1, 20)), "layers": int(rng.integers(1, 4))}
    if family == "inception.Inception":
        sizes = {"filters": int(rng.integers(1, 6)), "depth": int(rng.integers(1, 8))}
        return conf | sizes | {"kernels": kernels, "bottleneck": int(rng.integers(0, 5))}
    filters = [int(f) for f in rng.choice([3, 5, 8], 3)]
    return conf | {"filters": filters, "kernels": kernels}


def random_part(rng: np.random.Generator, n: int, channels: int, lengths: tuple[int, int]) -> RawPart:
    series = []
    for _ in range(n):
        one = rng.normal(
            rng.normal(0, 30), rng.uniform(0.1, 3), (channels, rng.integers(*lengths, endpoint=True))
        )
        if rng.random() < 0.3:
            one[0, rng.random(one.shape[1]) < 0.3] = np.nan
            one[0, one.shape[1] // 2] = 1.5
        series.append(one)
    series[0][:, :] = 2.5  # without spread
    return RawPart.ragged(series, [str(i % 3) for i in range(n)])


def random_student(seed: int) -> tuple[Student, RawPart]:
    """A student of random family, size, channels, lengths and preprocessing, and raw series for it."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    channels, shortest = int(rng.integers(1, 4)), int(rng.integers(6, 30))
    lengths = (shortest, shortest + int(rng.choice([0, 0, 9])))
    raw = RawDataset(
        "A", random_part(rng, 9, channels, lengths), random_part(rng, 8, channels, lengths), "here"
    )
    how = Preprocessing(
        int(rng.integers(4, 40)) if rng.random() < 0.3 else None,
        rng.choice(["resample", "pad", "truncate"]),
        rng.choice(["interpolate", "zero"]),
        rng.choice(["none", "per_series", "per_channel_train"]),
    )
    data = preprocess(raw, how)
    conf = model_conf(FAMILIES[seed % 5], rng)
    model = build_model(conf, channels, 3, data.length)
    for name, values in model.named_buffers():  # batch normalisation that does something
        if "running" in name:
            values.copy_(torch.rand_like(values) + (0.5 if name.endswith("var") else -0.8))
    model.eval().requires_grad_(False)
    about = {"dataset": "A*/", "method": "tsd", "student": "s", "seed": seed, "run": "x"}
    references = choose_references(data.train, 4)
    names = ('quote"', "back\\slash??/", "naïve")
    return Student(model, names, Preparation.of(raw, how), references, Columns(), conf, about), raw.test


def first_steps(student: Student, raw: RawPart) -> RawPart:
    """As much of series as the student reads."""
    T = student.preparation.length
    return RawPart(raw.values[:, :, :T], np.minimum(raw.lengths, T), raw.labels)


def with_rounded_weights(student: Student) -> Student:
    """The student whose weights are those that its int8 header holds: what the header should answer as."""
    model = copy.deepcopy(student.model)
    for module in model.modules():
        if isinstance(module, nn.LSTM | nn.GRU):
            for name, weight in module.named_parameters():
                if name.startswith("weight"):
                    _round(weight)
        elif isinstance(module, ConvBlock):
            _round(module.conv.weight, _scale(module.norm))
        elif isinstance(module, InceptionModule):
            convs = [*module.convs, module.pooled]
            scales = _scale(module.norm).chunk(len(convs))
            for conv, scale in zip(convs, scales, strict=True):
                _round(conv.weight, scale)
            if isinstance(module.bottleneck, nn.Conv1d):
                _round(module.bottleneck.weight)
    _round(model.head.weight)
    return replace(student, model=model)


def _round(weight: Tensor, scale: Tensor | None = None) -> None:
    """Round rows to 8 bits in place, times the scale of the normalisation that is folded into them."""
    rows = weight.detach().double().flatten(1)
    factor = torch.ones(len(rows), 1) if scale is None else scale[:, None]
    whole, step = quantised((rows * factor).numpy())
    weight.data.copy_(torch.from_numpy(whole * step[:, None]).div(factor).reshape(weight.shape))


def _scale(norm: MaskedBatchNorm1d) -> Tensor:
    layer = norm.norm
    return layer.weight.detach().double() / (layer.running_var.double() + layer.eps).sqrt()


@pytest.fixture
def rounded() -> Callable[[Student], Student]:
    """A student as its int8 header holds it."""
    return with_rounded_weights


@pytest.fixture
def make_student() -> Callable[[int], tuple[Student, RawPart]]:
    """A random student and raw series for it, by a seed; modulo 5: LSTM, GRU, FCN, ResNet, Inception."""
    return random_student


@pytest.fixture
def cut_to_student() -> Callable[[Student, RawPart], RawPart]:
    """Series cut to the steps that a student reads."""
    return first_steps

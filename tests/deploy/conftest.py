"""Students of random family, size, channels, lengths and preprocessing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tsdistill.data.prepare import Preparation
from tsdistill.data.preprocess import Preprocessing, preprocess
from tsdistill.data.raw import RawDataset, RawPart
from tsdistill.data.unlabelled import Columns
from tsdistill.deploy.student import Student, choose_references
from tsdistill.models.build import build_model

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


@pytest.fixture
def make_student() -> Callable[[int], tuple[Student, RawPart]]:
    """A random student and raw series for it, by a seed; modulo 5: LSTM, GRU, FCN, ResNet, Inception."""
    return random_student


@pytest.fixture
def cut_to_student() -> Callable[[Student, RawPart], RawPart]:
    """Series cut to the steps that a student reads."""
    return first_steps

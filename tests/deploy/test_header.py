"""The C header against PyTorch: random models, lengths, gaps and scalings."""

import os
import shutil
from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import softmax

from tsdistill.data.prepare import Preparation
from tsdistill.data.preprocess import Preprocessing
from tsdistill.data.raw import RawPart
from tsdistill.deploy.c.compiled import compiled
from tsdistill.deploy.c.header import quantised, write_header
from tsdistill.deploy.network import ConvolutionNetwork, place_buffers, read_network
from tsdistill.deploy.student import Student

Make = Callable[[int], tuple[Student, RawPart]]
needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CC", "cc")) is None, reason="there is no C compiler"
)
MODELS = 200 if os.environ.get("TSDISTILL_LONG") else 10


@needs_compiler
@pytest.mark.parametrize("seed", range(MODELS))
def test_the_header_answers_and_explains_as_pytorch(
    seed: int, make_student: Make, cut_to_student: Callable[[Student, RawPart], RawPart]
) -> None:
    student, raw = make_student(seed)
    part, _ = student.preparation(raw, "new")
    wanted = student.logits(part)
    with compiled(write_header(student, 0.3, int8=False), 3, part.x.shape[2]) as found:
        np.testing.assert_allclose(found.logits(raw), wanted, rtol=1e-4, atol=1e-4)
        width = max(1, round(0.3 * _shortest(student)))
        long = np.arange(len(part)) if part.lengths is None else np.flatnonzero(part.lengths >= width)
        maps = found.saliency(raw.rows(long))
        reference = student.saliency(part.rows(long), width)
        np.testing.assert_allclose(maps, reference, rtol=1e-3, atol=1e-4 * (1 + reference.max()))
        whole = np.flatnonzero(~np.isnan(raw.values).any(axis=(1, 2)))
        streams = student.preparation.needs_whole_series() is None and seed % 5 < 2
        if streams and len(whole):
            np.testing.assert_allclose(
                found.streamed(cut_to_student(student, raw.rows(whole))),
                softmax(wanted[whole], axis=1),
                atol=1e-4,
            )


def _shortest(student: Student) -> int:
    lengths = student.references.lengths
    return student.references.x.shape[2] if lengths is None else int(lengths.min())


@needs_compiler
@pytest.mark.parametrize("seed", range(5))
def test_int8_is_the_same_network_with_rounded_weights(
    seed: int, make_student: Make, rounded: Callable[[Student], Student]
) -> None:
    student, raw = make_student(seed)
    part, _ = student.preparation(raw, "new")
    whole, wanted = student.logits(part), rounded(student).logits(part)
    with compiled(write_header(student, 0.3, int8=True), 3, part.x.shape[2]) as found:
        np.testing.assert_allclose(found.logits(raw), wanted, rtol=1e-4, atol=1e-4)
    assert 0 < np.abs(whole - wanted).max() < 0.1 * (1 + np.abs(whole).max())


def test_rows_are_quantised_by_their_largest_weight() -> None:
    whole, scale = quantised(np.array([[1.0, -2.0], [0.0, 0.0], [0.127, 0.0635]]))
    assert whole.tolist() == [[64, -127], [0, 0], [127, 64]]
    np.testing.assert_allclose(scale, [2 / 127, 1, 0.001])


@needs_compiler
def test_a_header_refuses_what_the_student_refuses(make_student: Make) -> None:
    student, _ = make_student(2)
    how = Preprocessing(None, "truncate", "refuse", "none")
    T, C = student.preparation.length, student.preparation.channels
    kept = Preparation(C, (), T, how, T, False, False)
    student = Student(
        student.model, student.classes, kept, student.references, student.columns, {}, student.about
    )
    bad = np.zeros((4, C, T + 2), np.float32)
    bad[1, 0, 3], bad[2, 0, 3] = np.nan, np.inf
    raw = RawPart.of(bad, [""] * 4)
    short = RawPart(raw.values, np.where(np.arange(4)[:, None] == 3, T - 1, raw.lengths), raw.labels)
    with compiled(write_header(student, 2, int8=False), 3, T) as found:
        assert np.isnan(found.logits(short)).any(axis=1).tolist() == [False, True, True, True]


def test_buffers_that_live_at_once_share_no_row(make_student: Make) -> None:
    for seed in range(2, 40):
        network = read_network(make_student(seed)[0].model)
        if not isinstance(network, ConvolutionNetwork):
            continue
        first, rows = place_buffers(network)
        held: dict[int, int] = dict.fromkeys(range(network.sizes[0]), 0)
        for step in network.steps:
            for row in range(first[step.source], first[step.source] + network.sizes[step.source]):
                assert held[row] == step.source
            for row in range(first[step.target] + step.at, first[step.target] + step.at + step.outputs):
                assert row < rows and not (step.add and held[row] != step.target)
                held[row] = step.target
        last = range(first[network.last], first[network.last] + network.sizes[network.last])
        assert all(held[row] == network.last for row in last)

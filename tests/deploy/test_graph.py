"""Graphs against the student: the same logits from series before preprocessing."""

import json
import os
from collections.abc import Callable

import numpy as np
import pytest
import torch

from tsdistill.data.raw import RawPart
from tsdistill.deploy.graph import StepGraph, WholeGraph
from tsdistill.deploy.student import Student
from tsdistill.errors import TsdistillError

Make = Callable[[int], tuple[Student, RawPart]]
MODELS = 100 if os.environ.get("TSDISTILL_LONG") else 15
GRAPHS = 30 if os.environ.get("TSDISTILL_LONG") else 3


@pytest.mark.parametrize("seed", range(MODELS))
def test_a_graph_answers_as_the_student(seed: int, make_student: Make) -> None:
    student, raw = make_student(seed)
    part, _ = student.preparation(raw, "new")
    wanted, graph, T = student.logits(part), WholeGraph(student), student.preparation.length
    for row in range(len(part)):
        steps = int(raw.lengths[row].max())
        x = torch.from_numpy(raw.values[row : row + 1, :, :steps])
        if not student.preparation.padded:
            found = graph(x)
        elif steps <= T:
            x = torch.nn.functional.pad(x, (0, T - steps))
            found = graph(x, torch.tensor([steps]))
        else:
            continue
        np.testing.assert_allclose(found.numpy()[0], wanted[row], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_onnxruntime_answers_as_the_student(
    seed: int, make_student: Make, cut_to_student: Callable[[Student, RawPart], RawPart]
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    import onnx

    from tsdistill.deploy.onnx import session, step_graph, step_logits, whole_graph, whole_logits

    student, raw = make_student(seed)
    part, _ = student.preparation(raw, "new")
    wanted, T = student.logits(part), student.preparation.length
    if student.preparation.padded and student.preparation.resampled:
        with pytest.raises(TsdistillError, match="longer series are resampled"):
            whole_graph(student)
        return
    graph = whole_graph(student)
    found = whole_logits(session(graph), raw, T)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    metadata = {entry.key: entry.value for entry in onnx.load_from_string(graph).metadata_props}
    assert json.loads(metadata["classes"]) == list(student.classes)
    whole = np.flatnonzero(~np.isnan(cut_to_student(student, raw).values).any(axis=(1, 2)))
    if seed % 5 < 2 and student.preparation.needs_whole_series() is None and len(whole):
        found = step_logits(session(step_graph(student)), StepGraph(student), raw.rows(whole))
        np.testing.assert_allclose(found, wanted[whole], rtol=1e-4, atol=1e-4)


def test_what_cannot_stream_is_refused_in_a_line(make_student: Make) -> None:
    with pytest.raises(TsdistillError, match="stream=true: FCN has no state"):
        StepGraph(make_student(2)[0])
    reasons = set()
    for seed in range(0, 60, 5):
        student = make_student(seed)[0]
        if student.preparation.needs_whole_series() is not None:
            with pytest.raises(TsdistillError, match=r"stream=true: .*export the whole graph") as error:
                StepGraph(student)
            reasons.add("resampled" in str(error.value))
    assert reasons == {True, False}

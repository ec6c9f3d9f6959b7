"""A student as an ONNX graph, with its preprocessing inside and its class names in the metadata."""

import io
import json
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tsdistill.data.raw import RawPart
from tsdistill.data.types import FloatArray
from tsdistill.deploy.graph import StepGraph, WholeGraph
from tsdistill.deploy.student import Student
from tsdistill.errors import TsdistillError
from tsdistill.kernels.choice import by_torch

OPSET = 17
BATCH = 256


def need_packages() -> None:
    """Refuse to begin where onnx or onnxruntime is missing.

    Raises:
        TsdistillError: names what is missing and how to install it.
    """
    for name in ("onnx", "onnxruntime"):
        try:
            __import__(name)
        except ImportError:
            raise TsdistillError(f"format=onnx needs {name}: pip install 'tsdistill[export]'") from None


def whole_graph(student: Student) -> bytes:
    """A graph from series (B, C, T) before preprocessing to logits (B, K).

    The batch is dynamic, and time too where no padding is known; for a student of padded series T is fixed
    and a second input ``lengths`` (B,) gives the true lengths.

    Raises:
        TsdistillError: padded series that are resampled as well.
    """
    preparation = student.preparation
    T = preparation.length if preparation.cut is None else preparation.cut
    x = torch.linspace(-1, 1, 2 * preparation.channels * T).reshape(2, preparation.channels, T)
    axes = {"x": {0: "batch"}, "logits": {0: "batch"}}
    if not preparation.padded:
        axes["x"][2] = "time"
    elif preparation.resampled:
        raise TsdistillError(
            f"format=onnx: under dataset.lengths=pad and max_length={T} longer series are resampled, "
            "which the graph can't do; train with dataset.lengths=resample"
        )
    inputs: dict[str, Tensor] = {"x": x}
    if preparation.padded:
        inputs["lengths"] = torch.tensor([T, T])
        axes["lengths"] = {0: "batch"}
    return _written(WholeGraph(student), inputs, ["logits"], axes, student)


def step_graph(student: Student) -> bytes:
    """A graph of one step of a stream; see ``StepGraph``."""
    graph = StepGraph(student)
    names = ["h", "c"][: len(graph.start(1))]
    inputs = {"x": torch.zeros(2, student.preparation.channels)}
    inputs |= dict(zip(names, graph.start(2), strict=True))
    outputs = ["logits", *(f"next_{name}" for name in names)]
    states = {name: {1: "batch"} for name in (*names, *outputs[1:])}
    return _written(graph, inputs, outputs, {"x": {0: "batch"}, "logits": {0: "batch"}, **states}, student)


def _written(
    module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], axes: dict[str, Any], student: Student
) -> bytes:
    """Trace a module and add the metadata."""
    import onnx

    file = io.BytesIO()
    # The tracer alone keeps an LSTM's time dynamic; torch.export freezes it.
    with warnings.catch_warnings(), by_torch():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            file,  # type: ignore[arg-type]  # which it takes all the same
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    graph = onnx.load_from_string(file.getvalue())
    graph.producer_name = "tsdistill"
    metadata = {
        "classes": json.dumps(list(student.classes), ensure_ascii=False),
        "about": json.dumps(dict(student.about), ensure_ascii=False),
        "preparation": json.dumps(student.preparation.as_dict(), ensure_ascii=False),
    }
    onnx.helper.set_model_props(graph, metadata)
    onnx.checker.check_model(graph)
    found: bytes = graph.SerializeToString()
    return found


def session(graph: bytes) -> Any:
    """A session of onnxruntime on one thread of the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def whole_logits(running: Any, raw: RawPart, length: int) -> FloatArray:
    """Logits of series before preprocessing, (N, K), those of one length together.

    Args:
        running: a session of a whole graph.
        raw: the series; all channels of a series have one length.
        length: T that the student knows.
    """
    steps, padded = raw.lengths.max(axis=1), len(running.get_inputs()) > 1
    groups = [np.arange(len(steps))] if padded else [np.flatnonzero(steps == n) for n in np.unique(steps)]
    rows: list[tuple[Any, FloatArray]] = []
    for group in groups:
        for first in range(0, len(group), BATCH):
            some = group[first : first + BATCH]
            x = raw.values[some, :, : length if padded else steps[some[0]]].astype(np.float32)
            if padded and x.shape[2] < length:
                x = np.pad(x, ((0, 0), (0, 0), (0, length - x.shape[2])))
            rows.append(
                (some, running.run(None, {"x": x, **({"lengths": steps[some]} if padded else {})})[0])
            )
    found = np.empty((len(steps), rows[0][1].shape[1]), dtype=np.float32)
    for some, logits in rows:
        found[some] = logits
    return found


def step_logits(running: Any, graph: StepGraph, raw: RawPart) -> FloatArray:
    """Logits after the last step of series that are given step by step, (N, K)."""
    lengths = np.minimum(raw.lengths.max(axis=1), graph.length)
    state = {
        each.name: values.numpy()
        for each, values in zip(running.get_inputs()[1:], graph.start(len(lengths)), strict=True)
    }
    found: FloatArray | None = None
    for t in range(int(lengths.max())):
        logits, *after = running.run(None, {"x": raw.values[:, :, t].astype(np.float32), **state})
        state = dict(zip(state, after, strict=True))
        found = logits if found is None else np.where((t < lengths)[:, None], logits, found)
    assert found is not None
    return found

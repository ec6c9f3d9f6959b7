"""A network that was trained elsewhere as a teacher: its weights, or an ONNX model of any framework's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tsdistill.data.tensors import TensorPart
from tsdistill.errors import TsdistillError
from tsdistill.teachers.base import FitTask, Teacher
from tsdistill.teachers.labels import hold_against_labels
from tsdistill.teachers.network import NetworkTeacher
from tsdistill.teachers.reading import Answers, Reading, sums_to_one


class Checkpoint(Teacher):
    """The classifier in a file; never a pickle, which could run any code.

    Args:
        path: ``*.safetensors``, the state dict of ``teacher.model``, or ``*.onnx``, a model from series
            (B, C, T) float32 to logits or probabilities (B, K).
        network: builds the network of ``teacher.model``; None where none is set.
    """

    def __init__(self, path: str, network: Callable[[], nn.Module] | None = None) -> None:
        self._inner: Teacher
        suffix = Path(path).suffix
        if suffix == ".onnx":
            self._inner = OnnxTeacher(path)
        elif suffix == ".safetensors":
            if network is None:
                raise TsdistillError(
                    f"teacher.path={path} holds weights alone; name their model, such as "
                    "+teacher.model._target_=my_package.MyNet"
                )
            self._inner = WeightsTeacher(path, network)
        else:
            raise TsdistillError(
                f"teacher.path={path} should end in .safetensors or .onnx; a pickle is never read: save it "
                "by safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
            )
        self.provides = self._inner.provides  # type: ignore[misc]
        self._told: list[str] = []

    def fit(self, task: FitTask) -> Mapping[str, Any]:
        """Read the file, and hold its answers on the training part against the labels."""
        self._inner.fit(task)
        train = task.parts["train"]
        logits = torch.cat([self.logits(part.x, part.lengths) for part in train.chunks(256)])
        accuracy, note = hold_against_labels(logits.cpu().numpy(), train.y.cpu().numpy(), task.classes)
        self._told.append(note)
        return {"in_sample_accuracy": accuracy}

    def logits(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """See ``Teacher``."""
        return self._inner.logits(x, lengths)

    @property
    def network(self) -> nn.Module:
        """See ``Teacher``."""
        return self._inner.network

    def input_gradients(self, part: TensorPart) -> Tensor:
        """See ``Teacher``."""
        return self._inner.input_gradients(part)

    def parameters(self) -> int | None:
        """See ``Teacher``."""
        return self._inner.parameters()

    def notes(self) -> list[str]:
        """See ``Teacher``."""
        told, self._told = self._told, []
        return told

    def state(self) -> Mapping[str, Tensor]:
        """The weights, or the bytes of the ONNX model."""
        return self._inner.state()

    def restore(self, state: Mapping[str, Tensor], task: FitTask) -> None:
        """See ``Teacher``; the file is not read again."""
        self._inner.restore(state, task)

    def as_module(self) -> nn.Module:
        """See ``Teacher``."""
        return self._inner.as_module()


class WeightsTeacher(NetworkTeacher):
    """A network with weights from a ``*.safetensors`` file."""

    def __init__(self, path: str, network: Callable[[], nn.Module]) -> None:
        super().__init__(network)
        self._path = path

    def fit(self, task: FitTask) -> Mapping[str, Any]:
        """Read the weights."""
        try:
            self.restore(load_file(self._path), task)
        except (OSError, SafetensorError) as error:
            raise TsdistillError(f"teacher.path={self._path} can't be read: {_line(error)}") from error
        except RuntimeError as error:  # raised by load_state_dict
            raise TsdistillError(
                f"teacher.path={self._path} does not fit teacher.model: {_line(error)}"
            ) from error
        return {}


class OnnxTeacher(Teacher):
    """An ONNX model, run on the CPU by onnxruntime."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._bytes = b""
        self._session: Any = None
        self._probable = False

    def fit(self, task: FitTask) -> Mapping[str, Any]:
        """Read the model."""
        try:
            self._open(Path(self._path).read_bytes())
        except OSError as error:
            raise TsdistillError(f"teacher.path={self._path} can't be read: {_line(error)}") from error
        answers = self._answers(task.parts["train"].x)
        self._probable = answers.ndim == 2 and bool(sums_to_one(answers).all())
        return {}

    def _open(self, model: bytes) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise TsdistillError(
                f"teacher.path={self._path} needs onnxruntime; pip install 'tsdistill[export]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of onnxruntime's own kinds
            raise TsdistillError(
                f"teacher.path={self._path} is no whole ONNX model: {_line(error)}"
            ) from error
        if len(session.get_inputs()) != 1:
            names = ", ".join(each.name for each in session.get_inputs())
            raise TsdistillError(f"teacher.path={self._path} takes {names}; it should take series alone")
        self._session, self._bytes = session, model

    def logits(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """See ``Teacher``; a model whose answers to the training part sum to 1 gives probabilities."""
        if lengths is not None:
            raise TsdistillError(
                "an ONNX teacher takes series of one length; use dataset.lengths=resample or truncate"
            )
        found = self._answers(x)
        if self._probable:
            found = Reading("probabilities").logits(found)[0]
        return torch.from_numpy(found).float().to(x.device)

    def _answers(self, x: Tensor) -> Answers:
        """What the model says of series (B, C, T); one with a batch of 1 is asked series by series."""
        given, values = self._session.get_inputs()[0], x.cpu().numpy()
        chunks = np.split(values, len(values)) if given.shape[:1] == [1] else [values]
        try:
            found = [self._session.run(None, {given.name: chunk})[0] for chunk in chunks]
        except Exception as error:  # of onnxruntime's own kinds
            raise TsdistillError(
                f"teacher.path={self._path} fails on series {tuple(x.shape)}: {_line(error)}"
            ) from error
        return np.concatenate(found).astype(np.float64)

    def state(self) -> Mapping[str, Tensor]:
        """The bytes of the model, and what its answers are."""
        model = torch.frombuffer(bytearray(self._bytes), dtype=torch.uint8)
        return {"onnx": model, "probable": torch.tensor(self._probable)}

    def restore(self, state: Mapping[str, Tensor], task: FitTask) -> None:
        """See ``Teacher``."""
        self._open(state["onnx"].numpy().tobytes())
        self._probable = bool(state["probable"])


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]

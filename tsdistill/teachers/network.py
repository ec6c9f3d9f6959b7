"""A network as a teacher: trained here from the labels, then frozen."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tsdistill.data.tensors import TensorPart
from tsdistill.methods.base import Need
from tsdistill.teachers.base import ANSWERS, FitTask, Teacher
from tsdistill.training.plateau import until_learnt
from tsdistill.training.state import FitResult
from tsdistill.training.supervised import EVALUATION_BATCH, answers


class NetworkTeacher(Teacher):
    """The network of ``teacher.model`` under the ``teacher.training`` settings.

    Args:
        network: builds it, freshly initialised, on the device.
    """

    provides: ClassVar[frozenset[Need]] = ANSWERS | {"teacher_features", "teacher_gradients"}

    def __init__(self, network: Callable[[], nn.Module]) -> None:
        self._build = network
        self._network: nn.Module | None = None

    @classmethod
    def around(cls, network: nn.Module) -> "NetworkTeacher":
        """A teacher from a network that has learnt; it is frozen."""
        teacher = cls(lambda: network)
        teacher.restore(network.state_dict(), None)
        return teacher

    @property
    def network(self) -> nn.Module:
        """See ``Teacher``."""
        assert self._network is not None, "fit or restore the teacher first"
        return self._network

    def fit(self, task: FitTask) -> Mapping[str, Any]:
        """Train a network; one that is still on the plateau after a fifth of its epochs begins anew."""

        def attempt(seed: int, watched: bool) -> tuple[tuple[nn.Module, FitResult], bool]:
            torch.manual_seed(seed)
            model = self._build()
            result = task.optimise(model, seed, watched)
            return (model, result), result.stopped == "plateau"

        (model, result), restarts = until_learnt(task.seeds, attempt)
        self._network = model.eval().requires_grad_(False)
        return {
            "epochs": result.epochs,
            "best_epoch": result.best_epoch,
            "stopped": result.stopped,
            "restarts": restarts,
        }

    @torch.no_grad()
    def logits(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """See ``Teacher``."""
        return answers(self.network, TensorPart(x, x.new_zeros(len(x), dtype=torch.int64), lengths)).float()

    def input_gradients(self, part: TensorPart) -> Tensor:
        """Gradients of the logits with respect to the input.

        Args:
            part: N series.

        Returns:
            (N, K, C, T) float32, on the device of the series.
        """
        found = []
        # cuDNN's recurrent kernels refuse a backward pass in eval mode.
        with torch.backends.cudnn.flags(enabled=False):
            for batch in part.chunks(EVALUATION_BATCH):
                x = batch.x.detach().clone().requires_grad_()
                logits = answers(self.network, TensorPart(x, batch.y, batch.lengths)).float()
                rows = [
                    torch.autograd.grad(logits[:, k].sum(), x, retain_graph=True)[0]
                    for k in range(logits.shape[1])
                ]
                found.append(torch.stack(rows, dim=1))
        return torch.cat(found).float()

    def parameters(self) -> int:
        """See ``Teacher``."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def state(self) -> Mapping[str, Tensor]:
        """The network's state dict, on the CPU."""
        return {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}

    def restore(self, state: Mapping[str, Tensor], task: FitTask | None) -> None:
        """See ``Teacher``."""
        model = self._build()
        model.load_state_dict(dict(state))
        self._network = model.eval().requires_grad_(False)

    def as_module(self) -> nn.Module:
        """The network itself."""
        return self.network

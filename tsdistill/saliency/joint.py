"""Logits of series and of their perturbed copies, from one pass of the model.

The clean and the perturbed logits of one step share normalisation statistics and dropout masks, so that a
perturbation that changes nothing has saliency 0 in training mode too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from tsdistill.saliency.touched import touched_logits
from tsdistill.saliency.windows import Windows

Statistics = Literal["clean", "joint", "joint_running_clean"]
"""Where batch normalisation takes its statistics from in the joint pass: see ``joint_logits``."""


@runtime_checkable
class SharesPrefixes(Protocol):
    """A model that need not compute a copy's steps before its window again; it has no batch normalisation."""

    def forward_perturbed(
        self, x: Tensor, windows: Windows, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits of clean series (B, K) and of their copies (B, M, K); arguments as in ``joint_logits``."""
        ...


@runtime_checkable
class ShowsClean(Protocol):
    """A model of this kind whose taps can see the clean series."""

    def shows_clean(self, x: Tensor) -> bool:
        """Whether they see all steps of the clean series (B, C, T) in ``forward_perturbed``."""
        ...


def joint_logits(
    model: nn.Module,
    x: Tensor,
    windows: Windows,
    lengths: Tensor | None = None,
    statistics: Statistics = "clean",
    *,
    tapped: bool = False,
) -> tuple[Tensor, Tensor]:
    """Logits of clean series and of their perturbed copies.

    Args:
        model: a classifier; one that ``SharesPrefixes`` computes clean prefixes once. Of a frozen
            convolutional one, only the steps that a window touches are computed again.
        x: clean series, (B, C, T).
        windows: M perturbations of each.
        lengths: true lengths, (B,) int64, for padded data.
        statistics: in training mode, batch normalisation uses the statistics of the clean series alone
            (``clean``), of all series (``joint``), or of all series while only the clean ones move the
            running statistics (``joint_running_clean``).
        tapped: taps at the model's layers are to see what belongs to the clean series; they may see more rows
            after those.

    Returns:
        Clean logits (B, K) and perturbed logits (B, M, K).
    """
    if tapped and not (isinstance(model, ShowsClean) and model.shows_clean(x)):
        return stacked_logits(model, x, windows, lengths, statistics)
    if isinstance(model, SharesPrefixes):
        return model.forward_perturbed(x, windows, lengths)
    touched = None if lengths is not None or model.training else touched_logits(model, x, windows)
    if touched is not None:
        return touched
    return stacked_logits(model, x, windows, lengths, statistics)


def stacked_logits(
    model: nn.Module,
    x: Tensor,
    windows: Windows,
    lengths: Tensor | None = None,
    statistics: Statistics = "clean",
) -> tuple[Tensor, Tensor]:
    """The general way of ``joint_logits``: all B (M + 1) series in one batch, the clean ones first."""
    copies = windows.starts.shape[1] + 1
    rows = windows.stack(x).flatten(0, 1)
    with _shared_state(model, copies, statistics):
        if lengths is None:
            logits: Tensor = model(rows)
        else:
            logits = model(rows, lengths.repeat(copies))
    stacked = logits.view(copies, len(x), -1)
    return stacked[0], stacked[1:].transpose(0, 1)


@contextmanager
def _shared_state(model: nn.Module, copies: int, statistics: Statistics) -> Iterator[None]:
    """Let all rows of a stacked batch use the normalisation and the dropout masks of the clean series.

    The clean series are the first of ``copies`` equal stretches of the rows; so they are also where a model
    lays the true steps of padded series one after another.
    """
    changed: list[nn.Module] = []
    try:
        for module in model.modules():
            if not module.training:
                continue
            if isinstance(module, _BatchNorm) and statistics != "joint":
                normalise = _normalise_by_clean if statistics == "clean" else _normalise_by_all
                module.forward = partial(  # type: ignore[method-assign]
                    normalise, module, module.forward, copies
                )
                changed.append(module)
            elif isinstance(module, _DropoutNd):
                module.forward = partial(_drop_alike, module, copies)
                changed.append(module)
        yield
    finally:
        for module in changed:
            del module.forward


def _normalise_by_clean(
    module: _BatchNorm, forward: Callable[[Tensor], Tensor], copies: int, x: Tensor
) -> Tensor:
    """Batch normalisation with the statistics of the first rows, which alone move the running ones."""
    clean = x[: len(x) // copies]
    with torch.no_grad():
        forward(clean)
    dims = [d for d in range(x.dim()) if d != 1]
    variance, mean = torch.var_mean(clean, dims, correction=0)
    scale = (variance + module.eps).rsqrt()
    if module.weight is not None:
        scale = scale * module.weight
    shift = -mean * scale
    if module.bias is not None:
        shift = shift + module.bias
    shape = [1, -1] + [1] * (x.dim() - 2)
    return torch.addcmul(shift.view(shape), x, scale.view(shape))


def _normalise_by_all(
    module: _BatchNorm, forward: Callable[[Tensor], Tensor], copies: int, x: Tensor
) -> Tensor:
    """Batch normalisation over all rows, while only the first ones move the running statistics."""
    with torch.no_grad():
        forward(x[: len(x) // copies])
    return functional.batch_norm(x, None, None, module.weight, module.bias, training=True, eps=module.eps)


def _drop_alike(module: _DropoutNd, copies: int, x: Tensor) -> Tensor:
    """Dropout with one mask for a clean series and all its copies."""
    mask: Tensor = type(module)(module.p)(torch.ones_like(x[: len(x) // copies]))
    return (x.view(-1, *mask.shape) * mask).view_as(x)

"""Logits of perturbed copies from the steps that a window touches, for networks of convolutions.

The model is traced by torch.fx, and every operation of the trace is applied to the clean series and to the
stretches in which the copies differ from them. Of a model that can't be traced, or that holds an operation
without a rule here, nothing is computed: the caller then takes the general way.
"""

import operator
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from tsdistill.kernels import choice
from tsdistill.saliency.stretches import Rows, Stretches, aligned, slide
from tsdistill.saliency.windows import Windows

__neutral__ = "computes what a pass over whole series computes, up to rounding; a pool names the way"

MOST_OF_THE_WORK = 0.5
"""Share of a whole pass' multiplications up to which leaving out the others was measured to pay."""
CLOSE = 1e-4
"""How far the first answers may lie from those of a whole pass, relative to the largest."""


class NoRuleError(Exception):
    """The trace holds something that is not known to change only the steps around a window."""


# --- rules ---

POINTWISE = (
    *(functional.elu, functional.gelu, functional.hardsigmoid, functional.hardswish, functional.hardtanh),
    *(functional.leaky_relu, functional.mish, functional.relu, functional.relu6, functional.selu),
    *(functional.sigmoid, functional.silu, functional.softplus, functional.tanh),
    *(torch.abs, torch.add, torch.clamp, torch.div, torch.exp, torch.mul, torch.neg, torch.relu),
    *(torch.sigmoid, torch.sqrt, torch.sub, torch.tanh),
    *(operator.add, operator.mul, operator.neg, operator.sub, operator.truediv),
)
"""Functions whose value at a step depends on that step alone."""
POINTWISE_MODULES = (
    *(nn.ReLU, nn.GELU, nn.ELU, nn.SELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.ReLU6),
    *(nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.Identity),
)
ROW_MODULES = (nn.Linear, nn.LayerNorm)


def _pointwise(function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Stretches | Rows:
    values = [each for each in (*args, *kwargs.values()) if isinstance(each, Stretches | Rows)]
    if not values:
        raise NoRuleError("arithmetic on something else")
    if all(isinstance(each, Rows) for each in values):
        _check_constants(args, kwargs, steps=False)
        return _by_row(function, *args, **kwargs)
    if not all(isinstance(each, Stretches) for each in values):
        raise NoRuleError("a mean over time meets a sequence")
    _check_constants(args, kwargs, steps=True)
    wide = iter(aligned([each for each in values if isinstance(each, Stretches)]))
    args = tuple(next(wide) if isinstance(each, Stretches) else each for each in args)
    kwargs = {key: next(wide) if isinstance(each, Stretches) else each for key, each in kwargs.items()}
    done = _by_row(function, *args, **kwargs)
    starts = next(each.starts for each in (*args, *kwargs.values()) if isinstance(each, Stretches))
    return Stretches(done.clean, done.copies, starts)


def _check_constants(args: tuple[Any, ...], kwargs: Mapping[str, Any], steps: bool) -> None:
    """Refuse tensors that hold something of their own for each step, or for each row."""
    for each in (*args, *kwargs.values()):
        if isinstance(each, Tensor) and each.dim() and (each.shape[-1] != 1 if steps else each.dim() > 1):
            raise NoRuleError("a tensor with a value for each step")


def _by_row(function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Rows:
    """Apply a function to the clean and to the perturbed values."""

    def side(name: str) -> Tensor:
        def pick(each: Any) -> Any:
            return getattr(each, name) if isinstance(each, Stretches | Rows) else each

        return function(*map(pick, args), **{key: pick(each) for key, each in kwargs.items()})

    return Rows(side("clean"), side("copies"))


def _rows_only(function: Callable[..., Tensor], value: Any, *args: Any, **kwargs: Any) -> Rows:
    if not isinstance(value, Rows):
        raise NoRuleError("a layer across steps")
    return _by_row(function, value, *args, **kwargs)


def _flat(value: Any, start_dim: int = 0, end_dim: int = -1) -> Rows:
    if start_dim != 1 or end_dim != -1:
        raise NoRuleError("flatten across rows")
    return _rows_only(partial(torch.flatten, start_dim=1), value)


def _squeezed(value: Any, dim: int | None = None) -> Rows:
    if not isinstance(value, Rows) or dim not in (-1, value.clean.dim() - 1):
        raise NoRuleError("squeeze of anything but the last axis")
    return _by_row(partial(torch.squeeze, dim=-1), value)


def _mean(value: Any, dim: Any = None, keepdim: bool = False) -> Rows:
    axes = tuple(dim) if isinstance(dim, tuple | list) else (dim,)
    if not isinstance(value, Stretches) or axes not in ((-1,), (2,)):
        raise NoRuleError("a mean over anything but time")
    return value.pooled(keepdim)


def _joined(values: Any, dim: int = 0) -> Stretches | Rows:
    if dim not in (1, -2) or not all(isinstance(each, Stretches) for each in values):
        raise NoRuleError("a concatenation of anything but channels")
    wide = aligned(values)
    clean, copies = (torch.cat([getattr(each, side) for each in wide], dim=1) for side in ("clean", "copies"))
    return Stretches(clean, copies, wide[0].starts)


def _padded(series: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Stretches:
    if not isinstance(series, Stretches) or len(pad) != 2 or min(pad) < 0 or mode != "constant":
        raise NoRuleError("padding with anything but a constant at the ends")
    clean = functional.pad(series.clean, pad, value=value)
    return Stretches(clean, series.copies, series.starts + pad[0])


def _dropout(value: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    if training:
        raise NoRuleError("dropout in training")
    return value


def _one(number: Any) -> int:
    """A setting of a layer along its one axis."""
    return int(number[0] if isinstance(number, tuple | list) else number)


def _max_pool(
    value: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, **rest: Any
) -> Stretches:
    if not isinstance(value, Stretches) or any(rest.values()):
        raise NoRuleError("max pooling with indices or a ceiling")
    kernel, ends, apart = _one(kernel_size), _one(padding), _one(dilation)
    step = kernel if stride is None else _one(stride)
    clean = functional.max_pool1d(value.clean, kernel, step, ends, apart)
    pool = partial(functional.max_pool1d, kernel_size=kernel, stride=step, dilation=apart)
    return slide(value, clean, pool, apart * (kernel - 1) + 1, step, (ends, ends), -torch.inf)


def _average_pool(
    value: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Stretches:
    kernel, ends = _one(kernel_size), _one(padding)
    if not isinstance(value, Stretches) or ceil_mode or (ends and not count_include_pad):
        raise NoRuleError("average pooling with a ceiling or another count at the ends")
    step = kernel if stride is None else _one(stride)
    clean = functional.avg_pool1d(value.clean, kernel, step, ends)
    pool = partial(functional.avg_pool1d, kernel_size=kernel, stride=step)
    return slide(value, clean, pool, kernel, step, (ends, ends))


FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    **{function: partial(_pointwise, function) for function in POINTWISE},
    torch.cat: _joined,
    torch.flatten: _flat,
    torch.mean: _mean,
    torch.squeeze: _squeezed,
    functional.avg_pool1d: _average_pool,
    functional.dropout: _dropout,
    functional.linear: partial(_rows_only, functional.linear),
    functional.max_pool1d: _max_pool,
    functional.pad: _padded,
}
POINTWISE_METHODS = (
    "abs",
    "add",
    "clamp",
    "div",
    "exp",
    "mul",
    "neg",
    "relu",
    "sigmoid",
    "sqrt",
    "sub",
    "tanh",
)
METHODS: Mapping[str, Callable[..., Any]] = {
    **{name: FUNCTIONS[getattr(torch, name)] for name in POINTWISE_METHODS},
    "contiguous": lambda value: value,
    "flatten": _flat,
    "mean": _mean,
    "squeeze": _squeezed,
}


# --- a traced model ---


class _Unpadded(nn.Module):
    """A model on series of one length."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = self.model(x)
        return answers


class _Pass(fx.Interpreter):
    """One pass over clean series and stretches.

    Attributes:
        work: multiplications of the convolutions for one copy, and for a whole series.
        longest: the longest stretch.
    """

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        super().__init__(_Unpadded(model), graph=graph)
        self.work, self.longest = (0, 0), 0

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target is torch.conv1d:
            return self._convolution(*args, **kwargs)
        if target in FUNCTIONS:
            return FUNCTIONS[target](*args, **kwargs)
        raise NoRuleError(target)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target in METHODS:
            return METHODS[target](*args, **kwargs)
        raise NoRuleError(target)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module, (value, *rest) = self.fetch_attr(target), args
        if rest or kwargs:
            raise NoRuleError(target)
        kind = type(module)
        if kind is nn.Conv1d and module.padding_mode == "zeros":
            same = (module.stride, module.padding, module.dilation, module.groups)
            return self._convolution(value, module.weight, module.bias, *same)
        if kind is nn.BatchNorm1d and not module.training and module.running_mean is not None:
            return _pointwise(module, value)
        if kind in POINTWISE_MODULES:
            return _pointwise(module, value)
        if kind in ROW_MODULES:
            return _rows_only(module, value)
        if kind in (nn.Dropout, nn.Dropout1d):
            return _dropout(value, training=module.training)
        if kind is nn.MaxPool1d:
            same = (module.kernel_size, module.stride, module.padding, module.dilation)
            return _max_pool(value, *same, ceil=module.ceil_mode, indices=module.return_indices)
        if kind is nn.AvgPool1d:
            size, step, ends = module.kernel_size, module.stride, module.padding
            return _average_pool(value, size, step, ends, module.ceil_mode, module.count_include_pad)
        if kind is nn.AdaptiveAvgPool1d and module.output_size in (1, (1,)):
            return _mean(value, dim=-1, keepdim=True)
        if kind is nn.Flatten:
            return _flat(value, module.start_dim, module.end_dim)
        raise NoRuleError(target)

    def _convolution(
        self,
        value: Any,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Stretches:
        if not isinstance(value, Stretches):
            raise NoRuleError("a convolution of anything but a sequence")
        step, apart = _one(stride), _one(dilation)
        reach = apart * (weight.shape[-1] - 1) + 1
        ends = (_one(padding),) * 2 if not isinstance(padding, str) else (0, 0)
        if padding == "same":
            ends = ((reach - 1) // 2, reach - 1 - (reach - 1) // 2)
        clean = torch.conv1d(value.clean, weight, bias, stride, padding, dilation, groups)

        def without_padding(x: Tensor) -> Tensor:
            flat = x.unsqueeze(2), weight.unsqueeze(2), bias  # as 2-D, oneDNN keeps the channels last
            return functional.conv2d(*flat, stride=(1, step), dilation=(1, apart), groups=groups).squeeze(2)

        done = slide(value, clean, without_padding, reach, step, ends)
        ours, whole = self.work
        self.work = (
            ours + weight.numel() * done.length,
            whole + weight.numel() * clean.shape[-1],
        )
        self.longest = max(self.longest, done.length + reach - 1)
        return done


@dataclass
class _Trace:
    """What is known of a model.

    Attributes:
        modules: its modules when it was traced, and of each whether it was training or had hooks.
        graph: None where it could not be traced.
        steps: longest stretch by length T, window w and channels; None where a whole pass is taken.
    """

    modules: tuple[tuple[nn.Module, bool, bool], ...]
    graph: fx.Graph | None
    steps: dict[tuple[int, int, int], int | None] = field(default_factory=dict)


_traces: WeakKeyDictionary[nn.Module, _Trace] = WeakKeyDictionary()


def touched_logits(model: nn.Module, x: Tensor, windows: Windows) -> tuple[Tensor, Tensor] | None:
    """Logits of clean series and of their copies, from the steps that the windows touch.

    Args:
        model: in eval mode; no gradient is needed.
        x: clean series of one length, (B, C, T).
        windows: M perturbations of each.

    Returns:
        Clean logits (B, K) and perturbed logits (B, M, K); None where a pass over whole copies is to be
        taken.
    """
    if touched_steps(model, x, windows.width) == x.shape[-1]:
        return None
    graph = _traces[model].graph
    assert graph is not None
    return _pass(_Pass(model, graph), x, windows)


def touched_steps(model: nn.Module, x: Tensor, width: int) -> int:
    """How many steps of a copy are computed at most.

    Args:
        model: in eval mode.
        x: clean series of one length, (B, C, T).
        width: window length w in steps.

    Returns:
        Steps of the longest stretch; T where whole copies are computed.
    """
    channels, length = x.shape[1:]
    if not choice.may_touch() or not x.is_cpu or torch.is_autocast_enabled("cpu") or torch.is_grad_enabled():
        return int(length)
    trace = _trace_of(model)
    if trace.graph is None:
        return int(length)
    key = (length, width, channels)
    if key not in trace.steps:
        trace.steps[key] = _measured(model, trace.graph, x[:1], width)
    found = trace.steps[key]
    return (
        int(length) if found is None else max(found, 1)
    )  # a model that only averages over time computes none


def _pass(run: _Pass, x: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
    answers = run.run(Stretches.of(x, windows))
    if not isinstance(answers, Rows):
        raise NoRuleError("no logits")
    return answers.clean, answers.copies.view(*windows.starts.shape, -1)


def _trace_of(model: nn.Module) -> _Trace:
    """The trace of a model as it is now."""
    modules = tuple((module, module.training, _is_hooked(module)) for module in model.modules())
    known = _traces.get(model)
    if known is None or known.modules != modules:
        known = _traces[model] = _Trace(modules, _traced(model))
    return known


def _is_hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _traced(model: nn.Module) -> fx.Graph | None:
    if any(_is_hooked(module) for module in model.modules()):
        return None
    try:
        return fx.Tracer().trace(_Unpadded(deepcopy(model).eval()))
    except Exception:  # a user's forward may do anything to a proxy
        return None


def _measured(model: nn.Module, graph: fx.Graph, x: Tensor, width: int) -> int | None:
    """Try one series: the longest stretch; None where it does not pay or gives other logits."""
    starts = torch.tensor([[0, (x.shape[-1] - width) // 2, x.shape[-1] - width]])
    windows = Windows(starts, torch.ones(1, 3, x.shape[1], width, dtype=x.dtype))
    run = _Pass(model, graph)
    try:
        found = torch.cat(_pass(run, x, windows)[1:])
    except (NoRuleError, RuntimeError, TypeError):  # the last two: a call in a form that no rule foresees
        return None
    ours, whole = run.work
    if ours > MOST_OF_THE_WORK * whole:
        return None
    expected = model(windows.apply(x)[0])[None]
    if not torch.allclose(found, expected, rtol=0, atol=CLOSE * float(expected.abs().max())):
        return None
    return run.longest

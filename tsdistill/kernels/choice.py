"""Which way the recurrent layers are computed, and which one was used."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from tsdistill.config.schema import Kernel
from tsdistill.errors import TsdistillError

__neutral__ = "a kernel moves numbers by rounding only, as another processor does; the environment names it"

MOST_UNITS = 32
"""Hidden units up to which the fused kernel was measured to be clearly faster than PyTorch."""

_wanted = Kernel.auto
_used = False


def choose(kernel: Kernel) -> None:
    """Set the kernel of what follows, and forget which one was used.

    Raises:
        TsdistillError: ``fused`` where numba can't be imported.
    """
    global _wanted, _used
    problem = _problem() if kernel is Kernel.fused else None
    if problem is not None:
        raise TsdistillError(
            f"hardware.kernel=fused: {problem}; pip install 'tsdistill[fast]', or use hardware.kernel=auto"
        )
    _wanted, _used = kernel, False


@contextmanager
def by_torch() -> Iterator[None]:
    """Leave all passes to PyTorch in the meantime."""
    global _wanted
    before, _wanted = _wanted, Kernel.torch
    try:
        yield
    finally:
        _wanted = before


def takes(units: int, single: bool) -> bool:
    """Whether the fused kernel is to compute a pass that it can compute, and note that it does.

    Args:
        units: hidden units of a layer.
        single: whether the numbers are of single precision; ``auto`` leaves others to PyTorch.
    """
    global _used
    if _wanted is Kernel.torch:
        return False
    if _wanted is Kernel.auto and (
        not single or units > MOST_UNITS or _problem() is not None or not _has_fma()
    ):
        return False
    _used = True
    return True


def compiled() -> bool:
    """Whether other compiled code than that of recurrent layers is to be used on the CPU; note that it is."""
    global _used
    if _wanted is Kernel.torch or _problem() is not None:
        return False
    _used = True
    return True


def may_touch() -> bool:
    """Whether a convolutional network may compute only the steps of a copy that its window touches."""
    return _wanted is not Kernel.torch


def used() -> dict[str, str]:
    """What to record of the kernel since ``choose``: its name, and of the fused one numba and its target."""
    if not _used:
        return {"kernel": "torch"}
    import llvmlite.binding
    import numba

    cpu = numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    return {"kernel": "fused", "numba": numba.__version__, "kernel_cpu": str(cpu)}


def numba_version() -> str | None:
    """Version of numba; None where the fused kernel can't be had."""
    if _problem() is not None:
        return None
    import numba

    return str(numba.__version__)


@cache
def _has_fma() -> bool:
    """Whether the processor has fused multiply-add, without which the kernel is slower than PyTorch."""
    import llvmlite.binding

    known = llvmlite.binding.get_host_cpu_features()
    return bool(
        known.get("fma", True)
    )  # other makes than Intel's and AMD's have it under another name, or always


@cache
def _problem() -> str | None:
    """Why the fused kernel can't be had; None if it can."""
    try:
        import tsdistill.kernels.cells  # noqa: F401
    except ImportError as error:
        return f"numba can't be imported ({error})"
    except RuntimeError as error:  # numba finds no folder to keep compiled code in
        return f"numba can't be used ({error})"
    import numba

    if numba.config.DISABLE_JIT:
        return "numba compiles nothing (NUMBA_DISABLE_JIT is set)"
    return None

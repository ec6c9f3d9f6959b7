"""Where it runs: the device, its precision and its determinism."""

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tsdistill.config.hardware import check_hardware
from tsdistill.config.schema import HardwareConf
from tsdistill.errors import TsdistillError, nearest
from tsdistill.kernels import choice


def set_up(hardware: HardwareConf) -> torch.device:
    """Find the device and set PyTorch's global switches for this job.

    Args:
        hardware: the settings; ``auto`` takes CUDA, then MPS, then the CPU.

    Returns:
        The device.

    Raises:
        TsdistillError: an impossible number, a device that is unknown or not there, or no such kernel.
    """
    check_hardware(hardware)
    device = resolve_device(hardware.device)
    choice.choose(hardware.kernel)
    torch.set_num_threads(hardware.threads)
    _only_deterministic(hardware.deterministic, warn_only=device.type != "cpu")
    # What is read was written before, so filling fresh memory only costs: a fifth of a small student's step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not hardware.deterministic
    keep_freed_memory(True)
    return device


def _only_deterministic(only: bool, *, warn_only: bool) -> None:
    """As ``torch.use_deterministic_algorithms``, which loads PyTorch's compiler: a second for nothing."""
    torch.set_deterministic_debug_mode(("warn" if warn_only else "error") if only else "default")


@contextmanager
def same_threads() -> Iterator[None]:
    """Give PyTorch its number of threads back; numba's parallel loops, for one, set it to all cores.

    Otherwise a student whose teacher was fitted in the same process would differ by rounding from one whose
    teacher was stored.
    """
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
_KEPT_BYTES = 1 << 30


def keep_freed_memory(keep: bool) -> None:
    """Let glibc's malloc keep up to 1 GiB of freed memory, or set it back to its defaults.

    By default it hands large blocks back to the system, and every training step then waits for tens of
    megabytes of fresh pages: half of the time of a recurrent student's step. Elsewhere than on glibc nothing
    is done.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_MAX, 0 if keep else 65_536)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES if keep else 64 << 20)


def resolve_device(name: str) -> torch.device:
    """Turn a device's name into a device that is there.

    Raises:
        TsdistillError: if it is unknown or absent.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        hint = nearest(name, ("auto", "cpu", "cuda", "mps"))
        raise TsdistillError(f"hardware.device={name}: there is no such device; {hint}")
    device = torch.device(name)
    absent = {
        "cuda": not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count(),
        "mps": not torch.backends.mps.is_available(),
        "cpu": False,
    }
    if absent[device.type]:
        raise TsdistillError(
            f"hardware.device={name}: PyTorch {torch.__version__} sees no such device here; "
            "use hardware.device=auto or cpu"
        )
    return device

"""How many jobs of a sweep run side by side, and which GPU each of them gets."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tsdistill.config.hardware import check_hardware
from tsdistill.config.schema import HardwareConf

JOB_BYTES = 1 << 30
"""Memory that a job is expected to take: half of it is PyTorch itself."""
DEBUGGERS = ("pydevd", "debugpy", "bdb")
"""Modules that are there only under a debugger."""


def side_by_side(hardware: HardwareConf, *, debug: bool) -> int:
    """How many jobs run side by side.

    ``auto`` is 1 under a debugger; on GPUs, ``jobs_per_device`` for each; on the CPU, one for each
    ``threads`` cores, as far as the memory lasts.

    Args:
        hardware: the settings.
        debug: whether an error is to end the sweep with its traceback.

    Raises:
        TsdistillError: a number below 1, or no number.
    """
    check_hardware(hardware)
    if hardware.jobs != "auto":
        return int(hardware.jobs)
    if debug or _is_debugged():
        return 1
    gpus = len(visible_gpus(hardware.device))
    if gpus:
        return gpus * hardware.jobs_per_device
    return max(1, min(_cores() // hardware.threads, free_bytes() // JOB_BYTES))


def _is_debugged() -> bool:
    return sys.gettrace() is not None and any(name in sys.modules for name in DEBUGGERS)


def _cores() -> int:
    """Cores that this process may use: its affinity and its container's quota count."""
    from joblib import cpu_count

    return int(cpu_count())


def free_bytes() -> int:
    """Memory that is free, in the machine and in this process's container; a great deal where none tells."""
    return min([1 << 50, *_free_of_machine(), *_free_of_container()])


def _free_of_machine(path: Path = Path("/proc/meminfo")) -> Iterator[int]:
    try:
        lines = dict(line.split(":", 1) for line in path.read_text(encoding="ascii").splitlines())
        yield int(lines["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return


def _free_of_container(folder: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """What a container's limit leaves: by version 2 of control groups, or by version 1."""
    pairs = (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    )
    for limit, usage in pairs:
        try:
            yield int((folder / limit).read_text()) - int((folder / usage).read_text())
        except (OSError, ValueError):  # not there, or "max"
            continue


def visible_gpus(device: str) -> list[str]:
    """Names of the GPUs that jobs may be spread over, as ``CUDA_VISIBLE_DEVICES`` takes them.

    Args:
        device: ``hardware.device``.

    Returns:
        The names; a device that is not spread over, such as ``cuda:1`` or ``mps``, has the empty name.
    """
    if device == "cpu":
        return []
    if device not in ("auto", "cuda"):
        return [""]
    import torch

    if not torch.cuda.is_available():
        return [""] if device == "auto" and torch.backends.mps.is_available() else []
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named or [str(number) for number in range(torch.cuda.device_count())]


def variables(hardware: HardwareConf, number: int) -> dict[str, str]:
    """Environment variables of one of the processes that run jobs.

    Args:
        hardware: the settings.
        number: which process it is, from 0.

    Returns:
        Its number of threads, and its GPU where there are several to choose from.
    """
    threads = str(hardware.threads)
    found = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), threads)
    gpus = visible_gpus(hardware.device)
    if any(gpus):
        found["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    return found

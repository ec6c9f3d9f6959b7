"""The environment that a result was made in."""

import os
import platform
import shutil
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tsdistill
from tsdistill.kernels import choice

LIBRARIES = (
    "torch",
    "numpy",
    "hydra-core",
    "omegaconf",
    "sktime",
    "scikit-learn",
    "scipy",
    "pandas",
    "safetensors",
)

ROUNDING = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE")
"""Variables that choose the CPU's instructions, and with them the rounding of sums."""

VECTOR = ("sse", "ssse", "avx", "fma", "f16c", "amx", "asimd", "sve", "sme", "bf16", "i8mm")
"""How the names of vector instructions begin, on x86 and on ARM."""


def environment(device: str = "cpu") -> dict[str, Any]:
    """Describe this process, to be stored beside its results; all but the threads is found out once.

    Args:
        device: the torch device that does the work, such as ``"cpu"`` or ``"cuda:0"``.

    Returns:
        Versions, platform, device and its name, number of CPUs, torch threads, what computed recurrent
        layers, and of the package's checkout the commit and whether files differ from it (None where the
        package is not run from a checkout).
    """
    import torch

    commit, dirty = _checkout()
    return {
        "tsdistill": tsdistill.__version__,
        "python": platform.python_version(),
        **_versions(),
        "platform": platform.platform(),
        "device": device,
        "device_name": _device_name(device),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_features": _cpu_features(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        **{name: os.environ[name] for name in ROUNDING if name in os.environ},
        **choice.used(),
        "commit": commit,
        "dirty": dirty,
    }


def arithmetic(device: str) -> dict[str, Any]:
    """What the bits of a result depend on besides settings, data and code.

    Args:
        device: the torch device that does the work.

    Returns:
        Versions of libraries, the device and its name, torch threads and instruction set.
    """
    names = (*LIBRARIES, *ROUNDING, "device", "device_name", "threads", "cpu_capability")
    found = environment(device)
    kept = {name: found[name] for name in names if name in found}
    return {**kept, "numba": choice.numba_version()}


@cache
def _versions() -> dict[str, str]:
    """Version of each installed library that can affect the numbers."""
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


@cache
def _device_name(device: str) -> str:
    """The processor's or accelerator's own name."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(names, platform.machine())
    except OSError:
        return platform.processor() or platform.machine()


@cache
def _cpu_features() -> str | None:
    """The processor's vector instructions, which libraries choose among; None where they are not told."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    words = next((line.split() for line in lines if line.lower().startswith(("flags", "features"))), [])
    return " ".join(sorted(word for word in words if word.startswith(VECTOR))) or None


@cache
def _checkout() -> tuple[str | None, bool | None]:
    """Commit of the checkout that the package runs from, and whether its files differ from it."""
    root = Path(tsdistill.__file__).resolve().parents[1]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None, None

    def ask(*words: str) -> str:
        command = [git, "--no-optional-locks", "-C", str(root), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
        return done.stdout.strip()

    try:
        return ask("rev-parse", "HEAD"), bool(ask("status", "--porcelain", "--untracked-files=no"))
    except (subprocess.SubprocessError, OSError):
        return None, None

"""The device and PyTorch's switches; what is not there is refused in one line."""

import platform
import subprocess
import sys

import pytest
import torch

from tsdistill.config.schema import HardwareConf
from tsdistill.errors import TsdistillError
from tsdistill.training.device import keep_freed_memory, resolve_device, set_up


@pytest.fixture(autouse=True)
def switches():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True
    keep_freed_memory(False)


@pytest.fixture
def bare(monkeypatch):
    """A machine without accelerators."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_a_bare_machine_uses_its_processor(bare, name):
    assert resolve_device(name) == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_an_absent_accelerator_is_refused(bare, name):
    with pytest.raises(TsdistillError) as error:
        resolve_device(name)
    assert str(error.value) == (
        f"hardware.device={name}: PyTorch {torch.__version__} sees no such device here; "
        "use hardware.device=auto or cpu"
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gpu", "did you mean 'cpu'?"),
        ("cuda0", "did you mean 'cuda'?"),
        ("tpu", "did you mean 'cpu'?"),
        ("cuda:-1", "did you mean 'cuda'?"),
        ("", "choose from: auto, cpu, cuda, mps"),
    ],
)
def test_an_unknown_device_is_refused(name, hint):
    with pytest.raises(TsdistillError) as error:
        resolve_device(name)
    assert str(error.value) == f"hardware.device={name}: there is no such device; {hint}"


def test_auto_prefers_cuda_and_numbers_are_counted(two_gpus):
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(TsdistillError, match=r"hardware.device=cuda:2: PyTorch"):
        resolve_device("cuda:2")


def test_auto_takes_apple_s_device_where_there_is_no_cuda(bare, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("mps")


@pytest.mark.parametrize("deterministic", [True, False])
def test_threads_and_determinism_are_set(deterministic):
    set_up(HardwareConf(device="cpu", threads=2, deterministic=deterministic))
    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled() is deterministic


def test_threads_below_one_are_refused():
    with pytest.raises(TsdistillError, match=r"hardware.threads=0 should be 1 or more"):
        set_up(HardwareConf(device="cpu", threads=0))


FAULTS = """
import resource, sys, torch
from tsdistill.training.device import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory(True)
for i in range(12):
    if i == 8:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(1 << 24) for _ in range(2)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a malloc of its own")
def test_freed_memory_is_kept():
    kept, usual = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, check=True).stdout)
        for how in ("keep", "leave")
    )
    assert kept < 1000
    assert usual > 10 * kept


def test_fresh_memory_is_not_filled_although_results_are_deterministic():
    set_up(HardwareConf(device="cpu"))
    assert not torch.utils.deterministic.fill_uninitialized_memory

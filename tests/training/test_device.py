"""The device and PyTorch's switches; what is not there is refused in one line."""

import pytest
import torch

from tsdistill.config.schema import HardwareConf
from tsdistill.errors import TsdistillError
from tsdistill.training.device import resolve_device, set_up


@pytest.fixture(autouse=True)
def switches():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


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

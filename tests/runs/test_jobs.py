"""How many jobs run side by side."""

import sys
from pathlib import Path

import joblib
import pytest
import torch

from tsdistill.config.schema import HardwareConf
from tsdistill.errors import TsdistillError
from tsdistill.runs import jobs
from tsdistill.runs.jobs import side_by_side, variables

GIB = 1 << 30


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores, 64 GiB, no GPU, no debugger."""
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    monkeypatch.setattr(jobs, "free_bytes", lambda: 64 * GIB)
    monkeypatch.setattr(sys, "gettrace", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_all_cores_over_the_threads_of_a_job() -> None:
    assert side_by_side(HardwareConf(), debug=False) == 8
    assert side_by_side(HardwareConf(threads=3), debug=False) == 2
    assert side_by_side(HardwareConf(threads=16), debug=False) == 1


def test_no_more_than_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "free_bytes", lambda: 3 * GIB + 1)
    assert side_by_side(HardwareConf(), debug=False) == 3
    monkeypatch.setattr(jobs, "free_bytes", lambda: 5)
    assert side_by_side(HardwareConf(), debug=False) == 1


def test_one_under_a_debugger_or_where_errors_are_to_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert side_by_side(HardwareConf(), debug=True) == 1
    monkeypatch.setattr(sys, "gettrace", lambda: lambda *_: None)
    monkeypatch.setitem(sys.modules, "debugpy", sys)
    assert side_by_side(HardwareConf(), debug=False) == 1
    assert side_by_side(HardwareConf(jobs="4"), debug=False) == 4


def test_as_many_as_asked_for_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 3)
    assert side_by_side(HardwareConf(), debug=False) == 3
    assert side_by_side(HardwareConf(jobs_per_device=2), debug=False) == 6
    assert side_by_side(HardwareConf(device="cpu"), debug=False) == 8
    assert side_by_side(HardwareConf(device="cuda:1"), debug=False) == 1


def test_each_process_gets_its_gpu_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "CUDA_VISIBLE_DEVICES" not in variables(HardwareConf(), 0)
    gpus(monkeypatch, 2)
    given = [variables(HardwareConf(), number)["CUDA_VISIBLE_DEVICES"] for number in range(4)]
    assert given == ["0", "1", "0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert variables(HardwareConf(device="cuda"), 1)["CUDA_VISIBLE_DEVICES"] == "7"
    assert "CUDA_VISIBLE_DEVICES" not in variables(HardwareConf(device="cuda:1"), 1)


def test_each_process_has_the_threads_of_a_job() -> None:
    assert variables(HardwareConf(threads=2), 0)["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize("wrong", [{"jobs": "0"}, {"jobs": "many"}, {"jobs": "-1"}, {"jobs_per_device": 0}])
def test_a_wrong_number_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(TsdistillError, match=f"hardware.{next(iter(wrong))}="):
        side_by_side(HardwareConf(**wrong), debug=False)


def test_memory_that_is_free_here_and_in_the_container(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 900 kB\nMemAvailable:     300 kB\n")
    assert list(jobs._free_of_machine(meminfo)) == [300 * 1024]
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert list(jobs._free_of_container(tmp_path)) == [600]
    (tmp_path / "memory.max").write_text("max\n")
    assert list(jobs._free_of_container(tmp_path)) == []

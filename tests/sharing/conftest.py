"""Small whole records, and a folder of its own for each test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tsdistill.store.environment import environment
from tsdistill.store.records import write_run

IDENTITY = {
    "method": "tsd",
    "teacher": "fcn",
    "student": "lstm_8",
    "seed": 0,
    "trial": 0,
    "settings": {"method.lam": 1.0},
}
RESULT = {
    **IDENTITY,
    "teacher_id": "t",
    "cost": {"parameters": 370},
    "training": {"epochs": 2},
    "flags": [],
    "validation": None,
    "teacher_validation": None,
    "teacher_test": {"accuracy": 1.0},
}


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [])


@pytest.fixture
def identity() -> dict[str, Any]:
    return IDENTITY


@pytest.fixture
def write() -> Callable[..., Path]:
    return write_record


def write_record(
    out: Path,
    run_id: str,
    accuracy: float = 0.75,
    dataset: str = "GunPoint",
    seconds: float = 1.5,
    replace: bool = False,
) -> Path:
    return write_run(
        out,
        dataset,
        run_id,
        result={**RESULT, "id": run_id, "dataset": dataset, "test": {"accuracy": accuracy}},
        config_yaml=f"out: {out}\n",
        curve=[{"stage": "train", "epoch": 1, "name": "loss", "value": 0.5}],
        logits={"test": torch.ones(3, 2)},
        weights={"w": torch.zeros(2)},
        timing={"train_seconds": seconds},
        environment=environment(),
        facts={"seed": 0},
        terms={},
        replace=replace,
    )

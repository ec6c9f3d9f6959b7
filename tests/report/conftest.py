"""Run records as the store writes them, made up."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tsdistill.store.manifest import seal
from tsdistill.store.records import run_folder, write_failure

Record = dict[str, Any]


def make_record(
    dataset: str = "GunPoint",
    method: str = "kd",
    seed: int = 1,
    trial: int = 0,
    *,
    ap: float = 0.8,
    validation_ap: float | None = 0.8,
    nll: float = 0.5,
    validation_nll: float = 0.5,
    teacher: str = "fcn",
    student: str = "lstm_8",
    settings: Record | None = None,
    grid_keys: list[str] | None = None,
    **test: float | None,
) -> Record:
    settings = {"seed": seed, "trial": trial, "dataset.name": dataset, "method.lam": 1.0} | (settings or {})
    identity = [dataset, method, teacher, student, seed, trial, settings]
    performance = {"average_precision": ap, "auc_prc": ap, "roc_auc": ap, "accuracy": ap, "nll": nll}
    validation = None
    if validation_ap is not None:
        validation = performance | {"average_precision": validation_ap, "nll": validation_nll}
    return {
        "schema": 2,
        "status": "ok",
        "id": hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16],
        "dataset": dataset,
        "method": method,
        "teacher": teacher,
        "student": student,
        "seed": seed,
        "trial": trial,
        "settings": settings,
        "grid_keys": ["method.lam"] if grid_keys is None else grid_keys,
        "data": {"channels": 1, "length": 100, "classes": 2, "train": 40, "validation": 10, "test": 150},
        "validation": validation,
        "test": performance | {"agreement": 0.9, "kl": 0.1} | test,
        "teacher_id": hashlib.sha256((dataset + teacher).encode()).hexdigest()[:16],
        "teacher_test": {**performance, "average_precision": 0.99},
        "teacher_validation": None,
        "cost": {"parameters": 370, "teacher_parameters": 265000, "compression": 716.2},
        "training": {"epochs": 123, "best_epoch": 73, "stages": {"train": {"epochs": 123}}},
        "flags": [] if validation else ["no_validation"],
    }


def make_failure(*args: Any, error: str = "boom", **kwargs: Any) -> Record:
    record = make_record(*args, **kwargs)
    identity = (
        "schema",
        "id",
        "dataset",
        "method",
        "teacher",
        "student",
        "seed",
        "trial",
        "settings",
        "grid_keys",
    )
    return {key: record[key] for key in identity} | {"status": "failed", "error": error}


def store(out: Path, records: list[Record], environment: Record | None = None) -> Path:
    """Lay only what a report reads: the store's own tests see to the rest of a record."""
    for record in records:
        if record["status"] == "failed":
            write_failure(out, record["dataset"], record["id"], record)
            continue
        folder = run_folder(out, record["dataset"], record["id"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(json.dumps(record))
        (folder / "timing.json").write_text('{"train_seconds": 1.5}')
        (folder / "environment.json").write_text(json.dumps(environment or {}))
        seal(folder)
    return out


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    return make_record


@pytest.fixture(scope="session")
def failure() -> Callable[..., Record]:
    return make_failure


@pytest.fixture(scope="session")
def stored_in() -> Callable[[Path, list[Record]], Path]:
    return store


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[list[Record]], Path]:
    return lambda records: store(tmp_path, records)

"""A sweep on a Ray cluster of two nodes on this machine, of which one is killed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tsdistill
from tsdistill import cli

pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="pip install 'tsdistill[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings")]

SWEEP = (
    *("-m", "dataset.name=UnitTest", "dataset.download=false", "data_root=null", "hardware=cpu"),
    *("teacher=fcn_8", "teacher.training.epochs=1", "student=lstm_8", "training.epochs=20"),
    *("method=none,kd", "seed=1,2"),
)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("HOME", str(tmp_path))  # where Ray keeps settings of its own
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", str(Path(tsdistill.__file__).parents[1]))
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


def done(out: Path) -> int:
    return len(list(out.glob("runs/UnitTest/*/manifest.json")))


def test_a_sweep_ends_as_it_does_locally_though_a_node_is_killed(cluster: Any, tmp_path: Path) -> None:
    out, local = tmp_path / "out", tmp_path / "local"
    node = cluster.add_node(num_cpus=1)
    ray = (
        *("hydra/launcher=ray", f"hydra.launcher.ray.init.address='{cluster.address}'"),
        "+hydra.launcher.ray.init.object_store_memory=null",
    )
    words = [sys.executable, "-m", "tsdistill", "distill", *SWEEP, f"out={out}", *ray]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(words, stdout=said, env={**os.environ})
        while process.poll() is None and done(out) < 1:
            time.sleep(0.1)
        cluster.remove_node(node, allow_graceful=False)
        assert process.wait() == 0
    assert "4 runs, 0 failed" in (tmp_path / "said").read_text()
    assert cli.run("distill", (*SWEEP, f"out={local}")) == 0
    for name in ("result.json", "weights.safetensors", "logits.safetensors", "curve.csv"):
        files = [
            {p.relative_to(folder): p.read_bytes() for p in folder.rglob(name)} for folder in (out, local)
        ]
        assert files[0] == files[1] and len(files[0]) >= 4

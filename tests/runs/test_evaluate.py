"""Metrics added to stored runs: what they are, what made them, and what stays as it was."""

import inspect
import json
import math
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tsdistill.cli import run
from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import EvaluateConf, HardwareConf, OnlyConf
from tsdistill.config.stored import KNOWN
from tsdistill.config.targets import locate
from tsdistill.data.planted import planted_masks
from tsdistill.errors import TsdistillError
from tsdistill.runs import evaluate as module
from tsdistill.runs.maps import MapSettings, Sample, all_maps, draw_sample, perturbation_maps, sample_of
from tsdistill.runs.restore import (
    Scene,
    read_whole,
    refuse_foreign,
    restore_scene,
    restore_student,
)
from tsdistill.store.listing import iter_results
from tsdistill.store.records import RunRecord, read_run, rewrite_run
from tsdistill.store.selection import stored_runs
from tsdistill.store.teachers import read_teacher, reseeded_teachers

PLANTED = (
    "dataset=planted",
    "dataset.n_train=20",
    "dataset.n_test=16",
    "dataset.length=24",
    "dataset.window=6",
    "data_root=null",
    "teacher=fcn_8",
    "student=lstm_8",
    "teacher.training.epochs=3",
    "training.epochs=2",
    "saliency.window=5",
    "saliency.perturbations=4",
    "hardware=cpu",
)
QUICK = ("data_root=null", "hardware=cpu", "series=6", "snrs=[10,0]")


@pytest.fixture(scope="module")
def trained(make: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two students of one teacher, not evaluated; tests work on copies."""
    out = tmp_path_factory.mktemp("trained")
    make("distill", "-m", *PLANTED, "method=none,tsd", f"out={out}")
    return out


@pytest.fixture
def out(trained: Path, tmp_path: Path, surroundings: None) -> Path:
    """A copy of the stored runs."""
    shutil.copytree(trained, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture(scope="module")
def scene(trained: Path) -> Scene:
    result = stored_runs(trained, OnlyConf())[0]
    return scene_of(trained, read_whole(trained, result))


def scene_of(out: Path, record: RunRecord, allow_code: bool = False) -> Scene:
    hardware = HardwareConf(device="cpu")
    return restore_scene(out, record, data_root=None, hardware=hardware, allow_code=allow_code)


def settings(series: int = 6) -> MapSettings:
    return MapSettings(series, 0.2, 0.2, ("integrated_gradients", "occlusion"), 0)


def by_method(out: Path) -> dict[str, dict[str, Any]]:
    return {result["method"]: result for result in iter_results(out)}


def stamps(out: Path, *names: str) -> dict[str, int]:
    return {
        str(path): path.stat().st_mtime_ns
        for path in sorted((out / "runs").rglob("*"))
        if path.is_file() and (not names or path.name in names)
    }


def contents(out: Path, *names: str) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted((out / "runs").rglob("*")) if p.name in names}


# --- the command ---


def test_the_same_teacher_from_other_seeds_is_held_against_it(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", [*QUICK, f"out={out}", "groups=[substitution]"]) == 0
    assert all("reseeded" not in result for result in iter_results(out))
    teacher = [word for word in PLANTED if not word.startswith(("student", "training"))]
    assert run("train-teacher", [*teacher, "teacher.seeds=[1,2]", f"out={out}"]) == 0
    assert (
        run("train-teacher", [*teacher, "teacher.seeds=[3]", "teacher.training.epochs=2", f"out={out}"]) == 0
    )
    assert run("evaluate", [*QUICK, f"out={out}", "groups=[substitution]"]) == 0
    results = list(iter_results(out))
    keys = reseeded_teachers(out, results[0]["dataset"], results[0]["teacher_id"])
    stored = [read_teacher(out, results[0]["dataset"], key) for key in keys]
    assert sorted(one.config["seed"] for one in stored if one) == [1, 2]  # not the one of two epochs
    own = read_teacher(out, results[0]["dataset"], results[0]["teacher_id"])
    assert own is not None
    own_classes = own.logits["test"].argmax(1)
    same = [float((one.logits["test"].argmax(1) == own_classes).double().mean()) for one in stored if one]
    for result in results:
        assert result["reseeded"]["settings"] == {"teachers": keys}
        assert result["reseeded"]["count"] == 2
        assert result["reseeded"]["agreement"] == pytest.approx(sum(same) / 2)
    capsys.readouterr()
    assert run("evaluate", [*QUICK, f"out={out}", "groups=[substitution]"]) == 0
    assert "2 of 2 runs have it all" in capsys.readouterr().out


def test_everything_is_added_and_nothing_else_changes(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = ("config.yaml", "curve.csv", "logits.safetensors", "weights.safetensors", "environment.json")
    before, old = contents(out, *kept), by_method(out)
    assert run("evaluate", [*QUICK, f"out={out}"]) == 0
    assert contents(out, *kept) == before
    assert "[2/2] Planted_shapelet" in capsys.readouterr().out
    new = by_method(out)
    for method, result in new.items():
        blocks = {"noise", "reasoning"}
        assert set(result) == set(old[method]) | blocks
        same = {k: v for k, v in result.items() if k not in (*blocks, "cost", "timing", "test", "validation")}
        assert same == {k: old[method][k] for k in same}
        assert result["test"] == pytest.approx(old[method]["test"], nan_ok=True)
        assert {k: result["cost"][k] for k in old[method]["cost"]} == old[method]["cost"]
        # LSTM of 8 units on one channel: T 4h(1 + h) + hK
        assert result["cost"]["macs"] == 24 * 4 * 8 * 9 + 8 * 2
        assert set(module.LATENCIES) <= set(result["timing"]) and "latency_ms" not in result["cost"]
        assert result["timing"]["train_seconds"] == old[method]["timing"]["train_seconds"]
    assert new["none"]["reasoning"] != new["tsd"]["reasoning"]


def test_blocks_say_what_made_them(out: Path) -> None:
    assert run("evaluate", [*QUICK, f"out={out}", "seed=3"]) == 0
    result = by_method(out)["tsd"]
    assert result["noise"]["settings"] == {"snrs": [10.0, 0.0], "seed": 3}
    assert result["reasoning"]["settings"] == {
        "series": 6,
        "window": 0.1,
        "occlusion_window": 0.1,
        "attributions": ["integrated_gradients", "occlusion"],
        "seed": 3,
    }
    assert (result["reasoning"]["series"], result["reasoning"]["of"]) == (6, 16)
    ways = ("saliency", "integrated_gradients", "occlusion")
    agreement = ("spearman", "top10", "spearman_chance", "top10_chance", "undefined")
    truth = ("auprc", "auprc_shuffled")
    wanted = {f"{way}_{name}" for way in ways for name in (*agreement, *truth)}
    wanted |= {f"teacher_{way}_{name}" for way in ways for name in truth} | {"planted_share"}
    assert wanted <= set(result["reasoning"])
    assert result["reasoning"]["planted_share"] == pytest.approx(6 / 24)
    noise = {f"{name}_snr{snr}" for name in ("agreement", "kl", "accuracy") for snr in (10, 0)}
    assert noise <= set(result["noise"])


def test_what_is_there_with_the_same_settings_is_left(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", [*QUICK, f"out={out}"]) == 0
    before, maps = stamps(out), sorted((out / "maps").rglob("*.safetensors"))
    assert run("evaluate", [*QUICK, f"out={out}"]) == 0
    assert stamps(out) == before
    assert "2 of 2 runs have it all, with these settings" in capsys.readouterr().out
    reasoning = by_method(out)["tsd"]["reasoning"]
    assert run("evaluate", [*QUICK, f"out={out}", "snrs=[20]", "method=tsd"]) == 0
    result = by_method(out)["tsd"]
    assert set(result["noise"]) > {"agreement_snr20"} and "agreement_snr0" not in result["noise"]
    assert result["reasoning"] == reasoning
    assert by_method(out)["none"]["noise"]["settings"]["snrs"] == [10.0, 0.0]
    assert sorted((out / "maps").rglob("*.safetensors")) == maps


def test_the_teacher_is_asked_once_for_all_its_students(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its maps are an artefact: a later command does not ask it again."""
    asked = []
    plain = module.all_maps

    def counted(*arguments: Any) -> Any:
        asked.append(1)
        return plain(*arguments)

    monkeypatch.setattr("tsdistill.runs.maps.all_maps", counted)
    assert run("evaluate", [*QUICK, f"out={out}", "groups=[reasoning]"]) == 0
    assert len(asked) == 1
    first = by_method(out)["tsd"]["reasoning"]
    for result in iter_results(out):
        strip(out, result, "reasoning")
    assert "reasoning" not in by_method(out)["tsd"]
    assert run("evaluate", [*QUICK, f"out={out}", "groups=[reasoning]"]) == 0
    assert len(asked) == 1
    again = by_method(out)["tsd"]["reasoning"]
    assert first.pop("settings") == again.pop("settings")
    assert again == pytest.approx(first, nan_ok=True)


def test_metrics_that_did_not_exist_when_it_ran_are_added(out: Path) -> None:
    whole = by_method(out)["none"]
    for result in iter_results(out):
        strip(out, result, "test.macro_f1", "validation.macro_f1", "test.js")
    assert run("evaluate", [f"out={out}", "hardware=cpu", "groups=[performance]"]) == 0
    result = by_method(out)["none"]
    assert result["test"]["macro_f1"] == whole["test"]["macro_f1"]
    assert result["validation"] == pytest.approx(whole["validation"], nan_ok=True)
    assert result["test"]["js"] == whole["test"]["js"]  # from the stored logits too, so it comes along
    assert "noise" not in result  # which asks the models again


def strip(out: Path, result: dict[str, Any], *keys: str) -> None:
    """Write a record anew without some keys."""
    edit(out, result, lambda record: [_remove(record.result, key) for key in keys])


def edit(out: Path, result: dict[str, Any], change: Any) -> None:
    record = read_whole(out, result)
    config = change(record)
    rewrite_run(out, replace(record, config_yaml=config) if isinstance(config, str) else record)


def _remove(node: dict[str, Any], key: str) -> None:
    *path, last = key.split(".")
    for part in path:
        node = node[part]
    del node[last]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["method=tds"], "no stored run has method=tds: did you mean 'tsd'?"),
        (["groups=[noise]"], "groups[0]=noise should be one of"),
        (["series=0"], "series=0 should be 1 or more"),
        (["+serie=4"], "serie: there is no such setting; did you mean 'series'?"),
        (["window=30"], "window=30 is longer than the shortest series (24 steps)"),
        (["occlusion_window=30"], "occlusion_window=30 is longer than the shortest series (24 steps)"),
        (["out=elsewhere"], "no run records under elsewhere: run `tsdistill distill` first"),
    ],
)
def test_mistakes_are_told_in_a_line(
    words: list[str], told: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", [*QUICK, f"out={out}", *words]) == 2
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1


def test_undefined_values_are_null_on_disk_and_nan_when_read(out: Path) -> None:
    assert run("evaluate", [*QUICK, f"out={out}", "series=1", "groups=[reasoning]"]) == 0
    result = by_method(out)["tsd"]
    assert math.isnan(result["reasoning"]["saliency_spearman_chance"])  # one series has no shuffled pair
    path = next((out / "runs").rglob(f"{result['id']}/result.json"))
    assert json.loads(path.read_text())["reasoning"]["saliency_spearman_chance"] is None


# --- what is not to be trusted ---


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "torch.hub.load",
        "torch.load",
        "tsdistill.cli.run",
        "tsdistill.store.records.RunRecord",
        "tsdistillery.Net",
        "torch.nn.Module",
        "torch.nn.modules.linear.Linear",
        "tsdistill.methods.ce.CrossEntropy",
        None,
        1,
    ],
)
@pytest.mark.parametrize("nest", [lambda n: n, lambda n: {"_target_": "torch.nn.Identity", "x": [{"y": n}]}])
def test_stored_targets_outside_the_package_are_refused(target: object, nest: Any) -> None:
    with pytest.raises(TsdistillError, match="add allow_code=true if you trust it"):
        refuse_foreign(nest({"_target_": target}), "student.model")


def test_our_own_models_and_readers_are_not_refused() -> None:
    for target in ("tsdistill.models.fcn.FCN", "tsdistill.data.archive.ArchiveReader", "torch.nn.Linear"):
        refuse_foreign({"_target_": target, "filters": [1, 2], "name": "a"}, "x")


def test_every_reader_model_and_teacher_of_our_configs_may_be_rebuilt() -> None:
    found = set()
    for group in ("dataset", "model", "teacher"):
        for path in (conf_folder() / group).glob("*.yaml"):
            found |= set(re.findall(r"_target_: (tsdistill[\w.]+)", path.read_text()))
    assert len(found) > 10 and found <= KNOWN


def test_every_class_of_the_table_is_there() -> None:
    assert all(inspect.isclass(locate(target, "x")) for target in KNOWN)


def test_a_user_s_own_model_is_rebuilt_only_if_allowed(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine_for_evaluate.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, in_channels: int, n_classes: int) -> None:\n"
        "        super().__init__()\n"
        "        self.head = nn.Linear(in_channels, n_classes)\n"
        "    def forward(self, x):\n"
        "        return self.head(x.mean(2))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    own = ("student=custom", "student.model._target_=mine_for_evaluate.Net", "method=none")
    assert run("distill", [*(w for w in PLANTED if w != "student=lstm_8"), *own, f"out={out}"]) == 0
    assert run("evaluate", [*QUICK, f"out={out}", "student=custom"]) == 2
    assert "student.model._target_=mine_for_evaluate.Net in a stored config" in capsys.readouterr().err
    assert run("evaluate", [*QUICK, f"out={out}", "student=custom", "allow_code=true"]) == 0
    result = next(r for r in iter_results(out) if r["student"] == "custom")
    assert result["reasoning"]["series"] == 6


def test_one_broken_run_does_not_keep_the_others_from_being_evaluated(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for result in iter_results(out):
        if result["method"] == "none":
            edit(out, result, _shift)
    assert run("evaluate", [*QUICK, f"out={out}"]) == 2
    told = capsys.readouterr().err
    assert "1 of 2 runs could not be evaluated" in told and "no longer gives its stored logits" in told
    found = by_method(out)
    assert "reasoning" in found["tsd"] and "reasoning" not in found["none"]


def _shift(record: RunRecord) -> None:
    for values in record.weights.values():
        values.add_(1.0)


def test_changed_data_and_a_lost_teacher_are_refused(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for result in iter_results(out):
        edit(out, result, lambda r: r.config_yaml.replace("n_test: 16", "n_test: 18"))
    assert run("evaluate", [*QUICK, f"out={out}"]) == 2
    assert "has changed since this run was trained" in capsys.readouterr().err
    shutil.rmtree(out / "teachers")
    assert run("evaluate", [*QUICK, f"out={out}"]) == 2
    assert "is no longer stored; distil its students again" in capsys.readouterr().err


# --- maps ---


def test_draws_take_every_start_and_references_unlike_the_teacher_s_prediction(scene: Scene) -> None:
    sample = draw_sample(scene, settings())
    train = scene.job.parts["train"]
    assert torch.equal(sample.draws.starts, torch.arange(24 - sample.window + 1).expand(6, -1))
    assert len(sample.references.y) == len(train) < len(scene.job.dataset.train)  # no validation series
    lent = sample.references.y[sample.draws.references]
    assert not (lent == torch.from_numpy(sample.explained)[:, None]).any()
    assert np.array_equal(sample.explained, scene.teacher.logits["test"][sample.rows].argmax(1).numpy())


def test_the_sample_is_stratified_and_seeded(scene: Scene) -> None:
    rows = draw_sample(scene, settings()).rows
    assert np.array_equal(rows, draw_sample(scene, settings()).rows)
    assert np.bincount(scene.test.y[rows]).tolist() == [3, 3]
    assert len(draw_sample(scene, settings(99)).rows) == len(scene.test)


def map_by_hand(
    model: Any, sample: Sample, row: int, starts: Tensor, donors: Tensor, channel: int | None
) -> Any:
    """One series' map by a plain loop: the mean divergence of the windows that cover a step."""
    x = torch.from_numpy(sample.part.x[row])
    p = model(x[None])[0].double().softmax(0)
    total, count = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for start, donor in zip(starts.tolist(), donors.tolist(), strict=True):
        copy, here = x.clone(), slice(start, start + sample.window)
        rows = slice(None) if channel is None else channel
        copy[rows, here] = sample.references.x[donor][rows, here]
        q = model(copy[None])[0].double().softmax(0)
        total[here] += float((p * (p.log() - q.log())).sum())
        count[here] += 1
    return total / count


def test_a_map_is_the_mean_divergence_of_the_windows_over_each_step(scene: Scene) -> None:
    sample = draw_sample(scene, settings())
    found = perturbation_maps(scene.model, sample)
    for row in (0, 5):
        draws = sample.draws
        wanted = map_by_hand(scene.model, sample, row, draws.starts[row], draws.references[row], None)
        np.testing.assert_allclose(found[row], wanted, rtol=1e-3, atol=1e-7)


def test_by_channel_one_channel_is_replaced_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)
    words = [*PLANTED, "dataset.channels=3", "method=none", f"out={tmp_path}"]
    assert run("distill", words) == 0
    scene = scene_of(tmp_path, read_whole(tmp_path, next(iter_results(tmp_path))))
    sample = sample_of(scene.job, scene.model, scene.test, np.arange(3), 5, 0, by_channel=True)
    found = perturbation_maps(scene.model, sample)
    assert found.shape == (3, 3, 24)
    assert sample.draws.channels is not None
    for channel in range(3):
        mine = sample.draws.channels[1] == channel
        starts, donors = sample.draws.starts[1][mine], sample.draws.references[1][mine]
        assert torch.equal(starts, torch.arange(20))
        wanted = map_by_hand(scene.model, sample, 1, starts, donors, channel)
        np.testing.assert_allclose(found[1, channel], wanted, rtol=1e-3, atol=1e-7)
    torch.use_deterministic_algorithms(False)


def test_a_perfect_copy_looks_at_the_very_same(scene: Scene) -> None:
    """A student that is its teacher: every agreement is 1, chance stays below it."""
    conf = EvaluateConf(out=str(scene.job.out), series=6, window=0.2, occlusion_window=0.2)
    stage, result = module._Stage(conf, scene), {}
    module._add_reasoning(result, stage, scene.model)
    found = result["reasoning"]
    for way in ("saliency", "integrated_gradients", "occlusion"):
        assert found[f"{way}_spearman"] == pytest.approx(1.0)
        assert found[f"{way}_top10"] == pytest.approx(1.0)
        assert found[f"{way}_spearman_chance"] < 0.99
        assert found[f"{way}_auprc"] == found[f"teacher_{way}_auprc"]
    assert found["saliency_deletion"] == found["teacher_saliency_deletion"]


def test_the_truth_is_that_of_the_sampled_series(scene: Scene) -> None:
    """A map that is the truth itself has an AUPRC of 1."""
    stage = module._Stage(EvaluateConf(out=str(scene.job.out), series=6, window=0.2), scene)
    assert stage.truth is not None
    masks = planted_masks(scene.dataset_conf)[1][stage.sample.rows, 0]
    assert np.array_equal(stage.truth, masks) and masks.sum(1).tolist() == [6] * 6
    maps = {way: stage.truth.astype(np.float32) for way in ("saliency", "occlusion")}
    found = module.reasoning_alone(scene.model, maps, stage.sample, stage.truth, 0)
    assert found["saliency_auprc"] == found["occlusion_auprc"] == pytest.approx(1.0)


def test_a_restored_student_answers_as_it_did(trained: Path, scene: Scene) -> None:
    for result in iter_results(trained):
        record = read_run(trained, result["dataset"], result["id"])
        assert record is not None
        student = restore_student(scene.job, record)
        with torch.no_grad():
            answers = student(torch.from_numpy(scene.test.x))
        torch.testing.assert_close(answers, record.logits["test"], rtol=1e-4, atol=1e-5)
        maps = all_maps(student, draw_sample(scene, settings()), settings())
        assert all(values.shape == (6, 24) and np.isfinite(values).all() for values in maps.values())

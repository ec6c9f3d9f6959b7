"""The whole path on bundled data: what is trained, kept, found again, refused and counted."""

import logging
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tsdistill.cli import run
from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import register
from tsdistill.console import console
from tsdistill.data import archive
from tsdistill.report.options import Options
from tsdistill.report.records import frame_of_runs, read_records
from tsdistill.report.write import write_report
from tsdistill.runs import session, story
from tsdistill.runs.checkpoints import Checkpoints
from tsdistill.runs.spec import RunSpec
from tsdistill.runs.teaching import facts_of
from tsdistill.store.keys import key_of
from tsdistill.store.listing import iter_failures, iter_results, list_runs
from tsdistill.store.records import read_run
from tsdistill.store.teachers import read_pool, read_teacher

TINY = (
    "dataset.name=UnitTest",
    "dataset.download=false",
    "data_root=null",
    "teacher=fcn_8",
    "student=lstm_8",
    "training.epochs=2",
    "teacher.training.epochs=2",
    "saliency.window=5",
    "saliency.perturbations=4",
    "hardware=cpu",
)
SMOKE = ("experiment=smoke", "data_root=null", "hardware=cpu")
pytestmark = pytest.mark.usefixtures("surroundings")
TEXTS = ("runs.csv", "table.csv", "summary.csv", "report.md", "tables/summary-fcn_8-lstm_8.tex")


@dataclass
class Told:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


Command = Callable[..., Told]


@pytest.fixture
def tsdistill(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process."""

    def command(*words: str) -> Told:
        capsys.readouterr()
        status = run(words[0], words[1:])
        told = capsys.readouterr()
        return Told(status, told.out, told.err)

    return command


def distill(tsdistill: Command, *words: str) -> Told:
    return tsdistill("distill", *TINY, *words)


def results(out: Path = Path("tsdistill-out")) -> list[dict[str, Any]]:
    return list(iter_results(out))


def artefacts(out: Path = Path("tsdistill-out")) -> dict[str, tuple[int, int]]:
    """Every stored file with what tells it from a rewritten one."""
    kinds = ("teachers", "pools", "maps", "runs")
    files = [path for kind in kinds for path in sorted((out / kind).rglob("*")) if path.is_file()]
    return {str(path.relative_to(out)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def report_texts(out: Path) -> dict[str, bytes]:
    folder = write_report(out, Options(figures=False)).folder
    return {name: (folder / name).read_bytes() for name in TEXTS}


# --- the smoke experiment ---


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the smoke experiment leaves; read by several tests, which run nothing anew in it."""
    out = tmp_path_factory.mktemp("smoke")
    argv = sys.argv
    try:
        assert run("distill", [*SMOKE, f"out={out}"]) == 0
    finally:
        sys.argv = argv
    return out


def test_smoke_runs_every_method(smoke: Path) -> None:
    found = results(smoke)
    assert {result["method"] for result in found} >= {
        "none",
        "kd",
        "fitnets",
        "fitnets_joint",
        "tsd",
        "tsd_kd",
    }
    assert len({result["teacher_id"] for result in found}) == 1
    for result in found:
        assert result["data"] == {
            "channels": 1,
            "length": 24,
            "classes": 2,
            "train": 16,
            "validation": 4,
            "test": 22,
        }
        assert result["cost"]["parameters"] == 370
        assert set(result["test"]) >= {
            "average_precision",
            "auc_prc",
            "roc_auc",
            "accuracy",
            "agreement",
            "kl",
        }


def test_every_other_method_runs_too(smoke: Path, tsdistill: Command) -> None:
    methods = {path.stem for path in (conf_folder() / "method").glob("*.yaml")}
    others = sorted(methods - {result["method"] for result in results(smoke)} - {"memkd"})
    short = ("-m", "training.epochs=1", "teacher.training.epochs=1")
    for named, pair in ((others, ()), (["memkd"], ("teacher=lstm_8",))):
        told = distill(tsdistill, *short, f"method={','.join(named)}", *pair)
        assert told.status == 0, told.out + told.err
        for method in named:
            assert f"UnitTest {method} lstm_8 seed 0: test AP" in told.out


def test_a_sweep_says_once_that_a_teacher_is_weak_and_a_single_run_says_it_too(
    tsdistill: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "weak_teacher_note", lambda out, result: "no better than a plain one")
    said = "UnitTest teacher fcn_8, student lstm_8: no better than a plain one\n"
    assert distill(tsdistill, "-m", "method=kd,dkd", "seed=1,2").out.count(said) == 1
    assert distill(tsdistill, "method=tsd", "seed=1").out.endswith(said)


def test_layers_that_do_not_fit_are_refused_before_a_teacher_is_trained(
    tmp_path: Path, tsdistill: Command
) -> None:
    told = tsdistill("distill", *TINY, f"out={tmp_path}", "method=memkd")
    assert told.status == 2 and "choose an LSTM or a GRU on both sides" in told.err
    told = tsdistill("distill", *TINY, f"out={tmp_path}", "method=at", "method.teacher_layer=block.1")
    assert told.status == 2 and "did you mean 'blocks.1'?" in told.err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_record_is_whole(smoke: Path) -> None:
    [result] = [result for result in results(smoke) if result["method"] == "fitnets"]
    record = read_run(smoke, "UnitTest", result["id"])
    assert record is not None
    assert {row["stage"] for row in record.curve} == {"hint", "train"}
    assert {row["name"] for row in record.curve if row["stage"] == "train"} >= {"train/ce", "train/kd", "ce"}
    assert record.logits["test"].shape == (22, 2) and record.logits["teacher_validation"].shape == (4, 2)
    assert (
        sum(stage["epochs"] for stage in result["training"]["stages"].values())
        == result["training"]["epochs"]
    )
    config = OmegaConf.create(record.config_yaml)
    assert config.method.name == "fitnets" and config.training.epochs == 2
    assert set(record.timing) == {"prepare_seconds", "train_seconds", "evaluate_seconds", "finished"}


def test_the_same_command_again_trains_nothing_and_the_report_is_the_same(
    smoke: Path, tsdistill: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trains(*_: Any, **__: Any) -> None:
        raise AssertionError("something was trained again")

    monkeypatch.setattr("tsdistill.runs.session.fit", trains)
    before, texts = artefacts(smoke), report_texts(smoke)
    told = tsdistill("distill", *SMOKE, f"out={smoke}")
    assert told.status == 0
    assert told.out.count("already there") == len(results(smoke)) and "trained" not in told.out
    assert artefacts(smoke) == before
    assert report_texts(smoke) == texts


def test_two_runs_from_scratch_agree_to_the_last_byte(
    smoke: Path, tsdistill: Command, tmp_path: Path
) -> None:
    assert tsdistill("distill", *SMOKE, f"out={tmp_path / 'again'}").status == 0
    kept = ("result.json", "curve.csv", "logits.safetensors", "weights.safetensors", "metrics.json")
    found = {}
    for out in (smoke, tmp_path / "again"):
        files = [path for path in sorted(out.rglob("*")) if path.name in kept and "report" not in path.parts]
        found[out] = {str(path.relative_to(out)): path.read_bytes() for path in files}
    assert found[smoke] == found[tmp_path / "again"] and len(found[smoke]) > 20
    assert report_texts(smoke) == report_texts(tmp_path / "again")


def test_the_report_command_writes_tables(smoke: Path, tsdistill: Command) -> None:
    told = tsdistill("report", f"out={smoke}", "method=[none,tsd]")
    assert told.status == 0
    assert "tsd" in told.out and "none" in told.out and "kd" not in told.out
    assert all((smoke / "report" / name).is_file() for name in TEXTS)


# --- teachers, pools, records ---


def test_a_teacher_is_trained_beforehand_or_on_the_way(tsdistill: Command) -> None:
    shared = [word for word in TINY if not word.startswith(("student", "training"))]
    told = tsdistill("train-teacher", *shared)
    assert told.status == 0 and "teacher fcn_8 seed 0: trained 2 epochs" in told.out
    before = artefacts()
    assert {name.split("/")[0] for name in before} == {"teachers", "pools", "maps"}
    told = distill(tsdistill)
    assert told.status == 0 and "trained" not in told.out
    assert {name: seen for name, seen in artefacts().items() if not name.startswith("runs")} == before


@pytest.mark.parametrize(
    ("words", "pools"), [(["method=tsd"], 1), (["method=tsd", "method.lam=0"], 0), (["method=kd"], 0)]
)
def test_a_pool_is_built_only_where_a_term_needs_it(tsdistill: Command, words: list[str], pools: int) -> None:
    assert distill(tsdistill, *words).status == 0
    assert len(list(Path("tsdistill-out").glob("pools/*/*"))) == pools


def test_the_best_teacher_by_validation_is_kept(tsdistill: Command) -> None:
    assert distill(tsdistill, "method=none", "teacher.seeds=[0,1,2,3]").status == 0
    [result] = results()
    keys = [path.name for path in Path("tsdistill-out/teachers/UnitTest").iterdir()]
    teachers = [read_teacher(Path("tsdistill-out"), "UnitTest", key) for key in keys]
    ranks = {
        t.key: (t.metrics["validation"]["average_precision"], -t.metrics["validation"]["nll"])
        for t in teachers
        if t is not None
    }
    assert len(ranks) == 4 and len(set(ranks.values())) > 1
    assert result["teacher_id"] == max(ranks, key=lambda key: ranks[key])


def test_without_validation_the_epochs_are_fixed_and_it_is_flagged(tsdistill: Command) -> None:
    told = distill(tsdistill, "method=kd", "split.validation=0", "training.patience=1", "teacher.seeds=[5,6]")
    assert told.status == 0 and "no_validation" in told.out
    [result] = results()
    assert "no_validation" in result["flags"] and result["validation"] is None
    assert result["teacher_validation"] is None and result["data"]["validation"] == 0
    assert result["training"]["epochs"] == 2
    assert len(list(Path("tsdistill-out/teachers/UnitTest").iterdir())) == 1  # nothing to choose by
    assert "no validation" in report_texts(Path("tsdistill-out"))["report.md"].decode()


def test_retrain_puts_a_new_record_in_the_old_one_s_place(tsdistill: Command) -> None:
    distill(tsdistill, "method=none")
    before, content = artefacts(), Path("tsdistill-out/runs/UnitTest").glob("*/result.json")
    content = next(content).read_bytes()
    told = distill(tsdistill, "method=none", "retrain=true")
    assert told.status == 0 and "already there" not in told.out
    after = artefacts()
    assert after.keys() == before.keys()
    changed = {name.split("/")[0] for name in after if after[name] != before[name]}
    assert changed == {"runs"}
    assert next(Path("tsdistill-out/runs/UnitTest").glob("*/result.json")).read_bytes() == content


def test_what_is_finished_is_read_without_a_lock(tsdistill: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert distill(tsdistill, "method=none").status == 0

    def refused(*_: object) -> None:
        raise AssertionError("a lock was taken")

    monkeypatch.setattr("tsdistill.runs.story.locked", refused)
    assert "already there" in distill(tsdistill, "method=none").out


@pytest.mark.parametrize(
    "file", ["weights.safetensors", "logits.safetensors", "metrics.json", "manifest.json"]
)
def test_a_damaged_teacher_is_set_aside_said_and_rebuilt(
    tsdistill: Command, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as outside pytest: the last resort is stderr
    distill(tsdistill, "method=none")
    [teacher] = Path("tsdistill-out/teachers/UnitTest").iterdir()
    whole = {path.name: path.read_bytes() for path in teacher.iterdir()}
    damaged = bytearray(whole[file])
    damaged[len(damaged) // 2] ^= 0xFF
    (teacher / file).write_bytes(bytes(damaged))
    told = distill(tsdistill, "method=none", "seed=1")
    assert told.status == 0
    assert "is damaged" in told.err and f"set aside as {teacher.name}.broken-1" in told.err
    assert "teacher fcn_8 seed 0: trained" in told.out
    assert (teacher.parent / f"{teacher.name}.broken-1" / file).read_bytes() == bytes(damaged)
    for name in ("weights.safetensors", "logits.safetensors", "metrics.json"):
        assert (teacher / name).read_bytes() == whole[name]


def test_bfloat16_and_the_online_mode_run(tsdistill: Command) -> None:
    for words in (
        ["student=fcn_8"],
        ["saliency.mode=online"],
        ["saliency.mode=online", "saliency.per_channel=true"],
    ):
        assert distill(tsdistill, "hardware.precision=bf16", "training.epochs=1", *words).status == 0
    assert len(results()) == 3 and len({result["teacher_id"] for result in results()}) == 1


def test_the_pool_has_the_precision_of_the_clean_logits(tsdistill: Command) -> None:
    assert distill(tsdistill, "hardware.precision=bf16", "training.epochs=1").status == 0
    (pool,) = Path("tsdistill-out/pools/UnitTest").iterdir()
    read = read_pool(Path("tsdistill-out"), "UnitTest", pool.name)
    assert read is not None and torch.equal(read.logits, read.logits.bfloat16().float())


@pytest.mark.parametrize("statistics", ["clean", "joint", "joint_running_clean"])
def test_padded_series_of_unequal_length_are_distilled(
    tsdistill: Command, tmp_path: Path, statistics: str
) -> None:
    rows = [
        "\t".join([str(i % 2), *(f"{(i % 2) * t + 0.1 * i:.2f}" for t in range(12 - i % 5))])
        for i in range(20)
    ]
    for half in ("TRAIN", "TEST"):
        text = "\n".join(row + "\tNaN" * (13 - len(row.split("\t"))) for row in rows)
        (tmp_path / f"mine_{half}.tsv").write_text(text + "\n")
    words = ["dataset=folder", f"dataset.path={tmp_path}", "dataset.lengths=pad", "student=fcn_8"]
    tiny = [word for word in TINY if not word.startswith(("dataset", "student"))]
    told = tsdistill("distill", *tiny, *words, f"saliency.batch_norm={statistics}")
    assert told.status == 0, told.err
    [result] = results()
    assert result["dataset"] == "mine" and result["data"]["length"] == 12


# --- keys ---


def keys(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[str, str]:
    """The keys of the teacher and of the run that a command would look for; nothing is trained."""

    def teacher(job: Any) -> SimpleNamespace:
        key = key_of("teacher", facts_of(job, job.conf.teacher.seeds[0]))
        return SimpleNamespace(key=key, metrics={"training": {}})

    monkeypatch.setattr(story, "best_teacher", teacher)
    register()
    with initialize_config_dir(str(conf_folder().resolve()), version_base="1.3"):
        conf = compose("distill", [*TINY, *words])
    found = story._Run.of(RunSpec.of(conf))
    return found.teacher.key, found.id


@pytest.mark.parametrize(
    ("word", "changed"),
    [
        # what determines a teacher determines its students
        ("dataset.name=ItalyPowerDemand", "both"),
        ("dataset.max_length=20", "both"),
        ("dataset.scaling=per_series", "both"),
        ("split.seed=1", "both"),
        ("split.validation=0.3", "both"),
        ("teacher=lstm_8", "both"),
        ("teacher.model.filters=[8,8,8]", "both"),
        ("teacher.seeds=[1]", "both"),
        ("teacher.training.lr=0.1", "both"),
        ("teacher.training.epochs=3", "both"),
        ("scheduler@teacher.training.scheduler=cosine", "both"),
        ("hardware.precision=bf16", "both"),
        # what determines a student alone
        ("seed=1", "run"),
        ("student=gru_8", "run"),
        ("student.model.hidden=9", "run"),
        ("training.lr=0.1", "run"),
        ("training.batch_size=8", "run"),
        ("training.monitor=accuracy", "run"),
        ("training.schedule_by=step", "run"),
        ("scheduler@training.scheduler=cosine", "run"),
        ("method=tsd_kd", "run"),
        ("method.lam=2", "run"),
        ("method.tau=2", "run"),
        ("method.form=summed", "run"),
        ("saliency.window=6", "run"),
        ("saliency.perturbations=5", "run"),
        ("saliency.pool_seed=1", "run"),
        ("saliency.mode=online", "run"),
        ("saliency.sampling=stratified", "run"),
        ("trial=1", "run"),
        # what determines neither
        ("out=elsewhere", "none"),
        ("hardware.threads=2", "none"),
        ("hardware.kernel=torch", "none"),
        ("hardware.device=auto", "none"),
        ("retrain=true", "none"),
        ("debug=true", "none"),
        ("method.grid=null", "none"),
    ],
)
def test_what_changes_the_numbers_changes_the_key_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch, word: str, changed: str, tsd_keys: tuple[str, str]
) -> None:
    teacher, student = keys(monkeypatch, word)
    assert (teacher != tsd_keys[0], student != tsd_keys[1]) == {
        "both": (True, True),
        "run": (False, True),
        "none": (False, False),
    }[changed]


@pytest.fixture(scope="module")
def tsd_keys() -> tuple[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        return keys(patch)


def test_a_trial_is_its_settings_not_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keys(monkeypatch, "trial=1") == keys(monkeypatch, "method.lam=0.1")
    assert keys(monkeypatch, "trial=1", "method.grid=[{method.lam: 1.0}]") == keys(monkeypatch)


def test_saliency_settings_do_not_bear_on_methods_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("none", "kd", "fitnets"):
        plain = keys(monkeypatch, f"method={method}")
        assert keys(monkeypatch, f"method={method}", "saliency.window=7", "saliency.mode=online") == plain


def test_a_run_does_not_change_its_config(monkeypatch: pytest.MonkeyPatch, tsdistill: Command) -> None:
    register()
    with initialize_config_dir(str(conf_folder().resolve()), version_base="1.3"):
        conf = compose("distill", [*TINY, "method=fitnets", "method.hint_epochs=1", "trial=2"])
    before = OmegaConf.to_yaml(conf)
    story.distill(conf)
    assert OmegaConf.to_yaml(conf) == before
    story.record_failure(conf, "said so")
    assert OmegaConf.to_yaml(conf) == before


# --- sweeps and failures ---


def test_a_failed_run_of_a_sweep_is_noted_counted_and_the_rest_goes_on(tsdistill: Command) -> None:
    told = distill(tsdistill, "-m", "method=tsd", "method.form=nix,summed", "seed=0,1")
    assert told.status == 1
    line = "method.stages.train.terms.tsd.form=nix should be one of classwise, summed, root, logit"
    assert told.out.count(f"failed: {line}") == 2 and "4 runs, 2 failed" in told.out
    assert "Traceback" not in told.err
    assert len(results()) == 2
    failures = list(iter_failures(Path("tsdistill-out")))
    assert [failure["error"] for failure in failures] == [line, line]
    assert {failure["seed"] for failure in failures} == {0, 1}
    frame = frame_of_runs(read_records({Path("tsdistill-out"): list_runs(Path("tsdistill-out"))}))
    assert frame["status"].value_counts().to_dict() == {"ok": 2, "failed": 2}
    written = write_report(Path("tsdistill-out"), Options(figures=False))
    assert (written.runs, written.failed) == (2, 2)
    assert "should be one of classwise, summed, root, logit" in (written.folder / "report.md").read_text()


@pytest.mark.parametrize(
    "word",
    [
        "trial=0,9",
        "method.stages.train.weights.ce=1.0,-1.0",
        "saliency.window=5,50",
        "dataset.name=UnitTest,NoSuchSet",
        "student.model.hidden=8,0",
        "teacher.seeds=[0],[]",
    ],
)
def test_whatever_fails_in_a_sweep_is_noted(tsdistill: Command, word: str) -> None:
    told = distill(tsdistill, "-m", word)
    assert told.status == 1 and "2 runs, 1 failed" in told.out, told.err
    assert len(results()) == 1 and len(list(iter_failures(Path("tsdistill-out")))) == 1


def test_a_note_of_failure_goes_when_the_run_succeeds(
    tsdistill: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_module(tmp_path, monkeypatch)
    words = ["-m", "student=custom", "student.model._target_=my_parts.Net", "method=none", "seed=0,1"]
    monkeypatch.setenv("MY_PARTS_FAIL", "yes")
    told = distill(tsdistill, *words)
    assert told.status == 1 and told.out.count("failed: RuntimeError: out of luck") == 2
    assert len(list(iter_failures(Path("tsdistill-out")))) == 2
    monkeypatch.delenv("MY_PARTS_FAIL")
    assert distill(tsdistill, *words).status == 0
    assert not list(iter_failures(Path("tsdistill-out"))) and len(results()) == 2
    assert not list(Path("tsdistill-out/runs/UnitTest").glob("*.failed.json"))


# --- the user's own parts ---

PARTS = '''
import os
import time
from pathlib import Path

import torch
from torch import nn

from tsdistill.methods.base import LossTerm


class Net(nn.Module):
    """A mean over time and a linear layer; waits, if told so, for a file."""

    def __init__(self, in_channels: int, n_classes: int, width: int = 3):
        super().__init__()
        self.body = nn.Conv1d(in_channels, width, 3, padding=1)
        self.head = nn.Linear(width, n_classes)

    def forward(self, x):
        if os.environ.get("MY_PARTS_FAIL"):
            raise RuntimeError("out of luck")
        go = os.environ.get("MY_PARTS_WAIT")
        while go and not Path(go).exists():
            time.sleep(0.02)
        return self.head(self.body(x).mean(-1))


class Agree(LossTerm):
    """The squared difference of the logits."""

    needs = frozenset({"teacher_logits"})

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = scale

    def forward(self, step):
        return self.scale * (step.student.logits - step.teacher.logits).square().mean()
'''

METHOD = """
name: mine
scale: 2.0
stages:
  train:
    terms:
      ce: {_target_: tsdistill.methods.ce.CrossEntropy}
      agree: {_target_: my_parts.Agree, scale: "${method.scale}"}
    weights: {ce: 1.0, agree: 0.5}
grid:
  - {method.scale: 1.0}
"""


RATE = """
class Halved(Decay):
    def __init__(self, optimizer, gamma: float = 0.5):
        super().__init__(optimizer, *([] if Decay.__name__ == "ExponentialLR" else [1]), gamma)
"""


def own_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's module on the path, and a folder of configs."""
    (folder / "my_parts.py").write_text(PARTS)
    (folder / "my_conf" / "method").mkdir(parents=True)
    (folder / "my_conf" / "method" / "mine.yaml").write_text(METHOD)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "my_parts", raising=False)
    return folder / "my_conf"


def test_a_model_and_a_method_of_the_user_s_own(
    tsdistill: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_module(tmp_path, monkeypatch)
    words = [
        f"--config-dir={folder}",
        "method=mine",
        "teacher=custom",
        "teacher.model._target_=my_parts.Net",
        "+teacher.model.width=5",
        "student=custom",
        "student.model._target_=my_parts.Net",
    ]
    told = distill(tsdistill, *words)
    assert told.status == 0, told.err
    [result] = results()
    assert (result["method"], result["grid_keys"]) == ("mine", ["method.scale"])
    assert result["cost"] == {"parameters": 20, "teacher_parameters": 32, "compression": 1.6}
    record = read_run(Path("tsdistill-out"), "UnitTest", result["id"])
    assert record is not None
    parts = {row["name"]: row["value"] for row in record.curve if row["epoch"] == 1}
    total = parts["train/ce"] + 0.5 * parts["train/agree"]
    assert parts["train/loss"] == pytest.approx(total, rel=1e-5)
    assert "already there" in distill(tsdistill, *words).out
    # An edited file is another model, for the teacher as for the student.
    (tmp_path / "my_parts.py").write_text(PARTS + "\n# edited\n")
    monkeypatch.delitem(sys.modules, "my_parts")
    assert "already there" in distill(tsdistill, *words).out  # a comment moves no number
    (tmp_path / "my_parts.py").write_text(PARTS + "\nEDITED = True\n")
    monkeypatch.delitem(sys.modules, "my_parts")
    told = distill(tsdistill, *words)
    assert "already there" not in told.out and "teacher custom seed 0: trained" in told.out
    assert len(results()) == 2
    assert len({result["code"] for result in results()}) == 2


def test_an_edited_scheduler_trains_anew(
    tsdistill: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_rates.py").write_text(
        "from torch.optim.lr_scheduler import ExponentialLR as Decay\n" + RATE
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = ["method=none", "+training.scheduler={_target_: my_rates.Halved, gamma: 0.5}"]
    told = distill(tsdistill, *words)
    assert told.status == 0, told.err
    assert "already there" in distill(tsdistill, *words).out
    (tmp_path / "my_rates.py").write_text("from torch.optim.lr_scheduler import StepLR as Decay\n" + RATE)
    monkeypatch.delitem(sys.modules, "my_rates")
    told = distill(tsdistill, *words)
    assert "already there" not in told.out and "trained" not in told.out
    assert len({result["code"] for result in results()}) == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["student.model._target_=my_parts.Nett"],
            "student.model._target_=my_parts.Nett: my_parts has no 'Nett'; did you mean 'Net'?",
        ),
        (
            ["student.model._target_=my_parts.Net", "+student.model.widht=3"],
            "student.model.widht: my_parts.Net takes no such setting; did you mean 'width'?",
        ),
        (
            ["student.model._target_=my_parts.Net", "+student.model.width=wide"],
            "student.model.width=wide should be a whole number",
        ),
        (
            ["student.model._target_=my_parts.Agree"],
            "model my_parts.Agree cannot be built: TypeError: ",
        ),
    ],
)
def test_mistakes_with_a_model_of_one_s_own_are_told_before_anything_is_trained(
    tsdistill: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], line: str
) -> None:
    own_module(tmp_path, monkeypatch)
    told = distill(tsdistill, "student=custom", *words)
    assert told.status == 2 and told.err.startswith(f"tsdistill: {line}") and told.err.count("\n") == 1
    assert not artefacts()


# --- processes ---


def start(said: Path, *words: str, **environment: str) -> ForkProcess:
    """The command in a process of its own, which writes what it says to a file as it says it."""
    said.touch()
    process = multiprocessing.get_context("fork").Process(target=enter, args=(said, words, environment))
    process.start()
    return process


def enter(said: Path, words: Sequence[str], environment: Mapping[str, str]) -> None:
    """Be the command: a fork, since a fresh process would pay seconds for its imports."""
    file = os.open(said, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1) for stream in (1, 2))
    console.file = sys.stdout
    logging.getLogger().handlers = [logging.StreamHandler(sys.stderr)]
    os.chdir(said.parent)
    os.environ.update(environment)
    sys.exit(run("distill", [*TINY, *words]))


def wait_for(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.slow
def test_two_processes_that_want_one_teacher_train_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_module(tmp_path, monkeypatch)
    words = ["teacher=custom", "teacher.model._target_=my_parts.Net", "method=kd"]
    # The one that comes first waits in its forward pass until the other one has said that it waits, too.
    said = [tmp_path / "0.txt", tmp_path / "1.txt"]
    processes = [
        start(file, *words, f"seed={seed}", MY_PARTS_WAIT=str(tmp_path / "go"))
        for seed, file in enumerate(said)
    ]
    waits = "waiting for another process that trains this teacher"
    try:
        wait_for(lambda: any(waits in file.read_text() for file in said))
        (tmp_path / "go").touch()
        wait_for(lambda: all(process.exitcode is not None for process in processes))
    finally:
        for process in processes:
            process.kill()
            process.join()
    texts = [file.read_text() for file in said]
    assert [process.exitcode for process in processes] == [0, 0], texts
    assert sorted("trained 2 epochs" in text for text in texts) == [False, True]
    assert sorted(waits in text for text in texts) == [False, True]
    found = results(tmp_path / "tsdistill-out")
    assert len(found) == 2 and len({result["teacher_id"] for result in found}) == 1
    assert len(list((tmp_path / "tsdistill-out" / "teachers" / "UnitTest").iterdir())) == 1


def test_a_killed_sweep_goes_on_to_the_same_table(
    tsdistill: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["-m", "method=none", "seed=0,1,2"]
    with monkeypatch.context() as patch:
        die_in_the_third_training(patch)
        process = start(tmp_path / "said.txt", *words)
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert "[1/3] UnitTest none lstm_8 seed 0: test AP" in (tmp_path / "said.txt").read_text()
    assert len(results()) == 1
    told = distill(tsdistill, *words)
    assert told.status == 0 and told.out.count("already there") == 1
    assert distill(tsdistill, *words, "out=whole").status == 0
    assert report_texts(Path("tsdistill-out")) == report_texts(Path("whole"))


def die_in_the_third_training(patch: pytest.MonkeyPatch) -> None:
    """Let a process be killed while it trains its second student; its teacher is the first training."""
    fit, offer, begun = session.fit, Checkpoints.offer, []

    def counted(*arguments: Any, **settings: Any) -> Any:
        begun.append(True)
        return fit(*arguments, **settings)

    def dying(self: Checkpoints, capture: Callable[[], object]) -> None:
        if len(begun) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        offer(self, capture)

    patch.setattr(session, "fit", counted)
    patch.setattr(Checkpoints, "offer", dying)


def test_asking_why_makes_no_folder_and_trains_no_teacher(tsdistill: Command) -> None:
    out = Path("tsdistill-out")
    told = distill(tsdistill, "method=kd", "seed=1", "why=true")
    assert told.status == 0 and "not stored: there is no run on UnitTest under tsdistill-out" in told.out
    assert tsdistill("status", "-m", *TINY, "method=kd", "seed=1,2").status == 0
    assert not out.exists()
    assert distill(tsdistill, "method=kd", "seed=1").status == 0
    (weights,) = out.glob("teachers/*/*/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    told = distill(tsdistill, "method=kd", "seed=1", "why=true")
    assert told.status == 0 and f"teacher fcn_8 ({weights.parent.name}) is not stored" in told.out
    assert "stored as" in told.out
    assert not weights.exists()


def test_asking_why_downloads_nothing(tsdistill: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, *_: Any) -> Path:
        raise AssertionError(f"{name} is fetched")

    monkeypatch.setattr(archive, "fetch", fetch)
    fetching = [word for word in TINY if word != "dataset.download=false"]
    told = tsdistill("distill", *fetching, "dataset.name=Wafer", "why=true")
    assert (told.status, told.out) == (2, "")
    assert re.fullmatch(
        "tsdistill: Wafer is not on this machine, and why=true downloads nothing; "
        r"`tsdistill datasets download=Wafer out=\S+` does\n",
        told.err,
    )
    assert distill(tsdistill, "method=kd").status == 0
    told = tsdistill("distill", *fetching, "method=kd", "why=true")
    assert "stored as" in told.out

"""``tsdistill evaluate``: adds metrics to stored runs without retraining."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tsdistill.config.schema import EvaluateConf, MetricGroup
from tsdistill.console import say
from tsdistill.data.planted import PlantedReader, planted_masks
from tsdistill.data.types import FloatArray
from tsdistill.errors import TsdistillError
from tsdistill.evaluation import performance, substitution
from tsdistill.evaluation.cost import cost, latency
from tsdistill.evaluation.ground_truth import saliency_auprc
from tsdistill.evaluation.noise import substitution_under_noise
from tsdistill.evaluation.predict import Predict, predictor
from tsdistill.evaluation.reasoning import faithfulness, map_agreement
from tsdistill.runs.maps import Maps, MapSettings, Sample, all_maps, draw_sample, teacher_maps
from tsdistill.runs.metrics import measured_anew, metric_code
from tsdistill.runs.restore import Scene, read_whole, restore_scene, restore_student
from tsdistill.runs.spec import RunSpec
from tsdistill.store.locks import locked
from tsdistill.store.records import RunRecord, rewrite_run, run_folder
from tsdistill.store.selection import stored_runs
from tsdistill.store.teachers import read_teacher, reseeded_teachers
from tsdistill.teachers.base import AnswerModule

LATENCIES = ("latency_ms", "latency_p95_ms", "teacher_latency_ms", "teacher_latency_p95_ms")
MOST_DECIBELS = 100
"""Noise at 100 dB is lost in the rounding of float32; at -100 dB nothing is left of the series."""
NEW_ANSWERS = {
    MetricGroup.substitution: "agreement and KL under noise",
    MetricGroup.reasoning: "the teacher's maps and the agreement with them",
    MetricGroup.cost: "the teacher's latency",
}
"""What needs a teacher's answers to new series, by group."""
_PLANTED = f"{PlantedReader.__module__}.{PlantedReader.__name__}"


def evaluate(conf: EvaluateConf) -> None:
    """Add what is missing to every stored run of the given names; what is there stays.

    Raises:
        TsdistillError: a setting that can't be, nothing is stored, or some runs could not be evaluated (the
            others were).
    """
    _check(conf)
    results = stored_runs(Path(conf.out), conf.only, conf.where)
    look = cache(partial(reseeded_teachers, Path(conf.out)))
    reseeded = [look(result["dataset"], result["teacher_id"]) for result in results]
    pairs = zip(results, reseeded, strict=True)
    wanted = [(*pair, missing) for pair in pairs if (missing := _missing(conf, *pair))]
    if left := len(results) - len(wanted):
        say(f"{left} of {len(results)} runs have it all, with these settings")
    stage: _Stage | None = None
    failures = []
    for number, (result, others, missing) in enumerate(wanted, start=1):
        about = f"[{number}/{len(wanted)}] {_title(result)}"
        began = time.perf_counter()
        try:
            if stage is None or stage.key != (result["dataset"], result["teacher_id"]):
                stage = _Stage.of(conf, read_whole(Path(conf.out), result), others)
            _evaluate_run(conf, stage, result)
        except TsdistillError as error:
            failures.append(str(error))
            say(f"{about}: failed: {error}")
        else:
            names = ", ".join(group.value for group in missing)
            say(f"{about}: {names} in {time.perf_counter() - began:.1f} s")
    if failures:
        raise TsdistillError(
            f"{len(failures)} of {len(wanted)} runs could not be evaluated; the first: {failures[0]}"
        )


def _check(conf: EvaluateConf) -> None:
    """Refuse lists that ask for nothing, which would replace what a run has, and impossible noise."""
    if not conf.groups:
        choices = ", ".join(group.value for group in MetricGroup)
        raise TsdistillError(f"groups=[]: name at least one of {choices}")
    if not conf.snrs:
        raise TsdistillError("snrs=[]: name at least one ratio, such as snrs=[20,10]")
    for at, snr in enumerate(conf.snrs):
        if abs(snr) > MOST_DECIBELS:
            raise TsdistillError(
                f"snrs[{at}]={snr:g} should be from -{MOST_DECIBELS} to {MOST_DECIBELS} [dB]"
            )


def _title(result: Mapping[str, Any]) -> str:
    trial = f" trial {result['trial']}" if result["trial"] else ""
    return f"{result['dataset']} {result['method']} {result['student']} seed {result['seed']}{trial}"


def noise_settings(conf: EvaluateConf) -> dict[str, Any]:
    """The settings that make the block ``noise``."""
    return {"snrs": list(conf.snrs), "seed": conf.seed}


def _teachers(keys: Sequence[str]) -> dict[str, Any] | None:
    """The settings of the block ``reseeded``; None if there is no re-seeded teacher."""
    return {"teachers": list(keys)} if keys else None


def map_settings(conf: EvaluateConf) -> MapSettings:
    """The settings that make the block ``reasoning``.

    Raises:
        TsdistillError: fewer than one series.
    """
    if conf.series < 1:
        raise TsdistillError(f"series={conf.series} should be 1 or more")
    ways = tuple(sorted({way.value for way in conf.attributions}))
    return MapSettings(conf.series, conf.window, conf.occlusion_window, ways, conf.seed)


def _plain(settings: MapSettings) -> dict[str, Any]:
    return {**asdict(settings), "attributions": list(settings.attributions)}


def _missing(conf: EvaluateConf, result: Mapping[str, Any], reseeded: Sequence[str]) -> list[MetricGroup]:
    """Groups that a result lacks, or that were made with other settings or other re-seeded teachers."""

    def made_by(block: str) -> object:
        return (result.get(block) or {}).get("settings")

    there = {
        MetricGroup.performance: set(performance.METRICS) <= set(result["test"])
        and result.get("metric_code") == metric_code(),
        MetricGroup.substitution: set(substitution.METRICS) <= set(result["test"])
        and made_by("noise") == noise_settings(conf)
        and made_by("reseeded") == _teachers(reseeded),
        MetricGroup.reasoning: made_by("reasoning") == _plain(map_settings(conf)),
        MetricGroup.cost: "macs" in result["cost"] and set(LATENCIES) <= set(result["timing"]),
    }
    return [group for group in dict.fromkeys(conf.groups) if not there[group]]


@dataclass
class _Stage:
    """What is computed once for all students of a teacher; ``others`` are its re-seeded likes."""

    conf: EvaluateConf
    scene: Scene
    others: Sequence[str] = ()
    noisy: dict[str, FloatArray] = field(default_factory=dict)

    @classmethod
    def of(cls, conf: EvaluateConf, record: RunRecord, others: Sequence[str]) -> "_Stage":
        scene = restore_scene(
            Path(conf.out),
            record,
            data_root=conf.data_root,
            hardware=conf.hardware,
            allow_code=conf.allow_code,
        )
        left_out = [what for group, what in NEW_ANSWERS.items() if group in conf.groups]
        if left_out and not scene.answers_new_series:
            say(
                f"{scene.job.dataset.name}: teacher {scene.job.conf.teacher.name} answers no new series, so "
                f"these are left out: {'; '.join(left_out)}"
            )
        return cls(conf, scene, others)

    @property
    def key(self) -> tuple[str, str]:
        return self.scene.job.dataset.name, self.scene.teacher.key

    @cached_property
    def settings(self) -> MapSettings:
        return map_settings(self.conf)

    @cached_property
    def sample(self) -> Sample:
        return draw_sample(self.scene, self.settings)

    @cached_property
    def maps(self) -> Maps:
        """The teacher's maps; none if it answers no new series."""
        if not self.scene.answers_new_series:
            return {}
        return teacher_maps(self.scene, self.sample, self.settings)

    @cached_property
    def teacher_reasoning(self) -> dict[str, float]:
        """How faithful the teacher's own maps are: the yardstick of its students'."""
        if not self.maps:
            return {}
        found = reasoning_alone(self.scene.model, self.maps, self.sample, self.truth, self.settings.seed)
        return {f"teacher_{name}": value for name, value in found.items() if name != "planted_share"}

    @cached_property
    def truth(self) -> NDArray[np.bool_] | None:
        """Where the class is told in the sample, (n, T), where that is known."""
        conf = self.scene.dataset_conf
        if conf["_target_"] != _PLANTED:
            return None
        return np.asarray(planted_masks(conf)[1][self.sample.rows].any(axis=1))

    @cached_property
    def reseeded(self) -> dict[str, Any] | None:
        """What the same teacher from other seeds would be worth in its place: means over these teachers."""
        out, dataset, y = Path(self.conf.out), self.scene.job.dataset.name, self.scene.test.y
        found = [read_teacher(out, dataset, key) for key in self.others]
        own = self.scene.teacher.logits["test"].numpy()
        answers = [teacher.logits["test"].numpy() for teacher in found if teacher is not None]
        each = [
            {**performance.performance(one, y), **substitution.substitution(one, own, y)} for one in answers
        ]
        if not each:
            return None
        means = {name: float(np.mean([values[name] for values in each])) for name in each[0]}
        return {"settings": _teachers(self.others), "count": len(each), **means}

    @cached_property
    def teacher_latency(self) -> dict[str, float]:
        data = self.scene.job.dataset
        if not self.scene.answers_new_series:
            return {name: float("nan") for name in LATENCIES if name.startswith("teacher")}
        return {f"teacher_{k}": v for k, v in latency(self.scene.model, data.channels, data.length).items()}

    @cached_property
    def teacher_answers(self) -> Predict | None:
        """The teacher's logits, computed once for the same series; None if it answers no new ones."""
        if not self.scene.answers_new_series:
            return None
        ask = predictor(self.scene.model, self.scene.test.lengths)

        def remembered(x: FloatArray) -> FloatArray:
            key = hashlib.sha256(np.ascontiguousarray(x).data).hexdigest()
            if key not in self.noisy:
                self.noisy[key] = ask(x)
            return self.noisy[key]

        return remembered


def _evaluate_run(conf: EvaluateConf, stage: _Stage, listed: Mapping[str, Any]) -> None:
    """Read a run under its lock, compute what it lacks, and write it whole."""
    out = Path(conf.out)
    with locked(run_folder(out, listed["dataset"], RunSpec.training_id(listed["id"]))):
        record = read_whole(out, listed)
        missing = _missing(conf, {**record.result, "timing": record.timing}, stage.others)
        if not missing:  # another process was faster
            return
        student = restore_student(stage.scene.job, record)
        result, timing = dict(record.result), dict(record.timing)
        ways = {
            MetricGroup.performance: lambda: _add_performance(result, record),
            MetricGroup.substitution: lambda: _add_substitution(result, record, stage, student),
            MetricGroup.reasoning: lambda: _add_reasoning(result, stage, student),
            MetricGroup.cost: lambda: _add_cost(result, timing, stage, student),
        }
        for group in missing:
            ways[group]()
        rewrite_run(out, replace(record, result=result, timing=timing))


def _add_performance(result: dict[str, Any], record: RunRecord) -> None:
    """Recompute performance and substitution from the stored logits."""
    result.update(measured_anew(record))


def _add_substitution(result: dict[str, Any], record: RunRecord, stage: _Stage, student: nn.Module) -> None:
    """Recompute substitution from the stored logits, and under noise with both models."""
    test, conf = stage.scene.test, stage.conf
    logits = record.logits
    found = substitution.substitution(logits["test"].numpy(), logits["teacher_test"].numpy(), test.y)
    result["test"] = {**result["test"], **found}
    noise = substitution_under_noise(
        predictor(student, test.lengths),
        stage.teacher_answers,
        test.x,
        test.y,
        test.lengths,
        snrs=tuple(conf.snrs),
        seed=conf.seed,
    )
    result["noise"] = {"settings": noise_settings(conf), **noise}
    result.pop("reseeded", None)
    if stage.reseeded is not None:
        result["reseeded"] = stage.reseeded


def _add_reasoning(result: dict[str, Any], stage: _Stage, student: nn.Module) -> None:
    """Agreement of the student's maps with the teacher's, and each one's own faithfulness and truth."""
    sample, settings = stage.sample, stage.settings
    maps = all_maps(student, sample, settings)
    found: dict[str, float] = {}
    for way, mine in maps.items():
        if way not in stage.maps:  # a teacher without gradients, or with stored answers alone
            continue
        agreed = map_agreement(mine, stage.maps[way], sample.part.lengths, seed=settings.seed)
        found.update({f"{way}_{name}": value for name, value in agreed.items() if name != "pairs"})
    found.update(reasoning_alone(student, maps, sample, stage.truth, settings.seed))
    result["reasoning"] = {
        "settings": _plain(settings),
        "series": len(sample.rows),
        "of": len(stage.scene.test),
        **found,
        **stage.teacher_reasoning,
    }


def reasoning_alone(
    model: nn.Module,
    maps: Maps,
    sample: Sample,
    truth: NDArray[np.bool_] | None,
    seed: int,
) -> dict[str, float]:
    """What a model's maps are worth without another model: deletion, insertion, and the planted truth.

    Args:
        model: in eval mode.
        maps: its maps (n, T) by way.
        sample: the series.
        truth: where the evidence for the class is, (n, T), or None if unknown.
        seed: of the shuffled maps.

    Returns:
        ``saliency_deletion``, ``saliency_insertion`` and their chance levels for the class that the teacher
        predicts; with a truth also ``<way>_auprc``, ``<way>_auprc_shuffled`` and ``planted_share``.
    """
    part = sample.part
    ask = predictor(model, part.lengths)
    curves = faithfulness(ask, part.x, maps["saliency"], sample.explained, part.lengths, seed=seed)
    found = {f"saliency_{name}": value for name, value in curves.items()}
    if truth is None:
        return found
    for way, values in maps.items():
        held = saliency_auprc(values, truth, seed=seed)
        found.update({f"{way}_{name}": held[name] for name in ("auprc", "auprc_shuffled")})
        found["planted_share"] = held["planted_share"]
    return found


def _add_cost(result: dict[str, Any], timing: dict[str, Any], stage: _Stage, student: nn.Module) -> None:
    """What can be counted into the result, what is measured into the timing."""
    data, teacher = stage.scene.job.dataset, stage.scene.model
    counted = None if isinstance(teacher, AnswerModule) else teacher
    result["cost"] = {**cost(student, counted, data.channels, data.length), **result["cost"]}
    timing.update(latency(student, data.channels, data.length))
    timing.update(stage.teacher_latency)

"""What a run is: its settings, resolved once, and from them its keys, its title and its record's identity."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tsdistill.config.canonical import canonical, filled, targets_in
from tsdistill.config.code import code_behind
from tsdistill.config.members import expand_members
from tsdistill.config.resolve import check_composed, grid_keys, recorded_settings, settle_method
from tsdistill.config.schema import (
    CalibrationConf,
    CalibrationTarget,
    DistillConf,
    SaliencyConf,
    SplitConf,
    TeacherConf,
    TrainingConf,
)
from tsdistill.config.targets import locate, takes
from tsdistill.errors import TsdistillError
from tsdistill.methods.base import Need
from tsdistill.methods.build import build_stages
from tsdistill.methods.stage import Stage
from tsdistill.methods.step import union
from tsdistill.models.build import BUILT_IN_SIZES
from tsdistill.store.keys import key_of
from tsdistill.training.loop import HIGHER_IS_BETTER

TEACHER_CODE = ("tsdistill.data.split", "tsdistill.teachers.base")
"""The steps between data and any teacher's logits; its own class comes on top."""
NETWORK_CODE = (
    "tsdistill.models.build",
    "tsdistill.training.loop",
    "tsdistill.training.seeds",
    "tsdistill.training.supervised",
)
"""Those behind a network; the model and its schedule come on top."""
PLATEAU_CODE = ("tsdistill.training.plateau",)
"""What decides whether a model begins anew."""
POOL_CODE = ("tsdistill.saliency.draws", "tsdistill.saliency.pools", "tsdistill.training.seeds")
"""The steps between a teacher and its pool."""
STUDENT_CODE = (
    "tsdistill.data.split",
    "tsdistill.methods.stage",
    "tsdistill.models.build",
    "tsdistill.training.calibration",
    "tsdistill.training.loop",
    "tsdistill.training.plateau",
    "tsdistill.training.seeds",
)
"""The steps between a teacher and its student's logits; terms, model and schedule come on top."""
METRIC_CODE = ("tsdistill.evaluation.performance", "tsdistill.evaluation.substitution")
"""What turns stored logits into metrics: an edit recomputes the metrics of stored runs and trains nothing."""

TEACHER_SUPPLIED = ("network", "cross_fit", "path", "members")
"""Arguments of a teacher's constructor that the program passes itself."""

Facts = dict[str, Any]


def teacher_facts(conf: TeacherConf, split: SplitConf, data: str, precision: str, seed: int) -> Facts:
    """All that determines a teacher.

    Args:
        conf: its settings.
        split: those of the validation split.
        data: fingerprint of the dataset as it is after preprocessing.
        precision: of the arithmetic.
        seed: one of ``teacher.seeds``.
    """
    found = {"data": data, "split": asdict(split), "precision": precision, "seed": seed}
    return {**found, **_teacher_settings(conf, "teacher")}


def _teacher_settings(conf: TeacherConf, path: str) -> Facts:
    """A teacher's settings as far as it takes them, and the code behind it; of an ensemble, its members'."""
    kind = filled(conf.kind, f"{path}.kind", TEACHER_SUPPLIED)
    target = locate(kind["_target_"], f"{path}.kind")
    steps, model, training, members = TEACHER_CODE, None, None, None
    if takes(target, "network"):
        model = None if conf.model is None else filled(conf.model, f"{path}.model", BUILT_IN_SIZES)
        training = training_facts(conf.training, f"{path}.training")
        steps = (*steps, *NETWORK_CODE, *(PLATEAU_CODE if conf.training.restarts else ()))
    if takes(target, "members"):
        members = {
            name: {"conf": canonical(node), "facts": _teacher_settings(member_conf(node), f"{path}.{name}")}
            for name, node in (conf.members or {}).items()
        }
    file = conf.path if takes(target, "path") else None
    return {
        "kind": kind,
        "cross_fit": canonical(conf.cross_fit) if takes(target, "cross_fit") else None,
        "file": None if file is None else {"path": file, "sha256": digest_of(file)},
        "members": members,
        "model": model,
        "training": training,
        "code": _code(steps, kind, model or {}, training or {}),
    }


def member_conf(node: Mapping[str, Any]) -> TeacherConf:
    """The settings of a teacher from plain values: a member of an ensemble, or a stored teacher.

    Raises:
        TsdistillError: a key that a teacher has not.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(TeacherConf), dict(node))
        return OmegaConf.to_object(merged)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise TsdistillError(f"teacher: {str(error).splitlines()[0]}") from error


def digest_of(path: str) -> str:
    """SHA-256 of a teacher's file, in hex.

    Raises:
        TsdistillError: it can't be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TsdistillError(f"teacher.path={path} can't be read: {error.strerror or error}") from error


def pool_facts(teacher: str, plan: Mapping[str, Any]) -> Facts:
    """All that determines a pool: its teacher's key and what it is made of."""
    return {"teacher": teacher, **plan, "code": code_behind(POOL_CODE)}


def training_facts(conf: TrainingConf, path: str) -> Facts:
    """Settings of a training run, the defaults of its scheduler filled in."""
    plain = OmegaConf.to_container(OmegaConf.structured(conf), resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    facts = {str(key): value for key, value in canonical(plain).items()}
    if isinstance(facts["scheduler"], Mapping) and "_target_" in facts["scheduler"]:
        facts["scheduler"] = filled(facts["scheduler"], f"{path}.scheduler", ("optimizer",))
    return facts


def _code(steps: Iterable[str], *nodes: Any) -> dict[str, str]:
    """Digests of the code behind fixed steps and behind every ``_target_`` of some nodes."""
    targets = {*steps, *(target for node in nodes for target in targets_in(node))}
    if any(name in HIGHER_IS_BETTER for node in nodes for name in _monitors(node)):
        targets.add(METRIC_CODE[0])
    return code_behind(sorted(targets))


def _monitors(node: Any) -> list[str]:
    if isinstance(node, Mapping):
        return [str(node.get("monitor")), *(name for inner in node.values() for name in _monitors(inner))]
    return [name for inner in node for name in _monitors(inner)] if isinstance(node, list) else []


@dataclass(frozen=True)
class RunSpec:
    """A student's run.

    Attributes:
        composed: the config with its trial applied.
        conf: the same, typed.
        stages: the method, built.
        identity: what a record says of who it is: names, seed, trial, settings.
    """

    composed: DictConfig
    conf: DistillConf
    stages: list[Stage]
    identity: Facts

    @classmethod
    def of(cls, composed: DictConfig) -> "RunSpec":
        """Resolve a composed config.

        Raises:
            TsdistillError: a setting that is unknown, or of the wrong type, or a method that cannot be built.
        """
        composed = composed.copy()
        settle_method(composed)
        expand_members(composed)
        check_composed(composed)
        conf: DistillConf = OmegaConf.to_object(composed)  # type: ignore[assignment]
        spec = cls(composed, conf, build_stages(conf.method), identity_of(composed))
        if not conf.calibration.ridge >= 0:
            raise TsdistillError(f"calibration.ridge={conf.calibration.ridge:g} should be 0 or more")
        if conf.calibration.target is CalibrationTarget.teacher and not spec.taught:
            raise TsdistillError(
                f"calibration.target=teacher fits to the teacher's answers, which method "
                f"{conf.method['name']} doesn't use; choose labels or none"
            )
        return spec

    @property
    def needs(self) -> frozenset[Need]:
        """Everything that the method needs."""
        return union([stage.needs for stage in self.stages])

    @property
    def taught(self) -> bool:
        """Whether the method asks anything of its teacher."""
        return bool(self.needs - {"student_gradients"})

    @property
    def calibrated(self) -> bool:
        """Whether the student's logits are fitted after training."""
        return self.conf.calibration.target is not CalibrationTarget.none

    @property
    def title(self) -> str:
        """The run in a few words."""
        conf = self.conf
        trial = f" trial {conf.trial}" if conf.trial else ""
        return f"{self.identity['dataset']} {conf.method['name']} {conf.student.name} seed {conf.seed}{trial}"

    def facts(self, data: str, teacher: str, pool: str | None) -> Facts:
        """All that determines the trained student.

        Args:
            data: fingerprint of the dataset.
            teacher: the teacher's key; left out where the method asks nothing of it.
            pool: key of the pool; None where none is read.
        """
        conf = self.conf
        model = filled(conf.student.model, "student.model", BUILT_IN_SIZES)
        training = training_facts(conf.training, "training")
        stages = [self._stage_facts(name, node) for name, node in conf.method["stages"].items()]
        return {
            "data": data,
            "split": asdict(conf.split),
            "method": conf.method["name"],
            "student": conf.student.name,
            "model": model,
            "stages": stages,
            "training": training,
            "calibration": _plain(conf.calibration) if self.calibrated else None,
            "teacher": teacher if self.taught else None,
            "saliency": _plain(conf.saliency) if "windows" in self.needs else None,
            "pool": pool,
            "precision": conf.hardware.precision.value,
            "seed": conf.seed,
            "code": _code((*STUDENT_CODE, *self._asked_code), model, training, stages),
        }

    @property
    def _asked_code(self) -> tuple[str, ...]:
        """The code behind what a term asks of the teacher during training."""
        asked = self.needs & {"teacher_answers", "teacher_gradients"}
        return tuple(targets_in(dict(self.conf.teacher.kind))) if asked else ()

    def _stage_facts(self, name: str, node: Mapping[str, Any]) -> Facts:
        """A stage with the defaults of its terms; what it takes from ``training`` is written out."""
        terms = [
            [key, float(node["weights"][key]), filled(term, f"method.stages.{name}.terms.{key}")]
            for key, term in node["terms"].items()
            if node["weights"][key]
        ]
        training = self.conf.training
        monitor, epochs = node.get("monitor"), node.get("epochs")
        return {
            "name": name,
            "terms": terms,
            "monitor": training.monitor if monitor is None else monitor,
            "epochs": training.epochs if epochs is None else epochs,
        }

    def run_id(self, facts: Facts, teacher: str) -> str:
        """Key of the record; for a student that no teacher taught the teacher compared with is added."""
        key = key_of("run", facts)
        if self.taught:
            return key
        return f"{key}-{key_of('evaluated', {'teacher': teacher, 'name': self.conf.teacher.name})[:8]}"

    @staticmethod
    def training_id(run_id: str) -> str:
        """The part of a run's id that determines the trained student."""
        return run_id.partition("-")[0]

    @property
    def failure_id(self) -> str:
        """Key of the note that the run failed."""
        return failure_id(self.identity)


def identity_of(composed: DictConfig) -> Facts:
    """What a record says of who it is, whether the run succeeded or failed.

    A dataset that is named by its file alone has no name yet: the record's own then takes its place.

    Args:
        composed: the config, its trial applied.
    """
    return {
        "dataset": composed.dataset.get("name") or "unnamed",
        "method": composed.method.name,
        "teacher": composed.teacher.name,
        "student": composed.student.name,
        "seed": composed.seed,
        "trial": composed.trial,
        "settings": _settings(composed),
        "grid_keys": grid_keys(composed.method, ranged=OmegaConf.select(composed, "study") is not None),
    }


def _settings(composed: DictConfig) -> Facts:
    """Recorded settings without those that do not bear on the run."""
    found = recorded_settings(composed, () if _windowed(composed) else ("saliency",))
    if found["calibration.target"] == "none":
        del found["calibration.scale"], found["calibration.ridge"]
    return found


def failure_id(identity: Facts) -> str:
    """Key of a failure: of the settings alone, since the data or the teacher may be what failed."""
    return key_of("failure", identity)


def _windowed(composed: DictConfig) -> bool:
    """Whether the saliency settings bear on a run; of a method that cannot be built, they may."""
    method = OmegaConf.to_container(composed.method, resolve=True)
    try:
        return any("windows" in stage.needs for stage in build_stages(method))  # type: ignore[arg-type]
    except TsdistillError:
        return True


def _plain(conf: SaliencyConf | CalibrationConf) -> Facts:
    plain = OmegaConf.to_container(OmegaConf.structured(conf), resolve=True, enum_to_str=True)
    return {str(key): value for key, value in canonical(plain).items()}

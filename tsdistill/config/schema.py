"""Typed settings: the ConfigStore refuses a key that is not here, and a value of another type.

Nodes with a ``_target_`` (dataset, models, methods' terms, schedulers) are open; they are checked against the
signature of their target by ``tsdistill.config.targets``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from tsdistill.config.groups import register_additions, register_models

__neutral__ = "its values are part of every key"


class Optimizer(Enum):
    """Optimisers of ``torch.optim``."""

    adam = "adam"
    adamw = "adamw"
    sgd = "sgd"


class Stepping(Enum):
    """When a scheduler steps: after each epoch, or after each batch as the TSD reference does."""

    epoch = "epoch"
    step = "step"


class Precision(Enum):
    """Arithmetic of the forward passes."""

    fp32 = "fp32"
    bf16 = "bf16"


class Kernel(Enum):
    """What computes recurrent layers: PyTorch, the compiled kernel, or whichever is faster."""

    auto = "auto"
    torch = "torch"
    fused = "fused"


class PoolMode(Enum):
    """Perturbations from a cached pool, or fresh ones at every step with the teacher in the loop."""

    cached = "cached"
    online = "online"


class Sampling(Enum):
    """How the M windows of a step are chosen from the pool."""

    uniform = "uniform"
    stratified = "stratified"
    antithetic = "antithetic"


class Donors(Enum):
    """What stands in a replaced window: a training series of another class, or noise."""

    opposing = "opposing"
    noise = "noise"


class BatchNorm(Enum):
    """Statistics of batch normalisation in the joint pass."""

    clean = "clean"
    joint = "joint"
    joint_running_clean = "joint_running_clean"


class Selection(Enum):
    """The part on which hyperparameters are chosen at report time."""

    validation = "validation"
    test = "test"


class Tune(Enum):
    """When the report selects among a method's settings: where all methods have equally many, or as told."""

    equal = "equal"
    always = "always"
    never = "never"


class FigureStyle(Enum):
    """What figures are drawn for: the width of a page, a column of a two-column paper, slides."""

    text = "text"
    column = "column"
    slides = "slides"


class MetricGroup(Enum):
    """What ``tsdistill evaluate`` adds; ``substitution`` includes noise."""

    performance = "performance"
    substitution = "substitution"
    reasoning = "reasoning"
    cost = "cost"


class Attribution(Enum):
    """Ways of saying what a model looks at that no student was trained with."""

    integrated_gradients = "integrated_gradients"
    occlusion = "occlusion"


class CalibrationTarget(Enum):
    """What a student's logits are fitted to after training."""

    none = "none"
    labels = "labels"
    teacher = "teacher"


@dataclass
class SplitConf:
    """The validation part: a fraction of the training series, and the seed of the split."""

    # share of each class of the training part that is held out; 0 for none [fraction]
    validation: float = 0.2
    # seed of the split
    seed: int = 0


@dataclass
class TrainingConf:
    """One training run.

    ``patience`` 0 turns early stopping off; ``monitor`` is ``ce``, a loss term, ``accuracy``,
    ``average_precision``, ``train_loss`` or ``last``. A model that is still on the plateau after a fifth of
    its epochs begins anew, at most ``restarts`` times.
    """

    epochs: int = 500
    batch_size: int = 32
    lr: float = 0.005
    weight_decay: float = 1e-5
    optimizer: Optimizer = Optimizer.adam
    patience: int = 50
    monitor: str = "ce"
    # a schedule of the learning rate from conf/scheduler; null: constant
    scheduler: Any = None
    schedule_by: Stepping = Stepping.epoch
    restarts: int = 0


@dataclass
class HardwareConf:
    """Where and how it runs; ``device`` is ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    ``checkpoint_seconds`` is the time between two checkpoints of what is being made; 0 for none.
    ``jobs`` is how many jobs of a sweep run side by side, ``auto`` or a number; ``jobs_per_device`` how many
    share a GPU under ``auto``.
    """

    device: str = "auto"
    precision: Precision = Precision.fp32
    threads: int = 1
    deterministic: bool = True
    compile: bool = False
    kernel: Kernel = Kernel.auto
    checkpoint_seconds: float = 60.0
    jobs: str = "auto"
    jobs_per_device: int = 1


@dataclass
class SaliencyConf:
    """The perturbations of temporal saliency.

    ``window`` is in steps, or a fraction of the length below 1; ``perturbations`` is M, ``pool_size`` is P
    (null: every start once). ``donors`` is set by the method ``fd_noise``.
    """

    window: float = 10
    perturbations: int = 16
    pool_size: int | None = None
    pool_seed: int = 0
    mode: PoolMode = PoolMode.cached
    sampling: Sampling = Sampling.uniform
    per_channel: bool = False
    batch_norm: BatchNorm = BatchNorm.clean
    # what is put into a window; the method fd_noise sets it
    donors: Donors = Donors.opposing


@dataclass
class TeacherConf:
    """The teacher: the seeds of which the best by validation is kept, and what it is.

    ``kind`` is a ``tsdistill.teachers.base.Teacher``; ``model`` and ``training`` are those of a network.
    ``cross_fit`` is the number of folds whose models answer the training series that they have not seen; 0
    for none, ``auto`` where it is worth it. ``path`` is the file of a teacher that is read, ``members`` are
    the teachers of an ensemble: their names, or their settings by name.
    """

    # name in records and tables
    name: str = MISSING
    # what the teacher is: a `tsdistill.teachers.base.Teacher` and its settings
    kind: Any = field(default_factory=lambda: {"_target_": "tsdistill.teachers.network.NetworkTeacher"})
    # the network of a teacher that is one, from conf/model
    model: Any = None
    # folds whose models answer training series they have not seen; 0: none; auto: where worth it
    cross_fit: int | str = "auto"
    # file of a teacher that is read (checkpoint, answers)
    path: str | None = None
    # teachers of an ensemble: names, or settings by name
    members: Any = None
    # seeds that are trained; the best on validation is kept
    seeds: list[int] = field(default_factory=lambda: [0])
    training: TrainingConf = field(default_factory=TrainingConf)


@dataclass
class StudentConf:
    """The student's model."""

    # name in records and tables
    name: str = MISSING
    # the network, from conf/model
    model: Any = MISSING


@dataclass
class CalibrationConf:
    """The fit of the student's logits after training, on the clean training part.

    ``target`` is what they are fitted to, ``scale`` whether their size is fitted beside their bias, ``ridge``
    how strongly the fit is held to the logits as they are.
    """

    target: CalibrationTarget = CalibrationTarget.none
    scale: bool = True
    ridge: float = 0.1


class TrackerName(Enum):
    """Experiment trackers that runs can be written for."""

    tensorboard = "tensorboard"
    mlflow = "mlflow"
    wandb = "wandb"


@dataclass
class TrackingConf:
    """The tracker that is told of a run while it is trained."""

    # tensorboard | mlflow | wandb; null: none
    to: TrackerName | None = None
    # where it writes; null: a folder of the tracker's name below out
    folder: str | None = None


@dataclass
class BaseConf:
    """What every command takes."""

    # folder of all that is stored; `report` reads several: out=A,B
    out: str = "tsdistill-out"
    # show where an error came from
    debug: bool = False


class Fail(Enum):
    """When a failed run ends its sweep: at once, or after all others."""

    fast = "fast"
    late = "late"


@dataclass
class TeacherTaskConf(BaseConf):
    """``tsdistill train-teacher``.

    In a sweep, ``fail`` says whether the first failed run ends it, ``retry`` how often a run is begun again
    whose process died without an error of its own, and ``share`` which runs are this command's.
    """

    dataset: Any = MISSING
    # folder with the UCR and UEA archives; null: bundled sets, and downloads
    data_root: str | None = None
    split: SplitConf = field(default_factory=SplitConf)
    teacher: TeacherConf = field(default_factory=TeacherConf)
    saliency: SaliencyConf = field(default_factory=SaliencyConf)
    hardware: HardwareConf = field(default_factory=HardwareConf)
    # when a failed run ends its sweep: fast (at once) | late (after all others)
    fail: Fail = Fail.late
    # how often a run of a sweep is begun again whose process died without an error of its own [tries]
    retry: int = 0
    # which of how many equal shares of a sweep this command runs: 1/20 to 20/20; null: all of it
    share: str | None = None


@dataclass
class DistillConf(TeacherTaskConf):
    """``tsdistill distill``: one student under one method.

    ``retrain`` replaces a record that is there; ``why`` runs nothing and says whether there is one.
    ``study`` is the study that the run belongs to, which ``tsdistill tune`` sets.
    """

    student: StudentConf = field(default_factory=StudentConf)
    method: Any = MISSING
    training: TrainingConf = field(default_factory=TrainingConf)
    calibration: CalibrationConf = field(default_factory=CalibrationConf)
    tracking: TrackingConf = field(default_factory=TrackingConf)
    # seed of the student's start and batches
    seed: int = 0
    # setting of the method's grid; 0: its default
    trial: int = 0
    # train again and replace the record that is there
    retrain: bool = False
    # run nothing; say whether the run is stored and, if not, what differs
    why: bool = False
    # study that the run belongs to, which `tsdistill tune` sets
    study: str | None = None


class Sampler(Enum):
    """How ``tsdistill tune`` chooses settings."""

    tpe = "tpe"
    random = "random"
    grid = "grid"


class Pruner(Enum):
    """Which trials ``tsdistill tune`` ends early: none, or those below the median of the others."""

    none = "none"
    median = "median"


@dataclass
class TuneConf(DistillConf):
    """``tsdistill tune``: ``trials`` settings of one method, one student each.

    ``study`` names the study (null: by its dataset, its method and a hash of its settings); any number of
    processes may work on one.
    """

    # settings that the study tries in all; the first is the default [trials]
    trials: int = 30
    # how settings are chosen: tpe | random | grid
    sampler: Sampler = Sampler.tpe
    # which trials end early: none | median (those below the median of finished ones at the same epoch)
    pruner: Pruner = Pruner.none


@dataclass
class AskConf(TeacherTaskConf):
    """``tsdistill ask``: ``to`` is the folder that the questions are written into."""

    to: str = MISSING


@dataclass
class OnlyConf:
    """Restricts what is read to stored runs of these names; each a list, null keeps all.

    On the command line ``dataset=A,B`` stands for ``only.dataset=[A,B]``.
    """

    # data sets to read; on the command line dataset=A,B
    dataset: list[str] | None = None
    # methods to read
    method: list[str] | None = None
    # teachers to read
    teacher: list[str] | None = None
    # students to read
    student: list[str] | None = None


class Format(Enum):
    """How ``tsdistill runs`` lists runs."""

    table = "table"
    json = "json"
    csv = "csv"


@dataclass
class RunsConf(BaseConf):
    """``tsdistill runs``: ``id`` shows one run, or compares two; ``where`` filters, ``sort`` sorts.

    ``all`` shows the settings of a run that are at their defaults too. ``verify`` checks every stored file.
    ``to`` is a file that the listed runs are written to.
    """

    only: OnlyConf = field(default_factory=OnlyConf)
    where: str | None = None
    verify: bool = False
    id: str | None = None
    all: bool = False
    sort: str | None = None
    to: str | None = None
    format: Format = Format.table


@dataclass
class CleanConf(BaseConf):
    """``tsdistill clean``: ``apply`` removes what it would otherwise only list."""

    only: OnlyConf = field(default_factory=OnlyConf)
    where: str | None = None
    apply: bool = False


@dataclass
class TrackConf(BaseConf):
    """``tsdistill track``: ``to`` is the tracker, ``folder`` where it is written (null: below ``out``)."""

    to: TrackerName | None = None
    folder: str | None = None
    where: str | None = None
    only: OnlyConf = field(default_factory=OnlyConf)


@dataclass
class PackConf(BaseConf):
    """``tsdistill pack``: ``unpack`` turns packs back into folders."""

    unpack: bool = False


@dataclass
class MergeConf(BaseConf):
    """``tsdistill merge``; ``sources`` are the folders that ``from=A,B`` names."""

    # folders to copy from; on the command line from=A,B
    sources: str | None = None


@dataclass
class StatusConf(BaseConf):
    """``tsdistill status`` without the words of a sweep."""


@dataclass
class ReportConf(BaseConf):
    """``tsdistill report``; methods are compared with ``reference`` (null: tsd, or else none).

    ``out`` may name several folders, with commas between them. ``to`` is the folder to write into (null:
    ``report`` below ``out``, and a folder of its own below that for a filtered report). Each ``metric`` has
    tables and figures of its own, and the first decides among trials; ``columns`` are those of the summary
    (null: the driving metrics and the usual six). ``labels`` has what is shown instead of a stored name.
    ``vary`` names one or two settings of which every value has a row and a point in a figure.
    ``figures`` is true, false, or the kinds that are drawn, ``all`` for every kind.
    ``published`` is a CSV file of published numbers, which stand beside ours.
    ``again`` is the folder of a report that is made again from the same records and settings.
    """

    where: str | None = None
    # part of the data on which settings are selected
    select: Selection = Selection.validation
    # when one of a method's settings is selected: where all have equally many, or as told
    tune: Tune = Tune.equal
    # row that the others are compared with; null: tsd, else none
    reference: str | None = None
    # stored metrics that have tables and figures; the first decides among settings
    metric: list[str] = field(default_factory=lambda: ["average_precision"])
    # what is shown instead of a stored name: labels.tsd_kd='TSD+KD'
    labels: dict[str, str] = field(default_factory=dict)
    # methods in the order shown; the rest follow
    order: list[str] = field(default_factory=list)
    # metrics of the summary; null: those of metric and the usual six
    columns: list[str] | None = None
    # one or two settings of which every value has a row and a point in a figure
    vary: list[str] = field(default_factory=list)
    # CSV file of published numbers that stand beside ours
    published: str | None = None
    # of metrics in tables [digits]
    decimals: int = 3
    # true, false, or the kinds that are drawn, such as curves,confusion; all: every kind
    figures: Any = True
    # what figures are drawn for: a page, a column of 3.4 inches, slides
    style: FigureStyle = FigureStyle.text
    # folder to write into; null: report below out, filtered reports below that
    to: str | None = None
    # folder of a report to make again from the same records
    again: str | None = None
    only: OnlyConf = field(default_factory=OnlyConf)


@dataclass
class RestoreConf(BaseConf):
    """What every command takes that restores stored runs.

    ``allow_code`` builds models and readers from outside of this package that a record names; without it
    such a record is refused, since it may come from anywhere.
    """

    # folder with the UCR and UEA archives; null: bundled sets, and downloads
    data_root: str | None = None
    hardware: HardwareConf = field(default_factory=HardwareConf)
    where: str | None = None
    only: OnlyConf = field(default_factory=OnlyConf)
    # build models and readers from outside of tsdistill and torch that a record names
    allow_code: bool = False


@dataclass
class EvaluateConf(RestoreConf):
    """``tsdistill evaluate``.

    ``series`` bounds the test series that have maps made; windows are in steps or a fraction of the length.
    """

    groups: list[MetricGroup] = field(default_factory=lambda: list(MetricGroup))
    series: int = 100
    window: float = 0.1
    occlusion_window: float = 0.1
    attributions: list[Attribution] = field(default_factory=lambda: list(Attribution))
    snrs: list[float] = field(default_factory=lambda: [30.0, 20.0, 10.0, 5.0, 0.0])
    seed: int = 0


@dataclass
class ExplainConf(RestoreConf):
    """``tsdistill explain``.

    ``seed`` and ``trial`` choose the students (null: the seed of most; ``over_seeds``: all). ``series``
    are the test series shown, ``samples`` how many of each kind where none are named, and ``averaged`` bounds
    those that class averages are made of. ``input`` names a file with your own series.
    """

    seed: int | None = None
    trial: int = 0
    over_seeds: bool = False
    series: list[int] | None = None
    samples: int = 1
    averaged: int = 60
    common_scale: bool = False
    style: FigureStyle = FigureStyle.text
    window: float = 0.1
    draws_seed: int = 0
    input: str | None = None


@dataclass
class StudentChoiceConf(BaseConf):
    """What every command takes that works with one stored student.

    ``run`` is a run's id, or its first digits; without it the best on validation of those that match.
    ``references`` is the number of training series that explanations take windows from.
    """

    run: str | None = None
    where: str | None = None
    only: OnlyConf = field(default_factory=OnlyConf)
    # folder with the UCR and UEA archives; null: bundled sets, and downloads
    data_root: str | None = None
    references: int = 8
    allow_code: bool = False


class Answers(Enum):
    """How ``tsdistill predict`` writes its answers."""

    csv = "csv"
    jsonl = "jsonl"
    npz = "npz"


@dataclass
class PredictConf(StudentChoiceConf):
    """``tsdistill predict``.

    ``input`` is a file, or ``-`` for standard input; ``to`` the file to write, null for standard output.
    ``format`` is told by the ending of ``to`` if it is null. ``labelled`` says whether the first value of a
    row without a header is a label. ``explain`` adds the saliency of each series, by ``window``.
    """

    input: str | None = None
    to: str | None = None
    format: Answers | None = None
    labelled: bool | None = None
    explain: bool = False
    window: float = 0.1


class ExportFormat(Enum):
    """Forms in which a student leaves Python."""

    torch = "torch"
    onnx = "onnx"
    c = "c"


class Weights(Enum):
    """How a C header holds weights."""

    float32 = "float32"
    int8 = "int8"


@dataclass
class ExportConf(StudentChoiceConf):
    """``tsdistill export``.

    ``to`` is the folder (``torch``) or file to write. ``stream`` exports an ONNX graph that takes one step
    and its state. ``window`` is that of ``tsd_saliency``.
    """

    format: ExportFormat = ExportFormat.torch
    to: str | None = None
    stream: bool = False
    weights: Weights = Weights.float32
    window: float = 0.1


@dataclass
class DatasetsConf(BaseConf):
    """``tsdistill datasets``: list sets or a ``collection``, show one by ``name``, or ``download``."""

    # folder with the UCR and UEA archives; null: bundled sets, and downloads
    data_root: str | None = None
    # set to show
    name: str | None = None
    # collection to list, such as @learning
    collection: str | None = None
    # set or collection to download
    download: str | None = None


COMMANDS = {
    "train-teacher": TeacherTaskConf,
    "distill": DistillConf,
    "tune": TuneConf,
    "ask": AskConf,
    "report": ReportConf,
    "evaluate": EvaluateConf,
    "explain": ExplainConf,
    "predict": PredictConf,
    "export": ExportConf,
    "runs": RunsConf,
    "status": StatusConf,
    "clean": CleanConf,
    "merge": MergeConf,
    "pack": PackConf,
    "track": TrackConf,
    "datasets": DatasetsConf,
}
"""Schema of each command; the name is that of its root config in ``conf/``."""


def _the_one_store(memo: object) -> ConfigStore:
    """In place of a copy: Hydra copies its sources, and this store with them, at each composition.

    That takes a tenth of a second, and is done a hundred times for --help. What is loaded from the store is
    copied anyway.
    """
    return ConfigStore.instance()


def register_schemas(commands: Iterable[str]) -> None:
    """Put schemas into Hydra's ConfigStore, if they are not there; to store all takes a tenth of a second."""
    store = ConfigStore.instance()
    store.__deepcopy__ = _the_one_store  # type: ignore[attr-defined]
    for command in commands:
        if f"{command}_schema.yaml" not in store.repo:
            store.store(name=f"{command}_schema", node=COMMANDS[command])


def register(folders: Iterable[Path] = (), commands: Iterable[str] = COMMANDS) -> None:
    """Put what no file holds into Hydra's ConfigStore: schemas, models in both roles, methods with TSD added.

    Args:
        folders: folders of configs besides the package's own, whose models and methods are put there too.
        commands: whose schemas are wanted, see ``register_schemas``.
    """
    register_schemas(commands)
    folders = list(folders)
    register_models(folders)
    register_additions(folders)

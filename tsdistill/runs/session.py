"""What every task starts from: settings, device, the dataset and its parts; and what is done to any model."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from tsdistill.config.code import remember_in
from tsdistill.config.schema import TeacherTaskConf, TrainingConf
from tsdistill.config.targets import check_target
from tsdistill.console import epochs_shown, say
from tsdistill.data.load import COMMON_KEYS, load_dataset, load_preparation
from tsdistill.data.prepare import Preparation
from tsdistill.data.split import stratified_split
from tsdistill.data.tensors import TensorPart
from tsdistill.data.types import TimeSeriesDataset
from tsdistill.errors import TsdistillError
from tsdistill.evaluation.performance import performance
from tsdistill.models.build import BUILT_IN_SIZES, build_model, takes_lengths
from tsdistill.runs.checkpoints import Checkpoints, Told, checkpointed
from tsdistill.runs.signals import deferred
from tsdistill.store.artefact import cannot_write
from tsdistill.training.device import set_up
from tsdistill.training.loop import Listener, autocast, fit
from tsdistill.training.plateau import on_plateau
from tsdistill.training.seeds import generator_of
from tsdistill.training.state import FitResult, Trainable
from tsdistill.training.supervised import EVALUATION_BATCH, answers


@dataclass(frozen=True)
class Job:
    """One command at work.

    Attributes:
        conf: its settings.
        out: folder of all that is stored.
        device: where models and data live.
        dataset: both parts as the archive splits them.
        parts: ``train``, ``validation`` (if there is one) and ``test``, on the device.
        checkpoints: those of what is being made; None where nothing is kept.
    """

    conf: TeacherTaskConf
    out: Path
    device: torch.device
    dataset: TimeSeriesDataset
    parts: Mapping[str, TensorPart]
    checkpoints: Checkpoints | None = None

    @property
    def validated(self) -> bool:
        """Whether there is a validation part."""
        return "validation" in self.parts

    @property
    def seconds_before(self) -> float:
        """Time that what is being made took before it was broken off."""
        return 0.0 if self.checkpoints is None else self.checkpoints.seconds_before

    @property
    def preparation(self) -> Preparation:
        """What the dataset's series went through, for other series."""
        root = None if self.conf.data_root is None else Path(self.conf.data_root)
        return load_preparation(self.conf.dataset, root, self.out / "data")

    def build(self, conf: Mapping[str, Any], path: str) -> nn.Module:
        """Build a model for this dataset, on the device.

        Raises:
            TsdistillError: wrong settings, or a model that cannot read padded series where there are some.
        """
        check_target(conf, path, supplied=BUILT_IN_SIZES)
        data = self.dataset
        model = build_model(conf, data.channels, len(data.classes), data.length).to(self.device)
        if data.train.lengths is not None and not takes_lengths(model):
            raise TsdistillError(
                f"{path}: {type(model).__name__}.forward takes no lengths, and {data.name} is padded; "
                "use dataset.lengths=resample or truncate"
            )
        if self.conf.hardware.compile:
            model.compile()
        return model

    def fit(
        self,
        task: Trainable,
        training: TrainingConf,
        seed: int,
        title: str,
        has_left: Callable[[], bool] | None = None,
        told: Told | None = None,
        judge: Callable[[int], None] | None = None,
    ) -> FitResult:
        """Train a task on this job's training part, showing its progress.

        Args:
            task: what is trained, in place.
            training: its settings.
            seed: of the batches.
            title: what is trained, for messages.
            has_left: see ``fit``.
            told: told the learning curve as it grows; of a run that is resumed, first what there is.
            judge: asked after each epoch; may raise ``GivenUpError``.
        """
        keeper = None if self.checkpoints is None else self.checkpoints.of_fit(title, told)
        with epochs_shown(title, training.epochs) as show, deferred():
            return fit(
                task,
                training,
                rows=len(self.parts["train"]),
                validated=self.validated,
                generator=generator_of(seed, "batches"),
                device=self.device,
                precision=self.conf.hardware.precision,
                listener=partial(_after_epoch, show, told, judge),
                has_left=has_left,
                keeper=keeper,
            )

    @contextmanager
    def checkpointed(self, artefact: Path, facts: Mapping[str, Any], title: str) -> Iterator["Job"]:
        """This job while it makes an artefact, with checkpoints; see ``checkpointed``."""
        hardware, device = self.conf.hardware, str(self.device)
        with checkpointed(artefact, facts, hardware, device, title) as checkpoints:
            yield replace(self, checkpoints=checkpoints)

    def learns(self, model: nn.Module) -> bool:
        """Whether a model has left the plateau at which it began."""
        part = self.parts["train"]
        return not on_plateau(predict(model, part, self).numpy(), part.y.cpu().numpy())

    def performance(self, logits: Tensor, part: str) -> dict[str, float]:
        """Performance metrics of logits (N, K) on a part."""
        return performance(logits.cpu().numpy(), self.parts[part].y.cpu().numpy())

    def score(self, monitor: str) -> Callable[[Tensor, Tensor], Mapping[str, float]] | None:
        """The validation metric that early stopping watches, if it is one of performance."""
        if monitor == "accuracy":
            return lambda logits, y: {"accuracy": float((logits.argmax(1) == y).double().mean())}
        if monitor == "average_precision":
            return lambda logits, y: performance(logits.cpu().numpy(), y.cpu().numpy())
        return None


def _after_epoch(
    show: Listener,
    told: Told | None,
    judge: Callable[[int], None] | None,
    epoch: int,
    values: Mapping[str, float],
) -> None:
    show(epoch, values)
    if told is not None:
        told([{"epoch": epoch, "name": name, "value": value} for name, value in values.items()])
    if judge is not None:
        judge(epoch)


def prepare(conf: TeacherTaskConf, asking: bool = False) -> Job:
    """Set the device up, load the dataset and split it.

    Args:
        conf: the settings.
        asking: nothing will be made; the output folder stays away if it isn't there.

    Raises:
        TsdistillError: an absent device, a folder that can't be made, a missing or broken dataset, a split
            that cannot be.
    """
    device = set_up(conf.hardware)
    out = Path(conf.out)
    blocked = next((path for path in (out, *out.parents) if path.is_file()), None)
    if blocked is not None:
        raise TsdistillError(f"out={out}: {blocked} is a file; name a folder")
    if not asking:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(out, error) from error
    if out.is_dir():
        remember_in(out / "code")
    root = None if conf.data_root is None else Path(conf.data_root)
    check_target({k: v for k, v in conf.dataset.items() if k not in COMMON_KEYS}, "dataset")
    dataset = _load(_Frozen(conf.dataset), root, out / "data")
    if not 0 <= conf.split.validation < 1:
        raise TsdistillError(f"split.validation={conf.split.validation:g} should be 0 or more and below 1")
    kept, held = stratified_split(dataset.train.y, conf.split.validation, conf.split.seed)
    parts = {"train": dataset.train.rows(kept), "validation": dataset.train.rows(held), "test": dataset.test}
    if not len(held):
        del parts["validation"]
    return Job(conf, out, device, dataset, {k: TensorPart.of(part, device) for k, part in parts.items()})


class _Frozen(dict[str, Any]):
    """A dataset's config as the key of the cache below."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(OmegaConf.to_yaml(OmegaConf.create(dict(self))))


@lru_cache(maxsize=2)
def _load(conf: _Frozen, root: Path | None, cache: Path) -> TimeSeriesDataset:
    """Load a dataset and say where it came from; the jobs of a sweep in one process share it."""
    dataset = load_dataset(conf, root, cache)
    say(
        f"{dataset.name}: {len(dataset.train)} training and {len(dataset.test)} test series of "
        f"{dataset.channels} x {dataset.length}, {len(dataset.classes)} classes; {dataset.source}"
    )
    for note in dataset.notes:
        say(f"{dataset.name}: {note}")
    return dataset


@torch.no_grad()
def predict(model: nn.Module, part: TensorPart, job: Job) -> Tensor:
    """Logits of a model in eval mode on a part: (N, K) float32, on the CPU."""
    model.eval()
    with autocast(job.device, job.conf.hardware.precision):
        found = [answers(model, batch) for batch in part.chunks(EVALUATION_BATCH)]
    return torch.cat(found).float().cpu()

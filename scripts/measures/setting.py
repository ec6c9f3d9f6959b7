"""Models, data and settings that several rows share."""

import os
from functools import cache
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor, nn

from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import DistillConf, TrainingConf, register
from tsdistill.data.tensors import TensorPart
from tsdistill.errors import TsdistillError
from tsdistill.methods.ce import CrossEntropy
from tsdistill.methods.stage import Stage, StageTask
from tsdistill.methods.step import TeacherView
from tsdistill.methods.tsd import TemporalSaliency
from tsdistill.models.fcn import FCN
from tsdistill.models.recurrent import LSTM
from tsdistill.runs.session import prepare
from tsdistill.saliency.draws import References, draw_pool
from tsdistill.saliency.source import CachedWindows
from tsdistill.training.loop import fit

WINDOW = 10
PAPER_COPIES = 50
SIZES = {"ItalyPowerDemand": (67, 1029, 24, 2), "ECG200": (100, 100, 96, 2), "MoteStrain": (20, 1252, 84, 2)}
"""Training series, test series, timesteps and classes."""

Parts = dict[str, TensorPart]


class Bare(nn.Module):
    """A model without the shared-prefix pass, so that it takes the general way."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Classify."""
        logits: Tensor = self.model(x)
        return logits


def student(name: str, classes: int) -> nn.Module:
    """One of the students of the goals."""
    torch.manual_seed(0)
    if name == "fcn_8":
        return FCN(1, classes, (8, 16, 8))
    return LSTM(1, classes, int(name.removeprefix("lstm_")), 1)


def teacher(name: str, classes: int) -> nn.Module:
    """One of the teachers of the goals, frozen."""
    torch.manual_seed(1)
    model = FCN(1, classes) if name == "fcn" else LSTM(1, classes)
    return model.eval().requires_grad_(False)


def random_part(series: int, length: int, classes: int, seed: int = 0) -> TensorPart:
    """Noise with classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    return TensorPart(torch.randn(series, 1, length, generator=generator), torch.arange(series) % classes)


def composed(*overrides: str) -> DistillConf:
    """Settings of ``tsdistill distill`` under overrides."""
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        found = OmegaConf.to_object(compose("distill", list(overrides)))
    assert isinstance(found, DistillConf)
    return found


@cache
def default_copies() -> int:
    """The default M."""
    return composed().saliency.perturbations


def real_parts(name: str, folder: Path) -> tuple[Parts, str]:
    """Parts of a set as the product splits them, and a note; noise of the same sizes if it is not at hand."""
    root = os.environ.get("TSDISTILL_DATA")
    where = [] if root is None else [f"data_root={root}"]
    try:
        conf = composed(f"dataset.name={name}", "dataset.download=false", f"out={folder}", *where)
        return dict(prepare(conf).parts), ""
    except TsdistillError:
        train, test, length, classes = SIZES[name]
        kept = round(0.8 * train)
        parts = {"train": kept, "validation": train - kept, "test": test}
        drawn = {part: random_part(n, length, classes, seed) for seed, (part, n) in enumerate(parts.items())}
        return drawn, "synthetic series of these sizes: TSDISTILL_DATA has no such set"


def task(model: nn.Module, parts: Parts, copies: int | None) -> StageTask:
    """A student under cross-entropy and, where ``copies`` is given, TSD from a cached pool."""
    train = parts["train"]
    if copies is None:
        return StageTask(model, Stage("train", {"ce": CrossEntropy()}, {"ce": 1.0}), TeacherView(), parts)
    generator = torch.Generator().manual_seed(0)
    classes = int(train.y.max()) + 1
    windows = pool_of(train, classes, copies, generator)
    logits = {name: torch.randn(len(part), classes, generator=generator) for name, part in parts.items()}
    stage = Stage("train", {"ce": CrossEntropy(), "tsd": TemporalSaliency()}, {"ce": 1.0, "tsd": 1.0})
    return StageTask(model, stage, TeacherView(logits, windows=windows), parts)


def pool_of(train: TensorPart, classes: int, copies: int, generator: torch.Generator) -> CachedWindows:
    """A pool of every start once, with random answers."""
    starts = train.x.shape[-1] - WINDOW + 1
    references = References(train.x, train.y)
    pool = draw_pool(references, train.y, torch.full((len(train),), starts), starts, generator)
    answers = torch.randn(len(train), starts, classes, generator=generator)
    return CachedWindows(pool, answers, references, WINDOW, copies, "uniform", generator)


def fit_epochs(trained: StageTask, epochs: int) -> None:
    """Some epochs of the product's loop, with validation and without early stopping."""
    settings = TrainingConf(epochs=epochs, patience=0)
    fit(
        trained,
        settings,
        rows=len(trained.parts["train"]),
        validated="validation" in trained.parts,
        generator=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
    )

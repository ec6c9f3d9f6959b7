"""All saliency maps: of training series from the pool, of test series for all models under the same draws."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import nn

from tsdistill.console import say
from tsdistill.data.split import stratified_split
from tsdistill.data.tensors import TensorPart
from tsdistill.data.types import FloatArray, IntArray, Part
from tsdistill.evaluation.attribution import integrated_gradients, occlusion, over_channels
from tsdistill.evaluation.predict import predict
from tsdistill.runs.restore import Scene
from tsdistill.runs.session import Job
from tsdistill.saliency.draws import Draws, References, draw_pool, resolve_window
from tsdistill.saliency.maps import perturbation_map
from tsdistill.saliency.measure import saliency_map, window_saliency
from tsdistill.store.keys import key_of
from tsdistill.store.locks import made_once
from tsdistill.store.teachers import (
    MapArtefact,
    PoolArtefact,
    TeacherArtefact,
    map_folder,
    read_map,
    write_map,
)
from tsdistill.teachers.base import AnswerModule
from tsdistill.training.seeds import generator_of

Maps = Mapping[str, FloatArray]
"""Maps (n, T) by the way they were made: ``saliency``, ``integrated_gradients``, ``occlusion``."""


@dataclass(frozen=True)
class MapSettings:
    """What maps are made of; equal settings give equal maps.

    Attributes:
        series: at most so many test series, each class in proportion.
        window: width of the replaced windows, in steps or as a fraction of the shortest series.
        occlusion_window: width of the blanked windows, likewise.
        attributions: the held-out ways, of ``integrated_gradients`` and ``occlusion``.
        seed: of the choice of series, the draws and the shuffled pairs.
    """

    series: int
    window: float
    occlusion_window: float
    attributions: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Sample:
    """Series whose maps are made, and what all models are asked alike.

    Attributes:
        rows: their rows in the part they come from, (n,) int64.
        part: the series.
        explained: the class that the teacher predicts, (n,) int64.
        draws: perturbations, (n, P): every start, references of another class than the explained one.
        references: the training part, which lends the windows.
        window: w in steps.
    """

    rows: IntArray
    part: Part
    explained: IntArray
    draws: Draws
    references: References
    window: int


def draw_sample(scene: Scene, settings: MapSettings) -> Sample:
    """Choose test series, each class in proportion, and draw the perturbations of each."""
    test = scene.test
    rows = np.arange(len(test))
    if settings.series < len(test):
        rows = stratified_split(test.y, settings.series / len(test), settings.seed)[1]
    return sample_of(scene.job, scene.model, test, rows, settings.window, settings.seed)


def sample_of(
    job: Job,
    teacher: nn.Module,
    part: Part,
    rows: IntArray,
    window: float,
    seed: int,
    *,
    by_channel: bool = False,
) -> Sample:
    """Draw the perturbations of given series.

    Args:
        job: its training part lends the windows.
        teacher: in eval mode; donors are of another class than it predicts.
        part: where the series are taken from.
        rows: which, (n,) int64.
        window: in steps, or as a fraction of the shortest series.
        seed: of the draws.
        by_channel: replace one channel at a time, every start in every channel, channel by channel.

    Returns:
        The sample; its P is the number of starts of the longest series (times C by channel).
    """
    chosen, train = part.rows(rows), job.parts["train"]
    T, C = job.dataset.length, job.dataset.channels
    lengths = torch.full((len(rows),), T) if chosen.lengths is None else torch.from_numpy(chosen.lengths)
    shortest = int(lengths.min()) if train.lengths is None else int(min(lengths.min(), train.lengths.min()))
    width = resolve_window(window, shortest, "window")
    explained = predict(teacher, chosen.x, chosen.lengths).argmax(axis=1)
    references = References(train.x, train.y, train.lengths)
    limits = lengths - width + 1
    layers = [
        draw_pool(
            references,
            torch.from_numpy(explained),
            limits,
            int(limits.max()),
            generator_of(seed, f"maps {channel}"),
        )
        for channel in range(C if by_channel else 1)
    ]
    starts = torch.cat([layer.starts for layer in layers], dim=1)
    donors = torch.cat([layer.references for layer in layers], dim=1)
    channels = None
    if by_channel:
        channels = torch.arange(C).repeat_interleave(int(limits.max())).expand(len(rows), -1)
    return Sample(rows, chosen, explained, Draws(starts, donors, channels), references, width)


def perturbation_maps(model: nn.Module, sample: Sample) -> FloatArray:
    """Saliency by perturbation, the summed form at tau 1: each timestep the mean over its windows.

    Args:
        model: in eval mode.
        sample: the series and their draws.

    Returns:
        (n, T) float32; (n, C, T) where the draws are by channel.
    """
    clean = torch.from_numpy(predict(model, sample.part.x, sample.part.lengths))
    part = TensorPart.of(sample.part, sample.references.x.device)
    maps = perturbation_map(model, part, clean, sample.draws, sample.references, sample.window)
    found: FloatArray = maps.float().numpy()
    return found


def all_maps(model: nn.Module, sample: Sample, settings: MapSettings) -> dict[str, FloatArray]:
    """Maps of one model by perturbation and by every held-out way, of the class that the teacher predicts."""
    part = sample.part
    maps = {"saliency": perturbation_maps(model, sample)}
    if "integrated_gradients" in settings.attributions:
        maps["integrated_gradients"] = over_channels(
            integrated_gradients(model, part.x, sample.explained, part.lengths)
        )
    if "occlusion" in settings.attributions:
        shortest = part.x.shape[2] if part.lengths is None else int(part.lengths.min())
        width = resolve_window(settings.occlusion_window, shortest, "occlusion_window")
        maps["occlusion"] = over_channels(
            occlusion(model, part.x, sample.explained, part.lengths, window=width)
        )
    return maps


def _possible(model: nn.Module, settings: MapSettings) -> MapSettings:
    """The settings without what a teacher that is no network cannot do."""
    if not isinstance(model, AnswerModule):
        return settings
    ways = tuple(way for way in settings.attributions if way != "integrated_gradients")
    return replace(settings, attributions=ways)


def teacher_maps(scene: Scene, sample: Sample, settings: MapSettings) -> Maps:
    """The teacher's maps of a sample, from their artefact or computed; all its students share them."""
    name, teacher = scene.job.dataset.name, scene.teacher.key
    key = key_of("map", {"teacher": teacher, "part": "test", **asdict(settings)})

    def compute() -> MapArtefact:
        say(f"{name}: what teacher {scene.job.conf.teacher.name} looks at in {len(sample.rows)} test series")
        maps = all_maps(scene.model, sample, _possible(scene.model, settings))
        artefact = MapArtefact(
            key, teacher, {kind: torch.from_numpy(values) for kind, values in maps.items()}
        )
        write_map(scene.job.out, name, artefact)
        return artefact

    folder = map_folder(scene.job.out, name, key)
    artefact = made_once(folder, partial(read_map, scene.job.out, name, key), compute)
    return {kind: values.numpy() for kind, values in artefact.maps.items()}


def training_maps(job: Job, teacher: TeacherArtefact, pool: PoolArtefact) -> MapArtefact:
    """The teacher's saliency maps of the training series: summed divergence at tau 1, from the pool."""
    name, key = job.dataset.name, key_of("map", {"teacher": teacher.key, "pool": pool.key})

    def compute() -> MapArtefact:
        saliency = window_saliency(teacher.logits["train"], pool.logits, tau=1.0, form="summed")
        maps = saliency_map(pool.starts, saliency, pool.window, job.dataset.length)
        artefact = MapArtefact(key, teacher.key, {"train": maps})
        write_map(job.out, name, artefact)
        return artefact

    return made_once(map_folder(job.out, name, key), partial(read_map, job.out, name, key), compute)

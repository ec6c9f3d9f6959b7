"""What is stored of a teacher: itself, its pools of perturbed logits, its saliency maps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from tsdistill.store.artefact import place, read_artefact, staged
from tsdistill.store.environment import environment
from tsdistill.store.files import read_whole
from tsdistill.store.formats import (
    from_yaml,
    load_tensors,
    metrics,
    read_json,
    save_tensors,
    to_json,
    to_yaml,
)


@dataclass(frozen=True)
class TeacherArtefact:
    """A trained teacher.

    Attributes:
        key: its name, the hash of all that determines it.
        config: its resolved config.
        weights: its state dict.
        logits: ``"train"`` (N, K), ``"test"`` (n, K) and, where there is a validation part, ``"validation"``
            (V, K).
        metrics: floats by name for ``"validation"`` (None without such a part) and ``"test"``, and how
            training went in ``"training"``.
        environment: where it was trained; that of this process unless given.
    """

    key: str
    config: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    logits: Mapping[str, Tensor]
    metrics: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=environment)

    def __post_init__(self) -> None:
        if not {"train", "test"} <= set(self.logits) or any(part.ndim != 2 for part in self.logits.values()):
            raise ValueError("a teacher needs logits (N, K) for train and test")


@dataclass(frozen=True)
class PoolArtefact:
    """Perturbations of every training series, and the teacher's logits on them.

    Attributes:
        key: its name.
        teacher: key of the teacher.
        window: length w of the replaced windows, in steps.
        starts: first step of each window, (N, P) int64.
        references: row of the training part that each window's content comes from, (N, P) int64.
        channels: the channel that is replaced, (N, P) int64, or None where all are.
        logits: the teacher's logits on each perturbed series, (N, P, K) float32.
        computed: which steps of a perturbed series they were computed from; moves them by rounding only.
    """

    key: str
    teacher: str
    window: int
    starts: Tensor
    references: Tensor
    channels: Tensor | None
    logits: Tensor
    computed: Literal["all", "touched"] = "all"

    def __post_init__(self) -> None:
        drawn = [self.starts, self.references, *([] if self.channels is None else [self.channels])]
        if self.logits.ndim != 3 or any(part.shape != self.logits.shape[:2] for part in drawn):
            raise ValueError("a pool's starts, references and channels must be (N, P), its logits (N, P, K)")


@dataclass(frozen=True)
class MapArtefact:
    """Saliency maps.

    Attributes:
        key: its name.
        teacher: key of the teacher.
        maps: for each part of the data by name, (N, T) float32.
    """

    key: str
    teacher: str
    maps: Mapping[str, Tensor]


def teacher_folder(out: Path, dataset: str, key: str) -> Path:
    """Where a teacher lies."""
    return place(out, "teachers", dataset, key)


def pool_folder(out: Path, dataset: str, key: str) -> Path:
    """Where a pool lies."""
    return place(out, "pools", dataset, key)


def map_folder(out: Path, dataset: str, key: str) -> Path:
    """Where saliency maps lie."""
    return place(out, "maps", dataset, key)


def write_teacher(out: Path, dataset: str, teacher: TeacherArtefact) -> Path:
    """Store a teacher under ``<out>/teachers/<dataset>/<key>``; returns that folder."""
    folder = teacher_folder(out, dataset, teacher.key)
    with staged(folder) as new:
        (new / "config.yaml").write_text(to_yaml(teacher.config), encoding="utf-8")
        save_tensors(new / "weights.safetensors", teacher.weights)
        save_tensors(new / "logits.safetensors", teacher.logits)
        (new / "metrics.json").write_text(to_json(teacher.metrics), encoding="utf-8")
        (new / "environment.json").write_text(to_json(teacher.environment), encoding="utf-8")
    return folder


def read_teacher(out: Path, dataset: str, key: str) -> TeacherArtefact | None:
    """Read a teacher; None if there is none, or if it was damaged and has been set aside."""

    def parse(folder: Path) -> TeacherArtefact:
        blocks = read_json(folder / "metrics.json")
        return TeacherArtefact(
            key=key,
            config=from_yaml(read_whole(folder / "config.yaml").decode("utf-8")),
            weights=load_tensors(folder / "weights.safetensors"),
            logits=load_tensors(folder / "logits.safetensors"),
            metrics={**blocks, "validation": metrics(blocks["validation"]), "test": metrics(blocks["test"])},
            environment=read_json(folder / "environment.json"),
        )

    return read_artefact(teacher_folder(out, dataset, key), parse)


def reseeded_teachers(out: Path, dataset: str, key: str) -> list[str]:
    """Keys of the stored teachers that differ from a given one in nothing but their seed, sorted."""
    folder = teacher_folder(out, dataset, key)
    own = _seedless(folder)
    if own is None:
        return []
    others = (path for path in folder.parent.iterdir() if path.is_dir() and "." not in path.name)
    return sorted(path.name for path in others if path != folder and _seedless(path) == own)


def _seedless(folder: Path) -> dict[str, Any] | None:
    try:
        config = from_yaml(read_whole(folder / "config.yaml").decode("utf-8"))
    except (OSError, ValueError):
        return None
    return {name: value for name, value in config.items() if name != "seed"}


def write_pool(out: Path, dataset: str, pool: PoolArtefact) -> Path:
    """Store a pool under ``<out>/pools/<dataset>/<key>``; returns that folder."""
    folder = pool_folder(out, dataset, pool.key)
    tensors = {"starts": pool.starts, "references": pool.references, "logits": pool.logits}
    if pool.channels is not None:
        tensors["channels"] = pool.channels
    with staged(folder) as new:
        save_tensors(new / "pool.safetensors", tensors)
        facts = {"teacher": pool.teacher, "window": pool.window, "computed": pool.computed}
        (new / "facts.json").write_text(to_json(facts), encoding="utf-8")
    return folder


def read_pool(out: Path, dataset: str, key: str) -> PoolArtefact | None:
    """Read a pool; None if there is none, or if it was damaged and has been set aside."""

    def parse(folder: Path) -> PoolArtefact:
        facts = read_json(folder / "facts.json")
        tensors = load_tensors(folder / "pool.safetensors")
        return PoolArtefact(
            key=key,
            teacher=facts["teacher"],
            window=facts["window"],
            starts=tensors["starts"],
            references=tensors["references"],
            channels=tensors.get("channels"),
            logits=tensors["logits"],
            computed=facts["computed"],
        )

    return read_artefact(pool_folder(out, dataset, key), parse)


def write_map(out: Path, dataset: str, saliency: MapArtefact) -> Path:
    """Store saliency maps under ``<out>/maps/<dataset>/<key>``; returns that folder."""
    folder = map_folder(out, dataset, saliency.key)
    with staged(folder) as new:
        save_tensors(new / "maps.safetensors", saliency.maps)
        (new / "facts.json").write_text(to_json({"teacher": saliency.teacher}), encoding="utf-8")
    return folder


def read_map(out: Path, dataset: str, key: str) -> MapArtefact | None:
    """Read saliency maps; None if there are none, or if they were damaged and have been set aside."""

    def parse(folder: Path) -> MapArtefact:
        teacher = read_json(folder / "facts.json")["teacher"]
        return MapArtefact(key, teacher, load_tensors(folder / "maps.safetensors"))

    return read_artefact(map_folder(out, dataset, key), parse)

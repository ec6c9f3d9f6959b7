"""``tsdistill explain``: what a teacher and its stored students look at, as pictures and arrays."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from tsdistill.config.schema import ExplainConf
from tsdistill.console import say
from tsdistill.data.types import FloatArray, IntArray, Part
from tsdistill.data.unlabelled import Columns, read_unlabelled
from tsdistill.errors import TsdistillError
from tsdistill.evaluation.predict import predict
from tsdistill.evaluation.reasoning import map_agreement
from tsdistill.report.figures.overlay import draw_overlay
from tsdistill.report.figures.stacks import RHO, Column, Strip, by_own_mean
from tsdistill.report.figures.strips import draw_strips
from tsdistill.report.figures.style import save, style
from tsdistill.runs.cast import cast_of, names_of, pair_folder
from tsdistill.runs.maps import MapSettings, Sample, draw_sample, perturbation_maps, sample_of, teacher_maps
from tsdistill.runs.restore import Scene, read_whole, restore_scene, restore_student
from tsdistill.store.artefact import replaced_whole, safe_name
from tsdistill.store.selection import stored_runs

MOST_CLASSES = 9
ANSWERS = "; below it the model's answer, right (✓) or wrong (✗)"


def explain(conf: ExplainConf) -> list[Path]:
    """Draw what teacher and students look at, for every stored dataset of the given names.

    Returns:
        The folders that pictures and arrays went into.

    Raises:
        TsdistillError: no series is asked for, nothing is stored of these names, or a run cannot be restored.
    """
    if conf.series is not None and not conf.series:
        raise TsdistillError("series=[]: name at least one series, such as series=1,5")
    for key in ("samples", "averaged"):
        if getattr(conf, key) < 1:
            raise TsdistillError(f"{key}={getattr(conf, key)} should be 1 or more")
    results = stored_runs(Path(conf.out), conf.only, conf.where)
    datasets = list(dict.fromkeys(result["dataset"] for result in results))
    if conf.input and len(datasets) > 1:
        raise TsdistillError(
            f"input: name one dataset whose models explain the series: {', '.join(datasets)}"
        )
    return [_explain(conf, [r for r in results if r["dataset"] == name]) for name in datasets]


def _explain(conf: ExplainConf, results: Sequence[Mapping[str, Any]]) -> Path:
    cast = cast_of(conf, results)
    shown = [group[0] for group in cast]
    out = Path(conf.out)
    records = [[read_whole(out, result) for result in group] for group in cast]
    scene = restore_scene(
        out, records[0][0], data_root=conf.data_root, hardware=conf.hardware, allow_code=conf.allow_code
    )
    if not scene.answers_new_series:
        raise TsdistillError(
            f"teacher {shown[0]['teacher']} of {scene.job.dataset.name} answers no new series, so it has no "
            "maps; `tsdistill predict explain=true` gives those of a student"
        )
    models = {f"teacher {shown[0]['teacher']}": [scene.model]}
    for name, group in zip(names_of(shown), records, strict=True):
        models[name] = [restore_student(scene.job, record) for record in group]
    folder = out / "explain" / safe_name(scene.job.dataset.name) / pair_folder(shown)
    if conf.input:
        path = Path(conf.input).expanduser()
        return _explain_own(conf, scene, models, path, folder / f"own-{safe_name(path.name)}")
    return _explain_test(conf, scene, models, folder)


_Models = Mapping[str, Sequence[nn.Module]]
"""The teacher, and the students of one seed or of several, by name; the teacher first."""


def _over_seeds(members: Sequence[nn.Module], sample: Sample) -> FloatArray:
    """The maps of one model, or the mean of several models' maps, each divided by its own mean."""
    maps = [perturbation_maps(model, sample) for model in members]
    if len(maps) == 1:
        return maps[0]
    mean = np.mean([by_own_mean(_without_padding(each, sample.part)) for each in maps], axis=0)
    found: FloatArray = np.nan_to_num(mean.astype(np.float32))
    return found


def _majority(members: Sequence[nn.Module], part: Part) -> IntArray:
    """The class that most models answer, the first of those that tie, (n,) int64."""
    answers = np.stack([predict(model, part.x, part.lengths).argmax(axis=1) for model in members])
    return np.array([np.bincount(column).argmax() for column in answers.T], dtype=np.int64)


@dataclass(frozen=True)
class _Looks:
    """Maps of all models of the same series.

    Attributes:
        sample: the series.
        maps: (n, T) or, by channel, (n, C, T), by model; the teacher's first.
        predicted: classes, (n,) int64, by model.
    """

    sample: Sample
    maps: Mapping[str, FloatArray]
    predicted: Mapping[str, IntArray]

    @classmethod
    def of(cls, models: _Models, sample: Sample, ready: Mapping[str, FloatArray] | None = None) -> "_Looks":
        ready = ready or {}
        maps = {
            name: ready[name] if name in ready else _over_seeds(members, sample)
            for name, members in models.items()
        }
        predicted = {name: _majority(members, sample.part) for name, members in models.items()}
        return cls(sample, maps, predicted)

    def padded(self, name: str) -> FloatArray:
        """The maps of one model as (n, C or 1, T), NaN in padding."""
        maps = self.maps[name]
        return _without_padding(maps.reshape(len(maps), -1, maps.shape[-1]), self.sample.part)

    def spearman(self, name: str, row: int) -> float:
        """Agreement of one model's map with the teacher's, over time (and channels)."""
        teacher = next(iter(self.maps))
        return _spearman(self.padded(name)[row], self.padded(teacher)[row])


def _without_padding(values: FloatArray, part: Part) -> FloatArray:
    """Values (n, ..., T) of a part's series, NaN in padding."""
    if part.lengths is None:
        return values
    true = np.arange(values.shape[-1]) < part.lengths.reshape(-1, *(1,) * (values.ndim - 1))
    return np.where(true, values, np.float32(np.nan))


def _explain_test(conf: ExplainConf, scene: Scene, models: _Models, folder: Path) -> Path:
    """Strips of chosen test series, averages of classes, and the arrays."""
    job, classes = scene.job, scene.job.dataset.classes
    asked = _asked_for(conf.series, len(scene.test), f"the test part of {job.dataset.name}")
    kinds = [("", row) for row in asked] or choose(scene.test, models, conf.samples)
    rows = np.array([row for _, row in kinds], dtype=np.int64)
    by_channel = job.dataset.channels > 1
    chosen = sample_of(
        job, scene.model, scene.test, rows, conf.window, conf.draws_seed, by_channel=by_channel
    )
    looks = _Looks.of(models, chosen)
    titles = [f"{kind}test series {row + 1}\nclass {classes[scene.test.y[row]]}" for kind, row in kinds]
    settings = MapSettings(conf.averaged, conf.window, conf.window, (), conf.draws_seed)
    sample = draw_sample(scene, settings)
    teacher = next(iter(models))
    many = _Looks.of(models, sample, {teacher: teacher_maps(scene, sample, settings)["saliency"]})
    _tell(job.dataset.name, many)
    about = f"{job.dataset.name}: what {teacher} and its students look at{_seeds(models)}"
    channels = "; rows of a strip: channels, the first on top" if by_channel else ""
    columns = _columns(looks, titles, classes)
    with style(conf.style.value):
        save(draw_overlay(about, list(models), columns, ANSWERS), folder, "overlay")
        figure = draw_strips(about + channels, list(models), columns, ANSWERS, common=conf.common_scale)
        save(figure, folder, "strips")
        save(_draw_classes(about, many, classes, common=conf.common_scale), folder, "classes")
    _save_arrays(folder / "maps.npz", many, looks)
    say(f"{about}: {folder}/overlay.svg, strips.svg, classes.svg (and .png, .pdf) and maps.npz")
    return folder


def _asked_for(series: Sequence[int] | None, count: int, name: str) -> list[int]:
    """The rows of the series of the given numbers, from 1; none where none are asked for.

    Raises:
        TsdistillError: there is no such series.
    """
    for number in series or ():
        if not 1 <= number <= count:
            raise TsdistillError(f"series={number}: {name} has the series 1 to {count}; choose from these")
    return [number - 1 for number in series or ()]


def _seeds(models: _Models) -> str:
    """What is said of the seeds behind the students."""
    most = max(map(len, models.values()))
    return "" if most == 1 else f"; maps: means over up to {most} seeds, answers: those of most of them"


def _explain_own(conf: ExplainConf, scene: Scene, models: _Models, path: Path, folder: Path) -> Path:
    """Strips of the user's own series, the first few of them, and the arrays of all."""
    job = scene.job
    part, notes = job.preparation(
        read_unlabelled(str(path), Columns.of(scene.dataset_conf), job.dataset.length), f"input={path}"
    )
    for note in notes:
        say(f"{path.name}: {note}")
    sample = sample_of(job, scene.model, part, np.arange(len(part)), conf.window, conf.draws_seed)
    looks = _Looks.of(models, sample)
    shown = _asked_for(conf.series, len(part), path.name) or range(min(len(part), 3 * conf.samples))
    about = f"{path.name}: what {next(iter(models))} of {job.dataset.name} and its students look at"
    about += _seeds(models)
    titles = [f"series {row + 1}" for row in shown]
    columns = _columns(looks, titles, job.dataset.classes, truth=False, rows=shown)
    with style(conf.style.value):
        legend = "; below it the model's answer"
        save(draw_overlay(about, list(models), columns, legend), folder, "overlay")
        figure = draw_strips(about, list(models), columns, legend, common=conf.common_scale)
        save(figure, folder, "strips")
    _save_arrays(folder / "maps.npz", looks, None)
    _tell(path.name, looks)
    say(f"{about}: {folder}/overlay.svg, strips.svg (and .png, .pdf), maps.npz of all {len(part)} series")
    return folder


def choose(test: Part, models: _Models, samples: int) -> list[tuple[str, int]]:
    """Choose the series that are shown: the first of each kind in the order of the test part.

    Kinds are ``correct`` (teacher and all students right), ``teacher wrong``, and ``disagreeing`` (some
    student says otherwise than its teacher). No series is shown twice; a kind without any is left out.

    Args:
        test: the test part.
        models: the teacher first; of several seeds, most decide.
        samples: series of each kind.

    Returns:
        Kind, as the beginning of a title, and row of each. At least one: the first series, as ``first: ``,
        where no kind has any.
    """
    answers = np.stack([_majority(members, test) for members in models.values()])
    kinds = {
        "correct": (answers == test.y).all(axis=0),
        "teacher wrong": answers[0] != test.y,
        "disagreeing": (answers != answers[0]).any(axis=0),
    }
    found: dict[str, list[int]] = {}
    for kind, there in kinds.items():
        taken = {row for rows in found.values() for row in rows}
        found[kind] = [int(row) for row in np.flatnonzero(there) if row not in taken][:samples]
    shown = [
        (f"{kind}: ", rows[at]) for at in range(samples) for kind, rows in found.items() if at < len(rows)
    ]
    return shown or [("first: ", 0)]


def _columns(
    looks: _Looks,
    titles: Sequence[str],
    classes: Sequence[str],
    truth: bool = True,
    rows: Sequence[int] | None = None,
) -> list[Column]:
    """A column for each of some series (the first ones); beside a strip its agreement and its answer."""
    part, teacher = looks.sample.part, next(iter(looks.maps))
    x, columns = _without_padding(part.x, part), []
    for row, title in zip(rows or range(len(titles)), titles, strict=True):
        strips = []
        for name in looks.maps:
            answer = looks.predicted[name][row]
            mark = "" if not truth else " ✓" if answer == part.y[row] else " ✗"
            agreed = "" if name == teacher else f"{_rho(looks.spearman(name, row))}\n"
            strips.append(Strip(looks.padded(name)[row], f"{agreed}{_short(classes[answer])}{mark}"))
        columns.append(Column(title, x[row], None, strips))
    return columns


def _draw_classes(about: str, looks: _Looks, classes: Sequence[str], *, common: bool) -> Any:
    """Averages over the sample's series of each true class, every map by its own mean first."""
    part, teacher = looks.sample.part, next(iter(looks.maps))
    present = np.unique(part.y)
    columns = []
    for label in present[:MOST_CLASSES]:
        mine = np.flatnonzero(part.y == label)
        means = {name: _mean_map(looks, name, mine) for name in looks.maps}
        strips = [
            Strip(mean, "" if name == teacher else _rho(_spearman(mean, means[teacher])))
            for name, mean in means.items()
        ]
        x = _without_padding(part.x, part)[mine]
        title = f"class {_short(classes[label], 24)}\n{len(mine)} series"
        columns.append(Column(title, _over_series(np.nanmean, x), _over_series(np.nanstd, x), strips))
    left = f" (first {MOST_CLASSES} of {len(present)} classes)" if len(present) > MOST_CLASSES else ""
    together = "" if part.x.shape[1] == 1 else "; channels replaced together"
    title = f"{about}, class averages{left}{together}"
    return draw_strips(title, list(looks.maps), columns, common=common)


def _mean_map(looks: _Looks, name: str, rows: IntArray) -> FloatArray:
    """Mean over series of their maps, each divided by its own mean, (1, T)."""
    return _over_series(np.nanmean, by_own_mean(looks.padded(name)[rows]))


def _over_series(summary: Callable[..., Any], values: FloatArray) -> FloatArray:
    """Summarise (n, C, T) over the series that reach each step, NaN where none does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of steps that none reaches
        found: FloatArray = summary(values, axis=0)
    return found


def _spearman(one: FloatArray, other: FloatArray) -> float:
    """Rank correlation of two maps of one shape over their true steps."""
    true = ~np.isnan(one)
    return map_agreement(one[true][None], other[true][None])["spearman"]


def _rho(value: float) -> str:
    told = "undefined" if np.isnan(value) else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
    return f"{RHO} {told}"


def _short(name: str, most: int = 10) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _tell(name: str, looks: _Looks) -> None:
    """Print each student's agreement with the teacher over the whole sample."""
    teacher = next(iter(looks.maps))
    for student, maps in looks.maps.items():
        if student == teacher:
            continue
        found = map_agreement(maps, looks.maps[teacher], looks.sample.part.lengths)
        undefined = f", {found['undefined']:.0f} undefined" if found["undefined"] else ""
        say(
            f"{name} {student}: Spearman {found['spearman']:.3f} "
            f"(shuffled pairs {found['spearman_chance']:.3f}), top 10 % {found['top10']:.3f} "
            f"({found['top10_chance']:.3f}), {len(maps)} series{undefined}"
        )


def _save_arrays(path: Path, looks: _Looks, shown: _Looks | None) -> None:
    """Maps of all models as ``.npz``: ``maps`` (models, n, T) of ``x`` (n, C, T), and those shown."""
    sample = looks.sample
    arrays: dict[str, Any] = {
        "names": np.array(list(looks.maps)),
        "maps": np.stack(list(looks.maps.values())),
        "predicted": np.stack(list(looks.predicted.values())),
        "x": sample.part.x,
        "y": sample.part.y,
        "rows": sample.rows,
        "explained": sample.explained,
        "window": np.array(sample.window),
    }
    if sample.part.lengths is not None:
        arrays["lengths"] = sample.part.lengths
    if shown is not None:
        arrays["shown_rows"] = shown.sample.rows
        arrays["shown_maps"] = np.stack(list(shown.maps.values()))
    with replaced_whole(path) as new, new.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)

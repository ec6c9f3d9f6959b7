"""What teacher and students look at, as pictures and arrays: which series, which numbers, all legible."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from tsdistill.cli import run
from tsdistill.config.schema import ExplainConf, HardwareConf, OnlyConf
from tsdistill.data.load import load_preparation
from tsdistill.data.types import Part
from tsdistill.data.unlabelled import Columns, read_unlabelled
from tsdistill.errors import TsdistillError
from tsdistill.report.figures.overlay import draw_overlay
from tsdistill.report.figures.stacks import Column, Strip
from tsdistill.report.figures.strips import draw_strips
from tsdistill.report.figures.style import save, style
from tsdistill.runs import explain as module
from tsdistill.runs.cast import cast_of, names_of, pair_folder
from tsdistill.runs.explain import choose
from tsdistill.runs.restore import Scene, read_whole, restore_scene
from tsdistill.store.selection import stored_runs

pytestmark = pytest.mark.usefixtures("surroundings")

COMMON = (
    "data_root=null",
    "hardware=cpu",
    "teacher=fcn_8",
    "student=lstm_8",
    "teacher.training.epochs=3",
    "training.epochs=2",
    "saliency.window=5",
    "saliency.perturbations=4",
)
PLANTED = (
    "dataset=planted",
    "dataset.n_train=20",
    "dataset.n_test=16",
    "dataset.length=24",
    "dataset.window=6",
)
MANY = (*PLANTED, "dataset.channels=3", "dataset.name=Many", "method=none")
QUICK = ("data_root=null", "hardware=cpu", "averaged=8")


@pytest.fixture(scope="module")
def out(make: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stored runs: a univariate set with four students, a multivariate one with one."""
    out = tmp_path_factory.mktemp("stored")
    make("distill", "-m", *COMMON, *PLANTED, "method=none,tsd", "seed=5,6", f"out={out}")
    make("distill", *COMMON, *MANY, f"out={out}")
    return out


@pytest.fixture
def only_svg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save pictures in one format, where it is the maps that are looked at."""
    monkeypatch.setattr("tsdistill.report.figures.style.FORMATS", ("svg",))


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, where other tests draw such pictures."""
    for name in ("draw_overlay", "draw_strips", "save"):
        monkeypatch.setattr(f"tsdistill.runs.explain.{name}", lambda *_, **__: None)


def scene_of(out: Path, dataset: str) -> Scene:
    result = stored_runs(out, OnlyConf(dataset=[dataset]))[0]
    return restore_scene(
        out, read_whole(out, result), data_root=None, hardware=HardwareConf(device="cpu"), allow_code=False
    )


# --- the command ---


def test_pictures_and_arrays_of_a_univariate_set(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", [*QUICK, f"out={out}", "dataset=Planted_shapelet"]) == 0
    folder = out / "explain" / "Planted_shapelet" / "fcn_8" / "lstm_8"
    names = {f"{name}.{kind}" for name in ("overlay", "strips", "classes") for kind in ("svg", "png", "pdf")}
    assert {path.name for path in folder.iterdir() if path.is_file()} == names | {"maps.npz"}
    with np.load(folder / "maps.npz") as arrays:
        assert arrays["names"].tolist() == ["teacher fcn_8", "none", "tsd"]
        assert arrays["maps"].shape == (3, 8, 24) and arrays["predicted"].shape == (3, 8)
        assert arrays["x"].shape == (8, 1, 24) and np.bincount(arrays["y"]).tolist() == [4, 4]
        assert np.array_equal(arrays["explained"], arrays["predicted"][0])
        assert arrays["shown_maps"].shape == (3, len(arrays["shown_rows"]), 24)
        told = [spearmanr(arrays["maps"][0, i], arrays["maps"][2, i])[0] for i in range(8)]
    line = next(line for line in capsys.readouterr().out.splitlines() if "tsd: Spearman" in line)
    assert float(line.split("Spearman ")[1].split()[0]) == pytest.approx(np.mean(told), abs=6e-4)


def test_a_full_disk_leaves_the_earlier_pictures_and_arrays(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = out / "explain" / "Planted_shapelet" / "fcn_8" / "lstm_8"
    words = [*QUICK, f"out={out}", "dataset=Planted_shapelet", "method=tsd"]
    assert run("explain", words) == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(file: Any, *args: object, **kwargs: object) -> None:
        Path(getattr(file, "name", file)).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for place in ("numpy.savez_compressed", "matplotlib.figure.Figure.savefig"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full if "numpy" in place else lambda self, *a, **k: full(*a, **k))
            assert run("explain", words) == 2
        said = capsys.readouterr().err
        assert "No space left on device; free some space" in said and said.count("\n") == 1
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.usefixtures("only_svg")
def test_by_channel_where_there_are_several(out: Path) -> None:
    assert run("explain", [*QUICK, f"out={out}", "dataset=Many"]) == 0
    with np.load(out / "explain" / "Many" / "fcn_8" / "lstm_8" / "maps.npz") as arrays:
        shown = len(arrays["shown_rows"])
        assert arrays["shown_maps"].shape == (2, shown, 3, 24) and arrays["maps"].shape == (2, 8, 24)


@pytest.mark.usefixtures("only_svg")
def test_the_same_command_draws_the_same(out: Path) -> None:
    folder = out / "explain" / "Planted_shapelet" / "fcn_8" / "lstm_8"
    files = []
    for _ in range(2):
        assert run("explain", [*QUICK, f"out={out}", "dataset=Planted_shapelet", "method=tsd"]) == 0
        files.append((folder / "strips.svg").read_bytes())
    assert files[0] == files[1]


@pytest.mark.usefixtures("no_pictures")
def test_students_of_one_seed_are_shown_and_any_can_be_asked_for(out: Path) -> None:
    found = []
    for words in ([], ["seed=6"], ["method=tsd"]):
        assert run("explain", [*QUICK, f"out={out}", "dataset=Planted_shapelet", *words]) == 0
        with np.load(out / "explain" / "Planted_shapelet" / "fcn_8" / "lstm_8" / "maps.npz") as arrays:
            found.append((arrays["names"].tolist(), arrays["maps"]))
    assert found[0][0] == found[1][0] == ["teacher fcn_8", "none", "tsd"]
    assert found[2][0] == ["teacher fcn_8", "tsd"]
    assert np.array_equal(found[0][1][0], found[1][1][0])
    assert not np.array_equal(found[0][1][1], found[1][1][1])
    assert np.array_equal(found[0][1][2], found[2][1][1])


@pytest.mark.usefixtures("only_svg")
def test_the_series_that_one_names_are_shown_and_seeds_are_averaged(out: Path) -> None:
    words = [f"out={out}", "dataset=Planted_shapelet", "method=tsd", "series=16,3", "style=column"]
    found = {}
    for name, more in {"5": ["seed=5"], "6": ["seed=6"], "mean": ["over_seeds=true"]}.items():
        assert run("explain", [*QUICK, *words, *more]) == 0
        folder = out / "explain" / "Planted_shapelet" / "fcn_8" / "lstm_8"
        with np.load(folder / "maps.npz") as arrays:
            assert arrays["shown_rows"].tolist() == [15, 2]
            assert arrays["names"].tolist() == ["teacher fcn_8", "tsd"]
            found[name] = arrays["shown_maps"][1]
    scaled = [found[seed] / found[seed].mean(axis=1, keepdims=True) for seed in ("5", "6")]
    assert np.allclose(found["mean"], np.mean(scaled, axis=0), rtol=1e-5)


def test_most_seeds_decide_and_the_first_of_equals() -> None:
    part = Part(np.arange(3, dtype=np.float32)[:, None, None], np.array([0, 1, 2]))
    members = [Fixed([0, 1, 2]), Fixed([0, 2, 1]), Fixed([1, 2, 0])]
    assert module._majority(members, part).tolist() == [0, 2, 0]


def test_strips_have_one_scale_where_it_is_asked_for() -> None:
    strips = [Strip(np.array([[0.0, 1.0]]), ""), Strip(np.array([[1.0, 3.0]]), "")]
    column = Column("a", np.zeros((1, 2)), None, strips)
    shades = []
    for common in (False, True):
        with style("column"):
            figure = draw_strips("t", ["teacher", "b"], [column], common=common)
        shades.append([axes.images[0].get_array().tolist() for axes in figure.axes[1:3]])
    # by their means the second is 0.5 and 1.5, of the largest, 2
    assert shades == [[[[0, 1]], [[0, 1]]], [[[0, 1]], [[0.25, 0.75]]]]


def test_the_overlay_shades_every_map_by_its_own_mean_on_one_scale() -> None:
    strips = [Strip(np.array([[0.0, 2.0, np.nan]]), ""), Strip(np.array([[10.0, 30.0, np.nan]]), "")]
    x = np.array([[5.0, 7.0, np.nan]])
    with style("column"):
        figure = draw_overlay("t", ["teacher", "b"], [Column("a", x, None, strips)])
    images = [axes.images[0] for axes in figure.axes[:2]]
    assert [image.get_array().filled(-1).tolist() for image in images] == [[[0, 2, -1]], [[0.5, 1.5, -1]]]
    assert {image.get_clim() for image in images} == {(0, 4)}
    for axes in figure.axes[:2]:
        np.testing.assert_array_equal(axes.get_lines()[0].get_ydata(), x[0])


def test_the_overlay_draws_the_channels_that_the_teacher_looks_at_most_and_says_so() -> None:
    teacher, student = np.zeros((5, 4)), np.ones((5, 4))
    teacher[[4, 1, 2], 0] = 3, 5, 1
    x = np.arange(20.0).reshape(5, 4)
    with style():
        figure = draw_overlay(
            "t", ["teacher", "b"], [Column("a", x, None, [Strip(teacher, ""), Strip(student, "")])]
        )
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["ch. 2", "ch. 3", "ch. 5"]
    shades = np.asarray(figure.axes[0].images[0].get_array())
    assert (shades[:, 0] * 9 / 20).round(9).tolist() == [5, 1, 3]  # the mean is over all channels
    told = figure.axes[-1].get_xlabel().replace("\n", " ")
    assert "of 5 channels the 3 that the teacher looks at most" in told
    lines = [line.get_ydata() for line in figure.axes[0].get_lines() if len(line.get_ydata()) == 4]
    bands = [(line.min(), line.max()) for line in lines]
    np.testing.assert_allclose(bands, [(2.1, 2.9), (1.1, 1.9), (0.1, 0.9)])


@pytest.mark.parametrize("draw", [draw_overlay, draw_strips])
def test_pictures_for_a_column_are_no_wider_than_it(draw: Any, tmp_path: Path) -> None:
    names = ["teacher fcn", "tsd_shuffled_within lstm_8"]
    with style("column"):
        save(draw("t", names, columns(2, 2), module.ANSWERS), tmp_path, "picture")
    svg = (tmp_path / "picture.svg").read_text()
    assert float(re.search(r'<svg [^>]*width="([\d.]+)pt"', svg)[1]) <= 3.4 * 72 + 1e-6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dataset=Planted_shapelet", "seed=7"], "Planted_shapelet: no stored run has seed=7; stored: 5, 6"),
        (["dataset=Many", "trial=1"], "Many: no stored run has trial=1; stored: 0"),
        (["samples=0"], "samples=0 should be 1 or more"),
        (["dataset=Many", "series=3,17"], "series=17: the test part of Many has the series 1 to 16"),
        (["input=x.csv"], "input: name one dataset whose models explain the series: Many, Planted_shapelet"),
        (["dataset=Planted_shapelet", "input=x.csv"], "input=x.csv: no such file (looked for it from "),
        (["dataset=Planted"], "no stored run has dataset=Planted: did you mean 'Planted_shapelet'?"),
    ],
)
def test_mistakes_are_told_in_a_line(
    words: list[str], told: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("explain", [*QUICK, f"out={out}", *words]) == 2
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1


# --- which students ---


def stored(
    method: str = "tsd", student: str = "lstm_8", teacher: str = "fcn", **settings: Any
) -> dict[str, Any]:
    identity = [method, student, teacher, *map(repr, settings.items())]
    return {
        "dataset": "A",
        "method": method,
        "student": student,
        "teacher": teacher,
        "teacher_id": f"{teacher}-id",
        "seed": 1,
        "trial": 0,
        "settings": {f"method.{key}": value for key, value in settings.items()},
        "id": "-".join(identity),
    }


def test_students_are_named_by_what_differs() -> None:
    runs = [stored("none"), stored(lam=1, tau=8), stored(lam=10, tau=8)]
    assert names_of(runs) == ["none", "tsd [lam=1]", "tsd [lam=10]"]
    assert names_of([stored("kd"), stored("kd", "gru")]) == ["kd lstm_8", "kd gru"]
    twice = [stored("kd") | {"id": key} for key in ("a1b2c3d4", "f1b2c3d4")]
    assert names_of(twice) == ["kd a1b2c3", "kd f1b2c3"]


def test_students_left_out_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    conf = ExplainConf()
    assert len(cast_of(conf, [stored(lam=at) for at in (10, *range(9))])) == 8
    assert "left out: tsd [lam=8], tsd [lam=10]." in capsys.readouterr().out
    cast_of(conf, [stored("kd"), stored("tsd"), stored("kd", teacher="gru")])
    assert "students of the teacher fcn are shown, those of gru are not" in capsys.readouterr().out


def test_the_seed_that_most_students_have_is_shown() -> None:
    runs = [stored(name) | {"seed": seed} for name, seed in (("tsd", 0), ("tsd", 7), ("kd", 7), ("tsd", 5))]
    assert [(run["method"], run["seed"]) for [run] in cast_of(ExplainConf(), runs)] == [("kd", 7), ("tsd", 7)]
    even = [stored("tsd") | {"seed": seed} for seed in (9, 3)]
    assert [run["seed"] for [run] in cast_of(ExplainConf(), even)] == [3]


def test_each_pair_has_a_folder_of_its_own() -> None:
    pairs = [("fcn", "lstm_8"), ("fcn", "gru"), ("gru", "lstm_8")]
    folders = {pair_folder([stored(teacher=teacher, student=student)]) for teacher, student in pairs}
    assert folders == {Path(teacher, student) for teacher, student in pairs}
    assert pair_folder([stored(student="a"), stored(student="b")]) == Path("fcn", "a~b")


# --- which series ---


class Fixed(nn.Module):
    """Answers as told."""

    def __init__(self, answers: list[int]) -> None:
        super().__init__()
        self.logits = torch.nn.functional.one_hot(torch.tensor(answers), 3).float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits[x[:, 0, 0].long()]


def chosen(y: list[int], answers: list[list[int]], samples: int = 1) -> list[tuple[str, int]]:
    x = np.arange(len(y), dtype=np.float32)[:, None, None]
    models = {str(i): [Fixed(some)] for i, some in enumerate(answers)}
    return [(kind.removesuffix(": "), row) for kind, row in choose(Part(x, np.array(y)), models, samples)]


def test_the_first_of_each_kind_is_shown() -> None:
    y = [0, 1, 2, 0, 1, 2]
    teacher = [1, 1, 2, 0, 1, 0]
    student = [1, 0, 2, 0, 2, 2]
    assert chosen(y, [teacher, student]) == [("correct", 2), ("teacher wrong", 0), ("disagreeing", 1)]
    assert chosen(y, [teacher, student], 2) == [
        *(("correct", 2), ("teacher wrong", 0), ("disagreeing", 1)),
        *(("correct", 3), ("teacher wrong", 5), ("disagreeing", 4)),
    ]


def test_no_series_is_shown_twice_and_a_kind_without_any_is_left_out() -> None:
    assert chosen([0, 1], [[1, 1], [0, 1]]) == [("correct", 1), ("teacher wrong", 0)]
    assert chosen([0, 1], [[0, 1], [0, 1]]) == [("correct", 0)]
    assert chosen([0, 1], [[0, 1], [1, 0]]) == [("disagreeing", 0)]


# --- own series ---


def own(tmp_path: Path, text: str, scene: Scene, **conf: Any) -> Part:
    path = tmp_path / "own.csv"
    path.write_text(text)
    settings = {**scene.dataset_conf, **conf}
    raw = read_unlabelled(str(path), Columns.of(settings), scene.job.dataset.length)
    return load_preparation(settings, None, tmp_path)(raw, "own.csv")[0]


def line(values: Any, mark: str = ",") -> str:
    return mark.join(f"{value:g}" for value in values) + "\n"


@pytest.mark.usefixtures("only_svg")
def test_own_series_are_explained(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = scene_of(out, "Planted_shapelet").test
    path = tmp_path / "mine.csv"
    path.write_text("".join(",".join(map(repr, row.tolist())) + "\n" for row in test.x[:2, 0]))
    assert run("explain", [*QUICK, f"out={out}", "dataset=Planted_shapelet", f"input={path}"]) == 0
    folder = out / "explain" / "Planted_shapelet" / "fcn_8" / "lstm_8" / "own-mine.csv"
    with np.load(folder / "maps.npz") as arrays:
        np.testing.assert_allclose(arrays["x"], test.x[:2], rtol=1e-6)
        assert arrays["maps"].shape == (3, 2, 24)
    assert (folder / "overlay.svg").is_file() and "of all 2 series" in capsys.readouterr().out


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["", "t0{0}t1{0}t2\n"])
def test_one_series_a_row_with_or_without_a_header(mark: str, header: str, out: Path, tmp_path: Path) -> None:
    scene = scene_of(out, "Planted_shapelet")
    rows = np.arange(48).reshape(2, 24) / 8
    part = own(tmp_path, header.format(mark) + "".join(line(row, mark) for row in rows), scene)
    np.testing.assert_array_equal(part.x, rows[:, None].astype(np.float32))
    assert part.lengths is None


def test_own_series_are_prepared_as_the_dataset_was(out: Path, tmp_path: Path) -> None:
    """Gaps are filled, other lengths resampled to the dataset's, scaling is by its training part."""
    scene = scene_of(out, "Planted_shapelet")
    gap = line([0.0, 1.0]).strip() + ",,3," + ",".join(map(str, range(4, 24))) + "\n"
    np.testing.assert_allclose(own(tmp_path, gap, scene).x[0, 0], np.arange(24))
    np.testing.assert_allclose(
        own(tmp_path, line(range(12)), scene).x[0, 0], np.linspace(0, 11, 24), rtol=1e-6
    )
    train = scene.job.dataset.train.x
    scaled = own(tmp_path, line(range(24)), scene, scaling="per_channel_train").x[0, 0]
    np.testing.assert_allclose(scaled, (np.arange(24) - train.mean()) / train.std(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1,2,x\n", "own.csv, row 1: value 3 is 'x', not a finite number"),
        ("a,b\n", "own.csv: no series in it"),
        ("a,b\ne1,1\n", "own.csv, row 2: value 1 is 'e1', not a finite number"),
        ("1,2\n,\n", "own.csv, row 2: the series has no value at all"),
        ("", "own.csv: no series in it"),
    ],
)
def test_broken_files_are_refused(text: str, told: str, out: Path, tmp_path: Path) -> None:
    with pytest.raises(TsdistillError) as error:
        own(tmp_path, text, scene_of(out, "Planted_shapelet"))
    assert told in str(error.value)


def test_series_that_cannot_have_the_dataset_s_length_or_channels_are_refused(
    out: Path, tmp_path: Path
) -> None:
    with pytest.raises(TsdistillError, match=r"series 1 has 5 steps; .* the student takes at least 24"):
        own(tmp_path, line(range(5)), scene_of(out, "Planted_shapelet"), lengths="truncate")
    with pytest.raises(
        TsdistillError, match="its series have 1 channel; the student was trained on 3 channels"
    ):
        own(tmp_path, line(range(24)), scene_of(out, "Many"))


# --- pictures ---


def columns(count: int, models: int, channels: int = 1, T: int = 30) -> list[Column]:
    rng = np.random.default_rng(0)

    def some(*shape: int) -> Any:
        return rng.random(shape).astype(np.float32)

    strips = [Strip(some(channels, T), "ρ -0.12\n" + "Walking…" + " ✗") for _ in range(models)]  # noqa: RUF001
    return [
        Column(f"teacher wrong: test series {i}\nclass A$B", some(channels, T), None, strips)
        for i in range(count)
    ]


@pytest.mark.usefixtures("only_svg")
@pytest.mark.parametrize("draw", [draw_overlay, draw_strips])
@pytest.mark.parametrize(
    ("count", "models", "channels"), [(1, 2, 1), (2, 3, 1), (3, 9, 1), (7, 4, 1), (4, 3, 24)]
)
def test_nothing_is_cut_off_and_no_text_covers_another(
    count: int, models: int, channels: int, draw: Any, tmp_path: Path
) -> None:
    names = ["teacher fcn", *(f"tsd_shuffled_within lstm_8 #{i}" for i in range(models - 1))]
    with style():
        figure = draw("<b>A_$B</b>: what they look at, " * 4, names, columns(count, models, channels))
        save(figure, tmp_path, "picture")
        box = figure.get_tightbbox()
        inches = figure.dpi_scale_trans.inverted()
        shown = [text for text in texts_of(figure) if text.get_text().strip()]
        boxes = [text.get_window_extent().transformed(inches) for text in shown]
    for text, here in zip(shown, boxes, strict=True):
        assert here.x0 >= box.x0 - 0.02 and here.x1 <= box.x1 + 0.02, text.get_text()
        assert here.y0 >= box.y0 - 0.02 and here.y1 <= box.y1 + 0.02, text.get_text()
    for i, one in enumerate(boxes):
        for j, other in enumerate(boxes[:i]):
            assert _overlap(one, other) < 0.02, (shown[i].get_text(), shown[j].get_text())


def texts_of(figure: Any) -> Iterator[Any]:
    """Every text that is drawn: of the ticks, those inside the limits."""
    yield from figure.texts
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        yield from (*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label)
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if low <= tick.get_loc() <= high and tick.label1.get_visible():
                    yield tick.label1


def _overlap(one: Any, other: Any) -> float:
    """Share of the smaller box that the other covers."""
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    return (
        0.0 if min(wide, high) <= 0 else wide * high / min(one.width * one.height, other.width * other.height)
    )


def test_a_flat_strip_is_drawn_and_its_agreement_undefined() -> None:
    looks = module._Looks(
        SimpleNamespace(part=Part(np.zeros((1, 1, 6), np.float32), np.array([0]))),  # type: ignore[arg-type]
        {"teacher": np.arange(6, dtype=np.float32)[None], "student": np.ones((1, 6), np.float32)},
        {"teacher": np.array([0]), "student": np.array([1])},
    )
    drawn = module._columns(looks, ["series 1"], ["a", "b"])
    assert drawn[0].strips[1].note == "\N{GREEK SMALL LETTER RHO} undefined\nb ✗"
    with style():
        draw_strips("flat", ["teacher", "student"], drawn)


def test_padding_is_neither_averaged_nor_ranked() -> None:
    maps = {
        "teacher": np.array([[1, 2, 3, 0], [2, 4, 0, 0]], np.float32),
        "student": np.array([[3, 2, 1, 0], [4, 2, 0, 0]], np.float32),
    }
    part = Part(np.ones((2, 1, 4), np.float32), np.array([0, 0]), np.array([3, 2]))
    looks = module._Looks(SimpleNamespace(part=part), maps, {})  # type: ignore[arg-type]
    assert looks.spearman("student", 0) == pytest.approx(-1.0)
    mean = module._mean_map(looks, "teacher", np.array([0, 1]))
    np.testing.assert_allclose(mean, [[(0.5 + 2 / 3) / 2, (1 + 4 / 3) / 2, 1.5, np.nan]], rtol=1e-6)

"""Finding a set by its name, and real sets against what is published of them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tsdistill.data import load_dataset, names
from tsdistill.data.archive import FOLDERS, ArchiveReader, bundled_folder, find_here
from tsdistill.errors import TsdistillError

TRAIN, TEST = "1\t0\t1\n2\t2\t3\n", "2\t0\t1\n"
TS = "@problemName x\n@timeStamps false\n@univariate true\n@equalLength true\n@classLabel true 1 2\n@data\n"


def conf(name, **more):
    return {"_target_": "tsdistill.data.archive.ArchiveReader", "name": name, "download": False} | more


def put(folder: Path, name: str, ending=".tsv", value=0):
    folder.mkdir(parents=True, exist_ok=True)
    for half in ("TRAIN", "TEST"):
        text = f"1\t{value}\t1\n2\t2\t3\n"
        if ending == ".ts":
            text = TS + f"{value},1:1\n2,3:2\n"
        if ending == "":
            text = text.replace("\t", ",")
        (folder / f"{name}_{half}{ending}").write_text(text)


def first_value(data):
    return data.train.x[0, 0, 0]


@pytest.mark.parametrize(
    ("where", "ending"),
    [
        ("UCRArchive_2018/Wafer", ".tsv"),
        ("UCR_TS_Archive_2015/Wafer", ""),
        ("Univariate_ts/Wafer", ".ts"),
        ("Multivariate_ts/Wafer", ".ts"),
        ("Wafer", ".tsv"),
        ("Wafer", ".ts"),
        ("Wafer", ".txt"),
    ],
)
def test_every_layout_of_the_local_root(tmp_path, where, ending):
    put(tmp_path / where, "Wafer", ending, value=7)
    data = load_dataset(conf("Wafer"), tmp_path, tmp_path / "cache")
    assert first_value(data) == 7 and data.name == "Wafer"
    assert data.source == f"local folder {tmp_path / where}"


def test_the_order_of_looking(tmp_path):
    cache = tmp_path / "cache"
    root = tmp_path / "root"
    put(cache / "archive" / "Wafer", "Wafer", ".ts", value=1)
    root.mkdir()
    assert load_dataset(conf("Wafer"), root, cache).source == "downloaded before"
    for value, folder in enumerate(reversed(FOLDERS)):
        put(root / folder / "Wafer", "Wafer", ".ts", value=10 + value)
        assert first_value(load_dataset(conf("Wafer"), root, cache)) == 10 + value
    put(cache / "archive" / "GunPoint", "GunPoint", ".ts")
    assert load_dataset(conf("GunPoint"), root, cache).source == "bundled with sktime"
    put(root / "GunPoint", "GunPoint")
    assert load_dataset(conf("GunPoint"), root, cache).source.startswith("local folder")


@pytest.mark.parametrize(
    ("asked", "stored"), [("Lighting2", "Lightning2"), ("Lightning2", "Lighting2"), ("wafer",) * 2]
)
def test_names_of_2015(tmp_path, asked, stored):
    put(tmp_path / "UCR_TS_Archive_2015" / stored, stored, "", value=5)
    data = load_dataset(conf(asked), tmp_path, tmp_path / "cache")
    assert data.name == names.modern_name(asked)[0] and first_value(data) == 5
    assert bool(data.notes) == (asked != data.name)


def test_every_old_name_leads_to_a_name_of_2018():
    assert set(names.OLD_NAMES.values()) <= set(names.UCR128)
    assert not set(names.OLD_NAMES) & set(names.UCR128)


def test_a_set_in_the_root_that_no_archive_knows(tmp_path):
    put(tmp_path / "Mine", "Mine")
    assert load_dataset(conf("Mine"), tmp_path, tmp_path / "cache").name == "Mine"
    with pytest.raises(TsdistillError, match="did you mean 'Mine'"):
        load_dataset(conf("Mime"), tmp_path, tmp_path / "cache")


@pytest.mark.parametrize(
    "name", ["..", "../x", "a/b", "/etc", "a\\b", "", "a..b", "x\n", ".hidden", "a b", None, 3]
)
def test_names_cannot_leave_their_folder(tmp_path, name):
    with pytest.raises(TsdistillError, match="no path"):
        load_dataset(conf(name), tmp_path, tmp_path)


def test_links_inside_the_root_are_followed_and_a_linked_root_too(tmp_path):
    put(tmp_path / "root" / "store" / "Wafer", "Wafer")
    (tmp_path / "root" / "UCRArchive_2018").symlink_to(tmp_path / "root" / "store")
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert load_dataset(conf("Wafer"), tmp_path / "link", tmp_path / "cache").name == "Wafer"


def test_a_linked_file_that_leads_out_is_refused(tmp_path):
    put(tmp_path / "root" / "Wafer", "Wafer")
    (tmp_path / "secret").write_text(TEST)
    test = tmp_path / "root" / "Wafer" / "Wafer_TEST.tsv"
    test.unlink()
    test.symlink_to(tmp_path / "secret")
    with pytest.raises(TsdistillError, match="is a link out of"):
        load_dataset(conf("Wafer"), tmp_path / "root", tmp_path / "cache")


def test_trailing_gaps_of_the_sets_that_have_them(tmp_path):
    folder = tmp_path / "UCRArchive_2018"
    for name in ("DodgerLoopGame", "PickupGestureWiimoteZ"):
        (folder / name).mkdir(parents=True)
        for half in ("TRAIN", "TEST"):
            (folder / name / f"{name}_{half}.tsv").write_text("1\t4\t2\tNaN\n2\t2\t3\t4\n")
    gaps = load_dataset(conf("DodgerLoopGame", lengths="pad"), tmp_path, tmp_path / "cache")
    assert gaps.train.lengths is None and gaps.train.x[0, 0].tolist() == [4, 2, 2]
    short = load_dataset(conf("PickupGestureWiimoteZ", lengths="pad"), tmp_path, tmp_path / "cache")
    assert short.train.lengths.tolist() == [2, 3]


def test_what_sktime_bundles():
    assert bundled_folder() is not None
    for name in names.BUNDLED:
        found = find_here(name, None, Path("nowhere"))
        assert found is not None and found.place == "bundled with sktime"


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ItalyPowerDemand", (67, 1029, 1, 24)),
        ("GunPoint", (50, 150, 1, 150)),
        ("ArrowHead", (36, 175, 1, 251)),
        ("OSULeaf", (200, 242, 1, 427)),
        ("ACSF1", (100, 100, 1, 1460)),
        ("UnitTest", (20, 22, 1, 24)),
        ("BasicMotions", (40, 40, 6, 100)),
        ("JapaneseVowels", (270, 370, 12, 26)),
        ("PLAID", (537, 537, 1, 1344)),
    ],
)
def test_sizes_of_the_bundled_sets(tmp_path, name, shape):
    data = load_dataset(conf(name), None, tmp_path)
    assert (len(data.train), len(data.test), data.channels, data.length) == shape
    assert np.isfinite(data.train.x).all()


# ---------------------------------------------------------------------------------------------- real sets


def nearest_neighbour_error(data) -> float:
    """Error of 1-nearest-neighbour classification by Euclidean distance."""
    train, test = (part.x.reshape(len(part), -1).astype(np.float64) for part in (data.train, data.test))
    distance = (train**2).sum(axis=1) - 2 * test @ train.T
    return float((data.train.y[distance.argmin(axis=1)] != data.test.y).mean())


@pytest.mark.archive
def test_every_univariate_set_is_as_published(archive_root, tmp_path):
    """Sizes, classes and lengths of all; 1-NN error of those of one length without gaps."""
    with (archive_root / "published" / "DataSummary.csv").open(encoding="utf-8-sig") as file:
        published = {row["Name"]: row for row in csv.DictReader(file)}
    found = sorted(path.name for path in (archive_root / "UCRArchive_2018").iterdir())
    checked = 0
    for name in found:
        facts = published[name]
        data = load_dataset(conf(name, lengths="pad"), archive_root, tmp_path)
        assert (len(data.train), len(data.test)) == (int(facts["Train"]), int(facts["Test"])), name
        assert len(data.classes) == int(facts["Class"]), name
        assert (data.train.lengths is not None) == (facts["Length"] == "Vary"), name
        if facts["Length"] != "Vary":
            assert data.length == int(facts["Length"]), name
        if name in names.UCR112 or name == "Fungi":
            assert f"{nearest_neighbour_error(data):.4f}" == f"{float(facts['ED (w=0)']):.4f}", name
            checked += 1
    assert checked == len(set(found) & {*names.UCR112, "Fungi"}) > 0


UEA = {
    "ArticularyWordRecognition": (275, 300, 9, 144, 25),
    "AtrialFibrillation": (15, 15, 2, 640, 3),
    "BasicMotions": (40, 40, 6, 100, 4),
    "ERing": (30, 270, 4, 65, 6),
    "Epilepsy": (137, 138, 3, 206, 4),
    "JapaneseVowels": (270, 370, 12, 29, 9),
    "NATOPS": (180, 180, 24, 51, 6),
    "RacketSports": (151, 152, 6, 30, 4),
    "UWaveGestureLibrary": (120, 320, 3, 315, 8),
}


@pytest.mark.archive
def test_every_multivariate_set_is_as_published(archive_root, tmp_path):
    """Sizes, channels, length and classes by Bagnall et al., arXiv 1811.00075, table 1."""
    found = [name for name in UEA if (archive_root / "Multivariate_ts" / name).is_dir()]
    assert found
    for name in found:
        data = load_dataset(conf(name, lengths="pad"), archive_root, tmp_path)
        assert (len(data.train), len(data.test), data.channels, data.length, len(data.classes)) == UEA[name]
        assert np.isfinite(data.test.x).all()


@pytest.mark.archive
def test_the_local_and_the_bundled_copy_agree(archive_root, tmp_path):
    for name in ("GunPoint", "ItalyPowerDemand", "BasicMotions", "JapaneseVowels"):
        local, bundled = (load_dataset(conf(name), root, tmp_path) for root in (archive_root, None))
        assert local.source != bundled.source and local.classes == bundled.classes
        np.testing.assert_allclose(local.train.x, bundled.train.x, atol=1e-5)
        np.testing.assert_array_equal(local.test.y, bundled.test.y)


@pytest.mark.archive
def test_policies_on_real_unequal_sets(archive_root, tmp_path):
    for name in ("PickupGestureWiimoteZ", "GesturePebbleZ1", "JapaneseVowels"):
        padded = load_dataset(conf(name, lengths="pad"), archive_root, tmp_path)
        cut = load_dataset(conf(name, lengths="truncate"), archive_root, tmp_path)
        full = load_dataset(conf(name, lengths="resample"), archive_root, tmp_path)
        assert cut.length == min(padded.train.lengths.min(), padded.test.lengths.min())
        assert full.length == padded.train.lengths.max()
        for n, length in enumerate(padded.train.lengths):
            assert not padded.train.x[n, :, length:].any()
            np.testing.assert_array_equal(padded.train.x[n, :, : cut.length], cut.train.x[n])
            np.testing.assert_array_equal(padded.train.x[n, :, length - 1], full.train.x[n, :, -1])
    reader = ArchiveReader("DodgerLoopGame")
    train, _ = reader.parse(reader.locate(archive_root, tmp_path))
    assert np.isnan(train.values).any(axis=(1, 2)).sum() == 3 and (train.lengths == 288).all()

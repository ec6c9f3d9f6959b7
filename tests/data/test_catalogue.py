"""Collections, the listing, and the description of one set."""

from dataclasses import replace

import pytest

from tsdistill.data import names
from tsdistill.data.catalogue import (
    DatasetRow,
    as_table,
    collection,
    describe_dataset,
    download_collection,
    expand_collections,
    list_datasets,
)
from tsdistill.errors import TsdistillError


def test_sizes_of_the_collections():
    sizes = {name: len(collection(name)) for name in names.COLLECTIONS}
    assert sizes == {"paper": 30, "ucr128": 128, "ucr112": 112, "uea30": 30, "uea26": 26, "bundled": 9}
    assert all(len(set(found)) == len(found) for found in names.COLLECTIONS.values())
    assert set(names.PAPER) <= set(names.UCR128)
    assert not set(names.UCR112) & {"MelbournePedestrian", "Fungi", "PLAID", "DodgerLoopDay"}


def test_the_lists_agree_with_sktime():
    from sktime.datasets import tsc_dataset_names as theirs

    # sktime's list has AsphaltObstacles for Yoga, and three Asphalt sets that came later.
    assert set(names.UCR128) == set(theirs.univariate) - {"AsphaltObstacles"} | {"Yoga"}
    assert set(names.UEA30) == {name for name in theirs.multivariate if not name.startswith("Asphalt")}
    assert set(names.UCR112) == set(theirs.univariate_equal_length) - {"Fungi"}
    assert set(names.UEA26) == set(theirs.multivariate_equal_length)


def local_root(tmp_path, *found):
    for name in found:
        folder = tmp_path / "UCRArchive_2018" / name
        folder.mkdir(parents=True)
        for half in ("TRAIN", "TEST"):
            (folder / f"{name}_{half}.tsv").write_text("1\t0\t1\tNaN\n2\t2\t3\t5\n")
    return tmp_path


def test_collections_in_a_sweep(tmp_path):
    root = local_root(tmp_path, "Yoga", "Mine")
    words = ["-m", "dataset.name=@bundled,GunPoint, CBF", "x=@paper", "dataset.name=Ham"]
    assert expand_collections(words, None) == [
        "-m",
        "dataset.name=" + ",".join([*names.BUNDLED, "CBF"]),
        "x=@paper",
        "dataset.name=Ham",
    ]
    assert expand_collections(["dataset.name=@local"], root) == ["dataset.name=Mine,Yoga"]


@pytest.mark.parametrize(
    ("word", "root", "line"),
    [
        ("@papre", False, "@papre: no such collection; did you mean 'paper'?"),
        ("@local", False, "@local: no local folder is set; set data_root or the variable TSDISTILL_DATA"),
    ],
)
def test_collections_that_cannot_be(word, root, line):
    with pytest.raises(TsdistillError) as told:
        expand_collections([f"dataset.name={word}"], None)
    assert str(told.value) == line


def test_an_empty_local_root(tmp_path):
    with pytest.raises(TsdistillError, match="has no set of the archives"):
        collection("local", tmp_path)


def test_the_listing(tmp_path):
    root = local_root(tmp_path / "root", "Yoga", "Lighting2")
    broken = root / "UCRArchive_2018" / "Ham"
    broken.mkdir()
    (broken / "Ham_TRAIN.tsv").write_text("1\t0\n")
    (broken / "Ham_TEST.tsv").write_text("rubbish")
    rows = {row.name: row for row in list_datasets(root, tmp_path / "cache")}
    assert set(rows) == {*names.BUNDLED, "Yoga", "Lightning2", "Ham"}
    assert rows["Yoga"] == DatasetRow("Yoga", "local folder", 2, 2, 1, 2, 3, 2, 0, False)
    assert rows["Lightning2"] == replace(rows["Yoga"], name="Lightning2")
    assert rows["Ham"].source == "broken" and "Ham_TEST.tsv, row 1" in rows["Ham"].problem
    assert rows["GunPoint"] == DatasetRow("GunPoint", "bundled with sktime", 50, 150, 1, 150, 150, 2, 0, True)
    assert rows["JapaneseVowels"].shortest == 7 and rows["JapaneseVowels"].longest == 29
    again = list_datasets(root, tmp_path / "cache", ["Yoga", "Wafer"])
    assert again == [rows["Yoga"], DatasetRow("Wafer", "download")]
    table = as_table(again)
    assert table[0]["length"] == "2-3" and table[0]["z-normalised"] == "no" and table[0]["gaps"] == "no"
    assert table[1]["train"] == "-" and set(table[1]) == set(table[0])


@pytest.mark.parametrize("name", ["../Yoga", "/etc", "a/b"])
def test_names_cannot_leave_their_folder(tmp_path, name):
    root = local_root(tmp_path, "Yoga") / "UCRArchive_2018" / "Yoga"
    assert list_datasets(root, tmp_path / "cache", [name])[0].source == "broken"
    assert download_collection([name], root, tmp_path / "cache")[0].outcome == "failed"
    with pytest.raises(TsdistillError, match="no path"):
        describe_dataset(name, root, tmp_path / "cache")


def test_gaps_are_counted(tmp_path):
    folder = tmp_path / "DodgerLoopDay"
    folder.mkdir()
    for half in ("TRAIN", "TEST"):
        (folder / f"DodgerLoopDay_{half}.tsv").write_text("1\t0\t1\tNaN\n2\t2\t3\t5\n")
    (row,) = list_datasets(tmp_path, tmp_path / "cache", ["DodgerLoopDay"])
    assert row.gaps == 2 and (row.shortest, row.longest) == (3, 3)
    assert as_table([row])[0]["gaps"] == "2 series"


@pytest.mark.parametrize("name", ["GunPoint", "BasicMotions", "JapaneseVowels"])
def test_one_set_described(tmp_path, name):
    picture = tmp_path / "pictures" / "means.png"
    told = describe_dataset(name, None, tmp_path, picture)
    assert told.row.train == sum(told.train_sizes.values()) and told.row.test == sum(told.test_sizes.values())
    assert told.picture == picture and picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 300_000
    assert bool(told.notes) == (name == "JapaneseVowels")


def test_own_data_described(tmp_path):
    (tmp_path / "mine.csv").write_text("label,t1,t2\na,1,2\nb,3,4\na,1,2\nb,3,4\n")
    conf = {"_target_": "tsdistill.data.wide.WideReader", "train": str(tmp_path / "mine.csv")}
    told = describe_dataset(conf, None, tmp_path)
    assert told.row.name == "mine" and sum(told.train_sizes.values()) == 3 and told.picture is None

"""What is written in each form is read back the same."""

import csv
import importlib.util
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tsdistill.data import load_dataset
from tsdistill.data.load import read_raw
from tsdistill.data.long import LongReader
from tsdistill.data.npz import NpzReader
from tsdistill.data.raw import RawPart
from tsdistill.data.ts import read_ts
from tsdistill.data.tsv import read_tsv
from tsdistill.data.wide import WideReader
from tsdistill.errors import TsdistillError

FLOATS = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)
WORDS = st.text("abcXYZ_019é", min_size=1, max_size=6)
EXAMPLES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def parts(draw, channels=3, gaps=True, ragged=True):
    """Series as a list of lists of channels; the first and last value of a channel are there."""
    n = draw(st.integers(1, 5))
    c = draw(st.integers(1, channels))
    length = draw(st.integers(1, 6))
    value = st.one_of(FLOATS, st.just(float("nan"))) if gaps else FLOATS
    rows = []
    for _ in range(n):
        lengths = [draw(st.integers(1, 6)) if ragged else length for _ in range(c)]
        one = [[draw(value) for _ in range(k)] for k in lengths]
        for channel in one:
            channel[0] = draw(FLOATS)
            channel[-1] = draw(FLOATS)
        rows.append(one)
    return rows, draw(st.lists(WORDS, min_size=n, max_size=n))


def same(part, rows, labels):
    expected = RawPart.ragged(rows, labels)
    assert part.labels == expected.labels
    np.testing.assert_array_equal(part.lengths, expected.lengths)
    width = expected.values.shape[2]
    np.testing.assert_array_equal(part.values[:, :, :width].astype(np.float32), expected.values)
    assert np.isnan(part.values[:, :, width:]).all()


def padded(rows, missing="NaN"):
    """One-channel series as fields, shorter ones filled at the end."""
    width = max(len(one[0]) for one in rows)
    return [
        [missing if np.isnan(v) else repr(v) for v in one[0]] + [missing] * (width - len(one[0]))
        for one in rows
    ]


@given(parts(channels=1), st.sampled_from(["\t", ",", "  "]), st.sampled_from(["\n", "\r\n"]))
@EXAMPLES
def test_the_ucr_form(tmp_path, part, separator, end):
    rows, labels = part
    path = tmp_path / "x.tsv"
    lines = (separator.join([label, *fields]) for label, fields in zip(labels, padded(rows), strict=True))
    path.write_bytes((end.join(lines) + end).encode())
    same(read_tsv(path), rows, labels)


def test_missing_values_at_the_end_are_gaps_where_the_archive_says_so(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("1\t5\tNaN\n2\t1\t2\n")
    assert read_tsv(path).lengths.tolist() == [[1], [2]]
    assert read_tsv(path, trailing_gaps=True).lengths.tolist() == [[2], [2]]


@given(parts(), st.booleans())
@EXAMPLES
def test_the_ts_form(tmp_path, part, tagged):
    rows, labels = part
    path = tmp_path / "x.ts"
    head = [
        "# a comment: with a colon",
        "@problemName x",
        "@timeStamps false",
        *([f"@dimensions {len(rows[0])}"] if tagged else []),
        "@equalLength false",
        "@classLabel true " + " ".join(sorted(set(labels))),
        "@data",
    ]
    body = [
        ":".join([",".join("?" if np.isnan(v) else repr(v) for v in channel) for channel in one] + [label])
        for one, label in zip(rows, labels, strict=True)
    ]
    path.write_text("\n".join(head + body) + "\n", encoding="utf-8")
    same(read_ts(path), rows, labels)


@given(parts(channels=1), st.sampled_from([",", ";", "\t"]), st.booleans())
@EXAMPLES
def test_a_wide_table(tmp_path, part, separator, with_id):
    rows, labels = part
    path = tmp_path / "x.csv"
    fields = padded(rows, missing="")
    header = ["kind", *(["who"] if with_id else []), *(f"t{i}" for i in range(len(fields[0])))]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        # The label column may stand anywhere.
        writer.writerow(header[1:] + header[:1])
        for n, (one, label) in enumerate(zip(fields, labels, strict=True)):
            writer.writerow([*([f"series {n}"] if with_id else []), *one, label])
    reader = WideReader(label="kind", drop=["who"] if with_id else [])
    same(reader.read_part(path), rows, labels)


@given(parts(), st.sampled_from([",", "\t"]), st.randoms(use_true_random=False), st.booleans())
@EXAMPLES
def test_a_long_table(tmp_path, part, separator, random, dates):
    rows, labels = part
    path = tmp_path / "x.csv"
    records = []
    for n, (one, label) in enumerate(zip(rows, labels, strict=True)):
        for c, channel in enumerate(one):
            for t, value in enumerate(channel):
                time = f"2024-01-{t + 1:02d}T00:00:00" if dates else repr(t * 0.5 - 1)
                records.append([f"s{n}", time, str(c + 8), "" if np.isnan(value) else repr(value), label])
    random.shuffle(records)
    # Series are numbered by their first row, so one row of each comes first, in order.
    first = [next(r for r in records if r[0] == f"s{n}") for n in range(len(rows))]
    rest = [r for r in records if not any(r is f for f in first)]
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows([["id", "time", "dim", "value", "label"], *first, *rest])
    path.write_text(text.getvalue(), encoding="utf-8")
    same(LongReader(channel="dim").read_part(path), rows, labels)


def test_a_long_table_has_steps_where_any_channel_has_a_row(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("id,time,channel,value,label\na,0,x,1,k\na,2,x,3,k\na,1,y,5,k\na,2,y,6,k\n")
    part = LongReader(channel="channel").read_part(path)
    np.testing.assert_array_equal(part.values[0], [[1, np.nan, 3], [np.nan, 5, 6]])
    assert part.channels == ("x", "y")


def test_training_and_test_must_name_the_same_channels(tmp_path):
    head = "id,time,channel,value,label\n"
    (tmp_path / "a.csv").write_text(head + "1,0,x,1,k\n1,0,y,1,k\n2,0,x,1,l\n2,0,y,1,l\n")
    (tmp_path / "b.csv").write_text(head + "1,0,x,1,k\n1,0,z,1,k\n")
    conf = {
        "_target_": "tsdistill.data.long.LongReader",
        "train": str(tmp_path / "a.csv"),
        "test": str(tmp_path / "b.csv"),
        "channel": "channel",
    }
    with pytest.raises(TsdistillError, match="training part has the channels x, y; the test part x, z"):
        load_dataset(conf, None, tmp_path / "cache")


@given(parts(), st.booleans(), st.sampled_from([np.float32, np.float64]))
@EXAMPLES
def test_a_numpy_archive(tmp_path, part, flat, dtype):
    rows, labels = part
    whole = RawPart.ragged(rows, labels)
    x = whole.values.astype(dtype)
    arrays = {"x": x, "y": np.array(labels), "lengths": whole.lengths}
    if flat and x.shape[1] == 1:
        arrays |= {"x": x[:, 0], "lengths": whole.lengths[:, 0]}
    np.savez(tmp_path / "x.npz", **arrays)
    same(NpzReader().read_part(tmp_path / "x.npz"), rows, labels)


def test_a_numpy_archive_may_hold_its_test_part(tmp_path):
    x = np.arange(24.0).reshape(4, 2, 3)
    np.savez(tmp_path / "mine.npz", x=x, y=[0, 1, 0, 1], x_test=x[:2] + 1, y_test=[1, 0])
    conf = {"_target_": "tsdistill.data.npz.NpzReader", "train": str(tmp_path / "mine.npz")}
    data = load_dataset(conf, None, tmp_path / "cache")
    assert data.name == "mine" and data.classes == ("0", "1")
    np.testing.assert_array_equal(data.test.x, x[:2] + 1)
    assert data.test.y.tolist() == [1, 0]


@pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow: pip install -e .[parquet]"
)
def test_parquet_tables(tmp_path):
    import pandas as pd

    wide = pd.DataFrame({"label": ["a", "b"], "t1": [1.0, 2.0], "t2": [3.0, None]})
    wide.to_parquet(tmp_path / "wide.parquet")
    part = WideReader().read_part(tmp_path / "wide.parquet")
    assert part.labels == ("a", "b") and part.lengths.tolist() == [[2], [1]]
    np.testing.assert_array_equal(part.values[:, 0], [[1, 3], [2, np.nan]])
    long = pd.DataFrame(
        {
            "id": [1, 1, 2, 2],
            "time": pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-01", "2024-01-02"]),
            "value": [1.0, 2.0, 3.0, 4.0],
            "label": [5, 5, 6, 6],
        }
    )
    long.to_parquet(tmp_path / "long.parquet")
    part = LongReader().read_part(tmp_path / "long.parquet")
    assert part.labels == ("5", "6")
    np.testing.assert_array_equal(part.values[:, 0], [[2, 1], [3, 4]])


def test_one_file_is_split_by_its_seed(tmp_path):
    rows = "".join(f"{'ab'[i % 2]},{i},{i + 1}\n" for i in range(20))
    (tmp_path / "mine.csv").write_text("label,t1,t2\n" + rows)
    conf = {"_target_": "tsdistill.data.wide.WideReader", "train": str(tmp_path / "mine.csv")}

    def load(**more):
        return load_dataset(conf | more, None, tmp_path / "cache")

    data = load()
    assert (len(data.train), len(data.test)) == (14, 6) and np.bincount(data.test.y).tolist() == [3, 3]
    assert "split off" in data.notes[0]
    assert load().fingerprint == data.fingerprint != load(test_seed=1).fingerprint
    assert len(load(test_fraction=0.5).test) == 10


def test_a_folder_in_an_archive_form(tmp_path):
    folder = tmp_path / "somewhere"
    folder.mkdir()
    (folder / "Engine_TRAIN.tsv").write_text("1\t0\t1\n2\t2\t3\n1\t1\t1\n2\t5\t5\n")
    conf = {"_target_": "tsdistill.data.own.FolderReader", "path": str(folder)}
    data = load_dataset(conf, None, tmp_path / "cache")
    assert (data.name, len(data.train), len(data.test)) == ("Engine", 3, 1)
    (folder / "Engine_TEST.tsv").write_text("1\t0\t1\n2\t0\t1\n")
    assert len(load_dataset(conf, None, tmp_path / "cache").test) == 2


def test_the_ts_reader_agrees_with_sktime():
    from sktime.datasets import load_from_tsfile

    from tsdistill.data.archive import bundled_folder

    for name in ("BasicMotions", "JapaneseVowels", "GunPoint"):
        path = bundled_folder() / name / f"{name}_TEST.ts"
        ours = read_ts(path)
        theirs, labels = load_from_tsfile(str(path), return_data_type="nested_univ")
        assert [label.lower() for label in ours.labels] == list(labels)
        for n in range(0, len(labels), 7):
            for c in range(theirs.shape[1]):
                expected = theirs.iloc[n, c].to_numpy(dtype=np.float32)
                np.testing.assert_array_equal(ours.values[n, c, : ours.lengths[n, c]], expected)


def test_readers_give_raw_series_without_preprocessing(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.array([[1.0, np.nan], [2.0, 3.0]]), y=["a", "b"])
    conf = {
        "_target_": "tsdistill.data.npz.NpzReader",
        "train": str(tmp_path / "x.npz"),
        "test": str(tmp_path / "x.npz"),
    }
    assert np.isnan(read_raw(conf, None, tmp_path / "cache").train.values).sum() == 1

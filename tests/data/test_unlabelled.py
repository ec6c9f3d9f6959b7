"""Series without labels in each form that a dataset may have."""

import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsdistill.data.unlabelled import Columns, read_unlabelled
from tsdistill.errors import TsdistillError

LONG = Columns.of(
    {"_target_": "tsdistill.data.long.LongReader", "id": "who", "time": "t", "channel": "c", "value": "v"}
)
WIDE = Columns.of({"_target_": "tsdistill.data.wide.WideReader", "label": "state", "drop": ["id"]})
ROWS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)


def test_wide_tables(tmp_path: Path) -> None:
    path = tmp_path / "new"
    for text in (
        "1,2,3\n4,5,6\n",
        "1\t2\t3\n4\t5\t6\n",
        "1 2 3\n4 5 6\n",
        "id;a;state;b;c\nx;1;?;2;3\ny;4;;5;6\n",
        'a,b,"c"\n1,2,"3"\n4,5,6\n',
    ):
        path.write_text(text)
        found = read_unlabelled(str(path), WIDE, 3)
        np.testing.assert_array_equal(found.values[:, 0], ROWS)
        assert found.labels == ("1", "2")
    frame = pd.DataFrame({"id": ["x", "y"], "a": [1, 4], "b": [2, 5], "state": ["", ""], "c": [3, 6]})
    frame.to_parquet(path)
    np.testing.assert_array_equal(read_unlabelled(str(path), WIDE, 3).values[:, 0], ROWS)


def test_a_label_in_front_is_not_taken_for_a_value(tmp_path: Path) -> None:
    path = tmp_path / "new.tsv"
    path.write_text("9\t1\t2\t3\n8\t4\t5\t6\n")
    with pytest.raises(TsdistillError, match=r"its rows have 4 values, one more .*labelled=true"):
        read_unlabelled(str(path), Columns(), 3)
    assert read_unlabelled(str(path), Columns(), 3, labelled=False).values.shape == (2, 1, 4)
    np.testing.assert_array_equal(read_unlabelled(str(path), Columns(), 3, labelled=True).values[:, 0], ROWS)


def test_long_tables_name_their_series(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("who,t,c,v\nb,0,x,1\nb,0,y,2\nb,1,x,3\nb,1,y,4\na,0,x,5\na,0,y,6\n")
    found = read_unlabelled(str(path), LONG, 2)
    assert found.labels == ("b", "a") and found.channels == ("x", "y")
    np.testing.assert_array_equal(found.values[0], [[1, 3], [2, 4]])
    np.testing.assert_array_equal(found.lengths, [[2, 2], [1, 1]])
    pd.read_csv(path).to_parquet(tmp_path / "new")
    assert read_unlabelled(str(tmp_path / "new"), LONG, 2).labels == ("b", "a")


def test_numpy_archives_and_ts(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=ROWS, lengths=[3, 2])
    found = read_unlabelled(str(tmp_path / "new.npz"), LONG, 3)
    assert found.labels == ("1", "2") and found.lengths.tolist() == [[3], [2]]
    for header, end in (("@classLabel false", ""), ("", ""), ("@classLabel true a b", ":a")):
        (tmp_path / "new.ts").write_text(f"@univariate false\n{header}\n@data\n1,2:3,4{end}\n5:6{end}\n")
        found = read_unlabelled(str(tmp_path / "new.ts"), Columns(), 3)
        assert found.values.shape == (2, 2, 2) and found.lengths.tolist() == [[2, 2], [1, 1]]


def test_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("1,2,3\n4,5,6\n",))
    writer.start()
    np.testing.assert_array_equal(read_unlabelled(str(pipe), Columns(), 3).values[:, 0], ROWS)
    writer.join()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "new.csv: no series in it"),
        ("a,state\n1,2,3\n", "new.csv, row 2: 3 fields, but the header has 2"),
        ("state\nfine\n", "new.csv, row 2: no value beside the label"),
        ("1,2\n1,x\n", "new.csv, row 2: value 2 is 'x', not a finite number"),
    ],
)
def test_broken_files_are_refused(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text(text)
    with pytest.raises(TsdistillError) as error:
        read_unlabelled(str(path), WIDE, 2)
    assert told in str(error.value)
    with pytest.raises(TsdistillError, match="is a folder; name a file"):
        read_unlabelled(str(tmp_path), WIDE, 2)

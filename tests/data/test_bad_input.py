"""Every malformed input gets the one or two lines that its case carries; docs/bad-input.md lists them.

    python tests/data/test_bad_input.py

writes the document anew.
"""

import contextlib
import io
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tsdistill.data import load_dataset
from tsdistill.errors import TsdistillError

DOCUMENT = Path(__file__).parents[2] / "docs" / "bad-input.md"
ARCHIVE = {"_target_": "tsdistill.data.archive.ArchiveReader", "name": "GunPoint", "download": False}
WIDE = {"_target_": "tsdistill.data.wide.WideReader", "train": "train.csv"}
LONG = {"_target_": "tsdistill.data.long.LongReader", "train": "train.csv", "channel": "channel"}
NPZ = {"_target_": "tsdistill.data.npz.NpzReader", "train": "train.npz"}
FOLDER = {"_target_": "tsdistill.data.own.FolderReader", "path": "mine"}

_GOOD = "1\t0\t1\t2\n2\t3\t4\t5\n"
_HEADER = "@problemName mine\n@timeStamps false\n@univariate false\n"
_TS = _HEADER + "@dimensions 2\n@equalLength true\n@seriesLength 3\n@classLabel true a b\n@data\n"
_TS_GOOD = _TS + "1,2,3:4,5,6:a\n3,2,1:6,5,4:b\n"
_LONG = "id,time,channel,value,label\n"


@dataclass(frozen=True)
class Case:
    """A malformed input.

    Attributes:
        what: what is wrong, in a few words.
        conf: the dataset config.
        files: the files to write, by path.
        line: what the user must be told.
        prepare: what else must be done in the folder.
    """

    what: str
    conf: Mapping[str, Any]
    files: Mapping[str, str | bytes]
    line: str
    prepare: Callable[[], None] = field(default=lambda: None)


def _tsv(what: str, train: str | bytes, line: str, test: str | bytes = _GOOD, **conf: Any) -> Case:
    base = "data/UCRArchive_2018/GunPoint/GunPoint"
    return Case(what, ARCHIVE | conf, {f"{base}_TRAIN.tsv": train, f"{base}_TEST.tsv": test}, line)


def _ts(what: str, train: str, line: str, test: str = _TS_GOOD) -> Case:
    return Case(what, FOLDER, {"mine/mine_TRAIN.ts": train, "mine/mine_TEST.ts": test}, line)


def _wide(what: str, table: str, line: str, **conf: Any) -> Case:
    return Case(what, WIDE | conf, {"train.csv": table}, line)


def _long(what: str, rows: str, line: str, **conf: Any) -> Case:
    return Case(what, LONG | conf, {"train.csv": _LONG + rows}, line)


def _npz(what: str, line: str, **arrays: Any) -> Case:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return Case(what, NPZ, {"train.npz": content.getvalue()}, line)


def _twice_x() -> bytes:
    """An archive with two members x.npy, which NumPy would read as one."""
    content, array = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros((2, 3)))
    with zipfile.ZipFile(content, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the name that is there already
        for name in ("x.npy", "y.npy", "x.npy"):
            archive.writestr(name, array.getvalue())
    return content.getvalue()


def _link_out() -> None:
    Path("data").mkdir()
    Path("data/GunPoint").symlink_to(Path("elsewhere").resolve())


TRAIN = "data/UCRArchive_2018/GunPoint/GunPoint_TRAIN.tsv"
CASES = (
    _tsv("empty file", "", f"{TRAIN}: the file is empty"),
    _tsv("cut row", "1\t0\t1\t2\n2\t3\t4\n", f"{TRAIN}, row 2: 2 values, where the first row has 3"),
    _tsv(
        "letters among numbers",
        "1\t0\t1\t2\n2\t3\tabc\t5\n",
        f"{TRAIN}, row 2: value 2 is 'abc', not a finite number",
    ),
    _tsv(
        "series of NaN only",
        "1\tNaN\tNaN\tNaN\n2\t3\t4\t5\n",
        f"{TRAIN}, row 1: the series has no value at all",
    ),
    _tsv(
        "infinite value",
        "1\t0\t-inf\t2\n2\t3\t4\t5\n",
        f"{TRAIN}, row 1: value 2 is '-inf', not a finite number",
    ),
    _tsv(
        "number too large",
        "1\t0\t1e999\t2\n2\t3\t4\t5\n",
        f"{TRAIN}, row 1: value 2 is '1e999', too large for float32",
    ),
    _tsv(
        "number too large for float32",
        "1\t0\t1e39\t2\n2\t3\t4\t5\n",
        f"{TRAIN}, row 1: value 2 is '1e39', too large for float32",
    ),
    _tsv(
        "empty field",
        "1\t0\t\t2\n2\t3\t4\t5\n",
        f"{TRAIN}, row 1: value 2 is empty (write NaN for a missing value)",
    ),
    _tsv("no label", "\t0\t1\t2\n2\t3\t4\t5\n", f"{TRAIN}, row 1: no label before the values"),
    _tsv(
        "labels without values",
        "1\n2\n",
        f"{TRAIN}, row 1: no values after the label '1' "
        "(a row is a label and values, separated by tabs, commas or spaces)",
    ),
    _tsv("zero bytes", b"1\t0\t1\t2\n\0\0\0\0", f"{TRAIN}, row 2: not a text file (it holds a zero byte)"),
    _tsv("binary rubbish", bytes(range(128, 256)), f"{TRAIN}: not a text file (byte 0 is not UTF-8)"),
    _tsv(
        "one class",
        "1\t0\t1\t2\n1\t3\t4\t5\n",
        "GunPoint: the training part has only one class ('1'); at least two are needed",
    ),
    _tsv(
        "test label that training lacks",
        _GOOD,
        "GunPoint: the test part has labels that the training part lacks: '3' (first at test series 2)",
        test="1\t0\t1\t2\n3\t3\t4\t5\n",
    ),
    _tsv(
        "gaps, refused by a setting",
        "1\t0\tNaN\t2\n2\t3\t4\t5\n",
        "GunPoint: train series 1 has missing values (1 series of the part have); "
        "set dataset.gaps=interpolate or zero to accept them",
        gaps="refuse",
    ),
    _tsv("misspelt policy", _GOOD, "dataset.lengths=resmaple: did you mean 'resample'?", lengths="resmaple"),
    _tsv(
        "impossible length",
        _GOOD,
        "dataset.max_length=1: give a whole number of at least 2, or null",
        max_length=1,
    ),
    Case(
        "no test file",
        ARCHIVE,
        {TRAIN: _GOOD},
        "data/UCRArchive_2018/GunPoint lacks GunPoint_TRAIN or GunPoint_TEST "
        "(.tsv, .ts, .txt or no extension); add the files or remove the folder",
    ),
    Case(
        "name that leads out of the folder",
        ARCHIVE | {"name": "../GunPoint"},
        {"data/GunPoint/GunPoint_TRAIN.tsv": _GOOD},
        "dataset.name=../GunPoint: a set's name has letters, digits, '_', '-' and '.' only (no path)",
    ),
    Case(
        "link that leads out of the root",
        ARCHIVE,
        {"elsewhere/GunPoint_TRAIN.tsv": _GOOD, "elsewhere/GunPoint_TEST.tsv": _GOOD},
        "data/GunPoint/GunPoint_TRAIN.tsv is a link out of data, to FOLDER/elsewhere/GunPoint_TRAIN.tsv; "
        "copy the set into the root",
        _link_out,
    ),
    Case(
        "misspelt name",
        ARCHIVE | {"name": "GunPiont"},
        {"data/x": ""},
        "dataset.name=GunPiont: no such set; did you mean 'GunPoint'?",
    ),
    Case(
        "set that is nowhere, without a network",
        ARCHIVE | {"name": "Wafer"},
        {"data/x": ""},
        "Wafer is not on this machine, and dataset.download=false;\n"
        "put Wafer_TRAIN.ts and Wafer_TEST.ts into cache/archive/Wafer, "
        "or name a folder with the archive by data_root or TSDISTILL_DATA",
    ),
    Case(
        "local root that is not there",
        ARCHIVE,
        {},
        "data_root=data: no such folder; correct the setting data_root or the variable TSDISTILL_DATA",
    ),
    _ts(
        ".ts row with too few channels",
        _TS + "1,2,3:4,5,6:a\n3,2,1:b\n",
        "mine/mine_TRAIN.ts, row 10: 1 channels, but the header declares 2",
    ),
    _ts(
        ".ts row shorter than the header says",
        _TS + "1,2,3:4,5,6:a\n3,2,1:6,5:b\n",
        "mine/mine_TRAIN.ts, row 10, channel 2: 2 values, but the header declares 3",
    ),
    _ts(
        ".ts row cut before its label",
        _TS + "1,2,3:4,5,6:a\n3,2,1:6,5\n",
        "mine/mine_TRAIN.ts, row 10: the label '6,5' is not among the header's (a cut row?)",
    ),
    _ts(
        ".ts row with letters",
        _TS + "1,2,3:4,x,6:a\n3,2,1:6,5,4:b\n",
        "mine/mine_TRAIN.ts, row 9, channel 2: value 2 is 'x', not a finite number",
    ),
    _ts(
        ".ts whose series length is a word",
        _TS_GOOD.replace("@seriesLength 3", "@seriesLength abc"),
        "mine/mine_TRAIN.ts: @seriesLength abc should be a whole number, 1 or more",
    ),
    _ts(
        ".ts whose series length is negative",
        _TS_GOOD.replace("@seriesLength 3", "@seriesLength -1"),
        "mine/mine_TRAIN.ts: @seriesLength -1 should be a whole number, 1 or more",
    ),
    _ts(
        ".ts whose number of channels is a word",
        _TS_GOOD.replace("@dimensions 2", "@dimensions two"),
        "mine/mine_TRAIN.ts: @dimensions two should be a whole number, 1 or more",
    ),
    _ts(".ts without @data", _HEADER, "mine/mine_TRAIN.ts: the header has no @data line"),
    _ts(
        ".ts without labels in the header",
        _HEADER + "@data\n1,2,3:a\n",
        "mine/mine_TRAIN.ts: the header has no '@classLabel true' with the labels after it",
    ),
    _ts(
        ".ts with time stamps",
        _TS_GOOD.replace("@timeStamps false", "@timeStamps true"),
        "mine/mine_TRAIN.ts: @timeStamps true is not supported; write the values without time stamps",
    ),
    _ts(".ts without series", _TS, "mine/mine_TRAIN.ts: no series after @data"),
    _ts(
        "training and test of different channels",
        _TS_GOOD,
        "mine: the training part has 2 channels, the test part 1",
        test=_HEADER + "@classLabel true a b\n@data\n1,2,3:a\n3,2,1:b\n",
    ),
    _wide(
        "label column that is missing",
        "lable,t1,t2\na,1,2\nb,3,4\n",
        "train.csv has no column 'label' (dataset.label); did you mean 'lable'?",
    ),
    _wide("duplicate header", "label,t1,t1\na,1,2\nb,3,4\n", "train.csv, row 1: two columns are named 't1'"),
    _wide(
        "row with too few fields",
        "label,t1,t2\na,1,2\nb,3\n",
        "train.csv, row 3: 2 fields, but the header has 3",
    ),
    _wide(
        "letters in a table",
        "label,t1,t2\na,1,2\nb,3,?x\n",
        "train.csv, row 3: value 2 is '?x', not a finite number",
    ),
    _wide(
        "column of words in a table",
        "label,name,t1\na,e1,2\nb,e2,3\n",
        "train.csv, row 2, column 'name': 'e1' is no finite number; "
        "a column that is no timestep goes into dataset.drop",
    ),
    _wide("row without a label", "label,t1,t2\na,1,2\n,3,4\n", "train.csv, row 3: the label is empty"),
    _wide(
        "series without a value",
        "label,t1,t2\na,1,2\nb,,\n",
        "train.csv, row 3: the series has no value at all",
    ),
    _wide("table without rows", "label,t1,t2\n", "train.csv: no series after the header"),
    _wide("empty table", "", "train.csv: the file is empty"),
    _wide(
        "too few series to split",
        "label,t1,t2\na,1,2\nb,3,4\n",
        "train.csv: too few series a class to split a test part off; name one by dataset.test",
    ),
    _wide(
        "file that is not there",
        "",
        "dataset.train=other.csv: no such file (looked for it from FOLDER)",
        train="other.csv",
    ),
    _wide(
        "no file named", "", "dataset.train is not set: name the file with the training series", train=None
    ),
    _wide(
        "setting that the reader has not",
        "",
        "dataset reader tsdistill.data.wide.WideReader: "
        "WideReader.__init__() got an unexpected keyword argument 'lable'",
        lable="x",
    ),
    _long(
        "series with two labels",
        "s1,0,x,1,a\ns1,1,x,2,b\n",
        "train.csv, row 3: series 's1' has the label 'b', and 'a' before",
    ),
    _long(
        "two values at one time",
        "s1,0,x,1,a\ns1,0,x,2,a\n",
        "train.csv, row 3: the series already has a value of this channel at this time",
    ),
    _long(
        "series without one of the channels",
        "s1,0,x,1,a\ns1,0,y,1,a\ns2,0,x,1,b\n",
        "train.csv: series 's2' has no row of channel 'y'",
    ),
    _long(
        "letters as a value", "s1,0,x,one,a\n", "train.csv, row 2: the value is 'one', not a finite number"
    ),
    _long(
        "letters as a time",
        "s1,noon,x,1,a\n",
        "train.csv, row 2: the time is 'noon', not a number or an ISO date",
    ),
    _long("row without a series", ",0,x,1,a\n", "train.csv, row 2: the id is empty"),
    _npz("archive without labels", "train.npz: no array 'y' (it has x)", x=np.zeros((2, 3))),
    _npz(
        "archive of Python objects",
        "train.npz: it holds Python objects; save plain arrays of numbers or text",
        x=np.array([None]),
        y=np.zeros(1),
    ),
    _npz(
        "array of one dimension",
        "train.npz: x must be numbers of shape (N, C, T) or (N, T), not float64 (3,)",
        x=np.zeros(3),
        y=np.zeros(3),
    ),
    _npz(
        "fewer labels than series",
        "train.npz: y must have shape (3,) as x has series, not (2,)",
        x=np.zeros((3, 4)),
        y=np.zeros(2),
    ),
    Case(
        "archive with two arrays of the same name",
        NPZ,
        {"train.npz": _twice_x()},
        "train.npz: 2 arrays are named 'x'; keep one of them",
    ),
    Case(
        "archive of rubbish",
        NPZ,
        {"train.npz": b"\x93rubbish"},
        "train.npz: not an .npz archive; save x and y together by numpy.savez",
    ),
    Case(
        "folder with two sets",
        FOLDER,
        {"mine/a_TRAIN.tsv": _GOOD, "mine/b_TRAIN.tsv": _GOOD},
        "mine has several sets (a, b); name one's folder",
    ),
    Case(
        "folder with no set",
        FOLDER,
        {"mine/x": ""},
        "mine has no file <Name>_TRAIN (.tsv, .ts, .txt or no extension)",
    ),
    Case(
        "_target_ that is no reader",
        {"_target_": "builtins.dict"},
        {},
        "builtins.dict is not a dataset reader: it has neither read nor locate and parse",
    ),
)


def told(case: Case, folder: Path) -> str:
    """Load a case's input in ``folder`` and return what the user is told.

    The folder itself is written FOLDER.
    """
    with contextlib.chdir(folder):
        for path, content in case.files.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(content.encode() if isinstance(content, str) else content)
        case.prepare()
        root = Path("data") if "ArchiveReader" in case.conf["_target_"] else None
        try:
            load_dataset(case.conf, root, Path("cache"))
        except TsdistillError as error:
            return str(error).replace(str(folder.resolve()), "FOLDER")
    return "nothing: the input was accepted"


def document() -> str:
    """The table, as Markdown."""
    lines = [
        "# What is said about malformed data",
        "",
        "Made by `python tests/data/test_bad_input.py`; the same file holds the readers to it.",
        "`FOLDER` is the working folder.",
        "",
        "| input | what the user is told |",
        "|---|---|",
    ]
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            said = told(case, Path(folder)).replace("|", "\\|").replace("\n", "<br>")
        lines.append(f"| {case.what} | {said} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_the_user_is_told(case, tmp_path):
    said = told(case, tmp_path)
    assert said == case.line
    assert said.count("\n") <= 1


def test_there_are_enough_cases():
    assert len({case.what for case in CASES}) == len(CASES) >= 25


def test_the_document_is_up_to_date():
    assert DOCUMENT.read_text() == document()


if __name__ == "__main__":
    DOCUMENT.write_text(document())

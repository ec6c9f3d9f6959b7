"""Hostile data files: refused in one line that names the file, within bounded time and memory."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tsdistill.data.load import load_dataset

EVERY = 1 if os.environ.get("TSDISTILL_LONG") else 3
"""One in so many cases is run; `make test-all` runs them all."""
READERS = {
    "npz": "tsdistill.data.npz.NpzReader",
    "csv": "tsdistill.data.wide.WideReader",
    "long": "tsdistill.data.long.LongReader",
    "folder": "tsdistill.data.own.FolderReader",
}
LABELS = np.array(["a", "b"] * 4)
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m"


# --- archives of NumPy's ---


def npy(header: str, body: bytes = b"\0" * 64) -> bytes:
    """A ``.npy`` file with a header of one's own."""
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + body


def of_shape(shape: str, dtype: str = "'<f4'") -> bytes:
    return npy(f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}")


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return whole.getvalue()


def arrays(**named: Any) -> bytes:
    whole = io.BytesIO()
    np.savez(whole, **named)
    return whole.getvalue()


def with_x(x: bytes) -> bytes:
    y = io.BytesIO()
    np.save(y, LABELS)
    return zipped({"x.npy": x, "y.npy": y.getvalue()})


def bomb() -> bytes:
    """A member of 16 GiB of zeros in 16 MB."""
    steps = 2**32
    header = npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': (1, {steps})}}", b"")
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = press.compress(header) + press.flush(zlib.Z_FULL_FLUSH)
    zeros = press.compress(bytes(2**24)) + press.flush(zlib.Z_FULL_FLUSH)
    body = start + zeros * (steps * 4 // 2**24) + press.flush()
    extra = struct.pack("<HHQQ", 1, 16, len(header) + steps * 4, len(body))
    fixed = struct.pack("<HHHHHIIIHH", 45, 0, 8, 0, 33, 0, 0xFFFFFFFF, 0xFFFFFFFF, 5, len(extra))
    local = b"PK\3\4" + fixed + b"x.npy" + extra + body
    entry = (
        b"PK\1\2" + struct.pack("<H", 45) + fixed + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"x.npy" + extra
    )
    return local + entry + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content and len(old) == len(new)
    return content.replace(old, new)


X = np.arange(64, dtype=np.float32).reshape(8, 8)
NPZ: dict[str, Callable[[], bytes]] = {
    "no archive": lambda: b"\0" * 100,
    "an archive of nothing": lambda: zipped({}),
    "an archive of texts": lambda: zipped({"x.npy": b"hello", "y.npy": b"hello"}),
    "4 TB in the header": lambda: with_x(of_shape("(1000000, 1000000)")),
    "a shape that overflows": lambda: with_x(of_shape("(4611686018427387904, 4611686018427387904)")),
    "a shape of 3 GB": lambda: with_x(of_shape("(800000000,)")),
    "a negative shape": lambda: with_x(of_shape("(-1, 8)")),
    "a shape of text": lambda: with_x(of_shape("'8'")),
    "a shape of truth values": lambda: with_x(of_shape("(True, True)")),
    "a header that calls": lambda: with_x(npy("__import__('os').remove('canary')")),
    "a header that is deep": lambda: with_x(npy("(" * 9000 + ")" * 9000)),
    "a header of 200 kB": lambda: with_x(npy("{" + " " * 200_000 + "}")),
    "a header without an end": lambda: with_x(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
    "objects": lambda: arrays(x=np.array([{}] * 8, dtype=object), y=LABELS),
    "a pickle": lambda: with_x(of_shape("(1,)", "'|O'") + b"cos\nremove\n(S'canary'\ntR."),
    "records": lambda: with_x(of_shape("(1, 1)", "[('a', '<f4'), ('b', '|O')]")),
    "sub-arrays of 8 GB": lambda: with_x(of_shape("(1,)", "[('a', '<f8', (1000000000,))]")),
    "text": lambda: arrays(x=np.full((8, 8), "x"), y=LABELS),
    "text of 2 GB an item": lambda: with_x(of_shape("(1, 1)", "'<U500000000'")),
    "complex numbers": lambda: arrays(x=X * 1j, y=LABELS),
    "dates": lambda: arrays(x=X.astype("datetime64[s]"), y=LABELS),
    "no dimension": lambda: arrays(x=np.float32(1), y=LABELS),
    "five dimensions": lambda: arrays(x=X.reshape(8, 2, 2, 2, 1), y=LABELS),
    "no series": lambda: arrays(x=X[:0], y=LABELS[:0]),
    "no steps": lambda: arrays(x=X[:, :0], y=LABELS),
    "labels of another count": lambda: arrays(x=X, y=LABELS[:3]),
    "labels in a table": lambda: arrays(x=X, y=X),
    "labels of bytes that are no text": lambda: arrays(x=X, y=np.array([b"\xff\xfe", b"a"] * 4)),
    "labels without a number": lambda: arrays(x=X, y=np.full(8, np.nan)),
    "infinities": lambda: arrays(x=np.full((8, 8), np.inf), y=LABELS),
    "no number": lambda: arrays(x=X * np.nan, y=LABELS),
    "numbers beyond float32": lambda: arrays(x=X.astype(np.float64) * 1e300, y=LABELS),
    "lengths beyond the series": lambda: arrays(x=X, y=LABELS, lengths=np.full(8, 2**62)),
    "lengths below zero": lambda: arrays(x=X, y=LABELS, lengths=np.full(8, -1)),
    "lengths of another count": lambda: arrays(x=X, y=LABELS, lengths=np.full(9, 1)),
    "a path for a name": lambda: zipped({"../../canary.npy": of_shape("(1,)"), "/canary": b"x"}),
    "16 GiB in 16 MB": bomb,
    "an encrypted member": lambda: changed(
        arrays(x=X, y=LABELS), b"PK\1\2\x2d\x03\x2d\0\0", b"PK\1\2\x2d\x03\x2d\0\1"
    ),
    "a wrong checksum": lambda: changed(arrays(x=X, y=LABELS), X.tobytes()[-16:], b"\1" * 16),
    "cut in half": lambda: arrays(x=X, y=LABELS)[:300],
}

# --- tables ---

ROW = ",".join(["0.5"] * 8)
CSV: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a header alone": lambda: b"label,a,b\n",
    "a field of 200 kB": lambda: b'label,a\n"' + b"x" * 200_000 + b'",1\n',
    "a header field of 200 kB": lambda: b'label,"' + b"x" * 200_000 + b'"\na,1\n',
    "a quote without an end": lambda: b'label,a\n"x,1\ny,2\n',
    "a field over two lines": lambda: b'label,a\n"x\ny",1\n',
    "200,000 columns": lambda: ("label," + ",".join(f"c{n}" for n in range(200_000)) + "\na,1\n").encode(),
    "200,000 columns of one name": lambda: ("label" + ",c" * 200_000 + "\na,1\n").encode(),
    "zero bytes": lambda: b"label,a\n\0,1\n",
    "UTF-16": lambda: "label,a\nx,1\n".encode("utf-16"),
    "bytes that are no text": lambda: b"label,a\n\xff\xfe,1\n",
    "a number of a million digits": lambda: b"label,a\nx," + b"9" * 1_000_000 + b"\n",
    "decimal commas": lambda: b"label;a;b\nx;0,5;1,5\ny;0,5;1,5\n",
    "a decimal comma in quotes": lambda: b'label,a,b\nx,"0,5",1\ny,1,1\n',
    "an infinity": lambda: b"label,a\nx,1e999\n",
    "an infinity by name": lambda: b"label,a\nx,inf\n",
    "a formula for a number": lambda: b"label,a\nx,=1+1\n",
    "hexadecimal": lambda: b"label,a\nx,0x10\n",
    "underscores": lambda: b"label,a\nx,1_000\n",
    "escapes for a number": lambda: f"label,a\nx,{ESCAPES}\n".encode(),
    "escapes for a column": lambda: f"label,{ESCAPES}\nx\n".encode(),
    "a line of 30 MB": lambda: b"label,a\nx," + b"1," * 15_000_000 + b"\n",
    "a long row and many short ones": lambda: b"label" + b",1" * 200_000 + b"\n" + b"x,1\n" * 200_000,
}
TABLES: dict[str, Callable[[], bytes]] = {
    "a header alone": lambda: b"id,time,channel,value,label\n",
    "a cube of 40,000 each way": lambda: (
        b"id,time,channel,value,label\n"
        + b"".join(b"%d,%d,%d,1,%d\n" % (n, n, n, n % 2) for n in range(40_000))
    ),
    "a time beyond the clock": lambda: (
        b"id,time,channel,value,label\n1,1e308,0,1,a\n2,9999999999999999,0,1,b\n"
    ),
    "a time that is no number": lambda: b"id,time,channel,value,label\n1,nan,0,1,a\n",
    "a field of 200 kB": lambda: b'id,time,channel,value,label\n1,0,"' + b"x" * 200_000 + b'",1,a\n',
    "a series with two labels": lambda: b"id,time,channel,value,label\n1,0,0,1,a\n1,1,0,1,b\n",
}
HEAD = (
    b"@univariate false\n@dimensions %d\n@equalLength true\n@seriesLength %d\n@classLabel true a b\n@data\n"
)
FOLDER: dict[str, Callable[[], bytes]] = {
    "x.ts a quintillion channels": lambda: HEAD % (10**18, 8) + b"1:a\n",
    "x.ts a quintillion steps": lambda: HEAD % (1, 10**18) + b"1:a\n",
    "x.ts a count of 10,000 digits": lambda: HEAD.replace(b"%d", b"9" * 10_000) + b"1:a\n",
    "x.ts a million channels": lambda: b"@classLabel true a b\n@data\n" + b"1:" * 1_000_000 + b"a\n1:b\n",
    "x.ts a long series and many short ones": lambda: (
        b"@classLabel true a b\n@data\n" + b"1," * 500_000 + b"1:a\n" + b"1:b\n" * 20_000
    ),
    "x.ts a label that is not declared": lambda: (
        b"@classLabel true a b\n@data\n1:<script>alert(1)</script>\n"
    ),
    "x.ts escapes for a label": lambda: b"@classLabel true a b\n@data\n1:" + ESCAPES.encode() + b"\n",
    "x.ts escapes for a number": lambda: b"@classLabel true a b\n@data\n" + ESCAPES.encode() + b":a\n",
    "x.ts a header without an end": lambda: b"@classLabel true" + b" a" * 1_000_000,
    "x.ts time stamps": lambda: b"@timeStamps true\n@classLabel true a b\n@data\n(0,1):a\n",
    "x.tsv a long row and many short ones": lambda: b"1" + b"\t1" * 500_000 + b"\n" + b"1\t1\n" * 500_000,
    "x.tsv a number of a million digits": lambda: b"1\t" + b"9" * 1_000_000 + b"\n",
    "x.tsv zero bytes": lambda: b"1\t\0\n",
    "x.tsv a label of 1 MB": lambda: b"x" * 1_000_000 + b"\n",
    "x.tsv HTML": lambda: b"<script>alert(1)</script>\t<img src=x onerror=alert(1)>\n",
    "x.tsv the next line's separator": lambda: "1\u2028\t2\u2029\n".encode(),
}
CASES = [
    *(("npz", "x.npz", what, make) for what, make in NPZ.items()),
    *(("csv", "x.csv", what, make) for what, make in CSV.items()),
    *(("long", "x.csv", what, make) for what, make in TABLES.items()),
    *(("folder", *what.split(" ", 1), make) for what, make in FOLDER.items()),
]


def conf_of(reader: str, path: Path) -> dict[str, Any]:
    """A dataset's config that reads one file."""
    if reader == "folder":
        return {"_target_": READERS[reader], "path": str(path.parent)}
    channel = {"channel": "channel"} if reader == "long" else {}
    return {"_target_": READERS[reader], "train": str(path), **channel}


@pytest.mark.parametrize(
    ("reader", "name", "what", "make"),
    CASES[::EVERY],
    ids=[f"{case[0]}: {case[2]}" for case in CASES[::EVERY]],
)
def test_a_hostile_data_file_is_refused_in_one_line(
    bounded: Any, canary: Path, tmp_path: Path, reader: str, name: str, what: str, make: Callable[[], bytes]
) -> None:
    del what
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / (f"{Path(name).stem}_TRAIN{Path(name).suffix}" if reader == "folder" else name)
    path.write_bytes(make())
    told = bounded(lambda: load_dataset(conf_of(reader, path), None, tmp_path / "cache"))
    assert str(path) in told or told.startswith("x: ")  # the set's name
    assert not told.startswith("escaped") and told.count("\n") <= 1 and len(told) < 1000
    assert canary.read_text() == "untouched"
    assert sorted(each.name for each in tmp_path.iterdir()) == [".told", "canary", "data"]


@pytest.mark.parametrize(
    ("reader", "name"), [("folder", "x_TRAIN.ts"), ("long", "x.csv")], ids=["ts", "long"]
)
def test_a_long_series_among_short_ones_is_refused_before_memory_is_asked_for(
    bounded: Any, tmp_path: Path, reader: str, name: str
) -> None:
    """Without a limit on the process, the system would kill it rather than raise a MemoryError."""
    texts = {
        "folder": "@classLabel true a b\n@data\n" + "1," * 300_000 + "1:a\n" + "1:b\n" * 20_000,
        "long": "id,time,channel,value,label\n"
        + "".join(f"long,{n},0,1,a\n" for n in range(100_000))
        + "".join(f"{n},0,0,1,b\n" for n in range(20_000)),
    }
    path = tmp_path / name
    path.write_text(texts[reader])
    told = bounded(lambda: load_dataset(conf_of(reader, path), None, tmp_path / "cache"))
    assert told.startswith(f"{path}: 20,001 series of 1 x ") and "GiB" in told and "; shorten series" in told


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("put", [pipe, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
@pytest.mark.parametrize("reader", ["folder", "csv", "npz"])
def test_what_is_no_file_is_neither_waited_for_nor_read_without_end(
    bounded: Any, tmp_path: Path, reader: str, put: Callable[[Path], None]
) -> None:
    path = tmp_path / "x_TRAIN.tsv"
    put(path)
    told = bounded(lambda: load_dataset(conf_of(reader, path), None, tmp_path / "cache"))
    assert str(tmp_path) in told and "escaped" not in told


def test_there_are_enough_cases() -> None:
    assert len({(reader, what) for reader, _, what, _ in CASES}) == len(CASES) >= 60

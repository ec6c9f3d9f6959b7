"""Hostile records under valid manifests: left out or refused in one line, the others are listed."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdistill import cli
from tsdistill.errors import TsdistillError
from tsdistill.store.contents import Folder
from tsdistill.store.listing import list_runs
from tsdistill.store.manifest import FILES, MANIFEST, problem_with, seal
from tsdistill.store.records import read_run, write_run

LONG = bool(os.environ.get("TSDISTILL_LONG"))
EVERY = 1 if LONG else 3
"""One in so many cases is run; `make test-all` runs them all."""
RESULT: dict[str, Any] = {
    "method": "tsd",
    "teacher": "fcn",
    "student": "lstm_8",
    "seed": 0,
    "trial": 0,
    "teacher_id": "cd34",
    "teacher_validation": None,
    "validation": None,
    "cost": {"parameters": 370},
    "training": {"epochs": 2},
    "flags": [],
    "settings": {"method.lam": 1.0, "dataset._target_": None},
    "test": {"accuracy": 0.75},
    "teacher_test": {"accuracy": 1.0},
}


def write(out: Path, run_id: str) -> Path:
    return write_run(
        out,
        "GunPoint",
        run_id,
        result={**RESULT, "id": run_id, "dataset": "GunPoint"},
        config_yaml="seed: 0\n",
        curve=[{"stage": "train", "epoch": 1, "name": "loss", "value": 0.3}],
        logits={"test": torch.ones(3, 2), "y_test": torch.tensor([0, 1, 1])},
        weights={"w": torch.zeros(2)},
        timing={"train_seconds": 1.5},
        environment={"torch": "2"},
        facts={"seed": 0},
        terms={},
    )


Spoil = Callable[[Path], object]


def in_result(**changes: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "result.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return spoil


def text(name: str, content: str | bytes) -> Spoil:
    whole = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(whole)


def tensors(header: object, length: int | None = None, body: bytes = bytes(64)) -> Spoil:
    """A safetensors file with a header of one's own."""
    told = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(told) if length is None else length
    return text("logits.safetensors", struct.pack("<Q", size) + told + body)


def entry(dtype: str = "F32", shape: object = (3, 2), offsets: object = (0, 24)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


LABELS = {"y_test": entry("I64", (3,), (24, 48))}
HEAD = "stage,epoch,name,value\n"
SEALED: dict[str, Spoil] = {
    "an id that is a path": in_result(id="../../canary"),
    "another's id": in_result(id="cd34"),
    "a teacher that is a path": in_result(teacher_id="../../canary"),
    "a dataset that is a path": in_result(dataset="../../canary"),
    "an absolute dataset": in_result(dataset="/etc"),
    "a dataset with a zero byte": in_result(dataset="Gun\0Point"),
    "a dataset that is a list": in_result(dataset=["GunPoint"]),
    "a seed of text": in_result(seed="0"),
    "a seed of truth": in_result(seed=True),
    "a trial that is null": in_result(trial=None),
    "text for an accuracy": in_result(test={"accuracy": "0.99"}),
    "a list of figures": in_result(test=[0.99]),
    "figures 40 levels deep": in_result(test=json.loads('{"a":' * 40 + "1" + "}" * 40)),
    "flags of numbers": in_result(flags=[1]),
    "no settings": in_result(settings=None),
    "a status of its own": in_result(status="better than ok"),
    "a newer schema": in_result(schema=99),
    "a schema of text": in_result(schema="2"),
    "NaN": text("result.json", json.dumps({**RESULT, "id": "ab12", "test": {"accuracy": float("nan")}})),
    "an infinity": text("result.json", '{"schema": 2, "test": {"accuracy": 1e999}}'),
    "no JSON": text("result.json", "seed = 0"),
    "a list": text("result.json", "[]"),
    "bytes that are no text": text("result.json", b'{"schema": "\xff\xfe"}'),
    "an integer of 10,000 digits": text("result.json", '{"schema": ' + "9" * 10_000 + "}"),
    "JSON 100,000 levels deep": text("result.json", '{"schema":' * 100_000),
    "17 MB of JSON": text("result.json", '{"schema": "' + "x" * 17_000_000 + '"}'),
    "a result that is missing": lambda folder: (folder / "result.json").unlink(),
    "times in a list": text("timing.json", "[]"),
    "an environment of nothing": text("environment.json", ""),
    "facts 100,000 levels deep": text("facts.json", "[" * 100_000),
    "a config of bytes": text("config.yaml", b"\xff\xfe\xff"),
    "17 MB of config": text("config.yaml", "a: " + "x" * 17_000_000),
    "a curve of text": text("curve.csv", HEAD + "train,1,loss,low\n"),
    "a curve without columns": text("curve.csv", "a,b\n1,2\n"),
    "a curve with more columns": text("curve.csv", HEAD + "train,1,loss,1,2\n"),
    "a curve with fewer columns": text("curve.csv", HEAD + "train,1\n"),
    "a curve with a field of 200 kB": text("curve.csv", HEAD + "x" * 200_000 + ",1,loss,1\n"),
    "a curve of bytes": text("curve.csv", b"\xff\xfe"),
    "a curve with an epoch of 10,000 digits": text("curve.csv", HEAD + "train," + "9" * 10_000 + ",loss,1\n"),
    "a header of 2^63 bytes": tensors(b"{", 2**63),
    "a header of 5 MB": tensors(b" " * 5_000_000),
    "a header that is cut": tensors(b'{"test": '),
    "a header that is no object": tensors([1]),
    "a header of 3,000 levels": tensors(b'{"a":' * 3_000 + b"1" + b"}" * 3_000),
    "overlapping tensors": tensors({"test": entry(), "y_test": entry("I64", (3,), (0, 24))}),
    "offsets beyond the file": tensors({"test": entry(offsets=(0, 2**40)), **LABELS}),
    "offsets backwards": tensors({"test": entry(offsets=(24, 0)), **LABELS}),
    "offsets below zero": tensors({"test": entry(offsets=(-24, 0)), **LABELS}),
    "a shape of 2^62": tensors({"test": entry(shape=(2**62, 2**62)), **LABELS}),
    "a negative shape": tensors({"test": entry(shape=(-3, -2)), **LABELS}),
    "a shape that its bytes lack": tensors({"test": entry(shape=(3, 3)), **LABELS}),
    "an unknown type": tensors({"test": entry("PICKLE"), **LABELS}),
    "logits of whole numbers": tensors({"test": entry("I32"), **LABELS}, body=bytes(48)),
    "logits in a row": tensors({"test": entry(shape=(6,)), **LABELS}, body=bytes(48)),
    "labels of floats": tensors({"test": entry(), "y_test": entry("F64", (3,), (24, 48))}, body=bytes(48)),
    "labels beyond the classes": tensors({"test": entry(), **LABELS}, body=bytes(24) + b"\x7f" * 24),
    "labels of another count": tensors(
        {"test": entry(), "y_test": entry("I64", (2,), (24, 40))}, body=bytes(40)
    ),
    "no logits": tensors({"y_test": entry("I64", (3,), (0, 24))}, body=bytes(24)),
    "a pickle": text("logits.safetensors", b"\x80\x04cos\nremove\n(S'canary'\ntR."),
}


def manifest(files: object, **more: object) -> Spoil:
    return lambda folder: (folder / MANIFEST).write_text(json.dumps({"schema": 1, "files": files, **more}))


ONE = {"sha256": "0" * 64, "size": 1}


def link(name: str, to: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(to)

    return spoil


def sparse(folder: Path) -> None:
    with (folder / "weights.safetensors").open("r+b") as file:
        file.truncate(2**40)


def pipe(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    os.mkfifo(folder / "weights.safetensors")


def folder_outside(folder: Path) -> None:
    outside = folder.parents[3] / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    (outside / "curve.csv").unlink()


UNSEALED: dict[str, Spoil] = {
    "no files": manifest({}),
    "a list of files": manifest(["result.json"]),
    "files outside": manifest({"../../../canary": ONE}),
    "an absolute file": manifest({"/etc/passwd": ONE}),
    "a backslash": manifest({"..\\canary": ONE}),
    "a zero byte": manifest({"a\0b": ONE}),
    "a size below zero": manifest({"result.json": {**ONE, "size": -1}}),
    "a size of 2^70": manifest({"result.json": {**ONE, "size": 2**70}}),
    "a size of text": manifest({"result.json": {**ONE, "size": "1"}}),
    "a hash of another form": manifest({"result.json": {**ONE, "sha256": "md5"}}),
    "100,000 files": manifest({f"f{n}": ONE for n in range(100_000)}),
    "another schema": manifest({"result.json": ONE}, schema=9),
    "a manifest 100,000 levels deep": text(MANIFEST, "[" * 100_000),
    "a manifest of 17 MB": text(MANIFEST, " " * 17_000_000),
    "a manifest that is a link": link(MANIFEST, "../../../canary"),
    "a result that is a device": link("result.json", "/dev/zero"),
    "weights that are a file of 1 TB": sparse,
    "weights that are a pipe": pipe,
    "a folder that is a link": folder_outside,
}
CASES = [
    *((f"sealed: {what}", spoil, True) for what, spoil in SEALED.items()),
    *((f"manifest: {what}", spoil, False) for what, spoil in UNSEALED.items()),
]


def read_all(out: Path) -> str:
    """Read what is listed; what is said of the hostile run."""
    listing = list_runs(out)
    ids = [result["id"] for result in listing.results]
    assert "ef56" in ids and read_run(out, "GunPoint", "ef56") is not None
    said = " ".join(each.problem for each in listing.damaged if each.path.name == "ab12")
    if listing.older:
        said += "older"
    if "ab12" in ids:
        try:
            found = read_run(out, "GunPoint", "ab12")
        except TsdistillError as error:
            return f"refused: {error}"
        said += "set aside" if found is None else ""
    return f"left out: {said}" if said else "accepted"


@pytest.mark.parametrize(
    ("spoil", "sealed"),
    [case[1:] for case in CASES[::EVERY]],
    ids=[case[0] for case in CASES[::EVERY]],
)
def test_a_hostile_record_is_left_out_in_one_line(
    bounded: Any, canary: Path, tmp_path: Path, spoil: Spoil, sealed: bool
) -> None:
    out = tmp_path / "out"
    folder = write(out, "ab12")
    write(out, "ef56")
    spoil(folder)
    if sealed:
        seal(folder)
    told = bounded(lambda: read_all(out))
    assert told.startswith(("left out: ", "refused: ")) and "\n" not in told and len(told) < 500
    assert canary.read_text() == "untouched"
    assert {path.name for path in tmp_path.iterdir()} <= {".told", "canary", "out", "outside"}


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
entries = st.fixed_dictionaries(
    {},
    optional={
        "sha256": leaves | st.from_regex("[0-9a-f]{64}", fullmatch=True),
        "size": leaves | st.integers(-1, 2**34),
        "more": leaves,
    },
)
manifests = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
) | st.fixed_dictionaries(
    {
        "schema": leaves | st.just(1),
        "files": leaves | st.dictionaries(st.sampled_from(sorted(FILES)) | st.text(max_size=12), entries),
    }
)


@pytest.fixture(scope="module")
def hostile_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a record that every example spoils anew."""
    return write(tmp_path_factory.mktemp("any") / "out", "ab12")


@settings(max_examples=1000 if LONG else 60, deadline=None)
@given(found=manifests.map(json.dumps) | st.text(max_size=60))
def test_any_manifest_but_the_record_s_own_is_told_in_a_line(hostile_record: Path, found: str) -> None:
    (hostile_record / MANIFEST).write_text(found, encoding="utf-8", errors="surrogatepass")
    problem = problem_with(Folder(hostile_record))
    assert problem and "\n" not in problem and len(problem) < 500
    assert not list_runs(hostile_record.parents[2]).results
    assert {path.name for path in hostile_record.parents[3].iterdir()} == {"out"}


@settings(max_examples=600 if LONG else 40, deadline=None)
@given(name=st.sampled_from(sorted(RESULT)), value=manifests | leaves)
def test_any_result_is_listed_or_told_in_a_line(hostile_record: Path, name: str, value: object) -> None:
    in_result(**{**RESULT, name: value})(hostile_record)
    seal(hostile_record)
    listing = list_runs(hostile_record.parents[2])
    told = [each.problem for each in listing.damaged]
    assert len(told) + len(listing.results) + listing.older == 1
    assert all("\n" not in problem and len(problem) < 500 for problem in told)


NAMES = {
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "TeX": "\\input{/etc/passwd}\\write18{rm canary}$_^&%#{}",
    "CSV": "=cmd|' /C calc'!A0",
    "a terminal": "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e",
    "markup": "[red]x[/red][link=file:///etc/passwd]y[/link]",
    "a format": "{0.__class__}%s%n",
    "a path": "../../canary",
}


PLACES = ("method", "student", "teacher", "flag", "setting", "stage", "fact")
ALIKE = {what: dict.fromkeys(PLACES, name) for what, name in NAMES.items()} if LONG else {}
SHOWN = {"one in each place": dict(zip(PLACES, NAMES.values(), strict=True)), **ALIKE}


@pytest.mark.parametrize("names", SHOWN.values(), ids=SHOWN)
def test_a_name_does_nothing_where_it_is_shown(
    bounded: Any, canary: Path, tmp_path: Path, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    folder = write(out, "ab12")
    settings = {**RESULT["settings"], names["setting"]: names["setting"]}
    shown = {place: names[place] for place in ("method", "student", "teacher")}
    in_result(**shown, flags=[names["flag"]], settings=settings)(folder)
    text("curve.csv", HEAD + f'"{names["stage"]}",1,loss,1\n')(folder)
    text("environment.json", json.dumps({names["fact"]: names["fact"]}))(folder)
    seal(folder)
    monkeypatch.setattr("sys.argv", [])

    def show() -> str:
        import contextlib
        import io

        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            for words in ((), ("id=ab12",), ("format=csv",)):
                assert cli.run("runs", (f"out={out}", *words)) == 0, said.getvalue()
            assert cli.run("report", (f"out={out}", "figures=false")) == 0, said.getvalue()
        return said.getvalue()

    told = bounded(show)
    assert "escaped" not in told, told
    assert "internal error" not in told and "method" in told
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(told)
    page = (out / "report" / "report.html").read_text()
    assert "<script>alert(1)" not in page and "<img src=x" not in page
    tables = list((out / "report" / "tables").glob("*.tex"))
    assert tables and not any("\\input{/etc" in table.read_text() for table in tables)
    assert ",=cmd" not in told and ",=cmd" not in (out / "report" / "runs.csv").read_text()
    assert canary.read_text() == "untouched"
    assert {path.name for path in tmp_path.iterdir()} == {".told", "canary", "out"}

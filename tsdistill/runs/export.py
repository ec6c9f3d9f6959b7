"""``tsdistill export``: a stored student in a form of its own, checked before it is written."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsdistill.config.schema import ExportConf, ExportFormat, Weights
from tsdistill.console import say
from tsdistill.data.load import read_raw
from tsdistill.data.raw import RawPart
from tsdistill.data.types import FloatArray
from tsdistill.deploy.bundle import STUDENT, read_bundle, write_bundle
from tsdistill.deploy.c.compiled import compiled
from tsdistill.deploy.c.header import write_header
from tsdistill.deploy.graph import StepGraph
from tsdistill.deploy.onnx import need_packages, session, step_graph, step_logits, whole_graph, whole_logits
from tsdistill.errors import TsdistillError
from tsdistill.evaluation.predict import predict
from tsdistill.runs.load import Restored, restore
from tsdistill.store.artefact import replaced_whole, safe_name, staged

ENDINGS = {ExportFormat.torch: "", ExportFormat.onnx: ".onnx", ExportFormat.c: ".h"}
REPEATS = 200
"""Passes of one series that latency is the mean of."""


@dataclass(frozen=True)
class Checked:
    """What an exported student answered on the test part.

    Attributes:
        logits: (n, K).
        milliseconds: time of one series, on this machine.
        size: bytes of what is written.
    """

    logits: FloatArray
    milliseconds: float
    size: int


def export(conf: ExportConf) -> Path:
    """Export the student that settings name, if it still answers as it is stored.

    Returns:
        What was written.

    Raises:
        TsdistillError: no such student, a form that it can't have, or answers that are not the stored ones.
    """
    if conf.weights is not Weights.float32 and conf.format is not ExportFormat.c:
        raise TsdistillError(f"weights={conf.weights.value}: only format=c has such weights")
    found = restore(conf)
    about = found.student.about
    name = "-".join(safe_name(str(about[key])) for key in ("dataset", "student", "run"))
    to = Path(conf.to).expanduser() if conf.to else Path(f"{name}{ENDINGS[conf.format]}")
    ways: dict[ExportFormat, Callable[[ExportConf, Restored, Path], Checked]] = {
        ExportFormat.torch: _export_torch,
        ExportFormat.onnx: _export_onnx,
        ExportFormat.c: _export_c,
    }
    checked = ways[conf.format](conf, found, to)
    say(f"{to}: {_told(found, checked)}")
    return to


def _told(found: Restored, checked: Checked) -> str:
    agreement, difference = _held(found, checked.logits)
    right = float((checked.logits.argmax(axis=1) == found.test_y).mean())
    was = float((found.test_logits.argmax(axis=1) == found.test_y).mean())
    return (
        f"{checked.size:,} bytes; on {len(found.test_y)} test series agreement {agreement:.4f} with the "
        f"stored student, largest difference of a logit {difference:.1e}, "
        f"accuracy {right:.4f} (stored {was:.4f}); {checked.milliseconds:.3f} ms a series here"
    )


def _held(found: Restored, logits: FloatArray) -> tuple[float, float]:
    """Agreement with the stored student, and the largest difference of a logit."""
    same = logits.argmax(axis=1) == found.test_logits.argmax(axis=1)
    return float(same.mean()), float(np.abs(logits - found.test_logits).max())


def _refuse_others(found: Restored, logits: FloatArray, what: str) -> None:
    """Refuse a form that does not answer as the stored student does.

    Raises:
        TsdistillError: a test series has another class, or no answer.
    """
    bad = ~(logits.argmax(axis=1) == found.test_logits.argmax(axis=1)) | ~np.isfinite(logits).all(axis=1)
    if bad.any():
        raise TsdistillError(
            f"the {what} gives another answer than the stored student on {bad.sum()} of {len(bad)} test "
            f"series, the first of them series {int(bad.argmax()) + 1}; nothing was written"
        )


def raw_test(found: Restored) -> RawPart:
    """The test series before any preprocessing."""
    job = found.job
    root = None if job.conf.data_root is None else Path(job.conf.data_root)
    return read_raw(job.conf.dataset, root, job.out / "data").test


def _milliseconds(work: Callable[[], object], times: int) -> float:
    """Mean time of one of ``times`` passes, after one that warms up."""
    work()
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) * 1e3 / times


def _export_torch(conf: ExportConf, found: Restored, to: Path) -> Checked:
    """A folder that ``tsdistill.load`` reads."""
    if to.exists() and not (to.is_dir() and (to / STUDENT).is_file()):
        raise TsdistillError(f"to={to}: something else is there; name another folder")
    with staged(to, replace=True) as folder:
        write_bundle(folder, found.student)
        student = read_bundle(folder)
        part, _ = student.preparation(raw_test(found), "test")
        logits = student.logits(part)
        _refuse_others(found, logits, "exported folder")
        one = part.rows(np.array([0]))
        spent = _milliseconds(lambda: predict(student.model, one.x, one.lengths), REPEATS)
        size = sum(path.stat().st_size for path in folder.iterdir())
    return Checked(logits, spent, size)


def _export_onnx(conf: ExportConf, found: Restored, to: Path) -> Checked:
    """A graph for onnxruntime: of whole series, or of one step and its state."""
    need_packages()
    student, raw = found.student, raw_test(found)
    one = RawPart(raw.values[:1], raw.lengths[:1], raw.labels[:1])
    if conf.stream:
        graph = step_graph(student)
        running, steps = session(graph), StepGraph(student)
        logits = step_logits(running, steps, raw)
        spent = _milliseconds(lambda: step_logits(running, steps, one), REPEATS)
    else:
        length = student.preparation.length
        graph = whole_graph(student)
        running = session(graph)
        logits = whole_logits(running, raw, length)
        spent = _milliseconds(lambda: whole_logits(running, one, length), REPEATS)
    _refuse_others(found, logits, "graph")
    with replaced_whole(to) as path:
        path.write_bytes(graph)
    return Checked(logits, spent, len(graph))


def _export_c(conf: ExportConf, found: Restored, to: Path) -> Checked:
    """A C99 header."""
    student, raw = found.student, raw_test(found)
    if (raw.lengths != raw.lengths[:, :1]).any():
        raise TsdistillError("format=c: channels of one series differ in length, which the header can't read")
    int8 = conf.weights is Weights.int8
    header = write_header(student, conf.window, int8=int8)
    with compiled(header, len(student.classes), student.preparation.length) as library:
        logits = library.logits(raw)
        if not int8:
            _refuse_others(found, logits, "header")
        spent = _milliseconds(lambda: library.repeat(raw, REPEATS), 1) / REPEATS
    with replaced_whole(to) as path:
        path.write_text(header, encoding="utf-8")
    stream = student.preparation.needs_whole_series()
    if stream:
        say(f"{to}: no tsd_step: {stream}")
    return Checked(logits, spent, len(header.encode()))

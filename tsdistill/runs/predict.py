"""``tsdistill predict``: a stored student's answers on new series."""

import csv
import io
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsdistill.config.schema import Answers, PredictConf, StudentChoiceConf
from tsdistill.console import said_on_stderr, say
from tsdistill.data.text import is_number
from tsdistill.data.types import FloatArray
from tsdistill.data.unlabelled import check_there, read_unlabelled
from tsdistill.deploy.bundle import STUDENT
from tsdistill.deploy.student import Student, probabilities
from tsdistill.errors import TsdistillError, visible, visible_json
from tsdistill.runs.load import load, restore
from tsdistill.store.artefact import replaced_whole

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Predictions:
    """Answers on N series.

    Attributes:
        names: of the series, (N,).
        classes: (K,).
        probabilities: (N, K).
        saliency: (N, T), or None if it was not asked for.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: FloatArray
    saliency: FloatArray | None

    @property
    def labels(self) -> list[str]:
        """The most probable class of each series, by name."""
        return [self.classes[k] for k in self.probabilities.argmax(axis=1)]


def predict(conf: PredictConf) -> None:
    """Answer on the series of a file or a pipe; messages go to standard error, answers where ``to`` says.

    Raises:
        TsdistillError: no input, a file that can't be read, or no student that can be chosen.
    """
    if not conf.input:
        raise TsdistillError("input is not set: name a file with series, or input=- for standard input")
    form = _form(conf)
    check_there(conf.input)
    with said_on_stderr():
        student = _student(conf)
        about = student.about
        say(
            f"answers of run {about['run']}: {about['dataset']} {about['method']} {about['student']} "
            f"seed {about['seed']}"
        )
        began = time.perf_counter()
        raw = read_unlabelled(conf.input, student.columns, student.preparation.length, conf.labelled)
        part, notes = student.preparation(raw, f"input={conf.input}")
        for note in notes:
            say(f"input={conf.input}: {note}")
        found = Predictions(
            raw.labels,
            student.classes,
            probabilities(student.logits(part)),
            student.saliency(part, conf.window) if conf.explain else None,
        )
        _write(found, form, conf.to)
        where = f" to {conf.to}" if conf.to else ""
        say(f"{len(part)} series answered{where} in {time.perf_counter() - began:.1f} s")


def _student(conf: StudentChoiceConf) -> Student:
    """The student that settings name; ``run`` may also be an exported student's folder."""
    if conf.run is not None and (Path(conf.run).expanduser() / STUDENT).is_file():
        return load(conf.run, allow_code=conf.allow_code)
    return restore(conf).student


def _form(conf: PredictConf) -> Answers:
    """The form of the answers: as told, or by the ending of the file, or CSV."""
    ending = Path(conf.to).suffix[1:] if conf.to else "csv"
    form = conf.format
    if form is None:
        if ending not in Answers.__members__:
            raise TsdistillError(f"to={conf.to}: end it in .csv, .jsonl or .npz, or say format=csv|jsonl|npz")
        form = Answers[ending]
    if form is Answers.npz and not conf.to:
        raise TsdistillError("format=npz needs a file: add to=answers.npz")
    return form


def _write(found: Predictions, form: Answers, to: str | None) -> None:
    writers = {Answers.csv: as_csv, Answers.jsonl: as_json_lines}
    if form is not Answers.npz and not to:
        sys.stdout.write(writers[form](found))
        sys.stdout.flush()
        return
    assert to is not None
    with replaced_whole(Path(to).expanduser()) as path:
        if form is Answers.npz:
            with path.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **_arrays(found))
        else:
            path.write_text(writers[form](found), encoding="utf-8", newline="")


def as_csv(found: Predictions) -> str:
    """One row a series: its name, its label, its probabilities, and perhaps its saliency by step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    steps = 0 if found.saliency is None else found.saliency.shape[1]
    writer.writerow(
        ["series", "label", *(_plain(f"p_{name}") for name in found.classes)]
        + [f"saliency_{step}" for step in range(1, steps + 1)]
    )
    numbers = _numbers(found)
    for name, label, row in zip(found.names, found.labels, numbers, strict=True):
        writer.writerow([_plain(name), _plain(label), *row])
    return text.getvalue()


def _numbers(found: Predictions) -> list[list[str]]:
    """Probabilities and saliency of each series as text of seven digits."""
    blocks = [found.probabilities] if found.saliency is None else [found.probabilities, found.saliency]
    return [[f"{value:.7g}" for value in row] for row in np.concatenate(blocks, axis=1).tolist()]


def _plain(text: str) -> str:
    """Text that commands neither a spreadsheet nor a terminal; a number is no formula."""
    neutral = f"'{text}" if text.startswith(_FORMULA) and not is_number(text) else text
    return visible(neutral)


def as_json_lines(found: Predictions) -> str:
    """One JSON object a series: ``series``, ``label``, ``probabilities`` by class, perhaps ``saliency``."""
    lines = []
    for at, (name, label) in enumerate(zip(found.names, found.labels, strict=True)):
        line: dict[str, Any] = {"series": name, "label": label}
        line["probabilities"] = _by_class(found, at)
        if found.saliency is not None:
            line["saliency"] = [float(f"{value:.7g}") for value in found.saliency[at]]
        lines.append(visible_json(json.dumps(line, ensure_ascii=False)) + "\n")
    return "".join(lines)


def _by_class(found: Predictions, at: int) -> dict[str, float]:
    values = found.probabilities[at].tolist()
    return {name: float(f"{value:.7g}") for name, value in zip(found.classes, values, strict=True)}


def _arrays(found: Predictions) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "series": np.array(found.names, dtype=np.str_),
        "label": np.array(found.labels, dtype=np.str_),
        "classes": np.array(found.classes, dtype=np.str_),
        "probabilities": found.probabilities,
    }
    return arrays if found.saliency is None else {**arrays, "saliency": found.saliency}

"""A teacher that cannot run here: its answers are read from a file.

``tsdistill ask`` writes the questions into a folder: ``questions.npz``, ``questions.csv`` and ``index.json``,
which says what was asked. The answers lie beside them, one row for each question in the same order:

- ``*.csv``: a header of ``id`` and the classes as ``index.json`` writes them; each row the id of the question
  and one probability, or one logit, for each class;
- ``*.npz``: ``id`` (Q,), ``classes`` (K,), and ``probabilities`` or ``logits`` (Q, K).
"""

import csv
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tsdistill.errors import TsdistillError
from tsdistill.methods.base import Need
from tsdistill.store.formats import read_json
from tsdistill.teachers.base import FitTask, Teacher
from tsdistill.teachers.labels import hold_against_labels
from tsdistill.teachers.reading import LEAST, Reading, sums_to_one

QUESTIONS, TABLE, INDEX = "questions.npz", "questions.csv", "index.json"
MOSTLY = 0.9
"""Share of a table's rows that must sum to 1 for it to hold probabilities; other rows are then at fault."""


def name_of(x: NDArray[np.float32], length: int | None) -> bytes:
    """What a series is known by: a hash of its values, (C, T), and of its true length if it is padded."""
    return hashlib.sha256(np.ascontiguousarray(x).tobytes() + str(length).encode()).digest()


@dataclass(frozen=True)
class AnswerFile:
    """A file of answers, as read.

    Attributes:
        path: where it lies.
        ids: of the questions, as written.
        classes: labels of the columns, as written.
        values: (Q, K) float64.
        form: ``probabilities`` or ``logits``; None where the file does not say.
    """

    path: Path
    ids: Sequence[str]
    classes: Sequence[str]
    values: NDArray[np.float64]
    form: str | None

    @classmethod
    def read(cls, path: Path) -> "AnswerFile":
        """Read ``*.csv`` or ``*.npz``.

        Raises:
            TsdistillError: it can't be read; names the row.
        """
        if path.suffix not in (".csv", ".npz"):
            raise TsdistillError(f"teacher.path={path} should end in .csv or .npz")
        try:
            return _read_csv(path) if path.suffix == ".csv" else _read_npz(path)
        except OSError as error:
            raise TsdistillError(f"teacher.path={path} can't be read: {error.strerror or error}") from error

    def check(self, questions: int, classes: Sequence[str]) -> None:
        """Hold number, order, classes and values against what was asked.

        Raises:
            TsdistillError: names the first row at fault.
        """
        if list(self.classes) != list(classes):
            raise self._wrong(
                f"its classes are {list(self.classes)}, and should be {list(classes)}, in this order"
            )
        for row, found in enumerate(self.ids[:questions]):
            if str(found) != str(row):
                raise self._wrong(f"row {row + 1} answers question {found}, and should answer question {row}")
        if len(self.ids) != questions:
            missing = f"; that to question {len(self.ids)} is missing" if len(self.ids) < questions else ""
            raise self._wrong(f"it holds {len(self.ids)} answers to {questions} questions{missing}")
        self._check_row((~np.isfinite(self.values)).any(axis=1), "is not finite")

    def logits(self) -> tuple[NDArray[np.float64], list[str]]:
        """Logits (Q, K), and what is worth telling of them.

        Raises:
            TsdistillError: some rows are no probabilities where the others are; names the first.
        """
        sound = sums_to_one(self.values)
        probable = sound.mean() >= MOSTLY if self.form is None else self.form == "probabilities"
        if not probable:
            return self.values, ["its answers are logits"]
        self._check_row(~sound, "is no probabilities: they should be 0 or more and sum to 1")
        found, raised = Reading("probabilities").logits(self.values)
        clipped = f"; {raised:,} of {len(found):,} held one below {LEAST:g}, which was raised to it"
        return found, [f"its answers are probabilities{clipped if raised else ''}"]

    def _check_row(self, wrong: Any, what: str) -> None:
        rows = np.flatnonzero(wrong)
        if len(rows):
            row = int(rows[0])
            raise self._wrong(f"row {row + 1} (question {row}) {what}: {self.values[row].tolist()}")

    def _wrong(self, what: str) -> TsdistillError:
        return TsdistillError(f"{self.path}: {what}")


def _read_csv(path: Path) -> AnswerFile:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TsdistillError(f"{path} should be a table of UTF-8 text: {error}") from error
    if not rows or rows[0][0] != "id":
        raise TsdistillError(f"{path}: the first line should be the header id,CLASS,CLASS,...")
    header, *rows = rows
    values = np.empty((len(rows), len(header) - 1))
    for number, row in enumerate(rows):
        try:
            values[number : number + 1] = np.array([row[1:]], dtype=np.float64).reshape(1, len(header) - 1)
        except ValueError as error:
            raise TsdistillError(
                f"{path}: row {number + 1} should hold an id and {len(header) - 1} numbers: "
                f"{','.join(row)[:80]}"
            ) from error
    return AnswerFile(path, [row[0] for row in rows], header[1:], values, None)


def _read_npz(path: Path) -> AnswerFile:
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        [form] = {"probabilities", "logits"} & set(arrays)
        values = arrays[form].astype(np.float64)
        ids, classes = arrays["id"].astype(str).tolist(), arrays["classes"].astype(str).tolist()
    except (ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise TsdistillError(
            f"{path} should hold the arrays id, classes and either probabilities or logits, without objects"
        ) from error
    if values.shape != (len(ids), len(classes)):
        raise TsdistillError(
            f"{path}: {form} has shape {values.shape}, and should have {(len(ids), len(classes))}"
        )
    return AnswerFile(path, ids, classes, values, form)


class AnswersTeacher(Teacher):
    """The answers in a file to the questions of ``tsdistill ask``, which lie in the same folder.

    Args:
        path: the file, ``*.csv`` or ``*.npz``.
    """

    provides: ClassVar[frozenset[Need]] = frozenset({"teacher_logits", "windows"})

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._rows: dict[bytes, int] = {}
        self._logits = torch.empty(0, 0)
        self._told: list[str] = []

    def fit(self, task: FitTask) -> Mapping[str, Any]:
        """Read the file, and check it."""
        folder = self._path.parent
        try:
            index = read_json(folder / INDEX)
            with np.load(folder / QUESTIONS, allow_pickle=False) as found:
                x, lengths = found["x"], found["lengths"]
            classes = [str(label) for label in index["classes"]]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise TsdistillError(
                f"{folder} should hold {QUESTIONS} and {INDEX} as `tsdistill ask` writes them, "
                "beside the answers"
            ) from error
        answers = AnswerFile.read(self._path)
        answers.check(len(x), classes)
        logits, self._told = answers.logits()
        known = [None] * len(x) if not len(lengths) else lengths.tolist()
        self._rows = {
            name_of(one, length): row for row, (one, length) in enumerate(zip(x, known, strict=True))
        }
        self._logits = torch.from_numpy(logits).float()
        train = task.parts["train"]
        found_logits = self.logits(train.x, train.lengths).cpu().numpy()
        accuracy, note = hold_against_labels(found_logits, train.y.cpu().numpy(), task.classes)
        self._told.append(note)
        return {"in_sample_accuracy": accuracy}

    def logits(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """See ``Teacher``; only series that were asked have an answer."""
        values = x.cpu().numpy()
        known = [None] * len(x) if lengths is None else lengths.tolist()
        rows = [self._rows.get(name_of(one, length)) for one, length in zip(values, known, strict=True)]
        if None in rows:
            raise TsdistillError(
                f"{self._path} has no answer to {rows.count(None)} of {len(rows)} series; only what "
                "`tsdistill ask` wrote is answered: repeat it with this run's dataset, split and saliency"
            )
        return self._logits[torch.tensor(rows)].to(x.device)

    def notes(self) -> list[str]:
        """See ``Teacher``."""
        told, self._told = self._told, []
        return told

    def state(self) -> Mapping[str, Tensor]:
        """The answers by the hashes of their series."""
        names = np.frombuffer(b"".join(self._rows), dtype=np.uint8).reshape(-1, 32)
        rows = torch.tensor(list(self._rows.values()))
        return {"series": torch.from_numpy(names.copy()), "logits": self._logits[rows]}

    def restore(self, state: Mapping[str, Tensor], task: FitTask) -> None:
        """See ``Teacher``; the file is not read again."""
        self._rows = {bytes(name): row for row, name in enumerate(state["series"].numpy())}
        self._logits = state["logits"]

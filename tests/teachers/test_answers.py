"""Answers from a file: what a whole one gives, and the row at which a wrong one is refused."""

import json

import numpy as np
import pytest
import torch

from tsdistill.errors import TsdistillError
from tsdistill.teachers.answers import INDEX, QUESTIONS, AnswersTeacher
from tsdistill.testing.teachers import _task

TASK = _task(0)
X = torch.cat([TASK.parts["train"].x, TASK.parts["validation"].x]).numpy()
Y = torch.cat([TASK.parts["train"].y, TASK.parts["validation"].y]).numpy()
CLASSES = ["walk", "2", "10"]
P = np.where(np.eye(3)[Y] > 0, 0.5, 0.25)


@pytest.fixture
def folder(tmp_path):
    np.savez(tmp_path / QUESTIONS, x=X, lengths=np.array([], dtype=np.int64))
    (tmp_path / INDEX).write_text(json.dumps({"classes": CLASSES}))
    return tmp_path


def table(values, ids=None, classes=CLASSES):
    ids = range(len(values)) if ids is None else ids
    rows = [",".join(map(str, [one, *row])) for one, row in zip(ids, values.tolist(), strict=True)]
    return "\n".join([f"id,{','.join(classes)}", *rows]) + "\n"


def fitted(path):
    teacher = AnswersTeacher(str(path))
    teacher.fit(TASK)
    return teacher


def test_probabilities_in_a_table_become_their_logarithms(folder):
    (folder / "a.csv").write_text(table(P))
    teacher = fitted(folder / "a.csv")
    assert teacher.logits(torch.from_numpy(X)).exp().numpy() == pytest.approx(P)
    assert teacher.notes() == ["its answers are probabilities", "accuracy 1.000 on the training part"]
    again = AnswersTeacher("gone.csv")
    again.restore(teacher.state(), TASK)
    assert torch.equal(again.logits(torch.from_numpy(X)), teacher.logits(torch.from_numpy(X)))


@pytest.mark.parametrize("form", ["logits", "probabilities"])
def test_arrays_say_what_they_are(folder, form):
    np.savez(folder / "a.npz", id=np.arange(len(X)), classes=np.array(CLASSES), **{form: P})
    found = fitted(folder / "a.npz").logits(torch.from_numpy(X[::-1].copy())).numpy()
    assert found == pytest.approx((P if form == "logits" else np.log(P))[::-1])


def test_logits_in_a_table_are_told_by_their_sums(folder):
    (folder / "a.csv").write_text(table(4 * P))
    assert fitted(folder / "a.csv").logits(torch.from_numpy(X)).numpy() == pytest.approx(4 * P)


def test_an_answer_is_that_to_the_series_and_its_length(folder):
    np.savez(folder / QUESTIONS, x=X, lengths=np.full(len(X), 20))
    (folder / "a.csv").write_text(table(P))
    with pytest.raises(
        TsdistillError, match="has no answer to 12 of 12 series; only what `tsdistill ask` wrote"
    ):
        fitted(folder / "a.csv")


def changed(row, value):
    values = P.copy()
    values[row] = value
    return values


WRONG = {
    "a missing answer": (
        table(np.delete(P, 7, 0), [*range(7), *range(8, len(X))]),
        "row 8 answers question 8, and should answer question 7",
    ),
    "the last is missing": (
        table(P[:-1]),
        "it holds 17 answers to 18 questions; that to question 17 is missing",
    ),
    "one too many": (table(np.vstack([P, P[:1]])), "it holds 19 answers to 18 questions"),
    "another order of rows": (
        table(P, [1, 0, *range(2, len(X))]),
        "row 1 answers question 1, and should answer question 0",
    ),
    "another order of classes": (
        table(P, classes=["2", "10", "walk"]),
        "its classes are ['2', '10', 'walk'], and should be ['walk', '2', '10'], in this order",
    ),
    "not finite": (table(changed(3, np.nan)), "row 4 (question 3) is not finite: [nan, nan, nan]"),
    "no probabilities": (
        table(changed(5, [0.5, 0.5, 0.5])),
        "row 6 (question 5) is no probabilities: they should be 0 or more and sum to 1: [0.5, 0.5, 0.5]",
    ),
    "text": (table(P).replace("0,0.5,", "0,half,", 1), "row 1 should hold an id and 3 numbers: 0,half,"),
    "a short row": (table(P) + "18,0.5\n", "row 19 should hold an id and 3 numbers: 18,0.5"),
    "no header": (table(P).partition("\n")[2], "the first line should be the header id,CLASS,CLASS,..."),
    "nothing": ("", "the first line should be the header id,CLASS,CLASS,..."),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_file_is_refused_with_the_row_at_fault(folder, fault):
    text, told = WRONG[fault]
    (folder / "a.csv").write_text(text)
    with pytest.raises(TsdistillError) as caught:
        fitted(folder / "a.csv")
    assert str(caught.value).startswith(f"{folder / 'a.csv'}: {told}") and "\n" not in str(caught.value)


def test_probabilities_of_the_wrong_classes_are_refused_with_the_right_order(folder):
    (folder / "a.csv").write_text(table(P[:, [1, 2, 0]]))
    with pytest.raises(TsdistillError, match=r"columns are those of the classes \[1, 2, 0\]"):
        fitted(folder / "a.csv")


def test_arrays_that_are_wrong_are_refused(folder):
    (folder / "cut.npz").write_bytes((folder / QUESTIONS).read_bytes()[:100])
    np.savez(folder / "few.npz", id=np.arange(len(X)), logits=P)
    np.savez(folder / "objects.npz", id=np.arange(3), logits=P, classes=np.array([{}], dtype=object))
    for name in ("cut", "few", "objects"):
        with pytest.raises(TsdistillError, match=f"{name}.npz should hold the arrays id, classes and either"):
            fitted(folder / f"{name}.npz")


@pytest.mark.parametrize("content", [b"\x00\x01\xfe" * 9, "id,walk,2,é".encode("latin-1"), b"9" * 200_000])
def test_what_is_no_table_of_text_is_refused_in_a_line(folder, content):
    (folder / "a.csv").write_bytes(content)
    with pytest.raises(TsdistillError, match=r"a.csv should be a table of UTF-8 text: ") as caught:
        fitted(folder / "a.csv")
    assert "\n" not in str(caught.value)


def test_answers_without_questions_or_of_another_kind_are_refused(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.csv"
    elsewhere.write_text(table(P))
    for path, told in {
        elsewhere: "should hold questions.npz and index.json",
        folder / "a.txt": "should end in",
    }.items():
        with pytest.raises(TsdistillError, match=told):
            fitted(path)

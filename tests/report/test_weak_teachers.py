"""A teacher that is not ahead of the plain student on validation is named under the tables."""

import pytest

from tsdistill.evaluation.worth import is_ahead
from tsdistill.report.options import Options
from tsdistill.report.write import write_report
from tsdistill.runs.worth import weak_teacher_note

from .conftest import make_record, store


@pytest.mark.parametrize(
    ("teacher", "plain", "ahead"), [(0.8, 0.7, True), (0.7, 0.7, False), (0.7, 0.8, False), (1.0, 1.0, True)]
)
def test_a_teacher_is_ahead_if_it_is_better_or_perfect(teacher, plain, ahead):
    assert is_ahead(teacher, plain) is ahead


def with_teacher(ap: float, **names):
    record = make_record(**names)
    return record | {"teacher_validation": {**record["validation"], "average_precision": ap}}


def runs_of(dataset: str, teacher_ap: float):
    plain = [
        with_teacher(teacher_ap, dataset=dataset, method="none", seed=seed, validation_ap=ap)
        for seed, ap in ((1, 0.7), (2, 0.9))  # a mean of 0.8
    ]
    return [*plain, with_teacher(teacher_ap, dataset=dataset, method="tsd", validation_ap=0.99)]


def test_the_report_names_the_data_sets(tmp_path):
    store(tmp_path, [*runs_of("Weak", 0.79), *runs_of("Strong", 0.81), make_record("Unknown", "none")])
    write_report(tmp_path, Options(figures=False))
    told = (tmp_path / "report" / "report.md").read_text()
    assert "no higher than the plain student's on 1 of 2 data sets (Weak)" in told


def test_without_plain_students_the_report_says_nothing(tmp_path):
    store(tmp_path, [run for run in runs_of("Weak", 0.1) if run["method"] != "none"])
    write_report(tmp_path, Options(figures=False))
    assert "On validation" not in (tmp_path / "report" / "report.md").read_text()


def test_a_run_says_so_when_comparable_plain_students_are_stored(tmp_path):
    *plain, distilled = runs_of("Weak", 0.79)
    assert weak_teacher_note(tmp_path, distilled) is None  # nothing is stored yet
    store(tmp_path, plain)
    note = weak_teacher_note(tmp_path, distilled)
    assert note is not None and "(0.790) is no higher than the plain student's (0.800)" in note
    other = distilled | {"settings": {**distilled["settings"], "training.epochs": 10}}
    assert weak_teacher_note(tmp_path, other) is None
    assert weak_teacher_note(tmp_path, distilled | {"teacher_validation": None}) is None

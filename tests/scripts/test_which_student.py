"""The tables of docs/which-student.md, against means worked out by hand."""

import pandas as pd
from which_student import by_dataset, quality


def run(student: str, dataset: str, seed: int, accuracy: float) -> dict[str, object]:
    metrics = {"test.average_precision": 0.5, "test.accuracy": accuracy, "test.agreement": 1.0}
    teacher = {"teacher_test.average_precision": 0.75, "teacher_test.accuracy": 0.9}
    return {"student": student, "method": "tsd", "dataset": dataset, "seed": seed, **metrics, **teacher}


def test_sets_count_alike_and_a_student_that_lacks_one_has_no_means() -> None:
    runs = [run("small", "A", 1, 0.2), run("small", "A", 24, 0.4), run("small", "B", 1, 0.9)]
    means = by_dataset(pd.DataFrame([*runs, run("large", "B", 1, 0.8)]))
    assert means.set_index(["student", "dataset"])["seeds"].to_dict() == {
        ("large", "B"): 1,
        ("small", "A"): 2,
        ("small", "B"): 1,
    }
    assert list(quality(means, ["small", "large"])) == [
        ["teacher", "", "0.750", "0.900", "", "0.900", "0.900"],
        ["small", "tsd", "0.500", "0.600", "1.000", "0.300", "0.900"],
        ["large", "tsd", "-", "-", "-", "-", "0.800"],
    ]

"""Records laid out as a frame, and what makes a row of its own."""

import pytest

from tsdistill.errors import TsdistillError
from tsdistill.report.records import as_records, frame_of_runs, kept_records, read_records
from tsdistill.store.listing import list_runs


def listed(out):
    return read_records({out: list_runs(out)})


def test_one_row_a_run_failed_ones_included(record, failure, stored):
    out = stored([record(seed=1), record(seed=24), failure(seed=300, error="RuntimeError: no memory")])
    runs = frame_of_runs(kept_records(listed(out), {}))
    assert list(runs["seed"]) == [1, 24, 300]
    assert list(runs["status"]) == ["ok", "ok", "failed"]
    assert runs["error"].iloc[2] == "RuntimeError: no memory"
    assert runs["test.average_precision"].iloc[0] == 0.8
    assert runs["config"].iloc[0] == "method.lam=1.0"


def test_a_failure_that_succeeded_later_is_forgotten(record, failure, stored):
    runs = frame_of_runs(kept_records(listed(stored([failure(), record()])), {}))
    assert list(runs["status"]) == ["ok"]


def test_settings_outside_the_grid_make_a_row_of_their_own(record):
    runs = frame_of_runs(
        as_records(
            [
                record(method="tsd", settings={"saliency.perturbations": 50}),
                record(method="tsd", seed=2, settings={"saliency.perturbations": 16}),
                record(
                    method="tsd", seed=3, trial=1, settings={"saliency.perturbations": 16, "method.lam": 9.0}
                ),
                record(method="kd"),
            ]
        ),
        tune="always",
    )
    assert set(runs["variant"]) == {
        "kd",
        "tsd [saliency.perturbations=16]",
        "tsd [saliency.perturbations=50]",
    }


def test_a_split_and_a_teacher_of_each_seed_are_no_settings_and_one_version(record):
    def run(seed, **settings):
        return {**record(seed=seed, settings=settings), "teacher_id": f"of-{settings}"}

    tied = frame_of_runs(as_records([run(s, **{"split.seed": s, "teacher.seeds": [s]}) for s in (1, 24)]))
    assert set(tied["variant"]) == {"kd"} and tied["version"].nunique() == 1
    fixed = frame_of_runs(as_records([run(s, **{"split.seed": 1}) for s in (1, 24)]))
    assert set(fixed["variant"]) == {"kd"} and set(fixed["version"]) == {"of-{'split.seed': 1}:"}
    crossed = frame_of_runs(as_records([run(s, **{"split.seed": split}) for s in (1, 2) for split in (1, 2)]))
    assert set(crossed["variant"]) == {"kd [split.seed=1]", "kd [split.seed=2]"}
    assert crossed["version"].nunique() == 2


def test_students_of_differing_teachers_of_one_name_are_kept_apart(record):
    def run(method, epochs, seed=1):
        return record(method=method, seed=seed, settings={"teacher.training.epochs": epochs})

    records = as_records([run("kd", 1), run("tsd", 60), run("none", 60), run("none", 1)])
    runs = frame_of_runs(records)
    assert set(zip(runs["teacher"], runs["method"], runs["variant"], strict=True)) == {
        ("fcn [teacher.training.epochs=1]", "kd", "kd"),
        ("fcn [teacher.training.epochs=1]", "none", "none"),
        ("fcn [teacher.training.epochs=60]", "tsd", "tsd"),
        ("fcn [teacher.training.epochs=60]", "none", "none"),
    }
    varied = frame_of_runs(records, vary=["teacher.training.epochs"])
    assert set(varied["teacher"]) == {"fcn"}
    alike = frame_of_runs(as_records([run("kd", 60), run("tsd", 60)]))
    assert set(alike["teacher"]) == {"fcn"}


def test_a_teacher_of_each_seed_keeps_its_name(record):
    runs = frame_of_runs(
        as_records(
            [record(method=m, seed=s, settings={"teacher.seeds": [s]}) for m in ("kd", "tsd") for s in (1, 2)]
        )
    )
    assert set(runs["teacher"]) == {"fcn"} and set(runs["variant"]) == {"kd", "tsd"}


def test_a_setting_that_is_absent_differs_from_one_that_is_there(record):
    runs = frame_of_runs(as_records([record(settings={"training.clip": 1.0}), record(seed=2)]))
    assert set(runs["variant"]) == {"kd [training.clip=1.0]", "kd [training.clip=unset]"}


def test_settings_of_the_data_are_compared_within_a_data_set(record):
    runs = frame_of_runs(
        as_records(
            [
                record("A", settings={"dataset.max_length": 100}),
                record("B", settings={"dataset.max_length": None}),
            ]
        )
    )
    assert set(runs["variant"]) == {"kd"}


def test_filters_narrow_and_misspelt_ones_are_told_the_nearest(record, stored):
    out = stored([record("CBF"), record("GunPoint", method="tsd"), record("GunPoint", method="none")])
    assert len(frame_of_runs(kept_records(listed(out), {"dataset": "GunPoint", "method": "tsd,none"}))) == 2
    with pytest.raises(TsdistillError, match="did you mean 'GunPoint'"):
        frame_of_runs(kept_records(listed(out), {"dataset": "GunPiont"}))
    with pytest.raises(TsdistillError, match="did you mean 'dataset'"):
        frame_of_runs(kept_records(listed(out), {"datasets": "CBF"}))
    with pytest.raises(TsdistillError, match="no stored run matches"):
        frame_of_runs(kept_records(listed(out), {"method": "tsd", "dataset": ["CBF"]}))


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(TsdistillError, match="no run records"):
        frame_of_runs(kept_records(listed(tmp_path), {}))


def test_undefined_metrics_are_nan(record, stored):
    runs = frame_of_runs(kept_records(listed(stored([record(kl=None), record(seed=2)])), {}))
    assert list(runs["test.kl"].isna()) == [True, False]


def test_what_evaluate_adds_stands_among_the_metrics_of_the_test_part(record):
    evaluated = record() | {
        "noise": {"agreement_snr20": 0.7, "settings": {"seed": 0}},
        "reasoning": {"saliency_spearman": 0.6, "settings": {"window": 0.1}},
    }
    runs = frame_of_runs(as_records([evaluated, record(seed=2)]))
    assert runs["test.agreement_snr20"].iloc[0] == 0.7
    assert runs["test.saliency_spearman"].iloc[0] == 0.6
    assert set(runs["variant"]) == {"kd"}

"""A table whose runs were made in different environments says so, with the counts."""

import json

from tsdistill.report.environments import mixed_environments, read_environment
from tsdistill.report.options import Options
from tsdistill.report.write import write_report
from tsdistill.store.records import run_folder

from .conftest import make_record, store


def test_only_what_can_move_a_number_is_named(tmp_path):
    environments = [
        {"torch": "2.13.0", "commit": "a", "cpu_capability": "AVX2"},
        {"torch": "2.13.0", "commit": "b", "cpu_capability": "AVX2"},
        {
            "torch": "2.12.0",
            "commit": "b",
            "cpu_capability": "AVX2",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "kernel_cpu": "znver3",
        },
    ]
    folders = []
    for number, facts in enumerate(environments):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "environment.json").write_text(json.dumps(facts))
        folders.append(str(folder))
    [note] = mixed_environments(folders)
    assert "torch (2.12.0: 1, 2.13.0: 2)" in note and "ONEDNN_MAX_CPU_ISA (SSE41: 1, unset: 2)" in note
    assert "kernel_cpu" not in note and "commit" not in note and "cpu_capability" not in note
    assert mixed_environments(folders[:2]) == () and mixed_environments([str(tmp_path)]) == ()


def test_it_stands_under_the_tables(tmp_path):
    records = [make_record(method=method, seed=seed) for method in ("kd", "tsd") for seed in (1, 2)]
    store(tmp_path, records)
    for record in records:
        folder = run_folder(tmp_path, record["dataset"], record["id"])
        capability = "AVX512" if record["seed"] == 2 else "AVX2"
        (folder / "environment.json").write_text(json.dumps({"cpu_capability": capability}))
    write_report(tmp_path, Options(figures=False))
    told = (tmp_path / "report" / "report.md").read_text()
    assert "cpu\\_capability (AVX2: 2, AVX512: 2)" in told or "cpu_capability (AVX2: 2, AVX512: 2)" in told


def test_a_damaged_environment_is_left_out_and_ends_no_report(tmp_path):
    for name, text in (("a", '{"cpu": "x"}'), ("b", ""), ("c", "[1]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "environment.json").write_text(text)
    assert [dict(read_environment(tmp_path / name)) for name in "abcd"] == [{"cpu": "x"}, {}, {}, {}]

"""A table whose runs were made in different environments says so, with the counts."""

from tsdistill.report.environments import mixed_environments
from tsdistill.report.options import Options
from tsdistill.report.write import write_report

from .conftest import make_record, store


def test_only_what_can_move_a_number_is_named():
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
    [note] = mixed_environments(environments)
    assert "torch (2.12.0: 1, 2.13.0: 2)" in note and "ONEDNN_MAX_CPU_ISA (SSE41: 1, unset: 2)" in note
    assert "kernel_cpu" not in note and "commit" not in note and "cpu_capability" not in note
    assert mixed_environments(environments[:2]) == () and mixed_environments([{}]) == ()


def test_it_stands_under_the_tables(tmp_path):
    records = [make_record(method=method, seed=seed) for method in ("kd", "tsd") for seed in (1, 2)]
    for seed, capability in ((1, "AVX2"), (2, "AVX512")):
        made = [record for record in records if record["seed"] == seed]
        store(tmp_path, made, {"cpu_capability": capability})
    write_report(tmp_path, Options(figures=False))
    told = (tmp_path / "report" / "report.md").read_text()
    assert "cpu\\_capability (AVX2: 2, AVX512: 2)" in told or "cpu_capability (AVX2: 2, AVX512: 2)" in told

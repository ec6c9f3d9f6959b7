"""The page's first sentences name what the tables mark as best, and nothing else."""

from tsdistill.report.assemble import assemble
from tsdistill.report.options import Options
from tsdistill.report.summary import summary


def _summary(records, stored):
    (line,) = summary(assemble([stored(records)], Options()))
    return line


def test_a_mean_that_lacks_data_sets_or_holds_a_collapsed_run_is_not_the_best(record, stored):
    records = [record(name, method, ap=ap) for name in "ABC" for method, ap in (("kd", 0.7), ("tsd", 0.6))]
    records += [record("A", "none", ap=0.99)]
    collapsed = [record(name, "fitnets", ap=0.9) for name in "ABC"]
    for each in collapsed:
        each["flags"] = ["collapsed"]
    line = _summary(records + collapsed, stored)
    assert line.startswith("fcn → lstm_8, 4 methods, 3 data sets, 1 seed. AP: best mean kd (0.700), ")
    assert "best average rank fitnets (1.00)" in line


def test_where_no_mean_is_whole_none_is_the_best(record, stored):
    line = _summary([record("A", "kd"), record("B", "tsd")], stored)
    assert line.endswith(
        "2 methods, 2 data sets, 1 seed. AP: no best mean, since each lacks data sets or holds a collapsed "
        "run; too few data sets for a test."
    )


def test_a_single_method_is_the_best_and_settings_are_told_from_methods(record, stored):
    settings = [record("A", "kd", settings={"saliency.window": width}) for width in (5, 10)]
    assert "2 methods and settings, 1 data set, 1 seed. AP: best mean" in _summary(settings, stored)

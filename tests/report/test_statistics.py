"""Statistics against published examples, values by hand and plain enumeration."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from tsdistill.errors import TsdistillError
from tsdistill.report.statistics import (
    average_ranks,
    cliques,
    compare_methods,
    friedman,
    holm,
    rank_biserial,
    resolve_reference,
    smallest_adjusted,
    smallest_p,
    wilcoxon_p,
)
from tsdistill.report.tables import statistics_table
from tsdistill.report.view import View

# AUC of four learners on 14 data sets: Demsar (2006), "Statistical comparisons of classifiers over multiple
# data sets", table 6, with its average ranks, Friedman statistic and (section 3.2.2) Holm's procedure. The
# two figures .975 of the last but one set are ranked 2 and 3 there, so a digit is added to the first.
DEMSAR = pd.DataFrame(
    {
        "C4.5": [763, 599, 954, 628, 882, 936, 661, 583, 775, 1000, 940, 619, 972, 957],
        "C4.5+m": [768, 591, 971, 661, 888, 931, 668, 583, 838, 1000, 962, 666, 981, 978],
        "C4.5+cf": [771, 590, 968, 654, 886, 916, 609, 563, 866, 1000, 965, 614, 975.1, 946],
        "C4.5+m+cf": [798, 569, 967, 657, 898, 931, 685, 625, 875, 1000, 962, 669, 975, 970],
    }
).div(1000)


def test_average_ranks_as_published():
    published = {"C4.5+m+cf": 1.964, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5": 3.143}
    ranks = average_ranks(DEMSAR)
    assert list(ranks) == list(published)
    assert ranks == pytest.approx(published, abs=5e-4)


def test_friedman_as_published_but_for_the_correction_for_ties():
    ranks = np.array(list(average_ranks(DEMSAR).values()))
    uncorrected = 12 * 14 / (4 * 5) * ((ranks**2).sum() - 4 * 5**2 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.005)
    within = np.array([rankdata(line) for line in DEMSAR.to_numpy()])
    ties = sum(
        (np.unique(line, return_counts=True)[1] ** 3 - np.unique(line, return_counts=True)[1]).sum()
        for line in within
    )
    statistic, p = friedman(DEMSAR)
    assert statistic == pytest.approx(uncorrected / (1 - ties / (14 * 4 * (4**2 - 1))))
    assert p < 0.05


def test_holm_as_published():
    adjusted = holm([0.607, 0.019, 0.016])
    assert adjusted == pytest.approx([0.607, 0.048, 0.048])
    assert [value < 0.05 for value in adjusted] == [False, True, True]


def test_holm_by_hand_never_falls_and_stops_at_one():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def _enumerated(differences):
    ranks = rankdata(np.abs(differences))
    observed = abs((ranks * np.sign(differences)).sum())
    sums = [abs(np.dot(ranks, signs)) for signs in product((-1, 1), repeat=len(ranks))]
    return np.mean([value >= observed - 1e-9 for value in sums])


@pytest.mark.parametrize(
    "differences",
    [
        [1, 2, 3, 4, 5, 6],
        [1, -2, 3, 4, -5, 6, 7],
        [0.1, 0.1, 0.1, -0.1, 0.2, 0.2],
        [1, 1, 1, 1, 1, 1],
        [2, -2],
        [1, -1, 2, 2, -2, 3, 3, 3, -3, -4, 4],
        [-5, -5, -5, 1, 1, -1, 2, -2, -2, 2, -3, -3, 3],
    ],
)
def test_wilcoxon_is_exact_for_few_sets_ties_or_not(differences):
    assert wilcoxon_p(differences) == pytest.approx(_enumerated(np.array(differences, dtype=float)))


def test_wilcoxon_leaves_out_zeros_and_rounding():
    assert wilcoxon_p([0.0, 0.0]) == 1.0
    assert wilcoxon_p([0.1 + 0.2 - 0.3, 1, 2, 3]) == pytest.approx(0.25)
    assert wilcoxon_p([1.0]) == 1.0


def test_six_sets_cannot_go_below_a_thirty_second():
    assert smallest_p(6) == wilcoxon_p([1, 2, 3, 4, 5, 6]) == pytest.approx(0.03125)
    assert smallest_p(0) == smallest_p(1) == 1.0


def test_six_sets_and_eight_methods_can_show_no_difference_after_holm():
    scores = pd.DataFrame(np.arange(48.0).reshape(6, 8), columns=list("abcdefgh"))
    found = compare_methods(scores, "average_precision", "h")
    assert smallest_adjusted(found.against_reference) == pytest.approx(7 / 32)
    assert smallest_adjusted(found.pairwise) == pytest.approx(28 / 32)
    assert [each.p_holm for each in found.against_reference] == pytest.approx([7 / 32] * 7)
    assert cliques(found) == [tuple("hgfedcba")]
    assert smallest_adjusted(()) == 1.0


def test_rank_biserial_by_hand():
    assert rank_biserial([1, 2, 3]) == 1.0
    assert rank_biserial([1, 2, -3]) == 0.0
    assert rank_biserial([1, -2, 3, -4]) == pytest.approx((1 - 2 + 3 - 4) / 10)
    assert rank_biserial([0.0]) == 0.0


def test_one_comparison_by_hand():
    scores = pd.DataFrame({"a": [0.9, 0.8, 0.7, 0.6], "b": [0.8, 0.8, 0.9, 0.5]})
    found = compare_methods(scores, "accuracy", "a").against_reference[0]
    assert (found.method, found.other, found.wins, found.ties, found.losses) == ("a", "b", 2, 1, 1)
    assert found.difference == pytest.approx(0.0)
    assert found.effect == pytest.approx((1.5 + 1.5 - 3) / 6)
    assert found.p == pytest.approx(1.0)
    assert found.p_smallest == 0.25


def test_a_lower_divergence_is_a_win():
    found = compare_methods(
        pd.DataFrame({"a": [0.1, 0.2], "b": [0.3, 0.4]}), "kl", "a", higher_is_better=False
    )
    assert found.ranks == {"a": 1.0, "b": 2.0}
    assert found.against_reference[0].wins == 2
    assert found.against_reference[0].effect == 1.0
    assert found.against_reference[0].difference == pytest.approx(-0.2)


def test_the_family_is_all_others_against_the_reference():
    rng = np.random.default_rng(0)
    scores = pd.DataFrame(
        {name: rng.normal(size=12) + shift for name, shift in zip("abcd", (0, 0, 1, 3), strict=True)}
    )
    found = compare_methods(scores, "x", "d")
    assert [each.other for each in found.against_reference] == [name for name in found.ranks if name != "d"]
    assert [each.p_holm for each in found.against_reference] == holm(
        [each.p for each in found.against_reference]
    )
    assert len(found.pairwise) == 6


def test_data_sets_that_a_method_lacks_do_not_count_and_rare_methods_are_left_out():
    scores = pd.DataFrame(
        {"a": [1.0, 2, 3, 4], "b": [2.0, 3, 4, np.nan], "rare": [1.0, np.nan, np.nan, np.nan]},
        index=list("wxyz"),
    )
    found = compare_methods(scores, "x", "a")
    assert found.datasets == ("w", "x", "y")
    assert found.left_out == ("rare",)
    assert compare_methods(scores[["a"]], "x", "a") is None


def test_cliques_join_neighbours_that_do_not_differ():
    base = np.arange(20) / 100
    noise = np.random.default_rng(1).normal(size=20) / 1000
    scores = pd.DataFrame({"good": base + 1, "near": base + 1 + noise, "mid": base + 0.5, "low": base})
    found = compare_methods(scores, "x", "good")
    assert [set(group) for group in cliques(found)] == [{"good", "near"}]


def test_the_reference_is_found_by_name():
    rows = ["none", "tsd [m=16]", "tsd [m=50]", "kd"]
    assert resolve_reference(None, rows) == "tsd [m=16]"
    assert resolve_reference("kd", rows) == "kd"
    assert resolve_reference(None, ["kd", "none"]) == "none"
    with pytest.raises(TsdistillError, match="several rows"):
        resolve_reference("tsd", rows)
    assert resolve_reference("kdd", ["kd", "none"]) is None


def test_a_reference_with_too_few_results_is_replaced_and_the_result_says_so():
    scores = pd.DataFrame({"a": [0.1, 0.2, 0.3], "b": [0.2, 0.3, 0.4], "tsd": [0.9, np.nan, np.nan]})
    found = compare_methods(scores, "average_precision", "tsd")
    assert (found.asked, found.reference, found.left_out) == ("tsd", "b", ("tsd",))
    notes = " ".join(statistics_table(found, ("fcn", "lstm"), "label", View()).notes)
    assert "tsd lacks results on more than half of the data sets, so the best-ranked method, b, is" in notes


# What aeon 1.6.0 makes of nine networks' accuracies on the 128 UCR sets (Ismail Fawaz et al. 2019, 2020),
# means over runs rounded to 12 decimals: create_multi_comparison_matrix with Wilcoxon two-sided, zero_method
# "wilcox" and no correction (mean difference, wins, ties, losses, p), and plot_critical_difference (ranks and
# bars; alpha 0.025, for its test is one-sided).
AEON_PAIRS = {
    ("inception", "resnet"): (0.02951516352394601, 78, 4, 46, 0.0005579697338687418),
    ("inception", "fcn"): (0.050156800245471866, 89, 6, 33, 5.741712715763333e-09),
    ("resnet", "fcn"): (0.020641636721525858, 84, 4, 40, 1.1135577110432394e-05),
    ("encoder", "cnn"): (-0.0019813627118643318, 70, 1, 57, 0.5816227430522054),
    ("encoder", "mlp"): (-0.003620469556554262, 59, 2, 67, 0.5211574071941665),
}
AEON_RANKS = {
    "inception": 2.2422,
    "resnet": 2.7852,
    "fcn": 3.4844,
    "encoder": 5.1211,
    "mlp": 5.1914,
    "cnn": 5.4453,
    "twiesn": 5.7578,
    "mcdcnn": 6.3008,
    "tlenet": 8.6719,
}
AEON_BARS = [("encoder", "mlp", "cnn", "twiesn"), ("twiesn", "mcdcnn")]


@pytest.mark.archive
def test_the_matrix_and_the_rank_diagram_are_those_of_a_trusted_library(archive_root):
    files = [
        archive_root / "published" / f"{name}-128.csv"
        for name in ("dl4tsc_results-ucr", "Inception_single_results")
    ]
    accuracy = pd.concat(map(pd.read_csv, files)).pivot_table(
        index="dataset_name", columns="classifier_name", values="accuracy"
    )
    found = compare_methods(accuracy.dropna().round(12), "accuracy", "inception")
    assert len(found.datasets) == 128
    assert found.ranks == pytest.approx(AEON_RANKS, abs=5e-5)
    assert cliques(found) == AEON_BARS
    pairs = {(each.method, each.other): each for each in found.pairwise}
    for pair, (difference, wins, ties, losses, p) in AEON_PAIRS.items():
        each = pairs[pair]
        assert each.difference == pytest.approx(difference, abs=1e-9)
        assert (each.wins, each.ties, each.losses) == (wins, ties, losses)
        assert each.p == pytest.approx(p, rel=1e-4)  # equal differences but for rounding


def test_the_table_tells_wins_in_the_matrixs_direction():
    scores = pd.DataFrame({"tsd": [0.9, 0.8, 0.7], "kd": [0.5, 0.9, 0.6]}, index=["A", "B", "C"])
    found = compare_methods(scores, "average_precision", "tsd")
    table = statistics_table(found, ("fcn", "lstm_8"), "one setting per method", View())
    row = next(row for row in table.rows if row[0].text == "kd")
    assert [cell.mean for cell in row[3:6]] == [1, 0, 2]  # kd wins on B
    assert row[6].mean == pytest.approx((-0.4 + 0.1 - 0.1) / 3)
    assert row[7].mean < 0
    assert any("of each method against tsd" in note for note in table.notes)

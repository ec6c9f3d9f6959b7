"""The study's statistics against values worked out by hand, and its choice of M against records made up."""

import math
from pathlib import Path

import pytest
from budget import bounds, document, figure, points, verdict
from budget.runs import check_protocol, frame, of_seeds, paired, scores
from scipy.stats import ttest_rel

from tsdistill.report.figures.style import style

ROOT = Path(__file__).parents[2]


def result(dataset="GunPoint", seed=0, ap=0.9, agreement=0.8, seconds=2.0, method="tsd", **changed):
    """A record as the store gives it, at the default point but for ``changed``."""
    settings = {"training.epochs": 200, "dataset.max_length": 100}
    if method == "tsd":
        settings |= {points.key_of(name): value for name, value in vars(points.Point(**changed)).items()}
        settings["method.lam"] = 1.0
    return {
        "method": method,
        "teacher": "fcn",
        "student": "lstm_8",
        "trial": 0,
        "dataset": dataset,
        "seed": seed,
        "settings": settings,
        "test": {"average_precision": ap, "agreement": agreement},
        "timing": {"train_seconds": seconds},
        "training": {"epochs": 200},
        "flags": [],
    }


def study(losses):
    """Two sets and two seeds; at each M of ``losses`` AP lies by so much below, agreement by twice it."""
    made = []
    for dataset in ("GunPoint", "ECG200"):
        for seed in (0, 1):
            for budget, loss in {50: 0.0, **losses}.items():
                lost = loss + (0.001 if seed else -0.001) * (budget != 50)
                one = result(dataset, seed, 0.9 - lost, 0.8 - 2 * lost, budget / 25, perturbations=budget)
                made.append(one)
    return frame(made)


def test_interval_by_hand():
    # Mean 2, variance 1, error 1/sqrt(3); the 97.5 % point of t with two degrees of freedom is 4.302653.
    found = bounds.interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.spread == 1.0
    assert found.n == 3
    assert found.low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert found.high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-6)


def test_p_is_that_of_the_paired_t_test():
    first, second = [0.9, 0.8, 0.85, 0.7], [0.88, 0.83, 0.8, 0.6]
    found = bounds.interval([a - b for a, b in zip(first, second, strict=True)])
    assert found.p == pytest.approx(ttest_rel(first, second).pvalue)


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.1, 0.0)])
def test_differences_without_spread(value, p):
    found = bounds.interval([value] * 4)
    assert (found.mean, found.low, found.high, found.p) == (value, value, value, p)


def test_a_single_pair_has_no_interval():
    found = bounds.interval([0.1])
    assert found.n == 1
    assert math.isnan(found.low) and math.isnan(found.p)
    assert str(found) == "-"


def test_pairs_have_the_same_set_and_seed():
    runs = frame(
        [
            result("GunPoint", 0, ap=0.5, perturbations=4),
            result("GunPoint", 1, ap=0.6, perturbations=4),
            result("ECG200", 0, ap=0.9, perturbations=4),
            result("ECG200", 0, ap=0.7, perturbations=50),
            result("GunPoint", 1, ap=0.5, perturbations=50),
        ]
    )
    first, second = (scores(runs, perturbations=b) for b in (4, 50))
    assert paired(first, second, "average_precision") == pytest.approx([0.2, 0.1])


def test_scores_keep_to_one_point():
    runs = frame(
        [
            result(ap=0.1),
            result(ap=0.2, pool_size=16),
            result(ap=0.3, tau=1),
            result(ap=0.4, method="none"),
            result(ap=0.5, mode="online"),
        ]
    )
    assert list(scores(runs)["average_precision"]) == [0.1]
    assert list(scores(runs, pool_size=16)["average_precision"]) == [0.2]
    assert list(scores(runs, tau=1)["average_precision"]) == [0.3]
    assert list(scores(runs, "none")["average_precision"]) == [0.4]
    assert list(scores(runs, mode="online")["average_precision"]) == [0.5]


@pytest.mark.parametrize(
    ("losses", "smallest"),
    [
        ({4: 0.0, 8: 0.0, 16: 0.0}, 4),
        ({4: 0.1, 8: 0.001, 16: 0.0}, 8),
        ({4: 0.1, 8: 0.012, 16: 0.0}, 16),  # AP is bounded at 8, agreement is not
        ({4: 0.1, 8: 0.1, 16: 0.1}, None),
    ],
)
def test_the_smallest_bounded_budget(losses, smallest):
    assert bounds.smallest_bounded(bounds.loss_bounds(study(losses))) == smallest


def test_the_conclusion_says_which_or_why_not():
    assert "smallest M whose loss is bounded is **8**" in verdict.conclusion(study({4: 0.1, 8: 0.0, 16: 0.0}))
    none = verdict.conclusion(study({4: 0.3, 8: 0.2, 16: 0.1}))
    assert "No M below 50 has a bounded loss. The best measured is **16**" in none
    assert "AP: the mean itself is below -0.02" in none
    assert "No run at M = 50 has a pair" in verdict.conclusion(frame([result(perturbations=4)]))


def test_pairs_needed_by_hand():
    # (1.96 * 0.1 / 0.02)^2 = 96.04
    assert bounds.pairs_needed(bounds.Interval(0.0, -0.05, 0.05, 1.0, 0.1, 20)) == 97
    assert bounds.pairs_needed(bounds.Interval(-0.02, -0.05, 0.01, 1.0, 0.1, 20)) is None


def test_time_is_the_median_of_paired_ratios():
    runs = study({4: 0.0})
    assert bounds.time_ratio(runs, scores(runs, perturbations=4)) == pytest.approx(4 / 50)


def test_seed_spread_is_pooled_within_sets():
    runs = frame(
        [
            result("GunPoint", 0, ap=0.1),
            result("GunPoint", 1, ap=0.3),
            result("ECG200", 0, ap=0.9),
            result("ECG200", 1, ap=0.9),
        ]
    )
    # Variances 0.02 and 0, mean 0.01.
    assert bounds.seed_spread(scores(runs), "average_precision") == pytest.approx(0.1)


def test_the_default_is_the_product_s():
    from omegaconf import OmegaConf

    conf = OmegaConf.load(ROOT / "conf" / "experiment" / "budget.yaml")
    params = conf.hydra.sweeper.params
    assert params["dataset.name"].split(",") == list(points.DATASETS)
    assert params["saliency.perturbations"] == ",".join(map(str, points.BUDGETS))
    assert params["seed"] == ",".join(map(str, points.SEEDS))
    # Factors are compared with what saliency=default and method=tsd say, whatever M they have.
    saliency = OmegaConf.load(ROOT / "conf" / "saliency" / "default.yaml")
    default = vars(points.Point())
    for name in ("pool_size", "window", "sampling", "mode"):
        assert saliency[name] == default[name]
    assert OmegaConf.load(ROOT / "conf" / "method" / "tsd.yaml").tau == default["tau"]


def test_every_sweep_names_its_factor():
    factors = points.sweeps("factors")
    assert [words[-1] for words in factors[1:]] == [
        "saliency.pool_size=16,32",
        "saliency.window=5,20",
        "method.tau=1,4,16",
        "saliency.sampling=stratified,antithetic",
        "saliency.mode=online",
    ]
    (more,) = points.sweeps("more")
    assert more[1:] == ["saliency.perturbations=16,50", "seed=" + ",".join(map(str, range(10, 40)))]
    assert points.sweeps("all") == [*points.sweeps("paired"), *factors, more]


def test_a_default_that_is_bounded_in_ap_alone_is_told_as_the_choice_it_is():
    made = [
        result("GunPoint", seed, 0.9, 0.8 - lost, perturbations=budget)
        for seed, loss in ((0, 0.1), (1, 0.3), (10, 0.1), (11, 0.2))
        for budget, lost in ((50, 0.0), (16, loss))
    ]
    told = verdict.further(frame(made))
    assert "the default would stay at 50. It is 16 all the same" in told


def test_further_seeds_leave_the_first_ones_table_alone_and_are_told_by_themselves():
    made = [
        result(dataset, seed, 0.9 - loss, 0.8, perturbations=budget)
        for dataset in ("GunPoint", "ECG200")
        for seed, lost in ((0, 0.01), (1, 0.03), (10, 0.002), (11, 0.004))
        for budget, loss in ((50, 0.0), (16, lost))
    ]
    runs = frame(made)
    assert bounds.more_bounds(runs, points.SEEDS)["average_precision"].mean == pytest.approx(-0.02)
    assert bounds.more_bounds(runs, points.MORE_SEEDS)["average_precision"].mean == pytest.approx(-0.003)
    assert "**is not bounded in both**: AP -0.01" in verdict.further(runs)
    assert "By the rule" not in verdict.further(runs)  # the interval of these few pairs is wide in AP too
    assert "(8 pairs)" in verdict.further(runs)
    first = of_seeds(runs, points.SEEDS)
    assert verdict.further(first) == ""
    assert "AP -0.020" in verdict.conclusion(first)


def test_records_of_another_protocol_are_refused():
    other = result(seed=1)
    other["settings"]["training.epochs"] = 2
    with pytest.raises(SystemExit, match=r"several protocols.*training.epochs"):
        check_protocol([result(), other])
    check_protocol([result(), result(method="none"), result(tau=1)])


def test_what_is_missing_is_counted():
    told = verdict.missing(study({4: 0.0}), failures=1)
    assert "36 at M = 4" in told
    assert "40 at M = 16" in told
    assert "12 at mode = online" in told
    assert "1 failed" in told
    # 4 points of 4 sets x 10 seeds and the plain student; 2 points x 30 seeds more; 10 values x 3 seeds.
    assert "8 of its 560 runs" in verdict.unfinished(study({4: 0.0}))


def test_the_document_and_figure_are_made_of_an_unfinished_study(tmp_path):
    from collections import Counter

    runs = study({4: 0.0, 8: 0.0})
    text = document.document(runs, Counter({("commit abc", "torch 2"): 12}), 0)
    assert "smallest M whose loss is bounded is **4**" in text
    assert "- 12 runs: commit abc, torch 2" in text
    with style():
        figure.save(figure.draw(runs), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"saliency-budget.svg", "saliency-budget.png"}

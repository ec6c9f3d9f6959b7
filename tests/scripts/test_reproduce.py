"""The experiments by name: what they compose to and what is said before they run."""

import pytest


@pytest.fixture
def experiment(monkeypatch):
    import reproduce

    def make(name, *words):
        found = reproduce.Experiment(name, list(words))
        monkeypatch.setattr(reproduce.Experiment, "_timed", lambda *_: 0.01)
        found.__dict__["teacher_seconds"] = 0.1
        return found

    return make


def test_the_papers_sets_and_settings(experiment):
    from tsdistill.data.names import PAPER

    for name, split_by_seed in (("paper", False), ("paper_as_released", True)):
        made = experiment(name)
        assert tuple(made.params["dataset.name"]) == PAPER
        assert made.runs == 2 * 8 * 5 * 5 and made.split_by_seed is split_by_seed
        conf = made.conf
        assert (conf.saliency.perturbations, conf.saliency.window, conf.dataset["max_length"]) == (
            50,
            10,
            100,
        )
        assert (conf.training.epochs, conf.training.patience, conf.training.lr) == (500, 50, 0.005)
        assert conf.student.model["init"] == conf.teacher.model["init"] == "torch"
        assert conf.training.schedule_by.value == ("step" if split_by_seed else "epoch")


def test_what_is_given_shortens_what_is_swept(experiment):
    made = experiment(
        "paper", "trial=0", "student=lstm_8", "seed=1,24", "dataset.name=CBF,Beef", "split.seed=3"
    )
    assert made.runs == 8 * 2 and made.params["dataset.name"] == ["CBF", "Beef"]
    assert made.params["trial"] == ["0"] and made.conf.split.seed == 3


def test_a_split_of_each_seed_has_a_teacher_of_that_seed():
    from measures.setting import composed

    conf = composed("experiment=paper_as_released", "seed=24")
    assert conf.split.seed == 24 and conf.teacher.seeds == [24]


def test_modern_has_every_method_that_its_teacher_can_teach(experiment):
    from tsdistill.config.resolve import conf_folder

    methods = {path.stem for path in (conf_folder() / "method").glob("*.yaml")}
    assert {name for name in experiment("modern").params["method"] if "+" not in name} == methods - {"memkd"}


def test_hours_by_hand(experiment):
    """All methods take 10 ms an epoch on 80 x 96: 500 epochs take 5 s, 400 runs 2000 s, 5 teachers 250 s."""
    from reproduce import Size

    made, size = experiment("paper"), Size(train=80, series=200, steps=96, classes=2)
    assert list(made.run_seconds(size).values()) == pytest.approx([5.0] * 16)
    assert made.hours(size) == pytest.approx((400 * 5 + 5 * 500 * 0.1) / 3600)
    assert experiment("paper_as_released").hours(size) == pytest.approx((400 * 5 + 5 * 500 * 0.1) / 3600)


def test_above_an_hour_it_needs_a_yes(monkeypatch, capsys):
    import reproduce

    assert reproduce._agreed(0.9, None) and reproduce._agreed(2.0, "true")
    assert not reproduce._agreed(2.0, None)
    assert "above an hour; add yes=true" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    for answer, agreed in (("y", True), ("", False)):
        monkeypatch.setattr("builtins.input", lambda _, told=answer: told)
        assert reproduce._agreed(2.0, None) is agreed

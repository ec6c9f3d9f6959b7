"""Noise of a stated ratio, the same for both models."""

import math

import numpy as np
import pytest

from tsdistill.evaluation.noise import add_noise, substitution_under_noise


def wave(n=4, t=5000):
    return (np.sin(np.arange(t) / 7) * np.arange(1, n + 1)[:, None, None] + 100).astype(np.float32)


@pytest.mark.parametrize("snr", [20.0, 0.0, -3.0])
def test_the_ratio_is_what_it_says(snr):
    x = wave()
    noise = add_noise(x, snr, seed=1).astype(np.float64) - x
    got = 10 * np.log10(x.var(axis=2, dtype=np.float64) / noise.var(axis=2))
    np.testing.assert_allclose(got, snr, atol=0.2)


def test_one_seed_one_noise():
    x = wave(t=50)
    np.testing.assert_array_equal(add_noise(x, 10, seed=1), add_noise(x, 10, seed=1))
    assert not np.array_equal(add_noise(x, 10, seed=1), add_noise(x, 10, seed=2))
    quiet, loud = add_noise(x, 20, seed=1) - x, add_noise(x, 0, seed=1) - x
    np.testing.assert_allclose(quiet * 10, loud, atol=1e-3)


def test_constant_channels_and_padding_stay():
    x = np.zeros((2, 2, 6), np.float32)
    x[:, 0] = 3
    x[:, 1, :4] = [1, -1, 1, -1]
    x[:, 0, 4:] = 0
    noisy = add_noise(x, 0, lengths=np.array([4, 4]))
    np.testing.assert_array_equal(noisy[:, 0], x[:, 0])
    assert not noisy[:, 1, 4:].any()
    assert (noisy[:, 1, :4] != x[:, 1, :4]).all()


def test_both_models_see_the_same_series():
    x = wave(t=40)
    y = np.array([0, 1, 1, 0])

    def model(series):
        return np.stack([series[:, 0, 0] - 100, series[:, 0, 5] - 100], axis=1)

    got = substitution_under_noise(model, model, x, y, snrs=(20.0, 0.5))
    assert set(got) == {
        f"{name}_snr{snr}"
        for name in ("agreement", "kl", "accuracy", "teacher_accuracy")
        for snr in ("20", "0.5")
    }
    assert got["agreement_snr20"] == got["agreement_snr0.5"] == 1
    assert got["kl_snr20"] == 0
    assert got["accuracy_snr0.5"] == got["teacher_accuracy_snr0.5"]


def test_a_student_that_answers_otherwise():
    x = wave(t=40)
    y = np.array([0, 0, 1, 1])
    got = substitution_under_noise(
        lambda s: np.tile([1.0, 0.0], (len(s), 1)),
        lambda s: np.tile([0.0, 1.0], (len(s), 1)),
        x,
        y,
        snrs=(3,),
    )
    p = math.e / (1 + math.e)
    assert got["agreement_snr3"] == 0
    assert got["kl_snr3"] == pytest.approx(p - (1 - p))
    assert got["accuracy_snr3"] == got["teacher_accuracy_snr3"] == 0.5
    broken = substitution_under_noise(
        lambda s: np.full((len(s), 2), np.nan), lambda s: np.zeros((len(s), 2)), x, y, snrs=(3,)
    )
    assert all(math.isnan(value) for value in broken.values())


def test_without_a_teacher_the_student_s_accuracy_alone_is_measured():
    x, y = wave(t=40), np.array([0, 1, 1, 0])

    def student(noisy):
        return np.stack([np.ones(len(noisy)), np.arange(len(noisy))], axis=1).astype(np.float32)

    found = substitution_under_noise(student, None, x, y, snrs=(10.0,))
    assert found == {"accuracy_snr10": 0.5}

"""Whether a student still follows its teacher when the series are noisy."""

import numpy as np

from tsdistill.data.types import FloatArray, IntArray
from tsdistill.evaluation.predict import Predict
from tsdistill.evaluation.substitution import divergence

SNRS = (30.0, 20.0, 10.0, 5.0, 0.0)
"""Signal-to-noise ratios in dB that are looked at by default."""


def add_noise(x: FloatArray, snr: float, *, lengths: IntArray | None = None, seed: int = 0) -> FloatArray:
    """Add white Gaussian noise of a stated signal-to-noise ratio.

    The signal's power is the variance over time of each channel of each series, so that an offset adds
    none; a constant channel stays as it is. One seed draws one noise, scaled for every ratio.

    Args:
        x: series, (N, C, T) float32.
        snr: ratio of the powers in dB: noise variance = signal variance / 10^(snr / 10).
        lengths: true lengths, (N,) int64, or None; padding stays 0.
        seed: of the noise.

    Returns:
        Noisy series, (N, C, T) float32.
    """
    N, _, T = x.shape
    true = np.full(N, T) if lengths is None else lengths
    inside = (np.arange(T) < true[:, None])[:, None]
    deviation = np.std(x, axis=2, keepdims=True, dtype=np.float64, where=np.broadcast_to(inside, x.shape))
    noise = np.random.default_rng(seed).normal(size=x.shape) * deviation * 10 ** (-snr / 20)
    return (x + np.where(inside, noise, 0.0)).astype(np.float32)


def substitution_under_noise(
    student: Predict,
    teacher: Predict | None,
    x: FloatArray,
    y: IntArray,
    lengths: IntArray | None = None,
    *,
    snrs: tuple[float, ...] = SNRS,
    seed: int = 0,
) -> dict[str, float]:
    """Compare student and teacher on noisy series; both see the very same ones.

    Args:
        student: series (N, C, T) to logits (N, K).
        teacher: the same for the teacher; None if it has no answers to noisy series.
        x: clean series, (N, C, T) float32.
        y: class indices, (N,) int64.
        lengths: true lengths, (N,) int64, or None.
        snrs: signal-to-noise ratios in dB.
        seed: of the noise.

    Returns:
        For each ratio, such as 20: ``agreement_snr20``, ``kl_snr20`` (teacher || student, nats, temperature
        1), ``accuracy_snr20`` and ``teacher_accuracy_snr20``; NaN where a model has no finite answer. Without
        a teacher the student's accuracy alone.
    """
    values: dict[str, float] = {}
    for snr in snrs:
        noisy = add_noise(x, snr, lengths=lengths, seed=seed)
        logits = student(noisy)
        finite, one = len(x) > 0 and np.isfinite(logits).all(), logits.argmax(axis=1)
        found = {"accuracy": one == y}
        if teacher is not None:
            reference = teacher(noisy)
            finite, other = finite and np.isfinite(reference).all(), reference.argmax(axis=1)
            found["agreement"] = one == other
            found["kl"] = divergence(reference, logits)
            found["teacher_accuracy"] = other == y
        for name, each in found.items():
            values[f"{name}_snr{snr:g}"] = float(each.mean()) if finite else float("nan")
    return values

"""Asking a model again: batches, modes and lengths."""

import numpy as np
import torch
from torch import nn

from tsdistill.evaluation.predict import evaluating, predict, predictor


class LastStep(nn.Module):
    """Logits from the last true step."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.asked = []

    def forward(self, x, lengths=None):
        self.asked.append(len(x))
        assert not self.training
        x = self.norm(x)
        return x[:, :, -1] if lengths is None else x[torch.arange(len(x)), :, lengths - 1]


def test_batches_lengths_and_modes():
    x = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32)
    lengths = np.array([4, 3, 2, 1, 4])
    model = LastStep().train()
    model.norm.eval()
    got = predict(model, x, lengths, batch_size=2)
    assert model.asked == [2, 2, 1]
    np.testing.assert_allclose(got, x[np.arange(5), :, lengths - 1], rtol=1e-4)
    assert got.dtype == np.float32
    assert model.training and not model.norm.training
    np.testing.assert_array_equal(predictor(model, lengths)(x), got)
    np.testing.assert_allclose(predict(model, x), x[:, :, -1], rtol=1e-4)


def test_modes_come_back_after_an_error():
    model = nn.Linear(2, 2).train()
    try:
        with evaluating(model):
            raise RuntimeError
    except RuntimeError:
        pass
    assert model.training

"""RKD, SP, PKT and AT against torchdistill: pip install --no-deps torchdistill."""

import pytest
import torch
from seen import double
from torch.nn import functional

from tsdistill.methods.at import attention_loss
from tsdistill.methods.pkt import pkt_loss
from tsdistill.methods.rkd import angle_loss, distance_loss
from tsdistill.methods.sp import similarity_loss

theirs = pytest.importorskip(
    "torchdistill.losses.mid_level", reason="torchdistill isn't installed; pip install --no-deps torchdistill"
)
S, T = {"path": "s", "io": "output"}, {"path": "t", "io": "output"}


def rows(seed, *shape):
    return double(*shape, seed=seed)


def asked(loss, student, teacher):
    return loss({"s": {"output": student}}, {"t": {"output": teacher}})


def rkd(distance, angle):
    return theirs.RKDLoss("s", "t", distance, angle, "mean")


VECTORS = {
    "rkd distance": (distance_loss, rkd(1.0, 0.0)),
    "rkd angle": (angle_loss, rkd(0.0, 1.0)),
    "sp": (similarity_loss, theirs.SPKDLoss("s", "t", "batchmean")),
    "pkt": (pkt_loss, theirs.PKTLoss("s", "output", "t", "output")),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", VECTORS)
def test_losses_of_vectors_and_their_gradients(name, seed, monkeypatch):
    if name == "sp":  # its 1 was meant as the dimension, and is taken as the norm
        monkeypatch.setattr(theirs, "normalize", lambda matrix, dim: functional.normalize(matrix, dim=dim))
    ours, oracle = VECTORS[name]
    teacher, found = rows(seed + 100, 6, 5), []
    for loss in (ours, lambda student, teacher: asked(oracle, student, teacher)):
        student = rows(seed, 6, 3).requires_grad_()
        value = loss(student, teacher)
        value.backward()
        found.append((value.detach(), student.grad))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_attention_transfer_as_its_authors_code_has_it(seed):
    student, teacher = rows(seed, 4, 3, 7), rows(seed + 100, 4, 5, 7)
    oracle = theirs.ATLoss({"pair": {"student": S, "teacher": T}}, mode="code")
    torch.testing.assert_close(attention_loss(student, teacher), asked(oracle, student, teacher))

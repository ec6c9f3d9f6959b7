"""Steps and models that bring given tensors, for tests of single terms."""

from types import SimpleNamespace

import torch

from tsdistill.methods.base import Layer, Models


class Seen:
    """A step that brings given tensors; features do not ask which layer."""

    def __init__(self, y, *, inside=None, epoch=1, x=None, **facts):
        def side(name):
            own = {k.removeprefix(f"{name}_"): v for k, v in facts.items() if k.startswith(name)}
            found = own.get("features")
            own["features"] = lambda layer: found
            return SimpleNamespace(**own)

        self.y, self.inside, self.epoch, self.x = y, inside, epoch, x
        self.student, self.teacher = side("student"), side("teacher")


class Bound(Models):
    """Two models of which only the layers' shapes are known."""

    def __init__(self, teacher_shape, student_shape):
        self.shapes = {"teacher": teacher_shape, "student": student_shape}

    def teacher_layer(self, named=None):
        return Layer("hint", self.shapes["teacher"])

    def student_layer(self, named=None):
        return Layer("guided", self.shapes["student"])


def double(*shape, seed=0, grad=False):
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    return drawn.requires_grad_(grad)

"""Networks from files: what is read, and what is said of files that are wrong."""

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tsdistill.errors import TsdistillError
from tsdistill.models.fcn import FCN
from tsdistill.teachers.checkpoint import Checkpoint
from tsdistill.teachers.labels import hold_against_labels
from tsdistill.testing.teachers import _task


class Level(nn.Module):
    """Right about the task of ``check_teacher``: classes 0, 1 and 2 are levels; ``order`` permutes them."""

    def __init__(self, order=(0, 1, 2)):
        super().__init__()
        self.levels = nn.Parameter(torch.tensor(order, dtype=torch.float32))

    def forward(self, x):
        return -4 * (x.mean(dim=(1, 2))[:, None] - self.levels).square()


def saved(path, model):
    save_file(model.state_dict(), path)
    return str(path)


def test_weights_answer_as_the_network_that_they_come_from(tmp_path):
    teacher = Checkpoint(saved(tmp_path / "w.safetensors", Level()), Level)
    assert teacher.fit(_task(0)) == {"in_sample_accuracy": 1.0}
    x = _task(0).parts["validation"].x
    assert torch.equal(teacher.logits(x), Level()(x))
    assert teacher.notes() == ["accuracy 1.000 on the training part"] and teacher.parameters() == 3
    assert teacher.provides >= {"teacher_features", "teacher_gradients"}
    (tmp_path / "w.safetensors").unlink()
    again = Checkpoint(str(tmp_path / "w.safetensors"), Level)
    again.restore(teacher.state(), _task(0))
    assert torch.equal(again.logits(x), teacher.logits(x))


def test_a_wrong_order_of_labels_is_refused_with_the_right_one(tmp_path):
    path = saved(tmp_path / "w.safetensors", Level((1, 2, 0)))
    with pytest.raises(TsdistillError) as caught:
        Checkpoint(path, Level).fit(_task(0))
    assert str(caught.value) == (
        "the teacher is right about 0% of the training series, and about 100% if its columns are those of "
        "the classes [1, 2, 0]; put them in the order 0 to 2"
    )


def test_a_weak_teacher_is_told_and_not_refused():
    y = np.arange(12) % 2
    logits = np.stack([np.zeros(12), np.where(np.arange(12) < 8, y - 0.5, 0.5 - y)], axis=1)
    assert hold_against_labels(logits, y, 2) == (8 / 12, "accuracy 0.667 on the training part")


@pytest.mark.parametrize(
    ("logits", "told"),
    [
        (np.zeros((4, 2)), "the teacher's answers have shape (4, 2), not (4, 3), on the training part"),
        (np.full((4, 3), np.nan), "the teacher's answer to training series 0 is not finite"),
    ],
)
def test_answers_of_another_shape_or_not_finite_are_refused(logits, told):
    with pytest.raises(TsdistillError) as caught:
        hold_against_labels(logits, np.arange(4) % 3, 3)
    assert str(caught.value) == told


def test_files_that_are_wrong_are_refused_in_one_line(tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / saved(tmp_path / "w.safetensors", Level())).read_bytes()[:40])
    other = saved(tmp_path / "other.safetensors", FCN(2, 3, filters=(4, 6, 5), kernels=(3, 3, 3)))
    for path, told in {
        str(tmp_path / "none.safetensors"): "none.safetensors can't be read: ",
        str(cut): "cut.safetensors can't be read: ",
        other: "other.safetensors does not fit teacher.model: ",
        str(tmp_path / "w.pt"): "a pickle is never read: save it by safetensors.torch.save_file",
    }.items():
        with pytest.raises(TsdistillError) as caught:
            Checkpoint(path, Level).fit(_task(0))
        assert told in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(TsdistillError, match="holds weights alone; name their model"):
        Checkpoint(other)


def test_onnx_without_onnxruntime_is_refused_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(TsdistillError, match=r"needs onnxruntime; pip install 'tsdistill\[export\]'"):
        Checkpoint(str(tmp_path / "m.onnx")).fit(_task(0))


def onnx_file(path, model, **settings):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    torch.onnx.export(model, torch.zeros(1, 2, 20), path, dynamo=False, input_names=["x"], **settings)
    return str(path)


@pytest.mark.parametrize(
    "dynamic", [{"dynamic_axes": {"x": {0: "batch"}}}, {}], ids=["dynamic", "batch of 1"]
)
@pytest.mark.parametrize("probable", [False, True])
def test_an_onnx_model_answers_as_its_network(tmp_path, dynamic, probable):
    model = nn.Sequential(Level(), nn.Softmax(dim=1)) if probable else Level()
    path = onnx_file(tmp_path / "m.onnx", model.eval(), **dynamic)
    teacher = Checkpoint(path)
    assert teacher.fit(_task(0)) == {"in_sample_accuracy": 1.0}
    x = _task(0).parts["validation"].x
    wanted = Level()(x).log_softmax(1).clamp_min(np.log(1e-6)) if probable else Level()(x)
    assert teacher.logits(x).numpy() == pytest.approx(wanted.detach().numpy(), abs=1e-4)
    assert teacher.provides == frozenset({"teacher_logits", "teacher_answers", "windows"})
    again = Checkpoint("gone.onnx")
    again.restore(teacher.state(), _task(0))
    assert torch.equal(again.logits(x), teacher.logits(x))


def test_an_onnx_model_cut_short_is_refused_in_one_line(tmp_path):
    path = tmp_path / "m.onnx"
    onnx_file(path, Level().eval())
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(TsdistillError, match=r"m.onnx is no whole ONNX model: ") as caught:
        Checkpoint(str(path)).fit(_task(0))
    assert "\n" not in str(caught.value)

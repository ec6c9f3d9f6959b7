"""Costs against closed forms."""

import pytest
import torch
from torch import nn

from tsdistill.evaluation.cost import cost, latency, macs, parameters, size_bytes
from tsdistill.models.fcn import FCN
from tsdistill.models.recurrent import GRU, LSTM


@pytest.mark.parametrize(("model", "gates"), [(LSTM, 4), (GRU, 3)])
@pytest.mark.parametrize(("hidden", "layers", "channels", "classes"), [(8, 1, 1, 2), (16, 3, 5, 4)])
def test_recurrent_closed_form(model, gates, hidden, layers, channels, classes):
    T, h = 30, hidden
    inputs = [channels] + [h] * (layers - 1)
    want = T * sum(gates * h * (i + h) for i in inputs) + h * classes
    net = model(channels, classes, hidden=h, layers=layers)
    assert macs(net, channels, T) == want
    assert parameters(net) == sum(gates * h * (i + h + 2) for i in inputs) + (h + 1) * classes
    assert size_bytes(net) == 4 * parameters(net)


def test_student_of_the_paper_has_370_parameters():
    assert parameters(LSTM(1, 2, hidden=8, layers=1)) == 370


def test_convolutions_by_hand():
    net = nn.Sequential(nn.Conv1d(3, 6, 5, padding=2), nn.BatchNorm1d(6), nn.Flatten(), nn.Linear(60, 2))
    assert macs(net, 3, 10) == 10 * 6 * 3 * 5 + 60 * 2
    # Weights, batch norm's two parameters and two running statistics a channel; its counter is an integer.
    assert size_bytes(net) == 4 * (6 * 3 * 5 + 6 + 4 * 6 + 60 * 2 + 2)


def test_counting_leaves_the_model_alone():
    net = FCN(1, 2).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    threads = torch.get_num_threads()
    macs(net, 1, 20)
    measured = latency(net, 1, 20, repeats=5, warmup=1)
    assert 0 < measured["latency_ms"] <= measured["latency_p95_ms"]
    assert net.training and torch.get_num_threads() == threads
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_cost_of_a_pair():
    student, teacher = LSTM(1, 2, hidden=8, layers=1), LSTM(1, 2)
    got = cost(student, teacher, 1, 10)
    assert got["compression"] == pytest.approx(parameters(teacher) / 370)
    assert got["teacher_macs"] == macs(teacher, 1, 10)
    assert got["size_bytes"] == 1480
    assert set(got) == {
        "parameters",
        "macs",
        "size_bytes",
        "teacher_parameters",
        "teacher_macs",
        "teacher_size_bytes",
        "compression",
    }


def test_shared_parameters_count_once():
    one = nn.Linear(3, 3)
    assert parameters(nn.Sequential(one, one)) == 12

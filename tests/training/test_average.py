"""The average of the weights: its value, what is validated and kept, and what it leaves alone."""

import pytest
import torch
from torch import nn

from tsdistill.config.schema import Optimizer, TrainingConf
from tsdistill.errors import TsdistillError
from tsdistill.training.average import Average
from tsdistill.training.loop import fit


class Steps(nn.Module):
    """A weight that falls by 1 at each step, a statistic, a count and a bank that grows."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("bank", torch.zeros(1))
        self.validated, self.trained = [], []

    def advance(self):
        with torch.no_grad():
            self.weight -= 1
        self.mean += 2
        self.count += 1
        self.bank = torch.full((int(self.count) // 2 + 1,), float(self.count))

    def load_state_dict(self, state_dict, strict=True, assign=False):
        self.bank = torch.empty_like(state_dict["bank"])
        return super().load_state_dict(state_dict, strict, assign)

    def generators(self):
        return {}

    def step(self, rows, epoch):
        self.trained.append(self.weight.item())
        self.mean += 2
        self.count += 1
        return {"loss": self.weight + 100.0}

    def validate(self):
        self.validated.append(self.weight.item())
        return {"ce": 0.0}


def decayed(values, decay):
    """The average as its definition has it."""
    average = values[0]
    for n, value in enumerate(values[1:], start=2):
        share = min(decay, n / (n + 9))
        average = share * average + (1 - share) * value
    return average


@pytest.mark.parametrize("decay", [0.1, 0.5, 0.999])
def test_the_average_is_the_defined_one_for_weights_and_statistics(decay):
    task, average = Steps(), Average(decay)
    for _ in range(12):
        task.advance()
        average.add(task)
    weights = [-float(n) for n in range(1, 13)]
    assert average.weights["weight"].item() == pytest.approx(decayed(weights, decay), rel=1e-6)
    assert average.weights["mean"].item() == pytest.approx(-2 * decayed(weights, decay), rel=1e-6)
    assert average.weights["count"].item() == 12  # whole numbers are copied
    assert task.weight.item() == -12


def test_with_a_decay_near_1_the_mean_age_is_a_tenth_of_the_steps():
    task, average = Steps(), Average(0.9999)
    for _ in range(1000):
        task.advance()
        average.add(task)
    assert 1000 + average.weights["weight"].item() == pytest.approx(100, rel=0.02)


def test_a_buffer_that_has_grown_is_copied():
    task, average = Steps(), Average(0.5)
    for _ in range(2):
        task.advance()
        average.add(task)
    assert average.weights["bank"].tolist() == [2.0, 2.0]


def test_the_task_gets_its_own_weights_back_whatever_happens():
    task, average = Steps(), Average(0.5)
    for _ in range(3):
        task.advance()
        average.add(task)
    own = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    with pytest.raises(KeyError), average.put_into(task):
        assert task.weight.item() == average.weights["weight"].item() != own["weight"].item()
        raise KeyError
    assert all(torch.equal(tensor, own[name]) for name, tensor in task.state_dict().items())


def run(task, **settings):
    conf = TrainingConf(epochs=4, batch_size=4, weight_decay=0.0, optimizer=Optimizer.sgd, lr=0.1, **settings)
    generator = torch.Generator().manual_seed(0)
    return fit(task, conf, rows=8, validated=True, generator=generator, device=torch.device("cpu"))


@pytest.mark.parametrize("monitor", ["last", "train_loss"])
def test_the_average_is_validated_and_kept_and_the_steps_are_those_without_it(monitor):
    plain, task = Steps(), Steps()
    run(plain, monitor=monitor)
    result = run(task, monitor=monitor, average=0.9)
    assert task.trained == plain.trained
    after = [*plain.trained[1:], plain.weight.item()]  # the weights after each of the eight steps
    expected = [decayed(after[: 2 * epoch], 0.9) for epoch in range(1, 5)]
    assert task.validated == pytest.approx(expected, rel=1e-6)
    assert task.weight.item() == task.validated[-1] and result.best_epoch == 4


def test_without_a_decay_there_is_no_average():
    task, average = Steps(), Average(0.0)
    average.add(task)
    assert average == Average(0.0)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(TsdistillError) as error:
        run(Steps(), average=decay)
    assert str(error.value) == f"training.average={decay:g} should be 0 or more and below 1"

"""What the benchmark says of its numbers, and that its plain yardsticks do what the product does."""

import time

import pytest
import torch

from tsdistill.data.tensors import TensorPart


@pytest.mark.parametrize(
    ("kind", "bound", "expected", "ours", "value", "reached"),
    [
        ("faster", 10.0, 100.0, 10.0, 10.0, True),
        ("faster", 10.0, 99.0, 10.0, 9.9, False),
        ("ratio", 0.6, 10.0, 6.0, 0.6, True),
        ("ratio", 0.6, 10.0, 6.1, 0.61, False),
        ("extra", 100.0, 20.0, 120.0, 100.0, True),
        ("extra", 100.0, 0.0, 101.0, 101.0, False),
    ],
)
def test_goals(kind, bound, expected, ours, value, reached):
    from measures.base import Goal, Row

    row = Row("measure", "yardstick", expected, ours, Goal(kind, bound))
    assert row.value == pytest.approx(value)
    assert row.reached is reached


def test_functions_take_turns_and_a_first_call_does_not_count():
    from measures.base import side_by_side

    calls = []

    def yardstick():
        calls.append("yardstick")
        time.sleep(0.2 if len(calls) == 1 else 0.01)

    took = side_by_side({"yardstick": yardstick}, {"ours": lambda: calls.append("ours")}, repetitions=3)
    assert calls[:2] == ["yardstick", "ours"]
    assert 10 <= took["yardstick"] < 100 and took["ours"] < 10


def test_the_plain_way_replaces_one_window_by_an_opposing_series():
    from measures.plain import perturbed_one_by_one

    y = torch.tensor([0, 1, 1])
    train = TensorPart(torch.arange(3.0)[:, None, None].expand(3, 1, 12).contiguous(), y)
    copies = perturbed_one_by_one(train.x, y, train, copies=5, window=4)
    assert copies.shape == (3, 5, 1, 12)
    for series, label in enumerate(y.tolist()):
        starts = []
        for copy in copies[series, :, 0]:
            (replaced,) = (copy != series).nonzero(as_tuple=True)
            assert replaced.tolist() == list(range(int(replaced[0]), int(replaced[0]) + 4))
            donors = copy[replaced].unique().tolist()
            assert len(donors) == 1 and y[int(donors[0])] != label
            starts.append(int(replaced[0]))
        assert len(set(starts)) == 5


def test_a_section_of_a_document_is_replaced(tmp_path):
    from measures.document import markdown_table, put

    path = tmp_path / "page.md"
    path.write_text("before\n<!-- x -->\nold\n<!-- end of x -->\nafter\n")
    put(path, "x", markdown_table(("a", "b"), [("1", "2")]))
    assert path.read_text() == (
        "before\n<!-- x -->\n| a | b |\n| --- | --- |\n| 1 | 2 |\n<!-- end of x -->\nafter\n"
    )
    with pytest.raises(SystemExit, match="lacks the lines"):
        put(path, "y", "")

"""Nodes with a `_target_` against the signature of what they name."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import pytest

from tsdistill.config.targets import check_target, locate, takes
from tsdistill.errors import TsdistillError

if TYPE_CHECKING:
    from somewhere import Unknown

HERE = "tests_config_targets"


class Target:
    """A target with every kind of annotation."""

    def __init__(
        self,
        size: int,
        rate: float = 0.1,
        label: str = "a",
        flag: bool = False,
        form: Literal["one", "two"] = "one",
        widths: Sequence[int] = (1,),
        limit: int | None = None,
        free=None,
    ) -> None: ...


class Open:
    """A target that takes anything."""

    def __init__(self, size: int = 1, **others: int) -> None: ...


class Unresolved:
    """A target whose annotations only type checkers can read."""

    def __init__(self, size: int = 1, thing: "Unknown" = None) -> None: ...


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])


def check(name="Target", supplied=(), **settings):
    check_target({"_target_": f"{HERE}.{name}", **settings}, "node", supplied)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 3},
        {"size": 3, "rate": 1},
        {"size": 3, "limit": None},
        {"size": 3, "limit": 4, "form": "two", "flag": True, "label": "b"},
        {"size": 3, "widths": [1, 2]},
        {"size": 3, "widths": (1, 2)},
        {"size": 3, "free": object()},
    ],
)
def test_what_fits_is_let_through(settings):
    check(**settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"size": 3, "_partial_": True},
            f"node._partial_: {HERE}.Target takes no such setting; choose from: flag, form, free, label, "
            "limit, rate, size, widths",
        ),
        ({}, f"node: {HERE}.Target needs size; set node.size=..."),
        ({"size": 3, "raet": 1.0}, f"node.raet: {HERE}.Target takes no such setting; did you mean 'rate'?"),
        ({"size": 3.5}, "node.size=3.5 should be a whole number"),
        ({"size": True}, "node.size=true should be a whole number"),
        ({"size": "3"}, "node.size='3' should be a whole number"),
        ({"size": None}, "node.size=null should be a whole number"),
        ({"size": 3, "rate": "fast"}, "node.rate=fast should be a number"),
        ({"size": 3, "rate": False}, "node.rate=false should be a number"),
        ({"size": 3, "label": 3}, "node.label=3 should be a text"),
        ({"size": 3, "flag": 1}, "node.flag=1 should be true or false"),
        ({"size": 3, "form": "three"}, "node.form=three should be one of one, two"),
        ({"size": 3, "limit": "x"}, "node.limit=x should be a whole number or null"),
        ({"size": 3, "widths": [1, "x"]}, "node.widths=[1,x] should be a list of whole numbers"),
        ({"size": 3, "widths": "12"}, "node.widths='12' should be a list of whole numbers"),
    ],
)
def test_what_does_not_is_refused_with_the_place(settings, told):
    with pytest.raises(TsdistillError) as error:
        check(**settings)
    assert str(error.value) == told


def test_what_the_program_supplies_may_be_missing_and_may_not_be_set():
    check(supplied=("size",))
    with pytest.raises(TsdistillError, match="takes no such setting; choose from: flag, form"):
        check(supplied=("size",), size=3)


def test_keyword_arguments_of_any_name():
    check("Open", anything=3)
    with pytest.raises(TsdistillError, match="should be a whole number"):
        check("Open", size="x")


def test_annotations_that_cannot_be_read_check_nothing():
    check("Unresolved", size="x")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (
            f"{HERE}.Traget",
            f"node._target_={HERE}.Traget: {HERE} has no 'Traget'; did you mean 'Target'?",
        ),
        ("Target", "node._target_='Target' is not an import path; write package.module.ClassName"),
        (None, "node._target_='None' is not an import path; write package.module.ClassName"),
        (
            "no_such_module.Net",
            "node._target_=no_such_module.Net: cannot import no_such_module "
            "(ModuleNotFoundError: No module named 'no_such_module'); is its folder on PYTHONPATH?",
        ),
    ],
)
def test_a_target_that_is_not_there(target, told):
    with pytest.raises(TsdistillError) as error:
        locate(target, "node")
    assert str(error.value) == told


def test_a_module_that_fails_on_import_says_how(tmp_path, monkeypatch):
    (tmp_path / "broken_module_of_a_user.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TsdistillError) as error:
        locate("broken_module_of_a_user.Net", "student.model")
    assert str(error.value) == (
        "student.model._target_=broken_module_of_a_user.Net: cannot import broken_module_of_a_user "
        "(ZeroDivisionError: division by zero)"
    )


def test_takes_asks_for_a_parameter_by_name():
    assert takes(Target, "rate") and not takes(Target, "rates")

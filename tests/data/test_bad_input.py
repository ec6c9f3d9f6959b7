"""Every malformed input gets the one or two lines that the table says."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bad_input_table", ROOT / "scripts" / "bad_input_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TABLE = _table()


@pytest.mark.parametrize("case", TABLE.CASES, ids=lambda case: case.what)
def test_the_user_is_told(case, tmp_path):
    said = TABLE.told(case, tmp_path)
    assert said == case.line
    assert said.count("\n") <= 1


def test_there_are_enough_cases():
    assert len({case.what for case in TABLE.CASES}) == len(TABLE.CASES) >= 25


def test_the_document_is_up_to_date():
    assert TABLE.DOCUMENT.read_text() == TABLE.document()

"""Names from elsewhere never command the terminal."""

import logging

import pytest

from tsdistill import cli
from tsdistill.console import console, print_table, say
from tsdistill.errors import TsdistillError, visible

HOSTILE = "a\x1b]0;owned\x07\x1b[2J\x9b31m\u202ebidi"
PLAIN = "a\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\u202ebidi"


def test_control_characters_are_written_out() -> None:
    assert visible(HOSTILE) == PLAIN
    assert visible("tab\tand\nline, é → ok") == "tab\tand\nline, é → ok"


def test_what_is_said_and_what_stands_in_tables_is_visible(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    say(HOSTILE)
    table = Table(box=None)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    print_table(table)
    console.print(table)
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\x9b" not in said and "\u202e" not in said
    assert said.splitlines()[0] == PLAIN


@pytest.mark.parametrize(
    "error", [TsdistillError(HOSTILE), OSError(2, "gone", HOSTILE), MemoryError(HOSTILE)]
)
def test_messages_and_warnings_are_visible(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(conf: object) -> None:
        del conf
        raise error

    monkeypatch.setattr(cli, "_task", lambda command: fails)
    monkeypatch.setattr("sys.argv", [])
    assert cli.run("runs", ()) == 2
    said = capsys.readouterr().err
    assert PLAIN in said and "\x1b" not in said and said.count("\n") == 1
    assert logging.lastResort is not None
    told = logging.lastResort.format(logging.LogRecord("x", 30, "x", 1, HOSTILE, None, None))
    assert told == PLAIN

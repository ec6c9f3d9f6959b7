"""What a sweep shows: on a terminal, in a log file, and at any width."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console
from rich.text import Text

from tsdistill import console as module
from tsdistill.console import Said, Shown, epochs_shown, is_live, progress_line, spell_time, told_to
from tsdistill.runs import display as shown_module
from tsdistill.runs.display import Display
from tsdistill.runs.durations import Durations, Kind

EPOCHS = Shown(
    "[3/75] GunPoint tsd_kd lstm_8 seed 24",
    100,
    300,
    "epoch",
    {"train/loss": 0.73456, "train/ce": 0.5, "loss": 0.81234, "ce": 0.6},
)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
def test_a_training_shows_loss_validation_and_time_left_at_any_width(width: int) -> None:
    line = progress_line(EPOCHS, 120.0, width)
    assert line.cell_len <= width
    if width >= 80:
        assert line.plain.endswith("epoch 100/300  loss 0.735  val 0.812  2 min 0 s left") or width >= 140
        assert line.plain.startswith("[3/75] GunPo") and "val 0.812" in line.plain
    assert ("━" in line.plain) == (width >= 140)
    assert ("train/ce 0.5" in line.plain) == (width >= 140)


def test_the_time_left_leaves_out_what_came_before_the_first_steps(clock: list[float]) -> None:
    pace = module.Pace()
    clock[0] += 90  # a kernel is compiled
    assert pace.left(Shown("A tsd", 1, 11, "epoch")) is None
    clock[0] += 4
    assert pace.left(Shown("A tsd", 3, 11, "epoch")) == 16
    assert pace.left(Shown("A tsd", 11, 11, "epoch")) is None


def test_a_duration_has_the_two_units_that_matter() -> None:
    assert [spell_time(s) for s in (0.4, 59, 60, 3599, 3600, 90_000)] == [
        *("0 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "1 d 1 h")
    ]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the display takes for now, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr(shown_module.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """A console that writes into a file."""
    file = io.StringIO()
    console = Console(file=file, soft_wrap=True, highlight=False, width=110)
    monkeypatch.setattr(module, "console", console)
    monkeypatch.setattr(shown_module, "console", console)
    yield file


def sweep() -> Display:
    kinds = {number: Kind("A", "tsd", "s") for number in range(4)}
    return Display(kinds, 2, Durations())


def test_a_log_file_gets_each_result_and_a_line_a_minute(log: io.StringIO, clock: list[float]) -> None:
    display = sweep()
    display.begin(0, "[1/4] seed=0")
    display.begin(1, "[2/4] seed=1")
    display.hear(0, Shown("[1/4] A tsd", 0, 10, "epoch"))
    clock[0] += 40
    display.hear(0, Said("[1/4] A tsd: test AP 0.9"))
    display.end(0, failed=False)
    assert log.getvalue() == "[1/4] A tsd: test AP 0.9\n"
    clock[0] += 21
    display.tick()
    display.tick()
    # two that wait and what has run for 61 seconds: 80 seconds on two processes
    line = "1 of 4 runs done, about 40 s left; [2/4] seed=1\n"
    assert log.getvalue() == f"[1/4] A tsd: test AP 0.9\n{line}"


def test_what_is_to_be_said_once_is_shown_for_the_first_of_a_sweep_s_runs(log: io.StringIO) -> None:
    display, other = sweep(), sweep()
    with told_to(lambda told: display.hear(0, told)):
        module.say("the teacher is weak", once="teacher a")
        module.say("the teacher is weak still", once="teacher a")
        module.say("another is, too", once="teacher b")
        module.say("done")
        module.say("done")
    with told_to(lambda told: other.hear(0, told)):
        module.say("weak in the next sweep", once="teacher a")
    shown = ["the teacher is weak", "another is, too", "done", "done", "weak in the next sweep"]
    assert log.getvalue().splitlines() == shown


def test_only_what_was_trained_teaches_how_long_runs_take(log: io.StringIO, clock: list[float]) -> None:
    display = sweep()
    display.begin(0, "stored")
    display.hear(0, Said("already there"))
    clock[0] += 1
    display.end(0, failed=False)
    assert display.left() is None and display.summary() == "1 of 4 runs done"
    display.begin(1, "failed")
    display.hear(1, Shown("x", 0, 10, "epoch"))
    display.end(1, failed=True)
    assert display.left() is None and display.summary() == "2 of 4 runs done, 1 failed"


def test_the_rest_takes_no_less_than_a_line_under_way_shows(log: io.StringIO, clock: list[float]) -> None:
    kind = Kind("A", "tsd", "s")
    display = Display({0: kind}, 2, Durations())
    display.durations.add(kind, 10.0)
    display.begin(0, "seed=0")
    display.hear(0, Shown("A tsd", 1, 301, "epoch"))
    clock[0] += 20
    display.hear(0, Shown("A tsd", 101, 301, "epoch"))
    assert display.left() == 40


def test_a_terminal_s_lines_break_between_words_and_a_file_s_do_not(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "[1/4] UnitTest teacher fcn_8 seed 0: trained 20 epochs in 42.3 s, 1,202 parameters, test AP 0.826"
    sweep().hear(0, Said(text))
    assert log.getvalue() == f"{text}\n"
    terminal = Console(file=io.StringIO(), force_terminal=True, soft_wrap=True, highlight=False, width=72)
    for place in (module, shown_module):
        monkeypatch.setattr(place, "console", terminal)
    monkeypatch.setenv("TERM", "xterm")
    sweep().hear(0, Said(text))
    assert isinstance(terminal.file, io.StringIO)
    assert terminal.file.getvalue().splitlines()[0].rstrip().endswith("42.3 s, 1,202")


def test_a_job_that_is_put_off_waits_again(log: io.StringIO, clock: list[float]) -> None:
    display = sweep()
    display.begin(0, "seed=0")
    display.put_off(0)
    assert set(display.waiting) == {0, 1, 2, 3} and display.done == 0


@pytest.mark.parametrize("width", [80, 200])
def test_on_a_terminal_a_line_a_job_and_one_for_the_sweep(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], width: int
) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=width, height=30)
    monkeypatch.setattr(shown_module, "console", terminal)
    display = sweep()
    display.begin(0, "[1/4] method=tsd dataset.name=A seed=0")
    display.begin(1, "[2/4] method=tsd dataset.name=A seed=1")
    display.hear(0, EPOCHS)
    display.durations.add(Kind("A", "tsd", "s"), 100.0)
    lines = [line for line in display.renderable().renderables if isinstance(line, Text)]
    assert len(lines) == 3 and all(line.cell_len <= width for line in lines)
    assert "epoch 100/300" in lines[0].plain and lines[1].plain.endswith("seed=1  begins")
    assert "0 of 4 runs done, about 3 min 20 s left" in lines[2].plain


def test_more_jobs_than_lines_are_counted(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    monkeypatch.setattr(shown_module, "console", Console(file=io.StringIO(), width=80, height=6))
    display = sweep()
    for number in range(4):
        display.begin(number, str(number))
    lines = [str(line) for line in display.renderable().renderables]
    assert lines[2] == "and 2 more under way" and len(lines) == 4


@pytest.mark.parametrize(
    ("environment", "live"), [({}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False)]
)
def test_plain_lines_where_the_terminal_is_dumb_or_wants_no_colour(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], live: bool
) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm", **environment})
    monkeypatch.setattr(module, "console", terminal)
    assert is_live() is live
    with module.working("[drawing] figures"):
        pass
    assert ("[drawing] figures" in terminal.file.getvalue()) is live  # type: ignore[attr-defined]


def test_a_process_forwards_what_it_says_and_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Said | Shown] = []
    monkeypatch.setattr(module, "FORWARDED_INTERVAL", 0.0)
    with told_to(heard.append), module.prefixed("[1/2] "), epochs_shown("A tsd", 10) as listener:
        module.say("begins")
        listener(1, {"loss": 0.5})
    begin, end = Shown("[1/2] A tsd", 0, 10, "epoch"), Shown("[1/2] A tsd", 1, 10, "epoch", {"loss": 0.5})
    assert heard == [begin, Said("[1/2] begins"), end]

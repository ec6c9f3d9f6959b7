"""``tsdistill status``: how many runs are done, running, failed and missing, and how long the rest takes."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from omegaconf import DictConfig, OmegaConf
from rich.markup import escape
from rich.table import Table

from tsdistill.config.compose import Composer
from tsdistill.console import print_table, say, silenced, spell_time
from tsdistill.runs.durations import Kind, stored_durations
from tsdistill.runs.jobs import side_by_side
from tsdistill.runs.state import State, What
from tsdistill.store.listing import list_runs, tell_older
from tsdistill.store.locks import Holder, holders
from tsdistill.store.outcomes import recall, remember

if TYPE_CHECKING:
    from tsdistill.runs.teacher_states import TeacherState

    Told = State | TeacherState

WHAT: tuple[What, ...] = get_args(What)
MOST_ROWS = 60
"""Rows of a table; a larger sweep is summed up over its data sets."""
MOST_TOLD = 12
"""Runs under way, and reasons of failed ones, that are told one by one."""


def show_sweep(composer: Composer, config: DictConfig, jobs: Sequence[Sequence[str]]) -> None:
    """Print what has become of a sweep's runs.

    Args:
        composer: composes the sweep's jobs.
        config: the sweep's own config.
        jobs: the overrides of each job.
    """
    from tsdistill.runs.states import States  # it takes PyTorch a second to be imported

    out = Path(config.out)
    if "method" not in config:
        _show_teachers(composer, out, jobs)
        return
    with silenced():
        states = list(States(composer).of(jobs))
    _show(states)
    _tell_running(states)
    _tell_failures(states)
    hardware = OmegaConf.to_object(config.hardware)
    beside = side_by_side(hardware, debug=False)  # type: ignore[arg-type]
    _tell_total(states, out, beside)


def _show_teachers(composer: Composer, out: Path, jobs: Sequence[Sequence[str]]) -> None:
    from tsdistill.runs.teacher_states import TeacherStates

    with silenced():
        states = list(TeacherStates(composer, out).of(jobs))
    _show(states, "teacher")
    _tell_running(states)
    _tell_failures(states)
    say(_counted(Counter(state.what for state in states), "teachers"))


def show_stored(out: Path) -> None:
    """Print how many runs under ``out`` are done or failed, by data set and method, and what is made now."""
    asked = {"command": "status"}
    found = recall([out], asked)
    if found is None:
        found, mark = _counted_now(out)
        remember([out], asked, [mark], found)
    else:
        tell_older(found["older"])
    _show_counts(Counter({(dataset, name, what): count for dataset, name, what, count in found["counts"]}))
    for line in found["why"]:
        say(line)
    try:
        made = {kind: list(holders(out, kind)) for kind in ("teachers", "pools", "runs")}
    except NotImplementedError:
        say("what runs can't be told: this file system has no locks")
        made = {"runs": []}
    for kind, making in made.items():
        for key, each in making[:MOST_TOLD]:
            say(f"running: {'' if kind == 'runs' else f'{kind[:-1]} '}{key} {_place(each)}")
    done = {"done": found["done"], "failed": found["failed"]}
    say(f"{_counted(Counter(**done, running=len(made['runs'])))}")


def _counted_now(out: Path) -> tuple[dict[str, Any], str]:
    """What is stored, in numbers, and the mark of the listing."""
    listing = list_runs(out)
    listing.tell()
    counts = Counter((result["dataset"], result["method"], "done") for result in listing.results)
    failed = [_stored_state(note, "failed") for note in listing.failures]
    counts.update((state.dataset, state.name, state.what) for state in failed)
    told = {"counts": [[*key, count] for key, count in counts.items()], "why": list(_why(failed))}
    told |= {"done": len(listing.results), "failed": len(failed), "older": listing.older}
    return told, listing.mark


def _stored_state(result: Mapping[str, Any], what: What) -> State:
    names = ("dataset", "method", "student", "seed", "trial")
    why = str(result["error"]) if "error" in result else None
    return State(**{name: result[name] for name in names}, what=what, why=why)


def _show(states: "Iterable[Told]", kind: str = "method") -> None:
    """The table: a row for each data set and method, or for each method where there are many sets."""
    _show_counts(Counter((state.dataset, state.name, state.what) for state in states), kind)


def _show_counts(rows: Counter[tuple[str, str, What]], kind: str = "method") -> None:
    names = list(dict.fromkeys((dataset, method) for dataset, method, _ in rows))
    if len(names) > MOST_ROWS:
        sets = len({dataset for dataset, _ in names})
        together = f"{sets} data sets"
        summed: Counter[tuple[str, str, What]] = Counter()
        for (_, name, what), count in rows.items():
            summed[together, name, what] += count
        rows = summed
        names = list(dict.fromkeys((dataset, method) for dataset, method, _ in rows))
    shown = [what for what in WHAT if any(each == what for _, _, each in rows)]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for head in ("data set", kind):
        table.add_column(head)
    for head in shown:
        table.add_column(head, justify="right")
    for dataset, method in names:
        counts = [rows[dataset, method, what] for what in shown]
        table.add_row(escape(dataset), escape(method), *(f"{count:,}" if count else "-" for count in counts))
    if names:
        print_table(table)


def _tell_running(states: "Iterable[Told]") -> None:
    running = [state for state in states if state.holder is not None]
    for state in running[:MOST_TOLD]:
        assert state.holder is not None
        say(f"running: {state.title} {_place(state.holder)}")
    if len(running) > MOST_TOLD:
        say(f"and {len(running) - MOST_TOLD} more running")


def _tell_failures(states: "Iterable[Told]") -> None:
    """Say why runs failed or can't be run."""
    for line in _why(states):
        say(line)


def _why(states: "Iterable[Told]") -> Iterator[str]:
    """Why runs failed or can't be run, once for each reason."""
    reasons: dict[tuple[str, str], list[Told]] = {}
    for state in states:
        if state.why is not None:
            reasons.setdefault((state.what, state.why), []).append(state)
    for (what, why), found in list(reasons.items())[:MOST_TOLD]:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        yield f"{what}: {found[0].title}{more}: {why}"
    if len(reasons) > MOST_TOLD:
        yield (f"and {len(reasons) - MOST_TOLD} more reasons")


def _tell_total(states: Sequence[State], out: Path, beside: int) -> None:
    now = time.time()
    open_ones = [state for state in states if state.what in ("missing", "unknown")]
    running = [state for state in states if state.holder is not None]
    line = _counted(Counter(state.what for state in states))
    if open_ones or running:
        durations = stored_durations(out, {state.dataset for state in states})
        begun = [(_kind(s), max(now - s.holder.since, 0.0)) for s in running if s.holder and s.holder.since]
        left = durations.left(Counter(map(_kind, open_ones)), begun, len(running) or beside)
        several = len(running) or beside
        line += (
            "; no run has been timed yet"
            if left is None
            else f"; about {spell_time(left)} left, {several} at a time"
        )
    say(line)


def _counted(counts: Counter[str], named: str = "runs") -> str:
    found = [f"{counts[what]:,} {what}" for what in WHAT if counts[what]]
    return f"{counts.total():,} {named}: {', '.join(found)}" if found else f"no {named}"


def _kind(state: State) -> Kind:
    return Kind(state.dataset, state.method, state.student)


def _place(found: Holder) -> str:
    if found.since is None:
        return f"on {found.host}"
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.since))
    return f"on {found.host} since {since}"

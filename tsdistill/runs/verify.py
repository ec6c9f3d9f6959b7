"""Checks all that is stored against its manifests, and says what to run again; nothing is changed."""

from pathlib import Path

from tsdistill.console import say
from tsdistill.errors import DamagedError, TsdistillError
from tsdistill.runs.remedy import run_again, teacher_again, told_by
from tsdistill.store.inventory import KINDS
from tsdistill.store.listing import list_runs
from tsdistill.store.lookup import stored_in
from tsdistill.store.manifest import problem_with


def verify(out: Path) -> None:
    """Check every stored file, and say what is damaged and what to run again.

    Args:
        out: the output folder.

    Raises:
        TsdistillError: there is no such folder, or nothing is stored in it.
        DamagedError: something is damaged.
    """
    if not out.is_dir():
        raise TsdistillError(f"out={out}: there is no such folder")
    runs = list_runs(out)
    checked = len(runs.results) + len(runs.failures) + len(runs.damaged)
    for each in runs.damaged:
        say(f"runs/{each.name}: {each.problem}")
        say(f"  {run_again(each.path)}")
    damaged = len(runs.damaged)
    results = [*runs.results, *filter(None, (told_by(each.path) for each in runs.damaged))]
    for kind in KINDS:
        for stored in stored_in(out / kind) if kind != "runs" else ():
            checked += 1
            problem = problem_with(stored)
            if problem is not None:
                damaged += 1
                say(f"{kind}/{stored.name}: {problem}")
                say(f"  {teacher_again(stored.path, results)}")
    if not checked:
        raise TsdistillError(f"nothing is stored under {out}: name the folder that `distill` wrote into")
    told = f"{checked} stored things checked, {damaged} damaged; nothing was changed"
    if damaged:
        say("what these commands don't make whole was made by other code; `tsdistill clean` lists it")
        raise DamagedError(told)
    say(told)

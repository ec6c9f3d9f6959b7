"""Checks all that is stored against its manifests, and says what to run again; nothing is changed."""

from collections.abc import Iterator
from pathlib import Path

from tsdistill.console import say
from tsdistill.errors import DamagedError, TsdistillError
from tsdistill.runs.remedy import run_again, teacher_again
from tsdistill.store.inventory import KINDS
from tsdistill.store.listing import Damaged, list_runs
from tsdistill.store.manifest import BROKEN, hold


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
    for kind in KINDS:
        for path in _artefacts(out / kind) if kind != "runs" else ():
            checked += 1
            problem = problem_with(path)
            if problem is not None:
                damaged += 1
                say(f"{kind}/{Damaged(path, problem).name}: {problem}")
                say(f"  {teacher_again(path, runs.results)}")
    if not checked:
        raise TsdistillError(f"nothing is stored under {out}: name the folder that `distill` wrote into")
    told = f"{checked} stored things checked, {damaged} damaged; nothing was changed"
    if damaged:
        raise DamagedError(told)
    say(told)


def problem_with(folder: Path) -> str | None:
    """What is wrong with an artefact; None if it is whole."""
    try:
        hold(folder)
    except BROKEN as problem:
        return " ".join(str(problem).split())
    except OSError as error:
        return f"it can't be read: {error.strerror or error}"
    return None


def _artefacts(folder: Path) -> Iterator[Path]:
    """What has an artefact's name in the datasets' folders: nothing half-written, nothing set aside."""
    for dataset in sorted(folder.iterdir()) if folder.is_dir() else ():
        if dataset.is_dir():
            yield from (path for path in sorted(dataset.iterdir()) if "." not in path.name)

"""``tsdistill clean``: lists what is stored but no longer reachable; removes it on request."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsdistill.console import say
from tsdistill.errors import TsdistillError

if TYPE_CHECKING:
    from tsdistill.config.schema import CleanConf
    from tsdistill.runs.clean import Thing

SINGULAR = {"teachers": "teacher", "pools": "pool", "maps": "map", "runs": "run", "checkpoints": "checkpoint"}


def run(composed: Any) -> None:
    """List what is unreachable, or remove it."""
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_composed

    check_composed(composed)
    settings: Any = OmegaConf.to_object(composed)
    clean(settings)


def clean(conf: "CleanConf") -> None:
    """List what is unreachable under ``out``, and remove it if ``apply`` is set.

    Raises:
        TsdistillError: there is no such folder, or something can't be read or removed.
    """
    from tsdistill.runs.clean import plan

    out = Path(conf.out)
    if not out.is_dir():
        raise TsdistillError(f"out={out}: there is no such folder")
    things = plan(out, conf.only, conf.where)
    for thing in things:
        if not thing.removed and thing.verdict.current is None:
            say(f"kept: {_told(thing)}")
    going = [thing for thing in things if thing.removed]
    if conf.apply:
        _remove(going)
        return
    for thing in going:
        say(f"{_told(thing)}, {thing.entry.size:,} bytes")
    total = sum(thing.entry.size for thing in going)
    kept = len(things) - len(going)
    say(f"{len(going)} unreachable, {total:,} bytes; {kept} kept under {out}")
    if going:
        say("nothing was removed; add apply=true to remove them")


def _remove(going: "Sequence[Thing]") -> None:
    """Remove things one by one; what another process uses stays."""
    from tsdistill.runs.clean import remove

    freed = removed = 0
    for thing in going:
        size = thing.entry.size
        if not remove(thing):
            say(f"kept: {_told(thing)}; another process uses it now")
            continue
        say(f"removed: {_told(thing)}, {size:,} bytes")
        freed, removed = freed + size, removed + 1
    say(f"{removed} removed, {freed:,} bytes freed")


def _told(thing: "Thing") -> str:
    kind = SINGULAR.get(thing.entry.kind, thing.entry.kind)
    if thing.entry.what == "failure":
        kind = "failed run"
    return f"{kind} {thing.name}: {thing.verdict.why}"

"""``tsdistill tune``: searches a method's settings by what its students do on the validation part."""

import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.markup import escape
from rich.table import Table

from tsdistill.config.ranges import defaults_of, grid_points, grid_ranges, ranges_of, rounded
from tsdistill.config.resolve import check_composed, recorded_settings, settle_method
from tsdistill.config.schema import Pruner
from tsdistill.console import prefixed, print_table, say
from tsdistill.errors import TsdistillError, one_line
from tsdistill.runs.checkpoints import GivenUpError
from tsdistill.runs.spec import identity_of
from tsdistill.runs.story import distill, record_failure
from tsdistill.runs.study import ERROR, PRUNED, Ask, Study, Tried
from tsdistill.store.artefact import safe_name
from tsdistill.store.keys import key_of

OWN = ("trials", "sampler", "pruner", "study")
"""Settings of ``tune`` that ``distill`` has not."""
LOOKS = 20
"""Parts of a trial's epochs; after each of them it may be pruned."""


def tune(composed: DictConfig) -> None:
    """Try settings of one method until there are as many trials as wanted, then tell which is best.

    Args:
        composed: a composed ``TuneConf``.

    Raises:
        TsdistillError: nothing to search, no validation part, or no trial could be run.
    """
    composed = composed.copy()
    settle_method(composed)
    check_composed(composed)
    if composed.trials < 1:
        raise TsdistillError(f"trials={composed.trials} should be 1 or more")
    if composed.retrain or composed.why:
        raise TsdistillError("tune takes neither retrain=true nor why=true; use them with distill")
    study = _study(composed)
    composed.study = study.name
    while True:
        with study.next(composed.trials) as asked:
            if asked is None:
                break
            _try(study, composed, asked)
    _report(study, composed)


def _study(composed: DictConfig) -> Study:
    """The study that a config asks for, by its name or by all that it holds fixed."""
    if composed.sampler.value == "grid":
        first = grid_points(composed)
        ranges = grid_ranges(first)
    else:
        ranges = ranges_of(composed)
        first = [defaults_of(composed, list(ranges))]
    fixed = {name: value for name, value in recorded_settings(composed).items() if name not in ranges}
    identity = identity_of(composed)
    who = {name: identity[name] for name in ("dataset", "method", "teacher", "student", "seed")}
    how = {"sampler": composed.sampler.value}
    if composed.pruner is not Pruner.none:
        how["pruner"] = composed.pruner.value
    settings = key_of("study", {**who, "settings": fixed, **how})
    name = composed.study
    if name is None:
        name = f"{safe_name(who['dataset'])[:60]}-{who['method']}-{settings[:8]}"
    sampler, pruner = composed.sampler.value, composed.pruner.value
    return Study(Path(composed.out), name, settings, sampler, pruner, ranges, first)


def _try(study: Study, composed: DictConfig, asked: Ask) -> None:
    """Distil under one setting, from its record or anew, and tell the study."""
    job = composed.copy()
    for key, value in asked.values.items():
        OmegaConf.update(job, key, value)
    judge = None if composed.pruner is Pruner.none else partial(_judge, study, asked.number)
    with prefixed(f"[{asked.place}/{composed.trials}] {' '.join(_words(asked.values))}: "):
        try:
            result = distill(job, summary=_summary, judge=judge)
        except _PrunedError as pruned:
            say(f"pruned at epoch {pruned.epoch}: validation AP {pruned.precision:.3f}")
            study.tell(asked.number, None, {PRUNED: pruned.epoch})
            return
        except Exception as error:
            told = one_line(error)
            if asked.place == 1 or composed.debug:  # the default setting: what is wrong is not the search
                raise
            say(f"failed: {told}")
            record_failure(job, told)
            study.tell(asked.number, None, {ERROR: told})
            return
    precision, nll = _on_validation(result)
    facts = {"run": result["id"], "average_precision": precision, "nll": nll}
    study.tell(asked.number, precision, facts)


class _PrunedError(GivenUpError):
    """A trial lags behind the others."""

    def __init__(self, epoch: int, precision: float) -> None:
        super().__init__(epoch)
        self.epoch, self.precision = epoch, precision


def _judge(study: Study, number: int, epoch: int, epochs: int, measured: Callable[[], float]) -> None:
    """End a trial that lags; not in its first fifth, after which a student on its plateau begins anew."""
    if not math.ceil(epochs / 5) < epoch < epochs or epoch % max(1, epochs // LOOKS):
        return
    precision = measured()
    precision = precision if precision == precision else 0.0
    if study.lags(number, epoch, precision):
        raise _PrunedError(epoch, precision)


def _on_validation(result: Mapping[str, Any]) -> tuple[float, float]:
    """Average precision and negative log-likelihood on the validation part; the worst where undefined.

    Raises:
        TsdistillError: there is no such part.
    """
    if result["validation"] is None:
        raise TsdistillError(
            f"{result['dataset']} has no validation part, so no setting can be chosen; set split.validation"
        )
    precision, nll = (result["validation"][name] for name in ("average_precision", "nll"))
    return (precision if precision == precision else 0.0, nll if nll == nll else 1e9)


def _summary(result: Mapping[str, Any]) -> str:
    """A trial in one line; nothing of the test part, which has no say in the choice."""
    precision, nll = _on_validation(result)
    return f"validation AP {precision:.3f}, nll {nll:.3f}; {result['training']['epochs']} epochs"


def _words(values: Mapping[str, Any]) -> list[str]:
    """Settings as overrides."""
    return [f"{key}={rounded(value)}" for key, value in values.items()]


def _rank(trial: Tried) -> tuple[int, float, float, int]:
    """The best first: by average precision, then likelihood, then the earlier; the unfinished come last."""
    facts = trial.facts
    unfinished = 2 * (ERROR in facts) + (PRUNED in facts)
    return (unfinished, -facts.get("average_precision", 0.0), facts.get("nll", 0.0), trial.number)


def _report(study: Study, composed: DictConfig) -> None:
    """Print all trials, the best first, and the words that distil under the best setting."""
    tried = sorted(study.tried(), key=_rank)
    running = study.running()
    if running:
        say(f"{running} trials are still run by other processes")
    print_table(_table(tried))
    failed, pruned = (sum(name in trial.facts for trial in tried) for name in (ERROR, PRUNED))
    ended = f"{pruned} pruned, {failed} failed" if pruned else f"{failed} failed"
    say(f"study {study.name}: {len(tried)} trials, {ended}; chosen on the validation part")
    if len(tried) > failed + pruned:
        words = [*_given(), *_words(tried[0].values)]
        say(f"the best setting: {shlex.join(['tsdistill', 'distill', *words])}")


def _given() -> Iterator[str]:
    """The command's own words that ``distill`` takes too, without the quotes that Hydra was given."""
    for word in HydraConfig.get().overrides.task:
        name, equals, value = word.partition("=")
        if name.lstrip("+") not in OWN:
            quoted = len(value) > 1 and value[0] == value[-1] == "'"
            yield name + equals + (value[1:-1] if quoted else value)


def _table(tried: Sequence[Tried]) -> Table:
    keys = list(dict.fromkeys(key for trial in tried for key in trial.values))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    add = partial(table.add_column, justify="right")
    for head in ("trial", *keys, "AP", "nll"):
        add(escape(head))
    table.add_column("run")
    for trial in tried:
        figures = [
            f"{trial.facts[name]:.3f}" if name in trial.facts else "-"
            for name in ("average_precision", "nll")
        ]
        values = [str(trial.values.get(key, "-")) for key in keys]
        table.add_row(str(trial.number), *values, *figures, escape(_end(trial.facts)))
    return table


def _end(facts: Mapping[str, Any]) -> str:
    """A trial's run, or why it has none."""
    if PRUNED in facts:
        return f"pruned at epoch {facts[PRUNED]}"
    return str(facts.get("run", f"failed: {facts.get(ERROR, '')}"))

"""A study: trials that any number of processes share through one file, with optuna choosing their settings.

``<out>/studies/<name>.journal`` holds every trial. A process asks for the next one and tells its value under
the study's lock. While it works on a trial it holds that trial's own lock. So the trial of a killed process
is known by a lock that nobody holds, and its settings are tried again.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsdistill.config.ranges import Range, rounded
from tsdistill.errors import TsdistillError
from tsdistill.store.artefact import cannot_write
from tsdistill.store.temporary import is_lacking, lock_at

ERROR = "error"
"""Attribute of a trial that failed by itself; one without it was killed, and does not count."""
PRUNED = "pruned"
"""Attribute of a trial that was ended early: its last epoch."""
REPORTED = "reported"
"""Attribute of a trial in the place of a killed one: the values by epoch that were reported of that."""
FEWEST = 5
"""Finished trials from which on the others can be held against their median."""
SETTINGS = "settings"
"""Attribute of a study: the hash of all settings that it does not vary."""


@dataclass(frozen=True)
class Tried:
    """A trial that is over.

    Attributes:
        number: its number in the study.
        values: the settings tried.
        facts: what was told of it: its metrics and its run, its error, or the epoch at which it was pruned.
    """

    number: int
    values: Mapping[str, Any]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Ask:
    """A trial to work on.

    Attributes:
        number: its number in the study.
        place: how many trials there are, this one included, without those that were killed.
        values: the settings to try.
    """

    number: int
    place: int
    values: Mapping[str, Any]


class Study:
    """An optuna study in an output folder.

    Args:
        out: the output folder.
        name: the study's name.
        settings: hash of all settings that it does not vary.
        sampler: ``tpe``, ``random`` or ``grid``.
        pruner: ``none`` or ``median``.
        ranges: the settings that it varies.
        first: settings to try before any others; with ``grid`` these are all.

    Raises:
        TsdistillError: optuna is missing, the file can't be written or read, or it is another study's.
    """

    def __init__(
        self,
        out: Path,
        name: str,
        settings: str,
        sampler: str,
        pruner: str,
        ranges: Mapping[str, Range],
        first: Sequence[Mapping[str, Any]],
    ) -> None:
        if re.fullmatch(r"[0-9A-Za-z_.+-]{1,120}", name) is None or name.startswith("."):
            raise TsdistillError(f"study={name}: use letters, digits, '_', '-', '+' and '.'")
        self.name, self._sampler, self._pruner, self._ranges = name, sampler, pruner, ranges
        self._path = out / "studies" / f"{name}.journal"
        self._locks = out / "locks"
        self._asked_for: dict[int, Any] = {}
        try:
            for folder in (self._path.parent, self._locks):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        self._lock = lock_at(self._locks / f"study-{name}.lock")
        with self._alone():
            self._study = self._opened()
            known = self._study.user_attrs.get(SETTINGS)
            if known is None:
                self._study.set_user_attr(SETTINGS, settings)
            elif known != settings:
                raise TsdistillError(f"study={name} tunes something else in {out}; choose another name")
            for values in first:
                self._study.enqueue_trial(dict(values), skip_if_exists=True)

    def _opened(self) -> Any:
        try:
            import optuna
        except ModuleNotFoundError:
            raise TsdistillError("tune needs optuna: pip install 'tsdistill[tune]'") from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        _drop_torn_line(self._path)
        backend = optuna.storages.journal.JournalFileBackend(str(self._path), lock_obj=self._lock)
        try:
            storage = optuna.storages.JournalStorage(backend)
            return optuna.create_study(
                storage=storage,
                study_name=self.name,
                direction="maximize",
                load_if_exists=True,
                pruner=self._pruner_made(),
            )
        except (ValueError, KeyError, AssertionError) as error:
            raise TsdistillError(f"{self._path} is not a whole study ({error}); remove it") from error

    def _pruner_made(self) -> Any:
        from optuna.pruners import MedianPruner, NopPruner

        if self._pruner == "none":
            return NopPruner()
        return MedianPruner(n_startup_trials=FEWEST, n_min_trials=FEWEST)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only process that reads or writes the study."""
        try:
            with self._lock:
                yield
        except (NotImplementedError, OSError) as error:
            if is_lacking(error):
                raise TsdistillError(f"{self._path}: a study needs a file system with locks") from error
            raise

    @contextmanager
    def next(self, trials: int) -> Iterator[Ask | None]:
        """Yield the next trial, to be worked on in the body; None if as many as wanted are there.

        Args:
            trials: how many there should be.
        """
        with ExitStack() as stack:
            with self._alone():
                self._reclaim()
                asked = self._asked(trials)
                if asked is not None:
                    stack.enter_context(self._working_on(asked.number))
            yield asked

    def _asked(self, trials: int) -> Ask | None:
        from optuna.trial import TrialState

        found = self._study.get_trials(deepcopy=False)
        waiting = any(trial.state is TrialState.WAITING for trial in found)
        place = sum(_counts(trial) for trial in found) + 1
        if place > trials or (self._sampler == "grid" and not waiting):
            return None
        self._study.sampler = self._fresh_sampler(place)
        trial = self._study.ask()
        values = {key: rounded(_suggested(trial, key, each)) for key, each in self._ranges.items()}
        self._asked_for[trial.number] = trial
        return Ask(trial.number, place, values)

    def _fresh_sampler(self, place: int) -> Any:
        """A sampler that draws the same in an unbroken study and in one that was resumed."""
        from optuna.samplers import RandomSampler, TPESampler

        if self._sampler != "tpe":
            return RandomSampler(seed=place)
        return TPESampler(seed=place, constant_liar=True)  # what others work on now is not drawn again

    def lags(self, number: int, epoch: int, value: float) -> bool:
        """Report how good a trial is, and say whether it is to be ended early.

        Args:
            number: of the trial.
            epoch: its epoch.
            value: what is maximised, as it is at that epoch.
        """
        trial = self._asked_for[number]
        with self._alone():
            known = self._study.get_trials(deepcopy=False)[number].intermediate_values
            before = {int(at): told for at, told in trial.user_attrs.get(REPORTED, {}).items()}
            for at, told in sorted({**before, epoch: value}.items()):
                if at <= epoch and at not in known:
                    trial.report(told, at)
            return bool(trial.should_prune())

    def tell(self, number: int, value: float | None, facts: Mapping[str, Any]) -> None:
        """Say how a trial ended.

        Args:
            number: of the trial.
            value: what is maximised; None if it failed or was pruned, as ``facts`` then says.
            facts: what else is remembered of it.
        """
        from optuna.trial import TrialState

        trial = self._asked_for.pop(number)
        with self._alone():
            for name, fact in facts.items():
                trial.set_user_attr(name, fact)
            unfinished = TrialState.PRUNED if PRUNED in facts else TrialState.FAIL
            self._study.tell(trial, value, state=unfinished if value is None else TrialState.COMPLETE)

    def tried(self) -> list[Tried]:
        """The trials that are over, without those that were killed."""
        with self._alone():
            found = self._study.get_trials(deepcopy=False)
        return [
            Tried(trial.number, {key: rounded(v) for key, v in trial.params.items()}, dict(trial.user_attrs))
            for trial in found
            if trial.state.is_finished() and _counts(trial)
        ]

    def running(self) -> int:
        """How many trials other processes work on now."""
        from optuna.trial import TrialState

        with self._alone():
            self._reclaim()
            return len(self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))

    def _reclaim(self) -> None:
        """Put the settings of trials back whose process is gone."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            with suppress(TimeoutError), self._working_on(trial.number):
                self._study.tell(trial.number, state=TrialState.FAIL)
                reported = {**trial.user_attrs.get(REPORTED, {}), **trial.intermediate_values}
                told = {REPORTED: {str(at): value for at, value in reported.items()}} if reported else None
                values = trial.params or trial.system_attrs.get("fixed_params", {})
                self._study.enqueue_trial(values, user_attrs=told)

    @contextmanager
    def _working_on(self, number: int) -> Iterator[None]:
        """Hold a trial's lock; raises TimeoutError if another process does."""
        path = self._locks / f"study-{self.name}-{number}.lock"
        lock = lock_at(path)
        lock.acquire(timeout=0)
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()
            lock.release()


def _counts(trial: Any) -> bool:
    """Whether a trial counts: it is over or being worked on, and was not killed."""
    from optuna.trial import TrialState

    counting = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
    return trial.state in counting or (trial.state is TrialState.FAIL and ERROR in trial.user_attrs)


def _suggested(trial: Any, key: str, values: Range) -> Any:
    if values.choices:
        return trial.suggest_categorical(key, values.choices)
    if values.is_whole:
        return trial.suggest_int(key, values.low, values.high, log=values.log)
    return trial.suggest_float(key, values.low, values.high, log=values.log)


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a full disk or a kill left unfinished; optuna would refuse the file."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)

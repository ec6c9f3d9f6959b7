"""Two sweepers: Hydra's own without its hours of composing before the first job begins, and one that asks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from tsdistill.config.compose import Composer


class _Configured(BasicSweeper):
    """Takes overrides from the config, too."""

    def _parse_config(self) -> list[str]:
        """The config's own overrides."""
        from tsdistill.runs.sweep import swept_words

        assert self.config is not None
        return swept_words(self.config)


class Sweeper(_Configured):
    """Multiplies comma-separated values out, as Hydra's own does, and keeps the command's share."""

    def split_arguments(  # type: ignore[override]  # Hydra's is static, but called on the sweeper
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """All jobs of this command, in one batch unless ``max_batch_size`` says otherwise.

        Raises:
            TsdistillError: the share is none, or there are several.
        """
        from tsdistill.errors import TsdistillError
        from tsdistill.runs.share import share_of

        assert self.config is not None
        for override in overrides:
            if override.key_or_group == "share" and override.is_sweep_override():
                raise TsdistillError(f"{override.input_line}: a command runs one share; start one for each")
        batches = super().split_arguments(overrides, None)
        whole = [job for batch in batches for job in batch]
        self._asked = [str(override.input_line) for override in overrides], whole
        jobs = list(share_of(whole, self.config.get("share")))
        size = max_batch_size or max(1, len(jobs))
        return [jobs[at : at + size] for at in range(0, len(jobs), size)]

    def _tell_unread(self, composer: "Composer") -> None:
        """Say which words no method of the sweep reads, those of other shares included."""
        from tsdistill.config.unread import sets_method, unread
        from tsdistill.console import say

        words, jobs = self._asked
        setting = [word for word in words if sets_method(word)]
        if setting:
            methods = {composer.choices(job): job for job in jobs}.values()
            for line in unread(setting, [composer.compose(job) for job in methods]):
                say(line)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose one job for each choice of groups, and each override with one of them.

        The jobs of a sweep set the same keys, so these find a key that a choice of groups lacks, and a value
        of the wrong type.

        Raises:
            HydraException: as Hydra's own.
        """
        from tsdistill.config.compose import composer_of

        assert self.hydra_context is not None and self.config is not None
        composer = composer_of(self.hydra_context.config_loader, self.config)  # type: ignore[arg-type]
        seen: set[str | tuple[str, ...]] = set()
        for words in batch:
            parts: set[str | tuple[str, ...]] = {*words, composer.choices(words)}
            if not parts <= seen:
                composer.compose(words)
                seen |= parts
        if self.batch_index == 1:
            self._tell_unread(composer)


class Status(_Configured):
    """Says what has become of the jobs of a sweep, and runs none."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over, but for the launcher."""
        self.hydra_context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> None:
        """Print the state of each job that the arguments multiply out to."""
        from tsdistill.config.compose import composer_of
        from tsdistill.runs.status import show_sweep

        assert self.hydra_context is not None and self.config is not None
        loader = self.hydra_context.config_loader
        parser = OverridesParser.create(config_loader=loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        jobs = [job for batch in self.split_arguments(overrides, None) for job in batch]
        show_sweep(composer_of(loader, self.config), self.config, jobs)  # type: ignore[arg-type]

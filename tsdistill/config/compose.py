"""The configs of a sweep's jobs: Hydra composes each choice of groups once, and the jobs share it."""

import pickle
from collections.abc import Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

__neutral__ = "the same configs as Hydra's own, only sooner"


class Composer:
    """Composes the configs of a sweep's jobs.

    Hydra takes a third of a second to compose a config, most of it for files that all jobs share. Here it
    does so once for each choice of groups (``method=tsd``); a job's values (``seed=1``) are then set on a
    copy, by Hydra's own function and in its order, so that the result is the same.
    """

    def __init__(self, loader: ConfigLoaderImpl, master: DictConfig) -> None:
        """Begin with nothing composed.

        Args:
            loader: Hydra's, with its search path set.
            master: the sweep's own config, whose overrides of Hydra's settings hold for all jobs.
        """
        self._loader, self._master = loader, master
        self._parser = OverridesParser.create()
        self._parsed: dict[str, tuple[Override, bool]] = {}
        self._composed: dict[tuple[str, ...], bytes] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Take what is composed along to another process."""
        return _with_composed, (self._loader, self._master, self._composed)

    def compose(self, words: Sequence[str]) -> DictConfig:
        """The config of the job with these overrides, with the node ``hydra``.

        Raises:
            HydraException: an override is malformed, or doesn't fit the config.
        """
        parsed = [self._parse(word) for word in words]
        chosen = tuple(word for word, (_, is_choice) in zip(words, parsed, strict=True) if is_choice)
        if chosen not in self._composed:
            whole = self._loader.load_sweep_config(self._master, list(chosen))
            self._composed[chosen] = pickle.dumps(whole)
        # Our own bytes, of this process: copying by pickle takes a third of what copy.deepcopy does.
        config: DictConfig = pickle.loads(self._composed[chosen])  # noqa: S301
        try:
            self._loader._apply_overrides_to_config([o for o, is_choice in parsed if not is_choice], config)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException(str(error)) from error
        self._tell_hydra(config, words, [override for override, _ in parsed])
        return config

    def choices(self, words: Sequence[str]) -> tuple[str, ...]:
        """Those of some overrides that choose among files, rather than set a value."""
        return tuple(word for word in words if self._parse(word)[1])

    def value(self, word: str) -> Any:
        """What an override sets its key to."""
        return self._parse(word)[0].value()

    def _parse(self, word: str) -> tuple[Override, bool]:
        """An override, and whether Hydra needs it to find the files of the config."""
        if word not in self._parsed:
            override = self._parser.parse_overrides([word])[0]  # whose message is that of a sweep
            group = override.is_hydra_override() or (
                not isinstance(override.value(), dict)
                and self._loader.repository.group_exists(override.key_or_group)
            )
            self._parsed[word] = (override, group)
        return self._parsed[word]

    @staticmethod
    def _tell_hydra(config: DictConfig, words: Sequence[str], overrides: Sequence[Override]) -> None:
        """Write a job's overrides where Hydra keeps them."""
        own = [(w, o) for w, o in zip(words, overrides, strict=True) if not o.is_hydra_override()]
        job: Any = config.hydra.job
        naming = job.config.override_dirname
        with open_dict(config.hydra):
            config.hydra.overrides.task = [word for word, _ in own]
            job.override_dirname = get_overrides_dirname(
                overrides=[override for _, override in own],
                kv_sep=naming.kv_sep,
                item_sep=naming.item_sep,
                exclude_keys=naming.exclude_keys,
            )


def _with_composed(
    loader: ConfigLoaderImpl, master: DictConfig, composed: dict[tuple[str, ...], bytes]
) -> Composer:
    composer = Composer(loader, master)
    composer._composed = composed
    return composer


_last: Composer | None = None


def composer_of(loader: ConfigLoaderImpl, master: DictConfig) -> Composer:
    """The composer of a sweep, which Hydra's sweeper and launcher share."""
    global _last
    if _last is None or _last._master is not master:
        _last = Composer(loader, master)
    return _last

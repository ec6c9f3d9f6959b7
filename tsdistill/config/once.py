"""Hydra composes a command's config twice, first only to see whether it sweeps; here it does so once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

__neutral__ = "the same configs as Hydra's own, only sooner"


@contextmanager
def composed_once() -> Iterator[None]:
    """While this lasts, the config that Hydra composes to see its mode is the one that it runs.

    Both differ in two points: for the mode, Hydra permits values to sweep over, and skips choices that are
    missing. So what is composed here first is the config of a run, and the check of the values comes later.
    Where it can't be composed, as where a sweep supplies a choice, Hydra goes its own way.
    """
    kept: dict[tuple[str | None, tuple[str, ...]], DictConfig] = {}
    before, compose = Hydra.get_mode, ConfigLoaderImpl.load_configuration

    def get_mode(hydra: Hydra, config_name: str | None, overrides: list[str]) -> Any:
        try:
            config = compose(
                cast(ConfigLoaderImpl, hydra.config_loader),
                config_name,
                overrides,
                RunMode.RUN,
                validate_sweep_overrides=False,
            )
        except Exception:
            return before(hydra, config_name, overrides)
        kept[config_name, tuple(overrides)] = config
        return config.hydra.mode

    def load_configuration(
        loader: ConfigLoaderImpl,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        added = overrides[-1:] if overrides[-1:] == [f"hydra.mode={run_mode.name}"] else []
        asked = tuple(overrides[: len(overrides) - len(added)])
        config = kept.pop((config_name, asked), None)
        if config is None:
            return compose(loader, config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        if validate_sweep_overrides:
            parsed = OverridesParser.create().parse_overrides(overrides)
            loader.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        if added:  # by Hydra, once it had seen that no config says the mode
            config.hydra.mode = run_mode
            config.hydra.overrides.hydra.extend(added)
        return config

    Hydra.get_mode = get_mode  # type: ignore[assignment, method-assign]
    ConfigLoaderImpl.load_configuration = load_configuration  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = before  # type: ignore[method-assign]
        ConfigLoaderImpl.load_configuration = compose  # type: ignore[method-assign]

"""Load a dataset from its config."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from tsdistill.config.targets import build
from tsdistill.data.parsed import read_cached
from tsdistill.data.prepare import Preparation
from tsdistill.data.preprocess import Preprocessing, preprocess
from tsdistill.data.raw import FileReader, RawDataset, Reader
from tsdistill.data.types import TimeSeriesDataset
from tsdistill.errors import TsdistillError

COMMON_KEYS = tuple(field.name for field in fields(Preprocessing))
"""Keys of every dataset config that tell how series are preprocessed; all others are the reader's own."""


def load_dataset(conf: Mapping[str, Any], data_root: Path | None, cache: Path) -> TimeSeriesDataset:
    """Read and preprocess the dataset that a config names.

    Args:
        conf: ``_target_`` of a reader, the reader's own settings, and the common keys of ``Preprocessing``.
        data_root: root of the user's local data, or None.
        cache: folder for downloads and parsed sets.

    Returns:
        The dataset with its default split.

    Raises:
        TsdistillError: the set is missing or broken, or the config asks what cannot be.
    """
    check_root(data_root)
    raw = read_raw(conf, data_root, cache)
    return preprocess(raw, Preprocessing(**{key: conf[key] for key in COMMON_KEYS if key in conf}))


def load_preparation(conf: Mapping[str, Any], data_root: Path | None, cache: Path) -> Preparation:
    """Find what ``load_dataset`` does to the series of a dataset, so that it can be done to others.

    Args:
        conf: as for ``load_dataset``.
        data_root: root of the user's local data, or None.
        cache: folder for downloads and parsed sets.
    """
    raw = read_raw(conf, data_root, cache)
    return Preparation.of(raw, Preprocessing(**{key: conf[key] for key in COMMON_KEYS if key in conf}))


def check_root(data_root: Path | None) -> None:
    """Refuse a local root that was named but is not there."""
    if data_root is not None and not data_root.is_dir():
        raise TsdistillError(
            f"data_root={data_root}: no such folder; correct the setting data_root "
            "or the variable TSDISTILL_DATA"
        )


def read_raw(conf: Mapping[str, Any], data_root: Path | None, cache: Path) -> RawDataset:
    """Build the config's reader and let it read.

    Args:
        conf: as for ``load_dataset``.
        data_root: root of the user's local data, or None.
        cache: folder for downloads and parsed sets.

    Returns:
        Both parts as read.
    """
    settings = _own_settings(conf)
    reader = _build_reader(settings)
    if isinstance(reader, FileReader):
        return read_cached(reader, settings, data_root, cache)
    if not isinstance(reader, Reader):
        raise TsdistillError(
            f"{settings['_target_']} is not a dataset reader: it has neither read nor locate and parse"
        )
    raw = reader.read(data_root, cache)
    if not isinstance(raw, RawDataset):
        raise TsdistillError(f"{settings['_target_']}.read gave a {type(raw).__name__}, not a RawDataset")
    return raw


def _own_settings(conf: Mapping[str, Any]) -> dict[str, Any]:
    """``_target_`` and the reader's own settings, as plain values."""
    from omegaconf import DictConfig, OmegaConf

    if not conf.get("_target_"):
        raise TsdistillError("the dataset config has no _target_; choose one by dataset=ucr, uea, csv, ...")
    plain = OmegaConf.to_container(conf, resolve=True) if isinstance(conf, DictConfig) else dict(conf)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key not in COMMON_KEYS}


def _build_reader(settings: Mapping[str, Any]) -> Any:
    """Build the reader that ``_target_`` names with its own settings."""
    try:
        return build(settings, "dataset")
    except TsdistillError:
        raise
    except Exception as error:  # whatever a user's constructor may raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TsdistillError(f"dataset reader {settings['_target_']}: {reason}") from error

"""``tsdistill status`` without a sweep's words: what is stored, and what runs now."""

from pathlib import Path
from typing import Any


def run(composed: Any) -> None:
    """Count the runs under ``out`` by data set and method."""
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_composed
    from tsdistill.runs.status import show_stored

    check_composed(composed)
    settings: Any = OmegaConf.to_object(composed)
    show_stored(Path(settings.out))

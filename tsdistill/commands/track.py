"""``tsdistill track``: writes stored runs in the form of an experiment tracker."""

from typing import Any


def run(composed: Any) -> None:
    """Write the stored runs that the settings name."""
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_composed
    from tsdistill.runs.track import track

    check_composed(composed)
    settings: Any = OmegaConf.to_object(composed)
    track(settings)

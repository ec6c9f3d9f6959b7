"""``tsdistill explain``: draws what a teacher and its stored students look at."""

from typing import Any


def run(composed: Any) -> None:
    """Draw the stored runs that the settings name."""
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_composed
    from tsdistill.runs.explain import explain

    check_composed(composed)
    settings: Any = OmegaConf.to_object(composed)
    explain(settings)

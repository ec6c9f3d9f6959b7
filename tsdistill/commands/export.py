"""``tsdistill predict``: a stored student's answers on new series."""

from typing import Any


def run(composed: Any) -> None:
    """Export the student that the settings name."""
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_composed
    from tsdistill.runs.export import export

    check_composed(composed)
    settings: Any = OmegaConf.to_object(composed)
    export(settings)

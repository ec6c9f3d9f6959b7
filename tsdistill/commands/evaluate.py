"""``tsdistill evaluate``: adds metrics to stored runs without retraining."""

from typing import Any


def run(composed: Any) -> None:
    """Evaluate the stored runs that the settings name."""
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_composed
    from tsdistill.runs.evaluate import evaluate

    check_composed(composed)
    settings: Any = OmegaConf.to_object(composed)
    evaluate(settings)

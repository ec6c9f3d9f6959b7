"""Knowledge distillation of time series classifiers, with temporal saliency at its heart."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsdistill.report.frame import load_arrays, load_curves, load_logits, load_results
    from tsdistill.runs.classifier import DistilledClassifier
    from tsdistill.runs.load import load

__neutral__ = "names alone"
__version__ = "0.1.0"
__all__ = [
    "DistilledClassifier",
    "__version__",
    "load",
    "load_arrays",
    "load_curves",
    "load_logits",
    "load_results",
]

_PUBLIC = {
    "DistilledClassifier": "tsdistill.runs.classifier",
    "load": "tsdistill.runs.load",
    "load_arrays": "tsdistill.report.frame",
    "load_curves": "tsdistill.report.frame",
    "load_logits": "tsdistill.report.frame",
    "load_results": "tsdistill.report.frame",
}
"""Public names by module, imported on first use: pandas takes a second."""


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tsdistill' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)

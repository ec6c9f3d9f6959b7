"""Knowledge distillation of time series classifiers, with temporal saliency at its heart."""

__neutral__ = "names alone"

__version__ = "0.1.0"

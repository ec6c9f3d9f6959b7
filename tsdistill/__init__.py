"""Knowledge distillation of time series classifiers, with temporal saliency at its heart."""

__version__ = "0.1.0"

RESULTS_VERSION = 2
"""Raised by hand only when a change may alter numbers: it is part of every cache and record key."""

"""Hydra's flags for a sweep, and the commands that take them."""

MULTIRUN = ("-m", "--multirun")
"""Flags that ask for a sweep."""
SWEEPABLE = ("train-teacher", "distill", "tune", "status")
"""Commands that sweep, or that are asked about a sweep; the others have nothing to sweep over."""

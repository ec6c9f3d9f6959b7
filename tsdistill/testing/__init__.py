"""Checks for models and loss terms, which ours pass too; a failure says in one line what is wrong."""

from tsdistill.testing.losses import check_loss_term
from tsdistill.testing.models import check_model

__all__ = ["check_loss_term", "check_model"]

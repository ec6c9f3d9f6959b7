"""Checks for your own models, loss terms, teachers and datasets; ours pass them too.

A failure says in one line what is wrong.
"""

from tsdistill.testing.datasets import check_dataset
from tsdistill.testing.losses import check_loss_term
from tsdistill.testing.models import check_model
from tsdistill.testing.teachers import check_teacher

__all__ = ["check_dataset", "check_loss_term", "check_model", "check_teacher"]

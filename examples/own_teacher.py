"""A teacher of your own: any classifier that gives probabilities, here a random forest on the flat series.

PYTHONPATH=examples tsdistill distill --config-dir examples/conf teacher=forest dataset.name=GunPoint
"""

from collections.abc import Mapping
from typing import Any

import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from tsdistill.teachers.base import FitTask, Teacher
from tsdistill.testing import check_teacher


class Forest(Teacher):
    """A random forest, fitted again from its seed whenever it has to answer anew.

    Args:
        trees: number of trees.
    """

    def __init__(self, trees: int = 200) -> None:
        self.trees = trees
        self.model: Any = None

    def fit(self, task: FitTask) -> Mapping[str, Any]:
        """Fit on the training part."""
        train = task.parts["train"]
        self.model = RandomForestClassifier(self.trees, min_samples_leaf=2, random_state=task.seeds[0])
        self.model.fit(train.x.flatten(1).cpu().numpy(), train.y.cpu().numpy())
        return {"trees": self.trees}

    def logits(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logarithms of the votes, smoothed by half a vote for each class."""
        votes = self.trees * torch.from_numpy(self.model.predict_proba(x.flatten(1).cpu().numpy()))
        return ((votes + 0.5) / (self.trees + 0.5 * votes.shape[1])).log().float().to(x.device)


if __name__ == "__main__":
    check_teacher(Forest)
    print("Forest passes check_teacher")

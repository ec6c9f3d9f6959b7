"""The ROCKETs: random convolutions of sktime's and a ridge classifier on them."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import RidgeClassifierCV
from sklearn.preprocessing import StandardScaler

KERNELS = {"rocket": 10_000, "minirocket": 10_000, "multirocket": 6_250}
"""Published numbers of kernels."""


class RocketRidge(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """ROCKET (arXiv 1910.13051), MiniROCKET (2012.08791) or MultiROCKET (2102.00457).

    sktime's own ``RocketClassifier`` answers one-hot and hides the ridge classifier's decision scores, and
    turns its features into a table a series, which takes some fifty times as long.

    Args:
        transform: which of them.
        kernels: number of kernels; null for the published one.
        random_state: seed of the kernels and biases.
    """

    def __init__(
        self,
        transform: Literal["rocket", "minirocket", "multirocket"] = "minirocket",
        kernels: int | None = None,
        random_state: int | None = None,
    ) -> None:
        self.transform = transform
        self.kernels = kernels
        self.random_state = random_state

    def fit(self, x: NDArray[np.float64], y: NDArray[np.int64]) -> "RocketRidge":
        """Fit on series (N, C, T) of classes (N,)."""
        self.kernels_ = self._transformer(x.shape[1]).fit(x)
        self.scaler_ = StandardScaler(with_mean=False)
        self.ridge_ = RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))
        self.ridge_.fit(self.scaler_.fit_transform(self.kernels_.transform(x).to_numpy()), y)
        self.classes_ = self.ridge_.classes_
        return self

    def decision_function(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of series (N, C, T): (N,) for two classes, (N, K) for more."""
        found = self.ridge_.decision_function(self.scaler_.transform(self.kernels_.transform(x).to_numpy()))
        return np.asarray(found, dtype=np.float64)

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.int64]:
        """Classes of series (N, C, T), (N,)."""
        scores = self.decision_function(x)
        rows = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        found: NDArray[np.int64] = self.classes_[rows]
        return found

    def _transformer(self, channels: int) -> Any:
        from sktime.transformations.panel import rocket

        univariate = {"rocket": "Rocket", "minirocket": "MiniRocket", "multirocket": "MultiRocket"}
        name = univariate[self.transform]
        if channels > 1 and self.transform != "rocket":
            name += "Multivariate"
        kernels = KERNELS[self.transform] if self.kernels is None else self.kernels
        return getattr(rocket, name)(num_kernels=kernels, random_state=self.random_state)

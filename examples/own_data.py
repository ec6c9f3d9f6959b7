"""A dataset of your own that no reader knows: any class with ``read``.

PYTHONPATH=examples tsdistill distill --config-dir examples/conf dataset=chirps
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsdistill.data.raw import RawDataset, RawPart
from tsdistill.testing import check_dataset


@dataclass(frozen=True)
class Chirps:
    """Two classes: tones whose pitch rises, and tones whose pitch falls.

    Attributes:
        name: the dataset's name in records and tables.
        series: number of series of each part.
        length: timesteps.
        seed: of everything drawn.
    """

    name: str = "Chirps"
    series: int = 40
    length: int = 60
    seed: int = 0

    def read(self, data_root: Path | None, cache: Path) -> RawDataset:
        """Make both parts; ``data_root`` and ``cache`` are where a reader of files would look."""
        draw = np.random.default_rng(self.seed)
        return RawDataset(self.name, self._part(draw), self._part(draw), source="examples/own_data.py")

    def _part(self, draw: np.random.Generator) -> RawPart:
        time = np.linspace(0, 1, self.length)
        rising = np.arange(self.series) % 2 == 0
        phase = draw.uniform(0, 2 * np.pi, (self.series, 1))
        sweep = np.where(rising[:, None], time**2, 2 * time - time**2)
        values = np.sin(phase + 12 * np.pi * sweep) + 0.2 * draw.normal(size=(self.series, self.length))
        return RawPart.of(values, ["rising" if up else "falling" for up in rising])


if __name__ == "__main__":
    check_dataset("own_data.Chirps")
    print("Chirps passes check_dataset")

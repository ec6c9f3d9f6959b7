"""Synthetic series whose class depends on a known window, so saliency can be compared with the truth."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from tsdistill.data.preprocess import resample
from tsdistill.data.raw import RawDataset, RawPart
from tsdistill.errors import TsdistillError, nearest

Evidence = Literal["shapelet", "frequency", "level", "position", "channel"]
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

HARMONICS = 4
_LEAST = {
    "n_train": 2,
    "n_test": 1,
    "length": 4,
    "channels": 1,
    "classes": 2,
    "window": 2,
    "informative": 1,
    "seed": 0,
}


@dataclass(frozen=True)
class PlantedReader:
    """Makes white noise with one window of evidence a series, and one window that says nothing.

    What tells class k, by ``shape``; the amplitude is about 1:

    - ``shapelet``: a smooth random waveform of the class, at any place;
    - ``frequency``: a sine of k + 1 periods and random phase, at any place;
    - ``level``: a plateau of height 2 (k + 1) / K, at any place;
    - ``position``: the same bump for all classes, in the k-th of K equal zones of time (a network that
      averages over time, as FCN, can hardly see it);
    - ``channel``: the same bump for all classes, at any place of channel k.

    Attributes:
        name: the dataset's name.
        n_train: training series; classes take turns.
        n_test: test series.
        length: T in timesteps.
        channels: C.
        classes: K.
        shape: what the evidence looks like.
        window: width of the evidence in timesteps.
        informative: the first so many channels carry the evidence (one, whichever it is, for ``channel``).
        noise: standard deviation of the white noise on every timestep.
        distractor: add a sawtooth of the same width beside the evidence that is the same for all classes.
        seed: of everything that is drawn.
    """

    name: str = "Planted"
    n_train: int = 100
    n_test: int = 200
    length: int = 100
    channels: int = 1
    classes: int = 2
    shape: Evidence = "shapelet"
    window: int = 20
    informative: int = 1
    noise: float = 0.3
    distractor: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for key, least in _LEAST.items():
            if getattr(self, key) < least:
                raise TsdistillError(f"dataset.{key}={getattr(self, key)}: must be at least {least}")
        if self.shape not in get_args(Evidence):
            raise TsdistillError(f"dataset.shape={self.shape}: {nearest(self.shape, get_args(Evidence))}")
        if not (self.noise >= 0 and np.isfinite(self.noise)):
            raise TsdistillError(f"dataset.noise={self.noise}: must be 0 or more")
        self._check_room()

    def _check_room(self) -> None:
        """Refuse settings whose parts do not fit into each other."""
        need = 3 * self.window - 1 if self.distractor else self.window
        K = self.classes
        for wrong, message in (
            (
                self.length < need,
                f"dataset.window={self.window} needs a dataset.length of at least {need}, not {self.length}",
            ),
            (
                self.informative > self.channels,
                f"dataset.informative={self.informative}: there are only {self.channels} channels",
            ),
            (
                self.n_train < K,
                f"dataset.n_train={self.n_train}: {K} classes need as many training series",
            ),
            (
                self.shape == "channel" and self.channels < K,
                f"dataset.shape=channel: {K} classes need as many channels, not {self.channels}",
            ),
            (
                self.shape == "frequency" and self.window < 3 * K,
                f"dataset.shape=frequency: {K} classes need dataset.window of at least {3 * K}",
            ),
            (
                self.shape == "position" and self.length - self.window + 1 < K,
                f"dataset.shape=position: no {K} zones in {self.length - self.window + 1} window starts",
            ),
        ):
            if wrong:
                raise TsdistillError(message)

    def read(self, data_root: Path | None = None, cache: Path | None = None) -> RawDataset:
        """Make both parts; the folders are not used."""
        train, test = (
            RawPart.of(x.astype(np.float32), y.tolist()) for x, y, _ in (self._make(0), self._make(1))
        )
        told = f"synthetic, {self.shape} of {self.window} steps in noise of {self.noise:g}, seed {self.seed}"
        return RawDataset(self.name, train, test, told)

    def masks(self) -> tuple[Mask, Mask]:
        """Where the evidence is in the training and in the test part, (N, C, T) bool each."""
        return self._make(0)[2], self._make(1)[2]

    def _make(self, part: int) -> tuple[Array, NDArray[np.int64], Mask]:
        """Make part 0 (training) or 1 (test): series (N, C, T), classes (N,) and masks (N, C, T).

        The noise is drawn last: another level of it leaves everything else in place.
        """
        rng = default_rng([self.seed, part])
        N = (self.n_train, self.n_test)[part]
        y = rng.permutation(np.arange(N) % self.classes)
        starts = self._starts(y, rng)
        patterns = self._patterns(y, rng)
        x = np.zeros((N, self.channels, self.length))
        masks = np.zeros(x.shape, dtype=np.bool_)
        other = self._beside(starts, rng)
        sawtooth = np.linspace(-1.5, 1.5, self.window)
        for n, start in enumerate(starts):
            here = slice(start, start + self.window)
            carriers = [y[n]] if self.shape == "channel" else range(self.informative)
            masks[n, carriers, here] = True
            x[n, carriers, here] = patterns[n]
            if other is not None:
                x[n, :, other[n] : other[n] + self.window] = sawtooth
        return x + self.noise * rng.normal(size=x.shape), y, masks

    def _starts(self, y: NDArray[np.int64], rng: Generator) -> NDArray[np.int64]:
        """First timestep of each series' evidence, (N,)."""
        places = self.length - self.window + 1
        low, high = np.zeros_like(y), np.full_like(y, places)
        if self.shape == "position":
            low, high = y * places // self.classes, (y + 1) * places // self.classes
        return rng.integers(low, high)

    def _beside(self, starts: NDArray[np.int64], rng: Generator) -> NDArray[np.int64] | None:
        """First timestep of each series' distractor, clear of the evidence, (N,)."""
        if not self.distractor:
            return None
        free = np.abs(np.arange(self.length - self.window + 1) - starts[:, None]) >= self.window
        chosen: NDArray[np.int64] = np.where(free, rng.random(free.shape), -1.0).argmax(axis=1)
        return chosen

    def _patterns(self, y: NDArray[np.int64], rng: Generator) -> Array:
        """The evidence of each series, (N, 1 or informative, window)."""
        u = (np.arange(self.window) + 0.5) / self.window
        ways: dict[str, Callable[[], Array]] = {
            "shapelet": lambda: self._shapelets(u)[y],
            "frequency": lambda: (
                np.sqrt(2) * np.sin(2 * np.pi * ((y[:, None] + 1) * u + rng.random((len(y), 1))))[:, None]
            ),
            "level": lambda: np.repeat(2 * (y + 1) / self.classes, self.window).reshape(-1, 1, self.window),
        }
        bump = np.broadcast_to(1.5 * np.sin(np.pi * u), (len(y), 1, self.window))
        return ways[self.shape]() if self.shape in ways else bump

    def _shapelets(self, u: Array) -> Array:
        """A smooth waveform of root mean square 1 for each class and channel, (K, informative, window)."""
        rng = default_rng([self.seed, 2])
        angles = 2 * np.pi * np.arange(1, HARMONICS + 1)[:, None] * u
        waves = np.concatenate([np.sin(angles), np.cos(angles)])
        shapelets = rng.normal(size=(self.classes, self.informative, len(waves))) @ waves
        scaled: Array = shapelets / np.sqrt((shapelets**2).mean(axis=-1, keepdims=True))
        return scaled


def planted_masks(conf: Mapping[str, Any]) -> tuple[Mask, Mask]:
    """Make the masks that belong to the dataset that the same config loads.

    Args:
        conf: config of a planted dataset: ``PlantedReader``'s settings and the common keys, of which
            ``max_length`` matters here.

    Returns:
        Masks of the training and of the test part, (N, C, T) bool, rows as in the dataset.
    """
    own = {field.name: conf[field.name] for field in fields(PlantedReader) if field.name in conf}
    train, test = PlantedReader(**own).masks()
    length = min(train.shape[2], conf.get("max_length") or train.shape[2])
    return _shrink(train, length), _shrink(test, length)


def _shrink(mask: Mask, length: int) -> Mask:
    shrunk: Mask = resample(mask.astype(np.float64), length) >= 0.5
    return shrunk

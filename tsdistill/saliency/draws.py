"""Which windows are replaced, and by whose: the draws of starts and references.

A series' window is replaced by that of a training series of an OPPOSING class (arXiv 2601.04263).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tsdistill.errors import TsdistillError
from tsdistill.saliency.windows import Windows

Sampling = Literal["uniform", "stratified", "antithetic"]


@dataclass(frozen=True)
class Draws:
    """P perturbations of each of N series, before any series is cut.

    Attributes:
        starts: first replaced timestep, (N, P) int64, ascending along P.
        references: row of the donor among the reference series, (N, P) int64.
        channels: the replaced channel, (N, P) int64, or None where all channels are replaced.
    """

    starts: Tensor
    references: Tensor
    channels: Tensor | None = None

    def take(self, rows: Tensor, columns: Tensor) -> "Draws":
        """Pick ``columns`` (B, M) of the draws of ``rows`` (B,)."""
        pick = (rows[:, None], columns)
        return Draws(
            self.starts[pick], self.references[pick], None if self.channels is None else self.channels[pick]
        )

    def of(self, rows: Tensor) -> "Draws":
        """All draws of some rows."""
        channels = None if self.channels is None else self.channels[rows]
        return Draws(self.starts[rows], self.references[rows], channels)


@dataclass(frozen=True)
class References:
    """The series that lend their windows.

    Attributes:
        x: (R, C, T), on the device where windows are cut.
        y: class of each, (R,) int64.
        lengths: true lengths, (R,) int64, or None where all are T.
    """

    x: Tensor
    y: Tensor
    lengths: Tensor | None = None


def noise_like(references: References, generator: torch.Generator) -> References:
    """White noise in place of series: as many, with the mean and deviation that each channel has in them.

    Args:
        references: series; padding does not count.
        generator: source of randomness, on the CPU.

    Returns:
        Noise, with the classes and lengths of the series.
    """
    x = references.x
    inside = x.new_ones(len(x), 1, x.shape[2])
    if references.lengths is not None:
        steps = torch.arange(x.shape[2], device=x.device)
        inside = (steps < references.lengths[:, None])[:, None].to(x)
    count = inside.sum()
    mean = (x * inside).sum(dim=(0, 2), keepdim=True) / count
    deviation = (((x - mean) * inside).square().sum(dim=(0, 2), keepdim=True) / count).sqrt()
    drawn = torch.randn(x.shape, generator=generator).to(x)
    return References(mean + deviation * drawn, references.y, references.lengths)


def resolve_window(window: float, length: int, setting: str = "saliency.window") -> int:
    """Turn a window in steps, or as a fraction of the length, into steps.

    Args:
        window: a whole number of steps, or a fraction below 1.
        length: the shortest series' length in steps.
        setting: name of the setting, for the message.

    Returns:
        Steps, 1..length.

    Raises:
        TsdistillError: if it is not positive, not whole, or longer than the series.
    """
    steps = max(1, round(window * length)) if 0 < window < 1 else int(window)
    if window <= 0 or (window >= 1 and steps != window):
        raise TsdistillError(
            f"{setting}={window:g} is neither a number of steps nor a fraction of the length; "
            f"give 1..{length}, or a fraction such as 0.1"
        )
    if steps > length:
        raise TsdistillError(
            f"{setting}={steps} is longer than the shortest series ({length} steps); "
            f"give at most {length}, or a fraction such as 0.1"
        )
    return steps


def draw_pool(
    references: References,
    y: Tensor,
    limits: Tensor,
    size: int,
    generator: torch.Generator,
    channels: int | None = None,
) -> Draws:
    """Draw P perturbations for every series.

    Starts are distinct as long as there are enough of them, then go round again; donors are distinct where
    the opposing classes have enough series, else drawn with replacement.

    Args:
        references: who can lend a window (only ``y`` is read).
        y: class of each perturbed series, (N,) int64; donors have another.
        limits: number of possible starts of each series (its length - w + 1), (N,) int64.
        size: P.
        generator: source of randomness, on the CPU.
        channels: draw also a channel of 0..channels-1 for each perturbation; None replaces all channels.

    Returns:
        Draws of shape (N, P) on the CPU.

    Raises:
        TsdistillError: if some class has no opposing series.
    """
    starts = _draw_starts(limits.cpu(), size, generator)
    donors = _draw_references(references.y.cpu(), y.cpu(), size, generator)
    chosen = None if channels is None else torch.randint(channels, starts.shape, generator=generator)
    return Draws(starts, donors, chosen)


def _draw_starts(limits: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Distinct starts below each limit, in whole rounds and then a random rest, ascending: (N, size)."""
    starts = torch.empty(len(limits), size, dtype=torch.int64)
    for limit in torch.unique(limits).tolist():
        mine = (limits == limit).nonzero().squeeze(1)
        rounds = torch.rand(len(mine), -(-size // limit), limit, generator=generator).argsort(dim=-1)
        starts[mine] = rounds.flatten(1)[:, :size]
    return starts.sort(dim=-1).values


def _draw_references(pool_y: Tensor, y: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Rows of opposing series, without replacement where there are ``size`` of them: (N, size)."""
    donors = torch.empty(len(y), size, dtype=torch.int64)
    for label in torch.unique(y).tolist():
        mine = (y == label).nonzero().squeeze(1)
        opposing = (pool_y != label).nonzero().squeeze(1)
        if len(opposing) == 0:
            raise TsdistillError(
                "temporal saliency needs training series of at least two classes, and only one is left; "
                "lower split.validation or use another dataset"
            )
        if len(opposing) >= size:
            order = torch.rand(len(mine), len(opposing), generator=generator).argsort(dim=-1)[:, :size]
        else:
            order = torch.randint(len(opposing), (len(mine), size), generator=generator)
        donors[mine] = opposing[order]
    return donors


def sample_columns(
    rows: int, pool_size: int, size: int, sampling: Sampling, generator: torch.Generator
) -> Tensor:
    """Pick M of the pool's P perturbations for each series of a batch, without replacement.

    Args:
        rows: B.
        pool_size: P; the pool's starts ascend along it.
        size: M; the whole pool is taken where P <= M.
        sampling: ``uniform``; ``stratified`` (one from each of M equal stretches of the series);
            ``antithetic`` (pairs mirrored about the middle of the pool).
        generator: source of randomness, on the CPU.

    Returns:
        Columns (B, M) int64, ascending, on the CPU.
    """
    if pool_size <= size:
        return torch.arange(pool_size).expand(rows, pool_size)
    if sampling == "stratified":
        edges = torch.arange(size + 1) * pool_size // size
        span = (edges[1:] - edges[:-1]).to(torch.float64)
        return edges[:-1] + (torch.rand(rows, size, generator=generator, dtype=torch.float64) * span).long()
    if sampling == "antithetic":
        half = torch.rand(rows, pool_size // 2, generator=generator).argsort(dim=-1)[:, : size // 2]
        columns = torch.cat([half, pool_size - 1 - half], dim=1)
        if size % 2:
            columns = torch.cat([columns, _unused_column(columns, pool_size, generator)], dim=1)
        return columns.sort(dim=-1).values
    priority = torch.rand(rows, pool_size, generator=generator)
    return priority.topk(size, dim=-1, largest=False, sorted=False).indices.sort(dim=-1).values


def _unused_column(columns: Tensor, pool_size: int, generator: torch.Generator) -> Tensor:
    """One more column a row, (B, 1), that the row does not hold yet."""
    priority = torch.rand(len(columns), pool_size, generator=generator).scatter_(1, columns, -1.0)
    return priority.argmax(dim=-1, keepdim=True)


def cut_windows(draws: Draws, references: References, window: int) -> Windows:
    """Cut the donors' windows out.

    A donor that ends before the window does lends its own last whole window instead, so that padding never
    enters a perturbation.

    Args:
        draws: of shape (B, M), on the references' device.
        references: the donors' series.
        window: w in steps.

    Returns:
        Windows with segments (B, M, C, w).
    """
    begin = draws.starts
    if references.lengths is not None:
        begin = torch.minimum(begin, references.lengths[draws.references] - window)
    steps = begin[:, :, None] + torch.arange(window, device=begin.device)
    # (R, T, C) indexed by (B, M, 1) and (B, M, w) gives (B, M, w, C) in one gather.
    segments = references.x.transpose(1, 2)[draws.references[:, :, None], steps].transpose(2, 3)
    return Windows(draws.starts, segments, draws.channels)

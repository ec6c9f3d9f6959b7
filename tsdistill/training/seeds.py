"""Random generators, one for each purpose."""

import hashlib

import torch


def generator_of(seed: int, purpose: str) -> torch.Generator:
    """Make a generator on the CPU for one purpose, so that the draws of one never shift those of another."""
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def attempt_seeds(seed: int, restarts: int) -> list[int]:
    """Seeds of a run and of its restarts: the run's own, then ones that are drawn from it."""
    return [
        seed,
        *(generator_of(seed, f"restart {n}").initial_seed() % 2**31 for n in range(1, restarts + 1)),
    ]

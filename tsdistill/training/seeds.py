"""Random generators, one for each purpose."""

import hashlib

import torch


def generator_of(seed: int, purpose: str) -> torch.Generator:
    """Make a generator on the CPU for one purpose, so that the draws of one never shift those of another."""
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

"""States of all random generators that a training run may draw from."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn


def generators_in(module: nn.Module) -> dict[str, torch.Generator]:
    """Generators that a module and its submodules hold as attributes, by their paths."""
    return {
        f"{path}.{name}": value
        for path, inner in module.named_modules()
        for name, value in vars(inner).items()
        if isinstance(value, torch.Generator)
    }


def captured_generators(own: Mapping[str, torch.Generator], device: torch.device) -> dict[str, Any]:
    """States of the global generators of PyTorch, the device, NumPy and Python, and of some more.

    Args:
        own: further generators, by name.
        device: where models lie.
    """
    numpy_state = np.random.get_state(legacy=False)
    version, words, gauss = random.getstate()
    return {
        "own": {name: generator.get_state() for name, generator in own.items()},
        "torch": torch.get_rng_state(),
        "device": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": {
            "words": torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
            "place": int(numpy_state["state"]["pos"]),
            "gauss": (int(numpy_state["has_gauss"]), float(numpy_state["gauss"])),
        },
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
    }


def restore_generators(
    states: Mapping[str, Any], own: Mapping[str, torch.Generator], device: torch.device
) -> None:
    """Set all generators to what ``captured_generators`` gave under the same arguments."""
    for name, generator in own.items():
        generator.set_state(states["own"][name])
    torch.set_rng_state(states["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["device"], device)
    numpy_state, python = states["numpy"], states["python"]
    words = numpy_state["words"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", words, numpy_state["place"], *numpy_state["gauss"]))
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))

"""Shared fixtures."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def archive_root() -> Path:
    """Folder with real UCR/UEA data, or a skip that says how to provide it."""
    named = os.environ.get("TSDISTILL_DATA")
    if not named:
        pytest.skip(
            "set TSDISTILL_DATA to a folder with UCRArchive_2018/ and Multivariate_ts/ to run archive tests"
        )
    root = Path(named)
    if not (root / "UCRArchive_2018").is_dir():
        pytest.skip(f"TSDISTILL_DATA={named} holds no UCRArchive_2018/")
    return root

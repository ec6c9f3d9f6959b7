"""The example for microcontrollers builds and prints what it says."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "microcontroller"


@pytest.mark.skipif(
    not shutil.which("make") or not shutil.which(os.environ.get("CC", "cc")),
    reason="there is no make or no C compiler",
)
def test_one_make_builds_and_checks_it(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "example")
    alone = {
        name: value for name, value in os.environ.items() if not name.startswith("MAKE")
    }  # not of `make test`
    found = subprocess.run(
        ["make"], cwd=tmp_path / "example", env=alone, capture_output=True, text=True, check=True
    )
    lines = found.stdout.splitlines()[-3:]
    assert [line.split("class ")[1][0] for line in lines] == ["2", "2", "1"]

"""Commands of a copy of the package in processes of their own, which find the libraries already loaded.

Nothing here imports the package: each process loads the copy that it was sent to.
"""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LIBRARIES = (
    "torch",
    "hydra.main",
    "scipy.optimize",
    "sklearn.metrics",
    "safetensors.torch",
    "rich.live",
    "numba",
)
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(list(LIBRARIES))


def run(folder: Path, words: Sequence[str], environment: Mapping[str, str], said: Path) -> int:
    """Run ``python -m tsdistill`` on the package in a folder; what it says goes to a file.

    Returns:
        The exit status.
    """
    process = _SERVER.Process(target=_command, args=(folder, list(words), dict(environment), said))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _command(folder: Path, words: list[str], environment: dict[str, str], said: Path) -> None:
    assert "tsdistill" not in sys.modules
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.chdir(folder)
    os.environ.update(environment)
    sys.path.insert(0, str(folder))
    sys.argv = ["tsdistill", *words]
    runpy.run_module("tsdistill", run_name="__main__")

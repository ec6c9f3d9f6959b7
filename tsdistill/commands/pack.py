"""``tsdistill pack``: moves finished runs into one file a dataset, or back into folders."""

from pathlib import Path
from typing import Any

from tsdistill.console import say
from tsdistill.errors import DamagedError, TsdistillError


def run(composed: Any) -> None:
    """Pack or unpack all finished runs."""
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_composed

    check_composed(composed)
    conf: Any = OmegaConf.to_object(composed)
    pack_all(Path(conf.out), unpack=conf.unpack)


def pack_all(out: Path, unpack: bool = False) -> None:
    """Pack or unpack the finished runs of every dataset under ``out``.

    Raises:
        TsdistillError: nothing is stored there, a file can't be written, or another process packs.
        DamagedError: something damaged stays as it is; the rest was packed or unpacked.
    """
    from tsdistill.store import packing

    root = out / "runs"
    if not root.is_dir():
        raise TsdistillError(f"no run records under {out}: name the folder that `distill` wrote into")
    total = left = 0
    for dataset in sorted(path for path in root.iterdir() if path.is_dir()):
        moved = packing.unpack(dataset) if unpack else packing.pack(dataset)
        for name, reason in moved.left.items():
            say(f"{dataset.name}/{name} stays as it is: {reason}")
        for name in moved.busy:
            say(f"{dataset.name}/{name} stays a folder: another process uses it now")
        if moved.records or moved.files:
            packs = "pack" if moved.files == 1 else "packs"
            way = "out of" if unpack else "into"
            say(f"{dataset.name}: {moved.records} runs {way} {moved.files} {packs}")
        total, left = total + moved.records, left + len(moved.left)
    told = f"{total} runs {'unpacked' if unpack else 'packed'} under {out}"
    if left:
        raise DamagedError(f"{told}; {left} stay as they are, see above")
    say(told)

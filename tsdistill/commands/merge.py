"""``tsdistill merge``: copies what other output folders hold into one."""

from pathlib import Path
from typing import Any

from tsdistill.commands.report import folders
from tsdistill.errors import TsdistillError


def run(composed: Any) -> None:
    """Copy what the folders hold that ``from=`` names."""
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_composed
    from tsdistill.runs.merge import merge

    check_composed(composed)
    conf: Any = OmegaConf.to_object(composed)
    if not conf.sources:
        raise TsdistillError("name the folders to copy from, such as from=A,B out=C")
    merge(folders(conf.sources), Path(conf.out).expanduser())

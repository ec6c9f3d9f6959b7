"""``tsdistill report``: tables, statistics and figures from stored runs."""

from pathlib import Path
from typing import Any

from tsdistill.errors import TsdistillError


def run(composed: Any) -> None:
    """Write the report of the stored runs that the settings name."""
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_composed
    from tsdistill.console import console, working
    from tsdistill.report.options import Options
    from tsdistill.report.write import write_report

    check_composed(composed)
    conf: Any = OmegaConf.to_object(composed)
    options = Options(
        select=conf.select.value,
        tune=conf.tune.value,
        filters={name: wanted for name, wanted in vars(conf.only).items() if wanted},
        where=conf.where,
        reference=conf.reference,
        metrics=tuple(conf.metric),
        labels=conf.labels,
        order=tuple(conf.order),
        columns=tuple(conf.columns or ()),
        vary=tuple(conf.vary),
        published=None if conf.published is None else str(Path(conf.published).expanduser()),
        decimals=conf.decimals,
        figures=_kinds(conf.figures),
        style=conf.style.value,
    )
    to, again = (None if name is None else Path(name).expanduser() for name in (conf.to, conf.again))
    with working("reading records, comparing methods and drawing figures"):
        write_report(folders(conf.out), options, console, to=to, again=again)


def _kinds(figures: Any) -> bool | tuple[str, ...]:
    """True, false, or the kinds that are drawn.

    Raises:
        TsdistillError: it is something else.
    """
    if isinstance(figures, bool):
        return figures
    if isinstance(figures, list) and figures and all(isinstance(kind, str) for kind in figures):
        return tuple(figures)
    raise TsdistillError(
        f"figures={figures}: write true, false, or kinds of figures such as curves,confusion"
    )


def folders(out: str) -> list[Path]:
    """The folders that ``out=A,B`` names; a folder that has a comma in its name is one."""
    if Path(out).is_dir():
        return [Path(out)]
    return [Path(name.strip()).expanduser() for name in out.split(",") if name.strip()]

"""Write docs/settings.md: every setting with its type, default, unit and meaning.

A meaning is the comment beside the setting in its config file, or above it in tsdistill/config/schema.py; its
unit stands at the end of the comment in square brackets.

python scripts/document_settings.py [--to FILE]
"""

import argparse
import dataclasses
import inspect
import json
import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from measures.document import markdown_table
from omegaconf import OmegaConf

from tsdistill.config import schema
from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import COMMANDS, register

DOCS = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = (
    "<!-- Made by scripts/document_settings.py from tsdistill/config/schema.py and the comments in conf/. -->"
)
INTRO = (
    "Every setting is an override on the command line: `tsdistill distill saliency.window=0.1 "
    "training.lr=0.001`. Config files of your own go into folders of the same names below a folder that "
    "`--config-dir` names.",
    "A width such as `window` is a number of steps from 1 on, and a fraction of the series' length below 1: "
    "`window=1` is a single step, `window=0.5` half of the series. A temperature `tau` divides logits before "
    "a softmax. `lam`, `beta` and `w_*` are weights: each multiplies a term of the loss. None of these has a "
    'unit, for which "-" stands.',
)
CLOSED: dict[str, type] = {
    "split": schema.SplitConf,
    "training": schema.TrainingConf,
    "saliency": schema.SaliencyConf,
    "hardware": schema.HardwareConf,
    "calibration": schema.CalibrationConf,
    "tracking": schema.TrackingConf,
    "teacher": schema.TeacherConf,
    "student": schema.StudentConf,
    "only": schema.OnlyConf,
}
"""Groups of settings with a schema; the teacher has a ``training`` of its own."""
OPEN = ("dataset", "model", "teacher", "scheduler", "method")
"""Groups of config files, each of which has settings of its own."""
COLUMNS = ("setting", "type", "default", "unit", "meaning")

Row = tuple[str, str, str, str, str]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--to", type=Path, default=DOCS, help="file (docs/settings.md)")
    parser.parse_args().to.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page.

    Raises:
        SystemExit: a setting has no meaning beside it.
    """
    register()
    sections = ["# Settings", HEAD, *INTRO, "## Commands"]
    for command, conf in COMMANDS.items():
        groups = groups_of(conf)
        shared = f"Besides: {', '.join(f'`{name}.*`' for name in groups)}, see below." if groups else ""
        sections += [f"### tsdistill {command}", _table(_of_command(command, conf)), shared]
    sections.append("## Groups with one form")
    for name, conf in CLOSED.items():
        sections += [f"### {name}", _first_line(conf), _table(_of_group(name, conf))]
    for group in OPEN:
        sections.append(f"## {group.capitalize()}: the files of `conf/{group}`")
        for path in sorted((conf_folder() / group).glob("*.yaml")):
            rows = list(_of_file(group, path))
            if rows:
                sections += [f"### {group}={path.stem}", _table(rows)]
    return "\n\n".join(section for section in sections if section) + "\n"


def groups_of(conf: type) -> list[str]:
    """The fields of a command that are groups of settings."""
    return [field.name for field in dataclasses.fields(conf) if field.name in (*CLOSED, *OPEN)]


def _table(rows: "Iterator[Row] | list[Row]") -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return markdown_table(COLUMNS, escaped)


def _of_command(command: str, conf: type) -> Iterator[Row]:
    defaults, comments = _defaults(command), _comments(conf_folder() / f"{command}.yaml")
    for field in dataclasses.fields(conf):
        if field.name not in groups_of(conf):
            told = comments.get(field.name) or _of_schema(conf, field.name)
            yield _row(field.name, _type(conf, field.name), defaults.get(field.name), told)


def _of_group(name: str, conf: type) -> Iterator[Row]:
    files = sorted(
        (conf_folder() / name).glob("*.yaml"), key=lambda path: path.stem not in ("default", "auto")
    )
    comments: dict[str, str] = {}
    for path in files if name not in ("teacher", "student") else ():
        comments = {**_comments(path), **comments}
    composed = _defaults("distill" if name != "only" else "report").get(name, {})
    for field in dataclasses.fields(conf):
        if field.name == "training":
            continue  # the same settings once more
        told = comments.get(field.name) or _of_schema(conf, field.name)
        row = _row(f"{name}.{field.name}", _type(conf, field.name), composed.get(field.name), told)
        if name == "training":
            other = _shown(_defaults("distill")["teacher"]["training"].get(field.name))
            row = (*row[:2], row[2] if row[2] == other else f"{row[2]}; teacher {other}", *row[3:])
        yield row


def _of_file(group: str, path: Path) -> Iterator[Row]:
    """The settings of an open group's file."""
    prefix = {"model": "student.model", "scheduler": "training.scheduler"}.get(group, group)
    node = _node(path)
    for key, told in _comments(path).items():
        *above, name = key.split(".")
        inner = node
        for each in above:
            inner = inner[each]
        if not above or group == "teacher":
            kind = _annotated(inner.get("_target_"), name, inner[name])
            yield _row(f"{prefix}.{key}", kind, inner[name], told)


def _row(name: str, kind: str, default: Any, told: str | None) -> Row:
    if not told:
        raise SystemExit(
            f"{name} has no meaning: write it beside it, in conf/ or in tsdistill/config/schema.py"
        )
    meaning, _, unit = told.removesuffix("]").partition(" [")
    return f"`{name}`", kind, f"`{_shown(default)}`", unit or "-", meaning


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("_target_", "{}"))
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


@cache
def _defaults(command: str) -> dict[str, Any]:
    """A command's settings as composed, interpolations as they are written."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        found = OmegaConf.to_container(compose(command), resolve=False, enum_to_str=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _node(path: Path) -> dict[str, Any]:
    found = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _comments(path: Path) -> dict[str, str]:
    """The comments beside the keys of a config file, by dotted key."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        if match := re.match(r"^((?:  )*)(\w+):([^#]*?)(?: +# (.+))?$", line):
            above = [*above[: len(match[1]) // 2], match[2]]
            if match[4]:
                found[".".join(above)] = match[4].strip()
    return found


def _of_schema(conf: type, name: str) -> str | None:
    """The comment above a field of a schema, or of what it inherits from."""
    for each in conf.__mro__[:-1]:
        if match := re.search(rf"^    # (.+)\n    {name}: ", inspect.getsource(each), re.MULTILINE):
            return match[1].strip()
    return None


def _first_line(conf: type) -> str:
    return (conf.__doc__ or "").splitlines()[0].replace("``", "`")


def _type(conf: type, name: str) -> str:
    return _told(get_type_hints(conf)[name])


def _told(kind: Any) -> str:
    """A type in words."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f"`{each.name}`" for each in kind)
    if get_origin(kind) in (Union, UnionType):
        return " or ".join("null" if each is NoneType else _told(each) for each in get_args(kind))
    if get_origin(kind) is list:
        return f"list of {_told(get_args(kind)[0])}"
    if get_origin(kind) is dict:
        return f"{_told(get_args(kind)[1])} by name"
    words = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        list: "list",
        Any: "any",
    }
    return words.get(kind, str(kind))


def _annotated(target: str | None, key: str, default: Any) -> str:
    """The type of an open group's setting: its target's, or else that of its default."""
    try:
        hints = {} if target is None else get_type_hints(get_object(target).__init__)
    except NameError:  # a name that only type checkers import
        hints = {}
    kind = hints.get(key)
    if kind in (str, int, float, bool) or get_origin(kind) in (Union, UnionType, list):
        return _told(kind).replace("typing.", "")
    return "any" if default is None or isinstance(default, dict) else _told(type(default))


if __name__ == "__main__":
    main()

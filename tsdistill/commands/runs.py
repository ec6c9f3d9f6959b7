"""``tsdistill runs``: lists stored runs, shows one, compares two."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

from tsdistill.config.schema import RunsConf
from tsdistill.console import fold, print_table, say, shares, shorten, table_width
from tsdistill.errors import TsdistillError, nearest, visible, visible_json
from tsdistill.store.formats import to_json
from tsdistill.store.listing import Listing, list_runs, tell_older
from tsdistill.store.lookup import contents_of
from tsdistill.store.outcomes import recall, remember
from tsdistill.store.records import RunRecord, read_run, run_folder
from tsdistill.store.selection import is_selected, select_runs
from tsdistill.store.where import Where, names_of, value_of

SHORT = 8
"""Fewest digits of an id that are shown."""
HEADS = ("id", "dataset", "method", "teacher", "student", "seed", "trial", "AP", "acc.", "agree", "flags")
FIGURES = ("seed", "trial", "AP", "acc.", "agree")
NAMES = slice(1, 5)
"""Columns that are shortened where a table does not fit."""
LEAST_NAME = 7
"""Fewest characters that a name is shortened to."""
LEAST_FLAGS = 10
"""Fewest columns for flags and errors, which are folded."""
IDENTITY = ("dataset", "method", "teacher", "student", "seed", "trial")
DEFAULT_SORT = ("dataset", "method", "student", "seed", "trial")


def run(composed: Any) -> None:
    """List, show or compare stored runs."""
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_composed

    check_composed(composed)
    settings: Any = OmegaConf.to_object(composed)
    if settings.verify:
        from tsdistill.runs.verify import verify

        verify(Path(settings.out))
    else:
        show_runs(settings)


def show_runs(conf: RunsConf) -> None:
    """List stored runs, show one, or compare two.

    Raises:
        TsdistillError: nothing is stored, or an id names no run or several.
    """
    out = Path(conf.out)
    if conf.id is None and conf.to is None and conf.format.value == "table":
        _list_again(conf, out)
        return
    results, *_ = _selected(conf, out)
    if conf.id is None:
        _list(conf, out, _sorted(results, conf.sort))
        return
    records = [_record(out, results, prefix.strip()) for prefix in conf.id.split(",")]
    if len(records) == 1:
        _show(out, records[0], conf.all)
    elif len(records) == 2:
        _compare(*records)
    else:
        raise TsdistillError(f"id={conf.id}: name one run, or two to compare, such as id=A,B")


def _list_again(conf: RunsConf, out: Path) -> None:
    """Print the table of runs: that of the last time, if nothing that it depends on has changed."""
    narrowed = {**asdict(conf.only), "where": conf.where, "sort": conf.sort}
    asked = {"command": "runs", "width": table_width(), **narrowed}
    found = recall([out], asked)
    if found is None:
        results, failed, listing = _selected(conf, out)
        results = _sorted(results, conf.sort)
        finished = sum(result["status"] != "failed" for result in results)
        last = f"{finished} runs, {failed} failed under {out}; id=ID shows one, id=A,B compares two"
        found = {"rows": "".join(_rows(results, table_width())), "last": last, "older": listing.older}
        remember([out], asked, [listing.mark], found)
    else:
        tell_older(found["older"])
    print(visible(found["rows"]), end="")
    say(found["last"])


def _selected(conf: RunsConf, out: Path) -> tuple[list[Mapping[str, Any]], int, Listing]:
    """The runs to list, and how many failed; those are listed too if the filter asks for a status."""
    listing = list_runs(out)
    listing.tell()
    finished, failures = listing.results, [{"flags": [], **note} for note in listing.failures]
    listed: Sequence[Mapping[str, Any]] = finished
    if conf.where is not None and "status" in Where(conf.where).names:
        listed = [*finished, *failures]
    elif failures and not finished:
        raise TsdistillError(f'all {len(failures)} runs under {out} failed; where="status=failed" lists them')
    if not listed:
        raise TsdistillError(f"no run records under {out}: run `tsdistill distill` first, or name its folder")
    found = select_runs(listed, conf.only, conf.where)
    return found, sum(is_selected(note, conf.only, conf.where) for note in failures), listing


def _sorted(results: Sequence[Mapping[str, Any]], by: str | None) -> list[Mapping[str, Any]]:
    if by is None:
        return sorted(results, key=lambda result: [result[name] for name in DEFAULT_SORT])
    name, known = by.removeprefix("-"), names_of(results)
    if name not in known:
        raise TsdistillError(f"sort={by}: no stored run has it; {nearest(name, known)}")
    present = [result for result in results if isinstance(value_of(result, name), str | int | float)]
    rest = [result for result in results if not isinstance(value_of(result, name), str | int | float)]
    texts = any(isinstance(value_of(result, name), str) for result in present)
    key = (lambda r: str(value_of(r, name))) if texts else (lambda r: value_of(r, name))
    return sorted(present, key=key, reverse=by.startswith("-")) + rest


def _list(conf: RunsConf, out: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """Write the listed runs to a file, or print them for a program."""
    if conf.to is not None:
        _write(Path(conf.to).expanduser(), out, results)
        return
    if conf.format.value == "json":
        print(visible_json(to_json(results)), end="")
        return
    from tsdistill.report.frame import as_csv

    print(as_csv(_frame(out, results)), end="")


def _frame(out: Path, results: Sequence[Mapping[str, Any]]) -> Any:
    """The listed runs as ``load_results`` gives them."""
    from tsdistill.report.frame import load_results

    return load_results(out).set_index("id", drop=False).loc[[result["id"] for result in results]]


def _write(path: Path, out: Path, results: Sequence[Mapping[str, Any]]) -> None:
    from tsdistill.report.frame import write_frame

    write_frame(_frame(out, results), path)
    say(f"{len(results)} runs written to {path}")


def _rows(results: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    """The lines of the list of runs; names are shortened where the table would be wider than ``width``.

    It is written as plain text: there may be 100,000 rows, each of which takes rich a millisecond.
    """
    rows = _cells(results)
    heads = HEADS if any(row[-1] for row in rows) else HEADS[:-1]
    widths = _widths([[head, *(row[at] for row in rows)] for at, head in enumerate(heads)], width)
    rights = [head in FIGURES for head in heads]
    for row in [heads, *rows]:
        cells = [
            (cell if len(cell) <= column and cell.isascii() else shorten(visible(cell), column)).split("\n")
            for cell, column in zip(row, widths, strict=False)
        ]
        for line in zip_longest(*cells, fillvalue=""):
            columns = zip(line, widths, rights, strict=True)
            yield visible(" ".join(_filled(*column) for column in columns).rstrip()) + "\n"


def _filled(cell: str, width: int, right: bool) -> str:
    space = " " * max(width - cell_len(cell), 0)
    return space + cell if right else cell + space


def _widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Columns' widths: ids and figures are never cut, names only where they would not fit."""
    found = [max(map(len, column)) for column in columns]
    room = width - (len(found) - 1) - sum(found[: len(HEADS) - 1])
    if len(found) == len(HEADS):
        found[-1] = min(found[-1], max(room, LEAST_FLAGS))
        room -= found[-1]
    names = found[NAMES]
    found[NAMES] = shares(names, sum(names) + min(room, 0), least=LEAST_NAME)
    return found


def _cells(results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    digits = _digits([str(result["id"]) for result in results])
    rows = []
    for result in results:
        names = [str(result[name]) for name in IDENTITY]
        numbers = [result.get("test", {}).get(n) for n in ("average_precision", "accuracy", "agreement")]
        figures = ["-" if v is None or v != v else f"{v:.3f}" for v in numbers]
        failed = result["status"] == "failed"
        flags = f"failed: {result['error']}" if failed else ", ".join(result["flags"])
        rows.append([result["id"][:digits], *names, *figures, flags])
    return rows


def _digits(ids: Sequence[str]) -> int:
    """How many digits tell all ids apart."""
    longest = max(map(len, ids))
    return next((n for n in range(SHORT, longest) if len({i[:n] for i in ids}) == len(set(ids))), longest)


def _record(out: Path, results: Sequence[Mapping[str, Any]], prefix: str) -> RunRecord:
    found = [result for result in results if str(result["id"]).startswith(prefix)] if prefix else []
    if len(found) != 1:
        shown = ", ".join(f"{r['id']} ({r['dataset']} {r['method']} seed {r['seed']})" for r in found[:4])
        raise TsdistillError(
            f"id={prefix}: matches {len(found)} stored runs: {shown}; give more digits"
            if found
            else f"id={prefix}: no stored run has this id; `tsdistill runs` lists them"
        )
    if found[0]["status"] == "failed":
        raise TsdistillError(f"run {found[0]['id']} failed: {found[0]['error']}")
    record = read_run(out, found[0]["dataset"], found[0]["id"])
    if record is None:
        raise TsdistillError(f"run {found[0]['id']} is damaged and was set aside; distil it again")
    return record


def _show(out: Path, record: RunRecord, whole: bool) -> None:
    result = record.result
    say(f"run {result['id']}: " + ", ".join(f"{name} {result[name]}" for name in IDENTITY))
    _settings(result, whole)
    for block in ("validation", "test", "cost"):
        _section(block, result[block] or {})
    _section("curve, last and best epoch", _curve(record.curve))
    _section("environment", record.environment)
    folder = run_folder(out, result["dataset"], result["id"])
    stored = contents_of(folder)
    if stored is not None:  # else another process has just removed it
        _section("files", {name: f"{stored.size(name):,} bytes" for name in sorted(stored.names())})
        say(f"in {stored.place}")


def _settings(result: Mapping[str, Any], whole: bool) -> None:
    """Show the settings that differ from the defaults of their composition, or all of them."""
    from tsdistill.runs.defaults import default_settings, with_members_named

    settings = result["settings"] if whole else with_members_named(result)
    if whole:
        _section("settings", settings)
        return
    defaults = default_settings(result)
    changed = {name: v for name, v in settings.items() if name not in defaults or defaults[name] != v}
    _section("settings that differ from their defaults", changed)
    say(f"{len(settings) - len(changed)} settings are at their defaults; all=true shows them")


def _curve(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of each value of the learning curve the last and the best, each with its epoch."""
    from tsdistill.training.loop import HIGHER_IS_BETTER

    series: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        series.setdefault((row["stage"], row["name"]), []).append(row)
    found = {}
    for (stage, name), values in series.items():
        told = f"{values[-1]['value']:.4g} (epoch {values[-1]['epoch']})"
        valid = [row for row in values if not math.isnan(row["value"])]
        if valid:
            choose = max if name.removeprefix("train/") in HIGHER_IS_BETTER else min
            best = choose(valid, key=lambda row: row["value"])
            told += f", best {best['value']:.4g} (epoch {best['epoch']})"
        found[f"{stage} {name}"] = told
    return found


def _section(title: str, values: Mapping[str, Any]) -> None:
    if values:
        say(f"{title}:")
    for name, value in values.items():
        say(f"  {name}: {_text(value)}")


def _compare(one: RunRecord, other: RunRecord) -> None:
    rows = [(name, *pair) for name, pair in _differing(_facts(one), _facts(other)).items()]
    heads = ("", str(one.result["id"]), str(other.result["id"]))
    natural = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    widths = shares(natural, table_width() - 2, least=16)
    table = Table(box=None, pad_edge=False, collapse_padding=True, padding=(0, 1, 0, 0))
    for head, width in zip(heads, widths, strict=True):
        table.add_column(escape(head), overflow="fold", width=width)
    for row in rows:
        table.add_row(*(escape(fold(cell, width)) for cell, width in zip(row, widths, strict=True)))
    if table.row_count:
        print_table(table)
    say(f"{table.row_count} settings, metrics and facts of the environment differ")


def _facts(record: RunRecord) -> dict[str, str]:
    result = record.result
    identity = {name: result[name] for name in IDENTITY}
    blocks = {f"{b}.{k}": v for b in ("validation", "test", "cost") for k, v in (result[b] or {}).items()}
    where = {f"environment.{name}": value for name, value in record.environment.items()}
    code = {f"code.{name}": value for name, value in record.facts.get("code", {}).items()}
    return {k: _text(v) for k, v in {**identity, **result["settings"], **blocks, **where, **code}.items()}


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = dict.fromkeys([*one, *other])
    pairs = {name: (one.get(name, "-"), other.get(name, "-")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)

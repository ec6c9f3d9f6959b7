"""``tsdistill runs``: what is stored; one run whole; in what two runs differ."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from tsdistill.config.schema import RunsConf
from tsdistill.console import console, say
from tsdistill.errors import TsdistillError
from tsdistill.store.formats import to_json
from tsdistill.store.records import RunRecord, iter_failures, read_run, run_folder
from tsdistill.store.where import Where, value_of

SHORT = 8
"""Fewest digits of an id that are shown."""
DEFAULT_SORT = ("dataset", "method", "student", "seed", "trial")


def run(composed: Any) -> None:
    """List, show or compare stored runs."""
    from omegaconf import OmegaConf

    from tsdistill.config.resolve import check_keys

    check_keys(composed)
    settings: Any = OmegaConf.to_object(composed)
    show_runs(settings)


def show_runs(conf: RunsConf) -> None:
    """List stored runs, show one, or say in what two differ.

    Raises:
        TsdistillError: nothing is stored, or an id names no run or several.
    """
    from tsdistill.runs.restore import stored_runs

    out = Path(conf.out)
    results = stored_runs(out, conf.only, conf.where)
    if conf.id is None:
        _list(conf, out, _sorted(results, conf.sort))
        return
    records = [_record(out, results, prefix.strip()) for prefix in conf.id.split(",")]
    if len(records) == 1:
        _show(out, records[0])
    elif len(records) == 2:
        _compare(*records)
    else:
        raise TsdistillError(f"id={conf.id}: name one run, or two to compare, such as id=A,B")


def _sorted(results: Sequence[dict[str, Any]], by: str | None) -> list[dict[str, Any]]:
    if by is None:
        return sorted(results, key=lambda result: [result[name] for name in DEFAULT_SORT])
    name = by.removeprefix("-")
    Where(f"{name}=x or {name}!=x").kept(results)  # refuses a name that no run has
    present = [result for result in results if isinstance(value_of(result, name), str | int | float)]
    rest = [result for result in results if not isinstance(value_of(result, name), str | int | float)]
    texts = any(isinstance(value_of(result, name), str) for result in present)
    key = (lambda r: str(value_of(r, name))) if texts else (lambda r: value_of(r, name))
    return sorted(present, key=key, reverse=by.startswith("-")) + rest


def _list(conf: RunsConf, out: Path, results: Sequence[dict[str, Any]]) -> None:
    if conf.format.value == "json":
        print(to_json(results), end="")
        return
    if conf.format.value == "csv":
        from tsdistill.report.frame import load_results

        frame = load_results(out).set_index("id", drop=False)
        print(frame.loc[[result["id"] for result in results]].to_csv(index=False), end="")
        return
    console.print(_table(results))
    failed = sum(1 for _ in iter_failures(out))
    say(f"{len(results)} runs, {failed} failed under {out}; id=ID shows one whole, id=A,B compares two")


def _table(results: Sequence[Mapping[str, Any]]) -> Table:
    digits = _digits([str(result["id"]) for result in results])
    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)
    for head in ("data set", "method", "teacher", "student"):
        table.add_column(head, overflow="fold", min_width=6)
    for head in ("seed", "trial", "AP", "acc.", "agree", "flags"):
        table.add_column(head, justify="left" if head == "flags" else "right")
    for result in results:
        names = [result["id"][:digits], *(result[n] for n in ("dataset", "method", "teacher", "student"))]
        numbers = [result["test"].get(n) for n in ("average_precision", "accuracy", "agreement")]
        figures = ["-" if v is None or v != v else f"{v:.3f}" for v in numbers]
        flags = ", ".join(result["flags"])
        table.add_row(*map(escape, names), str(result["seed"]), str(result["trial"]), *figures, escape(flags))
    return table


def _digits(ids: Sequence[str]) -> int:
    """How many digits tell all ids apart."""
    longest = max(map(len, ids))
    return next((n for n in range(SHORT, longest) if len({i[:n] for i in ids}) == len(set(ids))), longest)


def _record(out: Path, results: Sequence[Mapping[str, Any]], prefix: str) -> RunRecord:
    found = [result for result in results if str(result["id"]).startswith(prefix)] if prefix else []
    if len(found) != 1:
        shown = ", ".join(f"{r['id']} ({r['dataset']} {r['method']} seed {r['seed']})" for r in found[:4])
        raise TsdistillError(
            f"id={prefix}: {len(found)} stored runs begin so: {shown}; give more digits"
            if found
            else f"id={prefix}: no stored run begins so; `tsdistill runs` lists them"
        )
    record = read_run(out, found[0]["dataset"], found[0]["id"])
    if record is None:
        raise TsdistillError(f"run {found[0]['id']} is damaged and was set aside; distil it again")
    return record


def _show(out: Path, record: RunRecord) -> None:
    result = record.result
    names = ("dataset", "method", "teacher", "student", "seed", "trial")
    say(f"run {result['id']}: " + ", ".join(f"{name} {result[name]}" for name in names))
    _section("settings", result["settings"])
    for block in ("validation", "test", "cost"):
        _section(block, result[block] or {})
    last: dict[str, Any] = {f"{row['stage']} {row['name']}": row for row in record.curve}
    _section("last epoch", {name: f"{row['value']:.4g} (epoch {row['epoch']})" for name, row in last.items()})
    _section("environment", record.environment)
    folder = run_folder(out, result["dataset"], result["id"])
    _section("files", {p.name: f"{p.stat().st_size:,} bytes" for p in sorted(folder.iterdir())})
    say(f"in {folder}")


def _section(title: str, values: Mapping[str, Any]) -> None:
    if values:
        say(f"{title}:")
    for name, value in values.items():
        say(f"  {name}: {_text(value)}")


def _compare(one: RunRecord, other: RunRecord) -> None:
    table = Table(box=None, pad_edge=False)
    for head in ("", one.result["id"], other.result["id"]):
        table.add_column(escape(head), overflow="fold")
    for name, (mine, theirs) in _differing(_facts(one), _facts(other)).items():
        table.add_row(escape(name), escape(mine), escape(theirs))
    if table.row_count:
        console.print(table)
    say(f"{table.row_count} settings, metrics and facts of the environment differ")


def _facts(record: RunRecord) -> dict[str, str]:
    result = record.result
    identity = {name: result[name] for name in ("dataset", "method", "teacher", "student", "seed", "trial")}
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

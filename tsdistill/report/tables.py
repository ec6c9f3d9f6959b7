"""The report's tables as plain values, apart from how they are drawn."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tsdistill.report.aggregate import TEACHERS, cost_names
from tsdistill.report.cells import MARKS, Cell, Table
from tsdistill.report.metrics import metric_of
from tsdistill.report.order import natural
from tsdistill.report.published import Published
from tsdistill.report.records import PAIR
from tsdistill.report.statistics import ALPHA, Comparison, Statistics, smallest_adjusted
from tsdistill.report.view import View

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMED = 12
"""Data sets that a note names one by one."""


def pairs_of(rows: "pd.DataFrame") -> list[tuple[str, str]]:
    """The (teacher, student) pairs, sorted."""
    found = set(zip(rows["teacher"], rows["student"], strict=True))
    return sorted(found, key=lambda pair: [natural(name) for name in pair])


def metric_table(
    rows: "pd.DataFrame",
    means: "pd.DataFrame",
    pair: tuple[str, str],
    metric: str,
    label: str,
    view: View,
    significant: Sequence[str] = (),
    published: Sequence[Published] = (),
) -> Table:
    """One metric of one pair: data sets down, methods across, and their mean at the foot.

    Args:
        rows: ``by_dataset``'s frame.
        means: ``over_datasets``'s frame.
        pair: teacher and student.
        metric: a stored metric.
        label: how trials were selected, shown in the title.
        view: names, order and decimals.
        significant: variants that differ from the reference over data sets.
        published: numbers of others for this metric, in columns behind ours; they take no place.
    """
    rows, means = of_pair(rows, pair), of_pair(means, pair)
    means = means[means[metric].notna() | ~means["method"].isin(TEACHERS)]
    variants = list(means["variant"])
    cells = {(row["dataset"], row["variant"]): row for row in rows.to_dict("records")}
    datasets, up = sorted(rows["dataset"].unique(), key=natural), metric_of(metric).higher_is_better
    body = [
        [
            Cell(text=view.name(name)),
            *placed(
                [_cell(cells.get((name, variant)), metric, view.decimals) for variant in variants],
                higher_is_better=up,
            ),
            *[_published_cell([each.values.get(name)], view.decimals) for each in published],
        ]
        for name in datasets
    ]
    others = [
        _published_cell([each.values.get(name) for name in datasets], view.decimals) for each in published
    ]
    foot = [
        mean_cell(line, metric, len(datasets), significant, view.decimals)
        for line in means.to_dict("records")
    ]
    return Table(
        key=table_key(metric, pair),
        title=f"{view.title(metric)}, {view.pair(pair)}, {label}",
        columns=("data set", *map(view.row, variants), *(f"{each.name} (published)" for each in published)),
        rows=body,
        footer=[[Cell(text=f"mean of {len(datasets)}"), *placed(foot, higher_is_better=up), *others]],
        notes=(
            *legend([*[cell for line in body for cell in line], *foot, *others]),
            *_protocols(published),
        ),
    )


def _published_cell(values: Sequence[float | None], digits: int) -> Cell:
    """The mean of what was published; marked where some of the data sets lack a number."""
    there = [value for value in values if value is not None]
    if not there:
        return Cell(text="-")
    marks = ("partial",) if len(there) < len(values) else ()
    return Cell(mean=sum(there) / len(there), digits=digits, marks=marks, ranked=False)


def _protocols(published: Sequence[Published]) -> list[str]:
    if not published:
        return []
    told = [f"{each.name} (published): {each.protocol.removesuffix('.')}." for each in published]
    return ["Published numbers are neither ranked nor tested: their protocol may differ from ours.", *told]


def summary_table(
    means: "pd.DataFrame",
    pair: tuple[str, str],
    sets: int,
    label: str,
    view: View,
    significant: Mapping[str, Sequence[str]],
) -> Table:
    """Several metrics of one pair, each the mean over data sets: methods down, metrics across."""
    means = of_pair(means, pair)
    lines = means.to_dict("records")
    columns = [
        placed(
            [mean_cell(line, name, sets, significant.get(name, ()), view.decimals) for line in lines],
            higher_is_better=metric_of(name).higher_is_better,
        )
        for name in view.columns
    ]
    body = [
        [Cell(text=view.row(line["variant"])), *[column[at] for column in columns]]
        for at, line in enumerate(lines)
    ]
    return Table(
        key=table_key("summary", pair),
        title=f"Mean over {plural(sets, 'data set')}, {view.pair(pair)}, {label}",
        columns=("method", *map(view.title, view.columns)),
        rows=body,
        notes=legend([cell for line in body for cell in line]),
    )


def counts_table(means: "pd.DataFrame", pair: tuple[str, str], label: str, view: View) -> Table:
    """What stands behind the means of one pair: trials, runs, and what went wrong."""
    means = of_pair(means, pair)
    means = means[~means["method"].isin(TEACHERS)]
    unequal = means["trials_min"].min() != means["trials_max"].max()
    names = (
        "sets",
        "runs",
        "failed",
        "missing",
        "collapsed",
        "plateau",
        "undefined",
        "no_validation",
        "ties",
    )
    body = []
    for line in means.to_dict("records"):
        low, high = line["trials_min"], line["trials_max"]
        marks = ("budget",) if unequal else ()
        trials = Cell(text=str(low) if low == high else f"{low}-{high}", marks=marks)
        body.append(
            [
                Cell(text=view.row(line["variant"])),
                trials,
                *[Cell(mean=line[name], digits=0) for name in names],
            ]
        )
    return Table(
        key=table_key("counts", pair),
        title=f"Runs behind the means, {view.pair(pair)}, {label}",
        columns=("method", "trials", *(name.replace("_", " ") for name in names)),
        rows=body,
        notes=legend([cell for line in body for cell in line]),
    )


def further_table(
    means: "pd.DataFrame", pair: tuple[str, str], label: str, view: View, elsewhere: Collection[str] = ()
) -> Table:
    """Every other metric and cost in the records, means over data sets: metrics down, methods across.

    Args:
        means: ``over_datasets``'s frame.
        pair: teacher and student.
        label: how trials were selected.
        view: names.
        elsewhere: metrics that stand in tables of their own.
    """
    means = of_pair(means, pair)
    metrics = [name for name in means.columns if f"{name}_std" in means.columns and "_snr" not in name]
    names = [*sorted(set(metrics) - set(view.columns) - set(elsewhere)), *cost_names(means)]
    lines = means.to_dict("records")
    return Table(
        key=table_key("further", pair),
        title=f"Further metrics and cost, means over data sets, {view.pair(pair)}, {label}",
        columns=("metric", *map(view.row, means["variant"])),
        rows=[_further_line(name, lines) for name in names if means[name].notna().any()],
    )


def _further_line(name: str, lines: "list[dict[str, Any]]") -> list[Cell]:
    values = [_number(line[name]) for line in lines]
    digits = 3 if max(abs(value) for value in values if value is not None) < 100 else 0
    cells = [
        Cell(text="-")
        if value is None
        else Cell(mean=value, std=_number(line.get(f"{name}_std")), digits=digits)
        for value, line in zip(values, lines, strict=True)
    ]
    return [Cell(text=name.removeprefix("cost.").replace("_", " ")), *cells]


def pairs_tables(means: "pd.DataFrame", sets: int, view: View) -> list[Table]:
    """A table for each driving metric: teachers and methods down, students across; none for a single pair.

    Args:
        means: ``over_datasets``'s frame.
        sets: data sets of the whole report.
        view: names, metrics and decimals.
    """
    pairs = pairs_of(means)
    if len(pairs) < 2:
        return []
    teachers, students = (list(dict.fromkeys(sorted((p[at] for p in pairs), key=natural))) for at in (0, 1))
    cells = {(line["teacher"], line["student"], line["variant"]): line for line in means.to_dict("records")}
    methods = list(dict.fromkeys(means["variant"]))
    tables = []
    for metric in view.driving:
        body = []
        for teacher in teachers:
            for method in methods:
                found = [cells.get((teacher, student, method)) for student in students]
                shown = [
                    Cell(text="-") if line is None else mean_cell(line, metric, sets, (), view.decimals)
                    for line in found
                ]
                if any(cell.mean is not None for cell in shown):
                    body.append([Cell(text=view.name(teacher)), Cell(text=view.row(method)), *shown])
        title = f"{view.title(metric)} by teacher and student, mean over {plural(sets, 'data set')}"
        notes = legend([cell for line in body for cell in line])
        columns = ("teacher", "method", *map(view.name, students))
        tables.append(Table(f"pairs-{metric}", title, columns, body, notes=notes))
    return tables


def statistics_table(found: Statistics, pair: tuple[str, str], label: str, view: View) -> Table:
    """Every method against the reference over data sets: rank, wins, tests, effect sizes.

    As in the multi-comparison matrix, wins are those of the method that the row names.
    """
    against = {each.other: each for each in found.against_reference}
    body = [
        _statistics_line(name, rank, found.means[name], against.get(name), view)
        for name, rank in found.ranks.items()
    ]
    smallest = min((each.p_smallest for each in found.against_reference), default=1.0)
    notes = [
        _sets_used(found, view),
        f"Wins, ties, losses, difference and effect are those of each method against "
        f"{view.row(found.reference)}.",
        "Two-sided Wilcoxon signed-rank test on means over seeds; Holm's correction over "
        f"{plural(len(against), 'comparison')}. With {plural(len(found.datasets), 'data set')}, the smallest "
        f"attainable p is {smallest:.2g}, and {smallest_adjusted(found.against_reference):.2g} after Holm.",
        "Effect: matched-pairs rank-biserial correlation.",
    ]
    if found.asked != found.reference:
        notes.append(
            f"{view.row(found.asked)} lacks results on more than half of the data sets, so the best-ranked "
            f"method, {view.row(found.reference)}, is the reference."
        )
    if found.friedman is not None:
        notes.append(f"Friedman test: chi-squared {found.friedman[0]:.3f}, p {found.friedman[1]:.2g}.")
    if found.left_out:
        notes.append(
            "Not compared, with results on fewer than half of the data sets: "
            + ", ".join(map(view.row, found.left_out))
            + "."
        )
    return Table(
        key=table_key(f"statistics-{found.metric}", pair),
        title=f"{view.title(found.metric)} over data sets, {view.pair(pair)}, {label}",
        columns=("method", "rank", "mean", "wins", "ties", "losses", "difference", "effect", "p", "p Holm"),
        rows=body,
        notes=tuple(notes),
    )


def _sets_used(found: Statistics, view: View) -> str:
    """Which data sets the ranks, means and tests are over."""
    used, unused = (tuple(map(view.name, names)) for names in (found.datasets, found.unused))
    if not unused:
        return f"Ranks, means and tests use all {plural(len(used), 'data set')}."
    return (
        f"Ranks, means and tests use the {len(used)} of {plural(len(used) + len(unused), 'data set')} on "
        f"which every method in this table has a result: {_listed(used)}. Not used: {_listed(unused)}."
    )


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest} more (see statistics.json)" if rest > 0 else "")


def plural(count: int, noun: str, several: str = "") -> str:
    """A count with its noun, such as ``1 loss`` and ``2 losses``."""
    return f"{count} {noun if count == 1 else several or noun + 's'}"


def _statistics_line(name: str, rank: float, mean: float, each: Comparison | None, view: View) -> list[Cell]:
    head = [Cell(text=view.row(name)), Cell(mean=rank, digits=2), Cell(mean=mean, digits=view.decimals)]
    if each is None:
        return [*head, Cell(text="reference"), *[Cell(text="")] * 6]
    significant = ("significant",) if each.p_holm < ALPHA else ()
    return [
        *head,
        *[Cell(mean=value, digits=0) for value in (each.losses, each.ties, each.wins)],
        Cell(mean=-each.difference, digits=view.decimals),
        Cell(mean=-each.effect, digits=2),
        Cell(mean=each.p, digits=4),
        Cell(mean=each.p_holm, digits=4, marks=significant),
    ]


def choices_table(rows: "pd.DataFrame", label: str, view: View) -> Table:
    """Which trial stands for each method on each data set."""
    rows = rows[~rows["method"].isin(TEACHERS)]
    body = [
        [
            *[Cell(text=view.name(line[key])) for key in ("dataset", *PAIR)],
            Cell(text=view.row(line["variant"])),
            Cell(mean=line["trial"], digits=0) if line["trial"] >= 0 else Cell(text="none"),
            *[Cell(text=str(line[key])) for key in ("config", "decided")],
            *[Cell(mean=line[key], digits=0) for key in ("trials", "seeds", "failed", "missing")],
        ]
        for line in rows.to_dict("records")
    ]
    columns = ("data set", *PAIR, "method", "trial", "chosen", "by", "trials", "seeds", "failed", "missing")
    return Table("choices", f"Trials chosen, {label}", columns, body)


def failures_table(runs: "pd.DataFrame") -> Table:
    """Every failed run and what it said."""
    failed = runs[runs["status"] == "failed"]
    keys = ("dataset", *PAIR, "variant", "trial", "seed", "error")
    body = [[Cell(text=str(line[key])) for key in keys] for line in failed.to_dict("records")]
    return Table("failures", "Failed runs", ("data set", *PAIR, "method", "trial", "seed", "error"), body)


def of_pair(frame: "pd.DataFrame", pair: tuple[str, str]) -> "pd.DataFrame":
    """The rows of a teacher and a student."""
    return frame[(frame["teacher"] == pair[0]) & (frame["student"] == pair[1])]


def _cell(row: "dict[str, Any] | None", metric: str, digits: int) -> Cell:
    if row is None:
        return Cell(text="-")
    value, deviation = row.get(metric), row.get(f"{metric}_std")
    if not isinstance(value, float) or value != value:
        return Cell(text="failed" if row["seeds"] == 0 and row["failed"] else "-")
    flagged = {
        "no_validation": bool(row["no_validation"]),
        "incomplete": row["method"] not in TEACHERS and row["seeds"] < row["expected"],
        "collapsed": bool(row["collapsed_chosen"]),
        "plateau": bool(row["plateau_chosen"]),
    }
    marks = tuple(name for name, raised in flagged.items() if raised)
    ranked = row["method"] not in TEACHERS and "collapsed" not in marks
    return Cell(mean=value, std=_number(deviation), marks=marks, ranked=ranked, digits=digits)


def mean_cell(
    line: "dict[str, Any]", metric: str, sets: int, significant: Sequence[str] = (), digits: int = 3
) -> Cell:
    """A mean over data sets; one that lacks some of the ``sets`` or holds a collapsed run takes no place."""
    value = _number(line.get(metric))
    if value is None:
        return Cell(text="-")
    flagged = {
        "incomplete": line["method"] not in TEACHERS and line["seeds"] < line["expected"],
        "collapsed": bool(line["collapsed_chosen"]),
        "plateau": bool(line["plateau_chosen"]),
        "partial": line[f"{metric}_sets"] < sets,
        "significant": line["variant"] in significant,
    }
    marks = tuple(name for name, raised in flagged.items() if raised)
    ranked = line["method"] not in TEACHERS and not {"collapsed", "partial"} & set(marks)
    return Cell(mean=value, std=_number(line.get(f"{metric}_std")), marks=marks, ranked=ranked, digits=digits)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None


def placed(cells: list[Cell], *, higher_is_better: bool, alone: bool = False) -> list[Cell]:
    """Mark the best and second-best as they are shown: equal figures share a place.

    Args:
        cells: a row or a column.
        higher_is_better: the direction of the metric.
        alone: whether a figure that all share, or that has no rival, is marked too.
    """
    shown = {round(cell.mean, cell.digits) for cell in cells if cell.ranked and cell.mean is not None}
    best = sorted(shown, reverse=higher_is_better)[:2]
    places = {value: place for place, value in enumerate(best, start=1)} if len(shown) > 1 or alone else {}
    return [
        replace(cell, place=places.get(round(cell.mean, cell.digits), 0))
        if cell.ranked and cell.mean is not None
        else cell
        for cell in cells
    ]


def legend(cells: Sequence[Cell]) -> tuple[str, ...]:
    """What the marks of these cells mean."""
    used = {mark for cell in cells for mark in cell.marks}
    return tuple(f"{sign} {meaning}." for name, (sign, meaning) in MARKS.items() if name in used)


def table_key(name: str, pair: tuple[str, str]) -> str:
    """A table's key: its own name and its pair's."""
    return "-".join((name, *pair))

"""The report's tables of saliency maps: do teacher and student look at the same, and does it matter?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tsdistill.report.cells import Cell, Table
from tsdistill.report.tables import legend, mean_cell, of_pair, placed, plural, table_key
from tsdistill.report.view import View

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "spearman": ("Spearman", "spearman_chance", True),
    "top10": ("top 10 %", "top10_chance", True),
    "deletion": ("deletion", "deletion_chance", False),
    "insertion": ("insertion", "insertion_chance", False),
    "auprc": ("AUPRC", "auprc_shuffled", True),
}
"""Of each metric of a map: its title, its level by chance, and whether the best is marked.

An area under a curve depends on how sure the model is: it tells something against its own chance only."""
COUNTS = ("undefined", "flat")
FACTS = ("series", "of", "planted_share")
TITLES = {"saliency": "perturbation saliency"}


def ways_of(means: "pd.DataFrame") -> list[str]:
    """The ways of making maps that some record has, such as ``saliency`` or ``occlusion``."""
    found = [name.removesuffix("_spearman") for name in means.columns if name.endswith("_spearman")]
    return sorted(found, key=lambda way: (way != "saliency", way))


def metrics_of_maps(means: "pd.DataFrame") -> set[str]:
    """Every metric that these tables show or leave out on purpose."""
    names = {*COLUMNS, *(chance for _, chance, _ in COLUMNS.values()), *COUNTS}
    return {f"{way}_{name}" for way in ways_of(means) for name in names} | set(FACTS)


def reasoning_tables(
    means: "pd.DataFrame", pair: tuple[str, str], sets: int, label: str, view: View
) -> list[Table]:
    """One table for each way of making maps; none where ``tsdistill evaluate`` has not run.

    Args:
        means: ``over_datasets``'s frame.
        pair: teacher and student.
        sets: data sets of the pair.
        label: how trials were selected, shown in the title.
        view: names.
    """
    means = of_pair(means, pair)
    measured = [way for way in ways_of(means) if means[f"{way}_spearman"].notna().any()]
    return [_table(means, way, pair, sets, label, view) for way in measured]


def _table(
    means: "pd.DataFrame", way: str, pair: tuple[str, str], sets: int, label: str, view: View
) -> Table:
    there = [name for name in (*COLUMNS, *COUNTS) if f"{way}_{name}" in means.columns]
    there = [name for name in there if means[f"{way}_{name}"].notna().any()]
    means = means.dropna(how="all", subset=[f"{way}_{name}" for name in there])
    lines = means.to_dict("records")
    heads, columns = ["method"], [[Cell(text=view.row(line["variant"])) for line in lines]]
    for name in there:
        values = [mean_cell(line, f"{way}_{name}", sets) for line in lines]
        if name in COUNTS:
            heads.append(name)
            columns.append([replace(cell, std=None, digits=1) for cell in values])
            continue
        title, chance, ranked = COLUMNS[name]
        by_chance = [mean_cell(line, f"{way}_{chance}", sets) for line in lines]
        heads += [title, "chance"]
        columns += [placed(values, higher_is_better=True) if ranked else values]
        columns += [[replace(cell, std=None) for cell in by_chance]]
    name = TITLES.get(way, way.replace("_", " "))
    return Table(
        key=table_key(f"maps-{way}", pair),
        title=f"Maps by {name}, mean over {plural(sets, 'data set')}, {view.pair(pair)}, {label}",
        columns=tuple(heads),
        rows=[list(row) for row in zip(*columns, strict=True)],
        notes=(*_explained(heads, means), *legend([cell for column in columns for cell in column])),
    )


def _explained(heads: Sequence[str], means: "pd.DataFrame") -> list[str]:
    notes = [
        "Spearman: rank correlation of the student's map with its teacher's. Top 10 %: overlap of their "
        "highest tenths. Chance: the same with the teacher's map of another series."
    ]
    if "deletion" in heads:
        notes.append(
            "Deletion (good below chance) and insertion (good above): area under the probability of the "
            "teacher's class as the steps that the model's own map ranks highest are removed or inserted. "
            "Chance: with the map of another series."
        )
    if "AUPRC" in heads:
        share = means["planted_share"].mean() if "planted_share" in means else float("nan")
        notes.append(
            "AUPRC: the model's own map against the planted windows. Chance: with the map of another series. "
            f"An uninformative map scores {share:.3f}."
        )
    counts = [name for name in COUNTS if name in heads]
    if counts:
        notes.append(
            f"{', '.join(counts).capitalize()}: maps without a value because all steps are equal, "
            "mean over runs."
        )
    return notes

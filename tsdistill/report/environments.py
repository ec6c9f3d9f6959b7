"""In what the environments of the runs behind a table differ: rounding moves their numbers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

IRRELEVANT = frozenset({"commit", "dirty", "cpus", "platform", "tsdistill", "kernel_cpu"})
"""What is recorded, yet moves no number, or is in the runs' keys already."""


def mixed_environments(environments: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Say in what the environments of some runs differ.

    Args:
        environments: of the runs' records.

    Returns:
        One sentence, or nothing where all ran in the same environment (or none is recorded).
    """
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    found = [facts for facts in environments if facts]
    for name in sorted({name for facts in found for name in facts} - IRRELEVANT):
        seen[name].update(_text(facts.get(name)) for facts in found)
    parts = [
        f"{name} ({', '.join(f'{value}: {count}' for value, count in sorted(counts.items()))})"
        for name, counts in seen.items()
        if len(counts) > 1
    ]
    return (
        (f"Runs were made in different environments (number of runs): {'; '.join(parts)}.",) if parts else ()
    )


def _text(value: object) -> str:
    return "unset" if value is None else str(value)

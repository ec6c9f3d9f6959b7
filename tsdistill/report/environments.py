"""In what the environments of the runs behind a table differ: rounding moves their numbers."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

IRRELEVANT = frozenset({"commit", "dirty", "cpus", "platform", "tsdistill", "kernel_cpu"})
"""What is recorded, yet moves no number, or is in the runs' keys already."""


def mixed_environments(folders: Iterable[str]) -> tuple[str, ...]:
    """Say in what the environments of some runs differ.

    Args:
        folders: of the runs' records.

    Returns:
        One sentence, or nothing where all ran in the same environment (or none is recorded).
    """
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    found = [facts for folder in folders if (facts := read_environment(Path(folder)))]
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


def read_environment(folder: Path) -> Mapping[str, Any]:
    """A record's environment; empty where its file is missing or damaged."""
    try:
        facts = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _text(value: object) -> str:
    return "unset" if value is None else str(value)

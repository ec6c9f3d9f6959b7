"""Mean validation figures of the teachers stored under some folders (docs/learning.md).

python scripts/compare_teachers.py now=out/now long=out/long
"""

import argparse
import json
from pathlib import Path
from statistics import fmean


def main() -> None:
    """Print one line for each folder."""
    parser = argparse.ArgumentParser(description="compare stored teachers on their validation parts")
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    for name, told, folder in (each.partition("=") for each in parser.parse_args().folders):
        if not told:
            parser.error(f"{name}: should be a name and a folder, such as now=out/now")
        stored = [
            json.loads(path.read_text())["validation"]
            for path in Path(folder).glob("teachers/*/*/metrics.json")
        ]
        if not stored:
            parser.error(f"{name}: no teachers are stored under {folder}")
        ap, accuracy = (
            fmean(each[metric] for each in stored) for metric in ("average_precision", "accuracy")
        )
        print(f"{name}: {len(stored)} teachers, AP {ap:.3f}, accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()

"""Hold FCN, ResNet and Inception at their published sizes and full length against published accuracies.

    python scripts/check_published.py --published FOLDER [--data ROOT] [--out FOLDER] [--write FILE]

FOLDER holds ``dl4tsc_results-ucr-128.csv`` and ``Inception_single_results-128.csv``. No validation part,
three seeds, default split. Each teacher is an artefact: an interrupted check goes on where it stopped. A row
passes if our mean lies within the larger of 2 published standard deviations and 0.01 of the published mean.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import TeacherTaskConf, register
from tsdistill.console import say
from tsdistill.runs.session import prepare
from tsdistill.runs.teaching import best_teacher
from tsdistill.store.environment import environment

DATASETS = ("ItalyPowerDemand", "CBF", "GunPoint", "ECG200")
MODELS = ("fcn", "resnet", "inception")
SEEDS = (0, 1, 2)


def main() -> int:
    """Train what is missing, print and write the table; 0 if every row passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--published", type=Path, required=True)
    parser.add_argument("--data", default="${oc.env:TSDISTILL_DATA,null}")
    parser.add_argument("--out", default="tsdistill-out")
    parser.add_argument("--write", type=Path)
    chosen = parser.parse_args()
    published = read_published(chosen.published)
    rows = []
    for dataset in DATASETS:
        for model in MODELS:
            ours = pd.Series([accuracy(dataset, model, s, chosen.data, chosen.out) for s in SEEDS])
            theirs = published.loc[(model, dataset), "accuracy"]
            bound = max(2 * theirs.std(), 0.01)
            rows.append((dataset, model, theirs.mean(), theirs.std(), ours.mean(), ours.std(), bound))
            say(f"{dataset} {model}: published {theirs.mean():.4f}, ours {ours.mean():.4f} ({ours.tolist()})")
    names = ["dataset", "model", "published", "published std", "ours", "ours std", "bound"]
    table = pd.DataFrame(rows, columns=names)
    table["within"] = (table["ours"] - table["published"]).abs() <= table["bound"]
    text = spell(table)
    print(text)
    if chosen.write:
        chosen.write.write_text(text, encoding="utf-8")
    return 0 if table["within"].all() else 1


def read_published(folder: Path) -> pd.DataFrame:
    """Accuracies of the published runs, indexed by (model, dataset)."""
    files = ("dl4tsc_results-ucr-128.csv", "Inception_single_results-128.csv")
    runs = pd.concat([pd.read_csv(folder / name) for name in files])
    return runs.set_index(["classifier_name", "dataset_name"]).sort_index()


def accuracy(dataset: str, model: str, seed: int, data: str, out: str) -> float:
    """Test accuracy of one network, trained without a validation part."""
    overrides = [
        f"dataset.name={dataset}",
        f"teacher={model}",
        f"teacher.seeds=[{seed}]",
        "training@teacher.training=published_cnn",
        "scheduler@teacher.training.scheduler=cosine",
        "split.validation=0",
        f"data_root={data}",
        f"out={out}",
    ]
    conf: TeacherTaskConf = OmegaConf.to_object(compose("train-teacher", overrides))  # type: ignore[assignment]
    return float(best_teacher(prepare(conf)).metrics["test"]["accuracy"])


def spell(table: pd.DataFrame) -> str:
    """The table in Markdown, with what made it."""
    made = environment()
    lines = ["| " + " | ".join(table.columns) + " |", "|" + " --- |" * len(table.columns)]
    for row in table.itertuples(index=False):
        cells = [f"{v:.4f}" if isinstance(v, float) else str(v) for v in row]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    lines.append(f"Commit {made['commit']}, torch {made['torch']}, seeds {', '.join(map(str, SEEDS))}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        sys.exit(main())

"""Write docs/methods: a page for each method and an index, from configs, terms and docs/methods/facts.yaml.

python scripts/document_methods.py [--to FOLDER]
"""

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from measures.document import markdown_table
from measures.setting import composed
from omegaconf import OmegaConf
from torch import nn

from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import DistillConf
from tsdistill.data.tensors import TensorPart
from tsdistill.methods.base import LossTerm, Need
from tsdistill.methods.build import build_stages
from tsdistill.methods.ce import CrossEntropy
from tsdistill.methods.stage import TRAINING_ONLY, Stage, StageTask
from tsdistill.methods.step import TeacherView, union
from tsdistill.models.build import build_model
from tsdistill.teachers.base import ANSWERS

DOCS = Path(__file__).parents[1] / "docs" / "methods"
HEAD = "<!-- Made by scripts/document_methods.py from the method's config, its terms and facts.yaml. -->"
CHANNELS, CLASSES, LENGTH = 1, 2, 100
NEEDS: dict[Need, str] = {
    "teacher_logits": "logits",
    "teacher_answers": "answers on any series",
    "teacher_features": "features",
    "teacher_gradients": "gradients",
    "windows": "windows",
}
"""What a teacher must give, in the words of the index; the student's own gradients are not among them."""


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--to", type=Path, default=DOCS, help="folder (docs/methods)")
    folder = parser.parse_args().to
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Every page by its file name.

    Raises:
        SystemExit: a method has no facts, or facts have no method.
    """
    facts = _loaded((DOCS / "facts.yaml").read_text(encoding="utf-8"))
    methods = sorted(path.stem for path in (conf_folder() / "method").glob("*.yaml"))
    if sorted(facts) != methods:
        raise SystemExit(f"docs/methods/facts.yaml and conf/method differ: {set(facts) ^ set(methods)}")
    ordered = list(facts)
    made = {name: _Method(name, facts[name]) for name in ordered}
    return {"README.md": _index(made), **{f"{name}.md": method.page() for name, method in made.items()}}


class _Method:
    """A method's config, its stages, and its facts."""

    def __init__(self, name: str, facts: Mapping[str, Any]) -> None:
        models = ("teacher=lstm", "student=lstm_8") if "pair" in facts else ()
        self.name, self.facts = name, facts
        self.conf = composed(f"method={name}", *models)
        self.stages = build_stages(self.conf.method)
        self.needs = union([stage.needs for stage in self.stages])

    @property
    def asked(self) -> str:
        """What the teacher must give."""
        return ", ".join(word for need, word in NEEDS.items() if need in self.needs) or "nothing"

    @property
    def pair(self) -> str:
        """Which teachers and students it works with."""
        if "pair" in self.facts:
            return str(self.facts["pair"])
        return "any teacher" if self.needs - {"student_gradients"} <= ANSWERS else "a network as teacher"

    @property
    def parameters(self) -> int:
        """Parameters of the terms, trained beside the student, for the default pair of models."""
        return sum(_trained_beside(stage, self.conf) for stage in self.stages)

    def page(self) -> str:
        """The method's page."""
        extra = (
            ""
            if not self.parameters
            else (
                f" Besides the student, {self.parameters:,} parameters are trained for "
                f"{self.conf.teacher.name} → "
                f"{self.conf.student.name} (1 channel, 2 classes, 100 timesteps)."
            )
        )
        sections = [
            f"# {self.name}",
            HEAD,
            " ".join(_described(self.name)),
            f"**What it transfers.** {self.facts['transfers']}",
            f"**Formula.** {self.facts['formula']}",
            f"**What it needs of the teacher.** {self.asked}: {self.pair}.{extra}",
            f"**Command.**\n\n    tsdistill distill method={self.name}{self._models} "
            "dataset.name=ItalyPowerDemand",
            f"**Loss.**\n\n{self._losses()}",
            self._settings(),
            f"**Logged values.** `tsdistill runs id=ID` shows each curve's best value.\n\n{self._logged()}",
            self._differences(),
            f"**Cost.** {self.facts['cost']} `make benchmark` measures an epoch against the plain student's.",
        ]
        if self.facts["reference"]:
            sections.append(f"**Reference.** {self.facts['reference']}.")
        return "\n\n".join(section for section in sections if section) + "\n"

    @property
    def _models(self) -> str:
        return " teacher=lstm student=lstm_8" if "pair" in self.facts else ""

    def _losses(self) -> str:
        """The weighted sum of each stage, with its terms' classes."""
        return "\n".join(
            f"- stage `{stage.name}`: "
            + " + ".join(
                f"{weight:g} `{key}` ({type(stage.terms[key]).__name__})"
                for key, weight in stage.weights.items()
            )
            for stage in self.stages
        )

    def _settings(self) -> str:
        rows = [
            (f"`method.{key}`", f"`{value}`", meaning.replace("|", "\\|"))
            for key, value, meaning in _settings(self.name)
        ]
        trials = [
            ", ".join(f"`{key}={value}`" for key, value in point.items())
            for point in self.conf.method["grid"]
        ]
        table = "" if not rows else "\n\n" + markdown_table(("setting", "default", "meaning"), rows)
        numbered = "\n".join(f"- `trial={at}`: {point}" for at, point in enumerate(trials, 1))
        return f"**Settings.** `trial=0` is the default.{table}\n\n{numbered}"

    def _logged(self) -> str:
        rows = []
        for stage in self.stages:
            rows.append((stage.name, "`train/loss`", "the weighted sum on the training part"))
            for key, term in stage.terms.items():
                rows.append((stage.name, f"`train/{key}`", f"unweighted: {_meaning(term)}"))
            seen = [key for key, term in stage.terms.items() if not term.needs & TRAINING_ONLY]
            if seen:
                rows.append(
                    (stage.name, "`loss`", "on the validation part, without terms that only training has")
                )
            rows += [(stage.name, f"`{key}`", "the same term on the validation part") for key in seen]
            if "ce" not in seen and any(term.needs_logits for term in stage.terms.values()):
                rows.append((stage.name, "`ce`", "cross-entropy on the validation part"))
        return markdown_table(("stage", "value", "what it is"), rows)

    def _differences(self) -> str:
        found = [f"{at}. {each}" for at, each in enumerate(self.facts["differences"], 1)]
        head = "**Differences from its paper and from public code.**"
        return f"{head}\n\n" + "\n".join(found) if found else ""


def _index(made: Mapping[str, _Method]) -> str:
    rows = [
        (
            f"[{name}]({name}.md)",
            method.asked,
            f"{method.parameters:,}" if method.parameters else "none",
            method.pair,
            method.facts["transfers"],
        )
        for name, method in made.items()
    ]
    return (
        "\n\n".join(
            [
                "# Methods",
                HEAD,
                "`tsdistill distill method=NAME` trains a student with one of these; `method=NAME+tsd` adds "
                "TSD to the last stage of any that lacks it, with `method.w_ce` 1 and `method.tsd_lam` 1, "
                "and keeps the method's grid. A method that needs more than its teacher gives is refused "
                "before any training.",
                "Parameters are those that a method trains beside the student, for fcn → lstm_8. What the "
                "pages say of public code has not been checked against a pinned version of it.",
                markdown_table(
                    ("method", "needs of the teacher", "parameters", "works with", "transfers"), rows
                ),
            ]
        )
        + "\n"
    )


def _loaded(text: str) -> dict[str, Any]:
    loaded = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(loaded, dict)
    return {str(key): value for key, value in loaded.items()}


def _files(name: str) -> Iterator[str]:
    """The method's config file and those that it inherits from, the most basic last."""
    text = (conf_folder() / "method" / f"{name}.yaml").read_text(encoding="utf-8")
    yield text
    for parent in _loaded(text).get("defaults", []):
        if parent != "_self_":
            yield from _files(parent)


def _described(name: str) -> list[str]:
    """The comment at the head of a method's config file."""
    lines = next(_files(name)).splitlines()
    head = [line.removeprefix("# ") for line in lines[: next(i for i, x in enumerate(lines) if x[:1] != "#")]]
    return [line for line in head if not line.startswith("@package")]


def _settings(name: str) -> list[tuple[str, str, str]]:
    """Settings with their defaults and meanings, as the config files comment them."""
    found: dict[str, tuple[str, str]] = {}
    for text in _files(name):
        for line in text.splitlines():
            match = re.match(r"^(?:  )?(\w+): +([^#{]+?) +# (.+)$", line)
            if match:
                found.setdefault(match[1], (match[2], match[3]))
    found.pop("donors", None)
    return [(key, *rest) for key, rest in found.items()]


def _meaning(term: LossTerm) -> str:
    return (type(term).__doc__ or "").strip().splitlines()[0].rstrip(".").replace("``", "`")


def _trained_beside(stage: Stage, conf: DistillConf) -> int:
    """Number of parameters of a stage's terms."""
    if all(isinstance(term, CrossEntropy) for term in stage.terms.values()):
        return 0
    part = TensorPart(torch.zeros(4, CHANNELS, LENGTH), torch.arange(4) % CLASSES)
    teacher, student = (_built(node) for node in (conf.teacher.model, conf.student.model))
    task = StageTask(student, stage, TeacherView(network=teacher), {"train": part})
    return sum(parameter.numel() for parameter in task.terms.parameters())


def _built(node: Any) -> nn.Module:
    return build_model(node, CHANNELS, CLASSES, LENGTH)


if __name__ == "__main__":
    main()

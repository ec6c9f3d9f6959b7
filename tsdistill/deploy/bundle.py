"""A student as a folder that needs no run, no dataset and no teacher: ``format=torch``."""

from pathlib import Path
from typing import Any

from tsdistill.data.prepare import Preparation
from tsdistill.data.types import Part
from tsdistill.data.unlabelled import Columns
from tsdistill.deploy.student import Student
from tsdistill.errors import TsdistillError
from tsdistill.models.build import build_model
from tsdistill.store.formats import load_tensors, read_json, save_tensors, to_json

STUDENT, WEIGHTS, REFERENCES = "student.json", "weights.safetensors", "references.safetensors"
FORMAT = 1


def write_bundle(folder: Path, student: Student) -> None:
    """Write a student into a folder that is there and empty."""
    plain = {
        "format": FORMAT,
        "about": dict(student.about),
        "classes": list(student.classes),
        "model": dict(student.model_conf),
        "preparation": student.preparation.as_dict(),
        "columns": student.columns.as_dict(),
    }
    (folder / STUDENT).write_text(to_json(plain), encoding="utf-8")
    save_tensors(folder / WEIGHTS, student.model.state_dict())
    lent = student.references
    lengths = {} if lent.lengths is None else {"lengths": lent.lengths}
    save_tensors(folder / REFERENCES, {"x": lent.x, "y": lent.y, **lengths})


def read_bundle(folder: Path) -> Student:
    """Read a student; the caller has made sure that its model may be built.

    Raises:
        TsdistillError: a file is missing or damaged, or of a newer version.
    """
    plain = read_settings(folder)
    try:
        preparation = Preparation.from_dict(plain["preparation"])
        classes = tuple(plain["classes"])
        model = build_model(plain["model"], preparation.channels, len(classes), preparation.length)
        model.load_state_dict(load_tensors(folder / WEIGHTS))
        lent = {name: values.numpy() for name, values in load_tensors(folder / REFERENCES).items()}
        columns = Columns(plain["columns"]["long"], tuple(plain["columns"]["ignored"]))
        references = Part(lent["x"], lent["y"], lent.get("lengths"))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TsdistillError(f"{folder} is not a sound student ({reason}); export it again") from error
    model.eval().requires_grad_(False)
    return Student(model, classes, preparation, references, columns, plain["model"], plain["about"])


def read_settings(folder: Path) -> dict[str, Any]:
    """Read all but the arrays of a student; raises as ``read_bundle`` does."""
    try:
        plain = read_json(folder / STUDENT)
    except (OSError, ValueError) as error:
        raise TsdistillError(f"{folder / STUDENT}: {error}; export the student again") from error
    if plain.get("format") != FORMAT:
        raise TsdistillError(
            f"{folder} has format {plain.get('format')!r}; this version of tsdistill reads format {FORMAT}"
        )
    return plain

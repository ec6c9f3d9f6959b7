"""Colour, marker and line of every method: the same in all figures of all reports."""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from tsdistill.report.aggregate import RESEEDED, TEACHER, TEACHERS
from tsdistill.report.view import View

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#332288", "#882255", "#B15928", "#661100")
"""Each has a contrast of at least 3:1 on white; with normal vision, protanopia, deuteranopia and tritanopia
any two lie at least 15 apart in CIELAB. Black is the teacher's."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "d")
LINES = ("-", "--", "-.", ":")

_T = TypeVar("_T")

Triple = tuple[str, str, str]

BUILT_IN: Mapping[str, Triple] = {
    TEACHER: ("#000000", "*", "-"),
    RESEEDED: ("#000000", "p", ":"),
    "tsd": ("#0072B2", "o", "-"),
    "kd": ("#D55E00", "s", "-"),
    "none": ("#009E73", "^", "-"),
    "fitnets": ("#CC79A7", "D", "-"),
    "tsd_kd": ("#332288", "P", "-"),
    "fitnets_joint": ("#882255", "v", "-"),
    "kd_perturbed": ("#B15928", "X", "--"),
    "tsd_kd_paper": ("#332288", "h", "-."),
    "tsd_shuffled_within": ("#661100", "<", "--"),
    "tsd_shuffled_across": ("#0072B2", ">", "--"),
    "rkd": ("#0072B2", "d", "-."),
    "dkd": ("#D55E00", "h", ":"),
    "at": ("#009E73", "d", "-"),
    "vid": ("#CC79A7", "X", "-."),
    "sp": ("#882255", "s", "--"),
    "pkt": ("#B15928", "o", "--"),
    "crd": ("#661100", "^", "--"),
    "dt2w": ("#332288", "D", "--"),
    "memkd": ("#0072B2", "v", "--"),
    "jacobian": ("#D55E00", "P", "--"),
    "gradxinput": ("#009E73", "h", "--"),
    "e2kd": ("#CC79A7", "d", "--"),
    "dual_view": ("#882255", "o", ":"),
    "fd_raw": ("#B15928", "s", ":"),
    "fd_noise": ("#661100", "P", ":"),
}
"""Fixed looks: colour, marker, line."""
LOSS_PARTS: Mapping[str, str] = {
    "loss": "#000000",
    "ce": BUILT_IN["none"][0],
    "kd": BUILT_IN["kd"][0],
    "tsd": BUILT_IN["tsd"][0],
    "hint": BUILT_IN["fitnets"][0],
}
"""Fixed colours of the parts of a training loss."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one method, and its name as short as it can be told apart."""

    colour: str
    marker: str
    line: str
    label: str


Palette = Mapping[str, Look]
"""A look for each method."""


def looks(variants: Sequence[str], view: View | None = None) -> dict[str, Look]:
    """A look for each row of a report.

    Built-in methods have fixed looks. Another method's follows from a hash of its name, and a method with
    settings (``tsd [method.lam=10]``) keeps the method's colour and hashes marker and line. Where two hashes
    meet, the later name takes the next look that is free. No two share marker and line, so that they are
    told apart without colour too.

    Args:
        variants: names of rows; the teachers need not be among them.
        view: the names shown; without it, the rows' own.

    Returns:
        Looks by name, the teacher's first; all differ, as far as there are enough.
    """
    view, taken = view or View(), dict[str, Triple]()
    labels = {name: view.row(label) for name, label in short_names(variants).items()}
    for name in sorted(variants, key=lambda name: (name not in BUILT_IN, "[" in name, name)):
        taken[name] = BUILT_IN.get(name) or _triple(name, taken)
    found = {TEACHER: Look(*BUILT_IN[TEACHER], view.row(TEACHER))}
    for name in sorted(variants, key=lambda name: name not in TEACHERS):
        found[name] = Look(*taken[name], labels[name])
    return found


def colours_of_parts(parts: Iterable[str]) -> dict[str, str]:
    """A colour for each part of a training loss: fixed for the built-in ones, else by a hash of its name.

    Args:
        parts: names of the parts.

    Returns:
        Colours by part, different ones as far as there are enough.
    """
    pool = [colour for colour in COLOURS if colour not in LOSS_PARTS.values()]
    found: dict[str, str] = {}
    for part in sorted(parts, key=lambda part: (part not in LOSS_PARTS, part)):
        found[part] = LOSS_PARTS.get(part) or _free(part, pool, found.values())
    return found


def _triple(name: str, known: Mapping[str, Triple]) -> Triple:
    """The look of a method, or of a method with settings, that is not built in."""
    method = name.split(" [")[0]
    colours: Sequence[str] = COLOURS
    if method != name:
        base = BUILT_IN.get(method) or known.get(method)
        colours = [base[0] if base else _free(method, COLOURS, ())]
    taken = {*BUILT_IN.values(), *known.values()}
    pool, grey = list(product(colours, MARKERS, LINES)), {triple[1:] for triple in taken}
    alike = {triple for triple in pool if triple[1:] in grey}
    return _free(name, pool, alike if len(alike) < len(pool) else taken)


def _free(name: str, pool: Sequence[_T], taken: Collection[_T]) -> _T:
    """What the hash of a name points to in the pool, or the next one that is not taken."""
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % len(pool)
    turned = [*pool[start:], *pool[:start]]
    return next((each for each in turned if each not in taken), turned[0])


def short_names(variants: Sequence[str]) -> dict[str, str]:
    """Settings by the last part of their keys, where that leaves no two methods with one name."""
    short = {name: re.sub(r"(?<=[\[ ])[\w.]+\.(\w+=)", r"\1", name) for name in variants}
    return {name: label if list(short.values()).count(label) == 1 else name for name, label in short.items()}

"""The C header on an emulated Cortex-M4 against PyTorch: classes, logits, and streams step by step."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from tsdistill.data.raw import RawPart
from tsdistill.data.types import FloatArray
from tsdistill.deploy.c.compiled import STRICT
from tsdistill.deploy.c.header import write_header
from tsdistill.deploy.student import Student

Make = Callable[[int], tuple[Student, RawPart]]
BOARD = Path(__file__).parent / "cortex_m4"
GCC = "arm-none-eabi-gcc"
QEMU = ("qemu-system-arm", "-M", "mps2-an386", "-cpu", "cortex-m4", "-semihosting", "-nographic")
ABIS = {
    "soft": ("-mfloat-abi=soft",),
    "hard": ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
}
SECONDS = 120
WINDOW = 0.3
# A random student of each family, by its seed; the recurrent ones can be given step by step.
STUDENTS = {"lstm": 10, "gru": 21, "fcn": 2, "resnet": 3, "inception": 4}


def missing() -> str | None:
    """What this machine lacks."""
    for tool, package in ((GCC, "gcc-arm-none-eabi"), (QEMU[0], "qemu-system-arm")):
        if shutil.which(tool) is None:
            return f"there is no {tool} (Debian: {package})"
    found = subprocess.run([GCC, "-print-file-name=libm.a"], capture_output=True, text=True, check=True)
    if not Path(found.stdout.strip()).is_absolute():
        return f"{GCC} has no C library (Debian: libnewlib-arm-none-eabi)"
    return None


pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def series_header(raw: RawPart) -> str:
    """Series as C constants: the bits of each value, one step after another."""
    steps = [int(lengths.max()) for lengths in raw.lengths]
    values = [
        one[:, :length].T.astype(np.float32).ravel() for one, length in zip(raw.values, steps, strict=True)
    ]
    bits = np.concatenate(values).view(np.uint32).tolist()
    return (
        f"#define ROWS {len(steps)}\n"
        f"static const int series_steps[ROWS] = {{{', '.join(map(str, steps))}}};\n"
        f"static const union {{\n    unsigned bits[{len(bits)}];\n    float x[{len(bits)}];\n"
        f"}} series_values = {{{{{', '.join(f'{one}u' for one in bits)}}}}};\n"
    )


def build(folder: Path, header: str, raw: RawPart, abi: str) -> Path:
    """A program for the board."""
    (folder / "student.h").write_text(header, encoding="utf-8")
    (folder / "series.h").write_text(series_header(raw), encoding="utf-8")
    target = ("-mcpu=cortex-m4", "-mthumb", *ABIS[abi], "-Os", f"-I{folder}")
    subprocess.run([GCC, *target, *STRICT, "-c", BOARD / "main.c", "-o", folder / "main.o"], check=True)
    subprocess.run([GCC, *target, "-c", BOARD / "start.c", "-o", folder / "start.o"], check=True)
    link = ("--specs=nosys.specs", "-nostartfiles", f"-T{BOARD / 'link.ld'}", "-lm")
    program = folder / "student.elf"
    subprocess.run([GCC, *target, folder / "main.o", folder / "start.o", *link, "-o", program], check=True)
    return program


def emulated(program: Path) -> dict[tuple[str, int], list[int]]:
    """Run it: what follows each kind of line and row, as 32-bit numbers."""
    found = subprocess.run(
        [*QEMU, "-kernel", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    lines = [line.split() for line in found.stdout.splitlines()]
    return {(kind, int(row, 16)): [int(value, 16) for value in values] for kind, row, *values in lines}


def floats(bits: list[int]) -> FloatArray:
    return np.array(bits, dtype=np.uint32).view(np.float32)


@pytest.mark.parametrize("family", STUDENTS)
@pytest.mark.parametrize(("abi", "int8"), [("soft", False), ("soft", True), ("hard", False)])
def test_a_cortex_m4_answers_as_pytorch(
    family: str,
    abi: str,
    int8: bool,
    tmp_path: Path,
    make_student: Make,
    rounded: Callable[[Student], Student],
) -> None:
    student, raw = make_student(STUDENTS[family])
    program = build(tmp_path, write_header(student, WINDOW, int8=int8), raw, abi)
    found = emulated(program)
    part, _ = student.preparation(raw, "new")
    wanted = (rounded(student) if int8 else student).logits(part)
    streamed = 0
    for row, logits in enumerate(wanted):
        np.testing.assert_allclose(floats(found["logits", row]), logits, rtol=1e-4, atol=1e-4)
        for kind in ("predict", "stream"):
            if (kind, row) not in found:  # a stream can't fill gaps
                continue
            label, *probabilities = found[kind, row]
            assert label == logits.argmax()
            np.testing.assert_allclose(floats(probabilities), softmax(logits), atol=1e-4)
            streamed += kind == "stream"
    assert ("predict", len(wanted) - 1) in found
    assert (streamed > 0) == (family in ("lstm", "gru"))

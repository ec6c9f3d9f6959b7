"""A header compiled and called from here, to be held against the student that it was written from."""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsdistill.data.raw import RawPart
from tsdistill.data.types import FloatArray
from tsdistill.errors import TsdistillError

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
"""What every header compiles with."""
_WRAPPER = """
#include "student.h"

int answer(const float *x, int steps, float *logits);
int explain(const float *x, int steps, float *probabilities, float *map);
int stream(const float *x, int steps, float *probabilities);
int repeat(const float *x, int steps, float *probabilities, int times);

int answer(const float *x, int steps, float *logits) {
    static tsd_memory memory;
    tsd_series series;
    int problem = tsd_open(&series, x, steps);
    if (problem) return problem;
    tsd_begin(&memory);
    tsd_logits(&memory, &series, logits);
    return 0;
}

int explain(const float *x, int steps, float *probabilities, float *map) {
    static tsd_memory memory;
    return tsd_saliency(&memory, x, steps, probabilities, map);
}

int repeat(const float *x, int steps, float *probabilities, int times) {
    static tsd_memory memory;
    int i, found = 0;
    for (i = 0; i < times; i++) found = tsd_predict(&memory, x, steps, probabilities);
    return found;
}

#if TSD_STREAM
int stream(const float *x, int steps, float *probabilities) {
    tsd_state state;
    int t;
    tsd_init(&state);
    for (t = 0; t < steps; t++)
        if (tsd_step(&state, x + t * TSD_CHANNELS)) return TSD_BAD_VALUE;
    return tsd_result(&state, probabilities);
}
#else
int stream(const float *x, int steps, float *probabilities) {
    (void)x, (void)steps, (void)probabilities;
    return TSD_BAD_LENGTH;
}
#endif
"""
_Floats = ctypes.POINTER(ctypes.c_float)


@dataclass(frozen=True)
class CompiledStudent:
    """A compiled header.

    Attributes:
        library: its functions.
        classes: K.
        length: T.
    """

    library: ctypes.CDLL
    classes: int
    length: int

    def logits(self, raw: RawPart) -> FloatArray:
        """Logits of series before preprocessing, (N, K); NaN for those that the header refuses."""
        found = np.full((len(raw.values), self.classes), np.nan, dtype=np.float32)
        for row, (x, steps) in enumerate(_series(raw)):
            self.library.answer(_pointer(x), steps, _pointer(found[row]))
        return found

    def saliency(self, raw: RawPart) -> FloatArray:
        """Saliency maps, (N, T)."""
        found = np.full((len(raw.values), self.length), np.nan, dtype=np.float32)
        room = np.zeros(self.classes, dtype=np.float32)
        for row, (x, steps) in enumerate(_series(raw)):
            self.library.explain(_pointer(x), steps, _pointer(room), _pointer(found[row]))
        return found

    def streamed(self, raw: RawPart) -> FloatArray:
        """Probabilities of series that are given step by step, (N, K)."""
        found = np.full((len(raw.values), self.classes), np.nan, dtype=np.float32)
        for row, (x, steps) in enumerate(_series(raw)):
            self.library.stream(_pointer(x), steps, _pointer(found[row]))
        return found

    def repeat(self, raw: RawPart, times: int) -> None:
        """Answer on the first series again and again."""
        x, steps = next(_series(raw))
        self.library.repeat(_pointer(x), steps, _pointer(np.zeros(self.classes, np.float32)), times)


def _series(raw: RawPart) -> Iterator[tuple[FloatArray, int]]:
    """Each series as C takes it: one step after another, and the number of steps."""
    for values, lengths in zip(raw.values, raw.lengths, strict=True):
        steps = int(lengths.max())
        yield np.ascontiguousarray(values[:, :steps].T, dtype=np.float32), steps


def _pointer(values: FloatArray) -> "ctypes._Pointer[ctypes.c_float]":
    return values.ctypes.data_as(_Floats)


@contextmanager
def compiled(header: str, classes: int, length: int) -> Iterator[CompiledStudent]:
    """Compile a header with the C compiler of this machine (``CC``, else ``cc``).

    Raises:
        TsdistillError: there is none, or it refuses the header.
    """
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        raise TsdistillError(
            f"format=c checks the header with a C compiler, and there is no '{compiler[0]}'; install one, "
            "such as gcc, or name yours by the variable CC"
        )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "student.h").write_text(header, encoding="utf-8")
        source, library = Path(folder, "student.c"), Path(folder, "student.so")
        source.write_text(_WRAPPER, encoding="utf-8")
        command = [*compiler, *STRICT, "-O2", "-ffp-contract=off", "-shared", "-fPIC", str(source)]
        found = subprocess.run(  # noqa: S603  the user's own compiler
            [*command, "-o", str(library), "-lm"], capture_output=True, text=True, check=False
        )
        if found.returncode:
            first = next((line for line in found.stderr.splitlines() if "error" in line), "unknown error")
            raise TsdistillError(f"{' '.join(compiler)} refuses the header: {first}")
        yield CompiledStudent(ctypes.CDLL(str(library)), classes, length)

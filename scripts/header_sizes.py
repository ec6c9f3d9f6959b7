"""Bytes of a header's students on a Cortex-M4: ``python scripts/header_sizes.py HEADER.h ...``.

Each header is linked with a main that calls ``tsd_predict`` alone, and with one that calls nothing. What the
first has more in text, rodata and data is the student's; the functions of libm and of the compiler's library
for floating point are counted apart, by the archives that the linker's map names. Memory is that of
``tsd_memory``; the stack is the sum over the header's functions by ``-fstack-usage``, which no call path
exceeds, without the libraries.
Needs Debian's ``gcc-arm-none-eabi`` and ``libnewlib-arm-none-eabi``.
"""

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

COMPILER = ("arm-none-eabi-gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Os")
TARGET = ("-mcpu=cortex-m4", "-mthumb", "-ffunction-sections", "-fdata-sections")
LINK = ("--specs=nosys.specs", "-nostartfiles", "-Wl,--gc-sections", "-Wl,-emain", "-lm")
MAIN = """#include "student.h"
extern float samples[], answers[];
tsd_memory memory;
int main(void) { return tsd_predict(&memory, samples, TSD_LENGTH, answers); }
"""
SAMPLES = "float samples[1], answers[1];\n"
KEPT = (".text", ".rodata", ".data", ".ARM")


def sizes(header: Path) -> dict[str, int]:
    """Bytes of one header: ``student``, ``libm``, ``float``, ``other``, ``memory`` and ``stack``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "student.h").write_text(header.read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "main.c").write_text(MAIN, encoding="utf-8")
        (folder / "samples.c").write_text(SAMPLES, encoding="utf-8")
        for source in ("main", "samples"):
            _run(*COMPILER, *TARGET, "-fstack-usage", "-c", f"{source}.c", folder=folder)
        _run(
            *("arm-none-eabi-gcc", *TARGET, "main.o", "samples.o", *LINK, "-Wl,-Map=map", "-o", "main.elf"),
            folder=folder,
        )
        found = by_origin((folder / "map").read_text(encoding="utf-8"))
        usage = (folder / "main.su").read_text(encoding="utf-8").splitlines()
        found["stack"] = sum(int(line.split("\t")[1]) for line in usage)
    return found


def _run(*command: str, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True)


def by_origin(text: str) -> dict[str, int]:
    """Add up a linker map's sections by what they belong to."""
    found = dict.fromkeys(("student", "libm", "float", "other", "memory"), 0)
    # A line names a section, perhaps broken after the name, then its address, size and file.
    pattern = re.compile(r"^ (\.\S+|COMMON)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S+)$", re.MULTILINE)
    for section, address, size, file in pattern.findall(text.partition("Memory Configuration")[2]):
        if int(address, 16) == 0 and not section.startswith(KEPT):
            continue
        if section.startswith((".bss", "COMMON")) and file == "main.o":
            found["memory"] += int(size, 16)
        elif section.startswith(KEPT):
            found[_origin(file)] += int(size, 16)
    return found


def _origin(file: str) -> str:
    if file == "main.o":
        return "student"
    if "libm.a" in file or "libm_nano" in file:
        return "libm"
    return "float" if "libgcc" in file else "other"


def main() -> None:
    """Print a table of the headers that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("headers", nargs="+", type=Path)
    print("| header | flash | libm | soft float | other | RAM | stack |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for header in parser.parse_args().headers:
        found = sizes(header)
        rest = " | ".join(f"{found[name]:,}" for name in ("libm", "float", "other", "memory", "stack"))
        print(f"| {header.stem} | {found['student']:,} | {rest} |")


if __name__ == "__main__":
    main()

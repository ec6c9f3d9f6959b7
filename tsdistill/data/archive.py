"""The UCR and UEA archives by name: local folders first, then sktime's bundled sets, then the download."""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tsdistill.data import names
from tsdistill.data.download import fetch
from tsdistill.data.raw import RawDataset, RawPart, Sources
from tsdistill.data.ts import read_ts
from tsdistill.data.tsv import read_tsv
from tsdistill.errors import TsdistillError, nearest

FOLDERS = ("UCRArchive_2018", "UCR_TS_Archive_2015", "Univariate_ts", "Multivariate_ts", "")
"""Where a set's folder may lie under the local root, in the order of looking; "" is the root itself."""
ENDINGS = (".tsv", ".ts", "", ".txt")
"""What the names of a set's files may end in, in the order of looking."""
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")


@dataclass(frozen=True)
class ArchiveReader:
    """Reads a set of the UCR or UEA archive by its name.

    Attributes:
        name: the set's name, of the 2018 archive or of the one of 2015.
        download: whether to fetch the set if it is not on this machine.
        mirrors: addresses under which ``<name>.zip`` lies, in the order of trying; None for sktime's.
    """

    name: str
    download: bool = True
    mirrors: Sequence[str] | None = None

    def read(self, data_root: Path | None, cache: Path) -> RawDataset:
        """Find and parse the set."""
        sources = self.locate(data_root, cache)
        train, test = self.parse(sources)
        return RawDataset(sources.name, train, test, sources.source, sources.notes)

    def locate(self, data_root: Path | None, cache: Path) -> Sources:
        """Find the set's two files.

        Raises:
            TsdistillError: no such set, or it is nowhere and cannot be fetched.
        """
        check_name(self.name)
        name, notes = names.modern_name(self.name)
        aliases = (name, *names.old_names(name))
        for place, root, folders in places(data_root, cache):
            for alias in aliases:
                if files := find_pair(root, folders, alias):
                    shown = f"{place} {files[0].parent}" if place == "local folder" else place
                    return Sources(name, files, shown, notes)
        known = names.known_names() | set(local_names(data_root))
        if name not in known:
            raise TsdistillError(f"dataset.name={self.name}: no such set; {nearest(self.name, known)}")
        if not self.download:
            raise TsdistillError(
                f"{name} is not on this machine, and dataset.download=false; {_put_it(name, cache)}"
            )
        folder = fetch(name, cache / "archive", self.mirrors, _put_it(name, cache))
        files = find_pair(folder.parent, ("",), name)
        if files is None:
            raise TsdistillError(
                f"{folder} holds no {name}_TRAIN.ts and {name}_TEST.ts; remove it to fetch it again"
            )
        return Sources(name, files, "download", notes)

    def parse(self, sources: Sources) -> tuple[RawPart, RawPart]:
        """Parse the two files."""
        train, test = (self._parse_file(path, sources.name) for path in sources.files)
        return train, test

    def _parse_file(self, path: Path, name: str) -> RawPart:
        if path.suffix == ".ts":
            return read_ts(path)
        return read_tsv(path, trailing_gaps=name in names.WITH_GAPS)


def check_name(name: str) -> None:
    """Refuse names that could lead out of a folder."""
    if not isinstance(name, str) or not _SAFE_NAME.fullmatch(name) or ".." in name:
        raise TsdistillError(
            f"dataset.name={name}: a set's name has letters, digits, '_', '-' and '.' only (no path)"
        )


def places(data_root: Path | None, cache: Path) -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """Where sets may lie on this machine: what to call it, the root, and the folders under it."""
    if data_root is not None:
        yield "local folder", data_root, FOLDERS
    if (bundle := bundled_folder()) is not None:
        yield "bundled with sktime", bundle, ("",)
    yield "downloaded before", cache / "archive", ("",)


def bundled_folder() -> Path | None:
    """The folder of the sets in sktime's wheel, found without importing sktime."""
    spec = importlib.util.find_spec("sktime")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    return folder if folder.is_dir() else None


def find_pair(root: Path, folders: Sequence[str], name: str) -> tuple[Path, Path] | None:
    """The training and the test file of a set under a root, or None where it has no folder there.

    Raises:
        TsdistillError: the set's folder is there but a file is missing, or it leads out of the root.
    """
    incomplete: Path | None = None
    for middle in folders:
        folder = root / middle / name
        if not folder.is_dir():
            continue
        for ending in ENDINGS:
            train, test = (folder / f"{name}_{part}{ending}" for part in ("TRAIN", "TEST"))
            if train.is_file() and test.is_file():
                for path in (train, test):
                    _check_inside(path, root)
                return train, test
        incomplete = incomplete or folder
    if incomplete is not None:
        raise TsdistillError(
            f"{incomplete} holds no pair {name}_TRAIN and {name}_TEST (.tsv, .ts, .txt or without ending); "
            "add the files or remove the folder"
        )
    return None


def _check_inside(path: Path, root: Path) -> None:
    if not path.resolve().is_relative_to(root.resolve()):
        raise TsdistillError(f"{path} leads out of {root} to {path.resolve()}; copy the set into the root")


def local_names(data_root: Path | None) -> list[str]:
    """Names of the sets whose two files lie under the local root, by the archive's present names."""
    if data_root is None:
        return []
    found = set()
    for middle in FOLDERS:
        base = data_root / middle
        for folder in base.iterdir() if base.is_dir() else ():
            name = folder.name
            if any((folder / f"{name}_TRAIN{ending}").is_file() for ending in ENDINGS):
                found.add(names.modern_name(name)[0])
    return sorted(found)


def _put_it(name: str, cache: Path) -> str:
    return (
        f"put {name}_TRAIN.ts and {name}_TEST.ts into {cache / 'archive' / name}, "
        "or name a folder with the archive by data_root or TSDISTILL_DATA"
    )

"""The UCR and UEA archives by name: local folders first, then sktime's bundled sets, then the download."""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tsdistill.data import names
from tsdistill.data.download import fetch, set_aside, terminal_progress, verify
from tsdistill.data.raw import RawPart, Sources
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

    def locate(self, data_root: Path | None, cache: Path) -> Sources:
        """Find the set's two files.

        Raises:
            TsdistillError: no such set, or it is nowhere and cannot be fetched.
        """
        check_name(self.name)
        name, notes = names.modern_name(self.name)
        found = find_here(name, data_root, cache) or self._fetch(name, data_root, cache)
        return Sources(name, found.files, str(found), notes)

    def _fetch(self, name: str, data_root: Path | None, cache: Path) -> "Found":
        """Download a set that is not on this machine."""
        known = names.known_names() | set(local_names(data_root))
        if name not in known:
            raise TsdistillError(f"dataset.name={self.name}: no such set; {nearest(self.name, known)}")
        folder = cache / "archive"
        advice = (
            f"put {name}_TRAIN.ts and {name}_TEST.ts into {folder / name}, "
            "or name a folder with the archive by data_root or TSDISTILL_DATA"
        )
        if not self.download:
            raise TsdistillError(f"{name} is not on this machine, and dataset.download=false;\n{advice}")
        with terminal_progress() as progress:
            fetch(name, folder, self.mirrors, advice, progress)
        files = find_pair(folder, ("",), name)
        assert files is not None
        return Found("download", files)

    def parse(self, sources: Sources) -> tuple[RawPart, RawPart]:
        """Parse the two files."""
        gaps = sources.name in names.WITH_GAPS
        train, test = (read_series(path, trailing_gaps=gaps) for path in sources.files)
        return train, test


def read_series(path: Path, trailing_gaps: bool = False) -> RawPart:
    """Read a file in one of the archives' forms, told apart by its ending."""
    return read_ts(path) if path.suffix == ".ts" else read_tsv(path, trailing_gaps)


def check_name(name: str) -> None:
    """Refuse names that could lead out of a folder."""
    if not isinstance(name, str) or not _SAFE_NAME.fullmatch(name) or ".." in name:
        raise TsdistillError(
            f"dataset.name={name}: a set's name has letters, digits, '_', '-' and '.' only (no path)"
        )


@dataclass(frozen=True)
class Found:
    """Where a set lies on this machine.

    Attributes:
        place: ``local folder``, ``bundled with sktime``, ``downloaded before`` or ``download``.
        files: the training and the test file.
    """

    place: str
    files: tuple[Path, Path]

    def __str__(self) -> str:
        return f"{self.place} {self.files[0].parent}" if self.place == "local folder" else self.place


def find_here(name: str, data_root: Path | None, cache: Path) -> Found | None:
    """Find a set on this machine: under the local root, in sktime's bundle, among former downloads.

    Args:
        name: the set's present name; files under an old name are found too.
        data_root: root of the user's local data, or None.
        cache: folder for downloads.

    Raises:
        TsdistillError: the name could lead out of a folder, or the set's folder is incomplete.
    """
    check_name(name)
    for place, root, folders in _places(data_root, cache):
        for alias in (name, *names.old_names(name)):
            if files := find_pair(root, folders, alias):
                if place == "downloaded before" and not verify(root, alias):
                    set_aside(root, alias)
                    continue
                return Found(place, files)
    return None


def _places(data_root: Path | None, cache: Path) -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """Where sets may lie: what to call it, the root, and the folders under it."""
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
        TsdistillError: the set's folder is there but a file is missing, or it is a link out of the root.
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
            f"{incomplete} lacks {name}_TRAIN or {name}_TEST (.tsv, .ts, .txt or no extension); "
            "add the files or remove the folder"
        )
    return None


def _check_inside(path: Path, root: Path) -> None:
    if not path.resolve().is_relative_to(root.resolve()):
        raise TsdistillError(
            f"{path} is a link out of {root}, to {path.resolve()}; copy the set into the root"
        )


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

"""What readers of the user's own files share: where the files are, the split if there is no test file."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsdistill.data.archive import ENDINGS, check_name, read_series
from tsdistill.data.raw import RawPart, Sources
from tsdistill.data.split import stratified_split
from tsdistill.errors import TsdistillError


@dataclass(frozen=True)
class OwnFiles:
    """Files of the user: one for training, and one for testing or a part split off.

    Attributes:
        train: the file with the training series.
        test: the file with the test series; None to split them off.
        name: the dataset's name in records; None for the training file's name without its ending.
        test_fraction: share of the series that becomes the test part if there is no test file.
        test_seed: seed of that split.
    """

    train: str | None = None
    test: str | None = None
    name: str | None = None
    test_fraction: float = 0.3
    test_seed: int = 0

    def locate(self, data_root: Path | None, cache: Path) -> Sources:
        """Find the files."""
        del data_root, cache
        if not self.train:
            raise TsdistillError("dataset.train is not set: name the file with the training series")
        files = [Path(self.train).expanduser()]
        if self.test:
            files.append(Path(self.test).expanduser())
        for key, path in zip(("train", "test"), files, strict=False):
            if not path.is_file():
                raise TsdistillError(f"dataset.{key}={path}: no such file (looked for it from {Path.cwd()})")
        return _own_sources(self.name or files[0].name.split(".")[0], files)

    def parse(self, sources: Sources) -> tuple[RawPart, RawPart]:
        """Parse the files, or the one file and split it."""
        parts = [self.read_part(path) for path in sources.files]
        if len(parts) == 2:
            return parts[0], parts[1]
        return split_off_test(parts[0], self.test_fraction, self.test_seed, str(sources.files[0]))

    @abstractmethod
    def read_part(self, path: Path) -> RawPart:
        """Parse one file."""


@dataclass(frozen=True)
class FolderReader:
    """Reads a folder with ``<Name>_TRAIN`` and, if there is one, ``<Name>_TEST``, in an archive's form.

    Attributes:
        path: the folder.
        name: the dataset's name in records; None for ``<Name>``.
        test_fraction: share of the series that becomes the test part if there is no test file.
        test_seed: seed of that split.
    """

    path: str | None = None
    name: str | None = None
    test_fraction: float = 0.3
    test_seed: int = 0

    def locate(self, data_root: Path | None, cache: Path) -> Sources:
        """Find the files."""
        del data_root, cache
        if not self.path:
            raise TsdistillError("dataset.path is not set: name the folder with <Name>_TRAIN and <Name>_TEST")
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise TsdistillError(f"dataset.path={folder}: no such folder (looked for it from {Path.cwd()})")
        found = [path for ending in ENDINGS for path in sorted(folder.glob(f"*_TRAIN{ending}"))]
        if not found:
            raise TsdistillError(f"{folder} has no file <Name>_TRAIN (.tsv, .ts, .txt or no extension)")
        prefixes = {path.name.partition("_TRAIN")[0] for path in found}
        if len(prefixes) > 1:
            raise TsdistillError(
                f"{folder} has several sets ({', '.join(sorted(prefixes))}); name one's folder"
            )
        train = found[0]
        test = train.with_name(f"{next(iter(prefixes))}_TEST{train.suffix}")
        return _own_sources(self.name or next(iter(prefixes)), [train, test] if test.is_file() else [train])

    def parse(self, sources: Sources) -> tuple[RawPart, RawPart]:
        """Parse the files, or the one file and split it."""
        parts = [read_series(path) for path in sources.files]
        if len(parts) == 2:
            return parts[0], parts[1]
        return split_off_test(parts[0], self.test_fraction, self.test_seed, str(sources.files[0]))


def _own_sources(name: str, files: list[Path]) -> Sources:
    check_name(name)
    notes = () if len(files) == 2 else (f"{files[0].name} has no test file: a part of it is split off.",)
    return Sources(name, tuple(files), f"own file {files[0]}", notes)


def split_off_test(part: RawPart, fraction: float, seed: int, where: str) -> tuple[RawPart, RawPart]:
    """Split a test part off, each class in proportion, every class kept in training.

    Raises:
        TsdistillError: the fraction is not between 0 and 1, or no series can be spared.
    """
    if not 0 < fraction < 1:
        raise TsdistillError(f"dataset.test_fraction={fraction}: give a number between 0 and 1")
    _, y = np.unique(np.array(part.labels), return_inverse=True)
    kept, held_out = stratified_split(y.astype(np.int64), fraction, seed)
    if not len(held_out):
        raise TsdistillError(
            f"{where}: too few series a class to split a test part off; name one by dataset.test"
        )
    return part.rows(kept), part.rows(held_out)

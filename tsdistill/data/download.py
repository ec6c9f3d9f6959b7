"""Fetch a set of the archives over HTTP: resumed where it was cut, checked, put in place by one rename."""

import hashlib
import http.client
import logging
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from tsdistill.errors import TsdistillError

if TYPE_CHECKING:
    from rich.progress import TaskID

_log = logging.getLogger(__name__)

MIRRORS = (
    "https://timeseriesclassification.com/aeon-toolkit",
    "https://github.com/sktime/sktime-datasets/raw/main/TSC",
)
"""Where sktime fetches the archives' sets from: ``<mirror>/<name>.zip``."""
_ATTEMPTS = 3
_TIMEOUT_SECONDS = 30
_CHUNK = 1 << 18

Progress = Callable[[str, int, int | None], None]
"""Called with the set's name, the bytes so far, and the bytes in all where the server says."""


_UNSOUND = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError)
"""What ``zipfile`` raises on malformed, cut, encrypted or unknown archives."""


class _FailedError(Exception):
    """A mirror could not give the set; the text says why."""


def fetch(
    name: str,
    folder: Path,
    mirrors: Sequence[str] | None,
    advice: str,
    progress: Progress | None = None,
) -> Path:
    """Fetch a set into ``folder/name``.

    A download that was cut goes on where it stopped, also in a later call. The set's folder appears
    whole or not at all, with ``folder/name.sha256`` beside it.

    Args:
        name: the set's name.
        folder: where sets are kept.
        mirrors: addresses under which ``<name>.zip`` lies; None for ``MIRRORS``.
        advice: what the user can do when no mirror gives the set.
        progress: told of the bytes as they come.

    Returns:
        ``folder/name``.

    Raises:
        TsdistillError: no mirror gives the set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    with FileLock(folder / f".{name}.lock"):
        if target.is_dir():
            return target
        reasons = []
        for mirror in MIRRORS if mirrors is None else mirrors:
            url = f"{mirror.rstrip('/')}/{name}.zip"
            _log.info("fetching %s", url)
            part = folder / f".{name}-{hashlib.sha256(url.encode()).hexdigest()[:8]}.zip.part"
            try:
                _download(url, part, name, progress)
                _unpack(part, name, target)
            except _FailedError as failure:
                reasons.append(f"{url}: {failure}")
                continue
            return target
    raise TsdistillError(f"{name} could not be downloaded ({'; '.join(reasons)});\n{advice}")


def _download(url: str, part: Path, name: str, progress: Progress | None) -> None:
    """Bring ``part`` to the whole of what lies at ``url``."""
    if not url.startswith(("http://", "https://")):
        raise _FailedError("not an http address")
    failure = _FailedError("no attempt was made")
    for _ in range(_ATTEMPTS):
        try:
            _continue(url, part, name, progress)
        except _FailedError as error:
            failure = error
            continue
        except urllib.error.HTTPError as error:
            raise _FailedError(f"HTTP {error.code}") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            failure = _FailedError(f"{reason}")
            if not part.exists():
                break
            continue
        return
    raise failure


def _continue(url: str, part: Path, name: str, progress: Progress | None) -> None:
    """One connection: from where ``part`` ends to the end."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url)  # noqa: S310 - the scheme was checked
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # The part is as long as the whole or longer: begin anew.
        part.unlink()
        raise _FailedError("the part on disk did not fit") from None
    with answer:
        if have and answer.status != 206:
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                if progress:
                    progress(name, have, total)
    if total is not None and have < total:
        raise _FailedError(f"the connection was cut after {have} of {total} bytes; run again to resume")


def _unpack(part: Path, name: str, target: Path) -> None:
    """Take the set's files out of the archive; the folder gets its name when all is there."""
    wanted = {f"{name}_{half}{ending}" for half in ("TRAIN", "TEST") for ending in (".ts", ".tsv")}
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}-") as scratch:
        whole = Path(scratch) / name
        whole.mkdir()
        try:
            with zipfile.ZipFile(part) as archive:
                if (broken := archive.testzip()) is not None:
                    raise zipfile.BadZipFile(f"{broken} has the wrong checksum")
        except _UNSOUND as error:
            part.unlink()
            raise _FailedError(f"not a valid zip archive ({error})") from None
        # The archive is sound: what fails from here on is this machine's fault, and the download is kept.
        try:
            with zipfile.ZipFile(part) as archive:
                for member in archive.infolist():
                    # Only the last part of a member's name is used: an archive cannot write elsewhere.
                    if (base := Path(member.filename).name) in wanted:
                        with archive.open(member) as source, (whole / base).open("wb") as file:
                            shutil.copyfileobj(source, file)
        except OSError as error:
            raise TsdistillError(
                f"{target.parent}: {name} cannot be unpacked ({error.strerror}); the download is kept"
            ) from error
        if not any(
            all((whole / f"{name}_{half}{end}").is_file() for half in ("TRAIN", "TEST"))
            for end in (".ts", ".tsv")
        ):
            part.unlink()
            raise _FailedError(f"the archive lacks {name}_TRAIN or {name}_TEST")
        sums = "".join(f"{file_digest(path)}  {name}/{path.name}\n" for path in sorted(whole.iterdir()))
        (target.parent / f"{name}.sha256").write_text(sums)
        whole.rename(target)
    part.unlink()


def verify(folder: Path, name: str) -> bool:
    """Whether a fetched set's files have the checksums beside them (true where there are none)."""
    sums = folder / f"{name}.sha256"
    if not sums.is_file():
        return True
    for line in sums.read_text().splitlines():
        digest, _, path = line.partition("  ")
        if not (folder / path).is_file() or file_digest(folder / path) != digest:
            return False
    return True


def set_aside(folder: Path, name: str) -> None:
    """Move a fetched set that does not verify out of the way, and say so."""
    aside = folder / f"{name}.broken"
    shutil.rmtree(aside, ignore_errors=True)
    (folder / name).rename(aside)
    _log.warning("%s does not match its checksums; it is set aside as %s", folder / name, aside)


@contextmanager
def terminal_progress() -> Iterator[Progress | None]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(f"fetching {name}", total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield show


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Several data sets scanned at a time, each by a process that does nothing else.

A process is started anew rather than forked: the caller may have threads. It reads questions from its
standard input and writes answers to its standard output. If it can't be started, or ends, its work is done
here.
"""

import contextlib
import json
import os
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import tsdistill
from tsdistill.store.scan import Known, Scanned, Verified, marked, scan

MOST_PROCESSES = 8
LARGEST_PART = 2**32
"""Bytes of the largest part of a message."""
_SIZE = struct.Struct("<Q")
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); import tsdistill; del sys.path[0]; "
    "from tsdistill.store.processes import answer_all; answer_all()"
)


@dataclass(frozen=True)
class Question:
    """What is asked of a data set.

    Attributes:
        dataset: its folder.
        only_mark: whether its mark and age alone are wanted.
        known, packs: see :func:`tsdistill.store.scan.scan`.
    """

    dataset: Path
    only_mark: bool = False
    known: Sequence[Known] = ()
    packs: Mapping[str, Sequence[str]] = field(default_factory=dict)


def answer(question: Question) -> Scanned:
    """Scan a data set; raises OSError if its folder can't be read."""
    if question.only_mark:
        return marked(question.dataset)
    return scan(question.dataset, question.known, question.packs)


def answers(questions: Iterable[Question], processes: int) -> Iterator[Scanned]:
    """Answer questions in their order.

    Args:
        questions: they are taken as answers are, not all at once.
        processes: how many work at a time; 1 for this process alone.

    Raises:
        OSError: a folder can't be read.
    """
    if processes < 2:
        yield from map(answer, questions)
        return
    waiting: deque[Future[Scanned]] = deque()
    with ThreadPoolExecutor(processes) as threads, _Pool(processes) as pool:
        try:
            for question in questions:
                waiting.append(threads.submit(pool.answer, question))
                if len(waiting) > 2 * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            for each in waiting:
                each.cancel()
            pool.stop()
            raise


def free_cores() -> int:
    """How many processes may work at a time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES)


class _Pool:
    """Processes that wait for questions; each is used by one thread at a time."""

    def __init__(self, processes: int) -> None:
        self._processes = [_started() for _ in range(processes)]
        self._idle: SimpleQueue[subprocess.Popen[bytes] | None] = SimpleQueue()
        for each in self._processes:
            self._idle.put(each)
        self._stopped = False

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes; what they were working on is not done here."""
        self._stopped = True
        for process in self._processes:
            if process is not None:
                process.kill()
                process.wait()

    def answer(self, question: Question) -> Scanned:
        """Have a process answer; if it has ended, or can't read the folder, answer here."""
        process = self._idle.get()
        found = None
        try:
            if process is not None:
                found = _asked(process, question)
        except (EOFError, OSError, ValueError, TypeError):
            process = None
        finally:
            self._idle.put(process)
        if found is None and not self._stopped:
            found = answer(question)
        return found or Scanned()


def _started() -> subprocess.Popen[bytes] | None:
    root = str(Path(tsdistill.__file__).resolve().parents[1])
    words = [sys.executable, "-P", "-c", _START, root]
    try:
        return subprocess.Popen(  # noqa: S603 (nothing in it is a user's)
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return None


def _asked(process: subprocess.Popen[bytes], question: Question) -> Scanned:
    assert process.stdin is not None
    assert process.stdout is not None
    told = {**vars(question), "dataset": str(question.dataset)}
    _send(process.stdin, json.dumps(told).encode())
    found = json.loads(_received(process.stdout))
    kept = {int(number): places for number, places in found.pop("kept").items()}
    verified = [
        Verified(names, stamps, digests, _received(process.stdout))
        for names, stamps, digests in found.pop("verified")
    ]
    damaged = [(name, problem) for name, problem in found.pop("damaged")]
    return Scanned(kept=kept, verified=verified, damaged=damaged, **found)


def answer_all() -> None:
    """Answer questions from standard input until it ends; what this process runs."""
    questions, replies = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(KeyboardInterrupt, EOFError, OSError):
        while True:
            asked: dict[str, Any] = json.loads(_received(questions))
            known = [Known(*each) for each in asked.pop("known")]
            found = answer(Question(Path(asked.pop("dataset")), known=known, **asked))
            told = {**vars(found), "verified": [each[:-1] for each in found.verified]}
            _send(replies, json.dumps(told).encode(), *(each.content for each in found.verified))


def _send(file: IO[bytes], *parts: bytes) -> None:
    for part in parts:
        file.write(_SIZE.pack(len(part)))
        file.write(part)
    file.flush()


def _received(file: IO[bytes]) -> bytes:
    """One part of a message.

    Raises:
        EOFError: there is none.
        ValueError: it is longer than any that is sent here.
    """
    head = file.read(_SIZE.size)
    if len(head) < _SIZE.size:
        raise EOFError
    (size,) = _SIZE.unpack(head)
    if size > LARGEST_PART:
        raise ValueError(f"a part of {size:,} bytes")
    found = file.read(size)
    if len(found) < size:
        raise EOFError
    return found

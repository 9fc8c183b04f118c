"""The journal as a file: append-only, one write per document, chained, synced once per real second."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from bench.adapters.clock import every_real_second
from bench.adapters.redact import Redactor
from bench.domain.documents import FIRST_HASH, SCHEMA_VERSION, Kind, chain
from bench.errors import EvidenceError
from bench.ports import Clock

Listener = Callable[[str, Mapping[str, Any]], None]
_AT_ONCE: Final = frozenset(
    (Kind.RUN_START, Kind.RUN_END, Kind.STEP_START, Kind.STEP_END, Kind.INTENT, Kind.SAFE_STATE, Kind.VERDICT)
)
"""Kinds that a loss of power must not take away."""
_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC


class JournalFile:
    """An open journal. A document is with the operating system when `write` returns, so `kill -9` loses none."""

    def __init__(self, fd: int, clock: Clock, redact: Redactor, *, durable: bool = False) -> None:
        self._fd, self._clock, self._redact, self._durable = fd, clock, redact, durable
        self.seq = 0
        self.head = FIRST_HASH
        self._dirty = False
        self._broken = ""
        self._listeners: list[Listener] = []

    def write(self, kind: str, data: Mapping[str, Any]) -> int:
        """Append one document and return its number.

        Raises: EvidenceError if it could not be written whole; nothing is written after that.
        """
        seq = self.seq
        document = {"v": SCHEMA_VERSION, "seq": seq, "t": self._clock.now(), "kind": kind, "data": data}
        body = self._redact(encode(document))
        head = chain(self.head, body)
        self._append(b'%b,"h":"%b"}\n' % (body[:-1], head))
        self.head, self.seq, self._dirty = head, seq + 1, True
        if self._durable and kind in _AT_ONCE:
            self.sync()
        for listener in self._listeners:
            listener(kind, data)
        return seq

    def secret(self, value: str) -> None:
        """From now on replace this text wherever it stands in a document."""
        self._redact.learn(value)

    def redacted(self, data: bytes) -> bytes:
        """Return an encoded object as a document would have it: secrets replaced."""
        return self._redact(b'{"data":%b}' % data)[len(b'{"data":') : -1]

    def subscribe(self, listener: Listener) -> None:
        """Call `listener(kind, data)` after each document, in the loop's own thread; secrets are not yet replaced there."""
        self._listeners.append(listener)

    def sync(self) -> None:
        """Bring what was written to the disk. Raises EvidenceError."""
        if self._dirty:
            self._dirty = False
            try:
                os.fsync(self._fd)
            except OSError as error:
                raise EvidenceError(f"the journal cannot be brought to the disk: {error.strerror}") from error

    def check(self) -> None:
        """Raise EvidenceError where nothing can be written any more."""
        if self._broken:
            raise EvidenceError(f"the journal ended at document {self.seq}: {self._broken}")

    def _append(self, line: bytes) -> None:
        self.check()
        try:
            written = os.write(self._fd, line)
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError as error:
            self._broken = error.strerror or str(error)
            raise EvidenceError(f"document {self.seq} cannot be written to the journal: {self._broken}") from error


def encode(value: object) -> bytes:
    """Return a value as the JSON that stands in a journal. Raises TypeError for one that has no place there."""
    return orjson.dumps(value, default=_plain, option=_OPTIONS)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in a journal")


@contextmanager
def open_journal(path: Path, clock: Clock, key: bytes, *, durable: bool = False) -> Iterator[JournalFile]:
    """Create the journal at `path`, which must not exist, and close it durably at the end. Raises EvidenceError.

    Args: durable: what decides a run (steps, limits, verdicts, the safe state) is on the disk before anything follows it.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError as error:
        raise EvidenceError(f"{path}: the journal cannot be created: {error.strerror}") from error
    try:
        _sync_directory(path.parent)
        journal = JournalFile(fd, clock, Redactor(key), durable=durable)
        with every_real_second(journal.sync):
            yield journal
    finally:
        os.close(fd)


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write a small JSON file all or nothing: a reader sees the old state or the whole new one."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(orjson.dumps(result, default=_plain, option=_OPTIONS | orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

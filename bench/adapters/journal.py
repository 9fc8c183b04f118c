"""The journal as a file: append-only, one write per document, chained, synced once per real second."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from bench.adapters.clock import every_real_second
from bench.domain.documents import FIRST_HASH, SCHEMA_VERSION, chain
from bench.ports import Clock

_SECRET_KEYS: Final = re.compile(
    rb'(\\?"(?:idToken|token|password|BasicAuthPassword)\\?"\s*:\s*\\?")((?:[^"\\]|\\\\.|\\u[0-9a-fA-F]{4})+)'
)
_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC
_REPLACED: Final = b"hmac:"


class Redactor:
    """Replaces secrets by a keyed hash: equal secrets stay recognisably equal, and nobody can read or guess them."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[bytes, bytes] = {}

    def learn(self, value: str) -> None:
        """Replace this text from now on, wherever it stands, also inside JSON inside JSON."""
        if not value:
            return
        once = orjson.dumps(value)[1:-1]
        for text in {value.encode(), once, orjson.dumps(once.decode())[1:-1]}:
            self._known[text] = self._hash(value.encode())

    def __call__(self, body: bytes) -> bytes:
        """Return the encoded document without secrets."""
        if b"oken" in body or b"assword" in body:
            body = _SECRET_KEYS.sub(self._replace, body)
        for text, replacement in self._known.items():
            if text in body:
                body = body.replace(text, replacement)
        return body

    def _replace(self, match: re.Match[bytes]) -> bytes:
        value = match.group(2)
        return match.group(1) + (value if value.startswith(_REPLACED) else self._hash(value))

    def _hash(self, value: bytes) -> bytes:
        return _REPLACED + hmac.digest(self._key, value, "sha256").hex()[:16].encode()


class JournalFile:
    """An open journal. A document is with the operating system when `write` returns, so `kill -9` loses none."""

    def __init__(self, fd: int, clock: Clock, redact: Redactor) -> None:
        self._fd, self._clock, self._redact = fd, clock, redact
        self.seq = 0
        self.head = FIRST_HASH
        self._dirty = False
        self._listeners: list[Any] = []

    def write(self, kind: str, data: Mapping[str, Any]) -> int:
        """Append one document and return its number."""
        seq = self.seq
        document = {"v": SCHEMA_VERSION, "seq": seq, "t": self._clock.now(), "kind": kind, "data": data}
        body = self._redact(encode(document))
        head = chain(self.head, body)
        line = b'%b,"h":"%b"}\n' % (body[:-1], head)
        written = os.write(self._fd, line)
        while written < len(line):
            written += os.write(self._fd, line[written:])
        self.head, self.seq, self._dirty = head, seq + 1, True
        for listener in self._listeners:
            listener(kind, data)
        return seq

    def secret(self, value: str) -> None:
        """From now on replace this text wherever it stands in a document."""
        self._redact.learn(value)

    def subscribe(self, listener: Any) -> None:
        """Call `listener(kind, data)` after each document, in the loop's own thread."""
        self._listeners.append(listener)

    def sync(self) -> None:
        """Bring what was written to the disk."""
        if self._dirty:
            self._dirty = False
            os.fsync(self._fd)


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
def open_journal(path: Path, clock: Clock, key: bytes) -> Iterator[JournalFile]:
    """Create the journal at `path`, which must not exist, and close it durably at the end."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
    journal = JournalFile(fd, clock, Redactor(key))
    try:
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
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

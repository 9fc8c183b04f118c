"""JSON documents that survive a crash: a reader sees the old state or the whole new one, never a part."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from bench.errors import RigError, UsageError
from bench.ports import RowKind

_PATIENCE_S: Final = 0.2
"""Nothing else goes on while somebody who looks into the rows holds them; what cannot be kept is refused, or tried again."""


class JsonStore:
    """Keeps the platform's state in one file, and rows in a database beside it, so that what is much costs nothing when the
    state is written. Readable by their owner alone, for they hold tokens. Fits `bench.ports.Store`.

    Args: path: such as `ocpi.json`; the rows are in `ocpi.rows.sqlite` then.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._rows = path, path.with_name(f"{path.stem}.rows.sqlite")

    def __str__(self) -> str:
        return str(self._path)

    def load(self) -> dict[str, Any] | None:
        """Return what was saved last; None where nothing was. Raises UsageError for a file that is something else."""
        return _read(self._path)

    def save(self, document: dict[str, Any]) -> None:
        """Bring a document to the disk before this returns. Raises RigError."""
        _write(self._path, document)

    def load_rows(self, kind: RowKind) -> dict[str, dict[str, Any]]:
        """Return the rows of a kind by id, in the order of their coming. Raises UsageError for a file that is something else."""
        if not self._rows.exists():
            return {}
        try:
            with self._open() as rows:
                found = rows.execute("SELECT id, document FROM kept WHERE kind = ? ORDER BY rowid", (kind,))
                return {identity: orjson.loads(document) for identity, document in found}
        except RigError as error:
            busy = getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            raise UsageError(f"{error}; {'end what holds it' if busy else 'name another file or remove it'}") from None

    def keep_rows(self, kind: RowKind, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Bring rows to the disk, all of them or none; one of the same id is replaced. Raises RigError."""
        told = [(kind, identity, orjson.dumps(document)) for identity, document in documents.items()]
        with self._open() as rows:
            rows.executemany(
                "INSERT INTO kept VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET document = excluded.document", told
            )

    def drop_row(self, kind: RowKind, identity: str) -> None:
        """Forget a row, if it is there. Raises RigError."""
        with self._open() as rows:
            rows.execute("DELETE FROM kept WHERE kind = ? AND id = ?", (kind, identity))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the rows for one transaction, which is on the disk at the end."""
        try:
            os.close(os.open(self._rows, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            with closing(sqlite3.connect(self._rows, timeout=_PATIENCE_S)) as rows, rows:
                rows.execute("PRAGMA synchronous = EXTRA")
                rows.execute("CREATE TABLE IF NOT EXISTS kept (kind TEXT, id TEXT, document BLOB, PRIMARY KEY (kind, id))")
                yield rows
        except (OSError, sqlite3.Error, orjson.JSONDecodeError) as error:
            raise RigError(f"{self._rows}: cannot be used: {error}") from error


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or found.get("schema") != 1:
        raise UsageError(f"{path}: this is no store of the OCPI platform; name another file or remove it")
    return found


def _write(path: Path, document: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, 0o600)  # a file left by a crash may have another mode
            file.write(orjson.dumps(document | {"schema": 1}, option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(fd)
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise RigError(f"{path}: cannot be written: {error.strerror}") from error

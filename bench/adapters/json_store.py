"""JSON documents in files that survive a crash: a reader sees the old state or the whole new one, never a part."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

from bench.errors import RigError, UsageError


class JsonStore:
    """Keeps the platform's state in one file, and each session that is over in a file of its own beside it, so that the history
    costs nothing when the state is written. Readable by their owner alone, for they hold tokens. Fits `bench.ports.Store`.

    Args: path: such as `ocpi.json`; sessions that are over are in the folder `ocpi.sessions` then.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._folder = path, path.with_name(f"{path.stem}.sessions")

    def load(self) -> dict[str, Any] | None:
        """Return what was saved last; None where nothing was. Raises UsageError for a file that is something else."""
        return _read(self._path)

    def save(self, document: dict[str, Any]) -> None:
        """Bring a document to the disk before this returns. Raises RigError."""
        _write(self._path, document)

    def load_ended(self) -> dict[str, dict[str, Any]]:
        """Return the sessions that are over, by id, in no order. Raises UsageError for a file that is something else."""
        files = self._folder.glob("*.json") if self._folder.is_dir() else ()
        return {path.stem: found for path in files if (found := _read(path)) is not None}

    def keep_ended(self, session_id: str, document: dict[str, Any]) -> None:
        """Bring a session that is over to the disk. Raises RigError."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise RigError(f"{self._folder}: cannot be made: {error.strerror}") from error
        _write(self._folder / f"{session_id}.json", document)

    def drop_ended(self, session_id: str) -> None:
        """Forget a session that is over. Raises RigError."""
        path = self._folder / f"{session_id}.json"
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise RigError(f"{path}: cannot be removed: {error.strerror}") from error


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

"""One JSON document in a file that survives a crash: a reader sees the old state or the whole new one, never a part."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

from bench.errors import RigError, UsageError


class JsonStore:
    """Keeps a document; the file is readable by its owner alone, for it holds tokens. Fits `bench.ports.Store`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, Any] | None:
        """Return what was saved last; None where nothing was. Raises UsageError for a file that is something else."""
        try:
            found = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{self._path}: cannot be read: {error.strerror}") from None
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict) or found.get("schema") != 1:
            raise UsageError(f"{self._path}: this is no store of the OCPI platform; name another file or remove it")
        return found

    def save(self, document: dict[str, Any]) -> None:
        """Bring a document to the disk before this returns. Raises RigError."""
        temporary = self._path.with_name(f"{self._path.name}.tmp")
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "wb") as file:
                os.fchmod(fd, 0o600)  # a file left by a crash may have another mode
                file.write(orjson.dumps(document | {"schema": 1}, option=orjson.OPT_INDENT_2))
                file.flush()
                os.fsync(fd)
            temporary.replace(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise RigError(f"{self._path}: cannot be written: {error.strerror}") from error

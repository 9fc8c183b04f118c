"""Finds the bench that serves: the one that was started last in this directory, or one by its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from bench.adapters.control_socket import ask
from bench.adapters.journal import write_result
from bench.errors import UsageError

POINTER: Final = Path("runs") / ".serving"
"""Names the folder of the server that was started last in this directory."""


@contextmanager
def pointer(folder: Path) -> Iterator[None]:
    """Let later commands in this directory find the server; a later server takes the place."""
    named = str(folder.resolve())
    POINTER.parent.mkdir(exist_ok=True)
    write_result(POINTER, {"folder": named})
    try:
        yield
    finally:
        if _pointed() == Path(named):
            POINTER.unlink(missing_ok=True)


def _pointed() -> Path | None:
    try:
        return Path(orjson.loads(POINTER.read_bytes())["folder"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None

def ask_server(folder: Path | None, request: dict[str, Any]) -> dict[str, Any]:
    """Ask the bench that serves in `folder`, or the one started last in this directory. Raises UsageError where none runs."""
    folder = folder or _pointed()
    if folder is None:
        raise UsageError("no bench is serving from this directory: start one with 'bench serve', or name its folder by --run")
    return ask(folder, request)

"""A socket in the run's folder by which commands of the same user reach a running bench: one line of JSON each way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from bench.errors import UsageError

NAME: Final = "control.sock"
MAX_LINE: Final = 4_000_000
"""Bytes of a request or an answer."""
_LONGEST_PATH: Final = 100
"""The kernel takes 107 bytes for the path of a socket."""

Answerer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@asynccontextmanager
async def open_control_socket(folder: Path, answer: Answerer) -> AsyncIterator[None]:
    """Answer requests on a socket in `folder` that only this user may open.

    `answer` gets a JSON object and returns one; it raises nothing that the asking side should not see as an error here.
    """
    path = folder / NAME
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        with _short(path) as short:
            listener.bind(short)
    finally:
        os.umask(before)
    tasks: dict[asyncio.Task[Any], None] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks[task] = None
        try:
            writer.write(_line(await _answered(reader, answer)))
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the command was interrupted, or the bench ends
        finally:
            writer.close()
            del tasks[task]

    server = await asyncio.start_unix_server(serve, sock=listener, limit=MAX_LINE)
    try:
        yield
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks))
        await server.wait_closed()
        path.unlink(missing_ok=True)


def _line(answer: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(answer, default=str) + b"\n"
    except (TypeError, RecursionError) as error:
        text = f"the answer cannot be written as JSON: {error}; it is in the journal as it came"
        return orjson.dumps({"error": "StationError", "text": text}) + b"\n"


async def _answered(reader: asyncio.StreamReader, answer: Answerer) -> dict[str, Any]:
    try:
        request = orjson.loads(await reader.readline())
    except ValueError as error:  # too long, or not JSON
        return {"error": "UsageError", "text": f"not a request: {error}"}
    if not isinstance(request, dict):
        return {"error": "UsageError", "text": "not a request: a JSON object was expected"}
    return await answer(request)


def ask(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send one request to the bench that runs in `folder` and return its answer. Raises UsageError where none runs."""
    path = folder / NAME
    try:
        line = orjson.dumps(request) + b"\n"
    except (TypeError, RecursionError) as error:  # nested too deeply, a number too large, half a surrogate pair
        raise UsageError(f"the request cannot be written as JSON: {error}") from None
    if len(line) > MAX_LINE:
        raise UsageError(f"the request is longer than {MAX_LINE} bytes")
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            with _short(path) as short:
                connection.connect(short)
            connection.sendall(line)
            with connection.makefile("rb") as file:
                answer = file.readline(MAX_LINE)
        except (FileNotFoundError, ConnectionError):
            raise UsageError(f"no bench is serving in {folder}: start one with 'bench serve'") from None
    if not answer.endswith(b"\n"):
        raise UsageError(f"the bench in {folder} ended before it answered")
    result: dict[str, Any] = orjson.loads(answer)
    return result


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Give a name of the socket that is short enough for the kernel: a long one goes by its folder's descriptor."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        with contextlib.suppress(OSError):
            os.close(folder)

"""A TCP server of an emulated instrument that leaves no connection behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def open_tcp_server(talk: Talk, *, host: str, port: int) -> AsyncIterator[int]:
    """Let each peer `talk`, and yield the port (`port` 0: a free one).

    What a peer does wrong (OSError, ValueError, an end in the middle) ends its connection. Raises OSError on a taken port.
    """
    peers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peers.add(task)
        try:
            with suppress(OSError, ValueError, asyncio.IncompleteReadError):
                await talk(reader, writer)
        except asyncio.CancelledError:
            return
        finally:
            peers.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(peers):
            task.cancel()
        await asyncio.gather(*peers, return_exceptions=True)

"""What the CSMS does beside its connections: never inside the handling of a frame, and never longer than the CSMS lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Work = Coroutine[Any, Any, None]


class Background:
    """Runs works by name: one at a time, and of those that wait for the same name the last one only."""

    def __init__(self, failed: Callable[[str, str, Exception], None]) -> None:
        self._failed = failed
        """Called with station, name and error."""
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._waiting: dict[tuple[str, str], Work] = {}
        self._closed = False

    def start(self, station_id: str, name: str, work: Work) -> None:
        """Begin now, or as soon as the work of the same name is over."""
        key = (station_id, name)
        if self._closed:
            work.close()
        elif key in self._running:
            if key in self._waiting:
                self._waiting[key].close()
            self._waiting[key] = work
        else:
            self._running[key] = asyncio.create_task(self._run(key, work), name=f"{station_id}: {name}")

    async def _run(self, key: tuple[str, str], work: Work | None) -> None:
        try:
            while work is not None:
                try:
                    await work
                except Exception as error:
                    self._failed(*key, error)
                work = self._waiting.pop(key, None)
        finally:
            del self._running[key]

    async def close(self) -> None:
        """Cancel what runs and wait for its end; nothing starts any more."""
        self._closed = True
        for work in self._waiting.values():
            work.close()
        self._waiting.clear()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""Charging stations for tests of the CSMS: one in memory, which says exactly what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson

from bench.adapters.ids import SeededIds
from bench.cso.csms import Csms
from bench.errors import StationOfflineError
from bench.settings.rig import RigSettings
from tests.support import FakeClock, MemoryJournal

BOOT = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}


def rig_settings(*station_ids: str, **csms: Any) -> RigSettings:
    """Return a rig of stations with two EVSEs each; `csms` are the settings of the CSMS."""
    stations = [{"id": one, "evse": [{"id": 1}, {"id": 2}]} for one in station_ids or ("CS-1",)]
    return RigSettings.model_validate({"schema": 1, "name": "test", "csms": csms, "station": stations})


def new_csms(clock: FakeClock, journal: MemoryJournal, settings: RigSettings | None = None, **more: Any) -> Csms:
    """Return a CSMS on test doubles."""
    return Csms(clock, journal, SeededIds(1, "csms"), settings or rig_settings(), **more)


class MemoryLink:
    """A StationLink whose far end is the test: `say` puts a frame in, `hear` takes one out."""

    def __init__(self) -> None:
        self._in: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._out: asyncio.Queue[str] = asyncio.Queue()
        self._ended: tuple[int, str] | None = None
        self._ids = 0

    def send(self, text: str) -> None:
        """Take a frame from the CSMS."""
        if self._ended:
            raise StationOfflineError("closed")
        self._out.put_nowait(text)

    async def serve(self, receive: Callable[[str | bytes], None]) -> None:
        """Give the CSMS what the test says."""
        while (frame := await self._in.get()) is not None:
            receive(frame)

    async def close(self, code: int, reason: str) -> None:
        """End the connection."""
        self.drop(code, reason)

    def ended(self) -> tuple[int, str] | None:
        """Return how it ended."""
        return self._ended

    def drop(self, code: int = 1006, reason: str = "") -> None:
        """End the connection from the station's side."""
        self._ended = self._ended or (code, reason)
        self._in.put_nowait(None)

    def say(self, *message: Any) -> None:
        """Send one frame: a message, or one text or bytes as they are."""
        raw = message[0] if len(message) == 1 else orjson.dumps(message).decode()
        self._in.put_nowait(raw)

    async def hear(self) -> Any:
        """Return the next message of the CSMS."""
        return orjson.loads(await self._out.get())

    def silent(self) -> bool:
        """Tell whether the CSMS has said nothing more."""
        return self._out.empty()

    async def ask(self, action: str, payload: Mapping[str, Any]) -> Any:
        """Send a CALL and return the payload of its CALLRESULT, or the whole CALLERROR."""
        self._ids += 1
        self.say(2, f"s{self._ids}", action, payload)
        answer = await self.hear()
        assert answer[1] == f"s{self._ids}"
        return answer[2] if answer[0] == 3 else answer


@asynccontextmanager
async def attached(csms: Csms, station_id: str = "CS-1") -> AsyncIterator[MemoryLink]:
    """Connect a station in memory for as long as the block runs."""
    link = MemoryLink()
    serving = asyncio.create_task(csms.attach(station_id, link))
    await asyncio.sleep(0)
    try:
        yield link
    finally:
        link.drop(1000)
        await serving

"""A charging station in memory with a clock and a device model of its own, answering calls by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from bench.cso.csms import Csms
from bench.ports import Clock
from tests.stations import BOOT, MemoryLink, attached

Json = dict[str, Any]


class ClockedStation:
    """Boots, keeps time, and answers GetVariables, SetVariables, GetBaseReport and TriggerMessage."""

    def __init__(self, clock: Clock, *, offset_s: float = 0.0, follows: bool = True, digits: int = 0) -> None:
        self._clock, self._follows, self._digits = clock, follows, digits
        self.offset_s = offset_s
        """Its time less the bench's."""
        self.variables: dict[tuple[str, str], str] = {}
        self.lists: dict[tuple[str, str], tuple[str, ...]] = {}
        """What each of these variables, a list, may hold."""
        self.report: list[Json] | None = None
        """The NotifyReport parts without requestId; None: GetBaseReport is NotSupported."""
        self._ids = 0

    @asynccontextmanager
    async def connected(self, csms: Csms) -> AsyncIterator[None]:
        """Connect and boot; answer until the block ends."""
        async with attached(csms) as link:
            self._link = link
            self._call(link, "BootNotification", BOOT)
            answering = asyncio.create_task(self._answer(link))
            try:
                yield
            finally:
                answering.cancel()
                await asyncio.wait([answering])

    async def boot(self) -> None:
        """Boot again."""
        self._call(self._link, "BootNotification", BOOT)
        await asyncio.sleep(0)

    async def _answer(self, link: MemoryLink) -> None:
        while True:
            kind, message_id, *rest = await link.hear()
            if kind == 3:
                if self._follows and "currentTime" in rest[0]:
                    served = datetime.fromisoformat(rest[0]["currentTime"])
                    self.offset_s = (served - self._clock.now()).total_seconds()
                continue
            action, payload = rest
            answer = getattr(self, f"_{action}", None)
            if answer is None:
                link.say(4, message_id, "NotImplemented", "", {})
                continue
            link.say(3, message_id, answer(link, payload))
            for number, part in enumerate(self.report or ()) if action == "GetBaseReport" else ():
                self._call(link, "NotifyReport", {"requestId": payload["requestId"], "seqNo": number, **part})

    def _call(self, link: MemoryLink, action: str, payload: Mapping[str, Any]) -> None:
        self._ids += 1
        link.say(2, f"s{self._ids}", action, payload)

    def _time(self) -> str:
        shown = self._clock.now() + timedelta(seconds=self.offset_s)
        return shown.isoformat(timespec="milliseconds" if self._digits else "seconds").replace("+00:00", "Z")

    def _GetVariables(self, link: MemoryLink, payload: Json) -> Json:
        return {"getVariableResult": [self._variable(one) for one in payload["getVariableData"]]}

    def _variable(self, asked: Json) -> Json:
        name = (asked["component"]["name"], asked["variable"]["name"])
        value = self._time() if name == ("ClockCtrlr", "DateTime") else self.variables.get(name)
        if value is None:
            return {"attributeStatus": "UnknownVariable", **asked}
        return {"attributeStatus": "Accepted", "attributeValue": value, **asked}

    def _SetVariables(self, link: MemoryLink, payload: Json) -> Json:
        results = []
        for one in payload["setVariableData"]:
            name = (one["component"]["name"], one["variable"]["name"])
            allowed = self.lists.get(name)
            bad = name not in self.variables or (
                allowed is not None and not set(one["attributeValue"].split(",")) <= set(allowed)
            )
            if not bad:
                self.variables[name] = one["attributeValue"]
            status = "Rejected" if bad else "Accepted"
            results.append({"attributeStatus": status, "component": one["component"], "variable": one["variable"]})
        return {"setVariableResult": results}

    def _GetBaseReport(self, link: MemoryLink, payload: Json) -> Json:
        return {"status": "NotSupported" if self.report is None else "Accepted"}

    def _TriggerMessage(self, link: MemoryLink, payload: Json) -> Json:
        if payload["requestedMessage"] == "Heartbeat":
            self._call(link, "Heartbeat", {})
        elif payload["requestedMessage"] == "BootNotification":
            self._call(link, "BootNotification", {**BOOT, "reason": "Triggered"})
        else:
            return {"status": "NotImplemented"}
        return {"status": "Accepted"}

"""What the parts of the CSMS ask of the one that has the connections, and the words they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from bench.cso.background import Work
from bench.cso.faults import OwnFaults
from bench.cso.profile_gate import Rules
from bench.cso.station import Outbox, StationState
from bench.ports import Clock, IdSource

Payload = dict[str, Any]
Handler = Callable[[StationState, Payload, Outbox], Payload]
"""Gives the answer to one CALL of a station; state goes into the StationState, findings and events into the Outbox."""


class CsmsCore(Protocol):
    """Calls, waiting and findings, without a word on sockets."""

    clock: Clock
    ids: IdSource
    stations: dict[str, StationState]
    call_timeout_s: float
    faults: OwnFaults

    async def call(
        self,
        station_id: str,
        action: str,
        payload: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        check: bool = True,
        rules: Rules | None = None,
        by: str = "",
    ) -> dict[str, Any]:
        """Send one CALL and return the CALLRESULT's payload; see `bench.cso.csms.Csms.call`."""
        ...

    async def wait_until(self, predicate: Callable[[], bool], timeout_s: float) -> bool:
        """Return True as soon as the predicate holds, False after that many seconds."""
        ...

    def station_time(self, station_id: str) -> datetime:
        """Return the time that this station is served, in UTC."""
        ...

    def finding(self, station_id: str, code: str, text: str, *refs: int, source: str = "station") -> None:
        """Journal something worth knowing about a station."""
        ...

    def spawn(self, station_id: str, name: str, work: Work) -> None:
        """Do something in the background, after what bears the same name at the same station; it ends with the CSMS."""
        ...

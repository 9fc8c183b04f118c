"""An OCPI rig for tests: the CPO on real HTTP with a station that answers by script, and the mock SCSP beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.peers.scsp import MockScsp, open_scsp
from bench.ports import Authorizer, Clock, Journal, Listener, OcpiTransport, Unsubscribe
from bench.rig.cpo import Cpo, open_cpo
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS
from tests.support import EPOCH, MemoryJournal

STATION = "CS-1"
PROFILE: dict[str, Any] = {
    "start_date_time": "2026-01-15T00:00:00Z",
    "duration": 3600,
    "charging_rate_unit": "A",
    "charging_profile_period": [{"start_period": 0, "limit": 16.0}, {"start_period": 900, "limit": 6.0}],
}
COMPOSITE: dict[str, Any] = {
    "evseId": 1,
    "duration": 3600,
    "scheduleStart": "2026-01-15T00:00:00Z",
    "chargingRateUnit": "A",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 900, "limit": 6.0}],
}


class ScriptedStations:
    """Stations that answer each action from a table: a payload, an exception to raise, or a future to wait for."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "SetChargingProfile": {"status": "Accepted"},
            "ClearChargingProfile": {"status": "Accepted"},
            "GetCompositeSchedule": {"status": "Accepted", "schedule": COMPOSITE},
        }
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.installed: list[dict[str, Any]] = []
        """What is shown to who asks."""
        self.authorizer: Authorizer = lambda station, token: "Accepted"
        self._listeners: list[Listener] = []

    async def call(
        self, station_id: str, action: str, payload: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Note the call and answer by the table."""
        self.calls.append((action, dict(payload)))
        answer = self.answers[action]
        if isinstance(answer, asyncio.Future):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    async def installed_profiles(self, station_id: str, evse_id: int | None = None) -> list[dict[str, Any]]:
        """Show what `installed` says."""
        self.calls.append(("GetChargingProfiles", {}))
        return [{"evse_id": 1, "source": "CSO", "profile": one} for one in self.installed]

    def subscribe(self, listener: Listener) -> Unsubscribe:
        """Call `listener` with each event."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def authorize_by(self, authorizer: Authorizer) -> Unsubscribe:
        """Let `authorizer` decide on tokens."""
        self.authorizer = authorizer
        return lambda: None

    async def present(self, uid: str, ocpp_type: str = "ISO14443") -> dict[str, Any]:
        """Present a token at the station; return its IdTokenInfo."""
        decision = self.authorizer(STATION, {"idToken": uid, "type": ocpp_type})
        return {"status": decision} if isinstance(decision, str) else await decision()

    def tell(self, event: str, **fields: Any) -> None:
        """Let an event happen."""
        for listener in list(self._listeners):
            listener({"event": event, "station": STATION} | fields)

    def transaction(self, phase: str, transaction_id: str = "tx-1", wh: float | None = None, **fields: Any) -> None:
        """Let a transaction event happen on EVSE 1."""
        values = [] if wh is None else [{"sampledValue": [{"value": wh}]}]
        event = {"phase": phase, "evse": 1, "transaction_id": transaction_id, "id_token": "TOKEN-1", "trigger": "Authorized"}
        self.tell("transaction", **{**event, "meter_value": values, **fields})

    def sent(self, action: str) -> list[dict[str, Any]]:
        """Return the payloads sent of one action."""
        return [payload for name, payload in self.calls if name == action]


def rig_settings(**features: Any) -> RigSettings:
    """Return a rig of one station with one EVSE of 16 A."""
    station = {"id": STATION, "features": features, "evse": [{"id": 1, "max_current_a": 16}]}
    return RigSettings.model_validate({"schema": 1, "name": "test", "station": [station]})


def with_location(**location: Any) -> RigSettings:
    """Return that rig, with what is told of its Location."""
    return RigSettings.model_validate({**rig_settings().model_dump(by_alias=True), "ocpi": {"location": location}})


@dataclass(slots=True)
class OcpiRig:
    """Both ends, and what stands between."""

    cpo: Cpo
    scsp: MockScsp
    stations: ScriptedStations
    journal: Journal
    addresses: AddressBook
    transport: OcpiTransport

    async def session(self, transaction_id: str = "tx-1") -> str:
        """Start a transaction and return the id of its session, once the SCSP was told."""
        known = set(self.scsp.sessions)
        self.stations.transaction("Started", transaction_id, wh=1000)
        session = await self.scsp.wait_session(lambda one: one["id"] not in known, 10)
        return str(session["id"])

    async def placed(self) -> tuple[str, str]:
        """Start a session, set PROFILE, wait for its result and its push; return the session's id and the result's word."""
        session_id = await self.session()
        order = await self.scsp.send_plan(session_id, PROFILE)
        result = await self.scsp.wait_result(order.response_id, 60)
        await self.scsp.wait_until(lambda: bool(self.scsp.pushes), 10)
        return session_id, str(result["result"])

    def found(self, code: str) -> list[str]:
        """Return the texts of the findings of one code in the journal."""
        assert isinstance(self.journal, MemoryJournal)
        return [one["text"] for one in self.journal.of("finding") if one["code"] == code]




@asynccontextmanager
async def open_ocpi_rig(
    journal: Journal | None = None, clock: Clock | None = None, *, register: bool = True, settings: RigSettings | None = None,
    version: str = VERSIONS[0], **options: Any,
) -> AsyncIterator[OcpiRig]:  # fmt: skip
    """Open CPO and SCSP, registered with one another unless told otherwise."""
    clock, journal = clock or LoopClock(EPOCH), journal or MemoryJournal()
    addresses, stations = AddressBook(), ScriptedStations()
    ids = SeededIds(1, "cpo")
    async with (
        open_transport(addresses) as transport,
        open_scsp(clock, SeededIds(1, "scsp"), addresses, version=version) as scsp,
        open_cpo(settings or rig_settings(), clock, journal, ids, stations, addresses, **options) as cpo,
    ):
        if register:
            await scsp.register(cpo.versions_url, cpo.token_a)
        yield OcpiRig(cpo, scsp, stations, journal, addresses, transport)

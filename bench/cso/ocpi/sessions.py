"""Sessions: OCPP transactions become OCPI sessions, and registered parties are told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bench.cso.ocpi.background import Background
from bench.cso.ocpi.calls import Calls, why
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Platform, Registry
from bench.cso.relay import Target
from bench.errors import PeerError
from bench.ports import Clock, IdSource
from bench.wire.ocpi.transport import PartyId, join
from bench.wire.ocpi.types import utc_text

UPDATE_EVERY_S: Final = 900.0
"""A running session's energy is told at most so often."""


@dataclass(frozen=True, slots=True)
class _Update:
    """A message on its way: what to send, and the whole object for a peer that does not know the session."""

    method: str
    session_id: str
    body: dict[str, Any]
    whole: dict[str, Any]


class Sessions:
    """All sessions, by id. Each registered platform gets its messages in order, and none twice."""

    def __init__(
        self, clock: Clock, ids: IdSource, own: PartyId, location_id: str, registry: Registry, calls: Calls,
        background: Background, findings: Findings,
    ) -> None:  # fmt: skip
        self._clock, self._ids, self._own, self._location_id = clock, ids, own, location_id
        self._registry, self._calls, self._background, self._findings = registry, calls, background, findings
        self._records: dict[str, SessionRecord] = {}
        self._by_transaction: dict[tuple[str, str], SessionRecord] = {}
        self._outbox: list[tuple[Platform, asyncio.Queue[_Update]]] = []

    def find(self, session_id: str) -> SessionRecord | None:
        """Return a session whatever the case of its id (CiString)."""
        return self._records.get(session_id.casefold())

    def at(self, station: str, evse_id: int | None) -> list[SessionRecord]:
        """Return the running sessions at an EVSE, or at the whole station."""
        return [
            one
            for one in self._records.values()
            if one.ended is None and one.target.station == station and evse_id in (None, 0, one.target.evse_id)
        ]

    def running(self) -> list[SessionRecord]:
        """Return all running sessions in order of their begin."""
        return [one for one in self._records.values() if one.ended is None]

    def of(self, station: str, transaction_id: str) -> SessionRecord | None:
        """Return the session of a transaction."""
        return self._by_transaction.get((station, transaction_id))

    def listed(self, platform: Platform, since: datetime, until: datetime | None) -> list[dict[str, Any]]:
        """Return what a platform may see of the sessions last updated in [since, until), oldest first; token known."""
        records = [
            one
            for one in self._records.values()
            if one.id_token and since <= one.last_updated and (until is None or one.last_updated < until)
            and self._may_see(platform, one)
        ]
        records.sort(key=lambda one: one.last_updated)
        return [one.as_session(self._own, self._location_id) for one in records]

    def on_transaction(self, event: Mapping[str, Any]) -> SessionRecord | None:
        """Take a transaction event of the CSMS; return the session it ended, if it ended one."""
        now = self._clock.now()
        record = self.of(event["station"], event["transaction_id"])
        if record is None:
            if event.get("evse") is None:
                text = f"transaction {event['transaction_id']} of {event['station']} names no EVSE: it has no session"
                self._findings.tell("session_without_evse", text)
                return None
            record = self._open(event, now)
        if record.ended is not None:
            return None
        record.meter(event.get("meter_value") or ())
        record.id_token = record.id_token or event.get("id_token") or ""
        ended = event["phase"] == "Ended"
        if ended:
            record.ended = now
            record.over.set_result(None)
        if record.id_token:
            self._tell(record, now)
        return record if ended else None

    def _open(self, event: Mapping[str, Any], now: datetime) -> SessionRecord:
        target = Target(f"S-{self._ids.token(12)}", event["station"], event["evse"], event["transaction_id"])
        record = SessionRecord(target, now, now, asyncio.get_running_loop().create_future())
        self._records[target.session_id.casefold()] = record
        self._by_transaction[target.station, target.transaction_id] = record
        return record

    def _tell(self, record: SessionRecord, now: datetime) -> None:
        """Tell a new session, its end, and its energy now and then."""
        if record.told_at is None:
            record.last_updated = record.told_at = now
            whole = record.as_session(self._own, self._location_id)
            self._send(record, _Update("PUT", record.session_id, whole, whole))
            return
        due = now - record.told_at >= timedelta(seconds=UPDATE_EVERY_S) and record.kwh > record.told_kwh
        if record.ended is None and not due:
            return
        record.last_updated = now
        changes: dict[str, Any] = {"kwh": record.kwh, "status": record.status}
        if (period := record.close_period(now)) is not None:
            changes["charging_periods"] = [period]
        if record.ended is not None:
            changes["end_date_time"] = utc_text(record.ended)
        changes["last_updated"] = utc_text(now)
        self._send(record, _Update("PATCH", record.session_id, changes, record.as_session(self._own, self._location_id)))

    def _send(self, record: SessionRecord, update: _Update) -> None:
        for platform in self._registry.platforms:
            if ("sessions", "RECEIVER") not in platform.endpoints:
                continue
            if self._may_see(platform, record):
                self._queue(platform).put_nowait(update)

    def _may_see(self, platform: Platform, record: SessionRecord) -> bool:
        return any(record.may_be_steered_by(party, self._own) for party in platform.parties)

    def _queue(self, platform: Platform) -> asyncio.Queue[_Update]:
        for known, queue in self._outbox:
            if known is platform:
                return queue
        queue = asyncio.Queue[_Update]()
        self._outbox.append((platform, queue))
        self._background.start(self._deliver(platform, queue))
        return queue

    async def _deliver(self, platform: Platform, queue: asyncio.Queue[_Update]) -> None:
        while True:
            update = await queue.get()
            endpoint = platform.endpoints.get(("sessions", "RECEIVER"))
            if platform in self._registry.platforms and endpoint is not None:
                await self._deliver_one(platform, endpoint, update)

    async def _deliver_one(self, platform: Platform, endpoint: str, update: _Update) -> None:
        """Send one message, once; a peer that does not know the session gets the whole of it instead of a part."""
        url = join(endpoint, self._own.country_code, self._own.party_id, update.session_id)
        to = platform.parties[0].id
        try:
            answer = await self._calls.call(update.method, url, platform.token_out, update.body, to=to)
            if not answer.ok and update.method == "PATCH":
                answer = await self._calls.call("PUT", url, platform.token_out, update.whole, to=to)
        except PeerError as error:
            self._findings.tell("session_not_delivered", str(error))
            return
        if not answer.ok:
            self._findings.tell("session_refused", f"{update.method} {url}: {why(answer)}")

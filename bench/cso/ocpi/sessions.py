"""Sessions: OCPP transactions become OCPI sessions, and registered parties are told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.outbox import Outbox, Push
from bench.cso.ocpi.paging import Page
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Platform
from bench.cso.relay import Target
from bench.domain.quantities import parse_time
from bench.ports import Clock, IdSource
from bench.wire.ocpi.transport import PartyId
from bench.wire.ocpi.types import utc_text

UPDATE_EVERY_S: Final = 900.0
"""A running session's energy is told at most so often."""

CREDIBLE: Final = timedelta(days=1)
"""A transaction that begins farther off than this has a station with a wrong clock."""


class Sessions:
    """All sessions, by id."""

    def __init__(
        self, clock: Clock, ids: IdSource, own: PartyId, location_id: str, outbox: Outbox, findings: Findings
    ) -> None:
        self._clock, self._ids, self._own, self._location_id = clock, ids, own, location_id
        self._outbox, self._findings = outbox, findings
        self._records: dict[str, SessionRecord] = {}
        self._by_transaction: dict[tuple[str, str], SessionRecord] = {}

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

    def listed(self, platform: Platform, page: Page) -> list[dict[str, Any]]:
        """Return what a platform may see of the sessions that a page covers, oldest first; token known."""
        records = [
            one
            for one in self._records.values()
            if one.id_token and page.covers(one.last_updated) and self._may_see(platform, one)
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

    def restore(self, record: SessionRecord) -> None:
        """Take back a session that ran before a restart."""
        self._records[record.session_id.casefold()] = record
        self._by_transaction[record.target.station, record.target.transaction_id] = record

    def _open(self, event: Mapping[str, Any], now: datetime) -> SessionRecord:
        target = Target(f"S-{self._ids.token(12)}", event["station"], event["evse"], event["transaction_id"])
        began = _began(event, now) if event["phase"] == "Started" else None
        record = SessionRecord(target, now, now, asyncio.get_running_loop().create_future(), began)
        self._records[target.session_id.casefold()] = record
        self._by_transaction[target.station, target.transaction_id] = record
        return record

    def _tell(self, record: SessionRecord, now: datetime) -> None:
        """Tell a new session, its end, and its energy now and then."""
        if record.told_at is None:
            record.last_updated = record.told_at = now
            self._send(record, "PUT", record.as_session(self._own, self._location_id))
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
        self._send(record, "PATCH", changes)

    def _send(self, record: SessionRecord, method: str, body: dict[str, Any]) -> None:
        path = (self._own.country_code, self._own.party_id, record.session_id)
        whole = record.as_session(self._own, self._location_id)
        self._outbox.tell(Push("sessions", method, path, body, whole), lambda platform: self._may_see(platform, record))

    def _may_see(self, platform: Platform, record: SessionRecord) -> bool:
        return any(record.may_be_steered_by(party, self._own) for party in platform.parties)


def _began(event: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return when a transaction began by the station's clock; None where that clock is off by too much to count from it."""
    if "timestamp" not in event:
        return now
    at = datetime.fromtimestamp(parse_time(event["timestamp"]), UTC)
    return min(at, now) if abs(now - at) < CREDIBLE else None

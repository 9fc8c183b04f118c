"""Sessions: OCPP transactions become OCPI sessions, and registered parties are told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.grants import Grant, Grants
from bench.cso.ocpi.outbox import Outbox, Push
from bench.cso.ocpi.paging import Page
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Party, Platform
from bench.cso.relay import Target
from bench.ports import Clock, IdSource
from bench.wire.ocpi.transport import PartyId
from bench.wire.ocpi.types import utc_text

UPDATE_EVERY_S: Final = 900.0
"""A running session's energy is told at most so often."""


class Sessions:
    """All sessions, by id."""

    def __init__(
        self, clock: Clock, ids: IdSource, own: PartyId, location_id: str, outbox: Outbox, findings: Findings, grants: Grants
    ) -> None:
        self._clock, self._ids, self._own, self._location_id = clock, ids, own, location_id
        self._outbox, self._findings, self._grants = outbox, findings, grants
        self._records: dict[str, SessionRecord] = {}
        self._by_transaction: dict[tuple[str, str], SessionRecord] = {}

    def find(self, session_id: str) -> SessionRecord | None:
        """Return a session whatever the case of its id (CiString)."""
        return self._records.get(session_id.casefold())

    def at(self, station: str, evse_id: int | None) -> list[SessionRecord]:
        """Return the running sessions at an EVSE, or at the whole station."""
        return [
            one
            for one in self.running()
            if one.target.station == station and evse_id in (None, 0, one.target.evse_id)
        ]

    def running(self) -> list[SessionRecord]:
        """Return all running sessions in order of their begin; a mere reservation is none."""
        return [one for one in self._records.values() if one.ended is None and not one.reserved]

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
        if record is None or not record.id_token:
            record = self._reserved_for(event, record, now) or record
        if record is None:
            if event.get("evse") is None:
                text = f"transaction {event['transaction_id']} of {event['station']} names no EVSE: it has no session"
                self._findings.tell("session_without_evse", text)
                return None
            record = self._open(event, now)
        if record.ended is not None:
            return None
        record.meter(event.get("meter_value") or ())
        if _is_accepted(event):
            self._authorized(record, event, now)
        ended = event["phase"] == "Ended"
        if ended:
            record.ended = now
            record.over.set_result(None)
        if record.id_token:
            self._tell(record, now)
        return record if ended else None

    def _authorized(self, record: SessionRecord, event: Mapping[str, Any], now: datetime) -> None:
        """Take who charges from an event whose token was accepted: ACTIVE from then on."""
        if not record.id_token and event.get("id_token"):
            record.id_token, record.started = event["id_token"], now
        if record.id_token == event.get("id_token"):
            record.grant = self._grants.of(event) or record.grant

    def reserve(self, station: str, evse_id: int, grant: Grant, record: SessionRecord | None = None) -> SessionRecord:
        """Open the session of a reservation, at an EVSE or (0) at the whole station, or change the one given; tell it."""
        now = self._clock.now()
        target = Target(record.session_id if record else f"S-{self._ids.token(12)}", station, evse_id, "")
        record = record or self._add(target, now)
        record.target, record.told_at = target, None
        record.reserved, record.id_token, record.grant = True, grant.token.uid, grant
        self._tell(record, now)
        return record

    def end_reservation(self, record: SessionRecord) -> None:
        """End a reservation that no transaction has come of."""
        if record.reserved and record.ended is None:
            record.ended = self._clock.now()
            record.over.set_result(None)
            self._tell(record, record.ended)

    def tell_preferences(self, record: SessionRecord) -> None:
        """Tell the SCSPs what the driver prefers: a field of the session that OCPI does not have."""
        assert record.preferences is not None
        record.last_updated = self._clock.now()
        changes = {"charging_preferences": record.preferences.plain(), "last_updated": utc_text(record.last_updated)}
        self._send(record, "PATCH", changes, role="SCSP")

    def _reserved_for(self, event: Mapping[str, Any], pending: SessionRecord | None, now: datetime) -> SessionRecord | None:
        """Return the reservation that a transaction of the same token uses up: it becomes the transaction's session."""
        token, evse_id = (event.get("id_token") or "").casefold(), event.get("evse")
        if evse_id is None or not _is_accepted(event):
            return None
        for record in self._records.values():
            here = record.target.station == event["station"] and record.target.evse_id in (0, evse_id)
            if record.reserved and record.ended is None and here and record.id_token.casefold() == token:
                record.target = replace(record.target, evse_id=evse_id, transaction_id=event["transaction_id"])
                record.reserved, record.started, record.told_at = False, now, None
                self._by_transaction[record.target.station, record.target.transaction_id] = record
                if pending is not None:
                    record.first_wh, record.energy_wh = pending.first_wh, pending.energy_wh
                    del self._records[pending.session_id.casefold()]
                return record
        return None

    def _open(self, event: Mapping[str, Any], now: datetime) -> SessionRecord:
        record = self._add(Target(f"S-{self._ids.token(12)}", event["station"], event["evse"], event["transaction_id"]), now)
        self._by_transaction[record.target.station, record.target.transaction_id] = record
        return record

    def _add(self, target: Target, now: datetime) -> SessionRecord:
        record = SessionRecord(target, now, now, asyncio.get_running_loop().create_future())
        self._records[target.session_id.casefold()] = record
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

    def _send(self, record: SessionRecord, method: str, body: dict[str, Any], role: str = "") -> None:
        """Send to whoever may see the session; with `role` to parties of that role alone."""
        path = (self._own.country_code, self._own.party_id, record.session_id)
        whole = record.as_session(self._own, self._location_id)

        def meant(party: Party) -> bool:
            return record.may_be_steered_by(party, self._own) and role in ("", party.role)

        self._outbox.tell(Push("sessions", method, path, body, whole), lambda one: any(map(meant, one.parties)), meant)

    def _may_see(self, platform: Platform, record: SessionRecord) -> bool:
        return any(record.may_be_steered_by(party, self._own) for party in platform.parties)


def _is_accepted(event: Mapping[str, Any]) -> bool:
    """Say whether the token of a transaction event may charge; where nobody has decided on it, it may."""
    return bool(event.get("id_status", "Accepted") == "Accepted")

"""Sessions: OCPP transactions become OCPI sessions, and registered parties are told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.grants import Grant, Grants
from bench.cso.ocpi.outbox import Meant, Outbox, Push
from bench.cso.ocpi.paging import Page
from bench.cso.ocpi.periods import Periods
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Party, Platform
from bench.cso.ocpi.tariffs import Tariffs
from bench.cso.relay import Target
from bench.domain.quantities import parse_time
from bench.ports import Clock, IdSource
from bench.wire.ocpi.transport import VERSIONS, PartyId
from bench.wire.ocpi.types import utc_text

CREDIBLE: Final = timedelta(days=1)
"""An event that is farther off than this comes from a station with a wrong clock."""
OFFLINE_CREDIBLE: Final = timedelta(days=90)
"""One that was told to have happened offline may come so much later."""
MOST_ENDED: Final = 1000
"""Sessions that are over, and their CDRs, are kept and listed up to so many; the oldest is forgotten for one more."""


class Sessions:
    """All sessions, by id."""

    def __init__(
        self, clock: Clock, ids: IdSource, own: PartyId, location_id: str, outbox: Outbox, findings: Findings,
        grants: Grants, tariffs: Tariffs, update_every_s: float,
    ) -> None:  # fmt: skip
        self._clock, self._ids, self._own, self._location_id = clock, ids, own, location_id
        self._outbox, self._findings, self._grants, self._tariffs = outbox, findings, grants, tariffs
        self._update_every = timedelta(seconds=update_every_s)
        self._records: dict[str, SessionRecord] = {}
        self._by_transaction: dict[tuple[str, str], SessionRecord] = {}
        self._number = 0
        self.ended: Callable[[SessionRecord], None] = lambda record: None
        """Called with each session that has ended, once its end is on its way to those who hear of it."""

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

    def listed(self, platform: Platform, page: Page, version: str) -> list[dict[str, Any]]:
        """Return what a platform may see of the sessions that a page covers, in the words of a version."""
        return [one.as_session(self._own, self._location_id, version) for one in self.seen_by(platform, page)]

    def seen_by(self, platform: Platform, page: Page) -> list[SessionRecord]:
        """Return the sessions with a known token that a platform may see and a page covers, in the order of creation."""
        return [
            one
            for one in self._records.values()
            if one.id_token and page.covers(one.last_updated) and self._may_see(platform, one)
        ]

    def on_transaction(self, event: Mapping[str, Any]) -> None:
        """Take a transaction event of the CSMS; what it tells happened at its own time, also where it comes late."""
        record = self.of(event["station"], event["transaction_id"])
        at = self._moment(event, record)
        if record is None or not record.id_token:
            record = self._reserved_for(event, record, at) or record
        if record is None:
            if event.get("evse") is None:
                text = f"transaction {event['transaction_id']} of {event['station']} names no EVSE: it has no session"
                self._findings.tell("session_without_evse", text)
                return
            record = self._open(event, at)
        if record.ended is not None:
            return
        before, record.heard = record.told, at
        self._begun_late(record, event)
        turned = record.periods.turns(event.get("charging_state") or "")
        closed = self._measured(record, event.get("meter_value") or (), at)
        if _is_accepted(event):
            self._authorized(record, event, at)
        if event["phase"] == "Ended":
            record.ended = at
            record.over.set_result(None)
        if record.id_token:
            self._tell(record, at, closed, turned=turned)
        if turned:
            if record.told_at is None:
                record.periods.close(at)
            record.periods.charging = not record.periods.charging
        self._touch(record, before)
        if record.ended is not None:
            self.ended(record)

    def restore(self, record: SessionRecord) -> None:
        """Take back a session of before a restart; they come in the order of their numbers."""
        self._number = max(self._number, record.number)
        if record.periods.closed:
            self._charge(record)
        self._records[record.session_id.casefold()] = record
        self._by_transaction[record.target.station, record.target.transaction_id] = record

    def forget_oldest(self) -> list[SessionRecord]:
        """Forget the sessions that are over but for the newest MOST_ENDED; return those that were forgotten."""
        over = [one for one in self._records.values() if one.ended is not None]
        forgotten = over[: max(0, len(over) - MOST_ENDED)]
        for one in forgotten:
            del self._records[one.session_id.casefold()]
            self._by_transaction.pop((one.target.station, one.target.transaction_id), None)
        return forgotten

    def _moment(self, event: Mapping[str, Any], record: SessionRecord | None) -> datetime:
        """Return when an event happened by the station's clock: not in the future, not before the session's last event, and not
        farther in the past than is credible; else it happened when it came."""
        now = self._clock.now()
        at, credible = min(_stamp(event, now), now), OFFLINE_CREDIBLE if event.get("offline") else CREDIBLE
        if now - at > credible:
            if record is None:
                text = f"transaction {event['transaction_id']} of {event['station']} begins at {utc_text(at)} by its clock"
                self._findings.tell("event_time_not_credible", f"{text}: the times of its session are those of arrival")
            at = now
        return at if record is None or record.heard is None else max(at, record.heard)

    def _begun_late(self, record: SessionRecord, event: Mapping[str, Any]) -> None:
        """Take the begin of a session from an event that comes after others, as one that was sent while offline may."""
        if event["phase"] != "Started" or record.began is not None or record.periods.closed:
            return
        record.began = _began(event, self._clock.now())
        if record.began is not None and record.began < record.started:
            record.started = record.periods.begin = record.began
            record.told_at = None  # another begin is another Session: the whole is told again

    def _measured(self, record: SessionRecord, values: Iterable[Mapping[str, Any]], at: datetime) -> list[dict[str, Any]]:
        """Take meter values that came by a moment, each at its own time; return the periods that the cadence ends."""
        timed = sorted(((min(_stamp(one, at), at), one) for one in values), key=lambda one: one[0])
        closed = []
        for moment, value in timed:
            record.periods.meter(value, moment)
            due = moment - record.periods.begin >= self._update_every
            if due and (period := record.periods.close(moment)) is not None:
                closed.append(period)
        return closed

    def _touch(self, record: SessionRecord, before: tuple[object, ...]) -> None:
        """Let last_updated follow what changed in the object, also where nobody is told of it yet."""
        if record.told != before:
            record.last_updated = self._clock.now()

    def _authorized(self, record: SessionRecord, event: Mapping[str, Any], at: datetime) -> None:
        """Take who charges from an event whose token was accepted: ACTIVE from then on."""
        if not record.id_token and event.get("id_token"):
            record.id_token = event["id_token"]
            record.started = record.started if event["phase"] == "Started" else at
            if not record.periods.closed:
                record.periods.begin = record.started
        if record.id_token == event.get("id_token") and (grant := self._grants.of(event)) is not None:
            before = record.grant or grant
            record.grant = replace(grant, reference=grant.reference or before.reference)  # the last one that was given
            record.regranted |= (grant.method, record.grant.reference) != (before.method, before.reference)

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
            self.ended(record)

    def tell_preferences(self, record: SessionRecord) -> None:
        """Tell the SCSPs what the driver prefers: a field of the session that OCPI does not have."""
        assert record.preferences is not None
        record.last_updated = self._clock.now()
        changes = {"charging_preferences": record.preferences.plain(), "last_updated": utc_text(record.last_updated)}
        self._outbox.tell(*self._message(record, "PATCH", changes, role="SCSP"))

    def _reserved_for(self, event: Mapping[str, Any], pending: SessionRecord | None, at: datetime) -> SessionRecord | None:
        """Return the reservation that a transaction of the same token uses up: it becomes the transaction's session."""
        token, evse_id = (event.get("id_token") or "").casefold(), event.get("evse")
        if evse_id is None or not _is_accepted(event):
            return None
        for record in self._records.values():
            here = record.target.station == event["station"] and record.target.evse_id in (0, evse_id)
            if record.reserved and record.ended is None and here and record.id_token.casefold() == token:
                record.target = replace(record.target, evse_id=evse_id, transaction_id=event["transaction_id"])
                record.reserved, record.started, record.told_at = False, at, None
                begun = event["phase"] == "Started"
                record.began = _began(event, self._clock.now()) if begun else pending.began if pending else None
                record.periods = Periods(at)
                self._by_transaction[record.target.station, record.target.transaction_id] = record
                if pending is not None:
                    record.periods = pending.periods
                    del self._records[pending.session_id.casefold()]
                return record
        return None

    def _open(self, event: Mapping[str, Any], at: datetime) -> SessionRecord:
        if event["phase"] != "Started" and not event.get("id_token"):
            text = f"transaction {event['transaction_id']} of {event['station']} had begun before, and its card is not known"
            self._findings.tell("session_without_token", f"{text}: no party is told of it")
        record = self._add(Target(f"S-{self._ids.token(12)}", event["station"], event["evse"], event["transaction_id"]), at)
        record.began = _began(event, self._clock.now()) if event["phase"] == "Started" else None
        self._by_transaction[record.target.station, record.target.transaction_id] = record
        return record

    def _add(self, target: Target, at: datetime) -> SessionRecord:
        self._number += 1
        over = asyncio.get_running_loop().create_future()
        record = SessionRecord(target, at, self._clock.now(), over, Periods(at), self._number)
        record.tariff = self._tariffs.of_session(at)
        self._records[target.session_id.casefold()] = record
        return record

    def on_meter_values(self, event: Mapping[str, Any]) -> None:
        """Take MeterValues that came outside of a transaction's events, for the session that runs at the EVSE."""
        now = self._clock.now()
        for record in self.at(event["station"], event["evse"]) if event.get("evse") else ():
            values = [one for one in event["meter_value"] if _stamp(one, now) >= record.started]  # else of a former session
            if not values:
                continue
            before, at = record.told, min(max(_stamp(one, now) for one in values), now)
            record.heard = at = max(at, record.heard or at)
            closed = self._measured(record, values, at)
            if record.id_token:
                self._tell(record, at, closed)
            self._touch(record, before)

    def _tell(self, record: SessionRecord, at: datetime, closed: Sequence[dict[str, Any]] = (), *, turned: bool = False) -> None:
        """Tell a new session, its end, each turn between charging and parking, and what was measured at the set cadence.

        Args:
            at: up to when it is told; closed: periods that ended since.
        """
        final = record.ended is not None
        if record.told_at is None:
            record.last_updated, record.told_at = self._clock.now(), at
            if final:  # its first word is its last
                record.periods.close(at, last=True)
                self._charge(record)
            self._outbox.tell(*self._message(record, "PUT", {}))
            return
        periods = list(closed)
        if final or turned or (not closed and at - record.told_at >= self._update_every):
            last = record.periods.close(at, last=final)
            periods += [] if last is None else [last]
        if not periods and not final:
            return
        record.last_updated, record.told_at = self._clock.now(), record.periods.begin
        changes: dict[str, Any] = {"kwh": record.periods.kwh, "status": record.status}
        if periods:
            changes["charging_periods"] = periods
        if record.ended is not None:
            changes["end_date_time"] = utc_text(record.ended)
        self._charge(record)
        self._outbox.tell(*self._message(record, "PATCH", changes | {"last_updated": utc_text(record.last_updated)}))

    def _charge(self, record: SessionRecord) -> None:
        if record.tariff is not None:
            record.total_cost = self._tariffs.cost(record.tariff, record.periods.closed).total

    def due(self, session_id: str) -> tuple[Push, Meant] | None:
        """Return the message that tells a session as it is, and to whom it may be addressed; None where there is none to tell."""
        record = self.find(session_id)
        return None if record is None or not record.id_token else self._message(record, "PUT", {})

    def _message(
        self, record: SessionRecord, method: str, changes: dict[str, Any], role: str = ""
    ) -> tuple[Push, Meant]:
        """Return a message to whoever may see the session; with `role` to parties of that role alone."""
        path = (self._own.country_code, self._own.party_id, record.session_id)
        whole = {version: record.as_session(self._own, self._location_id, version) for version in VERSIONS}
        told = ("total_cost", *(("auth_method", "authorization_reference") if record.regranted else ()))
        record.regranted = record.regranted and bool(role)

        def body(version: str) -> dict[str, Any]:
            more = {name: value for name, value in whole[version].items() if name in told}
            return whole[version] if method == "PUT" else changes | more

        def meant(party: Party) -> bool:
            return record.may_be_steered_by(party, self._own) and role in ("", party.role)

        told_whole = Push("sessions", record.session_id, "PUT", path, whole.__getitem__)
        return Push("sessions", record.session_id, method, path, body, None if method == "PUT" else told_whole), meant

    def _may_see(self, platform: Platform, record: SessionRecord) -> bool:
        return any(record.may_be_steered_by(party, self._own) for party in platform.parties)


def _stamp(told: Mapping[str, Any], otherwise: datetime) -> datetime:
    """Return the time that a station has put on an event or a meter value."""
    return datetime.fromtimestamp(parse_time(told["timestamp"]), UTC) if told.get("timestamp") else otherwise


def _began(event: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return when a transaction began by the station's clock; None where that clock is off by too much to count from it."""
    at = _stamp(event, now)
    return min(at, now) if abs(now - at) < CREDIBLE else None


def _is_accepted(event: Mapping[str, Any]) -> bool:
    """Say whether the token of a transaction event may charge; where nobody has decided on it, it may."""
    return bool(event.get("id_status", "Accepted") == "Accepted")

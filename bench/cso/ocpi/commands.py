"""Commands of eMSPs: decided at once, sent to the station, and the result told at the response_url once.

The Token of a command is not checked: its eMSP has authorized it (mod_commands, StartSession and ReserveNow).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.background import Background
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.grants import Grant, Grants
from bench.cso.ocpi.promises import Promises
from bench.cso.ocpi.record import evse_uid
from bench.cso.ocpi.registry import Party, Platform
from bench.cso.ocpi.reservations import MOST_RESERVATIONS, Reservation, Reservations
from bench.cso.ocpi.sessions import Sessions
from bench.errors import CallRejectedError, CallTimeoutError, SchemaError, StationError
from bench.ports import Clock, IdSource, StationCaller
from bench.wire.ocpi.commands import (
    ACCEPTED,
    REJECTED,
    CancelReservation,
    Command,
    ReserveNow,
    StartSession,
    StopSession,
    UnlockConnector,
    result_of,
)  # fmt: skip
from bench.wire.ocpi.tokens import Token
from bench.wire.ocpi.transport import UNKNOWN_LOCATION, PartyId
from bench.wire.ocpi.types import utc_text

MARGIN_S: Final = 15
"""What the promised timeout adds to the deadline of an OCPP call."""
_POST_S: Final = 5
"""What of the margin is left for the POST of the result."""
_NEEDED: Final[Mapping[type[Command], str]] = {
    StartSession: "REMOTE_START_STOP_CAPABLE", StopSession: "REMOTE_START_STOP_CAPABLE",
    ReserveNow: "RESERVABLE", CancelReservation: "RESERVABLE", UnlockConnector: "UNLOCK_CAPABLE",
}  # fmt: skip
"""Capability of the EVSE that a command is about."""
_NOT_THERE: Final = ("NotImplemented", "NotSupported")
_BROKEN: Final = ("Faulted", "Unavailable")

Result = tuple[str, str]
"""CommandResultType, and why in words."""


@dataclass(frozen=True, slots=True)
class CommandDecision:
    """The synchronous answer, and the work that follows where it is ACCEPTED."""

    result: str
    timeout: int = 0
    message: str = ""
    work: Callable[[], Awaitable[Result]] | None = None

    @property
    def data(self) -> dict[str, Any]:
        """Return the CommandResponse."""
        return {"result": self.result, "timeout": self.timeout} | _texts(self.message)


@dataclass(frozen=True, slots=True)
class _Place:
    station: str
    evse_id: int
    """0: the station chooses."""


class _RefusedError(Exception):
    """A command that is not sent: the result and why."""

    def __init__(self, message: str, result: str = REJECTED) -> None:
        self.message, self.result = message, result
        super().__init__(message)


class Commands:
    """Takes commands of registered eMSPs.

    Args:
        evses: EVSE ids by station, of the rig file: they make up the one location.
        offline: stations that are known not to be connected; kept by the owner.
        capabilities: what the EVSEs are listed with; no other command is served.
    """

    def __init__(
        self, clock: Clock, ids: IdSource, own: PartyId, sessions: Sessions, reservations: Reservations, grants: Grants,
        stations: StationCaller, promises: Promises, background: Background, findings: Findings, *, location_id: str,
        evses: Mapping[str, tuple[int, ...]], offline: Mapping[str, None], call_timeout_s: float,
        capabilities: Sequence[str],
    ) -> None:  # fmt: skip
        self._capabilities = capabilities
        self._clock, self._ids, self._own, self._sessions = clock, ids, own, sessions
        self._reservations, self._grants, self._stations = reservations, grants, stations
        self._promises, self._background, self._findings = promises, background, findings
        self._location_id, self._evses, self._offline = location_id, evses, offline
        self._call_timeout_s = call_timeout_s
        self._connectors: dict[tuple[str, int], str] = {}

    def on_status(self, event: Mapping[str, Any]) -> None:
        """Take a StatusNotification: it explains a refusal."""
        self._connectors[event["station"], event["evse"]] = event["status"]

    def decide(self, platform: Platform, party: PartyId, command: Command) -> CommandDecision:
        """Return what the eMSP is told at once. Raises OcpiError: 2001 for a response_url, 2003 for a location or EVSE."""
        self._promises.check_address(platform, command.response_url)
        asking = platform.party(party, "EMSP")
        try:
            if asking is None or asking.role != "EMSP":
                raise _RefusedError(f"{party} is no eMSP of the caller")
            if (needed := _NEEDED.get(type(command))) is not None and needed not in self._capabilities:
                raise _RefusedError(f"the EVSEs are not {needed}", "NOT_SUPPORTED")
            work = self._work(platform, asking, command)
        except _RefusedError as refused:
            return CommandDecision(refused.result, message=refused.message)
        timeout = math.ceil(self._call_timeout_s) + MARGIN_S
        self._promises.give("COMMAND", type(command).__name__, asking.id, command.response_url, timeout, None)
        return CommandDecision(ACCEPTED, timeout, work=work)

    def start(self, platform: Platform, party: PartyId, command: Command, work: Callable[[], Awaitable[Result]]) -> None:
        """Carry out an accepted command."""
        self._background.start(self._carry_out(platform, party, command, work))

    def on_reservation(self, event: Mapping[str, Any]) -> None:
        """Take a ReservationStatusUpdate: a reservation that was removed is told to its eMSP, at the URL of its order."""
        removed = self._reservations.told_by_station(event)
        if removed is not None:
            self._background.start(self._tell_canceled(removed))

    def _work(self, platform: Platform, party: Party, command: Command) -> Callable[[], Awaitable[Result]]:
        """Return what sends a command. Raises _RefusedError, OcpiError."""
        match command:
            case StartSession():
                place = self._place(command.location_id, command.evse_uid)
                _owned(party, command.token)
                return lambda: self._start(place, command)
            case ReserveNow():
                place = self._place(command.location_id, command.evse_uid)
                _owned(party, command.token)
                if command.expiry_date <= self._clock.now():
                    raise _RefusedError("expiry_date has passed")
                if not self._reservations.has_room(party.id, command.reservation_id):
                    text = f"{MOST_RESERVATIONS} reservations stand already"
                    self._findings.tell("too_many_reservations", f"RESERVE_NOW of {party.id}: {text}")
                    raise _RefusedError(text)
                return lambda: self._reserve(platform, party.id, place, command)
            case StopSession():
                return self._stop(party, command)
            case CancelReservation():
                known = self._reservations.find(party.id, command.reservation_id)
                return lambda: self._cancel(known)
            case UnlockConnector():
                place = self._place(command.location_id, command.evse_uid)
                if not command.connector_id.isdecimal() or int(command.connector_id) < 1:
                    raise OcpiError(UNKNOWN_LOCATION, f"{command.evse_uid} has no connector {command.connector_id!r}")
                connector = int(command.connector_id)
                return lambda: self._send(
                    place, "UnlockConnector", {"evseId": place.evse_id, "connectorId": connector}
                )  # fmt: skip
        raise _RefusedError("not a command of this version", "NOT_SUPPORTED")

    def _place(self, location_id: str, uid: str | None) -> _Place:
        if location_id.casefold() != self._location_id.casefold():
            raise OcpiError(UNKNOWN_LOCATION, f"no location {location_id!r}")
        if uid is None:
            station = next((one for one in self._evses if one not in self._offline), None)
            if station is None:
                raise _RefusedError("no station is connected")
            return _Place(station, 0)
        for station, evse_ids in self._evses.items():
            for evse_id in evse_ids:
                if evse_uid(station, evse_id).casefold() == uid.casefold():
                    self._must_be_online(station)
                    return _Place(station, evse_id)
        raise OcpiError(UNKNOWN_LOCATION, f"location {location_id!r} has no EVSE {uid!r}")

    def _must_be_online(self, station: str) -> None:
        if station in self._offline:
            raise _RefusedError(f"{station} is offline")

    async def _start(self, place: _Place, command: StartSession) -> Result:
        number = 1 + self._ids.number(2**31 - 1)
        grant = self._grant(command.token, command.authorization_reference)
        self._grants.note_start(place.station, number, grant)
        request = {"remoteStartId": number, "idToken": command.token.for_station(), **_evse(place)}
        result = await self._send(place, "RequestStartTransaction", request)
        if result[0] not in (ACCEPTED, "TIMEOUT"):  # a station that did not answer may have started all the same
            self._grants.forget(place.station, command.token.uid)
        return result

    def _stop(self, party: Party, command: StopSession) -> Callable[[], Awaitable[Result]]:
        record = self._sessions.find(command.session_id)
        if record is None:
            raise _RefusedError(f"no session {command.session_id}", "UNKNOWN_SESSION")
        if not record.belongs_to(party, self._own):
            raise _RefusedError(f"the session is not of a customer of {party.id}")
        if record.status not in ("ACTIVE", "PENDING"):
            raise _RefusedError(f"the session is {record.status}")
        self._must_be_online(record.target.station)
        place, transaction = _Place(record.target.station, record.target.evse_id), record.target.transaction_id
        return lambda: self._send(place, "RequestStopTransaction", {"transactionId": transaction})

    async def _reserve(self, platform: Platform, party: PartyId, place: _Place, command: ReserveNow) -> Result:
        one = self._reservations.numbered(
            platform, party, command.reservation_id, place.station, command.response_url, command.expiry_date
        )
        request = {
            "id": one.number, "expiryDateTime": utc_text(command.expiry_date), "idToken": command.token.for_station(),
            **_evse(place),
        }  # fmt: skip
        result = await self._send(place, "ReserveNow", request)
        if result[0] == ACCEPTED:
            grant = self._grant(command.token, command.authorization_reference)
            self._grants.note(place.station, grant)
            record = one.record if one.is_open and one.record is not None else None
            record = self._sessions.reserve(place.station, place.evse_id, grant, record)
            if (former := self._reservations.accepted(command.reservation_id, one, record)) is not None:
                await self._cancel(former)
        return result

    async def _cancel(self, known: Reservation | None) -> Result:
        if known is None or not known.is_open:
            return "UNKNOWN_RESERVATION", "no reservation of this party with this id"
        result = await self._send(_Place(known.station, 0), "CancelReservation", {"reservationId": known.number})
        if result[0] in (ACCEPTED, "UNKNOWN_RESERVATION"):
            self._reservations.end(known)
        return result

    def _grant(self, token: Token, reference: str | None) -> Grant:
        return Grant(token, "COMMAND", self._clock.monotonic(), reference or "")

    async def _send(self, place: _Place, action: str, request: Mapping[str, Any]) -> Result:
        """Return OCPI's word for what the station did."""
        try:
            answer = await self._stations.call(place.station, action, request)
        except CallTimeoutError as error:
            return "TIMEOUT", str(error)
        except CallRejectedError as error:
            return "NOT_SUPPORTED" if error.code in _NOT_THERE else "FAILED", str(error)
        except (StationError, SchemaError) as error:
            return "FAILED", str(error)
        busy = bool(self._sessions.at(place.station, place.evse_id))
        broken = self._connectors.get((place.station, place.evse_id)) in _BROKEN
        result = result_of(action, answer, busy=busy, broken=broken)
        info = answer.get("statusInfo") or {}
        parts = (answer.get("status"), info.get("reasonCode"), info.get("additionalInfo"))
        return result, "" if result == ACCEPTED else " ".join(str(part) for part in parts if part)

    async def _carry_out(
        self, platform: Platform, party: PartyId, command: Command, work: Callable[[], Awaitable[Result]]
    ) -> None:
        try:
            async with asyncio.timeout(self._call_timeout_s + MARGIN_S - _POST_S):
                result, reason = await work()
        except TimeoutError:
            result, reason = "TIMEOUT", "no answer in the time promised"
        if reason:
            self._findings.tell("command", f"{type(command).__name__} of {party}: {result}: {reason}")
        body = {"result": result} | _texts(reason)
        await self._promises.post(command.response_url, platform, party, body)
        self._promises.kept("COMMAND", type(command).__name__, command.response_url)

    async def _tell_canceled(self, one: Reservation) -> None:
        body = {"result": "CANCELED_RESERVATION"}
        await self._promises.post(one.response_url, one.platform, one.party, body)


def _owned(party: Party, token: Token) -> None:
    """Raise _RefusedError for a token of another eMSP."""
    if token.owner != party.id:
        raise _RefusedError(f"the token is not one of {party.id}")


def _evse(place: _Place) -> dict[str, int]:
    return {"evseId": place.evse_id} if place.evse_id else {}


def _texts(message: str) -> dict[str, Any]:
    return {"message": [{"language": "en", "text": message[:512]}]} if message else {}

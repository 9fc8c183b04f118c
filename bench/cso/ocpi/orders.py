"""Orders on charging profiles: decided at once, carried out afterwards, and reported to the response_url once.

Nothing is retried or queued for later: OCPI leaves that to the sender.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from bench.cso.arbiter import Arbiter
from bench.cso.faults import OwnFaults
from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.background import Background
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.promises import POST_S, Action, Promises
from bench.cso.ocpi.pushes import Pushes
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Party, Platform
from bench.cso.ocpi.sessions import Sessions
from bench.cso.relay import Outcome, Relay
from bench.ports import Clock
from bench.wire.ocpi.profiles import ChargingProfile
from bench.wire.ocpi.transport import PartyId

MARGIN_S: Final = 15
"""What the promised timeout adds to the deadline of an OCPP call."""


@dataclass(frozen=True, slots=True)
class Requester:
    """Who gives an order, and where the result goes."""

    platform: Platform
    party: Party
    response_url: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The synchronous answer, and the work that follows it."""

    result: str
    timeout: int = 0
    message: str = ""
    record: SessionRecord | None = None

    @property
    def data(self) -> dict[str, Any]:
        """Return the ChargingProfileResponse."""
        return {"result": self.result, "timeout": self.timeout}


class Orders:
    """Takes orders of registered parties.

    Args:
        offline: stations that are known not to be connected; kept by the owner.
        call_timeout_s: deadline of one OCPP call.
        capable: the EVSEs are CHARGING_PROFILE_CAPABLE.
        shortest_s: seconds that must pass between two PUTs (or GETs) of one party on one session; more often is TOO_OFTEN.
    """

    def __init__(
        self, clock: Clock, own: PartyId, sessions: Sessions, relay: Relay, arbiter: Arbiter, pushes: Pushes,
        promises: Promises, background: Background, findings: Findings, *, offline: dict[str, None], call_timeout_s: float,
        capable: bool, shortest_s: dict[str, float], faults: OwnFaults,
    ) -> None:  # fmt: skip
        self._clock, self._own, self._sessions = clock, own, sessions
        self._relay, self._arbiter, self._pushes, self._faults = relay, arbiter, pushes, faults
        self._promises, self._background, self._findings = promises, background, findings
        self._offline, self._call_timeout_s, self._shortest_s, self._capable = offline, call_timeout_s, shortest_s, capable

    def decide(
        self, action: Action, requester: Requester, session_id: str, profile: ChargingProfile | None = None
    ) -> Decision:
        """Return what OCPI's sender is told at once. Raises OcpiError (2001) for a response_url that must not be called."""
        self._promises.check_address(requester.platform, requester.response_url)
        found = self._sessions.find(session_id)
        record: SessionRecord | None = self._faults.apply("session", session_id, self._sessions.running(), value=found)
        if record is None:
            return Decision("UNKNOWN_SESSION", message=f"no session {session_id}")
        reason = self._refusal(action, requester.party, record)
        if reason:
            return Decision("REJECTED", message=reason)
        writer, role = str(requester.party.id), requester.party.role
        reason = "" if self._capable else "the EVSE is not CHARGING_PROFILE_CAPABLE"
        reason = reason or self._relay.not_supported(record.target)
        if not reason and profile is not None:
            reason = self._arbiter.unsupported(record, writer, role, profile)
        if reason:
            return Decision("NOT_SUPPORTED", message=reason)
        if self._too_often(action, record, requester.party.id):
            return Decision("TOO_OFTEN", message=f"one {action} in {self._shortest_s[action]:g} s by one party on one session")
        new = action == "PUT" and self._arbiter.hold(record, writer, role)
        timeout_s = math.ceil(self._call_timeout_s) + MARGIN_S
        try:
            self._promises.give(action, record.session_id, requester.party.id, requester.response_url, timeout_s, profile)
        except OcpiError:
            if new:
                del record.steering.claims[writer]
            raise
        return Decision("ACCEPTED", timeout_s, record=record)

    def start_set(
        self, record: SessionRecord, requester: Requester, profile: ChargingProfile, answered: asyncio.Event
    ) -> None:
        """Carry out an accepted PUT; its result is not posted before `answered`."""
        if self._faults.apply("accepts", record.session_id, value=True):
            self._background.start(self._set(record, requester, profile, answered))

    def start_clear(self, record: SessionRecord, requester: Requester, answered: asyncio.Event) -> None:
        """Carry out an accepted DELETE."""
        self._background.start(self._clear(record, requester, answered))

    def start_get(self, record: SessionRecord, requester: Requester, duration_s: int, answered: asyncio.Event) -> None:
        """Carry out an accepted GET."""
        self._background.start(self._get(record, requester, duration_s, answered))

    def _refusal(self, action: Action, party: Party, record: SessionRecord) -> str:
        if not record.may_be_steered_by(party, self._own):
            return f"{party.id} ({party.role}) has no contract for this session"
        if record.status != "ACTIVE":
            return f"the session is {record.status}"
        reason = "" if action == "GET" else self._arbiter.refusal(record, str(party.id), party.role, clears=action == "DELETE")
        if reason:
            return reason
        return f"{record.target.station} is offline" if record.target.station in self._offline else ""

    def _too_often(self, action: Action, record: SessionRecord, party: PartyId) -> bool:
        shortest_s, now = self._shortest_s.get(action, 0.0), self._clock.monotonic()
        last = record.steering.asked.get((action, party))
        if last is not None and now - last < shortest_s:
            return True
        record.steering.asked[action, party] = now
        return False

    async def _set(
        self, record: SessionRecord, requester: Requester, profile: ChargingProfile, answered: asyncio.Event
    ) -> None:
        writer, role = requester.party.id, requester.party.role
        outcome = await self._within(record, self._arbiter.set(record, str(writer), role, profile))
        if outcome.word == "ACCEPTED":
            record.steering.watchers[writer] = requester.platform
            record.steering.unit = profile.charging_rate_unit
        await self._report("PUT", record, requester, outcome, answered)
        if outcome.word == "ACCEPTED":
            self._pushes.want(record)

    async def _clear(self, record: SessionRecord, requester: Requester, answered: asyncio.Event) -> None:
        outcome = await self._within(record, self._arbiter.clear(record, str(requester.party.id)))
        await self._report("DELETE", record, requester, outcome, answered)
        if outcome.word == "ACCEPTED":
            self._pushes.want(record)

    async def _get(self, record: SessionRecord, requester: Requester, duration_s: int, answered: asyncio.Event) -> None:
        asking = self._relay.active_profile(record.target, duration_s, record.steering.unit)
        await self._report("GET", record, requester, await self._within(record, asking), answered)

    async def _within(self, record: SessionRecord, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Return what the station did; REJECTED once the session has ended or the promised time is nearly over.

        In the task of the order, without one of its own, which would reach the station a turn of the loop later.
        """
        loop, scope = asyncio.get_running_loop(), asyncio.timeout(self._call_timeout_s + MARGIN_S - POST_S)

        def end(over: asyncio.Future[None]) -> None:
            with suppress(RuntimeError):  # the work was done in the same turn of the loop
                scope.reschedule(loop.time())

        try:
            if record.over.done():
                return Outcome("REJECTED", "the session ended first")
            async with scope:
                record.over.add_done_callback(end)
                async with record.steering.turn:
                    return await work
        except TimeoutError:
            if not scope.expired():
                raise
            return Outcome("REJECTED", "the session ended first" if record.over.done() else "no answer in the time promised")
        finally:
            record.over.remove_done_callback(end)
            work.close()  # it never began where the order was cancelled while waiting for its turn

    async def _report(
        self, action: Action, record: SessionRecord, requester: Requester, outcome: Outcome, answered: asyncio.Event
    ) -> None:
        """POST the result, once, and not before the answer is on its way."""
        await answered.wait()
        if outcome.reason:
            text = f"{action} on session {record.session_id}: {outcome.word}: {outcome.reason}"
            self._findings.tell("profile_order", text)
        body: dict[str, Any] = {"result": outcome.word}
        if outcome.word == "ACCEPTED" and outcome.profile is not None:
            body["profile"] = outcome.profile.plain()
        await self._promises.post(requester.response_url, requester.platform, requester.party.id, body)
        self._promises.kept(action, record.session_id, requester.response_url)

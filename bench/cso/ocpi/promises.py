"""Promises of a result: each is kept, also where the platform was restarted between the answer and the result.

A promise lapses with its timeout: after that nothing is sent, for the sender takes the order for lost by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Literal

from bench.cso.arbiter import Arbiter
from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.calls import Calls, why
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Platform, Registry
from bench.cso.ocpi.sessions import Sessions
from bench.cso.profile_book import difference
from bench.cso.relay import Relay
from bench.errors import PeerError, StationError
from bench.ports import Clock
from bench.wire.ocpi.profiles import ChargingProfile
from bench.wire.ocpi.transport import CLIENT_ERROR, INVALID, PartyId
from bench.wire.ocpi.types import OcpiDateTime, OcpiModel

POST_S: Final = 5
"""What of the promised time is left for the POST of the result."""
Action = Literal["PUT", "GET", "DELETE", "COMMAND"]


class Promise(OcpiModel):
    """A result that a party was promised."""

    action: Action
    session_id: str
    """Of a COMMAND: its name."""
    country_code: str
    party_id: str
    response_url: str
    given: OcpiDateTime
    until: OcpiDateTime
    profile: ChargingProfile | None = None
    """Of a PUT."""

    @property
    def party(self) -> PartyId:
        """Return who was promised it."""
        return PartyId(self.country_code, self.party_id)


class Promises:
    """The open promises, and how those of a former life are kept."""

    def __init__(
        self, clock: Clock, registry: Registry, sessions: Sessions, relay: Relay, arbiter: Arbiter, calls: Calls,
        findings: Findings,
        want_push: Callable[[SessionRecord], None], save: Callable[[], None],
    ) -> None:  # fmt: skip
        self._clock, self._registry, self._sessions = clock, registry, sessions
        self._relay, self._arbiter, self._calls, self._findings = relay, arbiter, calls, findings
        self._want_push, self._save = want_push, save
        self.open: list[Promise] = []
        self._connected: dict[str, asyncio.Event] = {}

    def check_address(self, platform: Platform, response_url: str) -> None:
        """Raise OcpiError for a response_url that a result must not be posted to (2001), and for a platform that has left while
        its request was read (401)."""
        if platform not in self._registry.platforms:
            raise OcpiError(CLIENT_ERROR, "not registered any more", 401)
        if reason := self._calls.refusal(platform, response_url):
            self._findings.tell("address_refused", f"response_url of {platform.parties[0].id}: {reason}")
            raise OcpiError(INVALID, f"response_url: {reason}")

    def give(
        self, action: Action, session_id: str, party: PartyId, response_url: str, timeout_s: float,
        profile: ChargingProfile | None,
    ) -> None:  # fmt: skip
        """Give a promise; it is on the disk when this returns. Raises OcpiError where it cannot be."""
        now = self._clock.now()
        promise = Promise(
            action=action, session_id=session_id, country_code=party.country_code, party_id=party.party_id,
            response_url=response_url, given=now, until=now + timedelta(seconds=timeout_s), profile=profile,
        )  # fmt: skip
        self.open = [*(one for one in self.open if one.until > now), promise]
        try:
            self._save()
        except OcpiError:
            self.open.remove(promise)
            raise

    def kept(self, action: Action, session_id: str, response_url: str) -> None:
        """Forget a promise: its one POST was made."""
        for index, one in enumerate(self.open):
            if (one.action, one.session_id, one.response_url) == (action, session_id, response_url):
                del self.open[index]
                break
        with suppress(OcpiError):  # it was told; at worst the result is told twice
            self._save()

    def connected(self, station: str) -> None:
        """A station is there."""
        self._event(station).set()

    def disconnected(self, station: str) -> None:
        """A station is gone."""
        self._event(station).clear()

    async def keep(self, promise: Promise) -> None:
        """Answer for a former life: ACCEPTED where the station shows that it is so, else REJECTED, or FAILED for a command, whose
        effect cannot be read back; nothing once it is late."""
        record = self._sessions.find(promise.session_id)
        platform = next((one for one in self._registry.platforms if one.party(promise.party) is not None), None)
        left_s = (promise.until - self._clock.now()).total_seconds()
        if platform is None or left_s <= 0:
            text = f"{promise.action} {promise.session_id}: its time was over at the restart"
            self._findings.tell("promise_lapsed", text)
            self._forget(promise)
            if record is not None:
                self._arbiter.resume(record)  # nobody knows what the station has made of the order
            return
        word = "FAILED" if promise.action == "COMMAND" else "REJECTED"
        wait_s = max(0.0, left_s - POST_S)
        if record is not None and promise.action in ("PUT", "DELETE") and await self._shown(promise, record, wait_s):
            word = "ACCEPTED"
            self._arbiter.take(record, str(promise.party), promise.profile)
            if promise.profile is not None:
                record.steering.watchers[promise.party] = platform
                record.steering.unit = promise.profile.charging_rate_unit
        self._findings.tell("promise_kept", f"{promise.action} {promise.session_id}: {word} after a restart")
        await self.post(promise.response_url, platform, promise.party, {"result": word})
        self._forget(promise)
        if record is not None and promise.action in ("PUT", "DELETE"):
            self._arbiter.resume(record, windows=word == "ACCEPTED")
            self._want_push(record)

    async def _shown(self, promise: Promise, record: SessionRecord, within_s: float) -> bool:
        """Say whether the station shows that what was ordered has come about; waits for it to connect."""
        try:
            async with asyncio.timeout(within_s):
                await self._event(record.target.station).wait()
                async with record.steering.turn:
                    shown = await self._relay.installed(record.target)
        except (StationError, TimeoutError):
            return False
        if promise.profile is None:
            return all(one.get("id") not in self._relay.ids(record.target) for one in shown)
        wanted = self._arbiter.due(record, str(promise.party), promise.profile, promise.given.timestamp())
        return wanted is not None and any(not difference(wanted, one) for one in shown)

    async def post(self, url: str, platform: Platform, party: PartyId, body: dict[str, Any]) -> None:
        """POST a result, once."""
        try:
            answer = await self._calls.call("POST", url, platform, body, to=party)
        except PeerError as error:
            self._findings.tell("result_not_delivered", str(error))
            return
        if not answer.ok:
            self._findings.tell("result_refused", f"POST {url}: {why(answer)}")

    def _forget(self, promise: Promise) -> None:
        self.kept(promise.action, promise.session_id, promise.response_url)

    def _event(self, station: str) -> asyncio.Event:
        return self._connected.setdefault(station, asyncio.Event())

"""ActiveChargingProfile pushes: a party that set a profile hears of each change that the CPO knows of."""

from __future__ import annotations

from typing import Final

from bench.cso.ocpi.background import Background
from bench.cso.ocpi.calls import Calls, why
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Platform, Registry
from bench.cso.relay import Outcome, Relay
from bench.errors import PeerError
from bench.ports import Clock
from bench.wire.ocpi.mapping import same_ahead
from bench.wire.ocpi.profiles import ActiveChargingProfile
from bench.wire.ocpi.transport import PartyId, join

PUSHED_S: Final = 3600
"""How far a push looks ahead; for more the party sends a GET."""


class Pushes:
    """Asks the station and tells the watchers of a session; several wishes at once become one push."""

    def __init__(
        self, clock: Clock, relay: Relay, registry: Registry, calls: Calls, background: Background, findings: Findings
    ) -> None:
        self._clock, self._relay, self._registry, self._calls = clock, relay, registry, calls
        self._background, self._findings = background, findings

    def want(self, record: SessionRecord) -> None:
        """Something changed, or may have: look, and tell the watchers if it did."""
        steering = record.steering
        if not steering.watchers or record.ended is not None:
            return
        steering.push_wanted = True
        if not steering.pushing:
            steering.pushing = True
            self._background.start(self._push(record))

    async def _push(self, record: SessionRecord) -> None:
        steering = record.steering
        try:
            while steering.push_wanted and record.ended is None:
                steering.push_wanted = False
                await self._push_once(record)
        finally:
            steering.pushing = False

    async def _push_once(self, record: SessionRecord) -> None:
        steering = record.steering
        async with steering.turn:
            outcome = await self._relay.active_profile(record.target, PUSHED_S, steering.unit)
        profile = outcome.profile
        if outcome.word == "UNKNOWN":  # nothing limits: the EVSE's own maximum is what is due
            profile = self._relay.maximum(record.target, self._clock.now(), PUSHED_S, steering.unit)
        if profile is None:
            self._note(record, outcome)
            return
        for party, platform in list(steering.watchers.items()):
            told = steering.told.get(party)
            if record.ended is not None or (told is not None and same_ahead(told, profile)):
                continue
            known = platform in self._registry.platforms and platform.party(party) is not None
            if known and party not in platform.unreachable:
                await self._tell(record, party, platform, profile)

    async def _tell(self, record: SessionRecord, party: PartyId, platform: Platform, profile: ActiveChargingProfile) -> None:
        record.steering.told[party] = profile
        endpoint = platform.endpoints.get(("chargingprofiles", "SENDER"))
        if endpoint is None:
            self._findings.tell("push_without_endpoint", f"{party} has no chargingprofiles endpoint as SENDER")
            return
        url = join(endpoint, record.session_id)
        try:
            answer = await self._calls.call("PUT", url, platform, profile.plain(), to=party)
        except PeerError as error:
            record.steering.told.pop(party, None)
            self._findings.tell("push_not_delivered", str(error))
            return
        if not answer.ok:
            record.steering.told.pop(party, None)
            self._findings.tell("push_refused", f"PUT {url}: {why(answer)}")

    def _note(self, record: SessionRecord, outcome: Outcome) -> None:
        text = f"session {record.session_id}: no active profile to tell: {outcome.reason}"
        self._findings.tell("push_without_profile", text)

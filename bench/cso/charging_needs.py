"""ISO 15118 on the CSMS's side: needs are answered, profiles follow, the EV's schedule is judged, both renegotiate (K15-K17)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from bench.cso.core import CsmsCore, Handler, Payload
from bench.cso.profiles import Profiles
from bench.cso.station import Outbox, StationState, Transaction
from bench.domain.charging_needs import ChargingNeeds, NeedsError, Offer, tx_profile
from bench.domain.ev_schedule import ev_schedule_breaks
from bench.domain.quantities import seconds
from bench.errors import BenchError, StationError, UsageError
from bench.settings.rig import RigSettings

FIRST_PROFILE_ID: Final = 80_000
"""The profile that answers the needs on EVSE n has the id 80000 + n."""
STACK_LEVEL: Final = 2
"""Lower where the station has not so many."""
MOST_ROUNDS: Final = 3
"""Renegotiations in a row that follow a schedule of the EV which leaves the limits."""
PATIENCE_S: Final = 60.0
"""K15.FR.08: the EV waits no longer for a schedule."""

Status = Literal["Accepted", "Rejected", "Processing"]


@dataclass(frozen=True, slots=True)
class NeedsPolicy:
    """How charging needs are answered."""

    status: Status = "Accepted"
    delay_s: float = 0.0
    """From the answer to the profile; not used with Rejected."""
    schedules: int = 1
    """At most three; one is recommended (K15.FR.18)."""
    profile: Callable[[ChargingNeeds, Mapping[str, Any]], Mapping[str, Any]] | None = None
    """Makes another profile of the needs and of the one that would be sent."""
    read_back: bool = True


@dataclass(slots=True)
class Negotiation:
    """What EV and CSMS have agreed on for one transaction so far."""

    transaction_id: str
    evse_id: int
    needs: ChargingNeeds | None = None
    profile: Mapping[str, Any] | None = None
    """The last profile that the station accepted."""
    ev_schedule: Mapping[str, Any] | None = None
    """The last schedule of the EV that was accepted."""
    breaks: list[str] = field(default_factory=list)
    """How the EV's last schedule left the limits."""
    rounds: int = 0
    """Renegotiations since the EV last kept to the limits."""
    asked: int = 0
    """How often the EV has told its needs."""
    asked_for_renegotiation: bool = False
    """True from a profile of the CSMS's own accord until the EV's schedule comes (K16)."""


class Needs:
    """The negotiations of all stations. `policy` may be changed at any time."""

    def __init__(self, core: CsmsCore, profiles: Profiles, settings: RigSettings, policy: NeedsPolicy) -> None:
        self._core, self._profiles, self.policy = core, profiles, policy
        self._features = {station.id: station.features for station in settings.station}
        self._currents = {(station.id, evse.id): evse.max_current_a for station in settings.station for evse in station.evse}
        self.negotiations: dict[tuple[str, int], Negotiation] = {}
        """By station and EVSE: the last one."""
        self._heard: dict[tuple[str, int, str], tuple[int, Payload]] = {}
        self.handlers: dict[str, Handler] = {
            "NotifyEVChargingNeeds": self._needs_notified, "NotifyEVChargingSchedule": self._schedule_notified,
        }  # fmt: skip

    def heard(self, station_id: str, evse_id: int, action: str) -> tuple[int, Payload]:
        """Return how often NotifyEVChargingNeeds or NotifyEVChargingSchedule came for an EVSE of the rig, and the last one."""
        return self._heard.get((station_id, evse_id, action), (0, {}))

    def _hear(self, station: StationState, action: str, payload: Payload) -> None:
        key = (station.station_id, payload["evseId"], action)
        if key[:2] in self._currents:
            self._heard[key] = (self._heard.get(key, (0, {}))[0] + 1, payload)

    async def renegotiate(self, station_id: str, evse_id: int, profile: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send another profile for the running transaction, of the known needs where none is given; return the answer.

        Raises: UsageError without a transaction, or without needs and a profile; else as `Profiles.set`. Source: K16.
        """
        running = self._core.stations[station_id].active_transaction(evse_id)
        if running is None:
            raise UsageError(f"{station_id}: no transaction runs on EVSE {evse_id}, so there is nothing to renegotiate")
        negotiation = self._negotiation(station_id, evse_id, running)
        if profile is None and negotiation.needs is None:
            raise UsageError(f"{station_id}: the EV on EVSE {evse_id} has told no needs; name a profile")
        negotiation.rounds, negotiation.asked_for_renegotiation = 0, True
        return await self._set(station_id, negotiation, profile)

    def _negotiation(self, station_id: str, evse_id: int, running: Transaction) -> Negotiation:
        known = self.negotiations.get((station_id, evse_id))
        if known is None or known.transaction_id != running.transaction_id:
            known = self.negotiations[station_id, evse_id] = Negotiation(running.transaction_id, evse_id)
        return known

    # needs -----------------------------------------------------------------------------------------------------

    def _needs_notified(self, station: StationState, payload: Payload, out: Outbox) -> Payload:
        """K15.FR.02 to FR.05, K17.FR.02 to FR.05, K16.FR.12: answered at once; a profile follows unless it is Rejected."""
        self._hear(station, "NotifyEVChargingNeeds", payload)
        evse_id, now = payload["evseId"], self._core.station_time(station.station_id)  # departureTime is in the station's time
        running = station.active_transaction(evse_id)
        try:
            if (station.station_id, evse_id) not in self._currents:
                raise NeedsError(f"EVSE {evse_id} is not part of this rig")
            if running is None:
                raise NeedsError(f"no transaction runs on EVSE {evse_id}")
            needs = ChargingNeeds.from_ocpp(payload, seconds(now))
            if needs.dc != (self._features[station.station_id].current_type == "DC"):
                raise NeedsError(f"EVSE {evse_id} does not charge with {'DC' if needs.dc else 'AC'}")
        except NeedsError as error:
            out.findings.append(("needs_rejected", f"NotifyEVChargingNeeds: {error}"))
            return {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidValue", "additionalInfo": str(error)[:512]}}
        negotiation = self._negotiation(station.station_id, evse_id, running)
        if negotiation.asked_for_renegotiation:
            text = f"the EV's needs were sent while the CSMS renegotiates on EVSE {evse_id} (K16.FR.09); a profile is sent again"
            out.findings.append(("needs_during_renegotiation", text))
        negotiation.asked += 1
        station.needs_told.add(evse_id)
        again, negotiation.needs, negotiation.rounds = negotiation.needs is not None, needs, 0
        policy = self.policy
        out.tell("charging_needs", station, evse=evse_id, status=policy.status, again=again, needs=payload["chargingNeeds"])
        if policy.status != "Rejected":
            work = self._answer_needs(station.station_id, negotiation, policy, self._core.clock.monotonic())
            self._core.spawn(station.station_id, f"needs of EVSE {evse_id}", work)
        return {"status": policy.status}

    async def _answer_needs(self, station_id: str, negotiation: Negotiation, policy: NeedsPolicy, asked_s: float) -> None:
        """K15.FR.07, FR.08, K17.FR.07, FR.08: send the profile of the needs; one that goes after 60 s is a finding."""
        mine = negotiation.asked
        if policy.delay_s and await self._core.wait_until(lambda: negotiation.asked != mine, policy.delay_s):
            return  # newer needs came meanwhile, and are next
        took_s = self._core.clock.monotonic() - asked_s
        if policy.status == "Accepted" and took_s > PATIENCE_S:
            text = f"the profile for EVSE {negotiation.evse_id} goes {took_s:.0f} s after the needs, not within 60 s (K15.FR.08)"
            self._core.finding(station_id, "needs_profile_late", text, source="bench")
        await self._set(station_id, negotiation, None)

    async def _set(self, station_id: str, negotiation: Negotiation, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Send the profile; it replaces the one before (K01.FR.05)."""
        evse_id = negotiation.evse_id
        running = self._core.stations[station_id].active_transaction(evse_id)
        if running is None or running.transaction_id != negotiation.transaction_id:
            raise StationError(f"transaction {negotiation.transaction_id[:60]} ended before its profile was sent")
        before, negotiation.profile = negotiation.profile, given if given is not None else self._profile(station_id, negotiation)
        try:
            answer = await self._profiles.set(
                station_id, evse_id, negotiation.profile, read_back=self.policy.read_back, by="needs"
            )
        except BenchError:
            negotiation.profile = before
            raise
        if answer["status"] != "Accepted":
            negotiation.profile = before
            text = f"the profile that answers the needs on EVSE {evse_id} was answered with {answer['status']} (K16.FR.01)"
            self._core.finding(station_id, "needs_profile_refused", text)
        return answer

    def _profile(self, station_id: str, negotiation: Negotiation) -> Mapping[str, Any]:
        assert negotiation.needs is not None
        made = tx_profile(
            negotiation.needs, self._offer(station_id, negotiation.evse_id), seconds(self._core.station_time(station_id)),
            profile_id=FIRST_PROFILE_ID + negotiation.evse_id,
            stack_level=min(STACK_LEVEL, self._features[station_id].profile_stack_level),
            transaction_id=negotiation.transaction_id, schedules=self.policy.schedules,
        )  # fmt: skip
        return made if self.policy.profile is None else self.policy.profile(negotiation.needs, made)

    def _offer(self, station_id: str, evse_id: int) -> Offer:
        features = self._features[station_id]
        return Offer(
            features.rate_units, features.nominal_voltage_v, features.supply_phases,
            self._currents[station_id, evse_id], features.periods_per_schedule,
        )  # fmt: skip

    # the EV's schedule -----------------------------------------------------------------------------------------

    def _schedule_notified(self, station: StationState, payload: Payload, out: Outbox) -> Payload:
        """K15.FR.11 to FR.13, K16.FR.06 to FR.08, K17.FR.11 to FR.13."""
        self._hear(station, "NotifyEVChargingSchedule", payload)
        evse_id, running = payload["evseId"], station.active_transaction(payload["evseId"])
        negotiation = self.negotiations.get((station.station_id, evse_id))
        known = negotiation is not None and running is not None and negotiation.transaction_id == running.transaction_id
        if running is not None and (negotiation is None or not known or negotiation.profile is None):
            out.tell("ev_schedule", station, evse=evse_id, status="Accepted", breaks=[], schedule=payload["chargingSchedule"])
            return {"status": "Accepted"}  # no schedule of ours is there that it could leave
        if negotiation is None or not known or negotiation.profile is None:
            text = f"NotifyEVChargingSchedule on EVSE {evse_id}: no profile was sent that it could follow"
            out.findings.append(("ev_schedule_unexpected", text))
            return _rejected(text)
        sent, theirs = negotiation.profile["chargingSchedule"], payload["chargingSchedule"]
        if theirs["id"] not in [one["id"] for one in sent]:
            text = f"the EV's schedule names {theirs['id']}, which is none that was sent on EVSE {evse_id} (K15.FR.19)"
            out.findings.append(("ev_schedule_unknown_id", text))
        needs = negotiation.needs
        dc = self._features[station.station_id].current_type == "DC"
        breaks = ev_schedule_breaks(
            payload, negotiation.profile, self._offer(station.station_id, evse_id), dc=dc, ev_phases=needs.phases if needs else 3
        )
        negotiation.breaks, negotiation.asked_for_renegotiation = breaks, False
        status = "Rejected" if breaks else "Accepted"
        out.tell("ev_schedule", station, evse=evse_id, status=status, breaks=breaks[:10], schedule=theirs)
        if not breaks:
            negotiation.ev_schedule, negotiation.rounds = theirs, 0
            return {"status": "Accepted"}
        out.findings.append(("ev_schedule_outside", f"EVSE {evse_id}: {'; '.join(breaks[:5])} (K15.FR.12)"))
        self._go_another_round(station.station_id, negotiation, out)
        return _rejected(breaks[0])

    def _go_another_round(self, station_id: str, negotiation: Negotiation, out: Outbox) -> None:
        """Renegotiate after a rejection (K15.FR.13, K16.FR.08, K17.FR.13), a bounded number of times."""
        if negotiation.needs is None or negotiation.rounds >= MOST_ROUNDS:
            text = f"EVSE {negotiation.evse_id}: no further renegotiation after {negotiation.rounds}"
            out.findings.append(("renegotiation_given_up", text))
            return
        negotiation.rounds += 1
        negotiation.asked_for_renegotiation = True
        self._core.spawn(station_id, f"needs of EVSE {negotiation.evse_id}", self._next_round(station_id, negotiation))

    async def _next_round(self, station_id: str, negotiation: Negotiation) -> None:
        await self._set(station_id, negotiation, None)


def _rejected(why: str) -> Payload:
    return {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidSchedule", "additionalInfo": why[:512]}}

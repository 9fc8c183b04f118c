"""Charging with high level communication: the station between an ISO 15118 EV and the CSMS, one session per transaction.

    setup -> waiting (needs told, a TxProfile is due) -> agreeing (schedules offered, the EV answers) -> agreed
    agreed -> agreeing, when the EVSE's composite schedule changes (K16); agreed -> waiting, when the EV asks (K17)

The pilot keeps a nominal duty cycle, which ISO 15118-2 permits beside the digital limits: it is the limit that holds in any
state, so that a lower one acts at once, whatever the EV still negotiates (K16.FR.11). An EV that has not agreed yet draws
nothing. Source: OCPP 2.0.1 Part 2, K15, K16, K17, with errata 2025-01 (FR.21) and 2025-09 (K15.FR.22, K16.FR.02).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal

from ocpp.v201 import call

from firmware_sim.charging import ChargingControl
from firmware_sim.clock import Clock, seconds_of, text_of
from firmware_sim.ev_needs import DEFAULT_HORIZON_S, Schedule, charging_needs, choose, differ, ev_answer, shortened, within
from firmware_sim.notices import Notices
from firmware_sim.plant import EvsePlant
from firmware_sim.profiles import TX, Criteria, Period, Profile, with_schedule
from firmware_sim.seam import Seam
from firmware_sim.validation import Refusal

SETUP_S: Final = 5.0
"""From the start of the transaction to the EV's ChargeParameterDiscoveryReq."""
PROFILE_PATIENCE_S: Final = 60.0
"""How long the EV waits for its schedule: the time-out of ChargeParameterDiscovery (K15.FR.08)."""
AGREE_S: Final = 2.0
"""From the offer of schedules to the EV's PowerDeliveryReq."""
MAX_SCHEDULES: Final = 3
PLAN_STACK_LEVEL: Final = 2**31
"""Above all others: the EV's accepted schedule leads in the composite schedule."""
State = Literal["setup", "waiting", "agreeing", "agreed"]


@dataclass(slots=True)
class Session:
    """The communication with one EV."""

    transaction_id: str
    departure: float | None
    """Seconds since 1970 UTC."""
    state: State = "setup"
    index: int = 0
    """Which of several schedules the EV chose, from 0."""
    offered: Schedule | None = None
    """The composite schedule that the EV chose."""
    own: Schedule | None = None
    """The EV's own schedule, which it keeps to; None: it follows the limit."""
    inside: bool = True
    """The EV's schedule lies inside what it was offered (K15.FR.09, K16.FR.04, K17.FR.09)."""
    accepted: Schedule | None = None
    """What the CSMS accepted of it, for the composite schedule (K15.FR.14, K16.FR.10, K17.FR.14)."""
    rejected: bool = False
    """The CSMS refused the EV's schedule; the next one stays inside."""
    seen: list[Profile] = field(default_factory=list)
    """The transaction's TxProfiles when the session last looked."""
    untold: bool = False


class HighLevelCommunication:
    """The ISO 15118 sessions of one station."""

    def __init__(
        self, plants: Mapping[int, EvsePlant], charging: ChargingControl, notices: Notices, clock: Clock, faults: Seam,
        *, units: Sequence[str], voltage_v: float, dc: bool,
    ) -> None:  # fmt: skip
        """`units`: the ChargingRateUnits of the station; `voltage_v`: nominal; `dc`: its EVSEs give DC."""
        self._units, self._voltage_v, self._dc = units, voltage_v, dc
        self._plants, self._charging, self._notices, self._clock, self._faults = plants, charging, notices, clock, faults
        self._sessions: dict[int, Session] = {}
        self._timers: dict[tuple[int, str], asyncio.TimerHandle] = {}
        charging.overlay = self.overlay
        charging.watchers.append(self._look)

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        for handle in self._timers.values():
            handle.cancel()

    def refusal(self, profile: Profile) -> Refusal | None:
        """Return why an otherwise sound profile is refused for its session, or for having none."""
        session = self._sessions.get(profile.evse_id)
        if session is None or profile.purpose != TX or profile.transaction_id != session.transaction_id:
            several = len(profile.schedules) > 1
            return Refusal("InvalidSchedule", "one chargingSchedule without ISO 15118", "K01.FR.34") if several else None
        if session.state == "setup":
            return Refusal("InvalidMessageSeq", "the EV has not told its charging needs yet", "K15.FR.17")
        most = self._plants[profile.evse_id].needs.max_schedule_tuples
        if any(len(one["charging_schedule_period"]) > most for one in profile.received["charging_schedule"]):
            return Refusal("InvalidSchedule", f"the EV takes at most {most} periods per schedule", "K15.FR.07")
        return None

    def renegotiate(self, evse_id: int, needs: Mapping[str, float | str]) -> None:
        """K17: the EV tells new charging needs. Raises ValueError where no session has agreed, or on wrong needs."""
        plant, session = self._plants[evse_id], self._sessions.get(evse_id)
        if not plant.needs.iso15118:
            raise ValueError("renegotiate: this EV does not speak ISO 15118")
        if session is None or session.state != "agreed":
            raise ValueError(f"renegotiate: EVSE {evse_id} has no agreed ISO 15118 session")
        plant.vehicle(needs)
        session.rejected = False
        if "departure_s" in needs:
            session.departure = self._departure(plant)
        self._tell_needs(evse_id, session)

    def accepted(self) -> None:
        """The link is back: tell the EV's schedule where that got lost (SC.02)."""
        for evse_id, session in self._sessions.items():
            if session.untold:
                self._tell_schedule(evse_id, session)

    def overlay(self, profiles: Sequence[Profile], planned: bool) -> list[Profile]:
        """Return the profiles as the sessions make them: the chosen schedule of several, and what the EVs plan.

        Args:
            planned: put the EV's accepted schedule in front (SC.04, K15.FR.14, K16.FR.10, K17.FR.14); for reports, the pilot
                keeps to what the CSMS allows.
        """
        result = list(profiles)
        for evse_id, session in self._sessions.items():
            result = _combined(result, session.transaction_id, session.index)
            if planned and session.accepted is not None:
                result.append(_as_profile(evse_id, session.transaction_id, session.accepted))
        return result

    def _look(self) -> None:
        """Follow transactions that began or ended, and profiles that changed.

        The needs come after the TransactionEvent that began with an idToken: the CSMS knows whose they are (K15.FR.16).
        """
        running = self._charging.transactions
        for evse_id, session in list(self._sessions.items()):
            if running.get(evse_id) != session.transaction_id:
                self._end(evse_id)
        for evse_id, transaction_id in running.items():
            known, plant = self._sessions.get(evse_id), self._plants[evse_id]
            if known is None and plant.needs.iso15118:
                self._sessions[evse_id] = session = Session(transaction_id, self._departure(plant))
                plant.plan(0.0)
                self._after(evse_id, "setup", SETUP_S, partial(self._tell_needs, evse_id, session))
            elif known is not None:
                self._follow(evse_id, known)

    def _follow(self, evse_id: int, session: Session) -> None:
        """K15.FR.07: take the profile that is waited for. K16.FR.01, FR.02: renegotiate when profiles or the composite change."""
        now = self._tx_profiles(session)
        renewed = any(all(one is not other for other in session.seen) for one in now)
        if session.state == "waiting" and renewed:
            self._negotiate(evse_id, session)
        elif session.state == "agreed":
            assert session.offered is not None
            t = float(math.floor(seconds_of(self._clock.now())))
            offers = self._offers(evse_id, session, t)
            chosen = offers[session.index] if session.index < len(offers) else offers[0]
            if renewed or len(now) != len(session.seen) or differ(session.offered, chosen, t):
                session.seen = now
                if self._faults.apply("needs_in_renegotiation", evse_id, value=False):
                    self._tell_needs(evse_id, session)
                else:
                    self._negotiate(evse_id, session)

    def _tell_needs(self, evse_id: int, session: Session) -> None:
        """K15.FR.01, K17.FR.01; offline the EV is offered what the station knows by itself (K15.FR.15, K17.FR.15)."""
        session.seen = self._tx_profiles(session)
        if not self._notices.online:
            self._negotiate(evse_id, session)
            return
        session.state = "waiting"
        self._after(evse_id, "patience", PROFILE_PATIENCE_S, lambda: self._negotiate(evse_id, session))
        plant = self._plants[evse_id]
        departure = None if session.departure is None else text_of(datetime.fromtimestamp(session.departure, UTC))
        content = charging_needs(plant.needs, departure=departure, dc=self._dc, **plant.ev_data())
        payload = call.NotifyEVChargingNeeds(
            charging_needs=content, evse_id=evse_id, max_schedule_tuples=plant.needs.max_schedule_tuples
        )

        def answered(answer: Any) -> None:
            if session.state == "waiting" and (answer is None or answer.status != "Accepted"):
                self._negotiate(evse_id, session)  # Rejected, or Processing: a later profile renegotiates (K16)

        self._notices.put(payload, answered=answered, lost=lambda: answered(None))

    def _negotiate(self, evse_id: int, session: Session) -> None:
        """Offer schedules to the EV; its answer comes after a moment, from what holds then."""
        if self._sessions.get(evse_id) is not session:
            return
        self._cancel(evse_id, "patience")
        session.state, session.accepted = "agreeing", None
        self._after(evse_id, "agree", AGREE_S, lambda: self._agree(evse_id, session))

    def _agree(self, evse_id: int, session: Session) -> None:
        """Let the EV choose and answer (K15.FR.09, FR.10, FR.19, FR.21; K16.FR.03 to FR.05)."""
        plant = self._plants[evse_id]
        t = float(math.floor(seconds_of(self._clock.now())))
        offers = self._offers(evse_id, session, t)
        chosen = choose(offers, plant.ev_data()["max_current_a"])
        wish = plant.needs.ev_profile
        session.own = ev_answer(chosen, "inside" if session.rejected and wish == "outside" else wish)
        session.index, session.offered, session.state = offers.index(chosen), chosen, "agreed"
        session.accepted, session.seen = None, self._tx_profiles(session)
        told = session.own or chosen
        session.inside = self._faults.apply("ev_schedule_check", evse_id, told, value=within(told, chosen))
        self._charging.decide()
        self._drive(evse_id, session)
        if session.own is not None or session.seen:
            self._tell_schedule(evse_id, session)

    def _tell_schedule(self, evse_id: int, session: Session) -> None:
        """Forward the EV's schedule; where it returned none, the one it chose (K15.FR.19, K16.FR.13, K17.FR.16).

        Either names the id of the chosen schedule (K16.FR.14).
        """
        told = session.own or session.offered
        assert told is not None
        session.untold = False

        def answered(answer: Any) -> None:
            if answer is None or told is not (session.own or session.offered):
                return
            session.rejected = answer.status != "Accepted"
            if session.inside and not session.rejected and session.own is not None and session.state == "agreed":
                session.accepted = told

        def lost() -> None:
            session.untold = session.state == "agreed"

        time_base = text_of(datetime.fromtimestamp(told.start, UTC))
        content = self._content(session, told)
        payload = call.NotifyEVChargingSchedule(time_base=time_base, charging_schedule=content, evse_id=evse_id)
        if self._notices.online:
            self._notices.put(payload, answered=answered, lost=lost)
        else:
            lost()

    def _content(self, session: Session, told: Schedule) -> Any:
        """Return a ChargingScheduleType in the unit that the CSMS speaks, W at nominal voltage."""
        own = self._tx_profiles(session)
        unit = own[0].unit if own else "A" if "A" in self._units else "W"
        factor = 1.0 if unit == "A" else self._voltage_v * told.number_phases
        phases = {} if self._dc else {"number_phases": told.number_phases}
        return {
            "id": told.id,
            "duration": told.duration_s,
            "charging_rate_unit": unit,
            "charging_schedule_period": [
                {"start_period": at, "limit": round(limit * factor, 1), **phases} for at, limit in told.steps
            ],
        }

    def _drive(self, evse_id: int, session: Session) -> None:
        """Let the EV keep to its own schedule; beyond its end, or without one, it takes what the pilot offers."""
        t = seconds_of(self._clock.now())
        own = session.own
        amperes = math.inf if own is None else own.limit_at(max(t, own.start))
        self._plants[evse_id].plan(self._faults.apply("ev_plan", evse_id, value=amperes))
        if own is not None and (due := own.next_edge(t)) != math.inf:
            self._after(evse_id, "drive", max(due - t, 1e-3), lambda: self._drive(evse_id, session))
        else:
            self._cancel(evse_id, "drive")

    def _offers(self, evse_id: int, session: Session, t: float) -> list[Schedule]:
        """K15.FR.22: up to three composite schedules, the first TxProfile schedules together, the second, the third."""
        own = sorted(self._tx_profiles(session), key=lambda one: -one.stack_level)
        count = min(max((len(one.schedules) for one in own), default=1), MAX_SCHEDULES)
        duration = max(1, math.ceil(session.departure - t)) if session.departure is not None else DEFAULT_HORIZON_S
        most = self._plants[evse_id].needs.max_schedule_tuples
        offers = []
        for index in range(count):
            profiles = _combined(self._charging.store, session.transaction_id, index)
            composite = self._charging.expected(profiles, evse_id, t, duration, "A")
            steps = shortened([(one.start_s, one.limit) for one in composite], most)
            ids = [one.schedules[index].id for one in own if index < len(one.schedules)]
            offers.append(Schedule(ids[0] if ids else 1, t, duration, steps, composite[0].number_phases))
        return offers

    def _tx_profiles(self, session: Session) -> list[Profile]:
        found = self._charging.store.matching(Criteria(purpose=TX))
        return [one for one in found if one.transaction_id == session.transaction_id]

    def _departure(self, plant: EvsePlant) -> float | None:
        within_s = plant.needs.departure_s
        return None if within_s is None else seconds_of(self._clock.now()) + within_s

    def _end(self, evse_id: int) -> None:
        del self._sessions[evse_id]
        for name in ("setup", "patience", "agree", "drive"):
            self._cancel(evse_id, name)
        self._plants[evse_id].plan(math.inf)

    def _after(self, evse_id: int, name: str, seconds: float, action: Callable[[], None]) -> None:
        self._cancel(evse_id, name)
        self._timers[evse_id, name] = asyncio.get_running_loop().call_later(seconds, action)

    def _cancel(self, evse_id: int, name: str) -> None:
        if handle := self._timers.pop((evse_id, name), None):
            handle.cancel()


def _combined(profiles: Sequence[Profile] | Any, transaction_id: str, index: int) -> list[Profile]:
    """Return the profiles with schedule number `index` in each TxProfile of a transaction; those without one are left out.

    Where none has one (a shorter list came after the choice), the first counts.
    """
    here = [one for one in profiles if one.purpose == TX and one.transaction_id == transaction_id]
    if all(index >= len(one.schedules) for one in here):
        index = 0
    result = []
    for one in profiles:
        chosen = with_schedule(one, index) if one.purpose == TX and one.transaction_id == transaction_id else one
        if chosen is not None:
            result.append(chosen)
    return result


def _as_profile(evse_id: int, transaction_id: str, plan: Schedule) -> Profile:
    """Return an EV's schedule as the TxProfile that leads all others."""
    periods = tuple(Period(at, limit, plan.number_phases) for at, limit in plan.steps)
    return Profile(
        id=0, evse_id=evse_id, stack_level=PLAN_STACK_LEVEL, purpose=TX, kind="Absolute", recurrency=None,
        transaction_id=transaction_id, valid_from=None, valid_to=None, unit="A", start=plan.start,
        duration_s=float(plan.duration_s), periods=periods, received={},
    )  # fmt: skip

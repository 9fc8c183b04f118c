"""From profiles to duty cycles: decides at the moments that matter what each EVSE may offer, and applies it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from firmware_sim.clock import Clock, seconds_of
from firmware_sim.composite import Composite, CompositePeriod, EvseView, StationView, composite_schedule
from firmware_sim.limiter import Limiter, Ruling, Situation, lowest, share
from firmware_sim.outlet import Offer, Outlet, OutletDriver
from firmware_sim.pilot import MIN_CURRENT_A
from firmware_sim.profiles import Profile, ProfileStore
from firmware_sim.random_delay import RandomDelay
from firmware_sim.seam import Seam


@dataclass(frozen=True, slots=True)
class Running:
    """A transaction: its id, and its start in seconds since 1970."""

    transaction_id: str
    start: float


@dataclass(frozen=True, slots=True)
class ChargingRules:
    """How one station charges."""

    limiter: Limiter
    pwm_delay_s: float
    """From a decision to the new duty cycle."""
    switch_pause_s: float = 10.0
    """How long it offers nothing when it switches phases."""
    phase_switching: bool = False
    """It can go from all phases to fewer and back (Phases3to1 or ACPhaseSwitchingSupported)."""
    phase_choice: bool = False
    """It can put one phase on any of its lines (ACPhaseSwitchingSupported)."""
    max_current_a: float | None = None
    """The station's own limit, A per phase over all EVSEs (K04.FR.02)."""
    local_limit: str = "filler"

    def lines(self, outlet: Outlet, ruling: Ruling | None) -> tuple[int, ...]:
        """Return the EVSE's own phases (0 to 2) to charge on (K01.FR.46, FR.47); all where nothing asks for fewer.

        A station that knows only one and all phases goes to one where two are asked for: numberPhases is a maximum.
        """
        everything = tuple(range(outlet.phases))
        if ruling is None or not self.phase_switching or ruling.number_phases >= outlet.phases:
            return everything
        if ruling.number_phases == 1 and ruling.phase_to_use and self.phase_choice:
            return (min(ruling.phase_to_use, outlet.phases) - 1,)
        return everything[: ruling.number_phases if self.phase_choice else 1]


class ChargingControl:
    """Holds the profile store of one station and drives its pilots. It wakes up only when a period begins or ends."""

    def __init__(self, outlets: Sequence[Outlet], clock: Clock, faults: Seam, rules: ChargingRules, delay: RandomDelay) -> None:
        self.store = ProfileStore()
        self.limiter = rules.limiter
        self._outlets = {outlet.evse_id: outlet for outlet in outlets}
        self._clock, self._faults, self._rules = clock, faults, rules
        self._running: dict[int, Running] = {}
        self.delay = delay
        self._drivers = {
            outlet.evse_id: OutletDriver(outlet, clock, pwm_delay_s=rules.pwm_delay_s, switch_pause_s=self._switch_pause_s)
            for outlet in outlets
        }
        self._timer: asyncio.TimerHandle | None = None
        self.overlay: Callable[[Sequence[Profile], bool], list[Profile]] = lambda profiles, _: list(profiles)
        """What becomes of the installed profiles before they rule; the flag says that it is for a report."""
        self.watchers: list[Callable[[], None]] = []
        """Called after each change of transactions or profiles."""

    @property
    def transactions(self) -> Mapping[int, str]:
        """The running transaction's id by EVSE."""
        return {evse_id: running.transaction_id for evse_id, running in self._running.items()}

    def begin(self, evse_id: int, transaction_id: str, start: float, *, at_once: bool = False) -> None:
        """Let an EVSE charge: its pilot now says how much it may draw (K02.FR.02). `at_once`: without a random delay."""
        self.delay.end(evse_id)
        if not at_once:
            self.delay.draw(evse_id, seconds_of(self._clock.now()))
        self._running[evse_id] = Running(transaction_id, start)
        self.decide()

    def end(self, evse_id: int) -> None:
        """Stop the PWM at once and forget the transaction and its TxProfiles (K02.FR.05)."""
        transaction_id = self._running.pop(evse_id).transaction_id
        gone: list[Profile] = self._faults.apply(
            "end_transaction", transaction_id, value=self.store.of_transaction(transaction_id)
        )
        self.store.delete(gone)
        self.delay.end(evse_id)
        self._drivers[evse_id].stop()
        self.decide()

    def act_at_once(self) -> None:
        """Decide without any delay: what the CSMS or the driver asks for now overrides it."""
        self.delay.end()
        self.decide()

    def offered_a(self, evse_id: int) -> float:
        """Return the current per phase that the pilot offers now."""
        return self._outlets[evse_id].plant.offered_a

    def clock_stepped(self, seconds: float) -> None:
        """Follow a clock that was put forward: what has lasted a while has lasted as long as before."""
        self._running = {evse_id: replace(one, start=one.start + seconds) for evse_id, one in self._running.items()}
        self.decide()

    def decide(self, due: float = -math.inf) -> None:
        """Look at the profiles as they are now, apply what changes, and arm the timer for the next change.

        Each EVSE has a limit of its own (K04.FR.01). The link to the CSMS has no say: offline the installed profiles rule on
        (K06.FR.01, K07.FR.01), and where there is none, only what the EVSE can (K06.FR.02).
        """
        t = max(due, seconds_of(self._clock.now()))
        session: dict[int, Ruling | None] = {}
        changes = [self._next_change(Situation(0, t))]
        for evse_id, running in self._running.items():
            now = Situation(evse_id, t, running.transaction_id, running.start)
            session[evse_id] = self.limiter.ruling(
                self._seen(now), evse_id, t, transaction_id=running.transaction_id, transaction_start=running.start,
                with_shared=False,
            )  # fmt: skip
            changes.append(self._next_change(now))
        cap = self.limiter.shared(self._seen(Situation(0, t)), t)
        for (evse_id, ruling), amps in zip(session.items(), self._sound(session, cap), strict=True):
            outlet = self._outlets[evse_id]
            merged = lowest(ruling, cap)
            amps = self._faults.apply("limit_a", evse_id, t, merged, outlet.max_current_a, value=amps)
            lines = self._faults.apply("lines", evse_id, outlet.phases, value=self._rules.lines(outlet, merged))
            offer = Offer(min(amps, outlet.max_current_a), lines)
            if due != -math.inf and self._drivers[evse_id].would_change(offer):
                self.delay.draw(evse_id, t)
            changes.append(self.delay.due(evse_id, t))
            if not self.delay.waits(evse_id, t):
                self._drivers[evse_id].decide(offer)
                self.delay.end(evse_id)
        self._arm(min(changes))
        if due == -math.inf:
            for watcher in self.watchers:
                watcher()

    def composite(self, evse_id: int, start: float, duration_s: int, unit: str) -> Composite:
        """Return what GetCompositeSchedule reports, from `start` (whole seconds since 1970)."""
        profiles: list[Profile] = self._faults.apply("composite_profiles", start, value=self.overlay(list(self.store), True))
        profiles = self._faults.apply("composite_window", duration_s, value=profiles)
        station = StationView(self._views(), self._rules.max_current_a, self._rules.local_limit)
        found = composite_schedule(profiles, self.limiter, station, evse_id, start, duration_s, unit, seam=self._faults)
        return replace(found, periods=self._faults.apply("composite", evse_id, value=found.periods))

    def _switch_pause_s(self) -> float:
        return float(self._faults.apply("switch_pause", value=self._rules.switch_pause_s))

    def rate_changed(self, evse_id: int, told: bool) -> bool:
        """Return whether a changed charging rate is told."""
        return bool(self._faults.apply("rate_changed", evse_id, value=told))

    def expected(
        self, profiles: Sequence[Profile], evse_id: int, start: float, duration_s: int, unit: str
    ) -> list[CompositePeriod]:
        """Return the composite schedule of these profiles, from `start` (whole seconds since 1970)."""
        station = StationView(self._views(), self._rules.max_current_a, self._rules.local_limit)
        return composite_schedule(profiles, self.limiter, station, evse_id, start, duration_s, unit).periods

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        if self._timer:
            self._timer.cancel()
        for driver in self._drivers.values():
            driver.close()

    def _views(self) -> list[EvseView]:
        views = []
        for outlet in self._outlets.values():
            running = self._running.get(outlet.evse_id)
            transaction = (running.transaction_id, running.start) if running else (None, None)
            phases = 1 if outlet.dc else outlet.phases
            views.append(EvseView(outlet.evse_id, outlet.max_current_a, phases, *transaction))
        return views

    def _seen(self, now: Situation) -> list[Profile]:
        seen = self._faults.apply("profiles", now, value=self.overlay(list(self.store), False))
        applied: list[Profile] = self._faults.apply("applied", now, value=seen)
        return applied

    def _next_change(self, now: Situation) -> float:
        return self.limiter.next_change(self._seen(now), now.t, now.transaction_start)

    def _sound(self, session: Mapping[int, Ruling | None], cap: Ruling | None) -> list[float]:
        """Return the amperes per phase of each EVSE as a sound station applies them."""
        wanted = []
        for evse_id, ruling in session.items():
            max_a = self._outlets[evse_id].max_current_a
            wanted.append(min(ruling.amps, max_a) if ruling else max_a)
        own = math.inf if self._rules.max_current_a is None else self._rules.max_current_a
        total = min(own, cap.amps if cap else math.inf)
        if total == math.inf:
            return wanted
        given: list[float] = self._faults.apply("share", total, wanted, value=share(total, wanted, self._least()))
        return given

    def _least(self) -> float:
        """Return the least current that can be offered at all."""
        return 0.0 if self.limiter.dc else MIN_CURRENT_A

    def _arm(self, due: float) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._running and due != math.inf:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - seconds_of(self._clock.now())), self.decide, due)

"""From profiles to duty cycles: decides at the moments that matter what each EVSE may offer, and applies it."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firmware_sim.clock import Clock, seconds_of
from firmware_sim.composite import CompositePeriod, EvseView, composite_schedule
from firmware_sim.faults import FaultSeam
from firmware_sim.limiter import Limiter, Ruling, lowest, next_change, share
from firmware_sim.pilot import current_for, duty_for
from firmware_sim.plant import EvsePlant
from firmware_sim.profiles import Profile, ProfileStore


@dataclass(frozen=True, slots=True)
class Outlet:
    """One EVSE as the limiter sees it."""

    evse_id: int
    max_current_a: float
    """Its own limit per phase, from its rating plate."""
    phases: int
    plant: EvsePlant


@dataclass(frozen=True, slots=True)
class Running:
    """A transaction: its id, and its start in seconds since 1970."""

    transaction_id: str
    start: float


class ChargingControl:
    """Holds the profile store of one station and drives its pilots. It wakes up only when a period begins or ends."""

    def __init__(
        self, outlets: Sequence[Outlet], clock: Clock, faults: FaultSeam, *, voltage_v: float, pwm_delay_s: float
    ) -> None:
        """`voltage_v`: nominal; `pwm_delay_s`: from a decision to the new duty cycle."""
        self.store = ProfileStore()
        self._outlets = {outlet.evse_id: outlet for outlet in outlets}
        self._clock, self._faults, self._pwm_delay_s = clock, faults, pwm_delay_s
        self._limiter = Limiter(voltage_v)
        self._running: dict[int, Running] = {}
        self._decided: dict[int, float] = {}
        self._due: dict[int, deque[tuple[float, float]]] = {evse_id: deque() for evse_id in self._outlets}
        """By EVSE: when to apply how many amperes, in order."""
        self._applying: dict[int, asyncio.TimerHandle] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.overlay: Callable[[Sequence[Profile], bool], list[Profile]] = lambda profiles, _: list(profiles)
        """What becomes of the installed profiles before they rule; the flag says that it is for a report."""
        self.watchers: list[Callable[[], None]] = []
        """Called after each change of transactions or profiles."""

    @property
    def transactions(self) -> Mapping[int, str]:
        """The running transaction's id by EVSE."""
        return {evse_id: running.transaction_id for evse_id, running in self._running.items()}

    def begin(self, evse_id: int, transaction_id: str, start: float) -> None:
        """Let an EVSE charge."""
        self._running[evse_id] = Running(transaction_id, start)
        self.decide()

    def end(self, evse_id: int) -> None:
        """Stop the PWM at once and forget the transaction and its TxProfiles (K02.FR.05)."""
        self.store.end_transaction(self._running.pop(evse_id).transaction_id)
        self._decided.pop(evse_id, None)
        self._due[evse_id].clear()
        if handle := self._applying.pop(evse_id, None):
            handle.cancel()
        self._outlets[evse_id].plant.offer(None)
        self.decide()

    def offered_a(self, evse_id: int) -> float:
        """Return the current per phase that the pilot offers now."""
        return current_for(self._outlets[evse_id].plant.duty_percent)

    def decide(self, due: float = -math.inf) -> None:
        """Look at the profiles as they are now, apply what changes, and arm the timer for the next change."""
        t = max(due, seconds_of(self._clock.now()))
        profiles = self._faults.apply("profiles", None, value=self.overlay(list(self.store), False))
        session: dict[int, Ruling | None] = {}
        for evse_id, running in self._running.items():
            session[evse_id] = self._limiter.ruling(
                profiles, evse_id, t, transaction_id=running.transaction_id, transaction_start=running.start,
                with_station_max=False,
            )  # fmt: skip
        cap = self._limiter.station_max(profiles, t)
        for (evse_id, ruling), amps in zip(session.items(), self._sound(session, cap), strict=True):
            max_a = self._outlets[evse_id].max_current_a
            amps = self._faults.apply("limit_a", evse_id, t, lowest(ruling, cap), max_a, value=amps)
            self._set(evse_id, min(amps, max_a))
        self._arm(profiles, t)
        if due == -math.inf:
            for watcher in self.watchers:
                watcher()

    def composite(self, evse_id: int, start: float, duration_s: int, unit: str) -> list[CompositePeriod]:
        """Return what GetCompositeSchedule reports, from `start` (whole seconds since 1970)."""
        periods = self.expected(self.overlay(list(self.store), True), evse_id, start, duration_s, unit)
        changed: list[CompositePeriod] = self._faults.apply("composite", evse_id, value=periods)
        return changed

    def expected(
        self, profiles: Iterable[Profile], evse_id: int, start: float, duration_s: int, unit: str
    ) -> list[CompositePeriod]:
        """Return the composite schedule of these profiles, from `start` (whole seconds since 1970)."""
        views = []
        for outlet in self._outlets.values():
            running = self._running.get(outlet.evse_id)
            transaction = (running.transaction_id, running.start) if running else (None, None)
            views.append(EvseView(outlet.evse_id, outlet.max_current_a, outlet.phases, *transaction))
        return composite_schedule(profiles, self._limiter, views, evse_id, start, duration_s, unit)

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        for handle in (self._timer, *self._applying.values()):
            if handle:
                handle.cancel()

    def _sound(self, session: Mapping[int, Ruling | None], cap: Ruling | None) -> list[float]:
        """Return the amperes per phase of each EVSE as a sound station applies them."""
        wanted = []
        for evse_id, ruling in session.items():
            max_a = self._outlets[evse_id].max_current_a
            wanted.append(min(ruling.amps, max_a) if ruling else max_a)
        return share(cap.amps, wanted) if cap else wanted

    def _set(self, evse_id: int, amps: float) -> None:
        if self._decided.get(evse_id) == amps:
            return
        self._decided[evse_id] = amps
        self._due[evse_id].append((self._clock.monotonic() + self._pwm_delay_s, amps))
        if evse_id not in self._applying:
            self._apply(evse_id, -math.inf)

    def _apply(self, evse_id: int, due: float) -> None:
        """Apply what is due by now, the latest decision last, and come back for the next one."""
        self._applying.pop(evse_id, None)
        t = max(due, self._clock.monotonic())
        queue, amps = self._due[evse_id], None
        while queue and queue[0][0] <= t:
            amps = queue.popleft()[1]
        if queue:
            due = queue[0][0]
            self._applying[evse_id] = asyncio.get_running_loop().call_later(due - t, self._apply, evse_id, due)
        if amps is not None:
            self._outlets[evse_id].plant.offer(duty_for(amps))

    def _arm(self, profiles: Sequence[Any], t: float) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if not self._running:
            return
        due = min(next_change(profiles, t, running.start) for running in self._running.values())
        if due != math.inf:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - seconds_of(self._clock.now())), self.decide, due)

"""One EVSE as the charging control drives it: what it offers and on which phases, each change a little after its decision.

Phases are never switched under load: the PWM stops, the EV lets go and the contactor opens, the station waits, switches and
offers again. Source: IEC 61851-1 (no switching under load); OCPP 2.0.1 Part 2, K01.FR.46, FR.47.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from firmware_sim.clock import Clock
from firmware_sim.pilot import duty_for
from firmware_sim.plant import EvsePlant


@dataclass(frozen=True, slots=True)
class Outlet:
    """One EVSE as the limiter sees it."""

    evse_id: int
    max_current_a: float
    """Its own limit per phase, from its rating plate."""
    phases: int
    plant: EvsePlant
    dc: bool = False
    """It offers amperes to the EV by digital communication, down to any current."""

    def signal(self, amps: float) -> float | None:
        """Return what the EVSE puts on the pilot to offer `amps`; None for a pause."""
        if self.dc:
            return amps if amps > 0 else None
        return duty_for(amps)


@dataclass(frozen=True, slots=True)
class Offer:
    """What the limiter has decided."""

    amps: float
    lines: tuple[int, ...]
    """The EVSE's own phases, 0 to 2."""


class OutletDriver:
    """Applies the offers of one EVSE in order, each `pwm_delay_s` after it was decided."""

    def __init__(self, outlet: Outlet, clock: Clock, *, pwm_delay_s: float, switch_pause_s: Callable[[], float]) -> None:
        """`switch_pause_s`: from the end of the PWM to the next one, when phases are switched."""
        self._plant, self._signal, self._clock = outlet.plant, outlet.signal, clock
        self._pwm_delay_s, self._switch_pause_s = pwm_delay_s, switch_pause_s
        self._decided: Offer | None = None
        self._due: deque[tuple[float, Offer]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._switching: asyncio.TimerHandle | None = None
        self._current: Offer | None = None
        """The last one that fell due."""

    def decide(self, offer: Offer) -> None:
        """Offer this when the delay is over, unless it is what was decided before."""
        if self._decided == offer:
            return
        self._decided = offer
        self._due.append((self._clock.monotonic() + self._pwm_delay_s, offer))
        if self._timer is None:
            self._apply(-math.inf)

    def would_change(self, offer: Offer) -> bool:
        """Say whether this is another offer than the one that was decided before."""
        return self._decided != offer

    def stop(self) -> None:
        """Stop the PWM at once and forget what was decided."""
        self.close()
        self._decided = self._current = None
        self._due.clear()
        self._plant.offer(None)

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        for handle in (self._timer, self._switching):
            if handle:
                handle.cancel()
        self._timer = self._switching = None

    def _apply(self, due: float) -> None:
        """Take what is due by now, the latest decision last, and come back for the next one."""
        self._timer = None
        t = max(due, self._clock.monotonic())
        taken = False
        while self._due and self._due[0][0] <= t:
            self._current, taken = self._due.popleft()[1], True
        if self._due:
            due = self._due[0][0]
            self._timer = asyncio.get_running_loop().call_later(due - t, self._apply, due)
        if taken and self._switching is None:
            self._show()

    def _show(self) -> None:
        """Put the current offer on the pilot, switching phases first where it needs others."""
        offer = self._current
        if offer is None:
            return
        if offer.lines != self._plant.lines:
            if self._plant.duty_percent is not None or self._plant.path_closed():
                self._plant.offer(None)
                self._switching = asyncio.get_running_loop().call_later(self._switch_pause_s(), self._switched)
                return
            self._plant.connect(offer.lines)
        self._plant.offer(self._signal(offer.amps))

    def _switched(self) -> None:
        self._switching = None
        self._show()

"""The physics in time: lets events happen when they are due, tells who watches, and never ticks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypedDict

from firmware_sim.clock import Clock
from firmware_sim.ev_needs import EvNeeds
from firmware_sim.physics import EvsePhysics, Truth
from firmware_sim.vehicles import with_model


class PilotView(TypedDict):
    """What a probe at the control pilot sees, and what the EV wants."""

    state: str
    """A: no EV, B: EV there, C: EV takes or wants energy, E: EVSE without supply, F: EVSE unavailable."""
    duty_percent: float | None
    """None without a PWM."""
    ev_wants_a: float
    """Current per phase that the EV would draw if nothing limited it; 0 without an EV."""


class EvData(TypedDict):
    """What an EV tells of itself over ISO 15118, A per phase."""

    phases: int
    max_current_a: float
    battery_wh: float
    soc_percent: float


class Reference(NamedTuple):
    """A known load from some moment on: A per phase, and the energy that it had taken by then."""

    since: float
    amps: tuple[float, float, float]
    energy_wh: float


class EvsePlant:
    """One EVSE's physics on a clock. Watchers are called, without arguments, after each change of state, duty or current."""

    def __init__(self, physics: EvsePhysics, clock: Clock) -> None:
        self._physics, self._clock = physics, clock
        self.needs = EvNeeds()
        """What the EV says over ISO 15118."""
        self._watchers: list[Callable[[], None]] = []
        self._reference: list[Reference] = [Reference(-math.inf, (0.0, 0.0, 0.0), 0.0)]
        self._timer: asyncio.TimerHandle | None = None

    @property
    def plugged(self) -> bool:
        """Whether an EV's cable is connected."""
        return self._physics.plugged

    @property
    def duty_percent(self) -> float | None:
        """The duty cycle that the EVSE generates; None without PWM."""
        return self._physics.duty_percent

    @property
    def offered_a(self) -> float:
        """The current per phase that the EVSE offers."""
        return self._physics.offered_a()

    @property
    def lines(self) -> tuple[int, ...]:
        """The EVSE's own phases (0 to 2) that are switched through to the EV."""
        return self._physics.lines

    def subscribe(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call `watcher()` after each change; return a function that ends it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def truth(self, ago_s: float = 0.0) -> Truth:
        """Return what is, or was so many seconds ago, physically there."""
        return self._physics.truth(self._clock.monotonic() - ago_s)

    def metered(self, ago_s: float = 0.0, *, output: bool = False) -> Truth:
        """Return what an independent meter sees: the EVSE, or its output, and the reference load beside it."""
        at = self._clock.monotonic() - ago_s
        truth = self._physics.output(at) if output else self._physics.truth(at)
        one = next(one for one in reversed(self._reference) if one.since <= at)
        if len(self._reference) == 1:
            return truth
        amps, volts = one.amps, truth.voltage_v
        power = sum(v * a for v, a in zip(volts, amps, strict=True))
        hours = 0.0 if one.since == -math.inf else (at - one.since) / 3600
        current = (truth.current_a[0] + amps[0], truth.current_a[1] + amps[1], truth.current_a[2] + amps[2])
        return Truth(volts, current, truth.power_w + power, truth.energy_wh + one.energy_wh + power * hours)

    def reference_load(self, amperes: Sequence[float]) -> None:
        """Draw a known current past the EVSE, A on each of its phases."""
        now, last = self._clock.monotonic(), self._reference[-1]
        amps = (*amperes, 0.0, 0.0)[:3]
        hours = 0.0 if last.since == -math.inf else (now - last.since) / 3600
        power = sum(v * a for v, a in zip(self.truth().voltage_v, last.amps, strict=True))
        energy = last.energy_wh + power * hours
        self._reference.append(Reference(now, (amps[0], amps[1], amps[2]), energy))

    def charging(self) -> bool:
        """Tell whether the EV has asked for energy and the contactor is closed."""
        self._physics.advance(self._clock.monotonic())
        return self._physics.pilot_state() == "C" and self._physics.contactor_closed

    def look(self) -> PilotView:
        """Return what a pilot probe sees, from the truth and never from the station's report."""
        wants = self._physics.asks_for_a(self._clock.monotonic())
        return {
            "state": self._physics.pilot_state(),
            "duty_percent": self._physics.visible_duty(),
            "ev_wants_a": round(wants, 3),
        }

    def offer(self, duty_percent: float | None) -> None:
        """Generate this duty cycle; None stops the PWM."""
        self._physics.offer(self._clock.monotonic(), duty_percent)
        self._happened()

    def connect(self, lines: tuple[int, ...]) -> None:
        """Switch these of the EVSE's own phases through to the EV. Raises RuntimeError while the contactor is closed."""
        self._physics.connect(self._clock.monotonic(), lines)
        self._happened()

    def path_closed(self) -> bool:
        """Tell whether the contactor is closed."""
        self._physics.advance(self._clock.monotonic())
        return self._physics.contactor_closed

    def supply(self, voltage_v: float) -> None:
        """Let the supply have another voltage from now on."""
        self._physics.supply(self._clock.monotonic(), voltage_v)
        self._happened()

    def plug(self) -> None:
        """Connect the EV's cable."""
        self._physics.plug(self._clock.monotonic())
        self._happened()

    def unplug(self) -> None:
        """Disconnect the EV's cable."""
        self._physics.unplug(self._clock.monotonic())
        self._happened()

    def demand(self, amperes: float) -> None:
        """Set the current per phase that the EV wants. Raises ValueError."""
        self._physics.demand(self._clock.monotonic(), amperes)
        self._happened()

    def vehicle(self, settings: Mapping[str, float | str]) -> None:
        """Give the EV other properties, or those of a named `model`. Raises ValueError."""
        needs, physical = self.needs.changed(with_model(settings))
        self._physics.vehicle(self._clock.monotonic(), physical)
        self.needs = needs
        self._happened()

    def plan(self, amperes: float) -> None:
        """Let the EV take no more than it agreed over ISO 15118, A per phase; infinity: nothing is agreed."""
        self._physics.plan(self._clock.monotonic(), amperes)
        self._happened()

    def ev_data(self) -> EvData:
        """Return what the EV knows of itself."""
        ev = self._physics.ev
        return {
            "phases": ev.phases,
            "max_current_a": ev.max_current_a,
            "battery_wh": ev.battery_wh,
            "soc_percent": self._physics.soc_percent(self._clock.monotonic()),
        }

    def energise(self, on: bool) -> None:
        """Switch the station's supply."""
        self._physics.energise(self._clock.monotonic(), on)
        self._happened()

    @property
    def load_closed(self) -> bool:
        """Whether the rig's contactor is closed, whoever moved it."""
        return self._physics.load_closed

    def load_switch(self, closed: bool) -> None:
        """Open or close the rig's contactor in L1 to L3."""
        self._physics.load_switch(self._clock.monotonic(), closed)
        self._happened()

    def make_available(self, available: bool) -> None:
        """Offer service, or show pilot state F."""
        self._physics.make_available(self._clock.monotonic(), available)
        self._happened()

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _happened(self, due: float = -math.inf) -> None:
        self._physics.advance(max(due, self._clock.monotonic()))
        self.close()
        due = self._physics.next_event
        if due != math.inf:
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._happened, due)
        for watcher in tuple(self._watchers):
            watcher()

"""The one physical truth of an EVSE: pilot, contactor, current, energy. No I/O, no clock: times come in, values go out.

The truth is a chain of segments in which the current is a straight line, so power and energy are exact at any time and
reading them changes nothing. A segment ends where something happens: the EV reacts, a ramp is over, the battery tapers, the
contactor is forced open. Currents are A per phase, power W (import positive, power factor 1), energy Wh, times seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from firmware_sim.ev import FULL_SOC_PERCENT, ElectricVehicle
from firmware_sim.pilot import current_for
from firmware_sim.seam import Seam, Sound

FORCED_OPEN_S: Final = 6.0
"""The EVSE opens the contactor under load that long after it stopped the PWM (IEC 61851-1, sequence 10.2)."""
HISTORY_S: Final = 600.0
"""How long past segments are kept for instruments that look back."""
_TAPER_STEP_PERCENT: Final = 0.1
_JUMP_A: Final = 0.15
"""A change of the goal up to this size is no ramp (the steps of a taper)."""
_INF: Final = math.inf
_SOUND: Final = Sound()

Triple = tuple[float, float, float]


class Truth(NamedTuple):
    """What is physically there at one moment, at the EVSE's own phases L1, L2, L3."""

    voltage_v: Triple
    current_a: Triple
    power_w: float
    energy_wh: float


@dataclass(slots=True)
class Segment:
    """A stretch of time with a straight current."""

    start: float
    end: float
    current_a: float
    slope: float
    energy_wh: float
    lines: tuple[int, ...]
    """The EVSE's own phases that carry it: 0 for L1, 1 for L2, 2 for L3."""
    voltage_v: float

    def current_at(self, t: float) -> float:
        """Return the current per phase at a time inside the segment."""
        return self.current_a + self.slope * (t - self.start) if self.slope else self.current_a


class EvsePhysics:
    """One EVSE, its cable and the EV at it. Every method takes the time `t` first, which never goes back."""

    def __init__(self, evse_id: int, t: float, *, phases: int, voltage_v: float, seam: Seam = _SOUND) -> None:
        """Start with nothing plugged. `seam` is where faults of the EV come in."""
        self.evse_id, self.phases, self.voltage_v = evse_id, phases, voltage_v
        self.ev = self._vehicle()
        self.plugged, self.available, self.energised = False, True, True
        self.duty_percent: float | None = None
        """The duty cycle that the EVSE generates; None without PWM."""
        self.contactor_closed = False
        self._seam = seam
        self._load_closed = True
        self._seen_duty: float | None = None
        self._s2_closed = False
        self._underway: deque[tuple[float, float | None]] = deque()
        """Duty cycles that the EV has not reacted to yet, and when it will: its dead time is a delay."""
        self._forced_open_at = _INF
        self._soc_percent, self._soc_energy_wh = self.ev.soc_percent, 0.0
        self._goal_a = 0.0
        self.lines = tuple(range(phases))
        """The EVSE's own phases (0 to 2) that are switched through to the EV."""
        self._now = Segment(t, _INF, 0.0, 0.0, 0.0, self.lines, voltage_v)
        self._past: deque[Segment] = deque()

    @property
    def next_event(self) -> float:
        """The time at which something happens by itself; infinity when nothing will."""
        return self._now.end

    def truth(self, t: float) -> Truth:
        """Return what is there at `t`, which may lie up to HISTORY_S in the past."""
        self.advance(t)
        segment = self._now
        if t < segment.start:
            segment = next((one for one in reversed(self._past) if one.start <= t), self._past[0] if self._past else segment)
            t = max(t, segment.start)
        current, volts = segment.current_at(t), segment.voltage_v
        lines = segment.lines
        amps = (current, current, current)
        if len(lines) < 3:
            amps = (current if 0 in lines else 0.0, current if 1 in lines else 0.0, current if 2 in lines else 0.0)
        return Truth((volts, volts, volts), amps, volts * current * len(lines), self._energy_at(segment, t))

    def output(self, t: float) -> Truth:
        """Return what flows to the EV; without a converter that is what flows in."""
        return self.truth(t)

    def pilot_state(self) -> str:
        """Return A (no EV), B (EV there), C (EV wants energy), E (EVSE without supply) or F (EVSE unavailable)."""
        if not self.energised:
            return "E"
        if not self.available:
            return "F"
        if not self.plugged:
            return "A"
        return "C" if self._s2_closed else "B"

    def visible_duty(self) -> float | None:
        """Return the duty cycle that a probe at the pilot sees."""
        return self.duty_percent if self.pilot_state() in "BC" else None

    def asks_for_a(self, t: float) -> float:
        """Return the current per phase that the EV would draw if nothing limited it; 0 without an EV."""
        self.advance(t)
        return self.ev.asks_for_a(self._soc_at(t)) if self.plugged else 0.0

    def soc_percent(self, t: float) -> float:
        """Return the EV's state of charge."""
        self.advance(t)
        return self._soc_at(t)

    def advance(self, t: float) -> None:
        """Let everything happen that happens by itself until `t`."""
        while self._now.end <= t:
            at = self._now.end
            while self._underway and self._underway[0][0] <= at:
                self._seen_duty = self._underway.popleft()[1]
            if self._forced_open_at <= at:
                self._forced_open_at = _INF
                self.contactor_closed = False
            self._replan(at)

    def offer(self, t: float, duty_percent: float | None) -> None:
        """Generate this duty cycle from now on; the EV reacts after its dead time."""
        self.advance(t)
        if duty_percent == self.duty_percent:
            return
        self.duty_percent = duty_percent
        self._forced_open_at = t + FORCED_OPEN_S if duty_percent is None and self.contactor_closed else _INF
        if self.plugged:
            self._show_duty(t)
        self._replan(t)

    def connect(self, t: float, lines: tuple[int, ...]) -> None:
        """Switch these of the EVSE's own phases (0 to 2) through to the EV, whose L1 hangs on the first of them.

        Raises: RuntimeError while the contactor is closed: no station switches phases under load.
        """
        self.advance(t)
        if self.contactor_closed:
            raise RuntimeError(f"EVSE {self.evse_id}: phases switched with the contactor closed")
        self.lines = lines
        self._replan(t)

    def offered_a(self) -> float:
        """Return the current per phase that the pilot offers now."""
        return self._current_for(self.duty_percent)

    def plug(self, t: float) -> None:
        """Connect the EV's cable."""
        self.advance(t)
        self.plugged = True
        self._show_duty(t)
        self._replan(t)

    def unplug(self, t: float) -> None:
        """Disconnect the EV's cable; the current is gone at once."""
        self.advance(t)
        self._soc_percent, self._soc_energy_wh = self._soc_at(t), self._energy_at(self._now, t)
        self.plugged = False
        self._lose_ev(t)

    def demand(self, t: float, amperes: float) -> None:
        """Set the current per phase that the EV wants."""
        self.vehicle(t, {"wants_a": amperes})

    def vehicle(self, t: float, settings: Mapping[str, float]) -> None:
        """Give the EV other properties. Raises ValueError (see ElectricVehicle.changed)."""
        self.advance(t)
        ev = self.ev.changed(settings)
        self._soc_percent, self._soc_energy_wh = self._soc_at(t), self._energy_at(self._now, t)
        if "soc_percent" in settings:
            self._soc_percent = ev.soc_percent
        self.ev = ev
        self._replan(t)

    def plan(self, t: float, amperes: float) -> None:
        """Let the EV take no more than this, A per phase, as it agreed over ISO 15118; infinity: nothing is agreed."""
        self.advance(t)
        self.ev = replace(self.ev, plan_a=amperes)
        self._replan(t)

    def energise(self, t: float, on: bool) -> None:
        """Switch the EVSE's supply; without it there is neither pilot nor current. The meter sits upstream of the switch."""
        self.advance(t)
        if on == self.energised:
            return
        self.energised = on
        if not on:
            self.duty_percent = None
            self._lose_ev(t)
        elif self.plugged:
            self._show_duty(t)
            self._replan(t)

    def supply(self, t: float, volts: float) -> None:
        """Let the supply have another voltage, phase to neutral; the EV goes on with the current that it takes."""
        self.advance(t)
        self.voltage_v = volts
        self._replan(t)

    @property
    def load_closed(self) -> bool:
        """Tell whether the rig's contactor is closed."""
        return self._load_closed

    def load_switch(self, t: float, closed: bool) -> None:
        """Open or close a contactor of the rig in L1 to L3; pilot and electronics stay alive."""
        self.advance(t)
        self._load_closed = closed
        self._replan(t)

    def make_available(self, t: float, available: bool) -> None:
        """Offer service, or show state F."""
        self.advance(t)
        self.available = available
        if not available:
            self._lose_ev(t)
        elif self.plugged:
            self._show_duty(t)
            self._replan(t)

    def _lose_ev(self, t: float) -> None:
        self._seen_duty, self._s2_closed, self.contactor_closed = None, False, False
        self._underway.clear()
        self._forced_open_at = _INF
        self._replan(t)

    def _show_duty(self, t: float) -> None:
        self._underway.append((t + self.ev.dead_time_s, self.duty_percent))

    def _vehicle(self) -> ElectricVehicle:
        """Return the EV that stands before the EVSE at first."""
        return ElectricVehicle()

    def _current_for(self, signal: float | None) -> float:
        """Return the current per phase that a duty cycle offers."""
        return current_for(signal)

    def _energy_at(self, segment: Segment, t: float) -> float:
        elapsed = t - segment.start
        charge = (segment.current_a + 0.5 * segment.slope * elapsed) * elapsed
        return segment.energy_wh + charge * segment.voltage_v * len(segment.lines) / 3600

    def _soc_at(self, t: float) -> float:
        stored = (self._energy_at(self._now, t) - self._soc_energy_wh) * self.ev.efficiency
        return min(100.0, self._soc_percent + 100 * stored / self.ev.battery_wh)

    def _replan(self, t: float) -> None:
        """Close the running segment at `t` and begin the one that follows from how things stand now."""
        now = self._now
        soc, energy, current = self._soc_at(t), self._energy_at(now, t), now.current_at(t)
        if abs(current - self._goal_a) < 1e-6:
            current = self._goal_a
        current = self._follow(t, soc, current)
        lines = self._seam.apply("ev_lines", self.evse_id, t, soc, value=self.lines[: self.ev.phases])
        slope, end = 0.0, _INF
        if current != self._goal_a:
            slope = self.ev.ramp_up_a_s if self._goal_a > current else -self.ev.ramp_down_a_s
            end = t + (self._goal_a - current) / slope
        reacts_at = self._underway[0][0] if self._underway else _INF
        end = min(end, reacts_at, self._forced_open_at, self._next_taper(t, soc, max(current, self._goal_a) * len(lines)))
        end = max(t, self._seam.apply("ev_changes_at", self.evse_id, t, value=end))
        if t > now.start:
            now.end = t
            self._past.append(now)
            while len(self._past) > 1 and self._past[1].start < t - HISTORY_S:
                self._past.popleft()
        self._now = Segment(t, end, current, slope, energy, lines, self.voltage_v)

    def _follow(self, t: float, soc: float, current: float) -> float:
        """Move S2 and the contactor, set the goal, and return the current at this moment."""
        pilot = self.energised and self.available and self.plugged
        goal, offer = 0.0, self._current_for(self._seen_duty)
        if pilot:
            goal = self._seam.apply("ev_goal", self.evse_id, t, offer, soc, value=self.ev.goal_a(offer, soc))
        if goal > 0 and not self._s2_closed:
            self._s2_closed = True
        if self._s2_closed and self.duty_percent is not None:
            self.contactor_closed = True
        if not (self._s2_closed and self.contactor_closed and self._load_closed):
            self._s2_closed = self._s2_closed and goal > 0
            self._goal_a = 0.0
            return 0.0
        self._goal_a = max(0.0, self._seam.apply("ev_current", self.evse_id, t, value=goal)) if goal > 0 else 0.0
        if abs(self._goal_a - current) <= _JUMP_A:
            current = self._goal_a
        if self._goal_a == 0.0 and current == 0.0:
            self._s2_closed = self.contactor_closed = False
            self._forced_open_at = _INF
        return current

    def _next_taper(self, t: float, soc: float, amperes: float) -> float:
        """Return when the state of charge next changes what the battery takes."""
        if amperes <= 0 or soc >= FULL_SOC_PERCENT:
            return _INF
        step = max(self.ev.taper_soc_percent - soc, _TAPER_STEP_PERCENT)
        energy_wh = step / 100 * self.ev.battery_wh / self.ev.efficiency
        return t + max(1.0, energy_wh * 3600 / (amperes * self.voltage_v))

"""Habits of EVs: a minimum of their own, more than is offered, fewer phases, a start in attempts, a nearly full battery."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

_READ_A: Final = 0.1
"""An EV reads the duty to about this much."""


def _number(fault: str, key: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{fault}: {key} = {value!r}: must be a number from {low:g} to {high:g}")
    return float(value)


def _whole(fault: str, key: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{fault}: {key} = {value!r}: must be a whole number from {low} to {high}")
    return value


class Minimum:
    """The EV does not charge below an offer that lies above the 6 A of the standard."""

    ID: ClassVar = "EV.minimum"
    LAYER: ClassVar = "ev"
    TEXT: ClassVar = "the EV does not charge on a lower offer, although 6 A is the least that can be offered"
    PARAMS: ClassVar[Mapping[str, str]] = {"amps": "least offer that it charges on, 6 to 32 A per phase"}

    def __init__(self, *, amps: float) -> None:
        self._least_a = _number(self.ID, "amps", amps, 6, 32)

    def ev_goal(self, evse_id: int, t: float, offer_a: float, soc_percent: float, amps: float) -> float:
        """Ask for nothing under a low offer."""
        return amps if offer_a >= self._least_a - _READ_A else 0.0


class Overdraw:
    """The EV takes more than is offered, in proportion to the offer and by a constant."""

    ID: ClassVar = "EV.overdraw"
    LAYER: ClassVar = "ev"
    TEXT: ClassVar = "the EV takes more than is offered"
    PARAMS: ClassVar[Mapping[str, str]] = {
        "share": "part of the offer that it takes more, 0 to 1",
        "amps": "what it takes more beside, 0 to 32 A per phase",
    }

    def __init__(self, *, share: float, amps: float) -> None:
        self._share, self._amps = _number(self.ID, "share", share, 0, 1), _number(self.ID, "amps", amps, 0, 32)

        self._offer_a: dict[int, float] = {}

    def ev_goal(self, evse_id: int, t: float, offer_a: float, soc_percent: float, amps: float) -> float:
        """Remember the offer."""
        self._offer_a[evse_id] = offer_a
        return amps

    def ev_current(self, evse_id: int, t: float, amps: float) -> float:
        """Draw more than the offer."""
        return self._offer_a.get(evse_id, amps) * (1 + self._share) + self._amps


class Phases:
    """The EV charges on fewer phases, from a moment after it first charged."""

    ID: ClassVar = "EV.phases"
    LAYER: ClassVar = "ev"
    TEXT: ClassVar = "the EV charges on fewer phases than it could, from a moment on"
    PARAMS: ClassVar[Mapping[str, str]] = {
        "phases": "how many it keeps, 1 to 3",
        "from_s": "seconds after it first charged, 0 to 86400",
    }

    def __init__(self, *, phases: int, from_s: float) -> None:
        self._phases = _whole(self.ID, "phases", phases, 1, 3)
        self._from_s = _number(self.ID, "from_s", from_s, 0, 86_400)
        self._began: dict[int, float] = {}

    def ev_current(self, evse_id: int, t: float, amps: float) -> float:
        """Remember when it began to charge."""
        self._began.setdefault(evse_id, t)
        return amps

    def ev_lines(self, evse_id: int, t: float, soc_percent: float, lines: tuple[int, ...]) -> tuple[int, ...]:
        """Drop phases once it is time."""
        began = self._began.get(evse_id, math.inf)
        return lines[: self._phases] if self._from_s == 0 or t >= began + self._from_s - 1e-9 else lines

    def ev_changes_at(self, evse_id: int, t: float, due: float) -> float:
        """Look anew when it is time."""
        drops = self._began.get(evse_id, math.inf) + self._from_s
        return min(due, drops) if drops > t else due


class StartCycling:
    """On a high first offer the EV charges for seconds, lets go to cool itself, and tries again, several times."""

    ID: ClassVar = "EV.start-cycling"
    LAYER: ClassVar = "ev"
    TEXT: ClassVar = "the EV starts, stops and starts again where more than a threshold is offered at its start"
    PARAMS: ClassVar[Mapping[str, str]] = {
        "threshold_a": "offer above which it cycles, 6 to 80 A per phase",
        "cycles": "how often it lets go, 1 to 100",
        "on_s": "for how long it charges each time, 1 to 600 s",
        "off_s": "for how long it pauses each time, 1 to 3600 s",
    }

    def __init__(self, *, threshold_a: float, cycles: int, on_s: float, off_s: float) -> None:
        self._threshold_a = _number(self.ID, "threshold_a", threshold_a, 6, 80)
        self._cycles = _whole(self.ID, "cycles", cycles, 1, 100)
        self._on_s, self._off_s = _number(self.ID, "on_s", on_s, 1, 600), _number(self.ID, "off_s", off_s, 1, 3600)
        self._began: dict[int, float] = {}

    def ev_goal(self, evse_id: int, t: float, offer_a: float, soc_percent: float, amps: float) -> float:
        """Let go in each pause; a start on a low offer keeps it from cycling at all."""
        if amps <= 0:
            return amps
        if evse_id not in self._began:
            self._began[evse_id] = t if offer_a > self._threshold_a else -math.inf
        elapsed = t - self._began[evse_id]
        whole = self._on_s + self._off_s
        if elapsed >= self._cycles * whole - 1e-9:
            return amps
        return amps if (elapsed + 1e-9) % whole < self._on_s else 0.0

    def ev_changes_at(self, evse_id: int, t: float, due: float) -> float:
        """Look anew at the next turn."""
        began, whole = self._began.get(evse_id, -math.inf), self._on_s + self._off_s
        if began == -math.inf or t - began >= self._cycles * whole - 1e-9:
            return due
        begun = began + math.floor((t - began + 1e-9) / whole) * whole
        turn = begun + self._on_s
        return min(due, turn if turn > t + 1e-9 else begun + whole)


class Taper:
    """The battery is nearly full: what the EV takes falls over minutes, whatever is offered."""

    ID: ClassVar = "EV.taper"
    LAYER: ClassVar = "ev"
    TEXT: ClassVar = "the EV stands at this state of charge when it first charges, and takes less and less"
    PARAMS: ClassVar[Mapping[str, str]] = {"from_percent": "state of charge at which it begins, 0 to 99 %"}
    FALL_S: ClassVar = 1800.0
    """How long a whole battery would take to taper: from 80 % it falls to nothing in a fifth of it."""

    def __init__(self, *, from_percent: float) -> None:
        self._from = _number(self.ID, "from_percent", from_percent, 0, 99)
        self._began: dict[int, float] = {}

    def ev_goal(self, evse_id: int, t: float, offer_a: float, soc_percent: float, amps: float) -> float:
        """Fall in a line, by steps that are no ramp."""
        if amps <= 0:
            return amps
        elapsed = t - self._began.setdefault(evse_id, t)
        return min(amps, 16.0 * max(0.0, 1 - elapsed / (self.FALL_S * (100 - self._from) / 100)))

    def ev_changes_at(self, evse_id: int, t: float, due: float) -> float:
        """Look anew every few seconds until it is full."""
        began = self._began.get(evse_id)
        return due if began is None or t - began > self.FALL_S else min(due, t + 3)


EV_FAULTS: Final[tuple[Any, ...]] = (Minimum, Overdraw, Phases, StartCycling, Taper)

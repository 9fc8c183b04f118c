"""Faults of composite schedules, and of what is planned by them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from firmware_sim.composite import CompositePeriod
    from firmware_sim.limiter import Situation
    from firmware_sim.profiles import Profile


class PlansWithoutLatePeriods:
    """What lay ahead when it was installed is never applied."""

    ID: ClassVar = "station.plans-without-late-periods"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a profile whose startSchedule lay ahead when the plan was made never rules"
    PARAMS: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._late: set[int] = set()

    def applied(self, now: Situation, profiles: list[Profile]) -> list[Profile]:
        """Leave those out that began later than they were first seen."""
        for one in profiles:
            if one.id not in self._seen:
                self._seen.add(one.id)
                if one.start is not None and one.start > now.t + 1:
                    self._late.add(one.id)
        return [one for one in profiles if one.id not in self._late]


class CompositeDurationZero:
    """With a duration of 0 the loop over the periods never runs."""

    ID: ClassVar = "station.composite-duration-zero"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "GetCompositeSchedule with duration 0 is answered with what the hardware can"
    PARAMS: ClassVar[dict[str, str]] = {}

    def composite_window(self, duration_s: int, profiles: list[Profile]) -> list[Profile]:
        """Merge nothing."""
        return profiles if duration_s else []


class CompositeFormat:
    """Merging leaves a list of periods that is none (K08.FR.03)."""

    ID: ClassVar = "station.composite-format"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "the periods of a composite schedule overlap, begin after 0, or are none at all"
    PARAMS: ClassVar[dict[str, str]] = {"defect": "overlap (one list after the other), first-nonzero or empty"}

    def __init__(self, *, defect: str) -> None:
        if defect not in ("overlap", "first-nonzero", "empty"):
            raise ValueError(f"{self.ID}: defect = {defect!r}: must be overlap, first-nonzero or empty")
        self._defect = defect

    def composite(self, evse_id: int, periods: list[CompositePeriod]) -> list[CompositePeriod]:
        """Spoil the list."""
        if self._defect == "empty":
            return []
        if self._defect == "first-nonzero":
            return [replace(periods[0], start_s=1), *(one for one in periods[1:] if one.start_s > 1)]
        return [*periods, *periods]


class EqualPeriods:
    """Harmless: neighbouring periods carry the same limit."""

    ID: ClassVar = "station.equal-periods"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "harmless: each period of a composite schedule is split in two with the same limit"
    PARAMS: ClassVar[dict[str, str]] = {}

    def composite(self, evse_id: int, periods: list[Any]) -> list[Any]:
        """Split where there is room."""
        split = []
        for number, one in enumerate(periods):
            split.append(one)
            end = periods[number + 1].start_s if number + 1 < len(periods) else one.start_s + 20
            if end - one.start_s >= 2:
                split.append(replace(one, start_s=(one.start_s + end) // 2))
        return split


SCHEDULE_FAULTS: Final = (PlansWithoutLatePeriods, CompositeDurationZero, CompositeFormat, EqualPeriods)

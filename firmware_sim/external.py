"""Limits from outside, past the CSMS: an energy management system or a grid operator limits the whole station.

Each source has one limit, kept as a ChargingStationExternalConstraints profile that no CSMS can touch. Source: OCPP 2.0.1
Part 2, K11, K12, K13 with errata 2025-01 and 2025-06 (a new limit replaces the profile, under the same id).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from ocpp.v201 import call

from firmware_sim.charging import ChargingControl
from firmware_sim.clock import Clock, text_of
from firmware_sim.device_model import StationVariables, changed_by_more
from firmware_sim.limiter import DEFAULT_PHASES
from firmware_sim.notices import Notices
from firmware_sim.profiles import EXTERNAL, Criteria, Profile, profile_from
from firmware_sim.seam import Seam, Sound

IDS: Final = {"EMS": -1, "SO": -2, "Other": -3}
"""Profile id by ChargingLimitSourceEnumType; negative, as K11.FR.06 recommends. CSO is the CSMS's own (K11.FR.05)."""
MAX_LIMIT: Final = 1e6
MAX_PERIODS: Final = 1024
MAX_AHEAD_S: Final = 366 * 86_400


class ExternalLimits:
    """The external limits of one station."""

    def __init__(
        self, charging: ChargingControl, notices: Notices, variables: StationVariables, clock: Clock, *, voltage_v: float,
        failsafe: tuple[float, float] = (0.0, 0.0), faults: Seam | None = None,
    ) -> None:  # fmt: skip
        """`failsafe`: after how many seconds of silence a limit gives way, and to how many W; 0 s for never."""
        self._charging, self._notices, self._variables, self._clock = charging, notices, variables, clock
        self._voltage_v = voltage_v
        self._failsafe_s, self._failsafe_w = failsafe
        self._faults = faults or Sound()
        self._watches: dict[str, asyncio.TimerHandle] = {}
        self._told: dict[str, Profile] = {}
        """What the CSMS knows, by source: small steps add up against it."""
        self._untold: set[str] = set()

    def limit(self, limit: float | None, unit: str, source: str, periods: Sequence[tuple[int, float]]) -> None:
        """Set, replace or release the limit of one source (K11, K12, K13).

        Args:
            limit: from now on, in `unit`; None without periods releases the limit.
            unit: A per phase or W in total.
            source: EMS, SO (system operator) or Other.
            periods: (whole seconds from now, limit), ascending; `limit` holds until the first.
        Nothing happens while ExternalControlSignalsEnabled is false. Raises: ValueError that says which argument is wrong.
        """
        if not isinstance(source, str) or source not in IDS:
            raise ValueError(f"source = {source!r}: must be one of {', '.join(IDS)}")
        if watch := self._watches.pop(source, None):
            watch.cancel()
        if limit is None and not periods:
            self._release(source)
            return
        content = self._content(source, unit, _steps(limit, unit, periods))
        if not self._variables.external_signals:
            return
        after_s = self._faults.apply("failsafe", value=self._failsafe_s)
        if after_s:
            self._watches[source] = asyncio.get_running_loop().call_later(after_s, self._fail_safe, source)
        self._hold(source, content)

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        for watch in self._watches.values():
            watch.cancel()

    def _fail_safe(self, source: str) -> None:
        """Nothing was heard of the source for too long (EEBUS LPC: 120 s): the failsafe limit holds until it sets one anew."""
        self._hold(source, self._content(source, "W", [(0, self._failsafe_w)]))
        holds_s = self._faults.apply("failsafe_holds", value=math.inf)
        if holds_s < math.inf:
            self._watches[source] = asyncio.get_running_loop().call_later(holds_s, self._release, source)

    def _hold(self, source: str, content: dict[str, Any]) -> None:
        profile = profile_from(0, content, source=source)
        self._charging.store.install(profile)
        self._charging.act_at_once()
        if self._significant(self._told.get(source), profile):
            self._tell(source)

    def accepted(self) -> None:
        """The link is back: tell what got lost (SC.02)."""
        for source in sorted(self._untold):
            self._tell(source)

    def _release(self, source: str) -> None:
        """Stop limiting by a source, whether a transaction runs or not (K13.FR.01)."""
        installed = self._installed(source)
        if installed is None:
            return
        self._charging.store.delete([installed])
        self._charging.act_at_once()
        self._tell(source)

    def _tell(self, source: str) -> None:
        """Send how the limit of a source stands now (K11.FR.02, FR.03, FR.05; K12.FR.02 to FR.04; K13.FR.02)."""
        self._untold.discard(source)
        profile = self._installed(source)
        payload: Any
        if profile is None:
            self._told.pop(source, None)
            payload = call.ClearedChargingLimit(charging_limit_source=source)
        else:
            self._told[source] = profile
            schedules = list(profile.received["charging_schedule"]) if self._variables.limit_with_schedules else None
            limit = {"charging_limit_source": source, "is_grid_critical": source == "SO"}
            payload = call.NotifyChargingLimit(charging_limit=limit, charging_schedule=schedules)
        self._notices.put(payload, lost=lambda: self._lost(source))

    def _lost(self, source: str) -> None:
        self._told.pop(source, None)
        self._untold.add(source)

    def _installed(self, source: str) -> Profile | None:
        found = self._charging.store.matching(Criteria(ids=[IDS[source]], purpose=EXTERNAL))
        return found[0] if found else None

    def _significant(self, before: Profile | None, now: Profile) -> bool:
        """Tell whether any of the limits ahead differs from what the CSMS knows by more than LimitChangeSignificance."""
        if before is None or before.start is None or now.start is None:
            return True
        edges = {now.start + one.start_s for one in now.periods} | {before.start + one.start_s for one in before.periods}
        moments = sorted(max(edge, now.start) for edge in edges)
        share = self._variables.limit_change_significance
        return any(changed_by_more(self._amps(before, t), self._amps(now, t), share) for t in moments)

    def _amps(self, profile: Profile, t: float) -> float:
        assert profile.start is not None
        limit = next(one.limit for one in reversed(profile.periods) if profile.start + one.start_s <= t)
        return limit if profile.unit == "A" else limit / (self._voltage_v * DEFAULT_PHASES)

    def _content(self, source: str, unit: str, steps: Sequence[tuple[int, float]]) -> dict[str, Any]:
        schedule = {
            "id": -IDS[source],
            "start_schedule": text_of(self._clock.now()),
            "charging_rate_unit": unit,
            "charging_schedule_period": [{"start_period": at, "limit": limit} for at, limit in steps],
        }
        return {
            "id": IDS[source],
            "stack_level": 0,
            "charging_profile_purpose": EXTERNAL,
            "charging_profile_kind": "Absolute",
            "charging_schedule": [schedule],
        }


def _steps(limit: float | None, unit: str, periods: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the checked schedule, which begins at 0."""
    if unit not in ("A", "W"):
        raise ValueError(f"unit = {unit!r}: must be A or W")
    if not isinstance(periods, list | tuple) or len(periods) > MAX_PERIODS:
        raise ValueError(f"periods: must be a list of at most {MAX_PERIODS} pairs (seconds from now, limit)")
    steps: list[tuple[int, float]] = []
    for one in periods:
        if not isinstance(one, list | tuple) or len(one) != 2:
            raise ValueError(f"periods: {one!r}: must be a pair (seconds from now, limit)")
        if isinstance(one[0], bool) or not isinstance(one[0], int) or not 0 <= one[0] <= MAX_AHEAD_S:
            raise ValueError(f"periods: {one[0]!r}: must be a whole number of seconds from 0 to {MAX_AHEAD_S}")
        steps.append((one[0], _limit("periods", one[1])))
    if limit is not None:
        checked = _limit("limit", limit)
        if not steps or steps[0][0] > 0:
            steps.insert(0, (0, checked))
    if steps[0][0] != 0:
        raise ValueError("periods: must begin at 0 where no limit is given")
    if any(later[0] <= earlier[0] for earlier, later in pairwise(steps)):
        raise ValueError("periods: their seconds must ascend")
    return steps


def _limit(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_LIMIT:
        raise ValueError(f"{name} = {value!r}: must be a number from 0 to {MAX_LIMIT:g}")
    return float(value)

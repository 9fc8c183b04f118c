"""What a CSMS may ask about charging profiles: install, clear, report, composite schedule.

Source: OCPP 2.0.1 Part 2, K01, K08, K09, K10. Payloads are in the `ocpp` package's snake case.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from ocpp.v201 import call, call_result

from firmware_sim.charging import ChargingControl
from firmware_sim.clock import Clock, seconds_of, text_of
from firmware_sim.faults import FaultSeam
from firmware_sim.iso15118 import HighLevelCommunication
from firmware_sim.outbox import Outbox
from firmware_sim.profiles import EXTERNAL, Criteria, Profile, profile_from
from firmware_sim.spec import StationSpec
from firmware_sim.validation import SmartChargingRules

ENTRIES: Final = 100
"""SmartChargingCtrlr.Entries: how many profiles the store holds."""
PROFILES_PER_REPORT: Final = 4
Json = dict[str, Any]


class ProfileService:
    """Answers for one station."""

    def __init__(self, spec: StationSpec, charging: ChargingControl, outbox: Outbox, clock: Clock, faults: FaultSeam) -> None:
        features = spec.features
        self.rules = SmartChargingRules(
            features.rate_units, features.profile_stack_level, features.periods_per_schedule, ENTRIES,
            {evse.id: spec.phases_of(evse) for evse in spec.evses}, schedules=3 if features.iso15118 else 1,
        )  # fmt: skip
        self._charging, self._outbox, self._clock, self._faults = charging, outbox, clock, faults
        self.hlc: HighLevelCommunication | None = None
        """The ISO 15118 sessions, where the station speaks it."""

    def install(self, evse_id: int, content: Json) -> Any:
        """K01: install a profile, or say why not."""
        try:
            profile = profile_from(evse_id, content)
        except ValueError as error:
            return call_result.SetChargingProfile("Rejected", status_info("InvalidSchedule", str(error)))
        refusal = self.rules.refusal(profile, self._charging.store, self._charging.transactions)
        refusal = refusal or (self.hlc.refusal(profile) if self.hlc else None)
        if refusal:
            return call_result.SetChargingProfile("Rejected", status_info(refusal.reason_code, refusal.text))
        installed: Profile | None = self._faults.apply("on_set_profile", evse_id, value=profile)
        if installed is not None:
            self._charging.store.install(installed)
            self._charging.decide()
        return call_result.SetChargingProfile("Accepted")

    def clear(self, profile_id: int | None, criteria: Json | None) -> Any:
        """K10: an id counts alone; without id and criteria everything is meant; external constraints are never cleared."""
        fields = criteria or {}
        meant = (
            Criteria(ids=[profile_id])
            if profile_id is not None
            else Criteria(
                evse_id=fields.get("evse_id"),
                purpose=fields.get("charging_profile_purpose"),
                stack_level=fields.get("stack_level"),
            )
        )
        found = [one for one in self._charging.store.matching(meant) if one.purpose != EXTERNAL]
        cleared: list[Profile] = self._faults.apply("on_clear", list(self._charging.store), value=found)
        self._charging.store.delete(cleared)
        if cleared:
            self._charging.decide()
        return call_result.ClearChargingProfile("Accepted" if cleared else "Unknown")

    def report(self, request_id: int, evse_id: int | None, criteria: Json) -> Any:
        """K09: report the installed profiles in parts, tbc on all but the last; the parts follow the answer."""
        found = self._charging.store.matching(
            Criteria(
                ids=criteria.get("charging_profile_id"),
                evse_id=evse_id,
                purpose=criteria.get("charging_profile_purpose"),
                stack_level=criteria.get("stack_level"),
            )
        )
        sources = criteria.get("charging_limit_source")
        found = [one for one in found if sources is None or one.source in sources]
        found = self._faults.apply("report_found", list(self._charging.store), value=found)
        if not found:
            return call_result.GetChargingProfiles("NoProfiles")
        parts = list(_parts(found))
        for number, (owner, source, profiles) in enumerate(parts, start=1):
            content = [dict(one.received) for one in profiles]
            more = True if number < len(parts) else None
            self._outbox.put(call.ReportChargingProfiles(request_id, source, content, owner, tbc=more))
        return call_result.GetChargingProfiles("Accepted")

    def composite(self, duration: int, evse_id: int, unit: str | None) -> Any:
        """K08: the limits from now on for `duration` seconds, in the unit asked for or the first that is supported."""
        unit = unit or self.rules.rate_units[0]
        if evse_id and evse_id not in self.rules.evse_phases:
            return _no_schedule("InvalidValue", f"EVSE {evse_id} does not exist (K08.FR.05)")
        if unit not in self.rules.rate_units:
            return _no_schedule("UnsupportedRateUnit", f"{unit} (K08.FR.07)")
        if duration < 1:
            return _no_schedule("InvalidValue", f"duration {duration}: must be at least 1 s")
        start = math.floor(seconds_of(self._clock.now()))
        periods = self._charging.composite(evse_id, start, duration, unit)
        schedule = {
            "evse_id": evse_id,
            "duration": duration,
            "schedule_start": text_of(datetime.fromtimestamp(start, UTC)),
            "charging_rate_unit": unit,
            "charging_schedule_period": [
                {"start_period": one.start_s, "limit": one.limit, "number_phases": one.number_phases} for one in periods
            ],
        }
        return call_result.GetCompositeSchedule("Accepted", schedule=schedule)


def status_info(reason_code: str, text: str) -> Any:
    """Return a StatusInfoType."""
    return {"reason_code": reason_code, "additional_info": text[:512]}


def _no_schedule(reason_code: str, text: str) -> Any:
    return call_result.GetCompositeSchedule("Rejected", status_info(reason_code, text))


def _parts(found: list[Profile]) -> Iterable[tuple[int, str, list[Profile]]]:
    """Yield what one report carries: profiles of one EVSE and one source, at most so many."""
    for (evse_id, source), group in groupby(found, key=lambda one: (one.evse_id, one.source)):
        profiles = list(group)
        for first in range(0, len(profiles), PROFILES_PER_REPORT):
            yield evse_id, source, profiles[first : first + PROFILES_PER_REPORT]

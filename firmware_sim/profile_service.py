"""What a CSMS may ask about charging profiles: install, clear, report, composite schedule.

Source: OCPP 2.0.1 Part 2, K01, K05, K08, K09, K10. Payloads are in the `ocpp` package's snake case.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain, groupby
from typing import Any, Final

from ocpp.exceptions import NotSupportedError
from ocpp.v201 import call, call_result

from firmware_sim.charging import ChargingControl
from firmware_sim.clock import Clock, seconds_of, text_of
from firmware_sim.iso15118 import HighLevelCommunication
from firmware_sim.outbox import Outbox
from firmware_sim.profiles import CSO, EXTERNAL, Criteria, Profile, profile_from
from firmware_sim.seam import Seam
from firmware_sim.spec import StationSpec
from firmware_sim.validation import MOST_SECONDS, Refusal, SmartChargingRules

PROFILES_PER_REPORT: Final = 4
Json = dict[str, Any]


class ProfileService:
    """Answers for one station. Every method raises NotSupportedError where it has no smart charging (K01.FR.29)."""

    def __init__(self, spec: StationSpec, charging: ChargingControl, outbox: Outbox, clock: Clock, faults: Seam) -> None:
        features = spec.features
        self.rules = SmartChargingRules(
            features.rate_units, features.profile_stack_level, features.periods_per_schedule, features.entries,
            {evse.id: spec.phases_of(evse) for evse in spec.evses}, dc=spec.dc,
            phase_switching=features.phases_3to1 or features.ac_phase_switching, phase_choice=features.ac_phase_switching,
            schedules=3 if features.iso15118 else 1,
        )  # fmt: skip
        self._supported = features.smart_charging
        self.hlc: HighLevelCommunication | None = None
        """The ISO 15118 sessions, where the station speaks it."""
        self._charging, self._outbox, self._clock, self._faults = charging, outbox, clock, faults

    def install(self, evse_id: int, content: Json) -> Any:
        """K01: install a profile, or say why not.

        A local controller between CSMS and station speaks in the same words: its profile counts like any other (K03.FR.03).
        """
        self._check_support()
        now = seconds_of(self._clock.now())
        try:
            profile = profile_from(evse_id, content, received_at=now)
        except ValueError as error:
            return call_result.SetChargingProfile("Rejected", status_info("InvalidSchedule", str(error)))
        self._make_room(now)
        refusals = self.rules.refusals(profile, self._charging.store, self._charging.transactions)
        refusal = self._answer("SetChargingProfile", profile, chain(refusals, self._wrong_session(profile)))
        if refusal:
            return call_result.SetChargingProfile("Rejected", status_info(refusal.reason_code, refusal.info))
        installed: Profile | None = self._faults.apply("on_set_profile", evse_id, value=profile)
        if installed is not None:
            self._charging.store.install(installed)
            self._charging.act_at_once()
        return call_result.SetChargingProfile("Accepted")

    def start_profile(self, evse_id: int, content: Json) -> Profile | Refusal | None:
        """K05: return the profile that came with RequestStartTransaction, or why the start is refused.

        None where the station has no smart charging and ignores it (K05.FR.04).
        """
        if not self._supported:
            return self._answer("RequestStartTransaction", None, iter(()))
        now = seconds_of(self._clock.now())
        try:
            profile = profile_from(evse_id, content, received_at=now)
        except ValueError as error:
            return Refusal("InvalidSchedule", str(error), "K05.FR.05")
        self._make_room(now)
        refusals = self.rules.refusals_at_start(profile, self._charging.store)
        refusal = self._answer("RequestStartTransaction", profile, refusals)
        used: Profile | None = self._faults.apply("on_start_profile", evse_id, value=profile)
        return refusal or used

    def clear(self, profile_id: int | None, criteria: Json | None) -> Any:
        """K10: an id counts alone; without id and criteria everything is meant; external constraints are never cleared.

        Unknown where nothing matches (K10.FR.01).
        """
        self._check_support()
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
        gone: list[Profile] = self._faults.apply("on_clear", list(self._charging.store), value=found)
        self._charging.store.delete(gone)
        if gone:
            self._charging.act_at_once()
        status: str = self._faults.apply("clear_status", value="Accepted" if gone else "Unknown")
        return call_result.ClearChargingProfile(status)

    def report(self, request_id: int, evse_id: int | None, criteria: Json) -> Any:
        """K09: report the installed profiles in parts, tbc on all but the last; the parts follow the answer.

        evseId 0 means what is installed on the station itself, no evseId everything (K09.FR.05, FR.06).
        """
        self._check_support()
        asked = Criteria(
            ids=criteria.get("charging_profile_id"),
            evse_id=evse_id,
            purpose=criteria.get("charging_profile_purpose"),
            stack_level=criteria.get("stack_level"),
            sources=criteria.get("charging_limit_source"),
        )
        store = self._charging.store
        found = self._faults.apply("report_found", store.matching(Criteria()), value=store.matching(asked))
        if not found:
            return call_result.GetChargingProfiles("NoProfiles")
        parts = list(_parts(found))
        reports = [
            call.ReportChargingProfiles(
                request_id, source, [dict(one.received) for one in profiles], owner, tbc=number < len(parts) or None
            )
            for number, (owner, source, profiles) in enumerate(parts, start=1)
        ]
        for report in self._faults.apply("reports", value=reports):
            self._outbox.put(report, asked=True)
        return call_result.GetChargingProfiles("Accepted")

    def composite(self, duration: int, evse_id: int, unit: str | None) -> Any:
        """K08: the limits from now on for `duration` seconds, in the unit asked for or the first that is supported."""
        self._check_support()
        unit = unit or self.rules.rate_units[0]
        refusal = self._answer("GetCompositeSchedule", None, self._not_composed(duration, evse_id, unit))
        if refusal:
            return call_result.GetCompositeSchedule("Rejected", status_info(refusal.reason_code, refusal.info))
        start = math.floor(seconds_of(self._clock.now()))
        known = evse_id if evse_id in self.rules.evse_phases else 0
        found = self._charging.composite(known, start, duration, unit)
        phases = ({} for _ in found.periods) if self.rules.dc else ({"number_phases": one.number_phases} for one in found.periods)
        schedule = {
            "evse_id": evse_id,
            "duration": found.duration_s,
            "schedule_start": text_of(datetime.fromtimestamp(start, UTC)),
            "charging_rate_unit": unit,
            "charging_schedule_period": [
                {"start_period": one.start_s, "limit": one.limit, **more} for one, more in zip(found.periods, phases, strict=True)
            ],
        }
        return call_result.GetCompositeSchedule("Accepted", schedule=schedule)

    def _not_composed(self, duration: int, evse_id: int, unit: str) -> Iterator[Refusal]:
        if evse_id and evse_id not in self.rules.evse_phases:
            yield Refusal("InvalidValue", f"EVSE {evse_id} does not exist", "K08.FR.05")
        if unit not in self.rules.rate_units:
            yield Refusal("UnsupportedRateUnit", unit, "K08.FR.07")
        if not 0 <= duration <= MOST_SECONDS:
            yield Refusal("InvalidValue", f"duration: must be from 0 to {MOST_SECONDS} s")

    def _wrong_session(self, profile: Profile) -> Iterator[Refusal]:
        refusal = self.hlc.refusal(profile) if self.hlc else None
        if refusal:
            yield refusal

    def _answer(self, action: str, profile: Profile | None, refusals: Iterator[Refusal]) -> Refusal | None:
        """Return the first refusal that the station makes."""
        kept: list[Refusal] = self._faults.apply("refusals", action, profile, value=list(refusals))
        return next(iter(kept), None)

    def _make_room(self, now: float) -> None:
        """Forget profiles that can never limit again when the store is full: they would keep new ones out for ever."""
        store = self._charging.store
        if sum(one.purpose != EXTERNAL for one in store) >= self.rules.entries:
            store.delete(one for one in store.expired(now) if one.source == CSO)

    def _check_support(self) -> None:
        if self._supported:
            return
        refusal = Refusal("NotSupported", "this station has no smart charging", "K01.FR.29")
        if self._answer("", None, iter((refusal,))):
            raise NotSupportedError(description=refusal.info)


def status_info(reason_code: str, text: str) -> Any:
    """Return a StatusInfoType."""
    return {"reason_code": reason_code, "additional_info": text[:512]}


def _parts(found: list[Profile]) -> Iterable[tuple[int, str, list[Profile]]]:
    """Yield what one report carries: profiles of one EVSE and one source, at most so many."""
    for (evse_id, source), group in groupby(found, key=lambda one: (one.evse_id, one.source)):
        profiles = list(group)
        for first in range(0, len(profiles), PROFILES_PER_REPORT):
            yield evse_id, source, profiles[first : first + PROFILES_PER_REPORT]

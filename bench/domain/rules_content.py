"""Rules that a charging profile breaks by what stands in it: schedules, kinds, phases, units.

Source of all: OCPP 2.0.1 edition 3 part 2, table of K01, with the errata to 2025-09. Where its words name a
SetChargingProfileRequest and the rule is on the profile's content, it also measures a profile in a remote start: that is
what can make such a profile invalid (K05.FR.05).
"""

from __future__ import annotations

from itertools import pairwise

from bench.domain.lint_request import SET, ProfileRequest, as_int, rule


@rule("CSMS")
def phase_to_use_is_for_one_phase(request: ProfileRequest) -> str | None:
    """K01.FR.19: phaseToUse is only set together with numberPhases = 1; an absent numberPhases is other than 1."""
    for place, period in request.phased:
        if "phaseToUse" in period and as_int(period.get("numberPhases")) != 1:
            return f"{place}: phaseToUse with numberPhases {period.get('numberPhases', 'absent')}"
    return None


@rule("CSMS")
def phase_to_use_needs_switching(request: ProfileRequest) -> str | None:
    """K01.FR.20: phaseToUse is only set for an EVSE with ACPhaseSwitchingSupported = true; K01.FR.46 and 48 tell what then."""
    if request.station.ac_phase_switching:
        return None
    place = next((place for place, period in request.phased if "phaseToUse" in period), None)
    return place and f"{place}: phaseToUse, and ACPhaseSwitchingSupported is not true"


@rule("CSMS")
def purpose_is_not_external(request: ProfileRequest) -> str | None:
    """K01.FR.22: the CSMS never sets a ChargingStationExternalConstraints profile; K02.FR.07 says the same."""
    if request.via == SET and request.purpose == "ChargingStationExternalConstraints":
        return "the purpose is ChargingStationExternalConstraints, which belongs to external systems"
    return None


@rule("CS", "Rejected")
def unit_is_supported(request: ProfileRequest) -> str | None:
    """K01.FR.26: the station SHALL reject a chargingRateUnit that is not among its configured ones."""
    for number, schedule in enumerate(request.schedules):
        unit = schedule.get("chargingRateUnit")
        if unit in ("A", "W") and unit not in request.station.rate_units:
            supported = " and ".join(request.station.rate_units) or "none"
            return f"chargingSchedule[{number}].chargingRateUnit {unit}, supported: {supported}"
    return None


@rule("CSMS")
def first_period_starts_at_0(request: ProfileRequest) -> str | None:
    """K01.FR.31: the first period of each schedule has startPeriod 0."""
    for number, periods in enumerate(request.periods):
        start = as_int(periods[0].get("startPeriod")) if periods else None
        if start:
            return f"chargingSchedule[{number}]: the first startPeriod is {start}"
    return None


@rule("CSMS")
def one_schedule_without_charging_needs(request: ProfileRequest) -> str | None:
    """K01.FR.34: one schedule only, unless the EV's charging needs came by NotifyEVChargingNeeds (ISO 15118)."""
    count = len(request.schedules)
    return f"{count} schedules without ISO 15118" if count > 1 and not request.station.iso15118 else None


@rule("CSMS")
def periods_ascend(request: ProfileRequest) -> str | None:
    """K01.FR.35: periods are listed by increasing startPeriod; two equal ones do not increase."""
    for number, periods in enumerate(request.periods):
        starts = [start for period in periods if (start := as_int(period.get("startPeriod"))) is not None]
        for earlier, later in pairwise(starts):
            if later <= earlier:
                return f"chargingSchedule[{number}]: startPeriod {later} comes after {earlier}"
    return None


@rule("CSMS")
def station_max_is_not_relative(request: ProfileRequest) -> str | None:
    """K01.FR.38: a ChargingStationMaxProfile is never Relative."""
    if request.purpose == "ChargingStationMaxProfile" and request.kind == "Relative":
        return "a ChargingStationMaxProfile of kind Relative"
    return None


@rule("CSMS")
def absolute_and_recurring_have_a_start(request: ProfileRequest) -> str | None:
    """K01.FR.40: each schedule of an Absolute or Recurring profile has a startSchedule."""
    if request.kind in ("Absolute", "Recurring"):
        for number, schedule in enumerate(request.schedules):
            if "startSchedule" not in schedule:
                return f"chargingSchedule[{number}]: {request.kind} without startSchedule"
    return None


@rule("CSMS")
def relative_has_no_start(request: ProfileRequest) -> str | None:
    """K01.FR.41: no schedule of a Relative profile has a startSchedule."""
    if request.kind == "Relative":
        for number, schedule in enumerate(request.schedules):
            if "startSchedule" in schedule:
                return f"chargingSchedule[{number}]: Relative with startSchedule"
    return None


@rule("CS", "Rejected")
def number_of_phases_can_be_kept(request: ProfileRequest) -> str | None:
    """K01.FR.43: on AC, the station SHALL reject a numberPhases when it cannot ensure that no more phases are used.

    One that is wired to more phases and cannot switch cannot ensure it: how many the EV would draw on is not its choice. One
    that can switch can always go down to a single phase.
    """
    station = request.station
    if station.evse_type != "AC" or station.ac_phase_switching:
        return None
    for place, period in request.phased:
        phases = as_int(period.get("numberPhases"))
        if phases is not None and phases < station.supply_phases:
            return f"{place}: numberPhases {phases} on {station.supply_phases} phases that cannot be switched"
    return None


@rule("CS")
def dc_has_no_phases(request: ProfileRequest) -> str | None:
    """K01.FR.44: numberPhases and phaseToUse on a DC EVSE; the station MAY accept and ignore them instead of rejecting."""
    if request.station.evse_type == "DC":
        for place, period in request.phased:
            named = [name for name in ("numberPhases", "phaseToUse") if name in period]
            if named:
                return f"{place}: {' and '.join(named)} for a DC EVSE"
    return None


@rule("CS")
def number_of_phases_is_there(request: ProfileRequest) -> str | None:
    """K01.FR.45: on AC, more phases than supported; the station MAY accept and limit fewer phases instead of rejecting."""
    station = request.station
    if station.evse_type != "AC":
        return None
    for place, period in request.phased:
        phases = as_int(period.get("numberPhases"))
        if phases is not None and phases > station.supply_phases:
            return f"{place}: numberPhases {phases}, the station has {station.supply_phases}"
    return None


@rule("CS", "Rejected")
def phase_to_use_is_there(request: ProfileRequest) -> str | None:
    """K01.FR.48: the station SHALL reject a phaseToUse that it cannot switch to and is not going to use.

    Which of its phases an EVSE would use is not known from outside; that it will not use one which it does not have, is.
    """
    station = request.station
    if station.evse_type != "AC" or station.ac_phase_switching:
        return None
    for place, period in request.phased:
        phase = as_int(period.get("phaseToUse"))
        if phase is not None and phase > station.supply_phases:
            return f"{place}: phaseToUse {phase}, the station has {station.supply_phases} and cannot switch"
    return None

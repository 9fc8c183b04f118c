"""Rules on what stands in a charging profile: each one broken, and kept as narrowly."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support_lint import broken, default, schedule, sent, station_max, tx

SOUND = ["Accepted"]


def period(start: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a period of 16 A."""
    return {"startPeriod": start, "limit": 16, **fields}


def test_a_sound_profile_breaks_nothing() -> None:
    """What breaks no rule has to be accepted."""
    assert broken(sent(tx())) == SOUND


@pytest.mark.parametrize("phases", [{"numberPhases": 3}, {}])
def test_phase_to_use_is_for_one_phase(phases: dict[str, int]) -> None:
    """K01.FR.19: three phases, and an absent number, are other than 1."""
    result = sent(tx(schedule(period(phaseToUse=2, **phases))), ac_phase_switching=True)
    assert broken(result) == ["K01.FR.19 CSMS", "either"]
    sound = sent(tx(schedule(period(phaseToUse=2, numberPhases=1))), ac_phase_switching=True)
    assert broken(sound) == SOUND


def test_phase_to_use_needs_switching() -> None:
    """K01.FR.20: and where the one phase there is is meant, the station uses it (K01.FR.46): nothing obliges it to reject."""
    profile = tx(schedule(period(phaseToUse=1, numberPhases=1)))
    assert broken(sent(profile, supply_phases=1)) == ["K01.FR.20 CSMS", "either"]
    assert broken(sent(profile, supply_phases=1, ac_phase_switching=True)) == SOUND


def test_external_purpose_is_not_for_the_csms() -> None:
    """K01.FR.22, once: K02.FR.07 says the same."""
    result = sent(default(chargingProfilePurpose="ChargingStationExternalConstraints"))
    assert broken(result) == ["K01.FR.22 CSMS", "either"]


def test_unit_is_supported() -> None:
    """K01.FR.26: the station SHALL reject; each schedule counts."""
    watts = schedule(chargingRateUnit="W")
    assert broken(sent(tx(watts), rate_units=("A",))) == ["K01.FR.26 CS", "Rejected"]
    assert broken(sent(tx(schedule(), watts), rate_units=("A",), iso15118=True)) == ["K01.FR.26 CS", "Rejected"]
    assert broken(sent(tx(watts), rate_units=("W",))) == SOUND


def test_first_period_starts_at_0() -> None:
    """K01.FR.31."""
    assert broken(sent(tx(schedule(period(1))))) == ["K01.FR.31 CSMS", "either"]


def test_one_schedule_without_charging_needs() -> None:
    """K01.FR.34: three may be offered to an EV that told its needs, and four are none the schema has."""
    three = tx(*[schedule(id=number) for number in range(3)])
    assert broken(sent(three)) == ["K01.FR.34 CSMS", "either"]
    assert broken(sent(three, iso15118=True)) == SOUND
    four = tx(*[schedule(id=number) for number in range(4)])
    assert broken(sent(four, iso15118=True)) == ["schema CSMS", "CALLERROR"]


@pytest.mark.parametrize("starts", [(0, 0), (0, 600, 300)])
def test_periods_ascend(starts: tuple[int, ...]) -> None:
    """K01.FR.35: equal ones do not increase."""
    assert broken(sent(tx(schedule(*map(period, starts))))) == ["K01.FR.35 CSMS", "either"]
    assert broken(sent(tx(schedule(*map(period, sorted({*starts, 900})))))) == SOUND


def test_station_max_is_not_relative() -> None:
    """K01.FR.38: other purposes may be."""
    relative = {"chargingProfileKind": "Relative", "chargingSchedule": [schedule(startSchedule=None)]}
    assert broken(sent(station_max(**relative), 0)) == ["K01.FR.38 CSMS", "either"]
    assert broken(sent(station_max(), 0)) == SOUND
    assert broken(sent(default(**relative), 0)) == SOUND


@pytest.mark.parametrize("kind", ["Absolute", "Recurring"])
def test_absolute_and_recurring_have_a_start(kind: str) -> None:
    """K01.FR.40."""
    without = tx(schedule(startSchedule=None), chargingProfileKind=kind, recurrencyKind="Daily")
    assert broken(sent(without)) == ["K01.FR.40 CSMS", "either"]
    assert broken(sent(tx(chargingProfileKind=kind, recurrencyKind="Daily"))) == SOUND


def test_relative_has_no_start() -> None:
    """K01.FR.41."""
    assert broken(sent(tx(chargingProfileKind="Relative"))) == ["K01.FR.41 CSMS", "either"]
    assert broken(sent(tx(schedule(startSchedule=None), chargingProfileKind="Relative"))) == SOUND


def test_number_of_phases_can_be_kept() -> None:
    """K01.FR.43: three wired phases that cannot be switched cannot be kept down to one; one can, and so can a switch."""
    single = tx(schedule(period(numberPhases=1)))
    assert broken(sent(single)) == ["K01.FR.43 CS", "Rejected"]
    assert broken(sent(single, ac_phase_switching=True)) == SOUND
    assert broken(sent(single, supply_phases=1)) == SOUND
    assert broken(sent(tx(schedule(period(numberPhases=3))))) == SOUND


@pytest.mark.parametrize("fields", [{"numberPhases": 1}, {"numberPhases": 3}])
def test_phases_for_dc_may_be_ignored(fields: dict[str, int]) -> None:
    """K01.FR.44: MAY accept instead of rejecting; the AC rules do not apply."""
    assert broken(sent(tx(schedule(period(**fields))), evse_type="DC")) == ["K01.FR.44 CS", "either"]
    assert broken(sent(tx(), evse_type="DC")) == SOUND


def test_more_phases_than_there_are_may_be_lowered() -> None:
    """K01.FR.45: MAY accept instead of rejecting; an absent number is an assumption (K01.FR.49), not a value received."""
    assert broken(sent(tx(schedule(period(numberPhases=3))), supply_phases=1)) == ["K01.FR.45 CS", "either"]
    assert broken(sent(tx(), supply_phases=1)) == SOUND


def test_phase_to_use_is_there() -> None:
    """K01.FR.48: a station with one phase that cannot switch will never use the second."""
    second = tx(schedule(period(phaseToUse=2, numberPhases=1)))
    assert broken(sent(second, supply_phases=1)) == ["K01.FR.20 CSMS", "K01.FR.48 CS", "Rejected"]
    assert broken(sent(second, supply_phases=1, ac_phase_switching=True)) == SOUND

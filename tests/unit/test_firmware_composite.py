"""The composite schedule that the emulated station reports, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_sim.composite import MOST_PERIODS, CompositePeriod, EvseView, StationView, composite_schedule
from firmware_sim.profiles import EXTERNAL, STATION_MAX, TX, Profile
from tests.unit.test_firmware_limiter import DAY, LIMITER, T, profile

EVSES = [EvseView(1, 16, 3, "tx-1", T), EvseView(2, 32, 3, None, None)]


def report(
    profiles: list[Profile], evse_id: int = 1, start: float = T, duration: int = 3600, unit: str = "A",
    **station: Any,
) -> list[tuple[int, float]]:  # fmt: skip
    """Return (start, limit) of what the station reports."""
    found = composite_schedule(profiles, LIMITER, StationView(EVSES, **station), evse_id, start, duration, unit)
    return [(one.start_s, one.limit) for one in found.periods]


def test_it_follows_the_profiles_and_fills_gaps_with_the_own_maximum() -> None:
    """10 A from 60 s to 120 s; before and after, the EVSE's 16 A."""
    one = profile((0, 10), start=T + 60, duration_s=60)
    assert report([one]) == [(0, 16), (60, 10), (120, 16)]


def test_the_own_maximum_is_no_cap_on_what_profiles_say() -> None:
    """A profile of 20 A on an EVSE of 16 A is reported as it is."""
    assert report([profile((0, 20))]) == [(0, 20)]


def test_equal_neighbours_are_merged() -> None:
    """Two periods of 10 A are one."""
    assert report([profile((0, 10), (60, 10), (120, 8))]) == [(0, 10), (120, 8)]


@pytest.mark.parametrize(("unit", "expected"), [("W", [(0, 6900), (60, 11_040)]), ("A", [(0, 10), (60, 16)])])
def test_it_is_in_the_unit_asked_for(unit: str, expected: list[tuple[int, float]]) -> None:
    """W = A x 230 V x 3 phases."""
    assert report([profile((0, 6900), (60, 11_040), unit="W")], unit=unit) == expected


def test_a_conversion_is_never_rounded_up() -> None:
    """10000 W / 690 V = 14.4927… A is reported as 14.4 A."""
    assert report([profile((0, 10_000), unit="W")]) == [(0, 14.4)]


def test_it_begins_in_the_middle_of_a_schedule() -> None:
    """Asked at 90 s: what is left, counted from now."""
    assert report([profile((0, 10), (60, 12), (120, 8))], start=T + 90) == [(0, 12), (30, 8)]


def test_purposes_are_combined() -> None:
    """TxProfile 16 A over default 8 A from 60 s on, station maximum 12 A from 120 s on."""
    own = profile((0, 16), id=2, purpose=TX, transaction_id="tx-1", start=T + 60)
    cap = profile((0, 12), id=3, evse_id=0, purpose=STATION_MAX, start=T + 120)
    assert report([profile((0, 8)), own, cap]) == [(0, 8), (60, 16), (120, 12)]


def test_evse_0_is_the_sum_under_the_station_maximum() -> None:
    """10 A on EVSE 1 and the own 32 A of EVSE 2: 42 A, from 60 s on capped to 30 A (K08.FR.03)."""
    cap = profile((0, 30), id=3, evse_id=0, purpose=STATION_MAX, start=T + 60)
    assert report([profile((0, 10)), cap], evse_id=0) == [(0, 42), (60, 30)]


def test_without_a_transaction_it_is_as_if_one_began_now() -> None:
    """K08.FR.06: a Relative default counts from the request."""
    one = profile((0, 16), (60, 10), kind="Relative", start=None, evse_id=2)
    assert report([one], evse_id=2, start=T + 1000) == [(0, 16), (60, 10)]


def test_the_number_of_phases_is_said() -> None:
    """The period's own, 3 where it says none."""
    found = composite_schedule([profile((0, 10, 1), (60, 10))], LIMITER, StationView(EVSES), 1, T, 100, "A")
    assert found.periods == [CompositePeriod(0, 10, 1), CompositePeriod(60, 10, 3)]


def test_external_constraints_cap_the_sum_like_the_station_maximum() -> None:
    """On EVSE 0 the external 20 A are for both EVSEs together; on EVSE 1 its 8 A are for that one (K08.FR.04, K12.FR.01)."""
    whole = profile((0, 20), id=9, evse_id=0, purpose=EXTERNAL, source="EMS")
    assert report([profile((0, 10)), whole], evse_id=0) == [(0, 20)]
    assert report([profile((0, 10)), whole]) == [(0, 10)]
    assert report([profile((0, 10)), profile((0, 8), id=9, purpose=EXTERNAL, source="EMS")]) == [(0, 8)]


def test_watts_of_evses_on_different_phases_are_added_as_watts() -> None:
    """16 A on one phase (3680 W) and the other EVSE's own 32 A on three (22080 W): 25760 W; in A 16 + 32 = 48."""
    one = profile((0, 16, 1))
    assert report([one], evse_id=0, unit="W") == [(0, 25_760)]
    assert report([one], evse_id=0) == [(0, 48)]


def test_the_supply_of_the_station_caps_the_sum() -> None:
    """Two EVSEs of 16 A and 32 A behind a fuse of 40 A (K04.FR.02)."""
    assert report([], evse_id=0, max_current_a=40.0) == [(0, 40)]


def test_a_local_limit_may_be_a_cap() -> None:
    """20 A on an EVSE of 16 A: as it is with a filler, 16 A with a cap."""
    assert report([profile((0, 20))], local_limit="cap") == [(0, 16)]


def test_a_profile_that_becomes_valid_inside_the_window_counts_from_then() -> None:
    """Level 1 with 6 A is valid from 100 s to 200 s, over 10 A."""
    above = profile((0, 6), id=2, stack_level=1, valid_from=T + 100, valid_to=T + 200)
    assert report([profile((0, 10)), above]) == [(0, 10), (100, 6), (200, 10)]


def test_no_time_at_all_gives_the_limit_of_now() -> None:
    """Duration 0: one period."""
    assert report([profile((0, 10))], duration=0) == [(0, 10)]


@pytest.mark.parametrize(("low", "most"), [(6, MOST_PERIODS), (10, 1)])
def test_a_century_ends_early_and_says_so(low: float, most: int) -> None:
    """100 years of two periods a day are cut: at so many periods, or where none of them differ at so many days."""
    daily = profile((0, 10), (3600, low), kind="Recurring", recurrency="Daily")
    found = composite_schedule([daily], LIMITER, StationView(EVSES), 1, T, int(36_525 * DAY), "A")
    assert len(found.periods) == most
    assert 100 * DAY < found.duration_s < 36_525 * DAY


def test_the_limit_of_the_station_is_compared_in_the_unit_asked_for() -> None:
    """16 A on each EVSE under 40 A on one phase (K08.FR.04): 22,080 W are over its 9200 W, 32 A are within 40 A."""
    cap = profile((0, 40, 1), id=3, evse_id=0, purpose=STATION_MAX)
    both = profile((0, 16), evse_id=0)
    assert report([both, cap], evse_id=0, unit="W") == [(0, 9200)]
    assert report([both, cap], evse_id=0) == [(0, 32)]


def test_a_sum_in_watts_stays_what_the_evses_take() -> None:
    """6 A on three phases twice are 8280 W, under a cap of 40 A on one phase that would allow 9200 W (K08.FR.03)."""
    cap = profile((0, 40, 1), id=3, evse_id=0, purpose=STATION_MAX)
    assert report([profile((0, 6), evse_id=0), cap], evse_id=0, unit="W") == [(0, 8280)]


def test_each_cap_of_the_station_is_compared_by_itself() -> None:
    """In W 20 A on one phase (4600 W) are lower than the 16 A on three (11,040 W); in A the 16 are lower (K08.FR.04)."""
    one = profile((0, 20, 1), id=3, evse_id=0, purpose=STATION_MAX)
    other = profile((0, 16), id=4, evse_id=0, purpose=EXTERNAL, source="EMS")
    assert report([one, other], evse_id=0, unit="W") == [(0, 4600)]
    assert report([one, other], evse_id=0) == [(0, 16)]


def test_a_relative_limit_of_the_station_changes_when_it_is_due() -> None:
    """6 A from its coming at -1 s, 10 A three seconds later; no EVSE's transaction shifts that (K01.FR.41)."""
    cap = profile(
        (0, 6), (3, 10), id=3, evse_id=0, kind="Relative", start=None, purpose=EXTERNAL, source="EMS", received_at=T - 1
    )
    assert report([cap], evse_id=0) == [(0, 6), (2, 10)]


def test_on_one_phase_a_profile_for_three_is_reported_on_one() -> None:
    """K01.FR.45, FR.49, FR.50: 11,040 W are 16 A, of which one phase takes 3680 W."""
    view = StationView([EvseView(1, 32, 1, "tx-1", T)])
    found = composite_schedule([profile((0, 11_040), unit="W")], LIMITER, view, 1, T, 60, "W")
    assert found.periods == [CompositePeriod(0, 3680, 1)]

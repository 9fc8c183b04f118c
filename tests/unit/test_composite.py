"""The composite schedule: the station's sum, local limits, DC, and how limits are shown."""

from __future__ import annotations

import pytest

from bench.cli.composite import _rounded
from tests.support_composite import composite, default, external, profile, stamp, station_max


def test_the_station_takes_the_sum_of_its_evses() -> None:
    """10 A on EVSE 1 and 6 A, from second 40 on 8 A, on EVSE 2."""
    installed = ((1, profile(1, (0, 10))), (2, profile(2, (0, 6), (40, 8))))
    assert composite(*installed, evse=0) == [(0, 16, 3), (40, 18, 3)]


def test_the_maximum_of_the_station_is_applied_once_to_the_sum() -> None:
    """3 EVSEs of 16 A under 40 A: 40 A, and not 3 times the lower of the two."""
    assert composite((0, default(1, (0, 16))), (0, station_max(2, (0, 40))), evse=0, n_evses=3) == [(0, 40, 3)]


def test_station_wide_external_constraints_are_applied_once_and_an_evse_s_own_before_adding() -> None:
    """EVSE 1 has 5 A of its own 16, EVSE 2 all 16: 21 A; from second 30 on 18 A for the station (K12.FR.01)."""
    installed = ((0, default(1, (0, 16))), (1, external(2, (0, 5))), (0, external(3, (0, 18), start=30)))
    assert composite(*installed, evse=0) == [(0, 21, 3), (30, 18, 3)]


def test_an_evse_without_limit_counts_its_local_limit() -> None:
    """10 A by a profile and 32 A of the other EVSE's own."""
    assert composite((1, profile(1, (0, 10))), evse=0, defaults={"limit_A": 32}) == [(0, 42, 3)]


def test_the_sum_is_made_in_the_unit_that_is_asked_for() -> None:
    """16 A on three phases are 11,040 W, 10 A on one are 2,300 W: 13,340 W or 26 A; phases are those of the highest EVSE."""
    installed = ((1, profile(1, (0, 16))), (2, profile(2, (0, 10, 1))))
    assert composite(*installed, evse=0, rate_unit="W") == [(0, 13_340, 3)]
    assert composite(*installed, evse=0) == [(0, 26, 3)]


def test_units_may_be_mixed() -> None:
    """16 A and 4,140 W, which on three phases are 6 A: 22 A."""
    installed = ((1, profile(1, (0, 16))), (2, profile(2, (0, 4140), unit="W")))
    assert composite(*installed, evse=0) == [(0, 22, 3)]


def test_the_cap_of_the_station_lowers_the_number_of_phases() -> None:
    """A maximum of 50 A on two phases does not lead, and has a say in the phases all the same."""
    assert composite((0, default(1, (0, 16))), (0, station_max(2, (0, 50, 2))), evse=0) == [(0, 32, 2)]


def test_the_station_has_no_limit_while_one_evse_has_none() -> None:
    """EVSE 2 has no limit until second 20; from second 60 on the station's maximum is one for the sum."""
    installed = ((1, profile(1, (0, 10))), (2, profile(2, (0, 7), start=20)), (0, station_max(3, (0, 15), start=60)))
    assert composite(*installed, evse=0) == [(0, None, 3), (20, 17, 3), (60, 15, 3)]


def test_only_a_given_transaction_counts_where_none_is_assumed() -> None:
    """EVSE 2 has a transaction, EVSE 1 has none and so only its local 20 A."""
    asked = {"assume_transaction": False, "tx_start_by_evse": {"2": stamp(-5)}, "defaults": {"limit_A": 20}}
    installed = (0, default(1, (0, 9)))
    assert composite(installed, **asked) == [(0, 20, None)]
    assert composite(installed, **asked, evse=2) == [(0, 9, 3)]
    assert composite(installed, **asked, evse=0) == [(0, 29, 3)]


def test_an_assumed_transaction_begins_now() -> None:
    """K08.FR.06: a Relative profile counts from now on, not from its installation."""
    relative = (1, profile(1, (0, 16), (30, 6), kind="Relative"))
    assert composite(relative, now=stamp(1000)) == [(0, 16, 3), (30, 6, 3)]


def test_a_local_limit_fills_gaps_and_caps_only_where_that_is_said() -> None:
    """A profile of 40 A for 50 s on an EVSE of 32 A."""
    installed = (1, profile(1, (0, 40), duration=50))
    assert composite(installed, defaults={"limit_A": 32}) == [(0, 40, 3), (50, 32, None)]
    capped = composite(installed, defaults={"limit_A": 32}, options={"local_limit": "cap"})
    assert capped == [(0, 32, 3), (50, 32, None)]


def test_a_local_limit_in_one_unit_says_the_other() -> None:
    """22,080 W on 3 phases of 230 V are 32 A; 16 A on one phase are 3,680 W."""
    assert composite(defaults={"limit_W": 22_080}) == [(0, 32, None)]
    assert composite(defaults={"limit_A": 16, "phases": 1}, rate_unit="W") == [(0, 3680, None)]


def test_direct_current_has_no_phases_and_no_conversion() -> None:
    """100 kW under 80 kW for the station: 80 kW; a number of phases means nothing."""
    installed = ((1, profile(1, (0, 100_000, 1), unit="W")), (0, station_max(2, (0, 80_000), unit="W", start=50)))
    asked = {"current_type": "DC", "rate_unit": "W", "defaults": {"limit_W": 150_000}}
    assert composite(*installed, **asked) == [(0, 100_000, None), (50, 80_000, None)]
    assert composite(*installed, **asked, evse=0) == [(0, 250_000, None), (50, 80_000, None)]


def test_a_local_limit_caps_on_direct_current_too() -> None:
    """200 A by a profile, 125 A by the EVSE."""
    asked = {"current_type": "DC", "defaults": {"limit_A": 125}, "options": {"local_limit": "cap"}}
    assert composite((1, profile(1, (0, 200))), **asked) == [(0, 125, None)]


def test_equal_neighbours_of_different_profiles_are_one_period() -> None:
    """Level 1 gives way to level 0 after 20 s, at the same 10 A."""
    assert composite((1, profile(1, (0, 10))), (1, profile(2, (0, 10), level=1, duration=20))) == [(0, 10, 3)]


def test_neighbours_that_differ_by_float_arithmetic_alone_are_one_period() -> None:
    """3 x 0.1 A is a little more than 0.3 A in floats: three EVSEs of 0.1 A, then a station maximum of 0.3 A."""
    installed = ((0, default(1, (0, 0.1))), (0, station_max(2, (0, 0.3), start=20)))
    assert [limit for _, limit, _ in composite(*installed, evse=0, n_evses=3)] == pytest.approx([0.3])


def test_a_change_of_phases_alone_is_a_period() -> None:
    """The same 10 A on other phases is another schedule."""
    assert composite((1, profile(1, (0, 10), (20, 10, 1)))) == [(0, 10, 3), (20, 10, 1)]


def test_now_is_floored_to_the_second() -> None:
    """What comes 30 s after 00:00:00 comes 30 s after 00:00:00.9 too."""
    assert composite((1, profile(1, (0, 10), (30, 8))), now="2026-01-01T00:00:00.9Z") == [(0, 10, 3), (30, 8, 3)]


def test_the_window_is_half_open() -> None:
    """A change at its very end is outside."""
    assert composite((1, profile(1, (0, 10), (100, 8)))) == [(0, 10, 3)]


@pytest.mark.parametrize(
    ("limit", "decimals", "shown"),
    [
        (14.49275, None, 14.49275), (14.49275, 1, 14.4), (14.49275, 0, 14), (15.9999, 2, 15.99), (6.0, 1, 6),
        (15.999999999999998, None, 16), (15.999999999999998, 1, 16), (10.1 * 230 * 2, 0, 4646), (0.0, 1, 0), (None, 1, None),
        (1e15, 3, 10**15), (1234567890123.5, None, 1234567890123.5),
    ],
)  # fmt: skip
def test_decimals_round_down_and_noise_does_not(limit: float | None, decimals: int | None, shown: float | None) -> None:
    """A limit is a maximum: it is never rounded up, and never lowered by the noise of floats."""
    assert _rounded(limit, decimals) == shown

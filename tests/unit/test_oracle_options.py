"""Where the text leaves a choice: each reading by name, and what binds the station as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.oracle import PRESETS, OracleOptions, Supply, Transaction, expected_limit, expected_station_limit
from bench.domain.profiles import ChargingProfile, InstalledProfile
from bench.domain.timeline import Window
from tests.support_composite import T0, composite, default, external, profile, stamp, station_max

RELATIVE = profile(1, (0, 16), (30, 6), kind="Relative")


def on(evse_id: int, raw: dict[str, Any], received: float | None = None) -> InstalledProfile:
    """Return an installed profile."""
    return InstalledProfile(evse_id, ChargingProfile.from_ocpp(raw), received)


@pytest.mark.parametrize(
    ("anchor", "change"),
    [("transaction_start", 10), ("power_path_closed", 18), ("received", 55)],
)
def test_a_relative_profile_counts_from_its_anchor(anchor: Any, change: int) -> None:
    """Transaction at -20 s, power path closed at -12 s, profile accepted at 25 s: 30 s after each 6 A begin."""
    line = expected_limit(
        [on(1, RELATIVE, T0 + 25)], 1, Window(T0 + 26, T0 + 100), Transaction("t", T0 - 20, T0 - 12), Supply(),
        OracleOptions(relative_anchor=anchor),
    )  # fmt: skip
    known = {one.start - T0: one.value.limit for one in line.segments() if one.value}
    assert known == ({26: 6} if change <= 26 else {26: 16, change: 6})


@pytest.mark.parametrize("anchor", ["power_path_closed", "received"])
def test_an_anchor_that_is_not_known_is_the_start_of_the_transaction(anchor: Any) -> None:
    """Nothing was seen of the power path, nor when the profile came."""
    options = OracleOptions(relative_anchor=anchor)
    line = expected_limit([on(1, RELATIVE)], 1, Window(T0, T0 + 60), Transaction("t", T0), Supply(), options)
    assert line.starts == [T0, T0 + 30]


def test_a_relative_cap_counts_from_its_arrival_where_no_transaction_runs() -> None:
    """External constraints hold without a transaction; there is no start to count from but their own."""
    cap = on(0, external(1, (0, 16), (30, 6), kind="Relative"), T0 + 10)
    assert expected_station_limit([cap], Window(T0 + 10, T0 + 60), Supply()).starts == [T0 + 10, T0 + 40]


def test_a_case_takes_received_as_now() -> None:
    """The transaction began 25 s ago: by the text 6 A from second 5 on, from reception of the profile from second 30 on."""
    begun = {"tx_start_by_evse": {"1": stamp(-25)}}
    assert composite((1, RELATIVE), **begun) == [(0, 16, 3), (5, 6, 3)]
    assert composite((1, RELATIVE), **begun, options={"relative_anchor": "received"}) == [(0, 16, 3), (30, 6, 3)]


def test_the_preset_libocpp_recurs_before_its_start() -> None:
    """libocpp takes a daily schedule that begins in 40 s as in force since yesterday; the text does not (K01.FR.30)."""
    daily = profile(1, (0, 11), kind="Recurring", recurrencyKind="Daily", start=40)
    assert composite((1, daily), options={"preset": "libocpp"}) == [(0, 11, 3)]


def test_the_preset_libocpp_converts_by_the_merged_phases() -> None:
    """11,040 W on 3 phases beside 32 A on 1 phase: libocpp divides by one phase, 48 A; so the 32 A lead."""
    installed = ((0, station_max(1, (0, 11_040), unit="W")), (1, profile(2, (0, 32, 1))))
    assert composite(*installed) == [(0, 16, 1)]
    assert composite(*installed, options={"preset": "libocpp"}) == [(0, 32, 1)]


def test_the_preset_libocpp_applies_external_constraints_to_each_evse() -> None:
    """K12.FR.01: 20 A in total; libocpp lets each of two EVSEs have 20 A, then adds."""
    installed = ((0, external(1, (0, 20))), (0, default(2, (0, 25))))
    assert composite(*installed, evse=0) == [(0, 20, 3)]
    assert composite(*installed, evse=0, options={"preset": "libocpp"}) == [(0, 40, 3)]


def test_what_a_case_says_goes_before_its_preset() -> None:
    """The preset says nothing of local limits; the case does."""
    options = {"preset": "libocpp", "local_limit": "cap"}
    assert composite((1, profile(1, (0, 32))), options=options, defaults={"limit_A": 20}) == [(0, 20, 3)]


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_a_set_of_options(name: str) -> None:
    """A preset that no option has the name of would be found by a user."""
    assert OracleOptions(**PRESETS[name])


def test_the_limit_of_the_station_is_the_lowest_of_maximum_and_external_constraints() -> None:
    """K04.FR.05, K12.FR.01: 40 A maximum, 30 A external for 20 s; what is on an EVSE does not bind the station."""
    installed = [
        on(0, station_max(1, (0, 40))), on(0, external(2, (0, 30), duration=20)),
        on(1, external(3, (0, 6))), on(0, default(4, (0, 8))),
    ]  # fmt: skip
    line = expected_station_limit(installed, Window(T0, T0 + 60), Supply())
    assert [(one.start - T0, one.value and one.value.limit_a) for one in line.segments()] == [(0, 30), (20, 40)]


def test_without_a_cap_nothing_limits_the_station() -> None:
    """Default profiles limit each EVSE, not their sum."""
    assert expected_station_limit([on(0, default(4, (0, 8)))], Window(T0, T0 + 60), Supply()).values == [None]

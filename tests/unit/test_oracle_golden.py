"""What random stations brought to light: each case by hand, with the clause of OCPP 2.0.1 that settled it."""

from __future__ import annotations

from typing import Any

from bench.domain.oracle import ExpectedLimit, OracleOptions, Supply, Transaction, expected_limit, expected_station_limit
from bench.domain.profiles import ChargingProfile, InstalledProfile
from bench.domain.timeline import Window
from tests.support_composite import T0, default, external, profile

TX = Transaction("tx-1", T0)


def on(evse_id: int, raw: dict[str, Any], source: str | None = None, received: float | None = None) -> InstalledProfile:
    """Return an installed profile."""
    return InstalledProfile(evse_id, ChargingProfile.from_ocpp(raw), received, source)


def at_once(*installed: InstalledProfile, supply: Supply = Supply()) -> ExpectedLimit | None:  # noqa: B008  (frozen)
    """Return what holds on EVSE 1 at T0."""
    return expected_limit(installed, 1, Window(T0, T0 + 1), TX, supply).values[0]


def test_on_one_phase_watts_without_phases_are_still_for_three() -> None:
    """K01.FR.49 with its note of 2025-06: 11,040 W are 16 A on one phase too, where they make 3680 W."""
    value = at_once(on(1, default(1, (0, 11_040), unit="W")), supply=Supply(230.0, 1))
    assert value
    assert (value.limit_a, value.number_phases, value.watts(Supply(230.0, 1))) == (16.0, 1, 3680.0)


def test_two_phases_asked_for_on_one_are_converted_as_two() -> None:
    """K01.FR.45 imposes the limit on fewer phases, K01.FR.50 divides by the period's own: 4600 W are 10 A."""
    value = at_once(on(1, default(1, (0, 4600, 2), unit="W")), supply=Supply(230.0, 1))
    assert value
    assert (value.limit_a, value.number_phases) == (10.0, 1)


def test_each_external_source_binds_by_itself() -> None:
    """SC.01: the 9 A of the grid operator hold beside the 12 A that the energy manager said at a higher stack level."""
    value = at_once(on(1, external(1, (0, 12), level=5), "EMS"), on(1, external(2, (0, 9)), "SO"))
    assert value
    assert value.limit_a == 9.0


def test_within_one_source_the_higher_stack_level_leads() -> None:
    """K 3.5: 12 A at level 5 over 9 A at level 0, both from the energy manager."""
    value = at_once(on(1, external(1, (0, 12), level=5), "EMS"), on(1, external(2, (0, 9)), "EMS"))
    assert value
    assert value.limit_a == 12.0


def test_what_limits_the_station_from_outside_limits_each_evse_too() -> None:
    """K12.FR.01: all EVSEs together take 10 A at most, so one cannot have the 20 A that the same source gave it."""
    value = at_once(on(1, external(1, (0, 20), level=5), "EMS"), on(0, external(2, (0, 10)), "EMS"))
    assert value
    assert value.limit_a == 10.0


def test_the_station_has_the_lowest_of_all_sources() -> None:
    """K12.FR.01 and SC.01: 30 A from one source at level 3, 20 A from another at level 0."""
    installed = [on(0, external(1, (0, 30), level=3), "EMS"), on(0, external(2, (0, 20)), "SO")]
    (value,) = expected_station_limit(installed, Window(T0, T0 + 1), Supply()).values
    assert value
    assert value.limit_a == 20.0


def test_a_relative_limit_of_the_station_counts_from_its_coming_for_an_evse_too() -> None:
    """The station has no transaction: 8 A for 60 s from 20 s before T0, whenever the EVSE's transaction began (K01.FR.41)."""
    raw = external(1, (0, 8), kind="Relative", duration=60)
    line = expected_limit([on(0, raw, "EMS", T0 - 20)], 1, Window(T0, T0 + 90), TX, Supply())
    assert [(one.start - T0, one.value and one.value.limit) for one in line.segments()] == [(0, 8), (40, None)]


def test_a_profile_that_came_before_the_transaction_is_activated_by_it() -> None:
    """K01.FR.41: anchored to its coming, 100 s before the transaction, its first minute still counts from the transaction."""
    raw = profile(1, (0, 16), (60, 6), kind="Relative")
    options = OracleOptions(relative_anchor="received")
    line = expected_limit([on(1, raw, received=T0 - 100)], 1, Window(T0, T0 + 90), TX, Supply(), options)
    assert line.starts == [T0, T0 + 60]

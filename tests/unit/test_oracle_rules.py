"""Each rule of the oracle with numbers of its own (OCPP 2.0.1 Part 2, block K)."""

from __future__ import annotations

from tests.support_composite import DAY, composite, default, external, profile, stamp, station_max


def test_a_weekly_profile_repeats_after_seven_days_and_no_sooner() -> None:
    """RecurrencyKind Weekly: 604,800 s. From a Thursday on, 8 days later only its duration of one hour rules no more."""
    weekly = profile(1, (0, 9), kind="Recurring", recurrencyKind="Weekly", duration=3600)
    assert composite((1, weekly), now=stamp(7 * DAY - 60), duration_s=7200) == [(0, None, None), (60, 9, 3), (3660, None, None)]
    assert composite((1, weekly), now=stamp(8 * DAY - 60), duration_s=7200) == [(0, None, None)]


def test_a_recurrence_is_cut_by_the_next_one() -> None:
    """A daily schedule of 30 h: its period from hour 20 ends at hour 24, where second 0 comes round again."""
    daily = profile(1, (0, 16), (72_000, 7), kind="Recurring", recurrencyKind="Daily", duration=108_000)
    assert composite((1, daily), now=stamp(2 * DAY - 14_500), duration_s=20_000) == [(0, 16, 3), (100, 7, 3), (14_500, 16, 3)]


def test_a_recurrence_is_not_in_force_before_its_start() -> None:
    """K01.FR.30: daily from second 40 on; the day before does not count, the day after does."""
    daily = profile(1, (0, 11), kind="Recurring", recurrencyKind="Daily", start=40)
    assert composite((1, daily)) == [(0, None, None), (40, 11, 3)]


def test_a_period_at_or_after_the_duration_never_runs() -> None:
    """K01.FR.12: the schedule lasts 50 s, so that the periods from 50 s and from 60 s on say nothing."""
    assert composite((1, profile(1, (0, 16), (50, 9), (60, 8), duration=50))) == [(0, 16, 3), (50, None, None)]


def test_a_duration_of_zero_leaves_no_period() -> None:
    """A schedule that lasts 0 s has no moment at which it rules."""
    assert composite((1, profile(1, (0, 16), duration=0))) == [(0, None, None)]


def test_a_gap_falls_through_to_the_next_stack_level_there_is() -> None:
    """K 3.5: level 7 rules from 20 to 30 s, level 4 from 10 to 50 s, level 0 the rest."""
    low = profile(1, (0, 10))
    middle = profile(2, (0, 12), level=4, start=10, duration=40)
    high = profile(3, (0, 14), level=7, start=20, duration=10)
    assert composite((1, low), (1, middle), (1, high)) == [(0, 10, 3), (10, 12, 3), (20, 14, 3), (30, 12, 3), (50, 10, 3)]


def test_a_transaction_profile_overrules_the_default_even_where_it_allows_more() -> None:
    """K02.FR.04: 24 A by the TxProfile, for 30 s, over 8 A by a default of a higher stack level."""
    assert composite((1, default(1, (0, 8), level=9)), (1, profile(2, (0, 24), duration=30))) == [(0, 24, 3), (30, 8, 3)]


def test_valid_to_is_exclusive_to_the_second() -> None:
    """K01.FR.37: valid up to but not at second 25; validFrom 5 is inclusive (K01.FR.36)."""
    one = profile(1, (0, 10), validFrom=stamp(5), validTo=stamp(25))
    assert composite((1, one)) == [(0, None, None), (5, 10, 3), (25, None, None)]


def test_a_late_valid_from_skips_the_periods_before_it() -> None:
    """Periods count from startSchedule, wherever validity begins: at second 30 the second period has long run."""
    assert composite((1, profile(1, (0, 10), (20, 6), validFrom=stamp(30)))) == [(0, None, None), (30, 6, 3)]


def test_a_limit_of_zero_is_a_limit() -> None:
    """0 A leads on its stack level; it is no gap for the 16 A below it."""
    assert composite((1, profile(1, (0, 16))), (1, profile(2, (0, 0), level=1, duration=10))) == [(0, 0, 3), (10, 16, 3)]


def test_external_constraints_of_the_station_and_of_one_evse_both_limit_it() -> None:
    """K 3.5: of one purpose the higher stack level leads; the station's 13 A hold on EVSE 2, EVSE 1 has its own 9 A."""
    installed = ((0, external(1, (0, 13))), (1, external(2, (0, 9), level=1)), (0, default(3, (0, 20))))
    assert composite(*installed) == [(0, 9, 3)]
    assert composite(*installed, evse=2) == [(0, 13, 3)]


def test_external_constraints_need_no_transaction() -> None:
    """K11.FR.01: they limit the station; a default profile without a transaction does not."""
    installed = ((0, external(1, (0, 13))), (0, default(3, (0, 5))))
    assert composite(*installed, assume_transaction=False) == [(0, 13, 3)]


def test_a_station_maximum_on_an_evse_is_ignored() -> None:
    """K04.FR.03: it may only be on EVSE 0."""
    assert composite((1, station_max(1, (0, 6))), (1, profile(2, (0, 16)))) == [(0, 16, 3)]


def test_a_transaction_profile_on_the_whole_station_is_ignored() -> None:
    """K01.FR.16: it may only be on an EVSE above 0."""
    assert composite((0, profile(1, (0, 6))), (1, default(2, (0, 16)))) == [(0, 16, 3)]


def test_the_lowest_number_of_phases_of_all_purposes_counts() -> None:
    """10 A on three phases lead; the maximum of 32 A on one phase, which is not the lowest, makes it one phase."""
    assert composite((1, profile(1, (0, 10))), (0, station_max(2, (0, 32, 1)))) == [(0, 10, 1)]


def test_watts_become_amperes_by_the_period_s_own_phases() -> None:
    """K01.FR.50: 6,900 W on 3 phases at 230 V are 10 A; on 2 phases 15 A; on 1 phase 30 A."""
    installed = (1, profile(1, (0, 6900, 3), (10, 6900, 2), (20, 6900, 1), unit="W"))
    assert composite(installed) == [(0, 10, 3), (10, 15, 2), (20, 30, 1)]
    assert composite(installed, rate_unit="W") == [(0, 6900, 3), (10, 6900, 2), (20, 6900, 1)]


def test_purposes_are_compared_in_amperes() -> None:
    """5,520 W on three phases are 8 A, below 12 A on one phase: 8 A on one phase, which are 1,840 W."""
    installed = ((1, profile(1, (0, 12, 1))), (0, station_max(2, (0, 5520), unit="W")))
    assert composite(*installed) == [(0, 8, 1)]
    assert composite(*installed, rate_unit="W") == [(0, 1840, 1)]


def test_the_voltage_of_the_case_converts() -> None:
    """At 240 V, 10 A on 3 phases are 7,200 W."""
    assert composite((1, profile(1, (0, 10))), rate_unit="W", defaults={"voltage": 240}) == [(0, 7200, 3)]


def test_only_the_first_schedule_counts() -> None:
    """The others are for ISO 15118 (K01.FR.34)."""
    raw = profile(1, (0, 10))
    raw["chargingSchedule"].append({"anything": "goes"})
    assert composite((1, raw)) == [(0, 10, 3)]


def test_the_own_transaction_of_a_profile_is_not_compared() -> None:
    """The profiles are taken as installed on whatever transaction their EVSE has."""
    assert composite((1, profile(1, (0, 10), transactionId="another")), tx_start_by_evse={"1": stamp(-5)}) == [(0, 10, 3)]

"""The emulator's pointwise limiter, cases worked by hand at 230 V.

Source: OCPP 2.0.1 Part 2, K 3.5 and K01, K02, K04. T is the moment 0 s of the schedules.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from firmware_sim.limiter import Limiter, next_boundary, period_at, share
from firmware_sim.profiles import EXTERNAL, STATION_MAX, TX, TX_DEFAULT, Period, Profile

T = 1_768_435_200.0
"""2026-01-15T00:00:00Z, a Thursday."""
DAY = 86_400.0
LIMITER = Limiter(230.0)


def profile(*periods: tuple[float, float] | tuple[float, float, int], **fields: Any) -> Profile:
    """Return an Absolute TxDefaultProfile in A on EVSE 1 of (start, limit[, phases]) periods, with other fields as given."""
    values: dict[str, Any] = {
        "id": 1, "evse_id": 1, "stack_level": 0, "purpose": TX_DEFAULT, "kind": "Absolute", "recurrency": None,
        "transaction_id": None, "valid_from": None, "valid_to": None, "unit": "A", "start": T, "duration_s": None, "received": {},
    }  # fmt: skip
    steps = tuple(Period(one[0], one[1], one[2] if len(one) > 2 else None) for one in periods)
    return Profile(**{**values, **fields}, periods=steps)


def amps_at(profiles: list[Profile], offset: float, transaction: str | None = "tx-1", began: float = T) -> float | None:
    """Return what rules on EVSE 1 so many seconds after T."""
    ruling = LIMITER.ruling(profiles, 1, T + offset, transaction_id=transaction, transaction_start=began)
    return ruling.amps if ruling else None


def test_a_period_lasts_until_the_next_one() -> None:
    """16 A for the first minute, then 10 A for ever; nothing before startSchedule (K01.FR.12, FR.30)."""
    one = profile((0, 16), (60, 10))
    assert [amps_at([one], t) for t in (-0.001, 0, 59.999, 60, 1e6)] == [None, 16, 16, 10, 10]


def test_duration_ends_the_schedule() -> None:
    """It is exclusive, and a period that begins at or after it never runs (K01.FR.11)."""
    one = profile((0, 16), (60, 10), (100, 6), duration_s=100)
    assert [amps_at([one], t) for t in (99.999, 100, 150)] == [10, None, None]


def test_valid_from_is_inclusive_and_valid_to_exclusive() -> None:
    """K01.FR.36, FR.37; offsets keep counting from startSchedule."""
    one = profile((0, 16), (60, 10), valid_from=T + 50, valid_to=T + 70)
    assert [amps_at([one], t) for t in (49.999, 50, 60, 69.999, 70)] == [None, 16, 10, 10, None]


def test_without_a_validity_it_counts_until_it_is_replaced() -> None:
    """K01.FR.10: neither validFrom nor validTo: still in force after 30 years, and from long before it came."""
    one = profile((0, 16), start=T - 30 * 365 * DAY)
    assert [amps_at([one], t) for t in (-29 * 365 * DAY, 0, 30 * 365 * DAY)] == [16, 16, 16]


def test_zero_is_a_limit() -> None:
    """A gap falls through, a limit of 0 does not (K01.FR.17)."""
    above = profile((0, 0), id=2, stack_level=1)
    assert amps_at([profile((0, 16)), above], 10) == 0


def test_the_highest_stack_level_with_a_period_leads_even_when_it_allows_more() -> None:
    """Level 1 from 100 s to 200 s with 20 A over level 0 with 10 A: 10, 20, 10."""
    below, above = profile((0, 10)), profile((0, 20), id=2, stack_level=1, start=T + 100, duration_s=100)
    assert [amps_at([below, above], t) for t in (99, 100, 199, 200)] == [10, 20, 20, 10]


def test_gaps_fall_through_level_by_level() -> None:
    """Levels 2, 1 and 0 end at 100 s, 200 s and 300 s: each hands down to the next, and then nothing limits."""
    stack = [profile((0, 6 + 2 * level), id=level, stack_level=level, duration_s=300 - 100 * level) for level in (1, 0, 2)]
    assert [amps_at(stack, t) for t in (0, 100, 200, 300)] == [10, 8, 6, None]


def test_a_tx_profile_overrules_the_default_whatever_the_levels() -> None:
    """Stack levels are not compared across purposes (K02.FR.04); before and after it the default rules (K02.FR.08)."""
    default = profile((0, 8), stack_level=9)
    own = profile((0, 16), id=2, purpose=TX, transaction_id="tx-1", start=T + 60, duration_s=60)
    assert [amps_at([default, own], t) for t in (59, 60, 119, 120)] == [8, 16, 16, 8]


def test_a_tx_profile_is_for_its_transaction_only() -> None:
    """K02.FR.04."""
    own = profile((0, 16), purpose=TX, transaction_id="tx-1")
    assert amps_at([own], 0) == 16
    assert amps_at([own], 0, "tx-2") is None
    assert amps_at([own], 0, None) is None


def test_the_station_maximum_caps_and_never_raises() -> None:
    """The lower one rules (K08.FR.04)."""
    cap = profile((0, 20), (60, 8), id=2, evse_id=0, purpose=STATION_MAX)
    assert [amps_at([profile((0, 16)), cap], t) for t in (0, 60)] == [16, 8]
    assert amps_at([cap], 0) == 20


def test_a_default_on_evse_0_acts_on_every_evse() -> None:
    """K01.FR.14, FR.15: one on another EVSE does not act here."""
    assert amps_at([profile((0, 9), evse_id=0)], 0) == 9
    assert amps_at([profile((0, 9), evse_id=2)], 0) is None


@pytest.mark.parametrize(("limit_w", "phases", "amps"), [(11_040, None, 16), (11_040, 3, 16), (3680, 1, 16), (6900, 2, 15)])
def test_watts_become_amperes_with_the_phases_of_the_period(limit_w: float, phases: int | None, amps: float) -> None:
    """A = W / (230 V x numberPhases), 3 where none is said (K01.FR.49, FR.50)."""
    one = profile((0, limit_w, phases) if phases else (0, limit_w), unit="W")
    assert amps_at([one], 0) == pytest.approx(amps)


def test_the_lowest_number_of_phases_of_all_purposes_counts() -> None:
    """32 A on one phase under 11040 W on three: 16 A, and one phase in the report."""
    cap = profile((0, 11_040, 3), id=2, evse_id=0, purpose=STATION_MAX, unit="W")
    ruling = LIMITER.ruling([profile((0, 32, 1)), cap], 1, T, transaction_id=None, transaction_start=None)
    assert ruling
    assert (ruling.amps, ruling.number_phases, ruling.unit) == (16, 1, "A")


def test_relative_counts_from_the_start_of_the_transaction() -> None:
    """K01.FR.42: begun at 500 s, so that the second period runs from 560 s."""
    one = profile((0, 16), (60, 10), kind="Relative", start=None)
    assert [amps_at([one], t, began=T + 500) for t in (500, 559, 560)] == [16, 16, 10]


def test_daily_repeats_from_its_start_and_never_before() -> None:
    """K01.FR.13, FR.30: after the duration nothing until the next day."""
    one = profile((0, 16), (3600, 10), kind="Recurring", recurrency="Daily", duration_s=7200)
    assert [amps_at([one], t) for t in (-3600, 0, 3600, 7200, DAY, DAY + 3600, 3 * DAY - 1)] == [None, 16, 10, None, 16, 10, None]


def test_weekly_repeats_after_seven_days() -> None:
    """The second Thursday is like the first."""
    one = profile((0, 16), kind="Recurring", recurrency="Weekly", duration_s=60)
    assert [amps_at([one], t) for t in (0, DAY, 7 * DAY, 7 * DAY + 60)] == [16, None, 16, None]


@pytest.mark.parametrize(
    ("fields", "after", "due"),
    [
        ({}, -10, 0),
        ({}, 0, 60),
        ({}, 60, math.inf),
        ({"duration_s": 100}, 60, 100),
        ({"valid_to": T + 80}, 60, 80),
        ({"valid_from": T + 30}, 0, 30),
        ({"kind": "Recurring", "recurrency": "Daily"}, 60, DAY),
        ({"kind": "Relative", "start": None}, 20, 70),
    ],
)
def test_the_next_change_is_known(fields: dict[str, Any], after: float, due: float) -> None:
    """A timer is set for it instead of asking again and again; the transaction of the Relative case began at 10 s."""
    assert next_boundary(profile((0, 16), (60, 10), **fields), T + after, T + 10) == T + due


def test_no_period_changes_between_two_boundaries() -> None:
    """Walking from boundary to boundary finds the same periods as asking every second."""
    one = profile((0, 16), (45, 10), (90, 0), kind="Recurring", recurrency="Daily", duration_s=400, valid_to=T + DAY + 100)
    t, walked = T - 100, []
    while t < T + DAY + 500:
        until = min(LIMITER.next_change([one], t, None), T + DAY + 500)
        walked += [period_at(one, t, None)] * math.ceil(until - t)
        t = until
    assert walked == [period_at(one, T - 100 + second, None) for second in range(len(walked))]


@pytest.mark.parametrize(
    ("total", "wanted", "given"),
    [
        (32, [16, 16], [16, 16]),
        (20, [16, 16], [10, 10]),
        (20, [6, 16], [6, 14]),
        (11, [16, 16], [11, 0]),
        (5, [16, 16], [0, 0]),
        (20, [0, 16], [0, 16]),
        (12, [16, 16, 16], [6, 6, 0]),
        (16, [], []),
    ],
)
def test_the_station_maximum_is_shared(total: float, wanted: list[float], given: list[float]) -> None:
    """K04.FR.05: the sum stays within it; what one EVSE leaves goes to the others; under 6 A the last come wait."""
    assert share(total, wanted) == pytest.approx(given)


def test_the_lowest_of_all_purposes_rules() -> None:
    """TxProfile 16 A over default 6 A; station maximum 14 A; external 12 A until 60 s (K08.FR.04)."""
    own = profile((0, 16), id=2, purpose=TX, transaction_id="tx-1")
    cap = profile((0, 14), id=3, evse_id=0, purpose=STATION_MAX)
    outside = profile((0, 12), id=4, evse_id=0, purpose=EXTERNAL, source="EMS", duration_s=60)
    assert [amps_at([profile((0, 6)), own, cap, outside], t) for t in (0, 60)] == [12, 14]


def test_an_external_limit_of_one_evse_does_not_reach_another() -> None:
    """It is no part of what the station shares."""
    outside = profile((0, 8), evse_id=2, purpose=EXTERNAL, source="EMS")
    assert amps_at([outside], 0) is None
    assert LIMITER.shared([outside], T) is None


def test_what_the_station_shares_is_the_lower_one() -> None:
    """K04.FR.05, K12.FR.01."""
    cap = profile((0, 20), evse_id=0, purpose=STATION_MAX)
    shared = LIMITER.shared([cap, profile((0, 18), id=2, evse_id=0, purpose=EXTERNAL, source="SO")], T)
    assert shared
    assert (shared.amps, shared.purpose) == (18, EXTERNAL)


@pytest.mark.parametrize(("evse_id", "due"), [(1, [8, 8, None, None]), (0, [None, None, 8, None])])
def test_a_relative_external_limit_of_the_station_counts_from_its_coming(evse_id: int, due: list[float | None]) -> None:
    """8 A for 60 s, come at 100 s: on an EVSE they count from its transaction at 0 s (3.3); the station has none (K01.FR.41)."""
    outside = profile(
        (0, 8), evse_id=evse_id, kind="Relative", start=None, duration_s=60, purpose=EXTERNAL, source="EMS", received_at=T + 100
    )
    assert [amps_at([outside], t) for t in (0, 59, 100, 160)] == due


@pytest.mark.parametrize(("anchor", "amps"), [("transaction_start", 10), ("power_path_closed", 10), ("received", 16)])
def test_the_anchor_of_a_relative_profile_is_a_choice(anchor: str, amps: float) -> None:
    """16 A for 60 s, then 10 A; the transaction began at 0 s, the profile came at 50 s: what rules at 70 s?"""
    one = profile((0, 16), (60, 10), kind="Relative", start=None, received_at=T + 50)
    limiter = Limiter(230.0, anchor=anchor)
    ruling = limiter.ruling([one], 1, T + 70, transaction_id="tx-1", transaction_start=T)
    assert ruling
    assert ruling.amps == amps


def test_a_profile_that_came_before_the_transaction_counts_from_its_start() -> None:
    """Where the anchor is the coming of the profile: activated by the transaction at 50 s."""
    one = profile((0, 16), (60, 10), kind="Relative", start=None, received_at=T)
    ruling = Limiter(230.0, anchor="received").ruling([one], 1, T + 70, transaction_id="tx-1", transaction_start=T + 50)
    assert ruling
    assert ruling.amps == 16


def test_on_dc_phases_do_not_count() -> None:
    """8 kW at 400 W per A are 20 A, whatever numberPhases says (K01.FR.44)."""
    ruling = Limiter(400.0, dc=True).ruling(
        [profile((0, 8000, 3), unit="W")], 1, T, transaction_id=None, transaction_start=None
    )  # fmt: skip
    assert ruling
    assert (ruling.amps, ruling.number_phases) == (20, 1)


def test_the_phase_asked_for_is_kept_under_a_lower_cap() -> None:
    """Default on L2 alone, 16 A, under a station maximum of 10 A (K01.FR.46)."""
    one = replace(profile((0, 16)), periods=(Period(0, 16, 1, 2),))
    cap = profile((0, 10), id=2, evse_id=0, purpose=STATION_MAX)
    ruling = LIMITER.ruling([one, cap], 1, T, transaction_id=None, transaction_start=None)
    assert ruling
    assert (ruling.amps, ruling.number_phases, ruling.phase_to_use) == (10, 1, 2)


def test_on_dc_every_car_gets_its_share() -> None:
    """4 A for three cars, where nothing is too little to charge with."""
    assert share(4, [16, 16, 1], 0.0) == pytest.approx([1.5, 1.5, 1])


def test_each_external_source_has_its_say() -> None:
    """The lowest of them rules, whatever their stack levels (SC.01)."""
    ems = profile((0, 12), id=-1, evse_id=0, purpose=EXTERNAL, source="EMS", stack_level=5)
    grid = profile((0, 9), id=-2, evse_id=0, purpose=EXTERNAL, source="SO", duration_s=60)
    assert [amps_at([ems, grid], t) for t in (0, 60)] == [9, 12]

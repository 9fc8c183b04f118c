"""Faults in which profiles the station takes, keeps and begins, each beside what a sound station does."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_sim.faults import FaultSeam
from firmware_sim.limiter import Situation
from firmware_sim.validation import Refusal
from tests.unit.test_firmware_faults_seeded import OWN, amps, seeded
from tests.unit.test_firmware_limiter import T, profile

UNORDERED = profile((0, 16), (300, 6), (60, 10))


@pytest.mark.parametrize(
    ("fault_id", "params", "profiles", "offset", "sound", "faulty"),
    [
        ("accepts-ended-transaction", {}, [profile((0, 8), **{**OWN, "transaction_id": "tx-0"})], 0, None, 8),
        ("skips-last-period", {}, [profile((0, 16), (60, 8), duration_s=120)], 90, 8, 16),
        ("skips-last-period", {}, [profile((0, 16), (60, 8))], 90, 8, 8),
        ("relative-anchor", {"shift_s": 60, "reported": True}, [profile((0, 16), (60, 8), kind="Relative")], 90, 8, 16),
        ("unordered-periods", {"pick": "first"}, [UNORDERED], 400, 10, 16),
        ("unordered-periods", {"pick": "last"}, [UNORDERED], 90, 16, 10),
        ("unordered-periods", {"pick": "last"}, [UNORDERED], 400, 10, 10),
    ],
)
def test_a_profile_acts_otherwise(
    fault_id: str, params: dict[str, Any], profiles: Any, offset: float, sound: float | None, faulty: float | None
) -> None:
    """The same profiles at the same moment give another limit."""
    assert amps(FaultSeam(), profiles, offset) == sound
    assert amps(seeded(f"station.{fault_id}", **params), profiles, offset) == faulty


def test_only_what_is_done_is_shifted_where_the_report_stays_right() -> None:
    """A Relative profile a minute late at the plug, and in time in the report."""
    seam, now = seeded("station.relative-anchor", shift_s=60, reported=False), Situation(1, T, "tx-1", T)
    own = [profile((0, 8), kind="Relative")]
    assert seam.apply("profiles", now, value=own) == own
    assert [one.start for one in seam.apply("applied", now, value=own)] == [T + 60]


def test_places_are_given_back_by_clearing_alone() -> None:
    """Two places: the third profile is refused until one is cleared."""
    seam, seen = seeded("station.keeps-expired", slots=2), []
    first, second, third = (profile((0, 8), id=identity) for identity in (1, 2, 3))
    for one in (first, second):
        seam.apply("on_set_profile", 1, value=one)
    seen += seam.apply("refusals", "SetChargingProfile", third, value=[])
    seam.apply("on_clear", [first, second], value=[first])
    assert ([one.reason_code for one in seen], seam.apply("refusals", "SetChargingProfile", third, value=[])) == (
        ["TooManyProfiles"], [],
    )  # fmt: skip


def test_a_unit_is_refused_and_the_order_is_not() -> None:
    """K01.FR.26 is found, K01.FR.31 and FR.35 are lost."""
    unordered = [Refusal("InvalidSchedule", "", rule) for rule in ("K01.FR.31", "K01.FR.35", "K01.FR.16")]
    kept = seeded("station.unordered-periods", pick="last").apply("refusals", "SetChargingProfile", UNORDERED, value=unordered)
    refused = seeded("station.rejects-unit", unit="A").apply("refusals", "SetChargingProfile", UNORDERED, value=[])
    assert ([one.rule for one in kept], [one.rule for one in refused]) == (["K01.FR.16"], ["K01.FR.26"])


def test_phases_follow_the_stack_level_or_never_come_back() -> None:
    """Level 2 is two phases; one phase stays one."""
    swapped, stuck = seeded("station.swaps-stack-and-phases"), seeded("station.stays-on-one-phase")
    swapped.apply("applied", Situation(1, T, "tx-1", T), value=[profile((0, 8), **{**OWN, "stack_level": 2})])
    assert swapped.apply("lines", 1, 3, value=(0, 1, 2)) == (0, 1)
    assert [stuck.apply("lines", 1, 3, value=lines) for lines in ((0, 1, 2), (1,), (0, 1, 2))] == [(0, 1, 2), (1,), (1,)]


def test_a_switch_takes_longer() -> None:
    """Two minutes in place of ten seconds."""
    assert seeded("station.long-phase-switch", pause_s=110).apply("switch_pause", value=10.0) == 110


@pytest.mark.parametrize(
    ("fault_id", "params", "reason"),
    [
        ("relative-anchor", {"shift_s": "60", "reported": True}, "shift_s = '60'"),
        ("relative-anchor", {"shift_s": 60, "reported": 1}, "reported = 1"),
        ("keeps-expired", {"slots": 0}, "slots = 0"),
        ("unordered-periods", {"pick": "best"}, "pick = 'best'"),
        ("rejects-unit", {"unit": "kW"}, "unit = 'kW'"),
        ("long-phase-switch", {"pause_s": 6}, "pause_s = 6"),
    ],
)
def test_a_wrong_parameter_is_refused(fault_id: str, params: dict[str, Any], reason: str) -> None:
    """With its name and value."""
    with pytest.raises(ValueError, match=reason):
        seeded(f"station.{fault_id}", **params)

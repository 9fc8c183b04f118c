"""ISO 15118 from the journal alone: silence that convicts, plans that count, and what happens offline."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.verdicts import Verdict
from tests.support_conduct import Story, profile, stamp, tx_profile
from tests.unit.test_conduct_external import FAIL, PASS, ev_schedule, load_levelling, needs, notice


def speaking(**settings: Any) -> Story:
    """Return a run with an ISO 15118 EV before EVSE 1."""
    story = Story(iso15118=True)
    story.act("vehicle", evse_id=1, settings={"iso15118": 1} | settings)
    return story


@pytest.mark.parametrize(
    ("settings", "told_at", "verdict"),
    [({}, None, FAIL), ({"iso15118": 0}, None, []), ({}, 30, PASS), ({}, 70, [Verdict.PASS, Verdict.FAIL])],
)
def test_an_ev_whose_needs_nobody_hears(settings: dict[str, Any], told_at: int | None, verdict: list[Verdict]) -> None:
    """K15.FR.01: an EV that speaks ISO 15118 has a transaction for 60 s, and no needs come."""
    story = speaking(**settings)
    story.at(2).transaction()
    if told_at is not None:
        needs(story.at(told_at))
    assert story.on("K15.FR.01", 100) == verdict


def test_offline_nobody_could_hear_the_needs() -> None:
    """K15.FR.01 says nothing where the link was away while they were due."""
    story = speaking()
    story.at(2).transaction()
    story.at(10).link("closed")
    assert story.on("K15.FR.01", 100) == []


@pytest.mark.parametrize(("returned", "verdict"), [("inside", FAIL), ("stubborn", FAIL), ("none", [])])
def test_an_ev_schedule_that_is_not_told(returned: str, verdict: list[Verdict]) -> None:
    """K15.FR.10: the EV returns one, a TxProfile was accepted, and no NotifyEVChargingSchedule comes within 30 s."""
    story = speaking(ev_profile=returned)
    story.at(1).transaction()
    needs(story.at(2))
    story.at(3).set(tx_profile())
    assert story.on("K15.FR.10", 60) == verdict


def test_a_second_schedule_that_is_not_told() -> None:
    """K16.FR.05: the CSMS lowers the limit; the same limits sent again bring no renegotiation (erratum 2025-09)."""
    for limit, verdict in ((7, FAIL), (10, [])):
        story = speaking(ev_profile="inside")
        story.at(1).transaction()
        needs(story.at(2))
        story.at(3).set(tx_profile())
        ev_schedule(story.at(5), 8)
        story.at(20).set(tx_profile(limit=limit))
        assert story.on("K16.FR.05", 100) == verdict


def test_a_schedule_that_names_none_of_the_csms() -> None:
    """K15.FR.21 is a recommendation: schedule 1 is told where the CSMS sent number 5."""
    assert load_levelling(8).on("K15.FR.21") == [Verdict.CONDITIONAL_PASS]


@pytest.mark.parametrize(
    ("said", "heeded", "merged"),
    [(8.0, PASS, PASS), (10.0, [Verdict.CONDITIONAL_PASS], PASS), (9.0, [Verdict.CONDITIONAL_PASS], FAIL)],
)
def test_an_accepted_ev_schedule_in_the_composite(said: float, heeded: list[Verdict], merged: list[Verdict]) -> None:
    """K15.FR.14: 8 A planned within 10 A allowed; either may be reported, and nothing in between."""
    story = load_levelling(8)
    story.at(10).composite((0, said))
    results = {one.requirement: one.verdict for one in story.check(end=60).requirements}
    assert ([results["K15.FR.14"]], [results["K08.FR.02"]]) == (heeded, merged)


@pytest.mark.parametrize(("drawn", "verdict"), [(9.9, PASS), (12.5, FAIL)])
def test_an_ev_that_plans_too_much(drawn: float, verdict: list[Verdict]) -> None:
    """K15.FR.09: 12 A planned where 10 A are allowed; the meter says whether the station let the EV."""
    story = load_levelling(12)
    story.draw(60, evse1=lambda _: drawn)
    assert [one for one in story.on("K15.FR.09", 61) if one is not Verdict.INCONCLUSIVE] == verdict


def test_an_ev_that_asks_anew_offline_is_not_heard() -> None:
    """K17.FR.01 says nothing of a renegotiation that nobody could be told of."""
    story = load_levelling(8)
    story.at(20).link("closed")
    story.at(30).act("renegotiate", evse_id=1, needs={})
    assert story.on("K17.FR.01", 100) == []


@pytest.mark.parametrize(("drawn", "verdict"), [(9.9, PASS), (16.0, FAIL)])
def test_a_transaction_that_began_offline_counts_from_its_own_time(drawn: float, verdict: list[Verdict]) -> None:
    """K15.FR.15: told at second 90 as begun at second 12, offline; the default of 10 A held, or did not, in between."""
    story = speaking()
    story.at(1).set(profile(), 0)
    story.at(10).link("closed")
    story.draw(90, evse1=lambda second: drawn if second > 14 else 0.0)
    story.link("connected")
    story.transaction(offline=True, timestamp=stamp(12))
    assert story.on("K15.FR.15", 120) == verdict


@pytest.mark.parametrize(("told", "verdict"), [(True, PASS), (False, FAIL)])
def test_a_limit_of_the_offline_time_is_told_once_the_link_is_back(told: bool, verdict: list[Verdict]) -> None:
    """K11.FR.02 with SC.02: an EMS limits at second 20, the link is back at second 50."""
    story = Story(external_limits=True)
    story.at(1).transaction()
    story.at(10).link("closed")
    story.at(20).limit(8)
    story.at(50).link("connected")
    if told:
        notice(story.at(52))
    assert story.on("K11.FR.02", 100) == verdict

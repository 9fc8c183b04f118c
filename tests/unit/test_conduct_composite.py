"""What composite schedules show: K08, and the rules that decide what is due in their window; each in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.verdicts import Verdict
from tests.support_conduct import Story, profile, stamp, tx_profile

PASS, FAIL = [Verdict.PASS], [Verdict.FAIL]


def test_an_unknown_evse_and_an_unsupported_unit_are_rejected() -> None:
    """K08.FR.05, K08.FR.07."""
    for requirement, asked, features in (("K08.FR.05", {"evse": 9}, {}), ("K08.FR.07", {"unit": "W"}, {"rate_units": ["A"]})):
        sound, broken = Story(**features), Story(**features)
        sound.composite(status="Rejected", **asked)
        broken.composite((0, 10.0), **asked)
        assert (sound.on(requirement), broken.on(requirement)) == (PASS, FAIL)


def test_without_a_transaction_the_default_counts() -> None:
    """K08.FR.06: as if a transaction ran under the TxDefaultProfile of 10 A."""
    for said, verdict in ((10.0, PASS), (16.0, FAIL)):
        story = Story()
        story.at(1).set(profile())
        story.at(2).composite((0, said))
        assert story.on("K08.FR.06") == verdict


def test_the_schedule_is_never_above_the_lowest() -> None:
    """K08.FR.04: 12 A of the station's maximum and 10 A of the default: 12 is too much; 8 is wrong, but not too much."""
    for said, verdict, whole in ((10.0, PASS, PASS), (12.0, FAIL, FAIL), (8.0, PASS, FAIL)):
        story = Story()
        story.at(1).set(profile(1), 1)
        story.at(2).set(profile(2, "ChargingStationMaxProfile", limit=12), 0)
        story.at(3).composite((0, said))
        results = story.check().requirements
        assert [one.verdict for one in results if one.requirement == "K08.FR.04"] == verdict
        assert [one.verdict for one in results if one.requirement == "K08.FR.02"] == whole


def test_evse_0_is_the_sum_under_the_stations_maximum() -> None:
    """K08.FR.03: 10 A on EVSE 1 and 9 A on EVSE 2 are 19 A; a maximum of 15 A binds the sum once."""
    for cap, said, verdict in ((None, 19.0, PASS), (None, 10.0, FAIL), (15, 15.0, PASS), (15, 19.0, FAIL)):
        story = Story()
        story.at(1).set(profile(1), 1)
        story.at(2).set(profile(2, limit=9), 2)
        if cap is not None:
            story.at(3).set(profile(3, "ChargingStationMaxProfile", limit=cap), 0)
        story.at(4).composite((0, said), evse=0)
        assert story.on("K08.FR.03") == verdict


@pytest.mark.parametrize(("local_limit", "said"), [("filler", 41.0), ("cap", 25.0)])
def test_evse_0_adds_up_what_the_evses_can_give_where_that_caps(local_limit: str, said: float) -> None:
    """K08.FR.03: 32 A for an EVSE of 16 A, and 9 A for the other."""
    for wrong, verdict in ((0.0, PASS), (1.0, FAIL)):
        story = Story(local_limit=local_limit)
        story.at(1).set(profile(1, limit=32), 1)
        story.at(2).set(profile(2, limit=9), 2)
        story.at(3).composite((0, said + wrong), evse=0)
        assert story.on("K08.FR.03") == verdict


@pytest.mark.parametrize(
    ("requirement", "more"),
    [("K01.FR.36", {"validFrom": stamp(40)}), ("K01.FR.30", {"start": 40})],
)
def test_a_profile_counts_from_its_moment_on(requirement: str, more: dict[str, Any]) -> None:
    """8 A of stack level 1 from second 40 on, 10 A before: asked at second 10 the step is 30 s ahead."""
    for periods, verdict in ((((0, 10.0), (30, 8.0)), PASS), (((0, 8.0),), FAIL), (((0, 10.0),), FAIL)):
        story = Story()
        story.at(1).set(profile(1))
        story.at(2).set(profile(2, limit=8, stack=1, **more))
        story.at(10).composite(*periods)
        assert story.on(requirement) == verdict


def test_a_recurring_schedule_does_not_count_before_its_first_day() -> None:
    """K01.FR.30: 8 A daily from tomorrow on, of the higher stack level, limit nothing today."""
    for said, verdict in ((10.0, PASS), (8.0, FAIL)):
        story = Story()
        story.at(1).set(profile(1))
        daily = profile(2, limit=8, stack=1, start=86_400) | {"chargingProfileKind": "Recurring", "recurrencyKind": "Daily"}
        story.at(2).set(daily)
        story.at(3).composite((0, said))
        assert story.on("K01.FR.30") == verdict


def test_valid_to_is_the_end() -> None:
    """K01.FR.37: 8 A of stack level 1 until second 40, then 10 A."""
    for periods, verdict in ((((0, 8.0), (30, 10.0)), PASS), (((0, 8.0),), FAIL)):
        story = Story()
        story.at(1).set(profile(1))
        story.at(2).set(profile(2, limit=8, stack=1, validTo=stamp(40)))
        story.at(10).composite(*periods)
        assert story.on("K01.FR.37") == verdict


def test_a_period_lasts_to_the_next_and_to_the_end_of_the_duration() -> None:
    """K01.FR.12: 8 A of stack level 1 for 60 s from second 10 on, 10 A below it: the last 8 A end at second 70."""
    for periods, verdict in ((((0, 8.0), (60, 10.0)), PASS), (((0, 8.0),), FAIL)):
        story = Story()
        story.at(1).set(profile(1))
        story.at(2).set(profile(2, limit=8, stack=1, start=10, duration=60))
        story.at(10).composite(*periods)
        assert story.on("K01.FR.12") == verdict


def test_the_highest_stack_level_leads() -> None:
    """K01.FR.17: 12 A of level 1 over 10 A of level 0, though it is more."""
    for said, verdict in ((12.0, PASS), (10.0, FAIL)):
        story = Story()
        story.at(1).set(profile(1))
        story.at(2).set(profile(2, limit=12, stack=1))
        story.at(3).composite((0, said))
        assert story.on("K01.FR.17") == verdict


def test_a_tx_profile_overrules_the_default_and_gives_way_to_it() -> None:
    """K02.FR.04, K02.FR.08: 12 A for 40 s of the transaction, then the 10 A of the default."""
    for periods, verdict in ((((0, 12.0), (30, 10.0)), PASS), (((0, 12.0),), FAIL)):
        story = Story()
        story.at(1).set(profile(1))
        story.at(2).transaction()
        story.at(3).set(tx_profile(limit=12, duration=40))
        story.at(10).composite(*periods)
        results = {one.requirement: one.verdict for one in story.check().requirements}
        assert [results["K02.FR.04"], results["K02.FR.08"]] == verdict * 2


def test_a_new_default_counts_in_a_running_transaction() -> None:
    """K01.FR.32, and K01.FR.07: the schedule asked next follows it."""
    for said, verdict in ((10.0, PASS), (16.0, FAIL)):
        story = Story()
        story.at(1).transaction()
        story.at(2).set(profile())
        story.at(3).composite((0, said))
        results = {one.requirement: one.verdict for one in story.check().requirements}
        assert [results["K01.FR.32"], results["K01.FR.07"]] == verdict * 2


def test_what_nothing_depends_on_is_not_put_to_the_test() -> None:
    """One TxDefaultProfile without end shows nothing of validity or stacking."""
    story = Story(must_show=["K01.FR.37"])
    story.at(1).set(profile())
    story.at(2).composite((0, 10.0))
    result = story.check()
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.headline == "K01.FR.37: was not put to the test"


def test_listed_requirements_that_were_shown_pass() -> None:
    """The headline counts them."""
    story = Story(must_show=["K08.FR.02", "K08.FR.06"])
    story.at(1).set(profile())
    story.at(2).composite((0, 10.0))
    result = story.check()
    assert result.verdict is Verdict.PASS
    assert "requirements put to the test and met" in result.headline


def test_a_failure_that_was_not_listed_counts() -> None:
    """What a run shows is judged, whatever it was made for."""
    story = Story(must_show=["K08.FR.06"])
    story.at(1).set(profile())
    story.at(2).composite((0, 10.0))
    story.at(3).composite((0, 10.0), evse=9)
    result = story.check()
    assert (result.verdict, result.requirement) == (Verdict.FAIL, "K08.FR.05")


@pytest.mark.parametrize(("told", "verdict"), [(63, Verdict.PASS), (16, Verdict.PASS), (20, Verdict.FAIL), (64, Verdict.FAIL)])
def test_an_evse_may_tell_its_own_limit_in_place_of_a_higher_one(told: float, verdict: Verdict) -> None:
    """K08.FR.04 bounds from above: on an EVSE of 16 A a profile of 63 A may show as either, and as nothing else."""
    story = Story()
    story.at(1).set(profile(limit=63))
    story.at(3).composite((0, told))
    assert story.on("K08.FR.02") == [verdict]

"""What becomes of profiles in the store: kept, replaced, owned, reported, cleared, dropped; each in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.verdicts import FaultClass, Verdict
from tests.support_conduct import Story, profile, stamp, tx_profile

PASS, FAIL = [Verdict.PASS], [Verdict.FAIL]
EXTERNAL = profile(-1, "ChargingStationExternalConstraints")


def test_the_same_id_replaces() -> None:
    """K01.FR.05: afterwards the id stands for the new profile alone, in its new place."""
    for found, verdict in (([(2, profile(1, limit=8))], PASS), ([(1, profile(1)), (2, profile(1, limit=8))], FAIL),
                           ([(2, profile(1))], FAIL)):  # fmt: skip
        story = Story()
        story.at(1).set(profile(1), 1)
        story.at(2).set(profile(1, limit=8), 2)
        story.at(3).read_back(*found)
        assert story.on("K01.FR.05") == verdict


def test_a_replacement_that_nobody_read_back_is_not_shown() -> None:
    """The answer alone proves no replacing."""
    story = Story(must_show=["K01.FR.05"])
    story.at(1).set(profile(1))
    story.at(2).set(profile(1, limit=8))
    assert story.check().verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("requirement", "evse", "copies"), [("K01.FR.14", 0, (1, 2)), ("K01.FR.15", 1, (1, 2))])
def test_a_default_is_owned_where_it_was_set(requirement: str, evse: int, copies: tuple[int, ...]) -> None:
    """Reported under its own EVSE, and copied to no other."""
    sound, broken = Story(), Story()
    for story, places in ((sound, (evse,)), (broken, copies)):
        story.at(1).set(profile(), evse)
        story.at(2).read_back(*((one, profile()) for one in places))
    assert (sound.on(requirement), broken.on(requirement)) == (PASS, FAIL)


def test_profiles_outlive_a_reboot() -> None:
    """K01.FR.27: what was set before the boot is reported after it."""
    for found, verdict in (([(1, profile())], PASS), ([], FAIL)):
        story = Story()
        story.at(1).boot()
        story.at(2).set(profile())
        story.at(3).boot()
        story.at(4).read_back(*found)
        assert story.on("K01.FR.27") == verdict


def test_without_a_reboot_persistence_is_not_shown() -> None:
    """Two reports of one uptime say nothing."""
    story = Story(must_show=["K01.FR.27"])
    story.at(2).set(profile())
    story.at(4).read_back((1, profile()))
    result = story.check()
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.headline == "K01.FR.27: was not put to the test"


def test_a_tx_profile_goes_with_its_transaction() -> None:
    """K02.FR.05: after Ended it is not reported any more."""
    for found, verdict in (([], PASS), ([(1, tx_profile())], FAIL)):
        story = Story()
        story.at(1).transaction()
        story.at(2).set(tx_profile())
        story.at(3).transaction("Ended")
        story.at(4).read_back(*found)
        assert story.on("K02.FR.05") == verdict


def test_a_transaction_goes_on_under_a_new_default() -> None:
    """K01.FR.32: an end that nobody asked for is a breach; an unplugged EV is not."""
    for action, verdict in (("demand", FAIL), ("unplug", [])):
        story = Story()
        story.at(1).transaction()
        story.at(2).set(profile())
        story.at(3).act(action)
        story.at(4).transaction("Ended", stoppedReason="Other")
        assert story.on("K01.FR.32") == verdict


def two_profiles() -> Story:
    """Return a run with a TxDefaultProfile on EVSE 0 and another on EVSE 1."""
    story = Story()
    story.at(1).set(profile(1, "ChargingStationMaxProfile"), 0)
    story.at(2).set(profile(2, stack=1), 1)
    return story.at(3)


MAX, DEFAULT = (0, profile(1, "ChargingStationMaxProfile")), (1, profile(2, stack=1))


@pytest.mark.parametrize(
    ("requirement", "asked", "sound", "broken"),
    [
        ("K09.FR.04", {"evse": 1}, [DEFAULT], [MAX, DEFAULT]),
        ("K09.FR.05", {"evse": 0}, [MAX], [MAX, DEFAULT]),
        ("K09.FR.06", {}, [MAX, DEFAULT], [DEFAULT]),
        ("K09.FR.06", {"stackLevel": 1}, [DEFAULT], [MAX, DEFAULT]),
        ("K09.FR.06", {"chargingProfilePurpose": "ChargingStationMaxProfile"}, [MAX], [MAX, DEFAULT]),
        ("K09.FR.06", {"chargingProfileId": [2]}, [DEFAULT], []),
        ("K09.FR.06", {"chargingLimitSource": ["EMS"]}, [], [MAX]),
    ],
)
def test_a_report_holds_what_was_asked_for(requirement: str, asked: dict[str, Any], sound: list[Any], broken: list[Any]) -> None:
    """Every profile that matches all criteria, and no other."""
    good, bad = two_profiles(), two_profiles()
    good.read_back(*sound, **asked)
    bad.read_back(*broken, **asked)
    assert (good.on(requirement), bad.on(requirement)) == (PASS, FAIL)


def test_a_report_names_its_request() -> None:
    """K09.FR.01: another requestId leaves the report without a question."""
    sound, broken = two_profiles(), two_profiles()
    sound.read_back(MAX, DEFAULT)
    broken.read_back(MAX, DEFAULT, answer_id=4711)
    assert (sound.on("K09.FR.01"), broken.on("K09.FR.01")) == (PASS, FAIL)


def test_all_reports_but_the_last_are_to_be_continued() -> None:
    """K09.FR.02; one report alone does not put it to the test."""
    for found, tbc, verdict in (([MAX, DEFAULT], (True, False), PASS), ([MAX, DEFAULT], (False, False), FAIL), ([MAX], (), [])):
        story = two_profiles()
        story.read_back(*found, tbc=tbc)
        assert story.on("K09.FR.02") == verdict


def test_a_report_that_never_comes_fails_once_there_was_time_for_it() -> None:
    """Accepted announces a report; a run that ends at once does not convict."""
    for end, verdict in ((100, FAIL), (5, [Verdict.INCONCLUSIVE])):
        story = two_profiles()
        story.call("GetChargingProfiles", {"requestId": 9, "chargingProfile": {}}, {"status": "Accepted"})
        assert story.on("K09.FR.06", end) == verdict


def test_a_wrong_report_is_a_fault_of_reporting_only() -> None:
    """Nothing was charged wrongly."""
    story = two_profiles()
    story.read_back(DEFAULT)
    assert story.check().fault_class is FaultClass.REPORT_ONLY


@pytest.mark.parametrize(
    ("requirement", "request_", "left"),
    [("K10.FR.03", {"id": 2}, [MAX]), ("K10.FR.04", {"stackLevel": 1}, [MAX]), ("K10.FR.04", {"evseId": 1}, [MAX])],
)
def test_what_matches_is_cleared_and_nothing_else(requirement: str, request_: dict[str, Any], left: list[Any]) -> None:
    """Accepted, gone, the rest still there: one short of that is a breach."""
    for status, found, verdict in (
        ("Accepted", left, PASS), ("Accepted", [MAX, DEFAULT], FAIL), ("Accepted", [], FAIL), ("Unknown", left, FAIL),
    ):  # fmt: skip
        story = two_profiles()
        story.clear(status, **request_)
        story.at(4).read_back(*found)
        assert story.on(requirement) == verdict


def test_several_clearings_are_shown_by_one_report() -> None:
    """What was cleared earlier is still gone later; a profile that was set again in between cannot tell."""
    story, again = two_profiles(), two_profiles()
    story.clear(id=1)
    story.clear(id=2)
    story.at(4).read_back()
    again.clear(id=2)
    again.set(profile(2, stack=1), 1)
    again.at(4).read_back(MAX, DEFAULT)
    assert story.on("K10.FR.03") == PASS * 2
    assert again.on("K10.FR.03") == [Verdict.INCONCLUSIVE]


def test_clearing_what_is_not_there_is_unknown() -> None:
    """K10.FR.01."""
    sound, broken = two_profiles(), two_profiles()
    for story, status in ((sound, "Unknown"), (broken, "Accepted")):
        story.read_back(MAX, DEFAULT)
        story.at(4).clear(status, id=77)
    assert (sound.on("K10.FR.01"), broken.on("K10.FR.01")) == (PASS, FAIL)


def test_clearing_before_the_store_was_read_convicts_nobody() -> None:
    """A station may hold profiles of another life; whether the id is among them was not asked."""
    story = Story()
    story.at(1).clear("Accepted", id=77)
    assert story.on("K10.FR.01") == []


def test_what_a_station_brings_along_counts() -> None:
    """A TxDefaultProfile that is reported after the first clearing was there before: a second one of its level is refused."""
    story = Story()
    story.at(1).clear("Accepted", id=77)
    story.at(2).read_back((0, profile(9)))
    story.at(3).set(profile(1), 1, "Rejected")
    assert story.on("K01.FR.53") == PASS


@pytest.mark.parametrize(
    ("requirement", "request_"),
    [("K10.FR.09", {"id": -1}), ("K10.FR.08", {"chargingProfilePurpose": "ChargingStationExternalConstraints"})],
)
def test_an_external_limit_is_not_the_csms_s_to_clear(requirement: str, request_: dict[str, Any]) -> None:
    """Unknown, and it is still reported."""
    for status, found, verdict in (("Unknown", [(0, EXTERNAL)], PASS), ("Accepted", [], FAIL), ("Unknown", [], FAIL)):
        story = Story()
        story.at(1).read_back((0, EXTERNAL))
        story.at(2).clear(status, **request_)
        story.at(3).read_back(*found)
        assert story.on(requirement) == verdict


def test_a_transaction_outlives_its_cleared_default() -> None:
    """K10.FR.07: it goes on as if there had been no TxDefaultProfile, which the composite schedule shows."""
    for said, verdict in ((12.0, PASS), (10.0, FAIL)):
        story = Story()
        story.at(1).set(profile(1), 1)
        story.at(2).set(profile(2, "ChargingStationMaxProfile", limit=12), 0)
        story.at(3).transaction()
        story.at(4).clear(id=1)
        story.at(5).composite((0, said))
        assert story.on("K10.FR.07") == verdict


@pytest.mark.parametrize(("second", "verdict"), [(8, Verdict.FAIL), (20, Verdict.PASS)])
def test_a_profile_that_is_out_of_date_need_not_be_kept(second: int, verdict: Verdict) -> None:
    """K01.FR.27, K09.FR.06: validTo is at 10 s; before it the profile has to be there, after it a station may drop it."""
    story = Story(checks=("conduct", "installed"))
    kept = profile(limit=10, validTo=stamp(10))
    story.at(1).set(kept)
    story.at(3).read_back((1, kept))
    story.at(second).boot()
    story.at(second + 1).read_back()
    judgement = story.judgement()
    checks = {one.check: one for one in judgement.verdict.checks}
    assert checks["installed"].verdict is verdict
    assert (checks["conduct"].verdict is Verdict.FAIL) is (verdict is Verdict.FAIL)

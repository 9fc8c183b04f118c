"""External limits and ISO 15118: what a station has to tell, in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.verdicts import Verdict
from tests.support_conduct import Story, profile, stamp, tx_profile

PASS, FAIL = [Verdict.PASS], [Verdict.FAIL]
EXTERNAL = profile(-1, "ChargingStationExternalConstraints")


def limited(*, charging: bool, **features: Any) -> Story:
    """Return a run in which an EMS has just limited the station to 8 A."""
    story = Story(**{"external_limits": True} | features)
    if charging:
        story.at(1).transaction()
    story.at(10).limit(8)
    return story.at(12)


def notice(story: Story, source: str = "EMS", **more: Any) -> None:
    """The station tells of a limit."""
    story.call("NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": source}} | more, told=True)


@pytest.mark.parametrize(("charging", "told", "source"), [(True, "K11.FR.02", "K11.FR.05"), (False, "K12.FR.02", "K12.FR.04")])
def test_a_limit_is_told_in_time_and_not_as_the_csos(charging: bool, told: str, source: str) -> None:
    """Within 10 s, of a source that is not the CSO; silence and lateness fail."""
    sound, silent, late, own = (limited(charging=charging) for _ in range(4))
    notice(sound)
    notice(late.at(30))
    notice(own, "CSO")
    sound_results = {one.requirement: one.verdict for one in sound.check(end=60).requirements}
    assert (sound_results[told], sound_results[source]) == (Verdict.PASS, Verdict.PASS)
    assert (silent.on(told, 60), late.on(told, 60), own.on(source, 60)) == (FAIL, FAIL, FAIL)


def test_a_change_within_the_significance_need_not_be_told() -> None:
    """20 % declared: from 8 A to 9 A is 11 %; from 8 A to 12 A is 33 %."""
    for limit, verdict in ((9, PASS), (12, [Verdict.PASS, Verdict.FAIL])):
        story = Story(external_limits=True)
        data = {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "LimitChangeSignificance"}}
        result = data | {"attributeStatus": "Accepted", "attributeValue": "20"}
        story.call("GetVariables", {"getVariableData": [data]}, {"getVariableResult": [result]})
        story.at(10).limit(8)
        notice(story.at(11))
        story.at(30).limit(limit)
        assert story.on("K12.FR.02", 100) == verdict


def test_a_notice_with_schedule_holds_the_limit() -> None:
    """K12.FR.03: where the station tells a schedule, it is that of the external system."""
    for told, verdict in ((8, PASS), (16, FAIL)):
        story = limited(charging=False)
        schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": told}]}
        notice(story, chargingSchedule=[schedule])
        assert story.on("K12.FR.03", 60) == verdict


@pytest.mark.parametrize(("charging", "requirement"), [(True, "K11.FR.06"), (False, "K12.FR.05")])
def test_the_limit_is_in_the_report_of_the_store(charging: bool, requirement: str) -> None:
    """As ChargingStationExternalConstraints, of the EMS."""
    for found, verdict in (([(0, EXTERNAL)], PASS), ([], FAIL)):
        story = limited(charging=charging)
        notice(story)
        story.at(20).read_back(*found)
        assert story.on(requirement, 60) == verdict


def test_a_released_limit_is_told() -> None:
    """K13.FR.02: ClearedChargingLimit within 10 s."""
    for silent, verdict in ((False, PASS), (True, FAIL)):
        story = limited(charging=True)
        notice(story)
        story.at(30).limit(None)
        if not silent:
            story.at(32).call("ClearedChargingLimit", {"chargingLimitSource": "EMS"}, told=True)
        assert story.on("K13.FR.02", 60) == verdict


def test_a_released_limit_is_out_of_the_composite_schedule() -> None:
    """K13.FR.01: 8 A from outside are over, the 10 A of the default count again."""
    for said, verdict in ((10.0, PASS), (8.0, FAIL)):
        story = Story(external_limits=True)
        story.at(1).set(profile())
        story.at(2).transaction()
        story.at(10).limit(8)
        story.at(30).limit(None)
        story.at(40).composite((0, said))
        assert story.on("K13.FR.01", 60) == verdict


def test_a_changed_rate_is_told_as_such() -> None:
    """K11.FR.04: from 16 A to 7.5 A, a TransactionEvent says ChargingRateChanged."""
    for trigger, verdict in (("ChargingRateChanged", PASS), ("MeterValuePeriodic", FAIL)):
        story = Story(external_limits=True)
        story.transaction()
        story.draw(10, evse1=lambda _: 16.0)
        story.limit(8)
        notice(story)
        story.draw(14, evse1=lambda _: 7.5)
        story.transaction("Updated", triggerReason=trigger)
        story.draw(40, evse1=lambda _: 7.5)
        assert story.on("K11.FR.04", 60) == verdict


def test_undeclared_external_limits_do_not_apply() -> None:
    """A station that is not said to have an input for them, and tells nothing, is not judged."""
    story = limited(charging=True, external_limits=False)
    assert story.on("K11.FR.02", 60) == [Verdict.NOT_APPLICABLE]


def needs(story: Story, **parameters: Any) -> None:
    """The station tells an EV's charging needs."""
    wants = parameters or {
        "acChargingParameters": {"energyAmount": 1, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 400}
    }
    request = {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "AC_three_phase"} | wants}
    story.call("NotifyEVChargingNeeds", request, {"status": "Accepted"}, told=True)


def ev_schedule(story: Story, limit: float) -> None:
    """The station tells the EV's own schedule from now on."""
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    request = {"timeBase": stamp(story.clock.elapsed_s), "evseId": 1, "chargingSchedule": schedule}
    story.call("NotifyEVChargingSchedule", request, {"status": "Accepted"}, told=True)


def load_levelling(limit: float) -> Story:
    """Return a run with needs, a TxProfile of 10 A, and the EV's schedule."""
    story = Story(iso15118=True)
    story.at(1).transaction()
    needs(story.at(2))
    story.at(3).set(tx_profile())
    ev_schedule(story.at(5), limit)
    return story


def test_needs_are_told_and_the_schedule_is_inside() -> None:
    """K15.FR.01, 09, 10: the EV's 8 A lie within the 10 A of the CSMS; 16 A do not, and are told all the same (K15.FR.12)."""
    results = {one.requirement: one.verdict for one in load_levelling(8).check().requirements}
    assert {results[one] for one in ("K15.FR.01", "K15.FR.06", "K15.FR.09", "K15.FR.10")} == {Verdict.PASS}
    assert load_levelling(16).on("K15.FR.09") == [Verdict.INCONCLUSIVE]


def test_needs_are_for_ac_or_for_dc() -> None:
    """K15.FR.06: needs without parameters of either kind are none."""
    story = Story(iso15118=True)
    request = {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "DC"}}
    story.at(2).call("NotifyEVChargingNeeds", request, {"status": "Accepted"}, told=True)
    assert story.on("K15.FR.06") == FAIL


def test_without_needs_nothing_is_shown() -> None:
    """K15.FR.01 needs an EV that tells some."""
    assert Story(iso15118=True, must_show=["K15.FR.01"]).check().verdict is Verdict.INCONCLUSIVE
    assert Story(must_show=["K15.FR.01"]).check().verdict is Verdict.NOT_APPLICABLE


def test_a_renegotiation_of_the_csms_is_accepted_and_brings_no_needs() -> None:
    """K16.FR.01, K16.FR.05, and the recommendation of K16.FR.09."""
    story = load_levelling(8)
    story.at(20).set(tx_profile(limit=7))
    ev_schedule(story.at(25), 7)
    results = {one.requirement: one.verdict for one in story.check(end=100).requirements}
    assert {results[one] for one in ("K16.FR.01", "K16.FR.05", "K16.FR.09")} == {Verdict.PASS}
    talkative, stubborn = load_levelling(8), load_levelling(8)
    talkative.at(20).set(tx_profile(limit=7))
    needs(talkative.at(22))
    stubborn.at(20).set(tx_profile(limit=7), status="Rejected")
    assert talkative.on("K16.FR.09", 100) == [Verdict.CONDITIONAL_PASS]
    assert stubborn.on("K16.FR.01", 100) == FAIL


def test_a_renegotiation_of_the_ev_is_told() -> None:
    """K17.FR.01, 06, 10: needs within 10 s of the EV's wish, then its new schedule."""
    sound, silent = load_levelling(8), load_levelling(8)
    sound.at(20).act("renegotiate", evse_id=1, needs={})
    needs(sound.at(22))
    sound.at(23).set(tx_profile(limit=7))
    ev_schedule(sound.at(25), 7)
    results = {one.requirement: one.verdict for one in sound.check(end=100).requirements}
    assert {results[one] for one in ("K17.FR.01", "K17.FR.06", "K17.FR.10")} == {Verdict.PASS}
    silent.at(20).act("renegotiate", evse_id=1, needs={})
    assert silent.on("K17.FR.01", 100) == FAIL


def test_a_schedule_in_another_unit_shows_nothing() -> None:
    """K15.FR.09: the EV's 99 kW are not compared with 10 A, so they are not found inside."""
    story = load_levelling(8)
    schedule = {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 99_000}]}
    request = {"timeBase": stamp(7), "evseId": 1, "chargingSchedule": schedule}
    story.at(7).call("NotifyEVChargingSchedule", request, {"status": "Rejected"}, told=True)
    assert story.on("K15.FR.09") == [Verdict.PASS, Verdict.INCONCLUSIVE]


def test_a_release_without_a_transaction_is_told_too() -> None:
    """K13.FR.02 as of the errata of 2025-01: the release is told with or without a transaction."""
    story = Story(external_limits=True)
    story.at(1).limit(10)
    story.at(20).limit(None)
    assert story.on("K13.FR.02", 60) == [Verdict.FAIL]


def test_a_profile_that_has_to_be_refused_is_no_renegotiation() -> None:
    """K16.FR.01: one phase, of which a station that cannot switch cannot be sure, is Rejected (K01.FR.43): no fault."""
    story = load_levelling(8)
    story.at(20).set(tx_profile(periods=[{"startPeriod": 0, "limit": 7, "numberPhases": 1}]), status="Rejected")
    assert story.on("K16.FR.01", 100) == []


@pytest.mark.parametrize(("reason", "iso15118", "convicted"), [
    ("InvalidMessageSeq", True, False), ("InvalidMessageSeq", False, True), ("InvalidProfile", True, True),
])  # fmt: skip
def test_a_profile_before_the_needs_may_be_refused(reason: str, iso15118: bool, convicted: bool) -> None:
    """K15.FR.17 recommends to reject a TxProfile that comes before the EV's needs, with InvalidMessageSeq."""
    story = Story(iso15118=iso15118)
    story.at(1).transaction()
    request = {"evseId": 1, "chargingProfile": tx_profile()}
    story.at(2).call("SetChargingProfile", request, {"status": "Rejected", "statusInfo": {"reasonCode": reason}})
    assert (story.on("K01.FR.04") == FAIL) is convicted

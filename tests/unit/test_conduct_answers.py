"""What a station has to answer to a profile, requirement by requirement, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.domain.verdicts import FaultClass, Layer, Verdict
from tests.support_conduct import Story, profile, tx_profile

PASS, FAIL = [Verdict.PASS], [Verdict.FAIL]


def charging(**features: Any) -> Story:
    """Return a run in which tx-1 runs on EVSE 1."""
    story = Story(**features)
    story.at(1).transaction()
    story.at(2)
    return story


def occupied(evse: int) -> Story:
    """Return a run in which a TxDefaultProfile of stack level 0 is on this EVSE."""
    story = Story()
    story.at(1).set(profile(1), evse)
    story.at(2)
    return story


ONE_PHASE = [{"startPeriod": 0, "limit": 10, "numberPhases": 1}]
ON_L2 = [{"startPeriod": 0, "limit": 10, "numberPhases": 1, "phaseToUse": 2}]
REFUSED: list[tuple[str, Callable[[], Story], dict[str, Any], int]] = [
    ("K01.FR.09", Story, tx_profile(), 1),
    ("K01.FR.16", charging, tx_profile(), 0),
    ("K01.FR.26", lambda: charging(rate_units=["A"]), tx_profile(unit="W"), 1),
    ("K01.FR.28", Story, profile(), 9),
    ("K01.FR.33", charging, tx_profile(transaction="tx-other"), 1),
    ("K01.FR.43", charging, tx_profile(periods=ONE_PHASE), 1),
    ("K01.FR.48", lambda: charging(supply_phases=1), tx_profile(periods=ON_L2), 1),
    ("K01.FR.52", lambda: occupied(1), profile(2), 0),
    ("K01.FR.53", lambda: occupied(0), profile(2), 1),
    ("K04.FR.03", Story, profile(1, "ChargingStationMaxProfile"), 1),
]


@pytest.mark.parametrize(("requirement", "begin", "raw", "evse"), REFUSED, ids=[one[0] for one in REFUSED])
def test_what_has_to_be_refused(requirement: str, begin: Callable[[], Story], raw: dict[str, Any], evse: int) -> None:
    """Rejected passes, Accepted fails; a run without such a profile shows nothing."""
    sound, broken, without = begin(), begin(), begin()
    sound.set(raw, evse, "Rejected")
    broken.set(raw, evse, "Accepted")
    assert sound.on(requirement) == PASS
    assert broken.on(requirement) == FAIL
    assert without.on(requirement) == []


def test_the_same_id_is_no_neighbour() -> None:
    """K01.FR.52 speaks of another id: moving a TxDefaultProfile to EVSE 0 replaces it (K01.FR.05)."""
    story = occupied(1)
    story.set(profile(1), 0)
    assert story.on("K01.FR.52") == []


def test_a_valid_profile_that_is_refused_fails() -> None:
    """Nothing obliges the station to refuse, and the text leaves no choice."""
    story = charging()
    story.set(tx_profile(), status="Rejected")
    result = story.check()
    assert (result.verdict, result.blamed, result.fault_class) == (Verdict.FAIL, (Layer.STATION,), FaultClass.PROTOCOL)
    assert result.headline.startswith("K01.FR.04: profile 5 sent at")
    assert "Rejected" in result.headline


@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
def test_where_only_the_sender_erred_either_answer_is_right(status: str) -> None:
    """K01.FR.35 binds the CSMS alone: periods that do not ascend are its fault."""
    story = Story()
    story.set(profile(periods=[{"startPeriod": 0, "limit": 9}, {"startPeriod": 0, "limit": 8}]), status=status)
    assert story.check().verdict is Verdict.INCONCLUSIVE


def test_too_much_for_the_declared_capacity_may_be_refused() -> None:
    """Stack level 12 of 9: no requirement obliges the station either way."""
    story = Story()
    story.set(profile(stack=12), status="Rejected")
    assert story.check().verdict is Verdict.INCONCLUSIVE


def test_a_callerror_is_no_rejected_where_the_text_asks_for_the_status() -> None:
    """K01.FR.28 names the status; K01.FR.16 only forbids, so that a CALLERROR refuses as well."""
    unknown, station_wide = Story(), charging()
    unknown.set(profile(), 9, error="PropertyConstraintViolation")
    station_wide.set(tx_profile(), 0, error="PropertyConstraintViolation")
    assert unknown.on("K01.FR.28") == FAIL
    assert station_wide.on("K01.FR.16") == PASS


@pytest.mark.parametrize(
    ("answer", "verdict"), [({"error": "NotSupported"}, PASS), ({"error": "InternalError"}, FAIL), ({"status": "Rejected"}, FAIL)]
)
def test_without_smart_charging_a_callerror_says_so(answer: dict[str, Any], verdict: list[Verdict]) -> None:
    """K01.FR.29: NotSupported or NotImplemented, no other code, no status."""
    story = Story(smart_charging=False)
    story.set(profile(), **answer)
    assert story.on("K01.FR.29") == verdict


def test_an_undeclared_unit_that_is_refused_does_not_apply() -> None:
    """Undeclared and properly refused: W limits are nothing that the target does."""
    story = Story(rate_units=["A"], must_show=["K01.FR.50"])
    story.set(profile(unit="W"), status="Rejected")
    judgement = story.judgement()
    assert judgement.verdict.verdict is Verdict.NOT_APPLICABLE


def test_undeclared_but_accepted_is_judged() -> None:
    """A station that takes W although it lists A alone breaks K01.FR.26."""
    story = Story(rate_units=["A"])
    story.set(profile(unit="W"))
    assert story.judgement().verdict.verdict is Verdict.FAIL


def test_a_breach_of_the_schema_needs_a_callerror() -> None:
    """A profile without stackLevel is no SetChargingProfileRequest."""
    sound, broken = Story(), Story()
    raw = profile()
    del raw["stackLevel"]
    sound.set(raw, error="OccurrenceConstraintViolation")
    broken.set(raw)
    assert (sound.on("schema"), broken.on("schema")) == (PASS, FAIL)


def remote_start(story: Story, raw: dict[str, Any], answer: dict[str, Any]) -> None:
    """Send a RequestStartTransaction with a profile for EVSE 1."""
    token = {"idToken": "hmac:x", "type": "Central"}
    request = {"evseId": 1, "remoteStartId": 7, "idToken": token, "chargingProfile": raw}
    story.call("RequestStartTransaction", request, answer)


def test_a_remote_start_with_an_invalid_profile_is_refused() -> None:
    """K05.FR.05: a TxDefaultProfile cannot come with a remote start (K05.FR.02)."""
    sound, broken = Story(), Story()
    remote_start(sound, profile(), {"status": "Rejected"})
    remote_start(broken, profile(), {"status": "Accepted"})
    assert (sound.on("K05.FR.05"), broken.on("K05.FR.05")) == (PASS, FAIL)


def test_a_profile_of_a_remote_start_is_in_the_composite_schedule() -> None:
    """K05.FR.03: after the transaction began, the composite schedule follows the profile."""
    for said, verdict in ((8.0, PASS), (16.0, FAIL)):
        story = Story()
        remote_start(story, profile(5, "TxProfile", limit=8), {"status": "Accepted"})
        story.at(5).transaction(remoteStartId=7)
        story.at(9).composite((0, said))
        assert story.on("K05.FR.03") == verdict


def test_without_smart_charging_the_profile_is_ignored_and_charging_starts() -> None:
    """K05.FR.04: Accepted, and nothing of the profile in the store."""
    sound, broken = Story(smart_charging=False), Story(smart_charging=False)
    remote_start(sound, profile(5, "TxProfile"), {"status": "Accepted"})
    remote_start(broken, profile(5, "TxProfile"), {"status": "Rejected"})
    assert (sound.on("K05.FR.04"), broken.on("K05.FR.04")) == (PASS, FAIL)


@pytest.mark.parametrize(("limit", "convicted"), [(-5, False), (5, True)])
def test_the_refusal_of_an_odd_profile_is_no_fault(limit: float, convicted: bool) -> None:
    """No requirement says what a limit of -5 A means, nor that it has to be taken; one of 5 A has to be."""
    story = Story(checks=("conduct", "installed"))
    story.at(1).set(profile(limit=limit), status="Rejected")
    checks = story.judgement().verdict.checks
    assert {one.check for one in checks if one.verdict is Verdict.FAIL} == ({"conduct", "installed"} if convicted else set())


@pytest.mark.parametrize("raw", ["x", None, 7, []])
def test_a_request_without_any_profile_in_it_is_left_out(raw: Any) -> None:
    """It can only have been broken on purpose: the judge goes on with the rest."""
    story = Story()
    story.call("SetChargingProfile", {"evseId": 1, "chargingProfile": raw}, {"status": "Accepted"})
    story.set(profile(), 9)
    assert story.on("K01.FR.28") == [Verdict.FAIL]

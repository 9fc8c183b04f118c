"""Intent against frames and store, and the connection, on runs written by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from bench.cso.faults import OWN_FAULTS, OwnFaults, check_own_fault
from bench.cso.local_hours import LocalWindow
from bench.domain.documents import Kind
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict
from bench.errors import UsageError
from tests.support_conduct import STATION, Story, tx_profile

Said = tuple[Verdict, tuple[Layer, ...], FaultClass | None]


def story(*checks: str) -> Story:
    """Return a run with a transaction on EVSE 1."""
    begun = Story(checks=checks or ("intent",))
    begun.at(1).transaction()
    return begun


def want(run: Story, raw: dict[str, Any]) -> None:
    """Somebody wants a profile on EVSE 1."""
    data = {"station": STATION, "evse": 1, "by": "operator", "action": "limit", "profile_id": raw["id"], "purpose": "TxProfile"}
    run.journal.write(Kind.INTENT, {**data, "profile": raw, "of_running": False})


def said(result: CheckResult) -> Said:
    """Return what a check concludes."""
    return result.verdict, result.blamed, result.fault_class


@pytest.mark.parametrize(
    ("sent", "due"),
    [
        (tx_profile(limit=10), (Verdict.PASS, (), None)),
        (tx_profile(limit=12), (Verdict.FAIL, (Layer.CSMS,), FaultClass.OVER_LIMIT)),
        (tx_profile(limit=8), (Verdict.FAIL, (Layer.CSMS,), FaultClass.UNDER_DELIVERY)),
        (tx_profile(start=30, limit=10), (Verdict.FAIL, (Layer.CSMS,), FaultClass.OVER_LIMIT)),
    ],
)
def test_what_leaves_the_csms_is_held_against_what_was_wanted(sent: dict[str, Any], due: Said) -> None:
    """Above the wanted limit, below it, or later than it."""
    run = story()
    run.at(10)
    want(run, tx_profile(limit=10))
    run.set(sent)
    assert said(run.check("intent", end=60)) == due


def test_what_the_station_refused_is_not_the_csms_s() -> None:
    """The frame said what was wanted."""
    run = story()
    want(run, tx_profile(limit=10))
    run.set(tx_profile(limit=10), status="Rejected")
    assert said(run.check("intent", end=60)) == (Verdict.PASS, (), None)


def test_a_clearing_that_nobody_wanted_lifts_the_limit() -> None:
    """The station obeys, unlimited."""
    run = story()
    want(run, tx_profile(limit=10))
    run.set(tx_profile(limit=10))
    run.at(20).clear(chargingProfilePurpose="TxProfile")
    assert said(run.check("intent", end=60)) == (Verdict.FAIL, (Layer.CSMS,), FaultClass.OVER_LIMIT)


def test_a_clearing_that_was_wanted_is_none_of_that() -> None:
    """The same frame after a release."""
    run = story()
    want(run, tx_profile(limit=10))
    run.set(tx_profile(limit=10))
    request = {"chargingProfileCriteria": {"chargingProfilePurpose": "TxProfile"}}
    run.at(20).journal.write(Kind.INTENT, {"station": STATION, "evse": None, "by": "operator", "action": "release",
                                           "request": request})  # fmt: skip
    run.clear(chargingProfilePurpose="TxProfile")
    assert said(run.check("intent", end=60)) == (Verdict.PASS, (), None)


def test_a_clearing_that_the_station_refused_releases_nothing() -> None:
    """The limit holds on, and that is not the CSMS's."""
    run = story()
    want(run, tx_profile(limit=10))
    run.set(tx_profile(limit=10))
    run.at(20).journal.write(Kind.INTENT, {"station": STATION, "evse": None, "by": "operator", "action": "release",
                                           "request": {"chargingProfileId": 5}})  # fmt: skip
    run.clear(id=5, status="Unknown")
    assert said(run.check("intent", end=60)) == (Verdict.PASS, (), None)


def test_what_was_never_answered_and_nothing_heard_is_the_network_s() -> None:
    """Neither side is convicted."""
    run = story()
    want(run, tx_profile(limit=10))
    run._frame("out", [2, "lost", "SetChargingProfile", {"evseId": 1, "chargingProfile": tx_profile(limit=10)}])
    assert said(run.check("intent", end=200)) == (Verdict.INCONCLUSIVE, (Layer.NETWORK,), FaultClass.CONNECTIVITY)


@pytest.mark.parametrize(("shown", "verdict"), [(True, Verdict.PASS), (False, Verdict.FAIL)])
def test_a_read_back_decides_on_what_was_never_answered(shown: bool, verdict: Verdict) -> None:
    """A time-out is unknown; a CSMS that reads back and leaves the limit missing is to blame."""
    run = story()
    want(run, tx_profile(limit=10))
    run._frame("out", [2, "lost", "SetChargingProfile", {"evseId": 1, "chargingProfile": tx_profile(limit=10)}])
    run.at(40).read_back(*([(1, tx_profile(limit=10))] if shown else []))
    assert run.check("intent", end=300).verdict is verdict


def test_an_answer_after_the_time_out_is_a_warning() -> None:
    """The limit is in force all the same."""
    run = story()
    want(run, tx_profile(limit=10))
    request = {"evseId": 1, "chargingProfile": tx_profile(limit=10)}
    run.call("SetChargingProfile", request, {"status": "Accepted"}, takes=35)
    result = run.check("intent", end=100)
    assert (result.verdict, [one.code for one in result.warnings]) == (Verdict.PASS, ["slow-response"])


def test_a_raise_that_is_answered_late_may_rule_since_it_was_asked_for() -> None:
    """The station is not convicted for what it took over before its answer arrived."""
    run = story("power")
    run.set(tx_profile(limit=8))
    run.draw(30, evse1=lambda _: 8.0)
    run._frame("out", [2, "slow", "SetChargingProfile", {"evseId": 1, "chargingProfile": tx_profile(limit=12)}])
    run.draw(60, evse1=lambda _: 12.0)
    run._frame("in", [3, "slow", {"status": "Accepted"}])
    run.draw(90, evse1=lambda _: 12.0)
    assert run.check("power").verdict is not Verdict.FAIL


@pytest.mark.parametrize(("caused", "codes"), [(True, []), (False, ["connection-flaps"])])
def test_an_outage_without_a_cause_is_a_flap(caused: bool, codes: list[str]) -> None:
    """What a step cut is none, and one outage alone is a thing that networks do."""
    run = story("connectivity")
    if caused:
        run.act("cut_network", seconds=5)
    for at in (20, 40):
        run.at(at).link("closed")
        run.at(at + 5).link("connected")
    assert [one.code for one in run.check("connectivity", end=60).warnings] == codes


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-10", 8)])
def test_local_hours_have_the_length_of_their_night(day: str, hours: int) -> None:
    """23:00 to 07:00 in Paris is an hour shorter in spring and longer in autumn."""
    noon = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)
    periods = LocalWindow("Europe/Paris", time(23), time(7), 12, 8).periods(noon, 1)
    assert periods[0] == (0, 8)
    assert timedelta(seconds=periods[2][0] - periods[1][0]) == timedelta(hours=hours)


def test_an_unknown_zone_is_refused() -> None:
    """With its name."""
    with pytest.raises(UsageError, match="Mars/Olympus"):
        LocalWindow("Mars/Olympus", time(23), time(7), 12, 8).periods(datetime(2026, 1, 1, tzinfo=UTC), 1)


@pytest.mark.parametrize(
    ("fault", "params"),
    [("CSMS.none-such", {}), ("CSMS.clears-after-set", {}), ("CSMS.clears-after-set", {"nth": 0}),
     ("OCPI.session-id", {"map": "other"}), ("CSMS.counts-placeholder-phases", {"phases": 4})],
)  # fmt: skip
def test_a_wrong_fault_of_the_own_chain_is_refused(fault: str, params: dict[str, Any]) -> None:
    """Before anything is opened."""
    with pytest.raises(UsageError, match=r"fault|must|phases"):
        check_own_fault(fault, params)


def test_nothing_acts_unless_it_is_seeded() -> None:
    """What goes out is the very object."""
    payload = {"evseId": 1}
    assert OwnFaults().outgoing("CS", "SetChargingProfile", payload) is payload
    assert all(one.LAYER in ("CSMS", "OCPI") and one.TEXT for one in OWN_FAULTS.values())


def test_a_clearing_is_shown_first_and_what_it_took_is_told() -> None:
    """Who wanted what; the frame that cleared it before the frames that were right; and the span without a limit."""
    run = story()
    want(run, tx_profile(limit=10))
    run.set(tx_profile(limit=10))
    run.at(20).clear(chargingProfilePurpose="TxProfile")
    found = run.check("intent", end=60)
    cleared = next(one for one in run.judgement(60).facts.calls if one.action == "ClearChargingProfile")
    assert found.refs[:2] == cleared.refs
    assert found.demanded.startswith("10 A at EVSE 1 by profile 5 (TxProfile), wanted by the operator at ")
    assert [(one.limit, one.verdict, one.reason) for one in found.periods] == [
        (10, Verdict.FAIL, "10 A wanted, nothing installed")
    ]


def test_a_connection_that_carries_nothing_any_more_is_not_shown_to_be_one() -> None:
    """It stands, and a request that went over it has no answer."""
    run = story("connectivity")
    request = [2, "lost", "GetLocalListVersion", {}]
    run.at(10).journal.write(Kind.OCPP_FRAME, {"station": STATION, "dir": "out", "raw": json.dumps(request)})
    assert said(run.check("connectivity", end=100)) == (Verdict.INCONCLUSIVE, (Layer.NETWORK,), FaultClass.CONNECTIVITY)

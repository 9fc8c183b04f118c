"""The checks on messages: relayed, installed, reported; each compares two neighbouring truths."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bench.domain.evidence import EvseFacts, RunFacts, TransactionSpan
from bench.domain.exchange import Call, HttpExchange
from bench.domain.oracle import Supply, Transaction
from bench.domain.quantities import moment
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, FaultClass, Layer, RunState, Verdict
from bench.runs.checks.composite import judge_composite
from bench.runs.checks.installed import judge_installed
from bench.runs.checks.relay import judge_relay
from bench.runs.expected import store_history
from bench.runs.scene import Scene

T0 = 1_767_225_600.0
OCPI = {
    "start_date_time": "2026-01-01T00:00:00Z",
    "duration": 3600,
    "charging_rate_unit": "W",
    "charging_profile_period": [{"start_period": 0, "limit": 4200.0}, {"start_period": 900, "limit": 0.0}],
}
OCPP = {
    "id": 5,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Absolute",
    "transactionId": "tx-1",
    "chargingSchedule": [
        {
            "id": 5,
            "startSchedule": "2026-01-01T00:00:00Z",
            "duration": 3600,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 4200.0}, {"startPeriod": 900, "limit": 0.0}],
        }
    ],
}


def changed(profile: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a deep copy with one value replaced; the path's parts are joined by dots."""
    result = copy.deepcopy(profile)
    place: Any = result
    *parents, last = path.split(".")
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[int(last) if last.isdigit() else last] = value
    return result


def facts(calls: list[Call], http: list[HttpExchange] | None = None, units: str = "AW") -> RunFacts:
    """Return the facts of a run on one EVSE with a transaction from T0."""
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0, 0), Accuracy(0, 0), (0, 0))
    evse.transactions.append(TransactionSpan(Transaction("tx-1", T0), T0))
    rig = {"station": [{"id": "CS", "features": {"rate_units": list(units)}}]}
    return RunFacts({}, rig, 1, T0, T0 + 3600, RunState.COMPLETED, "", calls, http or [], [evse])


def installed(run: RunFacts) -> CheckResult:
    """Judge what the station holds."""
    return judge_installed(Scene(run, "CS", store_history(run, "CS"), {}))


def set_profile(profile: dict[str, Any] = OCPP, status: str = "Accepted") -> Call:
    """Return an answered SetChargingProfile one second after T0."""
    request = {"evseId": 1, "chargingProfile": profile}
    return Call("CS", False, "SetChargingProfile", request, T0 + 1, 10, {"status": status}, "", T0 + 1.5, 11)


def reported(*profiles: dict[str, Any], at: float = 3, seq: int = 12) -> list[Call]:
    """Return a read-back of the store that shows these profiles on EVSE 1."""
    asked = Call("CS", False, "GetChargingProfiles", {"requestId": seq, "chargingProfile": {}}, T0 + at, seq)
    asked.response, asked.answered, asked.answered_seq = {"status": "Accepted" if profiles else "NoProfiles"}, T0 + at, seq + 1
    if not profiles:
        return [asked]
    request = {"requestId": seq, "chargingLimitSource": "CSO", "evseId": 1, "chargingProfile": list(profiles)}
    return [asked, Call("CS", True, "ReportChargingProfiles", request, T0 + at, seq + 2, {}, "", T0 + at, seq + 3)]


def put(result: str = "ACCEPTED", at: float = 0.5, seq: int = 5) -> HttpExchange:
    """Return an OCPI PUT of the profile, half a second after T0 where nothing else is said."""
    body = {"charging_profile": OCPI, "response_url": "http://scsp.bench/cb/1"}
    answer = {"data": {"result": result}}
    return HttpExchange("scsp", "cso", "PUT", "http://cso.bench/p/1", body, T0 + at, seq, 200, answer, T0 + at + 0.1, seq + 1)


def test_an_equal_profile_is_relayed() -> None:
    """Same unit, start, duration and limits; the delay is measured from request to frame."""
    result = judge_relay(facts([set_profile()], [put()]))
    assert result.verdict is Verdict.PASS
    assert result.measurements[0].value == 0.5


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("chargingSchedule.0.chargingRateUnit", "A", "unit A for W"),
        ("chargingSchedule.0.startSchedule", "2026-01-01T01:00:00Z", "start"),
        ("chargingSchedule.0.duration", 3_600_000, "duration 3600000 for 3600"),
        ("chargingSchedule.0.chargingSchedulePeriod.0.limit", 4200.1, "limit 4200.1 for 4200"),
        ("chargingSchedule.0.chargingSchedulePeriod.0.limit", 4199.0, "limit 4199 for 4200"),
        ("chargingSchedule.0.chargingSchedulePeriod.1.startPeriod", 901, "limit 4200 for 0 at second 900"),
    ],
)
def test_a_changed_profile_blames_the_relay(path: str, value: Any, reason: str) -> None:
    """Whatever the relay changes is a failure between intent and sent."""
    result = judge_relay(facts([set_profile(changed(OCPP, path, value))], [put()]))
    assert (result.verdict, result.blamed, result.pair) == (Verdict.FAIL, (Layer.OCPI,), "intent/sent")
    assert reason in result.headline


def test_a_limit_may_be_rounded_down_to_one_decimal() -> None:
    """One decimal is all that the wire carries; up is never allowed, down by less than 0.1 is."""
    sent = changed(OCPP, "chargingSchedule.0.chargingSchedulePeriod.0.limit", 4199.95)
    assert judge_relay(facts([set_profile(sent)], [put()])).verdict is Verdict.PASS


@pytest.mark.parametrize(("limit", "verdict"), [(6.0, Verdict.PASS), (6.1, Verdict.FAIL), (5.8, Verdict.FAIL)])
def test_a_station_without_the_unit_gets_the_converted_limit(limit: float, verdict: Verdict) -> None:
    """4200 W on three phases at 230 V is 6.087 A, so 6.0 A on the wire; more than that would raise the limit."""
    sent = changed(OCPP, "chargingSchedule.0.chargingRateUnit", "A")
    sent = changed(sent, "chargingSchedule.0.chargingSchedulePeriod.0.limit", limit)
    assert judge_relay(facts([set_profile(sent)], [put()], units="A")).verdict is verdict


def test_an_accepted_profile_that_never_leaves_fails() -> None:
    """ACCEPTED over OCPI and nothing on OCPP is the relay's fault."""
    assert judge_relay(facts([], [put()])).verdict is Verdict.FAIL


@pytest.mark.parametrize(("cleared", "verdict"), [(True, Verdict.PASS), (False, Verdict.FAIL)])
def test_an_accepted_delete_has_to_leave(cleared: bool, verdict: Verdict) -> None:
    """DELETE over OCPI becomes ClearChargingProfile of the profile's id."""
    url = "https://cso.test/ocpi/cpo/2.2.1/chargingprofiles/S-1?response_url=https%3A%2F%2Fscsp.test%2F1"
    delete = HttpExchange("SCSP", "CSO", "DELETE", url, None, T0 + 60, 50, 200, {"data": {"result": "ACCEPTED", "timeout": 30}})
    clear = Call("CS", False, "ClearChargingProfile", {"chargingProfileId": 5}, T0 + 61, 52)
    assert judge_relay(facts([set_profile(), *([clear] if cleared else [])], [put(), delete])).verdict is verdict


def test_a_rejected_profile_shows_nothing() -> None:
    """Where the CSO accepted nothing there is nothing to relay."""
    assert judge_relay(facts([], [put("REJECTED")])).verdict is Verdict.INCONCLUSIVE


def test_accepted_and_read_back_is_installed() -> None:
    """The store shows what was accepted."""
    assert installed(facts([set_profile(), *reported(OCPP)])).verdict is Verdict.PASS


def test_without_a_read_back_nothing_is_known() -> None:
    """Accepted alone is a promise."""
    result = installed(facts([set_profile()]))
    assert (result.verdict, "was not read back" in result.headline) == (Verdict.INCONCLUSIVE, True)


def test_a_time_out_is_unknown_and_not_refused() -> None:
    """No answer: INCONCLUSIVE, and nobody is blamed."""
    call = Call("CS", False, "SetChargingProfile", {"evseId": 1, "chargingProfile": OCPP}, T0 + 1, 10)
    result = installed(facts([call]))
    assert (result.verdict, result.blamed) == (Verdict.INCONCLUSIVE, ())


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ([set_profile(status="Rejected")], "Rejected"),
        ([set_profile(), *reported(changed(OCPP, "id", 6))], "was accepted and is missing"),
        ([set_profile(), *reported(changed(OCPP, "stackLevel", 4))], "stack_level 4 for 0"),
        ([set_profile(), *reported(changed(OCPP, "chargingSchedule.0.chargingSchedulePeriod.0.limit", 5000))], "limit 5000"),
    ],
)
def test_what_is_not_held_blames_the_station(calls: list[Call], reason: str) -> None:
    """Refused, lost or altered: sent and installed part."""
    result = installed(facts(calls))
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.STATION,))
    assert reason in result.headline


def test_a_profile_that_is_lost_later_is_found() -> None:
    """The first read-back shows it, a later one does not: nobody had cleared it."""
    result = installed(facts([set_profile(), *reported(OCPP), *reported(at=9, seq=20)]))
    assert (result.verdict, result.blamed) == (Verdict.FAIL, (Layer.STATION,))


def test_a_profile_that_was_cleared_may_be_gone() -> None:
    """After an accepted ClearChargingProfile the store is empty, and that is right."""
    request = {"chargingProfileId": 5}
    clear = Call("CS", False, "ClearChargingProfile", request, T0 + 5, 16, {"status": "Accepted"}, "", T0 + 5, 17)
    assert installed(facts([set_profile(), *reported(OCPP), clear, *reported(at=9, seq=20)])).verdict is Verdict.PASS


def test_calls_that_a_station_sends_are_no_facts() -> None:
    """A station that sends what only a CSMS may send changes nothing and breaks nothing."""
    odd = [Call("CS", True, action, {}, T0 + 2, 40) for action in ("SetChargingProfile", "GetCompositeSchedule")]
    run = facts([set_profile(), *reported(OCPP), *odd])
    assert installed(run).verdict is Verdict.PASS
    assert judge_composite(run, run.evses[0], store_history(run, "CS")).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("chargingProfilePurpose", "ChargingStationMaxProfile", "as ChargingStationMaxProfile"),
        ("transactionId", "tx-9", "for transaction tx-9, which does not run there"),
    ],
)
def test_a_profile_relayed_to_the_wrong_place_blames_the_csms(path: str, value: str, reason: str) -> None:
    """The limits are right and rule something else than the session."""
    result = judge_relay(facts([set_profile(changed(OCPP, path, value))], [put()]))
    assert (result.verdict, reason in result.headline) == (Verdict.FAIL, True)


def test_one_relayed_call_answers_for_one_request() -> None:
    """Two requests and one SetChargingProfile: one of them never left."""
    assert judge_relay(facts([set_profile()], [put(), put(at=60, seq=50)])).verdict is Verdict.FAIL


def composite(periods: list[tuple[int, float]], unit: str = "W", asked: float = 10) -> Call:
    """Return the answer to GetCompositeSchedule for 1,800 s from `asked` seconds after T0."""
    schedule = {
        "evseId": 1,
        "duration": 1800,
        "scheduleStart": moment(T0 + asked).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": at, "limit": limit} for at, limit in periods],
    }
    request = {"evseId": 1, "duration": 1800, "chargingRateUnit": unit}
    answer = {"status": "Accepted", "schedule": schedule}
    return Call("CS", False, "GetCompositeSchedule", request, T0 + asked, 20, answer, "", T0 + asked, 21)


@pytest.mark.parametrize(
    ("periods", "unit"),
    [([(0, 4200.0), (890, 0.0)], "W"), ([(0, 6.0), (890, 0.0)], "A"), ([(0, 4200.0), (891, 0.0)], "W")],
)
def test_the_right_composite_passes(periods: list[tuple[int, float]], unit: str) -> None:
    """In W as installed, in A rounded down to one decimal (4200 / 690 = 6.08…), boundaries to the second."""
    run = facts([set_profile(), composite(periods, unit)])
    assert judge_composite(run, run.evses[0], store_history(run, "CS")).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("periods", "unit"),
    [([(0, 4300.0), (890, 0.0)], "W"), ([(0, 4200.0)], "W"), ([(0, 4200.0), (990, 0.0)], "W"), ([(0, 18.2), (890, 0.0)], "A")],
)
def test_a_wrong_composite_is_report_only(periods: list[tuple[int, float]], unit: str) -> None:
    """A wrong limit, a missing or late step, the total of the phases told as A: installed and reported part."""
    run = facts([set_profile(), composite(periods, unit)])
    result = judge_composite(run, run.evses[0], store_history(run, "CS"))
    assert (result.verdict, result.fault_class) == (Verdict.FAIL, FaultClass.REPORT_ONLY)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"duration": 1}, "lasts 1 s"),
        ({"scheduleStart": "2020-01-01T00:00:00Z"}, "not when it was asked"),
        ({"scheduleStart": "9999-12-31T23:59:59Z"}, "not when it was asked"),
        ({"scheduleStart": "soon"}, "is no date-time"),
        ({"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 4200}, {"startPeriod": 0, "limit": 0}]}, "ascend from 0"),
    ],
)
def test_the_station_does_not_choose_its_window(change: dict[str, Any], reason: str) -> None:
    """Another time, another length or periods out of order are no answer to what was asked."""
    call = composite([(0, 4200.0), (890, 0.0)])
    assert call.response is not None
    call.response["schedule"] |= change
    run = facts([set_profile(), call])
    result = judge_composite(run, run.evses[0], store_history(run, "CS"))
    assert (result.verdict, reason in result.headline) == (Verdict.FAIL, True)


def test_a_refused_composite_fails() -> None:
    """An EVSE that holds profiles has a composite schedule."""
    call = composite([(0, 0.0)])
    call.response = {"status": "Rejected"}
    run = facts([set_profile(), call])
    assert judge_composite(run, run.evses[0], store_history(run, "CS")).verdict is Verdict.FAIL


def test_a_refusal_that_was_due_is_no_fault() -> None:
    """A TxProfile for EVSE 0 has to be Rejected (K01.FR.16); with nothing accepted there is nothing to hold."""
    call = set_profile(status="Rejected")
    call.request["evseId"] = 0
    assert installed(facts([call])).verdict is Verdict.NOT_APPLICABLE
    call.response = {"status": "Accepted"}
    result = installed(facts([call]))
    assert result.verdict is Verdict.FAIL
    assert "accepted, though a TxProfile for EVSE 0" in result.headline

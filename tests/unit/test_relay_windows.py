"""The check of the relay on a schedule that the station cannot hold as a whole: a window is no change, and no excuse either."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest

from bench.domain.evidence import EvseFacts, RunFacts, TransactionSpan
from bench.domain.exchange import Call, HttpExchange
from bench.domain.oracle import Supply, Transaction
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import FaultClass, Layer, RunState, Verdict
from bench.runs.checks.relay import judge_relay

T0 = 1_767_225_600.0
LIMITS = (16.0, 10.0, 12.0, 8.0, 14.0)
OCPI: dict[str, Any] = {
    "start_date_time": "2026-01-01T00:00:00Z",
    "duration": 4500,
    "charging_rate_unit": "A",
    "charging_profile_period": [{"start_period": index * 900, "limit": limit} for index, limit in enumerate(LIMITS)],
}
WINDOW = [(0, 16.0), (900, 10.0), (1800, 8.0)]


def _judge(
    periods: list[tuple[int, float]], start: str = "2026-01-01T00:00:00Z", asked_s: float = 0.5, most: int = 3, **more: Any
) -> Any:
    """Judge one PUT and the SetChargingProfile behind it, at a station that holds so many periods."""
    at = T0 + asked_s
    return _judge_run([_put(OCPI, at)], [_sent(periods, start, at + 0.5, **more)], most)


def _judge_run(puts: list[HttpExchange], calls: list[Call], most: int = 3) -> Any:
    accuracy = Accuracy(0, 0)
    evses = [EvseFacts("CS", number, "m", (1, 2, 3), Supply(), 0.0, accuracy, accuracy, (0, 0)) for number in (1, 2)]
    for evse in evses:
        evse.transactions.append(TransactionSpan(Transaction("tx-1", T0), T0))
    rig = {"station": [{"id": "CS", "features": {"rate_units": ["A", "W"], "periods_per_schedule": most}}]}
    return judge_relay(RunFacts({}, rig, 1, T0, T0 + 3600, RunState.COMPLETED, "", calls, puts, evses))


def _put(profile: dict[str, Any], at: float, seq: int = 5) -> HttpExchange:
    body = {"charging_profile": copy.deepcopy(profile), "response_url": "http://scsp.bench/cb/1"}
    answer = {"data": {"result": "ACCEPTED"}}
    return HttpExchange("scsp", "cso", "PUT", "http://cso.bench/p/1", body, at, seq, 200, answer, at + 0.1, seq + 1)


def _sent(periods: list[tuple[int, float]], start: str, at: float, seq: int = 10, **more: Any) -> Call:
    told = [{"startPeriod": begin, "limit": limit} for begin, limit in periods]
    schedule = {"id": 5, "startSchedule": start, "duration": 4500, "chargingRateUnit": "A", "chargingSchedulePeriod": told} | more
    profile = {
        "id": 5, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
        "transactionId": "tx-1", "chargingSchedule": [schedule],
    }  # fmt: skip
    request = {"evseId": 1, "chargingProfile": profile}
    return Call("CS", False, "SetChargingProfile", request, at, seq, {"status": "Accepted"}, "", at + 0.5, seq + 1)


def test_a_window_with_the_lowest_limit_at_its_end_is_relayed_unchanged() -> None:
    """Two periods as asked, the third holds 8 A for all that are still to come."""
    assert _judge(WINDOW).verdict is Verdict.PASS


def test_a_window_may_begin_with_the_period_that_runs() -> None:
    """Ordered in the middle of the schedule: what is past needs no place."""
    result = _judge([(0, 10.0), (900, 12.0), (1800, 8.0)], "2026-01-01T00:15:00Z", asked_s=1000, duration=3600)
    assert result.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("periods", "asked_s", "reason"),
    [
        ([(0, 10.0), (1800, 8.0)], 850, ""),
        ([(0, 10.0), (1800, 8.0)], 950, ""),
        ([(0, 12.0), (1800, 8.0)], 950, "limit 12 for 10 at second 900"),
        ([(0, 9.0), (1800, 8.0)], 950, "limit 9 for 16 at second 0"),
        ([(0, 10.0), (1800, 8.0)], 700, "limit 10 for 16 at second 0"),
        ([(0, 10.0), (1800, 9.0)], 950, "limit 9 for 8 at second 1800"),
    ],
    ids=["soon", "just-begun", "too-high", "too-low", "too-early", "held-too-high"],
)
def test_the_first_period_may_hold_the_lower_of_two_that_are_near(
    periods: list[tuple[int, float]], asked_s: float, reason: str
) -> None:
    """A station of two periods whose clock may be off by a minute has no place for both beside the held one."""
    result = _judge(periods, asked_s=asked_s, most=2)
    assert result.verdict is (Verdict.FAIL if reason else Verdict.PASS)
    assert reason in result.headline


@pytest.mark.parametrize(("start", "verdict"), [("00:00:00Z", Verdict.PASS), ("00:00:05Z", Verdict.FAIL)])
def test_a_window_of_a_relative_schedule_counts_from_the_begin_of_the_transaction(start: str, verdict: Verdict) -> None:
    """A relative window would begin anew, so it is absolute, from when the station says that the transaction began."""
    relative = {key: value for key, value in OCPI.items() if key != "start_date_time"}
    assert _judge_run([_put(relative, T0 + 90)], [_sent(WINDOW, f"2026-01-01T{start}", T0 + 91)]).verdict is verdict


@pytest.mark.parametrize(("asked_s", "verdict"), [(1000, Verdict.PASS), (930, Verdict.FAIL)])
def test_a_window_that_began_less_than_a_minute_ago_blames_the_relay(asked_s: float, verdict: Verdict) -> None:
    """A station that is behind has not come to its start, and falls back to its default."""
    assert _judge([(0, 10.0), (900, 8.0)], "2026-01-01T00:15:00Z", asked_s=asked_s, most=2, duration=3600).verdict is verdict


@pytest.mark.parametrize(
    ("periods", "start", "more", "reason", "fault"),
    [
        ([(0, 16.0), (900, 10.0), (1800, 12.0)], "00:00:00", {}, "limit 12 for 8 at second 1800", FaultClass.OVER_LIMIT),
        ([(0, 16.0), (900, 8.0)], "00:00:00", {"duration": 4500}, "", None),
        ([(0, 16.0), (900, 9.0), (1800, 8.0)], "00:00:00", {}, "limit 9 for 10 at second 900", FaultClass.UNDER_DELIVERY),
        ([(0, 16.0), (900, 10.0), (1800, 7.0)], "00:00:00", {}, "limit 7 for 8 at second 1800", FaultClass.UNDER_DELIVERY),
        (WINDOW, "00:00:00", {"duration": 2700}, "duration 2700 for 4500", FaultClass.PROTOCOL),
        (WINDOW, "00:15:00", {"duration": 3600}, "start", FaultClass.PROTOCOL),
        (WINDOW, "00:00:00", {"chargingRateUnit": "W"}, "unit W for A", FaultClass.PROTOCOL),
    ],
    ids=["too-high", "shorter-window", "too-low", "held-too-low", "ends-early", "begins-late", "other-unit"],
)
def test_a_wrong_window_blames_the_relay(
    periods: list[tuple[int, float]], start: str, more: dict[str, Any], reason: str, fault: FaultClass | None
) -> None:
    """Above all a window that ends before its schedule: behind it the station would fall back to more power."""
    result = _judge(periods, f"2026-01-01T{start}Z", **more)
    assert (result.verdict, result.fault_class) == (Verdict.FAIL if reason else Verdict.PASS, fault)
    assert result.blamed == ((Layer.OCPI,) if reason else ())
    assert reason in result.headline


@pytest.mark.parametrize(
    ("last", "verdict"),
    [([(0, 6.0)], Verdict.PASS), ([(0, 7.0)], Verdict.FAIL), (None, Verdict.FAIL)],
    ids=["relayed", "too-high", "never-left"],
)
def test_a_renewal_between_a_put_and_its_profile_answers_for_neither(
    last: list[tuple[int, float]] | None, verdict: Verdict
) -> None:
    """What is still due of the former schedule, the next window or the same again, may go out just before its successor."""
    later = "2026-01-01T00:15:00Z"
    after = {"start_date_time": later, "charging_rate_unit": "A", "charging_profile_period": [{"start_period": 0, "limit": 6.0}]}
    calls = [
        _sent(WINDOW, "2026-01-01T00:00:00Z", T0 + 1),
        _sent([(0, 10.0), (900, 12.0), (1800, 8.0)], later, T0 + 1800, seq=30, duration=3600),
    ]
    if last is not None:
        calls.append(_sent(last, later, T0 + 1800.2, seq=40))
        del calls[-1].request["chargingProfile"]["chargingSchedule"][0]["duration"]
    assert _judge_run([_put(OCPI, T0), _put(after, T0 + 1799.9, seq=20)], calls).verdict is verdict


@pytest.mark.parametrize(("last", "verdict"), [(8.0, Verdict.PASS), (9.0, Verdict.FAIL)])
def test_a_later_window_is_judged_as_the_first_one_is(last: float, verdict: Verdict) -> None:
    """It was asked for once, and goes out in parts: none of them may give more."""
    later = _sent([(0, 10.0), (900, 12.0), (1800, last)], "2026-01-01T00:15:00Z", T0 + 1800, seq=30, duration=3600)
    result = _judge_run([_put(OCPI, T0)], [_sent(WINDOW, "2026-01-01T00:00:00Z", T0 + 1), later])
    assert (result.verdict, "sent again" in result.headline) == (verdict, verdict is Verdict.FAIL)


def test_a_profile_of_before_in_place_of_the_one_that_was_put_blames_the_relay() -> None:
    """The former schedule once more is no answer to a new one."""
    shorter = OCPI | {"charging_profile_period": OCPI["charging_profile_period"][:2]}
    calls = [_sent(WINDOW, "2026-01-01T00:00:00Z", T0 + at, seq=seq) for at, seq in ((1, 10), (3, 30))]
    result = _judge_run([_put(OCPI, T0), _put(shorter, T0 + 2, seq=20)], calls)
    assert (result.verdict, "second 1800" in result.headline) == (Verdict.FAIL, True)


@pytest.mark.parametrize(("cleared", "verdict"), [((5, 6), Verdict.PASS), ((6,), Verdict.FAIL), ((99, 6), Verdict.FAIL)])
def test_each_delete_has_a_clearing_of_its_own(cleared: tuple[int, ...], verdict: Verdict) -> None:
    """Of two sessions that are released one may not answer for the other, nor a clearing of anybody's profile for both."""
    puts, calls = [], []
    for number in (1, 2):
        session = {"id": str(number), "evse_uid": f"CS-{number}"}
        told = HttpExchange("cso", "scsp", "PUT", "http://scsp.bench/s", session, T0, number, 200)
        put = dataclasses.replace(_put(OCPI, T0 + number, seq=10 * number), url=f"http://cso.bench/p/{number}")
        url, answer = f"http://cso.bench/p/{number}?response_url=x", {"data": {"result": "ACCEPTED"}}
        gone = HttpExchange("scsp", "cso", "DELETE", url, None, T0 + 100, 100 + number, 200, answer, T0 + 101, 103)
        puts += [told, put, gone]
        call = _sent(WINDOW, "2026-01-01T00:00:00Z", T0 + number, seq=10 * number + 2)
        call.request["evseId"] = number
        call.request["chargingProfile"]["id"] = 4 + number
        calls.append(call)
    for index, one in enumerate(cleared):
        request, at = {"chargingProfileId": one}, T0 + 110
        calls.append(Call("CS", False, "ClearChargingProfile", request, at, 110 + index, {"status": "Accepted"}, "", at + 1, 120))
    result = _judge_run(puts, calls)
    assert (result.verdict, "never left as ClearChargingProfile" in result.headline) == (verdict, verdict is Verdict.FAIL)

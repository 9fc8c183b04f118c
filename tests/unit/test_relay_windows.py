"""The check of the relay on a schedule that the station cannot hold as a whole: a window is no change, and no excuse either."""

from __future__ import annotations

import copy
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
OCPI = {
    "start_date_time": "2026-01-01T00:00:00Z",
    "duration": 4500,
    "charging_rate_unit": "A",
    "charging_profile_period": [{"start_period": index * 900, "limit": limit} for index, limit in enumerate(LIMITS)],
}
WINDOW = [(0, 16.0), (900, 10.0), (1800, 8.0)]


def _judge(periods: list[tuple[int, float]], start: str = "2026-01-01T00:00:00Z", asked_s: float = 0.5, **more: Any) -> Any:
    """Judge one PUT and the SetChargingProfile behind it, at a station that holds three periods."""
    told = [{"startPeriod": at, "limit": limit} for at, limit in periods]
    schedule = {"id": 5, "startSchedule": start, "duration": 4500, "chargingRateUnit": "A", "chargingSchedulePeriod": told} | more
    profile = {
        "id": 5, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
        "transactionId": "tx-1", "chargingSchedule": [schedule],
    }  # fmt: skip
    request = {"evseId": 1, "chargingProfile": profile}
    at = T0 + asked_s
    call = Call("CS", False, "SetChargingProfile", request, at + 0.5, 10, {"status": "Accepted"}, "", at + 1, 11)
    body = {"charging_profile": copy.deepcopy(OCPI), "response_url": "http://scsp.bench/cb/1"}
    answer = {"data": {"result": "ACCEPTED"}}
    put = HttpExchange("scsp", "cso", "PUT", "http://cso.bench/p/1", body, at, 5, 200, answer, at + 0.1, 6)
    evse = EvseFacts("CS", 1, "m", (1, 2, 3), Supply(), 0.0, Accuracy(0, 0), Accuracy(0, 0), (0, 0))
    evse.transactions.append(TransactionSpan(Transaction("tx-1", T0), T0))
    rig = {"station": [{"id": "CS", "features": {"rate_units": ["A", "W"], "periods_per_schedule": 3}}]}
    return judge_relay(RunFacts({}, rig, 1, T0, T0 + 3600, RunState.COMPLETED, "", [call], [put], [evse]))


def test_a_window_with_the_lowest_limit_at_its_end_is_relayed_unchanged() -> None:
    """Two periods as asked, the third holds 8 A for all that are still to come."""
    assert _judge(WINDOW).verdict is Verdict.PASS


def test_a_window_may_begin_with_the_period_that_runs() -> None:
    """Ordered in the middle of the schedule: what is past needs no place."""
    result = _judge([(0, 10.0), (900, 12.0), (1800, 8.0)], "2026-01-01T00:15:00Z", asked_s=1000, duration=3600)
    assert result.verdict is Verdict.PASS


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

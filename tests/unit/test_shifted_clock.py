"""Judging in the station's time: the run's clock is the bench's, the profiles' times are the station's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from bench.domain.documents import Kind
from bench.domain.evidence import RunFacts
from bench.domain.oracle import Supply
from bench.domain.timeline import Window
from bench.domain.verdicts import Verdict
from bench.runs.checks.composite import judge_composite
from bench.runs.expected import limits_ahead, limits_over_run, store_history
from bench.runs.facts import facts_of
from bench.runs.live import LiveLimits
from tests.support import EPOCH, FakeClock, MemoryJournal

STATION: Final = "CS-1"
BEGIN: Final = EPOCH.timestamp()
OFFSET_S: Final = 72 * 86_400 + 86_280.0
"""The bench begins at 2026-01-15 00:00:00, the station at 2026-03-28 23:58:00: 72 days, 23 h and 58 min ahead."""
MIDNIGHT_S: Final = 120.0
"""Where the station's midnight lies in the run."""
DAILY: Final[dict[str, Any]] = {
    "id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Recurring",
    "recurrencyKind": "Daily",
    "chargingSchedule": [{
        "id": 1, "startSchedule": "2026-03-01T00:00:00Z", "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}, {"startPeriod": 43_200, "limit": 16.0}],
    }],
}  # fmt: skip
"""From midnight on 8 A, from noon on 16 A, each day."""


class Run:
    """A journal written by hand, of one station with a shifted clock."""

    def __init__(self, offset_s: float | None) -> None:
        self.clock = FakeClock()
        self.journal = MemoryJournal(self.clock)
        self.live = LiveLimits(self.clock, STATION, 1, Supply())
        self.journal.subscribe(self.live)
        rig = {"meters": {}, "station": [{"id": STATION, "evse": [{"id": 1, "meter": "", "phases": [1, 2, 3]}],
               "features": {"nominal_voltage_v": 230, "supply_phases": 3, "product_tolerance_a": 0,
                            "rate_units": ["A", "W"]}}]}  # fmt: skip
        self.journal.write(Kind.RUN_START, {"judged": True, "rig": rig, "scenario": {}, "seed": 1})
        if offset_s is not None:
            value = {"station": STATION, "offset_s": offset_s, "measured_s": offset_s + 0.2, "uncertainty_s": 0.01}
            self.journal.write(Kind.SETTING, {"what": "station_clock", "value": value, "origin": "station"})
        self._ids = 0

    def call(self, at_s: float, action: str, request: dict[str, Any], answer: dict[str, Any], *, sent: bool = True) -> None:
        """Write a call and its answer."""
        self._ids += 1
        self.clock.elapsed_s = at_s
        for way, frame in ((sent, [2, f"m{self._ids}", action, request]), (not sent, [3, f"m{self._ids}", answer])):
            data = {"station": STATION, "dir": "out" if way else "in", "raw": json.dumps(frame)}
            self.journal.write(Kind.OCPP_FRAME, data)

    def started(self, at_s: float, timestamp: str) -> None:
        """Let a transaction begin."""
        event = {"eventType": "Started", "timestamp": timestamp, "triggerReason": "Authorized", "seqNo": 0,
                 "transactionInfo": {"transactionId": "tx"}, "evse": {"id": 1}}  # fmt: skip
        self.call(at_s, "TransactionEvent", event, {}, sent=False)

    def facts(self, end_s: float) -> RunFacts:
        """End the run and return its facts."""
        self.clock.elapsed_s = end_s
        self.journal.write(Kind.RUN_END, {"state": "completed", "reason": ""})
        return facts_of(self.journal.documents)


def daily_run(offset_s: float | None = OFFSET_S) -> Run:
    """Return a run in which the daily profile is set at second 10, and a transaction begins at second 20."""
    run = Run(offset_s)
    run.call(10, "SetChargingProfile", {"evseId": 1, "chargingProfile": DAILY}, {"status": "Accepted"})
    run.started(20, "2026-03-28T23:58:20Z")
    return run


def test_a_daily_profile_is_judged_across_the_stations_midnight() -> None:
    """16 A until the station's midnight, which is second 120 of the run, then 8 A."""
    facts = daily_run().facts(300)
    limits = limits_over_run(facts, facts.evses[0])
    seen = [(one.start - BEGIN, one.value and one.value.limit_a) for one in limits.segments()]
    assert seen == [(0, None), (20, 16.0), (MIDNIGHT_S, 8.0)]
    assert (limits.start, limits.end) == (facts.start, facts.end)


def test_without_a_shift_the_same_profile_is_judged_in_the_benchs_time() -> None:
    """The profile does not apply before its startSchedule in March (K01.FR.30); the bench says it is January."""
    facts = daily_run(None).facts(300)
    assert facts.clock_offset(STATION) == 0.0
    assert [one.value for one in limits_over_run(facts, facts.evses[0]).segments()] == [None]


def test_a_fraction_of_a_second_leaves_no_gap() -> None:
    """However the offset rounds, the limits cover the run from its very begin to its end."""
    facts = daily_run(OFFSET_S + 1 / 3).facts(300)
    limits = limits_over_run(facts, facts.evses[0])
    assert limits.start == facts.start
    assert limits.at(facts.start) is None
    assert limits.starts[-1] - BEGIN == pytest.approx(MIDNIGHT_S - 1 / 3, abs=1e-5)


def test_a_relative_profile_counts_from_the_transactions_own_time() -> None:
    """The TransactionEvent tells the station's time; second 60 of the schedule is second 80 of the run."""
    run = Run(OFFSET_S)
    schedule = {"id": 2, "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 60, "limit": 6.0}]}  # fmt: skip
    relative = {"id": 2, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative",
                "chargingSchedule": [schedule]}  # fmt: skip
    run.call(10, "SetChargingProfile", {"evseId": 1, "chargingProfile": relative}, {"status": "Accepted"})
    run.started(20, "2026-03-28T23:58:20Z")
    facts = run.facts(300)
    limits = limits_over_run(facts, facts.evses[0])
    assert [one.start - BEGIN for one in limits.segments()] == [0, 20, 80]


def test_a_composite_schedule_in_the_stations_time_is_judged_in_it() -> None:
    """Asked at second 60: 16 A for a minute, then 8 A; one that keeps 16 A is wrong."""
    def verdict(*periods: tuple[int, float]) -> Verdict:
        run = daily_run()
        told = [{"startPeriod": at, "limit": limit} for at, limit in periods]
        schedule = {"evseId": 1, "duration": 300, "scheduleStart": "2026-03-28T23:59:00Z", "chargingRateUnit": "A",
                    "chargingSchedulePeriod": told}  # fmt: skip
        run.call(60, "GetCompositeSchedule", {"evseId": 1, "duration": 300}, {"status": "Accepted", "schedule": schedule})
        facts = run.facts(300)
        return judge_composite(facts, facts.evses[0], store_history(facts, STATION)).verdict

    assert verdict((0, 16.0), (60, 8.0)) is Verdict.PASS
    assert verdict((0, 16.0)) is Verdict.FAIL


def test_limits_ahead_without_a_transaction_begin_one_in_the_stations_time() -> None:
    """K08.FR.06, asked at second 60: the change lies at the station's midnight."""
    run = Run(OFFSET_S)
    run.call(10, "SetChargingProfile", {"evseId": 1, "chargingProfile": DAILY}, {"status": "Accepted"})
    run.call(60, "GetCompositeSchedule", {"evseId": 1, "duration": 300}, {"status": "Rejected"})
    facts = run.facts(300)
    ahead = limits_ahead(facts.evses[0], facts.calls[-1], Window(BEGIN + 60, BEGIN + 360), store_history(facts, STATION))
    assert [one.start - BEGIN for one in ahead.segments()] == [60, MIDNIGHT_S]


def test_the_sampler_looks_closely_at_the_stations_midnight() -> None:
    """The next change of the limit is planned in the bench's time."""
    live = daily_run().live
    assert live.next_change(BEGIN + 30) == pytest.approx(BEGIN + MIDNIGHT_S)


def test_the_station_is_that_far_ahead() -> None:
    """The numbers above, from the calendar."""
    assert datetime(2026, 3, 28, 23, 58, tzinfo=UTC).timestamp() - BEGIN == OFFSET_S


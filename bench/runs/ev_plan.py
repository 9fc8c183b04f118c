"""The schedule that an ISO 15118 EV told, where the CSMS accepted it: what the EV means to take, below what it may."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bench.domain.evidence import EvseFacts, Limits, RunFacts
from bench.domain.exchange import Call
from bench.domain.oracle import ExpectedLimit
from bench.domain.quantities import time_or
from bench.domain.timeline import Timeline


def last_plan(facts: RunFacts, evse: EvseFacts, seq: int) -> Call | None:
    """Return the EV's last NotifyEVChargingSchedule before document `seq`, of the transaction that runs then."""
    running = [one for one in evse.transactions if one.begun_seq < seq and (one.ended is None or seq < one.ended_seq)]
    if not running:
        return None
    told = [
        one for one in facts.calls
        if one.station == evse.station and one.from_station and one.action == "NotifyEVChargingSchedule"
        and one.response is not None and one.request["evseId"] == evse.evse_id
        and running[-1].begun_seq < one.asked_seq and one.answered_seq is not None and one.answered_seq < seq
    ]  # fmt: skip
    return told[-1] if told else None


def planned(facts: RunFacts, evse: EvseFacts, asked: Call, due: Limits) -> Limits | None:
    """Return what is due of a composite schedule if it takes the EV's schedule into account; None where there is no such.

    A station should do so once the CSMS accepted it (K15.FR.14, K16.FR.10, K17.FR.14), and need not.
    """
    plan = last_plan(facts, evse, asked.asked_seq)
    if plan is None or plan.status != "Accepted":
        return None
    schedule, base = plan.request["chargingSchedule"], time_or(plan.request["timeBase"], math.nan) - evse.clock_offset_s
    if math.isnan(base):
        return None
    periods = schedule["chargingSchedulePeriod"]
    edges = {base + one["startPeriod"] for one in periods} | {base + schedule.get("duration", math.inf)}
    moments = sorted({*due.starts, *(one for one in edges if due.start < one < due.end)})
    return Timeline([(at, _lowered(evse, due.at(at), schedule, at - base)) for at in moments], due.end)


def _lowered(evse: EvseFacts, due: ExpectedLimit | None, schedule: Mapping[str, Any], second: float) -> ExpectedLimit | None:
    periods = [one for one in schedule["chargingSchedulePeriod"] if one["startPeriod"] <= second + 1e-6]
    if due is None or not periods or second >= schedule.get("duration", math.inf):
        return due
    limit, unit = float(periods[-1]["limit"]), schedule["chargingRateUnit"]
    limit_a = limit if unit == "A" else limit / (evse.supply.voltage_v * due.number_phases)
    return due if limit_a >= due.limit_a else due._replace(limit=limit, unit=unit, limit_a=limit_a)


"""Is the energy of each period no more than its limit allows, and does the station count each session as the reference does?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.domain.oracle import ExpectedLimit
from bench.domain.quantities import clock_text
from bench.domain.reference import Reference
from bench.domain.station_values import ENERGY
from bench.domain.timeline import Segment
from bench.domain.uncertainty import register_uncertainty
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict
from bench.runs.checks.case import Case
from bench.runs.checks.meter_values import AFTER_S, BEFORE_S, blind, margin, shared, values_of

STANDBY_W: Final = 50.0
"""What an EVSE itself may draw behind the reference meter."""
VOLTAGE: Final = 0.1
"""EN 50160: supply voltage within 10 % of its nominal value; a limit in A bounds the energy only that well."""
REGISTER_SHARE: Final = 0.01
"""Where the step of the register is a larger share of a period's energy, power is integrated instead."""
_MOST_TOLD: Final = 6


@dataclass(frozen=True, slots=True)
class _Period:
    """One span under one limit; Wh."""

    start: float
    end: float
    measured: float
    allowed: float
    ramp: float
    uncertainty: float
    how: str

    @property
    def exceeded(self) -> bool:
        """Say whether more flowed than limit, ramp and uncertainty explain."""
        return self.measured > self.allowed + self.ramp + self.uncertainty

    def text(self) -> str:
        """Return it in words."""
        return (
            f"{clock_text(self.start)} to {clock_text(self.end)}: {self.measured:.1f} Wh ({self.how}), "
            f"{self.allowed:.1f} Wh allowed, {self.ramp:.1f} Wh for the ramp, U = {self.uncertainty:.1f} Wh"
        )


def judge_energy(case: Case) -> CheckResult:
    """Judge the energy of each period against sum(limit x dt), and that of each session as the station tells it.

    Where the step of the register is much of a short period's energy, power is integrated instead. A ramp
    down may last as long as `settle_s` and the meter's latency. Whose fault too much energy is, the power check knows.
    """
    title = f"The energy at {case.evse.name} is within its limits"
    if not case.evse.samples or shared(case.facts, case.evse):
        why = "the reference meter sees other EVSEs too" if case.evse.samples else "the reference meter gave no reading"
        return CheckResult("energy", title, Verdict.INCONCLUSIVE, (why,))
    reference = Reference(case.evse.samples, case.rule.longest_gap_s)
    periods = list(_periods(case, reference))
    measured = [
        Measurement(f"energy_period_{number}", round(one.measured, 1), "Wh", one.text()) for number, one in enumerate(periods, 1)
    ]
    sessions, wrong = _sessions(case, reference)
    measured += sessions
    over = [one for one in periods if one.exceeded]
    if over:
        texts = tuple(f"more energy than allowed: {one.text()}" for one in over[:_MOST_TOLD])
        return CheckResult(
            "energy", title, Verdict.FAIL, (*texts, *wrong), case.power.blamed or (Layer.STATION,), FaultClass.OVER_LIMIT,
            "K01.FR.07", "installed/physical", case.power.refs, tuple(measured),
        )  # fmt: skip
    if wrong:
        return CheckResult(
            "energy", title, Verdict.FAIL, tuple(wrong[:_MOST_TOLD]), (Layer.STATION,), FaultClass.METERING, "",
            "reported/physical", tuple(ref for one in sessions for ref in one.refs), tuple(measured),
        )  # fmt: skip
    if not measured:
        return CheckResult("energy", title, Verdict.INCONCLUSIVE, ("neither a period nor a session could be measured",))
    text = f"{len(periods)} periods within their limits, {len(sessions) // 2} sessions counted alike"
    return CheckResult("energy", title, Verdict.PASS, (text,), measurements=tuple(measured))


def _periods(case: Case, reference: Reference) -> Iterator[_Period]:
    before: ExpectedLimit | None = None
    for segment in case.limits.segments():
        if segment.value is not None and not (case.evse.current_type == "DC" and segment.value.unit == "A"):
            period = _period(case, reference, segment, segment.value, before)
            if period is not None:
                yield period
        before = segment.value


def _period(
    case: Case, reference: Reference, segment: Segment[ExpectedLimit | None], limit: ExpectedLimit, before: ExpectedLimit | None
) -> _Period | None:
    start, end = segment.start, segment.end
    integral, register, step = reference.integral(start, end), reference.registered(start, end), reference.register_step()
    rounding = register_uncertainty(step)
    if register is not None and integral is not None and rounding <= REGISTER_SHARE * register:
        measured, how = register, "register"
    elif integral is not None:
        measured, how, rounding = integral, "short: integral of power", 0.0
    else:
        return None
    supply, hours = case.evse.supply, (end - start) / 3600
    watts = limit.watts(supply)
    allowed = watts * hours
    seen = reference.around(start - 1, start, lambda sample: sample.power_w)
    peak = max(seen.high if seen else 0.0, before.watts(supply) if before else 0.0)
    settle = min(end - start, case.rule.settle_s + case.evse.latency_s[1] + case.scenario["polling"]["slow_s"])
    ramp = max(0.0, peak - watts) * settle / 3600
    free = VOLTAGE if limit.unit == "A" or case.rule.w_limits == "nominal" else 0.0
    product = case.evse.product_tolerance_a * supply.voltage_v * len(case.evse.phases) + STANDBY_W
    uncertainty = case.evse.power.expanded(measured) + rounding + free * allowed + product * hours
    return _Period(start, end, measured, allowed, ramp, uncertainty, how)


def _sessions(case: Case, reference: Reference) -> tuple[list[Measurement], list[str]]:
    """Return what station and reference counted in each session, two measurements each, and which do not agree."""
    measured: list[Measurement] = []
    wrong: list[str] = []
    told = [one for one in values_of(case.facts, case.evse) if one.value.measurand == ENERGY and not one.value.phase]
    told = [one for one in told if one.value.unit == "Wh" and one.value.location == "Outlet"]
    if blind(case, values_of(case.facts, case.evse)):
        return measured, wrong
    for number, span in enumerate(case.evse.transactions, 1):
        mine = [one for one in told if one.value.transaction_id == span.transaction.id]
        begun = next((one for one in mine if one.value.event == "Started"), None)
        ended = next((one for one in mine if one.value.event == "Ended" and one.value.context != "Transaction.Begin"), None)
        if begun is None or ended is None:
            continue
        counted = reference.energy(begun.start - BEFORE_S, ended.end + AFTER_S)
        if counted is None:
            continue
        rise = ended.value.value - begun.value.value
        refs = (begun.value.call.asked_seq, ended.value.call.asked_seq)
        measured.append(Measurement(f"session_{number}_station", round(rise, 1), "Wh", "by the station's register", refs))
        measured.append(Measurement(f"session_{number}_reference", round(counted.low, 1), "Wh", "by the reference meter", refs))
        inner = reference.energy(begun.end + AFTER_S, max(begun.end + AFTER_S, ended.start - BEFORE_S))
        lost, gained = case.evse.conversion
        low = inner.low * lost if inner else 0.0
        allowance = margin(case, counted.high, "Wh")
        if not low - allowance <= rise <= counted.high * gained + allowance:
            shown = f"{min(low, counted.low):.1f} to {counted.high:.1f} Wh"
            wrong.append(f"session {number}: the station counted {rise:.1f} Wh, the reference {shown}")
    return measured, wrong

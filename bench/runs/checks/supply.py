"""Was the supply voltage sound while a limit had to hold? Outside of its range nobody can blame the station for what it did."""

from __future__ import annotations

from typing import Final

from bench.domain.evidence import Doubt
from bench.domain.verdicts import CheckResult, Layer, Measurement, Verdict
from bench.runs.checks.case import Case
from bench.runs.trust import SUPPLY

CHECK: Final = "supply"


def judge_supply(case: Case) -> CheckResult:
    """Judge whether the meter saw each phase within 10 % of the nominal voltage, 207 to 253 V, as long as something limited.

    Spans outside leave this check INCONCLUSIVE; their readings were taken out before any other check judged by them.
    """
    whole = "station_power" in case.scenario["checks"]
    meters = [one for one in case.scene.evses if one.meter and one.side == "AC" and (whole or one.evse_id == case.evse.evse_id)]
    volts = [volt for one in meters for sample in one.samples for volt in sample.voltage_v if volt is not None]
    doubts = [doubt for one in meters for doubt in one.doubts if doubt.code == SUPPLY]
    title = "The supply voltage was sound"
    if not volts and not doubts:
        return CheckResult(CHECK, title, Verdict.NOT_APPLICABLE, (f"no meter tells the voltage at {case.evse.name}",))
    within = tuple(
        Measurement("supply_voltage", round(value, 1), "V", f"{which}, per phase")
        for which, value in (("lowest sound reading", min(volts)), ("highest sound reading", max(volts)))
    ) if volts else ()  # fmt: skip
    bad = [doubt for doubt in doubts if _limited(case, doubt)]
    if bad:
        refs = tuple(ref for one in bad for ref in one.refs)
        reasons = tuple(one.text for one in bad)
        return CheckResult(CHECK, title, Verdict.INCONCLUSIVE, reasons, (Layer.BENCH,), refs=refs, measurements=within)
    reasons = (*(f"{one.text}, while nothing limited" for one in doubts), f"{len(volts)} readings within the range")
    return CheckResult(CHECK, title, Verdict.PASS, reasons, measurements=within)


def _limited(case: Case, doubt: Doubt) -> bool:
    limits = (case.limits, case.caps)
    return any(one is not None for timeline in limits for one in timeline.between(doubt.start, doubt.end))

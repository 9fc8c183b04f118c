"""Is the reference meter sound: what of its readings was taken out, and why."""

from __future__ import annotations

from bench.domain.evidence import EvseFacts
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict, Warn
from bench.runs.checks.case import Case
from bench.runs.trust import SUPPLY

CHECK = "meter"


def judge_meter(case: Case) -> CheckResult:
    """Judge whether the meter under test, and those summed with it, gave readings that can be trusted throughout.

    A span in doubt leaves this check INCONCLUSIVE, blamed on the meter; a single implausible reading is discarded and told.
    """
    whole = "station_power" in case.scenario["checks"]
    meters = [one for one in case.scene.evses if one.meter and (whole or one.evse_id == case.evse.evse_id)]
    title = "The readings of the reference meter can be trusted"
    if not meters:
        return CheckResult(CHECK, title, Verdict.NOT_APPLICABLE, (f"no meter sees {case.evse.name}",))
    doubts = [doubt for one in meters for doubt in one.doubts if doubt.code != SUPPLY]
    warnings = tuple(_discarded(one) for one in meters if one.discarded)
    if doubts:
        refs = tuple(ref for one in doubts for ref in one.refs)
        reasons = tuple(one.text for one in doubts)
        return CheckResult(
            CHECK, title, Verdict.INCONCLUSIVE, reasons, (Layer.METER,), FaultClass.METERING, refs=refs, warnings=warnings
        )  # fmt: skip
    count = sum(len(one.samples) for one in meters)
    return CheckResult(CHECK, title, Verdict.PASS, (f"{count} readings, none in doubt",), warnings=warnings)


def _discarded(evse: EvseFacts) -> Warn:
    text = f"{len(evse.discarded)} readings of meter {evse.meter} cannot be true and were left out"
    return Warn("implausible-reading", text, (Layer.METER,), tuple(evse.discarded))

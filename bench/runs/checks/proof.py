"""Was the meter proven before it judged: known loads in this run, or a record of them that is young enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from bench.domain.evidence import EvseFacts, RunFacts
from bench.domain.proof import Objection, Point, objections
from bench.domain.quantities import clock_text, parse_time
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict

CHECK: Final = "proof"
STATION_CHECKS: Final = ("power", "station_power", "delivery", "energy", "meter_values", "status")
"""What cannot be said of a station by a meter that is not proven."""
_DAY_S: Final = 86_400.0


def judge_proof(facts: RunFacts, evses: Sequence[EvseFacts] = ()) -> CheckResult | None:
    """Judge whether the meters that the run is judged by were proven; None where the scenario says that they need not be.

    Args: evses: those whose meters count; by default the one under test, or all where the whole station is judged.
    Source: a measurement has to be shown to be fit for its purpose before it is used (ISO/IEC 17025:2017, 6.4.4, 7.2.2).
    """
    if facts.scenario.get("proof") in (None, "none"):
        return None
    title = "The meters show known loads as they are"
    needed = list(evses) or _needed(facts)
    if not needed:
        return None
    found: list[tuple[Objection, tuple[int, ...]]] = []
    for evse in needed:
        seq, record = facts.proofs.get(evse.meter, (0, None))
        if record is None:
            text = f"meter {evse.meter} was not proven: no known load was shown to it"
            if facts.scenario["proof"] == "file":
                text = f"meter {evse.meter} was not proven: there is no record of known loads; {_cure(facts)} makes one"
            found.append((Objection(text, FaultClass.METERING), ()))
            continue
        found += [(replace(one, text=f"meter {evse.meter}: {one.text}"), (seq,)) for one in _of_record(facts, evse, record)]
    if not found:
        refs = tuple(facts.proofs[one.meter][0] for one in needed)
        points = sum(len(facts.proofs[one.meter][1]["points"]) for one in needed)
        ages = dict.fromkeys(_age(facts, facts.proofs[one.meter][1]) for one in needed)
        text = "; ".join([f"{points} known loads were shown as they are", *filter(None, ages)])
        return CheckResult(CHECK, title, Verdict.PASS, (text,), refs=refs)
    first = found[0][0]
    return CheckResult(
        CHECK, title, Verdict.INCONCLUSIVE, tuple(one.text for one, _ in found), (Layer.METER,), first.fault_class,
        refs=tuple(ref for _, refs in found for ref in refs),
    )  # fmt: skip


def _needed(facts: RunFacts) -> list[EvseFacts]:
    station, evse_id = facts.scenario["station"], facts.scenario["evse"]
    whole = "station_power" in facts.scenario["checks"]
    mine = [one for one in facts.evses if one.station == station and one.meter]
    return [one for one in mine if whole or one.evse_id == evse_id]


def _of_record(facts: RunFacts, evse: EvseFacts, record: dict[str, Any]) -> list[Objection]:
    points = [Point.of(one) for one in record["points"]]
    found = objections(points, evse.current, evse.power, record["load_percent"])
    if record["failed"]:
        found.append(Objection(f"it could not be read: {record['failed']}", FaultClass.METERING))
    age_s, most = facts.start - parse_time(record["made"]), record.get("max_age_days")
    if most is not None and age_s < 0:
        text = f"its proof is said to be of {clock_text(parse_time(record['made']))}, after this run began"
        found.append(Objection(text, FaultClass.METERING))
    if most is not None and age_s > most * _DAY_S:
        made = clock_text(parse_time(record["made"]))
        text = f"its proof of {made} is {age_s / _DAY_S:.2f} days old, older than {most:g} days: {_cure(facts)} makes a new one"
        found.append(Objection(text, FaultClass.METERING))
    return found


def _age(facts: RunFacts, record: dict[str, Any]) -> str:
    """Tell when an earlier record was made, and how old it was when the run began; empty for loads of the run itself."""
    if record.get("by") != "file":
        return ""
    made = parse_time(record["made"])
    return f"on {clock_text(made)}, {(facts.start - made) / _DAY_S:.1f} days before this run"


def _cure(facts: RunFacts) -> str:
    return f"`bench baseline --rig {facts.rig.get('name', 'RIG')}`"


def gated(result: CheckResult, proof: CheckResult | None) -> CheckResult:
    """Return a check's result as far as an unproven meter lets it stand: nothing that was measured decides."""
    if proof is None or proof.verdict is Verdict.PASS or result.check not in STATION_CHECKS:
        return result
    if result.verdict in (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE):
        return result
    reason = f"the meter is not proven, so this is not decided: {proof.headline}"
    return replace(
        result, verdict=Verdict.INCONCLUSIVE, reasons=(reason, *result.reasons), blamed=(), fault_class=None, pair="",
    )  # fmt: skip

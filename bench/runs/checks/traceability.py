"""Can the verdict be signed: are the meters' certificates in force, and is the station the item that was ordered?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from bench.domain.evidence import RunFacts
from bench.domain.quantities import moment
from bench.domain.uncertainty import certificate_number
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict

CHECK: Final = "traceability"
_TOLD: Final = (("serial_number", "serialNumber", "serial number"), ("firmware", "firmwareVersion", "firmware"))


def judge_traceability(facts: RunFacts) -> CheckResult | None:
    """Judge whether what the run found can be traced to certificates and to the item; None where nothing claims it.

    A certificate that has expired by the run's own clock, or that another meter's serial number voids, leaves the run
    INCONCLUSIVE in place of PASS or FAIL (ISO/IEC 17025:2017, 6.4.4 and 6.5). A meter for which no certificate is named is
    judged by its data sheet, and that is told in the report.
    """
    claimed = {name: number for name, meter in _meters(facts).items() if (number := certificate_number(meter))}
    item = (facts.job or {}).get("item", {})
    if not claimed and not any(item.get(key) for key, _, _ in _TOLD):
        return None
    broken = [*_certificates(facts, claimed), *_item(facts, item)]
    title = "Meters and item are those that the papers name"
    if not broken:
        told = [f"certificate {number} of meter {name} is in force" for name, number in claimed.items()]
        told += [f"the station tells {what} {item[key]}, as the job has" for key, _, what in _TOLD if item.get(key)]
        return CheckResult(CHECK, title, Verdict.PASS, tuple(told))
    blamed = tuple(dict.fromkeys(layer for layer, _, _ in broken))
    reasons = tuple(f"not traceable: {reason}" for _, reason, _ in broken)
    refs = tuple(ref for _, _, refs in broken for ref in refs)
    return CheckResult(CHECK, title, Verdict.INCONCLUSIVE, reasons, blamed, FaultClass.METERING, refs=refs)


def _meters(facts: RunFacts) -> dict[str, dict[str, Any]]:
    """Return the meters that the run is judged by, as the rig file has them."""
    station = facts.scenario["station"]
    names = [one.meter for one in facts.evses if one.station == station and one.meter]
    return {name: facts.rig["meters"][name] for name in names if name in facts.rig["meters"]}


def _certificates(facts: RunFacts, claimed: dict[str, str]) -> Iterator[tuple[Layer, str, tuple[int, ...]]]:
    began = moment(facts.start).date()
    for name, number in claimed.items():
        meter = facts.rig["meters"][name]
        table = meter.get("certificate")
        due = table.get("due") if table else meter["accuracy"].get("certificate_due")
        if due is not None and date.fromisoformat(due) < began:
            yield Layer.METER, f"certificate {number} of meter {name} expired on {due}", ()
        seq, identity = facts.identities.get(name, (0, None))
        if identity is not None and not identity["certificate"]:
            yield Layer.METER, f"certificate {number} is not that of meter {name}: {identity['doubt']}", (seq,)


def _item(facts: RunFacts, item: dict[str, Any]) -> Iterator[tuple[Layer, str, tuple[int, ...]]]:
    boots = facts.boots(facts.scenario["station"]) or [
        one for one in facts.calls if one.station == facts.scenario["station"] and one.action == "BootNotification"
    ]
    told: dict[str, Any] = boots[0].request.get("chargingStation", {}) if boots else {}
    refs = boots[0].refs if boots else ()
    for key, field, what in _TOLD:
        wanted, said = item.get(key, ""), told.get(field, "")
        if wanted and not said:
            yield Layer.STATION, f"the station tells no {what}, the job has {wanted}", refs
        elif wanted and said.strip() != wanted.strip():
            yield Layer.STATION, f"the station tells {what} {said}, the job has {wanted}", refs



"""Was the meter proven before it judged: known loads in this run, or a record of them that is young enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from bench.domain.clock_offset import ClockReading, estimate_offset
from bench.domain.evidence import EvseFacts, RunFacts
from bench.domain.meter import bare_number
from bench.domain.proof import Objection, Point, objections
from bench.domain.proof_age import Response, age_objections, age_words
from bench.domain.proof_energy import EnergyProof, Look, energy_proof
from bench.domain.quantities import clock_text, parse_time
from bench.domain.series import Series
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict, Warn
from bench.runs.checks.time import DRIFT_S

CHECK: Final = "proof"
STATION_CHECKS: Final = ("power", "station_power", "delivery", "energy", "meter_values", "status")
"""What cannot be said of a station by a meter that is not proven."""
ENERGY_CHECKS: Final = ("energy",)
"""What cannot be said by a meter whose energy register is not proven."""
ENERGY_UNPROVEN: Final = "energy-not-proven"
_BOUND: Final = {
    "station": "station", "evse": "EVSE", "phases": "phases", "side": "side", "model": "model", "serial_number": "serial number",
}  # fmt: skip
"""What a record was made with and has to be so in the run that rests on it, in words."""
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
    records = {one.meter: facts.proofs[one.meter] for one in needed if one.meter in facts.proofs}
    measured = tuple(_measured(facts, records))
    if not found:
        points = sum(len(one["points"]) for _, one in records.values())
        ages = dict.fromkeys(_age(facts, one) for _, one in records.values())
        shown = "; ".join([f"{points} known loads were shown as they are", *filter(None, ages)])
        words = tuple(text for name, (_, one) in records.items() for text in _words(name, one))
        warnings = tuple(
            Warn(ENERGY_UNPROVEN, f"meter {name}: {proof.unproven}", (Layer.METER,), (seq,))
            for name, (seq, one) in records.items() if (proof := _energy(one)).unproven
        )  # fmt: skip
        return CheckResult(
            CHECK, title, Verdict.PASS, (shown, *words, *_clock_words(facts, records)),
            refs=tuple(seq for seq, _ in records.values()), measurements=measured, warnings=warnings,
        )  # fmt: skip
    first = found[0][0]
    return CheckResult(  # the clocks are among the measurements, and none of them is a reason
        CHECK, title, Verdict.INCONCLUSIVE, tuple(one.text for one, _ in found), (Layer.METER,),
        first.fault_class, refs=tuple(ref for _, refs in found for ref in refs), measurements=measured,
    )  # fmt: skip


def without_unproven_energy(facts: RunFacts) -> None:
    """Take out the energy of each meter whose register is not proven: currents and power stay, and the integral of power."""
    if facts.scenario.get("proof") in (None, "none"):
        return
    for evse in facts.evses:
        _, record = facts.proofs.get(evse.meter, (0, None))
        if record is not None and evse.samples and _energy(record).unproven:
            one = evse.samples
            nothing = np.full(len(one), np.nan)
            columns = (one.requested, one.received, one.current_a, one.power_w, nothing, one.seq, one.voltage_v)
            evse.samples = Series.of_columns(*columns)


def _energy(record: dict[str, Any]) -> EnergyProof:
    looks = [Look.of(one) for one in record["held"]] if "held" in record else None
    return energy_proof(looks, record.get("energy_step_wh", 0.0))


def _words(meter: str, record: dict[str, Any]) -> Iterator[str]:
    """Yield what else was shown of a meter: how old its readings are."""
    looks = [Look.of(one) for one in record.get("held", ())]
    if text := age_words([Response.of(one) for one in record.get("responses", ())], looks):
        yield f"meter {meter} {text}"


def _clock_words(facts: RunFacts, records: Mapping[str, tuple[int, dict[str, Any]]]) -> Iterator[str]:
    """Say how far the clocks of station and meters are off; they decide nothing here, for the bench measures by its own."""
    for name, clock in _clocks(facts, records):
        if clock["offset_s"] is None:
            yield f"the clock of {name} was not shown: {clock['why']}"
            continue
        offset, bound = clock["offset_s"], clock["uncertainty_s"]
        far = abs(offset) - bound > DRIFT_S
        allowed = f"more than the {DRIFT_S:g} s that are allowed" if far else f"{DRIFT_S:g} s are allowed"
        yield f"the clock of {name} is {offset:+.2f} s from the bench's, within {bound:.2f} s; {allowed}"


def _clocks(facts: RunFacts, records: Mapping[str, tuple[int, dict[str, Any]]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield offset and uncertainty of each clock that was looked at: the station's, and that of a meter that stamps its readings.

    A meter stamped a reading after the time that its latency allows and before it was there.
    """
    clock = next((one["clock"] for _, one in records.values() if one.get("clock")), None)
    if clock is not None:
        yield facts.scenario["station"], clock
    latency_s = {one.meter: one.latency_s[1] for one in facts.evses}
    for name, (_, record) in records.items():
        stamped = [one for one in record["points"] if one.get("stamp")]
        readings = [ClockReading(one["requested"] - latency_s[name], one["received"], one["stamp"]) for one in stamped]
        if readings:
            found = estimate_offset(readings)
            yield f"meter {name}", {"offset_s": found.offset_s, "uncertainty_s": found.uncertainty_s}


def _measured(facts: RunFacts, records: Mapping[str, tuple[int, dict[str, Any]]]) -> Iterator[Measurement]:
    """Yield the offset of each clock and the largest age of each meter's readings."""
    for name, clock in _clocks(facts, records):
        if clock["offset_s"] is not None:
            text = f"the clock of {name} less the bench's, within {clock['uncertainty_s']:.2f} s"
            what = "station" if name == facts.scenario["station"] else name.removeprefix("meter ")
            yield Measurement(f"clock_offset_of_{what}", round(clock["offset_s"], 2), "s", text)
    for name, (seq, record) in records.items():
        ages = [age for one in record.get("responses", ()) if (age := Response.of(one).most_s) is not None]
        if ages:
            text = "from a step of the known load to the first reading that shows it, at most"
            yield Measurement(f"age_of_{name}", round(max(ages), 2), "s", text, (seq,))


def _needed(facts: RunFacts) -> list[EvseFacts]:
    station, evse_id = facts.scenario["station"], facts.scenario["evse"]
    whole = "station_power" in facts.scenario["checks"]
    mine = [one for one in facts.evses if one.station == station and one.meter]
    return [one for one in mine if whole or one.evse_id == evse_id]


def _of_record(facts: RunFacts, evse: EvseFacts, record: dict[str, Any]) -> list[Objection]:
    points = [Point.of(one) for one in record["points"]]
    found = objections(points, evse.current, evse.power, record["load_percent"])
    declared, looks = record.get("energy_step_wh", 0.0), [Look.of(one) for one in record.get("held", ())]
    responses = [Response.of(one) for one in record.get("responses", ())]
    if wrong := _energy(record).wrong:
        found.append(Objection(wrong, FaultClass.METERING))
    found += age_objections(responses, looks, evse.latency_s, declared)
    if record.get("by") == "file":
        found += _unbound(facts, evse, record)
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


def _unbound(facts: RunFacts, evse: EvseFacts, record: dict[str, Any]) -> Iterator[Objection]:
    """Yield what differs between the making of a record and the run that rests on it: then it is no proof of what judges here."""
    named: dict[str, Any] = facts.rig.get("meters", {}).get(evse.meter, {})
    _, identity = facts.identities.get(evse.meter, (0, {}))
    serial_number = identity.get("serial_number") or named.get("serial_number", "")
    here = {"station": evse.station, "evse": evse.evse_id, "phases": list(evse.phases), "side": evse.side}
    here |= {"model": identity.get("model", ""), "serial_number": serial_number}
    for key, word in _BOUND.items():
        then = record.get(key)
        same = then == here[key] or (key == "serial_number" and bare_number(then or "") == bare_number(serial_number))
        if same and then is not None:
            continue  # some meters tell no model or serial number, then and now
        if then is None or then == "":
            text = f"its proof does not say of which {word} it is"
        else:
            text = f"its proof is of {word} {_plain(then)}, and this run has {_plain(here[key]) or 'none'}"
        yield Objection(f"{text}: {_cure(facts)} proves it anew", FaultClass.METERING)


def _plain(value: Any) -> str:
    return ", ".join(f"L{one}" for one in value) if isinstance(value, list) else str(value)


def gated(result: CheckResult, proof: CheckResult | None) -> CheckResult:
    """Return a check's result as far as an unproven meter lets it stand: nothing that was measured decides."""
    if proof is None or result.verdict in (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE):
        return result
    energy = next((one.text for one in proof.warnings if one.code == ENERGY_UNPROVEN), "")
    if proof.verdict is Verdict.PASS and energy and result.check in ENERGY_CHECKS:
        return _undecided(result, f"the energy register is not proven, so this is not decided: {energy}")
    if proof.verdict is Verdict.PASS or result.check not in STATION_CHECKS:
        return result
    return _undecided(result, f"the meter is not proven, so this is not decided: {proof.headline}")


def _undecided(result: CheckResult, reason: str) -> CheckResult:
    return replace(
        result, verdict=Verdict.INCONCLUSIVE, reasons=(reason, *result.reasons), blamed=(), fault_class=None, pair="",
    )  # fmt: skip

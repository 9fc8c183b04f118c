"""Was the profile relayed, installed and reported? Each check compares two neighbouring truths."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from bench.domain.evidence import EvseFacts, RunFacts
from bench.domain.exchange import Call, HttpExchange
from bench.domain.oracle import ExpectedLimit, Supply
from bench.domain.profiles import ChargingProfile, ProfileError
from bench.domain.quantities import clock_text, parse_time
from bench.domain.timeline import Timeline, Window
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict, worst
from bench.runs.expected import limits_ahead

_ROUNDING: Final = 0.1
"""One decimal is all that OCPP and OCPI carry: a limit may be rounded down by so much."""
_EQUAL: Final = 1e-4
"""Stations compute in 32-bit floats."""
_BOUNDARY_S: Final = 1.0
_CONVERTED_W: Final = 100.0
"""0.1 A rounded down on three phases at nominal voltage is 69 W; up to 1 V of another nominal voltage is the rest."""

_OCPI_LIMITS = "charging_profile_period"


def judge_relay(facts: RunFacts) -> CheckResult:
    """Judge whether each ChargingProfile that the CSO accepted over OCPI left it as an equal OCPP profile.

    Intent against what was sent: same limits at every moment, in the same unit, rounded down by at most 0.1.
    """
    title = "Each OCPI ChargingProfile is relayed unchanged"
    accepted = [one for one in facts.http if _is_accepted_put(one)]
    if not accepted:
        return CheckResult("relay", title, Verdict.INCONCLUSIVE, ("no ChargingProfile was accepted over OCPI",), (Layer.OCPI,))
    reasons: list[str] = []
    refs: list[int] = []
    measurements: list[Measurement] = []
    sent = [call for call in facts.calls if call.action == "SetChargingProfile" and not call.from_station]
    for put in accepted:
        relayed = next((call for call in sent if call.asked >= put.asked and call.asked_seq > put.asked_seq), None)
        if relayed is None:
            reasons.append(f"the ChargingProfile accepted at {clock_text(put.asked)} never left as SetChargingProfile")
            refs += put.refs
            continue
        scale = _unit_scale(facts, relayed, put.body["charging_profile"]["charging_rate_unit"])
        difference = _relay_difference(put.body["charging_profile"], relayed.request["chargingProfile"], scale)
        if difference:
            reasons.append(f"relayed at {clock_text(relayed.asked)} with a difference: {difference}")
            refs += [*put.refs, *relayed.refs]
        delay = relayed.asked - put.asked
        measurements.append(
            Measurement(
                "relay_delay", round(delay, 6), "s", "from the OCPI request to the OCPP frame", (put.asked_seq, relayed.asked_seq)
            )
        )
    if reasons:
        return CheckResult(
            "relay", title, Verdict.FAIL, tuple(reasons), (Layer.CSMS,), FaultClass.PROTOCOL,
            pair="intent/sent", refs=tuple(refs), measurements=tuple(measurements),
        )  # fmt: skip
    return CheckResult("relay", title, Verdict.PASS, (f"{len(accepted)} of {len(accepted)} relayed unchanged",),
                       measurements=tuple(measurements), refs=tuple(ref for put in accepted for ref in put.refs))  # fmt: skip


def _is_accepted_put(one: HttpExchange) -> bool:
    answer = one.answer if isinstance(one.answer, dict) else {}
    data = answer.get("data")
    return (
        one.method == "PUT"
        and isinstance(one.body, dict)
        and isinstance(one.body.get("charging_profile"), dict)
        and "response_url" in one.body
        and isinstance(data, dict)
        and data.get("result") == "ACCEPTED"
    )


def _unit_scale(facts: RunFacts, relayed: Call, unit: str) -> float | None:
    """Return what a limit is multiplied with where the station lacks the unit; None where it has it."""
    station = next((one for one in facts.rig["station"] if one["id"] == relayed.station), None)
    evse = facts.evse(relayed.station, relayed.request["evseId"])
    if station is None or evse is None or unit in station["features"]["rate_units"]:
        return None
    watts_per_ampere = evse.supply.voltage_v * len(evse.phases)
    return 1 / watts_per_ampere if unit == "W" else watts_per_ampere


def _relay_difference(ocpi: dict[str, Any], ocpp: dict[str, Any], scale: float | None) -> str:
    """Return what differs between the raw OCPI profile and the raw OCPP one; empty where they agree."""
    schedule = ocpp["chargingSchedule"][0]
    if (schedule["chargingRateUnit"] != ocpi["charging_rate_unit"]) != (scale is not None):
        return f"unit {schedule['chargingRateUnit']} for {ocpi['charging_rate_unit']}"
    starts = ocpi.get("start_date_time"), schedule.get("startSchedule")
    if (starts[0] is None) != (starts[1] is None) or (starts[0] and parse_time(starts[0]) != parse_time(starts[1])):
        return f"start {starts[1]} for {starts[0]}"
    if ocpi.get("duration") != schedule.get("duration"):
        return f"duration {schedule.get('duration')} for {ocpi.get('duration')}"
    asked = Timeline([(float(one["start_period"]), one["limit"]) for one in ocpi[_OCPI_LIMITS]], float("inf"))
    given = Timeline([(float(one["startPeriod"]), one["limit"]) for one in schedule["chargingSchedulePeriod"]], float("inf"))
    for at in sorted({*asked.starts, *given.starts}):
        if at < asked.start or at < given.start:
            return f"second {at:.0f} is covered by one of them only"
        wanted, got = asked.at(at) * (scale or 1), given.at(at)
        if not wanted - _ROUNDING - 1e-9 <= got <= wanted + 1e-9:
            return f"limit {got:g} for {wanted:g} at second {at:.0f}"
    return ""


def judge_installed(facts: RunFacts, station: str) -> CheckResult:
    """Judge whether each accepted profile was there, unchanged, when the store was read back (K09, K01.FR.05)."""
    title = f"{station} holds the profiles that it accepted"
    sent = [call for call in facts.calls if call.station == station and call.action == "SetChargingProfile"]
    if not sent:
        return CheckResult("installed", title, Verdict.INCONCLUSIVE, ("no SetChargingProfile was sent",))
    verdicts: list[Verdict] = []
    reasons: list[str] = []
    refs: list[int] = []
    for call, following in pairwise([*sent, None]):
        assert call is not None
        until = following.asked if following else facts.end
        verdict, reason, shown_by = _installed(facts, call, until)
        verdicts.append(verdict)
        refs += [*call.refs, *shown_by]
        if verdict is not Verdict.PASS:
            reasons.append(f"profile {call.request['chargingProfile']['id']} sent at {clock_text(call.asked)}: {reason}")
    verdict = worst(verdicts)
    failed = verdict is Verdict.FAIL
    delays = [
        Measurement(
            "set_profile_delay", round(call.answered - call.asked, 6), "s", "from SetChargingProfile to its answer", call.refs
        )
        for call in sent
        if call.answered is not None
    ]
    return CheckResult(
        "installed", title, verdict, tuple(reasons) or (f"{len(sent)} of {len(sent)} profiles accepted and read back unchanged",),
        (Layer.STATION,) if failed else (), FaultClass.PROTOCOL if failed else None, "K09.FR.01",
        "sent/installed" if failed else "", tuple(refs), tuple(delays),
    )  # fmt: skip


def _installed(facts: RunFacts, call: Call, until: float) -> tuple[Verdict, str, tuple[int, ...]]:
    if call.answered is None:
        return Verdict.INCONCLUSIVE, "no answer, so it is unknown whether it was installed", ()
    if call.error:
        return Verdict.FAIL, f"refused with CALLERROR {call.error}", ()
    if call.invalid:
        return Verdict.FAIL, f"the answer breaks its schema: {call.invalid}", ()
    if call.status != "Accepted":
        info = (call.response or {}).get("statusInfo", {})
        return Verdict.FAIL, f"{call.status} ({info.get('reasonCode', 'no reason')} {info.get('additionalInfo', '')})".strip(), ()
    reports = [
        one
        for one in facts.calls
        if one.station == call.station and one.action == "ReportChargingProfiles" and call.answered <= one.asked < until
        and one.response is not None
    ]  # fmt: skip
    if not reports:
        return Verdict.INCONCLUSIVE, "was not read back", ()
    wanted = call.request["chargingProfile"]
    for report in reports:
        for found in report.request["chargingProfile"]:
            if found["id"] == wanted["id"] and report.request["evseId"] == call.request["evseId"]:
                difference = _profile_difference(wanted, found)
                return (Verdict.FAIL, f"reported with a difference: {difference}", report.refs) if difference else (
                    Verdict.PASS, "", report.refs)  # fmt: skip
    return Verdict.FAIL, "accepted, but missing when read back", tuple(ref for one in reports for ref in one.refs)


def _profile_difference(wanted: dict[str, Any], found: dict[str, Any]) -> str:
    try:
        first, second = ChargingProfile.from_ocpp(wanted), ChargingProfile.from_ocpp(found)
    except ProfileError as error:
        return str(error)
    for name in ("stack_level", "purpose", "kind", "recurrency", "valid_from", "valid_to", "transaction_id"):
        if getattr(first, name) != getattr(second, name):
            return f"{name} {getattr(second, name)} for {getattr(first, name)}"
    mine, theirs = first.schedule, second.schedule
    if (mine.unit, mine.start, mine.duration_s) != (theirs.unit, theirs.start, theirs.duration_s):
        return f"schedule starts {theirs.start}, lasts {theirs.duration_s}, in {theirs.unit}"
    if [(p.start_s, p.number_phases or 3) for p in mine.periods] != [(p.start_s, p.number_phases or 3) for p in theirs.periods]:
        return "other periods"
    for one, other in zip(mine.periods, theirs.periods, strict=True):
        if abs(one.limit - other.limit) > _EQUAL * max(1.0, one.limit):
            return f"limit {other.limit:g} for {one.limit:g} at second {one.start_s}"
    return ""


def judge_composite(facts: RunFacts, evse: EvseFacts) -> CheckResult:
    """Judge each composite schedule that the station reported for an EVSE against the oracle (K08.FR.02)."""
    title = f"{evse.name} reports the composite schedule that follows from its profiles"
    asked = [
        call
        for call in facts.calls
        if call.station == evse.station and call.action == "GetCompositeSchedule" and call.request["evseId"] == evse.evse_id
    ]
    if not asked:
        return CheckResult("composite", title, Verdict.INCONCLUSIVE, ("no composite schedule was asked for",))
    results = [(call, *_composite(facts, evse, call)) for call in asked]
    verdict = worst(result for _, result, _ in results)
    reasons = tuple(
        f"asked at {clock_text(call.asked)}: {reason}" for call, result, reason in results if result is not Verdict.PASS
    )
    failed = verdict is Verdict.FAIL
    return CheckResult(
        "composite", title, verdict, reasons or (f"{len(results)} of {len(results)} composite schedules as expected",),
        (Layer.STATION,) if failed else (), FaultClass.REPORT_ONLY if failed else None, "K08.FR.02",
        "installed/reported" if failed else "", tuple(ref for call, _, _ in results for ref in call.refs),
    )  # fmt: skip


def _composite(facts: RunFacts, evse: EvseFacts, call: Call) -> tuple[Verdict, str]:
    if call.answered is None:
        return Verdict.INCONCLUSIVE, "no answer"
    if call.error:
        return Verdict.FAIL, f"refused with CALLERROR {call.error}"
    if call.invalid:
        return Verdict.FAIL, f"the answer breaks its schema: {call.invalid}"
    if call.status != "Accepted" or not call.response or "schedule" not in call.response:
        return Verdict.FAIL, f"answered {call.status or 'without status'}, without a schedule"
    schedule = call.response["schedule"]
    try:
        unit, start = schedule["chargingRateUnit"], parse_time(schedule["scheduleStart"])
    except ValueError:
        return Verdict.FAIL, f"scheduleStart {schedule['scheduleStart']!r} is no date-time"
    if call.request.get("chargingRateUnit", unit) != unit:
        return Verdict.FAIL, f"in {unit}, asked in {call.request['chargingRateUnit']}"
    end = start + schedule["duration"]
    expected = limits_ahead(facts, evse, call.asked, Window(start, end))
    reported = Timeline([(start + one["startPeriod"], float(one["limit"])) for one in schedule["chargingSchedulePeriod"]], end)
    return _compare_composite(expected, reported, unit, evse.supply)


def _compare_composite(
    expected: Timeline[ExpectedLimit | None], reported: Timeline[float], unit: str, supply: Supply
) -> tuple[Verdict, str]:
    """Compare in the middle of each span that is longer than the clock resolution of one second."""
    edges: Sequence[float] = [*sorted({*expected.starts, *reported.starts}), min(expected.end, reported.end)]
    for start, end in pairwise(edges):
        if end - start <= _BOUNDARY_S:
            continue
        middle = (start + end) / 2
        if middle < reported.start:
            return Verdict.FAIL, f"says nothing before {clock_text(reported.start)}"
        limit, got = expected.at(middle), reported.at(middle)
        if limit is None:
            continue  # nothing installed limits here: what the station adds is its own limit
        wanted = limit.limit_a if unit == "A" else limit.watts(supply)
        below = _ROUNDING if unit == limit.unit or unit == "A" else _CONVERTED_W
        if not wanted * (1 - _EQUAL) - below - 1e-9 <= got <= wanted * (1 + _EQUAL) + 1e-9:
            return Verdict.FAIL, f"from {clock_text(start)} it says {got:g} {unit} where {wanted:g} {unit} is due"
    return Verdict.PASS, ""

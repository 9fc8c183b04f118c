"""ISO 15118: charging needs, the EV's schedule, and renegotiation from either side (K15, K16, K17)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bench.domain.exchange import Call
from bench.domain.profiles import Purpose
from bench.domain.quantities import clock_text, time_or
from bench.domain.verdicts import Layer, Verdict
from bench.runs.conduct.answers import due_answer
from bench.runs.conduct.scene import ALWAYS, NOTICE_S, PATIENCE_S, Scene, Shown, said, shown, undecided, what

_ROUNDING: Final = 0.1
"""One decimal is all that OCPP carries."""
_CHOICE: Final = "SHOULD NOT in the text: a recommendation"


def judge_needs(scene: Scene) -> Iterator[Shown]:
    """Judge what the station told of an EV that speaks ISO 15118."""
    needs = list(scene.told("NotifyEVChargingNeeds"))
    renegotiations = [one for one in scene.facts.actions if one.station == scene.station and one.action == "renegotiate"]
    for call in needs:
        by_ev = any(0 <= call.asked - one.at <= NOTICE_S for one in renegotiations)
        use_case = "K17" if by_ev else "K15"
        subject = f"charging needs of EVSE {call.request['evseId']} at {clock_text(call.asked)}"
        if not by_ev and not _asked_by_csms(scene, call):
            yield shown("K15.FR.01", True, f"{subject}: told", call.refs)
        yield _one_kind(f"{use_case}.FR.06", subject, call)
    for action in renegotiations:
        told = next((one for one in needs if 0 <= one.asked - action.at <= NOTICE_S), None)
        text = f"the EV asked for another schedule at {clock_text(action.at)}: {'told' if told else 'no NotifyEVChargingNeeds'}"
        if told is None and not scene.features.get("iso15118", False):
            yield undecided("K17.FR.01", Verdict.NOT_APPLICABLE, "ISO 15118 is not declared", (action.seq,))
        elif scene.facts.end - action.at >= NOTICE_S:
            yield shown("K17.FR.01", told is not None, text, (action.seq, *(told.refs if told else ())))
    yield from _schedules(scene, needs)
    yield from _new_schedule(scene, needs)


def _one_kind(requirement: str, subject: str, call: Call) -> Shown:
    """K15.FR.06, K17.FR.06: the needs of an EV are told for AC or for DC, not for both and not for neither."""
    needs = call.request["chargingNeeds"]
    kinds = [name for name in ("acChargingParameters", "dcChargingParameters") if name in needs]
    return shown(requirement, len(kinds) == 1, f"{subject}: with {' and '.join(kinds) or 'no parameters'}", call.refs)


def _asked_by_csms(scene: Scene, call: Call) -> bool:
    """Say whether needs came while the CSMS renegotiates (K16.FR.09)."""
    return any(0 < call.asked - one.asked <= NOTICE_S for one in _renegotiating(scene))


def _renegotiating(scene: Scene) -> Iterator[Call]:
    """Yield each TxProfile that the CSMS sent of its own accord: not the first one after charging needs."""
    answered = False
    for call in scene.calls:
        if call.from_station and call.action == "NotifyEVChargingNeeds":
            answered = False
        elif not call.from_station and call.action == "SetChargingProfile" and _is_tx(call):
            if answered:
                yield call
            answered = True


def _is_tx(call: Call) -> bool:
    return bool(call.request.get("chargingProfile", {}).get("chargingProfilePurpose") == Purpose.TX)


def _schedules(scene: Scene, needs: list[Call]) -> Iterator[Shown]:
    """K15.FR.09, 10, K16.FR.05, K17.FR.09, 10: the EV's schedule is told, and lies inside the CSMS's."""
    for call in scene.told("NotifyEVChargingSchedule"):
        evse_id = call.request["evseId"]
        sent = [
            one for one in scene.sent("SetChargingProfile")
            if one.asked_seq < call.asked_seq and one.request["evseId"] == evse_id and _is_tx(one) and one.status == "Accepted"
        ]  # fmt: skip
        asked = [one for one in needs if one.asked_seq < call.asked_seq and one.request["evseId"] == evse_id]
        if not sent or not asked:
            continue
        use_case = _use_case(scene, sent[-1], asked[-1])
        subject = f"schedule of the EV at EVSE {evse_id} told at {clock_text(call.asked)}"
        refs = (*call.refs, *sent[-1].refs)
        yield shown(f"{use_case}.FR.{'05' if use_case == 'K16' else '10'}", True, subject, refs)
        requirement, profile = f"{use_case}.FR.{'04' if use_case == 'K16' else '09'}", sent[-1].request["chargingProfile"]
        if not _comparable(call.request, profile):
            text = f"{subject}: in another unit than the schedule of the CSMS, and the bench does not convert what an EV said"
            yield undecided(requirement, Verdict.INCONCLUSIVE, text, refs)
            continue
        excess = _excess(call.request, profile)
        inside = f"{subject}: {excess or 'inside the schedule of the CSMS'}"
        yield shown(requirement, not excess, inside, refs, blamed=(Layer.STATION, Layer.EV))


def _use_case(scene: Scene, sent: Call, needs: Call) -> str:
    if any(one is sent for one in _renegotiating(scene)):
        return "K16"
    by_ev = any(one.action == "renegotiate" and 0 <= needs.asked - one.at <= NOTICE_S for one in scene.facts.actions)
    return "K17" if by_ev else "K15"


def _excess(told: Mapping[str, Any], profile: Mapping[str, Any]) -> str:
    """Say where the EV's schedule exceeds each of the schedules that it could choose from; empty where one holds it."""
    mine = told["chargingSchedule"]
    reasons = [_above(mine, one, time_or(told["timeBase"], 0.0)) for one in _offered(told, profile)]
    return "" if not all(reasons) else reasons[0]


def _offered(told: Mapping[str, Any], profile: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the CSMS's schedules in the unit of the EV's."""
    unit = told["chargingSchedule"]["chargingRateUnit"]
    return [one for one in profile["chargingSchedule"] if one["chargingRateUnit"] == unit]


def _comparable(told: Mapping[str, Any], profile: Mapping[str, Any]) -> bool:
    """Say whether the EV's schedule can be held to the CSMS's at all; one in another unit might hold it, and is not known to."""
    offered = _offered(told, profile)
    return bool(offered) and (len(offered) == len(profile["chargingSchedule"]) or not _excess(told, profile))


def _above(mine: Mapping[str, Any], theirs: Mapping[str, Any], base: float) -> str:
    begin = time_or(theirs["startSchedule"], base) if "startSchedule" in theirs else base
    edges = {float(one["startPeriod"]) for one in mine["chargingSchedulePeriod"]}
    edges |= {begin - base + one["startPeriod"] for one in theirs["chargingSchedulePeriod"]}
    for edge in sorted(one for one in edges if one >= 0):
        limit, wanted = _at(theirs, edge - (begin - base)), _at(mine, edge)
        if limit is not None and wanted is not None and wanted > limit + _ROUNDING:
            return f"{wanted:g} {mine['chargingRateUnit']} at second {edge:g} where {limit:g} are allowed"
    return ""


def _at(schedule: Mapping[str, Any], second: float) -> float | None:
    periods = [one for one in schedule["chargingSchedulePeriod"] if one["startPeriod"] <= second + 1e-6]
    over = second >= schedule.get("duration", float("inf"))
    return None if over or not periods else float(periods[-1]["limit"])


def _new_schedule(scene: Scene, needs: list[Call]) -> Iterator[Shown]:
    """K16.FR.01, K16.FR.09: a new profile during an ISO 15118 session is accepted, and brings no charging needs anew."""
    if not needs:
        return
    for call in _renegotiating(scene):
        running = scene.running(call.asked_seq, call.request.get("evseId", 0))
        if call.answered is None or not running or call.asked_seq < needs[0].asked_seq:
            continue
        subject = what(call, f"TxProfile {call.request['chargingProfile'].get('id', '?')} during an ISO 15118 session")
        due = due_answer(scene, call).must  # a profile that has to be refused starts no renegotiation
        if call.request["chargingProfile"].get("transactionId") == running[0][1].transaction.id and due == "Accepted":
            yield shown("K16.FR.01", call.status == "Accepted", f"{subject}: {said(call)}", call.refs)
        following = next((one for one in needs if 0 < one.asked - call.asked <= NOTICE_S), None)
        by_ev = any(one.action == "renegotiate" and call.asked <= one.at <= call.asked + NOTICE_S for one in scene.facts.actions)
        if following is not None and not by_ev:
            text = f"{subject} brought charging needs anew ({_CHOICE})"
            yield undecided("K16.FR.09", Verdict.CONDITIONAL_PASS, text, (*call.refs, *following.refs))
        elif min(scene.facts.end, _next(scene, call)) - call.asked >= PATIENCE_S / 2:
            yield shown("K16.FR.09", True, f"{subject} brought no charging needs anew", call.refs)


def _next(scene: Scene, call: Call) -> float:
    later = (one.asked for one in scene.calls if one.asked_seq > call.asked_seq and one.action == "NotifyEVChargingNeeds")
    return next(later, float(ALWAYS))

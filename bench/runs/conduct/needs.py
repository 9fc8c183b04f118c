"""ISO 15118: charging needs, the EV's schedule, and renegotiation from either side (K15, K16, K17)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bench.domain.charging_needs import Offer
from bench.domain.ev_schedule import ev_schedule_breaks
from bench.domain.evidence import EvseFacts
from bench.domain.exchange import Call
from bench.domain.profiles import Purpose
from bench.domain.quantities import clock_text
from bench.domain.verdicts import Layer, Verdict
from bench.runs.conduct.answers import due_answer
from bench.runs.scene import ALWAYS, NOTICE_S, PATIENCE_S, Scene, Shown, said, shown, undecided, what

_PHASES: Final = {"AC_single_phase": 1, "AC_two_phase": 2}
_RETURNED: Final = ("inside", "outside", "stubborn")
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
        elif told is not None or (scene.facts.end - action.at >= NOTICE_S and not scene.offline_at(action.at)):
            yield shown("K17.FR.01", told is not None, text, (action.seq, *(told.refs if told else ())))
    yield from _silent(scene, needs)
    yield from _schedules(scene, needs)
    yield from _untold(scene, needs)
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
    """K15.FR.09, 10, 21, K16.FR.04, 05, 14, K17.FR.09, 10: the EV's schedule is told, lies inside the CSMS's, and names it.

    A schedule outside is forwarded all the same, for the CSMS to reject (K15.FR.12): whether the station let the EV have its
    way is for the meter to say.
    """
    for call in scene.told("NotifyEVChargingSchedule"):
        sent, asked = sent_before(scene, call), [one for one in needs if _before(one, call)]
        evse = scene.evse(call.request["evseId"])
        if sent is None or not asked or evse is None:
            continue
        use_case = use_case_of(scene, call)
        subject = f"schedule of the EV at EVSE {evse.evse_id} told at {clock_text(call.asked)}"
        refs = (*call.refs, *sent.refs)
        yield shown(f"{use_case}.FR.{'05' if use_case == 'K16' else '10'}", True, subject, refs)
        outside = outside_of(scene, evse, call, sent)
        requirement = checks_the_ev(use_case)
        if outside:
            text = f"{subject}: {outside[0]}; what it then drew says whether the station let it"
            yield undecided(requirement, Verdict.INCONCLUSIVE, text, refs)
        else:
            yield shown(requirement, True, f"{subject}: inside the schedule of the CSMS", refs)
        ids = [one["id"] for one in sent.request["chargingProfile"]["chargingSchedule"]]
        named, number = call.request["chargingSchedule"]["id"], {"K15": "K15.FR.21", "K16": "K16.FR.14"}.get(use_case)
        if number and named in ids:
            yield shown(number, True, f"{subject}: names schedule {named} of the CSMS", refs)
        elif number:
            text = f"{subject}: names schedule {named}, which the CSMS did not send (SHOULD in the text: a recommendation)"
            yield undecided(number, Verdict.CONDITIONAL_PASS, text, refs)


def checks_the_ev(use_case: str) -> str:
    """Return the requirement that the EV's schedule is checked against that of the CSMS."""
    return f"{use_case}.FR.{'04' if use_case == 'K16' else '09'}"


def outside_of(scene: Scene, evse: EvseFacts, call: Call, sent: Call) -> list[str]:
    """Return how an EV's schedule leaves the TxProfile that it answers; empty where it does not."""
    features, needs = scene.features, [one for one in scene.told("NotifyEVChargingNeeds") if _before(one, call)]
    transfer = needs[-1].request["chargingNeeds"]["requestedEnergyTransfer"] if needs else ""
    units, supply = tuple(features["rate_units"]), evse.supply
    offer = Offer(units, supply.voltage_v, supply.phases, evse.max_current_a, features["periods_per_schedule"])
    profile, phases = sent.request["chargingProfile"], _PHASES.get(transfer, 3)
    return ev_schedule_breaks(call.request, profile, offer, dc=evse.current_type == "DC", ev_phases=phases)


def _before(one: Call, call: Call) -> bool:
    return one.asked_seq < call.asked_seq and one.request["evseId"] == call.request["evseId"]


def sent_before(scene: Scene, call: Call) -> Call | None:
    """Return the TxProfile that was accepted last before an EV's schedule came."""
    sent = [one for one in scene.sent("SetChargingProfile") if _before(one, call) and _is_tx(one) and one.status == "Accepted"]
    return sent[-1] if sent else None


def use_case_of(scene: Scene, call: Call) -> str:
    """Return K15, K16 or K17: who brought about the EV's schedule in a NotifyEVChargingSchedule."""
    needs = [one for one in scene.told("NotifyEVChargingNeeds") if _before(one, call)]
    return _use_case(scene, sent_before(scene, call), needs[-1] if needs else None)


def _use_case(scene: Scene, sent: Call | None, needs: Call | None) -> str:
    if any(one is sent for one in _renegotiating(scene)):
        return "K16"
    actions = [one for one in scene.facts.actions if one.action == "renegotiate" and one.station == scene.station]
    return "K17" if needs is not None and any(0 <= needs.asked - one.at <= NOTICE_S for one in actions) else "K15"


def speaks_iso15118(scene: Scene, evse_id: int, seq: int) -> Mapping[str, Any]:
    """Return the properties of the ISO 15118 EV that the rig put before an EVSE, up to document `seq`; empty without one."""
    settings: dict[str, Any] = {}
    for one in scene.facts.actions:
        if one.station == scene.station and one.action == "vehicle" and one.seq < seq and one.arguments.get("evse_id") == evse_id:
            settings |= one.arguments.get("settings", {})
    return settings if settings.get("iso15118") else {}


def _silent(scene: Scene, needs: list[Call]) -> Iterator[Shown]:
    """K15.FR.01: an ISO 15118 EV has a transaction, the CSMS is there to hear, and no charging needs come."""
    for evse in scene.evses:
        for span in evse.transactions:
            end = min(scene.facts.end, span.ended or scene.facts.end)
            mine = [one for one in needs if one.request["evseId"] == evse.evse_id]
            told = any(abs(one.asked - span.begun) <= PATIENCE_S for one in mine)
            offline = scene.facts.offline(scene.station)
            heard = not any(first < span.begun + PATIENCE_S and span.begun < last for first, last in offline)
            due = heard and end - span.begun >= PATIENCE_S and scene.features.get("iso15118", False)
            if due and not told and speaks_iso15118(scene, evse.evse_id, span.begun_seq):
                text = f"{evse.name}: no NotifyEVChargingNeeds within {PATIENCE_S:g} s of the transaction's begin"
                yield shown("K15.FR.01", False, text, (span.begun_seq,), blamed=(Layer.STATION, Layer.EV))


def _untold(scene: Scene, needs: list[Call]) -> Iterator[Shown]:
    """K15.FR.10, K16.FR.05, K17.FR.10: an EV that returns a schedule got another one to choose from, and nothing is told."""
    sent = [one for one in scene.sent("SetChargingProfile") if _is_tx(one) and one.status == "Accepted"]
    for index, call in enumerate(sent):
        evse_id = call.request["evseId"]
        ev, asked = speaks_iso15118(scene, evse_id, call.asked_seq), [one for one in needs if _before(one, call)]
        before = [one for one in sent[:index] if _before(one, call)]
        if not asked or ev.get("ev_profile") not in _RETURNED or (before and _content(before[-1]) == _content(call)):
            continue
        following = [one for one in scene.calls if one.asked_seq > call.asked_seq and one.request.get("evseId") == evse_id]
        told = next((one for one in following if one.action == "NotifyEVChargingSchedule"), None)
        running, end = scene.running(call.asked_seq, evse_id), scene.facts.end
        after = next((one.asked for one in following if one.action in ("NotifyEVChargingNeeds", "SetChargingProfile")), end)
        until = min(after, end, *(span.ended or end for _, span in running))
        if told is None and running and until - call.asked >= PATIENCE_S / 2:
            use_case = _use_case(scene, call, asked[-1])
            text = f"{what(call, 'TxProfile')}: the schedule of the EV at EVSE {evse_id} is not told"
            requirement = f"{use_case}.FR.{'05' if use_case == 'K16' else '10'}"
            yield shown(requirement, False, text, call.refs, blamed=(Layer.STATION, Layer.EV))


def _content(call: Call) -> list[Any]:
    schedules = call.request["chargingProfile"]["chargingSchedule"]
    return [[one["chargingRateUnit"], one["chargingSchedulePeriod"]] for one in schedules]


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

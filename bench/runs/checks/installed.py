"""Does the station hold what it accepted? What was sent against what is read back."""

from __future__ import annotations

from typing import Final

from bench.domain.exchange import Call
from bench.domain.profiles import ChargingProfile, InstalledProfile, ProfileError, Purpose
from bench.domain.quantities import clock_text
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict, worst
from bench.runs.conduct.answers import due_answer
from bench.runs.expected import store_at
from bench.runs.read_backs import read_backs, settled_by
from bench.runs.scene import Scene

_EQUAL: Final = 1e-4
"""Stations compute in 32-bit floats."""
_FOREVER: Final = 1 << 62


def judge_installed(scene: Scene) -> CheckResult:
    """Judge each profile's answer, and each read-back of the store against what the answers had promised (K09, K01.FR.05).

    A profile that was to be refused and was is well answered; where nothing was accepted there is nothing to hold.
    """
    facts, station, history = scene.facts, scene.station, scene.history
    title = f"{station} holds the profiles that it accepted"
    sent = [one for one in facts.calls if one.station == station and one.action == "SetChargingProfile" and not one.from_station]
    if not sent and not any(one.installed for one in history):
        return CheckResult("installed", title, Verdict.INCONCLUSIVE, ("no SetChargingProfile was sent",))
    judged = [wrong for call in sent if (wrong := _answer(scene, call)) is not None]
    refs = [ref for call in sent for ref in call.refs]
    seen: dict[int, int] = {}
    compared = 0
    for asked, reports, complete in read_backs(facts, station):
        promised = [one for one in store_at(history, asked.asked_seq) if one.profile.purpose is not Purpose.EXTERNAL]
        refs += [*asked.refs, *(ref for report in reports for ref in report.refs)]
        if not complete:
            judged.append((Verdict.INCONCLUSIVE, f"the report asked for at {clock_text(asked.asked)} is incomplete"))
            continue
        compared += len(promised)
        due = [one for one in promised if not scene.expired(one, asked.asked)]
        judged += [(Verdict.FAIL, f"read back at {clock_text(asked.asked)}: {text}") for text in _differences(due, reports)]
        seen |= {one.profile.id: asked.asked_seq for one in promised}
    with_start = 0 if sent else len(seen)
    for held in store_at(history, _FOREVER):
        if held.profile.purpose is Purpose.EXTERNAL:
            continue
        identity = held.profile.id
        last = max((call.answered_seq or 0 for call in sent if call.request["chargingProfile"]["id"] == identity), default=-1)
        if seen.get(identity, -2) < last:
            judged.append((Verdict.INCONCLUSIVE, f"profile {identity} was not read back"))
    accepted = sum(call.status == "Accepted" for call in sent)
    if not accepted and not compared and not judged:
        return CheckResult("installed", title, Verdict.NOT_APPLICABLE, ("no profile was accepted, and none had to be",))
    if not compared and not judged:
        judged.append((Verdict.INCONCLUSIVE, "no profile was read back while it was installed"))
    verdict = worst([Verdict.PASS, *(one for one, _ in judged)])
    failed = verdict is Verdict.FAIL
    reasons = [text for one, text in judged if one is verdict] + [text for one, text in judged if one is not verdict]
    delays = tuple(
        Measurement("set_profile_delay", round(call.answered - call.asked, 6), "s", "from the request to its answer", call.refs)
        for call in sent
        if call.answered is not None
    )
    return CheckResult(
        "installed", title, verdict, tuple(reasons)
        or (f"{accepted + with_start} of {len(sent) + with_start} profiles accepted and read back unchanged",),
        (Layer.STATION,) if failed else (), FaultClass.PROTOCOL if failed else None, "K09.FR.01",
        "sent/installed" if failed else "", tuple(dict.fromkeys(refs)), delays,
    )  # fmt: skip


def _answer(scene: Scene, call: Call) -> tuple[Verdict, str] | None:
    """Say what is wrong with the answer to a SetChargingProfile; None where it is the one that is due."""
    what = f"profile {call.request.get('chargingProfile', {}).get('id', '?')} sent at {clock_text(call.asked)}"
    if call.answered is None and settled_by(scene.facts, call) is not None:
        return None
    if call.answered is None:
        return Verdict.INCONCLUSIVE, f"{what}: no answer, so it is unknown whether it was installed"
    due = due_answer(scene, call)
    if due.must in ("Rejected", "CALLERROR"):
        return (Verdict.FAIL, f"{what}: accepted, though {due.text}") if call.status == "Accepted" else None
    if call.error and due.must == "Accepted":
        return Verdict.FAIL, f"{what}: refused with CALLERROR {call.error}"
    if call.invalid:
        return Verdict.FAIL, f"{what}: the answer breaks its schema: {call.invalid}"
    if call.status != "Accepted" and due.must == "Accepted":
        info = (call.response or {}).get("statusInfo", {})
        said = f"{info.get('reasonCode', 'no reason')} {info.get('additionalInfo', '')}".strip()
        return Verdict.FAIL, f"{what}: {call.status} ({said})"
    return None


def _differences(promised: list[InstalledProfile], reports: list[Call]) -> list[str]:
    """Return what the reports show otherwise than promised; profiles that nobody promised are the station's own business."""
    found: dict[tuple[int, int], ChargingProfile] = {}
    wrong = []
    for report in reports:
        for raw in report.request["chargingProfile"]:
            try:
                found[report.request["evseId"], raw["id"]] = ChargingProfile.from_ocpp(raw)
            except ProfileError as error:
                wrong.append(str(error))
    for one in promised:
        shown = found.get((one.evse_id, one.profile.id))
        if shown is None:
            wrong.append(f"profile {one.profile.id} was accepted and is missing")
        elif unlike := difference(one.profile, shown):
            wrong.append(f"profile {one.profile.id} is reported with a difference: {unlike}")
    return wrong


def difference(wanted: ChargingProfile, found: ChargingProfile) -> str:
    """Return how a reported profile differs from what was sent; empty where it does not."""
    for name in ("stack_level", "purpose", "kind", "recurrency", "valid_from", "valid_to", "transaction_id"):
        if getattr(wanted, name) != getattr(found, name):
            return f"{name} {getattr(found, name)} for {getattr(wanted, name)}"
    mine, theirs = wanted.schedule, found.schedule
    if (mine.unit, mine.start, mine.duration_s) != (theirs.unit, theirs.start, theirs.duration_s):
        return f"schedule starts {theirs.start}, lasts {theirs.duration_s}, in {theirs.unit}"
    if [(p.start_s, p.number_phases or 3) for p in mine.periods] != [(p.start_s, p.number_phases or 3) for p in theirs.periods]:
        return "other periods"
    for one, other in zip(mine.periods, theirs.periods, strict=True):
        if abs(one.limit - other.limit) > _EQUAL * max(1.0, one.limit):
            return f"limit {other.limit:g} for {one.limit:g} at second {one.start_s}"
    return ""

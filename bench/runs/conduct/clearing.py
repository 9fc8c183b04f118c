"""What a station clears, and what it spares (K10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.domain.exchange import Call
from bench.domain.profiles import InstalledProfile, Purpose
from bench.domain.verdicts import Verdict
from bench.runs.conduct.stored import goes_on
from bench.runs.expected import Store
from bench.runs.scene import ReadBack, Scene, Shown, is_external, said, shown, undecided, what


def judge_clearing(scene: Scene) -> Iterator[Shown]:
    """Judge each ClearChargingProfile by its answer and by the next report of the store."""
    for call in scene.sent("ClearChargingProfile"):
        if not scene.features["smart_charging"] or not _named(call):
            continue  # K10.FR.02: what it is to clear was left open
        before = scene.held(call.asked_seq)
        store = Store(list(before))
        store.clear(call.request)
        cleared = [one for one in before if one not in store.profiles]
        spared = _external(scene, call)
        if cleared:
            yield from _cleared(scene, call, cleared, store.profiles)
            yield from _without_default(scene, call, cleared)
        elif spared:
            yield from _spared(scene, call, spared)
        elif any(back.asked.asked_seq < call.asked_seq for back in scene.read_backs):  # before that, who knows what is there
            subject = what(call, "clearing of what is not there")
            yield shown("K10.FR.01", call.status == "Unknown", f"{subject}: {said(call)}", call.refs)


def _named(call: Call) -> bool:
    return "chargingProfileId" in call.request or bool(call.request.get("chargingProfileCriteria"))


def _cleared(scene: Scene, call: Call, cleared: Sequence[InstalledProfile], rest: Sequence[InstalledProfile]) -> Iterator[Shown]:
    """K10.FR.03, K10.FR.04: by id or by all given criteria; what matches is gone, the rest is still there."""
    requirement = "K10.FR.03" if "chargingProfileId" in call.request else "K10.FR.04"
    names = ", ".join(str(one.profile.id) for one in cleared)
    subject = what(call, f"clearing of profile {names}")
    if call.status != "Accepted":
        yield shown(requirement, False, f"{subject}: {said(call)}", call.refs)
        return
    back = next((one for one in scene.read_backs if one.asked.asked_seq > (call.answered_seq or 0)), None)
    held = () if back is None else scene.held(back.asked.asked_seq)
    if back is None or {one.profile.id for one in cleared} & {one.profile.id for one in held}:
        yield undecided(requirement, Verdict.INCONCLUSIVE, f"{subject}: Accepted, and the store was not read back", call.refs)
        return
    wrong = [f"profile {one.profile.id} is still there" for one in cleared if one.evse_id in back.places(one.profile.id)]
    wrong += [f"profile {one.profile.id} went with it" for one in rest if one in held and _lost(one, back)]
    yield shown(requirement, not wrong, f"{subject}: Accepted, {'; '.join(wrong) or 'gone'}", (*call.refs, *back.refs))


def _lost(one: InstalledProfile, back: ReadBack) -> bool:
    return one.profile.purpose is not Purpose.EXTERNAL and not back.shows(one)


def _spared(scene: Scene, call: Call, spared: Sequence[int]) -> Iterator[Shown]:
    """K10.FR.08, K10.FR.09: an external limit is none of the CSMS's business: Unknown, and it stays."""
    requirement = "K10.FR.09" if "chargingProfileId" in call.request else "K10.FR.08"
    subject = what(call, f"clearing of external limit {', '.join(map(str, spared))}")
    back = scene.next_read_back(call.answered_seq or 0)
    gone = [one for one in spared if back is not None and not back.places(one)]
    ending = f", and {', '.join(map(str, gone))} went with it" if gone else ""
    yield shown(requirement, call.status == "Unknown" and not gone, f"{subject}: {said(call)}{ending}", call.refs)


def _external(scene: Scene, call: Call) -> list[int]:
    """Return the ids of the external limits that the request names, as the station reported them last."""
    last = next((one for one in reversed(scene.read_backs) if one.asked.asked_seq < call.asked_seq), None)
    found = [(evse_id, raw) for evse_id, _, raw in (last.found if last else ()) if is_external(raw)]
    criteria = call.request.get("chargingProfileCriteria") or {}
    identity = call.request.get("chargingProfileId")
    if identity is not None:
        return [raw["id"] for _, raw in found if raw["id"] == identity]
    return [
        raw["id"]
        for evse_id, raw in found
        if criteria.get("evseId") in (None, evse_id)
        and criteria.get("stackLevel") in (None, raw["stackLevel"])
        and criteria.get("chargingProfilePurpose") in (None, raw["chargingProfilePurpose"])
    ]


def _without_default(scene: Scene, call: Call, cleared: Sequence[InstalledProfile]) -> Iterator[Shown]:
    """K10.FR.07: a transaction goes on when its TxDefaultProfile is cleared; that it is free of it, composite and meter show."""
    for one in cleared:
        if one.profile.purpose is Purpose.TX_DEFAULT and call.status == "Accepted":
            for _, span in scene.running(call.asked_seq, one.evse_id):
                default = what(call, f"clearing of TxDefaultProfile {one.profile.id}")
                subject = f"transaction {span.transaction.id} after {default}"
                yield from goes_on(scene, "K10.FR.07", subject, span, call)

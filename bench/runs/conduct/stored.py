"""What becomes of an accepted profile in the store: replaced, owned, kept over a reboot, dropped with its transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.domain.evidence import EvseFacts, TransactionSpan
from bench.domain.exchange import Call
from bench.domain.profiles import InstalledProfile, Purpose
from bench.domain.quantities import clock_text
from bench.domain.verdicts import Verdict
from bench.runs.checks.installed import difference
from bench.runs.scene import Scene, Shown, profile_of, shown, undecided, what

_ON_PURPOSE = ("unplug", "authorise", "power_cycle")
"""What the rig does that ends a transaction."""


def judge_stored(scene: Scene) -> Iterator[Shown]:
    """Judge each accepted SetChargingProfile by the next complete report of the store."""
    for call in scene.sent("SetChargingProfile"):
        if call.status != "Accepted" or call.answered_seq is None:
            continue
        yield from _replaced(scene, call)
        yield from _owned(scene, call)
        yield from _continued(scene, call)
    yield from _persistent(scene)
    yield from _dropped(scene)


def _replaced(scene: Scene, call: Call) -> Iterator[Shown]:
    """K01.FR.05: a known id replaces the profile that had it, wherever that was."""
    assert call.answered_seq is not None
    raw = call.request["chargingProfile"]
    before = next((one for one in scene.held(call.asked_seq) if one.profile.id == raw["id"]), None)
    if before is None or before.profile.purpose is Purpose.EXTERNAL:
        return
    subject, back = what(call, f"profile {raw['id']}"), scene.next_read_back(call.answered_seq)
    if back is None:
        yield undecided("K01.FR.05", Verdict.INCONCLUSIVE, f"{subject} replaces another, and was not read back", call.refs)
        return
    shows = [(evse_id, one) for evse_id, _, one in back.found if one["id"] == raw["id"]]
    wanted, found = profile_of(raw), profile_of(shows[0][1]) if shows else None
    places = [evse_id for evse_id, _ in shows]
    same = wanted is not None and found is not None and not difference(wanted, found)
    good = places == [call.request["evseId"]] and same
    where = f"reported under EVSE {', '.join(map(str, places))}" if places else "not reported"
    ending = "" if same or not places else ", with other content"
    yield shown("K01.FR.05", good, f"{subject} replaces the one of that id: {where}{ending}", (*call.refs, *back.refs))


def _owned(scene: Scene, call: Call) -> Iterator[Shown]:
    """K01.FR.14, K01.FR.15: a TxDefaultProfile is owned by the EVSE it was set on, 0 or one, and not copied."""
    assert call.answered_seq is not None
    raw, evse_id = call.request["chargingProfile"], call.request["evseId"]
    back = scene.next_read_back(call.answered_seq)
    if raw.get("chargingProfilePurpose") != Purpose.TX_DEFAULT or back is None:
        return
    identity = raw["id"]
    places = back.places(identity)
    where = f"reported under EVSE {', '.join(map(str, places))}" if places else "not reported"
    text = f"{what(call, f'TxDefaultProfile {identity}')} for EVSE {evse_id}: {where}"
    yield shown("K01.FR.15" if evse_id else "K01.FR.14", places == [evse_id], text, (*call.refs, *back.refs))


def _continued(scene: Scene, call: Call) -> Iterator[Shown]:
    """K01.FR.32: a transaction goes on when a TxDefaultProfile is set; that it is followed, composite and meter show."""
    raw = call.request["chargingProfile"]
    if raw.get("chargingProfilePurpose") != Purpose.TX_DEFAULT:
        return
    for _, span in scene.running(call.asked_seq, call.request["evseId"]):
        identity = raw["id"]
        subject = f"transaction {span.transaction.id} after {what(call, f'TxDefaultProfile {identity}')}"
        yield from goes_on(scene, "K01.FR.32", subject, span, call)


def goes_on(scene: Scene, requirement: str, subject: str, span: TransactionSpan, call: Call) -> Iterator[Shown]:
    """Convict a station whose transaction ends at once after a message, and nobody asked for it."""
    following = next((one for one in _events(scene, span) if one.asked_seq > (call.answered_seq or 0)), None)
    if following is None or following.request["eventType"] != "Ended":
        return  # a sign of life is no proof that the limit is followed: others show that
    asked_for = any(call.asked_seq < one.seq < following.asked_seq and one.action in _ON_PURPOSE for one in scene.facts.actions)
    asked_for |= any(call.asked_seq < one.asked_seq < following.asked_seq for one in scene.sent("RequestStopTransaction"))
    if not asked_for and following.asked - call.asked < 60:
        reason = following.request["transactionInfo"].get("stoppedReason", "no reason")
        text = f"{subject} ended at {clock_text(following.asked)} ({reason}), and nobody had asked for it"
        yield shown(requirement, False, text, (*call.refs, *following.refs))


def _events(scene: Scene, span: TransactionSpan) -> Iterator[Call]:
    for one in scene.told("TransactionEvent"):
        if one.request["transactionInfo"]["transactionId"] == span.transaction.id:
            yield one


def _persistent(scene: Scene) -> Iterator[Shown]:
    """K01.FR.27: what the CSMS had set before a boot is still there after it; TxProfiles go with their transactions."""
    for boot in scene.facts.boots(scene.station):
        back = next((one for one in scene.read_backs if one.asked.asked_seq > boot.asked_seq), None)
        kept = [
            one
            for one in scene.held(boot.asked_seq)
            if one.profile.purpose in (Purpose.TX_DEFAULT, Purpose.STATION_MAX)
            and not (back is not None and scene.expired(one, back.asked.asked))
        ]
        if not kept or back is None or not _untouched(scene, boot.asked_seq, back.asked.asked_seq, kept):
            continue
        lost = [one.profile.id for one in kept if not back.shows(one)]
        names = ", ".join(str(one.profile.id) for one in kept)
        ending = f"{', '.join(map(str, lost))} missing" if lost else "all there"
        text = f"profiles {names} after the boot at {clock_text(boot.asked)}: {ending}"
        yield shown("K01.FR.27", not lost, text, (*boot.refs, *back.refs))


def _untouched(scene: Scene, begin: int, end: int, kept: Sequence[InstalledProfile]) -> bool:
    there = scene.held(end)
    return all(one in there for one in kept) or not any(begin < change.seq < end for change in scene.history)


def _dropped(scene: Scene) -> Iterator[Shown]:
    """K02.FR.05: a TxProfile is gone once its transaction has ended."""
    for evse, span in ((one, span) for one in scene.evses for span in one.transactions if span.ended is not None):
        mine = [one for one in scene.held(span.ended_seq) if _of(one, evse, span)]
        back = next((one for one in scene.read_backs if one.asked.asked_seq > span.ended_seq), None)
        if not mine or back is None:
            continue
        kept = {raw["id"] for _, _, raw in back.found if raw.get("transactionId") == span.transaction.id}
        later = {one.profile.id for one in scene.held(back.asked.asked_seq)}
        kept |= {one.profile.id for one in mine if back.places(one.profile.id) and one.profile.id not in later}
        names = ", ".join(map(str, sorted(kept)))
        ending = f"profile {names} is still there" if kept else "gone"
        text = f"TxProfile of transaction {span.transaction.id} after its end at {clock_text(span.ended or 0)}: {ending}"
        yield shown("K02.FR.05", not kept, text, (span.ended_seq, *back.refs))


def _of(held: InstalledProfile, evse: EvseFacts, span: TransactionSpan) -> bool:
    profile = held.profile
    return profile.purpose is Purpose.TX and held.evse_id == evse.evse_id and profile.transaction_id == span.transaction.id

"""External limits: what a station tells of them, and when they are over (K11, K12, K13)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bench.domain.evidence import EvseFacts, RigAction
from bench.domain.exchange import Call
from bench.domain.quantities import clock_text
from bench.domain.verdicts import FaultClass, Verdict
from bench.runs.expected import external_periods
from bench.runs.scene import ALWAYS, NOTICE_S, Scene, Shown, is_external, shown, undecided

_OWN: Final = "CSO"
_RATE_A: Final = 1.0
"""A smaller change of the current is none that a station has to tell of."""


def judge_external(scene: Scene) -> Iterator[Shown]:
    """Judge what the station told after each external limit that the rig set or released."""
    actions = [one for one in scene.facts.actions if one.station == scene.station and one.action == "external_limit"]
    in_force: dict[str, float | None] = {}
    for index, action in enumerate(actions):
        until = actions[index + 1].seq if index + 1 < len(actions) else ALWAYS
        source = str(action.arguments.get("source", "EMS"))
        before, periods = in_force.get(source), external_periods(action.arguments)
        limit = periods[0][1] if periods else None
        in_force[source] = limit
        if limit is not None:
            yield from _limited(scene, action, until, before, limit)
        elif before is not None:
            yield from _released(scene, action, until)


def _limited(scene: Scene, action: RigAction, until: int, before: float | None, limit: float) -> Iterator[Shown]:
    """K11 with a transaction, K12 without: a significant change is told, with its source, and is in the store."""
    charging = bool(scene.running(action.seq))
    use_case = "K11" if charging else "K12"
    subject = f"external limit of {limit:g} {action.arguments.get('unit', 'A')} at {clock_text(action.at)}"
    notice = next((one for one in scene.told("NotifyChargingLimit") if action.seq < one.asked_seq < until), None)
    if notice is None and not scene.features.get("external_limits", False):
        yield undecided(
            f"{use_case}.FR.02", Verdict.NOT_APPLICABLE, f"{subject}: external limits are not declared", (action.seq,)
        )
        return
    if _significant(scene, action, before, limit):
        yield _told(scene, f"{use_case}.FR.02", subject, action, notice, "NotifyChargingLimit")
    if notice is not None:
        yield from _notice(scene, action, notice, subject, "K11.FR.03" if charging else "K12.FR.03", limit)
        source = notice.request["chargingLimit"]["chargingLimitSource"]
        requirement = "K11.FR.05" if charging else "K12.FR.04"
        yield shown(requirement, source != _OWN, f"{subject}: told as of source {source}", notice.refs)
    yield from _in_store(scene, action, until, subject, "K11.FR.06" if charging else "K12.FR.05")
    if charging:
        yield from _rate_changed(scene, "K11.FR.04", subject, action)


def _significant(scene: Scene, action: RigAction, before: float | None, limit: float) -> bool:
    """Say whether a limit changed by more than LimitChangeSignificance, in percent; where nobody read it, 0 is assumed."""
    if before is None:
        return True
    percent = _percent(scene, action.seq)
    return abs(limit - before) > percent / 100 * max(before, limit) and limit != before


def _percent(scene: Scene, seq: int) -> float:
    try:
        return float(scene.variable("LimitChangeSignificance", seq) or 0)
    except ValueError:
        return 0.0


def _told(scene: Scene, requirement: str, subject: str, action: RigAction, notice: Call | None, name: str) -> Shown:
    """Say whether a notice came in time; K11.FR.02, K12.FR.02, K13.FR.02."""
    if notice is None:
        offline = [end for start, end in scene.facts.offline(scene.station) if start - 1 <= action.at < end]
        heard_from = min(offline, default=action.at)
        if scene.facts.end - heard_from < NOTICE_S:
            return undecided(requirement, Verdict.INCONCLUSIVE, f"{subject}: nobody could have heard a {name}", (action.seq,))
        since = f" after {clock_text(heard_from)}, when it was online again (SC.02)" if heard_from > action.at else ""
        return shown(requirement, False, f"{subject}: no {name} within {NOTICE_S:g} s{since}", (action.seq,))
    late = notice.asked - action.at
    good = late <= NOTICE_S or scene.offline_at(action.at)
    return shown(requirement, good, f"{subject}: {name} after {late:.1f} s", (action.seq, *notice.refs))


def _notice(scene: Scene, action: RigAction, notice: Call, subject: str, requirement: str, limit: float) -> Iterator[Shown]:
    """K11.FR.03, K12.FR.03: where schedules are to be told, the limit is in the notice."""
    schedules = notice.request.get("chargingSchedule")
    wanted = (scene.variable("NotifyChargingLimitWithSchedules", notice.asked_seq) or "").lower() == "true"
    if not schedules:
        if wanted:
            yield shown(requirement, False, f"{subject}: told without its schedule", notice.refs)
        return
    unit = action.arguments.get("unit", "A")
    limits = [(one["chargingRateUnit"], one["chargingSchedulePeriod"][0]["limit"]) for one in schedules]
    good = any(one != unit or abs(value - limit) <= 0.1 + 1e-4 * limit for one, value in limits)
    first = ", ".join(f"{value:g} {one}" for one, value in limits)
    yield shown(requirement, good, f"{subject}: told with a schedule of {first}", notice.refs)


def _in_store(scene: Scene, action: RigAction, until: int, subject: str, requirement: str) -> Iterator[Shown]:
    """K11.FR.06, K12.FR.05: the limit is reported as ChargingStationExternalConstraints, of a source other than the CSO."""
    back = next((one for one in scene.read_backs if action.seq < one.asked.asked_seq < until), None)
    if back is None or back.asked.asked - action.at < NOTICE_S / 2:
        return
    found = [(source, raw) for _, source, raw in back.found if is_external(raw)]
    good = any(source != _OWN for source, _ in found)
    text = f"{subject}: {'in' if good else 'not in'} the report of the store as an external limit"
    yield shown(requirement, good, text, (action.seq, *back.refs), FaultClass.REPORT_ONLY)


def _released(scene: Scene, action: RigAction, until: int) -> Iterator[Shown]:
    """K13.FR.02, K13.FR.03: a limit that is over is told so; what follows for a running transaction too.

    The errata of 2025-01 took the running transaction out of the precondition of K13.FR.01, on which K13.FR.02 leans.
    """
    subject = f"external limit released at {clock_text(action.at)}"
    notice = next((one for one in scene.told("ClearedChargingLimit") if action.seq < one.asked_seq < until), None)
    if notice is None and not scene.features.get("external_limits", False):
        yield undecided("K13.FR.02", Verdict.NOT_APPLICABLE, f"{subject}: external limits are not declared", (action.seq,))
        return
    yield _told(scene, "K13.FR.02", subject, action, notice, "ClearedChargingLimit")
    yield from _rate_changed(scene, "K13.FR.03", subject, action)


def _rate_changed(scene: Scene, requirement: str, subject: str, action: RigAction) -> Iterator[Shown]:
    """K11.FR.04, K13.FR.03: where the meter saw the charging rate change, a TransactionEvent says ChargingRateChanged."""
    settle_s = float(scene.facts.scenario.get("settle_s", 15.0))
    for evse, span in scene.running(action.seq):
        change = _change(evse, action.at, settle_s)
        if change is None or (span.ended is not None and span.ended < action.at + settle_s):
            continue
        before, after = change
        significant = abs(after - before) > max(_RATE_A, _percent(scene, action.seq) / 100 * max(before, after))
        if not significant or scene.offline_at(action.at):
            continue
        deadline = action.at + settle_s + NOTICE_S
        told = [one for one in _rate_events(scene, span.transaction.id) if action.at <= one.asked <= deadline]
        moved = f"{before:.1f} A to {after:.1f} A on EVSE {evse.evse_id}"
        text = f"{subject}: from {moved}, {'told' if told else 'not told'} as ChargingRateChanged"
        yield shown(requirement, bool(told), text, (action.seq, *(ref for one in told[:1] for ref in one.refs)))


def _rate_events(scene: Scene, identity: str) -> Sequence[Call]:
    return [
        one
        for one in scene.told("TransactionEvent")
        if one.request["transactionInfo"]["transactionId"] == identity and one.request["triggerReason"] == "ChargingRateChanged"
    ]


def _change(evse: EvseFacts, at: float, settle_s: float) -> tuple[float, float] | None:
    """Return the highest phase current just before and well after a moment; None where the meter did not see both."""
    before = [max(one.current_a) for one in evse.samples if at - 30 <= one.received < at]
    after = [max(one.current_a) for one in evse.samples if at + settle_s <= one.received < at + settle_s + 30]
    return (before[-1], after[0]) if before and after else None

"""Was each OCPI ChargingProfile relayed as it was meant? Intent against what was sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, Final

from bench.domain.evidence import RunFacts
from bench.domain.exchange import Call, HttpExchange
from bench.domain.oracle import Transaction
from bench.domain.quantities import clock_text, parse_time
from bench.domain.timeline import Timeline
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict
from bench.runs.checks.unsent import (
    Excuse,
    accepted_orders,
    answer_of,
    excuse,
    goes_to,
    is_accepted_delete,
    is_accepted_put,
    is_over,
    replacement,
    session_of,
    stands,
)

_ROUNDING: Final = 0.1
"""One decimal is all that OCPP and OCPI carry: a limit may be rounded down by so much."""
_CLOCK_S: Final = 60.0
"""So far the clock of a sound station may be off: a window begins so long before it is sent, for one that is behind."""
_CROSSING_S: Final = 1.0
"""So long a call may be under way from here while the end of its transaction comes in."""
_OCPI_LIMITS: Final = "charging_profile_period"


def judge_relay(facts: RunFacts) -> CheckResult:
    """Judge whether each ChargingProfile that the CSO accepted over OCPI left it as an equal TxProfile of its session.

    Same limits at every moment, in the same unit, rounded down by at most 0.1; each OCPP call answers for one request. A schedule
    longer than the station can hold may leave as a window: the last period holds the lowest limit that is still to come, and the
    first one may hold the lowest of what is asked up to a minute after it was sent. So may each later window.
    An order that need not have left (see `excuse`) convicts nobody and shows nothing; where a platform that relays nothing would
    have the same excuse, nothing is PASS. An earlier order that leaves after the
    one that has taken its place, and stays, convicts.
    """
    title = "Each OCPI ChargingProfile is relayed unchanged"
    orders = accepted_orders(facts)
    accepted = [one for one in orders if is_accepted_put(one)]
    lost = [one for one in facts.http if _is_unknown_session(facts, one)]
    if lost and not accepted:
        unknown = tuple(f"the session of the order of {clock_text(one.asked)} is unknown to who had told of it" for one in lost)
        shown = tuple(ref for one in lost for ref in one.refs)
        return CheckResult(
            "relay", title, Verdict.FAIL, unknown, (Layer.OCPI,), FaultClass.PROTOCOL, pair="intent/sent", refs=shown,
            demanded="; ".join(map(_demand, lost)),
        )  # fmt: skip
    if not accepted:
        return CheckResult("relay", title, Verdict.INCONCLUSIVE, ("no ChargingProfile was accepted over OCPI",), (Layer.OCPI,))
    waiting = [call for call in facts.calls if call.action == "SetChargingProfile" and not call.from_station]
    reasons: list[str] = []
    faults: list[FaultClass] = []
    refs: list[int] = []
    convicting: list[int] = []
    demanded: list[str] = []
    excused: list[str] = []
    doubts: list[str] = []
    measurements: list[Measurement] = []
    pairs = _pairs(facts, accepted, orders, waiting)
    for index, put in enumerate(accepted):
        target, relayed = target_of(facts, put), pairs.get(index)
        if relayed is None:
            refs += put.refs
            if why := excuse(facts, put, target, orders):
                text = f"the ChargingProfile accepted at {clock_text(put.asked)} did not leave: {why.text}"
                (excused if why.clear else doubts).append(text)
                continue
            where = f" to {target}" if target else ""
            after = (call for call in waiting if call.asked_seq > put.asked_seq and not goes_to(call, target))
            strayed = next((call for call in after if _carries(call, put)), None)
            if strayed is not None:
                waiting.remove(strayed)
                where += f", but to EVSE {strayed.request['evseId']}"
                refs += strayed.refs
            faults.append(FaultClass.PROTOCOL if strayed is None else FaultClass.OVER_LIMIT)
            demanded.append(_demand(put))
            convicting += put.refs
            reasons.append(f"the ChargingProfile accepted at {clock_text(put.asked)} never left as SetChargingProfile{where}")
            continue
        difference = _difference(facts, put, relayed)
        if difference:
            faults.append(_class_of(difference))
            demanded.append(_demand(put))
            convicting += [*put.refs, *relayed.refs]
            reasons.append(f"relayed at {clock_text(relayed.asked)} with a difference: {difference}")
        refs += [*put.refs, *relayed.refs]
        delay, shown = round(relayed.asked - put.asked, 6), (put.asked_seq, relayed.asked_seq)
        measurements.append(Measurement("relay_delay", delay, "s", "from the OCPI request to the OCPP frame", shown))
    for put, call, difference in _sent_again(facts, accepted, waiting):
        faults.append(_class_of(difference))
        demanded.append(_demand(put))
        convicting += [*put.refs, *call.refs]
        reasons.append(f"sent again at {clock_text(call.asked)} with a difference: {difference}")
    for put, call in _overtaken(facts, accepted, orders):
        difference = _difference(facts, put, call)
        faults.append(_class_of(difference))
        demanded.append(_demand(put))
        convicting += [*put.refs, *call.refs]
        reasons.append(f"relayed at {clock_text(call.asked)} after the order that had taken its place: {difference}")
    for order, clearing, why in _releases(facts, orders):
        refs += order.refs if clearing is None else (*order.refs, *clearing.refs)
        if clearing is None and why:
            text = f"the DELETE accepted at {clock_text(order.asked)} did not leave: {why.text}"
            (excused if why.clear else doubts).append(text)
        elif clearing is None:
            faults.append(FaultClass.UNDER_DELIVERY)
            demanded.append(f"the ChargingProfile to be released, wanted by the SCSP at {clock_text(order.asked)}")
            convicting += order.refs
            reasons.append(f"the DELETE accepted at {clock_text(order.asked)} never left as ClearChargingProfile")
    failed = bool(reasons)
    shown_of = (f"{len(pairs)} of {len(accepted)} relayed unchanged",) if pairs else ()
    verdict = Verdict.FAIL if failed else Verdict.PASS if pairs and not doubts else Verdict.INCONCLUSIVE
    return CheckResult(
        "relay", title, verdict, tuple(reasons) or (*doubts, *shown_of, *excused),
        (Layer.OCPI,) if failed else (), min(faults, key=list(FaultClass).index) if failed else None,
        pair="intent/sent" if failed else "", refs=tuple(dict.fromkeys((*convicting, *refs))),
        measurements=tuple(measurements), demanded="; ".join(demanded),
    )  # fmt: skip


def _pairs(
    facts: RunFacts, accepted: Sequence[HttpExchange], orders: Sequence[HttpExchange], waiting: list[Call]
) -> dict[int, Call]:
    """Return the call that answers for each accepted request, by the request's place, and take it out of those that wait.

    A call answers for the last request before it that says the same; where one was replaced before it left it has none.
    """
    targets, pairs = [target_of(facts, one) for one in accepted], dict[int, Call]()
    for call in list(waiting):
        equal = (
            index for index, put in reversed([*enumerate(accepted)])
            if index not in pairs and put.asked_seq < call.asked_seq and goes_to(call, targets[index])
            and not _difference(facts, put, call)
        )  # fmt: skip
        if (index := next(equal, None)) is not None:
            pairs[index] = call
            waiting.remove(call)
    for index, put in enumerate(accepted):
        if index in pairs:
            continue
        others = [one for one, place in zip(accepted, targets, strict=True) if one is not put and place == targets[index]]
        later = [call for call in waiting if call.asked_seq > put.asked_seq and goes_to(call, targets[index])]
        own, after = next((call for call in later if _answers(facts, call, others)), None), replacement(orders, put)
        if own is None and later and (after is None or after.asked_seq > later[0].asked_seq):
            own = later[0]
        if own is not None:
            pairs[index] = own
            waiting.remove(own)
    return pairs


def _answers(facts: RunFacts, call: Call, others: list[HttpExchange]) -> bool:
    """Say whether a call is not what was due of another request that had come by then."""
    return all(_difference(facts, one, call) for one in others if one.asked_seq < call.asked_seq)


def _sent_again(
    facts: RunFacts, accepted: list[HttpExchange], waiting: list[Call]
) -> Iterator[tuple[HttpExchange, Call, str]]:
    """Yield each call that answers for no request of its own, such as a later window, and says what no request before it does.

    With it comes the last request for its EVSE, and the difference to that one. Profiles of steps have ids of their own.
    """
    used = {_profile_of(one) for one in facts.calls if one.action == "SetChargingProfile" and one not in waiting}
    for call in waiting:
        before = [one for one in accepted if one.asked_seq < call.asked_seq and goes_to(call, target_of(facts, one))]
        if before and _profile_of(call) in used:
            differences = [_difference(facts, one, call) for one in before]
            if all(differences):
                yield before[-1], call, differences[-1]


def _overtaken(
    facts: RunFacts, accepted: list[HttpExchange], orders: Sequence[HttpExchange]
) -> Iterator[tuple[HttpExchange, Call]]:
    """Yield each request that was relayed and undone: the last call before the next order for its EVSE is an earlier one's."""
    for put in accepted:
        target = target_of(facts, put)
        mine = [one for one in accepted if (one.sender, session_of(one)) == (put.sender, session_of(put))]
        until = next((one.asked_seq for one in orders if one.asked_seq > put.asked_seq and target_of(facts, one) == target), inf)
        sent = [call for call in _sent_to(facts, target) if put.asked_seq < call.asked_seq < until]
        if not sent or not _difference(facts, put, sent[-1]) or all(_difference(facts, put, call) for call in sent):
            continue
        earlier = any(not _difference(facts, one, sent[-1]) for one in mine if one.asked_seq < put.asked_seq)
        if earlier and not excuse(facts, put, target, orders):
            yield put, sent[-1]


def _profile_of(call: Call) -> tuple[str, Any]:
    return call.station, call.request.get("chargingProfile", {}).get("id")


def _difference(facts: RunFacts, put: HttpExchange, relayed: Call) -> str:
    """Return what a SetChargingProfile says that a request does not; empty where it is that request, relayed as it was meant."""
    asked, given = put.body["charging_profile"], relayed.request["chargingProfile"]
    if given["chargingProfilePurpose"] != "TxProfile":
        return f"as {given['chargingProfilePurpose']} instead of TxProfile"
    transaction = _transaction(facts, relayed)
    if transaction is None:
        return f"for transaction {given.get('transactionId')}, which does not run there"
    scale = _unit_scale(facts, relayed, asked.get("charging_rate_unit"))
    if _is_too_long(facts, relayed, asked):
        return _window_difference(asked, relayed, scale, transaction.start)
    return _relay_difference(asked, given, scale)


def _demand(put: HttpExchange) -> str:
    """Return what an accepted request wanted, and who asked for it."""
    profile = put.body["charging_profile"]
    unit = profile.get("charging_rate_unit", "")
    told = [f"{one['limit']:g} {unit} from {one['start_period']} s" for one in profile.get(_OCPI_LIMITS) or ()]
    limits = f"{', '.join(told[:3])}{' …' if len(told) > 3 else ''}"
    return f"{limits} for session {session_of(put)}, wanted by the SCSP at {clock_text(put.asked)} (document {put.asked_seq})"


def _releases(facts: RunFacts, orders: Sequence[HttpExchange]) -> Iterator[tuple[HttpExchange, Call | None, Excuse | None]]:
    """Yield each DELETE of a ChargingProfile that the CSO accepted, with the call after it that clears what its session had.

    A call answers for one DELETE. Where there is none, why it need not have left; None where it had to.
    """
    clearings = [one for one in facts.calls if one.action == "ClearChargingProfile" and "chargingProfileId" in one.request]
    for one in filter(is_accepted_delete, orders):
        target = target_of(facts, one)
        sent = _sent_to(facts, target)
        ids = {_profile_of(call) for call in sent}
        mine = (call for call in clearings if call.asked_seq > one.asked_seq)
        clearing = next((call for call in mine if (call.station, call.request["chargingProfileId"]) in ids), None)
        if clearing is not None:
            clearings.remove(clearing)
        had_to = stands(facts, one, sent, orders)
        yield one, clearing, excuse(facts, one, target, orders) if had_to else Excuse("nothing was set")


def _sent_to(facts: RunFacts, target: str) -> list[Call]:
    """Return each call that set a profile at a target."""
    return [one for one in facts.calls if one.action == "SetChargingProfile" and goes_to(one, target)]


def target_of(facts: RunFacts, put: HttpExchange) -> str:
    """Return `evse_uid` of the session that a request is about, as the CSO told it to the SCSP; empty where it did not."""
    for one in reversed(facts.http):
        told = one.method == "PUT" and one.asked_seq < put.asked_seq and isinstance(one.body, dict)
        if told and one.body.get("id") == session_of(put) and isinstance(one.body.get("evse_uid"), str):
            return str(one.body["evse_uid"])
    return ""


def _carries(call: Call, put: HttpExchange) -> bool:
    """Say whether a call that went elsewhere is that of a request: a TxProfile with the same starts and start."""
    profile, schedule = put.body["charging_profile"], call.request["chargingProfile"]["chargingSchedule"][0]
    starts = [one["start_period"] for one in profile.get(_OCPI_LIMITS) or ()]
    same = starts == [one["startPeriod"] for one in schedule["chargingSchedulePeriod"]]
    return same and call.request["chargingProfile"]["chargingProfilePurpose"] == "TxProfile"


def _class_of(difference: str) -> FaultClass:
    if not difference.startswith("limit "):
        return FaultClass.PROTOCOL
    got, wanted = difference.split()[1], difference.split()[3]
    return FaultClass.OVER_LIMIT if float(got) > float(wanted) else FaultClass.UNDER_DELIVERY


def _is_unknown_session(facts: RunFacts, one: HttpExchange) -> bool:
    """Say whether a PUT of a ChargingProfile was answered with UNKNOWN_SESSION for a running session that the CSO had told."""
    is_put = one.method == "PUT" and isinstance(one.body, dict) and "charging_profile" in one.body
    target = target_of(facts, one) if is_put and answer_of(one).get("result") == "UNKNOWN_SESSION" else ""
    return bool(target) and not is_over(facts, one, target)


def _transaction(facts: RunFacts, relayed: Call) -> Transaction | None:
    """Return the running transaction that a profile names; None where none such runs on its EVSE."""
    evse, seq = facts.evse(relayed.station, relayed.request["evseId"]), relayed.asked_seq
    spans = [one for one in evse.transactions if one.begun_seq < seq] if evse else []
    running = (one.transaction for one in spans if one.ended is None or seq < one.ended_seq or _crosses(relayed, one.ended))
    return next((one for one in running if one.id == relayed.request["chargingProfile"].get("transactionId")), None)


def _crosses(relayed: Call, ended: float) -> bool:
    return relayed.asked - ended <= _CROSSING_S


def _unit_scale(facts: RunFacts, relayed: Call, unit: Any) -> float | None:
    """Return what a limit is multiplied with where the station lacks the unit; None where it has it."""
    station = next((one for one in facts.rig["station"] if one["id"] == relayed.station), None)
    evse = facts.evse(relayed.station, relayed.request["evseId"])
    if station is None or evse is None or unit in station["features"]["rate_units"]:
        return None
    watts_per_ampere = evse.supply.voltage_v * min(evse.supply.phases, len(evse.phases))
    return 1 / watts_per_ampere if unit == "W" else watts_per_ampere


def _is_too_long(facts: RunFacts, relayed: Call, ocpi: dict[str, Any]) -> bool:
    """Say whether a profile has more periods than the station holds."""
    most = next(one["features"].get("periods_per_schedule") for one in facts.rig["station"] if one["id"] == relayed.station)
    return most is not None and len(ocpi.get(_OCPI_LIMITS) or ()) > most


def _window_difference(ocpi: dict[str, Any], relayed: Call, scale: float | None, begun: float) -> str:
    """Return what a window says that its schedule does not; empty where it is a sound first part of it.

    A relative schedule counts from when the transaction had begun, by the station's clock: each window of it is absolute.
    """
    schedule = relayed.request["chargingProfile"]["chargingSchedule"][0]
    if (schedule["chargingRateUnit"] != ocpi.get("charging_rate_unit")) != (scale is not None):
        return f"unit {schedule['chargingRateUnit']} for {ocpi.get('charging_rate_unit')}"
    start = ocpi.get("start_date_time")
    wanted = start or "the begin of the transaction"
    if "startSchedule" not in schedule:
        return f"start None for {wanted}"
    given_from = parse_time(schedule["startSchedule"])
    # the begin may be known to more decimals than OCPP carries
    asked_from = parse_time(start) if start else given_from + round(begun - given_from)
    if given_from < asked_from or given_from > max(asked_from, relayed.asked - _CLOCK_S):
        return f"start {schedule['startSchedule']} for {wanted}"
    ends = [
        float("inf") if length is None else begin + length
        for begin, length in ((asked_from, ocpi.get("duration")), (given_from, schedule.get("duration")))
    ]
    if ends[0] != ends[1]:
        return f"duration {schedule.get('duration')} for {ocpi.get('duration')}"
    asked = Timeline([(asked_from + one["start_period"], one["limit"] * (scale or 1)) for one in ocpi[_OCPI_LIMITS]], ends[0])
    given = Timeline([(given_from + one["startPeriod"], one["limit"]) for one in schedule["chargingSchedulePeriod"]], ends[0])
    starts = sorted({one for one in (*asked.starts, *given.starts) if one >= given_from})
    held_from, first_until = given.starts[-1], (*given.starts, ends[0])[1]
    held = min(asked.at(one) for one in starts if one >= held_from)
    near = [one for one in starts if one < first_until and one <= relayed.asked + _CLOCK_S]
    for at in starts:
        most = asked.at(at) if at < held_from else held
        least = min(most, *(asked.at(one) for one in near)) if at in near else most
        if not least - _ROUNDING - 1e-9 <= given.at(at) <= most + 1e-9:
            return f"limit {given.at(at):g} for {most:g} at second {at - asked_from:.0f}"
    return ""


def _relay_difference(ocpi: dict[str, Any], ocpp: dict[str, Any], scale: float | None) -> str:
    """Return what differs between the raw OCPI profile and the raw OCPP one; empty where they agree."""
    schedule = ocpp["chargingSchedule"][0]
    if (schedule["chargingRateUnit"] != ocpi.get("charging_rate_unit")) != (scale is not None):
        return f"unit {schedule['chargingRateUnit']} for {ocpi.get('charging_rate_unit')}"
    starts = ocpi.get("start_date_time"), schedule.get("startSchedule")
    if (starts[0] is None) != (starts[1] is None) or (starts[0] and parse_time(starts[0]) != parse_time(starts[1])):
        return f"start {starts[1]} for {starts[0]}"
    if ocpi.get("duration") != schedule.get("duration"):
        return f"duration {schedule.get('duration')} for {ocpi.get('duration')}"
    asked = Timeline([(float(one["start_period"]), one["limit"]) for one in ocpi.get(_OCPI_LIMITS) or ()], float("inf"))
    given = Timeline([(float(one["startPeriod"]), one["limit"]) for one in schedule["chargingSchedulePeriod"]], float("inf"))
    for at in sorted({*asked.starts, *given.starts}):
        if at < asked.start or at < given.start:
            return f"second {at:.0f} is covered by one of them only"
        wanted, got = asked.at(at) * (scale or 1), given.at(at)
        if not wanted - _ROUNDING - 1e-9 <= got <= wanted + 1e-9:
            return f"limit {got:g} for {wanted:g} at second {at:.0f}"
    return ""

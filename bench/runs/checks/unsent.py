"""Why an order that the CSO accepted over OCPI need not have left for the station.

Source: OCPI 2.2.1 and 2.3.0, mod_charging_profiles. ACCEPTED says that an order can be forwarded to the station of a running
session; PUT replaces the profile that was set, DELETE takes it back; nothing is tried again, and the result says what came of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from bench.domain.evidence import EvseFacts, RunFacts
from bench.domain.exchange import Call, HttpExchange

_USUAL_S: Final = 30.0
"""Promised, where an answer does not say how long its order may take."""
_OVER: Final = ("COMPLETED", "INVALID")


def accepted_orders(facts: RunFacts) -> list[HttpExchange]:
    """Return each PUT and DELETE of a ChargingProfile that the CSO accepted."""
    return [one for one in facts.http if is_accepted_put(one) or is_accepted_delete(one)]


def is_accepted_put(one: HttpExchange) -> bool:
    """Say whether the CSO accepted a ChargingProfile."""
    told = one.method == "PUT" and isinstance(one.body, dict) and isinstance(one.body.get("charging_profile"), dict)
    return told and "response_url" in one.body and answer_of(one).get("result") == "ACCEPTED"


def is_accepted_delete(one: HttpExchange) -> bool:
    """Say whether the CSO accepted to clear a ChargingProfile."""
    return one.method == "DELETE" and "response_url=" in one.url and answer_of(one).get("result") == "ACCEPTED"


def answer_of(one: HttpExchange) -> dict[str, Any]:
    """Return the ChargingProfileResponse, empty where there is none."""
    data = one.answer.get("data") if isinstance(one.answer, dict) else None
    return data if isinstance(data, dict) else {}


def session_of(order: HttpExchange) -> str:
    """Return the id of the session that an order is about."""
    return order.url.partition("?")[0].rstrip("/").rpartition("/")[2]


def replacement(orders: Sequence[HttpExchange], order: HttpExchange) -> HttpExchange | None:
    """Return the next order of the same sender on the same session."""
    mine = (order.sender, session_of(order))
    return next((one for one in orders if one.asked_seq > order.asked_seq and (one.sender, session_of(one)) == mine), None)


def excuse(facts: RunFacts, order: HttpExchange, target: str, orders: Sequence[HttpExchange]) -> str:
    """Return why an accepted order need not have left; empty where it had to.

    Args:
        target: `evse_uid` of its session; empty: not known.
        orders: all that were accepted.
    """
    due, result, later = _due(order), _result(facts, order), replacement(orders, order)
    if later is not None and later.asked <= due and (result is None or result.asked_seq > later.asked_seq):
        return "another order took its place"
    word = None if result is None else result.body.get("result")
    if word == "ACCEPTED":
        return ""
    if any(_ended_by(evse, order.asked_seq, due) for evse in _evses(facts, target)):
        return "the session ended first"
    stations = {evse.station for evse in _evses(facts, target)}
    if any(lost <= due and back >= order.asked for one in stations for lost, back in facts.offline(one)):
        return "the station was not connected"
    if word == "REJECTED" or (word == "UNKNOWN" and order.method == "PUT"):
        return f"its sender was told {word}"
    return "the run ended first" if result is None and facts.end < due else ""


def is_over(facts: RunFacts, order: HttpExchange, target: str) -> bool:
    """Say whether the session of an order was over when it was answered, as the CSO had told or as the station had."""
    name, seq = session_of(order), order.asked_seq if order.answered_seq is None else order.answered_seq
    told = [
        one.body["status"] for one in facts.http
        if one.method in ("PUT", "PATCH") and one.asked_seq < seq and isinstance(one.body, dict) and "status" in one.body
        and session_of(one) == name
    ]  # fmt: skip
    ended = any(_ended_by(evse, seq, order.asked if order.answered is None else order.answered) for evse in _evses(facts, target))
    return (bool(told) and told[-1] in _OVER) or ended


def stands(facts: RunFacts, order: HttpExchange, sent: Sequence[Call], orders: Sequence[HttpExchange]) -> bool:
    """Say whether the station may hold one of these profiles when the time of a DELETE is over, or the next order comes."""
    later = replacement(orders, order)
    until = _due(order) if later is None else min(_due(order), later.asked)
    return any(
        one.asked <= until and (one.response is None or one.status == "Accepted")
        and not _is_cleared(facts, one, order) and not _went_with_its_transaction(facts, one, order)
        for one in sent
    )  # fmt: skip


def _is_cleared(facts: RunFacts, call: Call, order: HttpExchange) -> bool:
    profile = call.request["chargingProfile"].get("id")
    return any(
        one.action == "ClearChargingProfile" and one.station == call.station and one.asked_seq > call.asked_seq
        and one.asked <= _due(order) and one.response is not None and one.request.get("chargingProfileId") == profile
        for one in facts.calls
    )  # fmt: skip


def _went_with_its_transaction(facts: RunFacts, call: Call, order: HttpExchange) -> bool:
    evse = facts.evse(call.station, call.request["evseId"])
    name = call.request["chargingProfile"].get("transactionId")
    spans = evse.transactions if evse else []
    return any(one.transaction.id == name and one.ended is not None and one.ended_seq < order.asked_seq for one in spans)


def _ended_by(evse: EvseFacts, seq: int, due: float) -> bool:
    """Say whether the transaction that had begun last before a message was over at a moment."""
    begun = [one for one in evse.transactions if one.begun_seq < seq]
    ended = begun[-1].ended if begun else None
    return ended is not None and ended <= due


def _evses(facts: RunFacts, target: str) -> list[EvseFacts]:
    return [one for one in facts.evses if not target or f"{one.station}-{one.evse_id}"[-36:] == target]


def _due(order: HttpExchange) -> float:
    timeout = answer_of(order).get("timeout")
    return order.asked + (timeout if isinstance(timeout, int) and timeout >= 0 else _USUAL_S)


def _result(facts: RunFacts, order: HttpExchange) -> HttpExchange | None:
    """Return the POST of an order's result."""
    told = order.body if order.method == "PUT" else {"response_url": "", **dict(parse_qsl(urlsplit(order.url).query))}
    posts = (one for one in facts.http if one.method == "POST" and one.asked_seq > order.asked_seq)
    return next((one for one in posts if one.url == told["response_url"] and isinstance(one.body, dict)), None)

"""Why an order that the CSO accepted over OCPI need not have left for the station.

Source: OCPI 2.2.1 and 2.3.0, mod_charging_profiles. ACCEPTED says that an order can be forwarded to the station of a running
session; PUT replaces the profile that was set, DELETE takes it back; nothing is tried again, and the result says what came of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from bench.domain.evidence import ON_THE_SPOT, EvseFacts, RunFacts
from bench.domain.exchange import Call, HttpExchange
from bench.wire.ocpi.url import hide_secrets, hide_token_uid

_USUAL_S: Final = 30.0
"""Promised, where an answer does not say how long its order may take."""
PROMPT_S: Final = 10.0
"""A platform that had so long, with a station that was there, shows nothing by what came in between afterwards."""
_OVER: Final = ("COMPLETED", "INVALID")


@dataclass(frozen=True, slots=True)
class Excuse:
    """Why an order need not have left."""

    text: str
    clear: bool = True
    """False: a platform that relays nothing would have this excuse too, so that the order is not shown to be treated rightly."""


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


def excuse(facts: RunFacts, order: HttpExchange, target: str, orders: Sequence[HttpExchange]) -> Excuse | None:
    """Return why an accepted order need not have left; None where it had to.

    Args:
        target: `evse_uid` of its session; empty: not known.
        orders: all that were accepted.
    """
    due, result, later = _due(order), _result(facts, order), replacement(orders, order)
    if later is not None and later.asked <= due and (result is None or result.asked_seq > later.asked_seq):
        return None if _all_were_dropped(facts, order, target, orders) else Excuse("another order took its place")
    return _hindrance(facts, order, target, orders)


def _all_were_dropped(facts: RunFacts, order: HttpExchange, target: str, orders: Sequence[HttpExchange]) -> bool:
    """Say whether an order and those that took its place within its time were all dropped: nothing left until the last one's time
    was over, and nothing but the next order explains it.

    Else a platform that sends nothing at all would be excused wherever orders come often.
    """
    mine = (order.sender, session_of(order))
    later = [one for one in orders if one.asked_seq > order.asked_seq and (one.sender, session_of(one)) == mine]
    waiting = [order, *(one for one in later if one.asked <= _due(order))]
    until = _due(waiting[-1])
    calls = [one for one in facts.calls if not one.from_station and order.asked_seq < one.asked_seq and one.asked <= until]
    if facts.end < until or any(one.action == "SetChargingProfile" and goes_to(one, target) for one in calls):
        return False
    if any(one.response is None and not one.error for one in calls):  # whoever waits for an answer may send nothing else
        return False
    return not any(one.method == "DELETE" or _hindrance(facts, one, target, orders) for one in waiting)


def _hindrance(facts: RunFacts, order: HttpExchange, target: str, orders: Sequence[HttpExchange]) -> Excuse | None:
    """Return what kept an accepted order from leaving, its sender's other orders apart; None where nothing did."""
    due, result, prompt = _due(order), _result(facts, order), order.asked + PROMPT_S
    word = None if result is None else result.body.get("result")
    if word == "ACCEPTED":
        return None
    if any(_ended_by(evse, order.asked_seq, due) for evse in _evses(facts, target)):
        return Excuse("the session ended first", any(_ended_by(evse, order.asked_seq, prompt) for evse in _evses(facts, target)))
    stations = {evse.station for evse in _evses(facts, target)}
    gone = [lost for one in stations for lost, back in facts.offline(one) if lost <= due and back >= order.asked]
    if gone:
        return Excuse("the station was not connected", min(gone) <= prompt)
    if word == "REJECTED" or (word == "UNKNOWN" and order.method == "PUT"):
        return Excuse(f"its sender was told {word}", _has_others(facts, order, orders))
    return Excuse("the run ended first", facts.end <= prompt) if result is None and facts.end < due else None


def _has_others(facts: RunFacts, order: HttpExchange, orders: Sequence[HttpExchange]) -> bool:
    """Say whether somebody else limits too: then it may be his turn."""
    parties = any(session_of(one) == session_of(order) and one.sender != order.sender for one in orders)
    return parties or any(one.data.get("by") in ON_THE_SPOT for one in facts.intents)


def goes_to(call: Call, target: str) -> bool:
    """Say whether a call is for that EVSE; empty: not known which."""
    return not target or f"{call.station}-{call.request['evseId']}"[-36:] == target


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
    place = hide_token_uid(hide_secrets(told["response_url"]))  # as the journal has the URL of the POST
    posts = (one for one in facts.http if one.method == "POST" and one.asked_seq > order.asked_seq)
    return next((one for one in posts if one.url == place and isinstance(one.body, dict)), None)

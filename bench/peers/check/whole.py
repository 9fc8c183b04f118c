"""Cases that look at everything that went over the wire in a check."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from urllib.parse import unquote

from bench.domain.verdicts import Verdict
from bench.peers.books import Seen
from bench.peers.check.case import Saw, case, judged, not_shown, passed
from bench.peers.check.probe import GRACE_S, Probe

_REQUEST: Final = (
    "id_missing", "id_repeated", "routing_headers", "wrong_receiver", "wrong_sender", "content_type", "not_json",
)  # fmt: skip
_TOKEN: Final = ("wrong_token",)
_SILENT: Final = "no response came"
_ELSEWHERE: Final = ("push_", "result", "no_result", "active_profile", "profile")
"""Findings that other cases hold, by how their codes begin."""


@case(
    "answer", "Answers to orders are ChargingProfileResponses",
    "mod_charging_profiles, ChargingProfileResponse: one object with a known result and a timeout in whole seconds", "session",
)
async def answer(probe: Probe) -> Saw:
    """Judge all synchronous answers."""
    count = sum(one.reply.ok for one in probe.orders)
    return judged(probe.answer, f"{count} answers", looked_at=count > 0, nothing="no order was answered with success")


@case(
    "result-in-time", "Results come in the promised time",
    "mod_charging_profiles, ChargingProfileResponse, timeout: after it the sender takes the request for lost", "session",
)
async def result_in_time(probe: Probe) -> Saw:
    """Compare each first result with its promise."""
    promised = [(one, one.due) for one in probe.orders if one.accepted and one.due is not None]
    came = [(one, first, due) for one, due in promised if (first := probe.first(one)) is not None]
    late = [
        Seen("late", f"{one.method}: the result came {(first.at - due).total_seconds():.1f} s after the "
             f"{one.promised_s:g} s that were promised", one.reply.document)
        for one, first, due in came if first.at > due + timedelta(seconds=GRACE_S)
    ]  # fmt: skip
    nothing = "no result came of which a time was promised"
    return judged(late, f"{len(came)} results in time", looked_at=bool(came), nothing=nothing)


@case(
    "result-once", "A result is posted once, and only after ACCEPTED",
    "mod_charging_profiles: one result per request, to the address of that request", "session",
)
async def result_once(probe: Probe) -> Saw:
    """Count what came to each response_url; those that were answered with trouble are judged by their own cases."""
    wrong, looked_at = [], 0
    for order in probe.orders:
        if probe.desk.habits.get(probe.path(order)):
            continue
        count = probe.count(order)
        looked_at += count > 0
        if count > 1:
            wrong.append(Seen("result_twice", f"{order.method}: {count} results to one response_url", order.reply.document))
        if count and order.reply.status and not order.accepted:
            wrong.append(Seen("result_unasked", f"{order.method}: a result after {order.reply}", order.reply.document))
    return judged(wrong, f"{looked_at} results, each once", looked_at=looked_at > 0, nothing="no result came")


@case(
    "envelope", "Responses have OCPI's form",
    "transport, Response format: a JSON object with status_code and timestamp in UTC", "",
)
async def envelope(probe: Probe) -> Saw:
    """Judge all responses to ordinary requests."""
    return judged(probe.form, f"{probe.asked} responses", looked_at=probe.asked > 0, nothing=_SILENT)


@case(
    "response-headers", "Responses echo the ids and turn the routing headers round",
    "transport: X-Request-ID and X-Correlation-ID of the request, OCPI-to and OCPI-from exchanged; "
    "between two platforms with one party each the latter may be left out", "",
)
async def response_headers(probe: Probe) -> Saw:
    """Judge the headers of all responses."""
    unrouted = ", some without routing headers, which one party on either side may leave out" * probe.unrouted
    return judged(probe.echo, f"{probe.asked} responses{unrouted}", looked_at=probe.asked > 0, nothing=_SILENT)


@case(
    "request-headers", "The CSO's own requests have their headers",
    "transport: both ids, new with each request, JSON, and routing headers on functional modules only, "
    "where one of the two platforms has several parties", "",
)
async def request_headers(probe: Probe) -> Saw:
    """Judge the headers of all requests that came."""
    found = [one for one in probe.peer.findings if one.code in _REQUEST]
    count = len(probe.desk.received)
    return judged(found, f"{count} requests", looked_at=count > 0, nothing="the CSO sent no request")


@case(
    "sent-token", "The CSO sends the token that we gave",
    "transport, Authorization header: Token and the Base64 of the token alone", "",
)
async def sent_token(probe: Probe) -> Saw:
    """Judge the tokens of all requests that came."""
    if probe.unsure:
        return not_shown(probe.unsure)
    found = [one for one in probe.peer.findings if one.code in _TOKEN]
    return judged(found, "always", looked_at=bool(probe.desk.received), nothing="the CSO sent no request")


@case(
    "id-kept", "The session's id keeps its case",
    "types, CiString: compared without regard to case; not every peer does that, and no clause says that the case is kept",
    "session",
)
async def id_kept(probe: Probe) -> Saw:
    """Look at each URL in which the CSO named the session."""
    named = [
        (part, one) for one in probe.desk.received for part in (unquote(piece) for piece in one.path.split("/"))
        if part.casefold() == probe.session_id.casefold()
    ]  # fmt: skip
    other = [(part, one) for part, one in named if part != probe.session_id]
    if other:
        part, one = other[0]
        refs = tuple(one.document for _, one in other if one.document is not None)
        said = f"{one.method} {one.path}: the session {probe.session_id} is named {part}, which compares as equal"
        return Saw(Verdict.INCONCLUSIVE, (said,), refs)
    return passed(f"always {probe.session_id}") if named else not_shown("the CSO named it in no URL")


@case(
    "objects", "Objects that the CSO tells are whole and right",
    "mod_sessions, mod_locations, mod_tariffs, mod_cdrs: fields, types and course of what was pushed or listed",
)
async def objects(probe: Probe) -> Saw:
    """Judge what the mock peer found in everything told."""
    known = (*_REQUEST, *_TOKEN)
    found = [one for one in probe.peer.findings if one.code not in known and not one.code.startswith(_ELSEWHERE)]
    count = sum(len(one) for one in probe.peer.objects.values())
    return judged(found, f"{count} objects", looked_at=count > 0, nothing="no object was told")

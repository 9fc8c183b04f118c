"""Cases of commands, as an eMSP. What they command names nothing that exists, so that no station does anything.

A session is started and stopped only where the user asks for it (`--start`); what came of that is judged here too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from bench.domain.verdicts import Verdict
from bench.peers.books import Seen
from bench.peers.check.case import Case, Saw, case, failed, judged, missed, not_applicable, not_shown, of_parts, passed
from bench.peers.check.probe import GRACE_S, MOST_WAIT_S, Probe
from bench.peers.check.reply import Order, Reply
from bench.peers.msp import MockMsp
from bench.wire.ocpi.checks import Finding
from bench.wire.ocpi.checks_objects import check_object
from bench.wire.ocpi.transport import SUCCESS, UNKNOWN_LOCATION
from bench.wire.ocpi.types import utc_text

_NOWHERE: Final = "no-such-location-4f1d"
_NOBODY: Final = "no-such-evse-4f1d"
_SESSION: Final = "no-such-session-4f1d"
_RESERVATION: Final = "no-such-reservation-4f1d"
_NOT_SERVED: Final = (404, 405)


def _command_case(name: str, title: str, clause: str) -> Callable[[Callable[[Probe], Awaitable[Saw]]], Case]:
    """Make a case that is an eMSP's, and needs a CSO that serves commands."""

    def made(judge: Callable[[Probe], Awaitable[Saw]]) -> Case:
        async def run(probe: Probe) -> Saw:
            if not isinstance(probe.peer, MockMsp):
                return not_applicable("commands are for an eMSP: --role EMSP")
            if ("commands", "RECEIVER") not in probe.peer.cso().endpoints:
                return not_applicable("the CSO serves no commands")
            return await judge(probe)

        return case(name, title, clause)(run)

    return made


@_command_case(
    "command-location", "An unknown location is named so",
    "status codes, 2003: Unknown Location, such as that of a START_SESSION; mod_commands has it for UNLOCK_CONNECTOR",
)
async def location(probe: Probe) -> Saw:
    """START_SESSION, RESERVE_NOW and UNLOCK_CONNECTOR at a location that does not exist."""
    place = {"location_id": _NOWHERE, "evse_uid": _NOBODY}
    expiry = utc_text(probe.clock.now().replace(microsecond=0) + timedelta(minutes=10))
    wrong, shown = [], []
    for name, body in (
        ("START_SESSION", {**place, "token": _token(probe)}),
        ("RESERVE_NOW", {**place, "token": _token(probe), "reservation_id": _RESERVATION, "expiry_date": expiry}),
        ("UNLOCK_CONNECTOR", {**place, "connector_id": "1"}),
    ):
        reply = (await probe.command(name, body, wait=False)).reply
        what, named = f"{name} at a location that does not exist", 200 <= reply.status < 300
        if named and reply.code == UNKNOWN_LOCATION:
            shown.append(name)
        elif named and reply.thing.get("result") != "ACCEPTED" and not _is_not_served(reply):
            wrong.append(not_shown(f"{what}: {reply}, which refuses it without 2003"))
        elif not _is_not_served(reply):
            wrong.append(missed(what, reply, "2003"))
    if not wrong and not shown:
        return not_applicable("the CSO supports none of the commands that name a location")
    return of_parts(wrong, f"2003 for {', '.join(shown)}")


@_command_case(
    "command-session", "A command on an unknown session is answered so",
    "mod_commands, CommandResponseType: UNKNOWN_SESSION, which is a success (1000) of OCPI",
)
async def session(probe: Probe) -> Saw:
    """STOP_SESSION of a session that nobody told."""
    order = await probe.command("STOP_SESSION", {"session_id": _SESSION}, wait=False)
    if _is_not_served(order.reply):
        return not_applicable(f"the CSO does not support STOP_SESSION: {order.reply}")
    if order.reply.ok and order.word == "UNKNOWN_SESSION":
        return passed("1000 with UNKNOWN_SESSION")
    return missed("STOP_SESSION of a session that does not exist", order.reply, "1000 with UNKNOWN_SESSION")


@_command_case(
    "command-reservation", "An unknown reservation is not cancelled",
    "mod_commands, CommandResultType: UNKNOWN_RESERVATION where the station knows none; the CSO may refuse it at once",
)
async def reservation(probe: Probe) -> Saw:
    """CANCEL_RESERVATION of one that nobody made."""
    order = await probe.command("CANCEL_RESERVATION", {"reservation_id": _RESERVATION})
    if _is_not_served(order.reply):
        return not_applicable(f"the CSO does not support CANCEL_RESERVATION: {order.reply}")
    if order.reply.ok and order.word == "REJECTED":
        return passed("REJECTED at once")
    if not order.accepted:
        return not_shown(f"CANCEL_RESERVATION: {order.reply}", order=order)
    if order.outcome == "ACCEPTED":
        return failed("a reservation that nobody made was cancelled with success", order=order)
    if order.outcome == "UNKNOWN_RESERVATION":
        return passed("the result is UNKNOWN_RESERVATION", order=order)
    return not_shown(f"the result is {order.outcome}" if order.came else "no result came, see command-result", order=order)


@_command_case(
    "command-answer", "Answers to commands are CommandResponses",
    "mod_commands, CommandResponse: one object with a known result and a timeout in whole seconds",
)
async def answer(probe: Probe) -> Saw:
    """Judge all synchronous answers."""
    answered = [one for one in probe.commands if one.reply.code == SUCCESS]
    found = [
        Seen(one.code, f"answer to {order.method}: {one.text}", order.reply.document)
        for order in answered for one in check_object("command_response", order.reply.data, probe.version)
    ]  # fmt: skip
    said = f"{len(answered)} answers"
    return judged(found, said, looked_at=bool(answered), nothing="no command was answered with success")


@_command_case(
    "command-result", "What was commanded has one result, in time and at its response_url",
    "mod_commands: the result of a command that was ACCEPTED is posted as CommandResult, to its response_url, within the timeout",
)
async def results(probe: Probe) -> Saw:
    """Judge all results; one that is not due yet is waited for."""
    accepted = [one for one in probe.commands if one.accepted]
    if not accepted:
        return not_shown("no command was accepted")
    parts = [await _result(probe, one) for one in accepted]
    return of_parts((one for one in parts if one.verdict is not Verdict.PASS), f"{len(parts)} results")


async def _result(probe: Probe, order: Order) -> Saw:
    """Judge what came of one command."""
    name, due = order.method, order.due
    left = probe.waited_s(order) - (probe.clock.now() - order.answered).total_seconds()
    await probe.peer.wait_until(lambda: probe.first(order) is not None, max(0.0, left))
    first = probe.first(order)
    if strays := probe.strays(order):
        return failed(f"{name}: a result came to {', '.join(one.target for one in strays)}, which was not given out")
    if first is None:
        said = f"{name}: ACCEPTED, and no result in {probe.waited_s(order):g} s"
        return failed(said) if (order.promised_s or 0.0) <= MOST_WAIT_S else not_shown(f"{said}, and more were promised")
    found = [Finding(one.code, f"{name}: {one.text}") for one in check_object("command_result", first.body, probe.version)]
    if due is not None and first.at > due + timedelta(seconds=GRACE_S):
        late = (first.at - due).total_seconds()
        found.append(Finding("late", f"{name}: the result came {late:.1f} s after the {order.promised_s:g} s that were promised"))
    if (count := probe.count(order)) > 1:
        found.append(Finding("twice", f"{name}: {count} results to one response_url"))
    return judged(found, f"{name}: in time")


def _is_not_served(reply: Reply) -> bool:
    return reply.status in _NOT_SERVED or (reply.ok and reply.thing.get("result") == "NOT_SUPPORTED")


def _token(probe: Probe) -> Mapping[str, Any]:
    """Return a token of ours that nobody is told and no station takes."""
    party = probe.peer.party
    return {
        "country_code": party.country_code, "party_id": party.party_id, "uid": "no-such-token-4f1d", "type": "APP_USER",
        "contract_id": f"{party.country_code}-{party.party_id}-4F1D", "issuer": "bench ocpi check", "valid": False,
        "whitelist": "NEVER", "last_updated": utc_text(probe.clock.now().replace(microsecond=0)),
    }  # fmt: skip

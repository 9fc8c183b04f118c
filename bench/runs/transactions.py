"""Transactions that a run did not see end: which they are, by its journal, and how they are stopped by their ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.cso.csms import Csms
from bench.domain.exchange import Call
from bench.errors import StationError
from bench.runs.floor import CALL_S

END_S: Final = 15.0
"""How long a transaction may take to end."""
_LONGEST_ID: Final = 36


@dataclass(slots=True)
class Stopped:
    """What became of transactions that were to stop."""

    answers: dict[str, str] = field(default_factory=dict)
    """The station's status by transaction, or why there is none."""
    going_on: list[str] = field(default_factory=list)
    """Those that may run even then."""


def still_open(calls: Iterable[Call], station: str, before: Iterable[str] = ()) -> list[str]:
    """Return the transactions of a station that are not known to have ended.

    Args: calls: of one journal. before: what earlier journals have left open.
    """
    found, told = dict.fromkeys(before), set[str]()
    for call in calls:
        if call.station != station:
            continue
        if call.action == "TransactionEvent" and call.from_station and not call.error:
            identity = _identity(call.request.get("transactionInfo"))
            if call.request.get("eventType") == "Ended":
                found.pop(identity, None)
            elif identity:
                found[identity] = None
                told.add(identity)
        elif call.action == "RequestStopTransaction" and call.status == "Rejected":
            identity = _identity(call.request)
            if identity not in told:
                found.pop(identity, None)
    return list(found)


def _identity(told: object) -> str:
    """Return the transactionId of what a peer said; empty where there is none that a request could name."""
    identity = told.get("transactionId") if isinstance(told, dict) else None
    return identity if isinstance(identity, str) and len(identity) <= _LONGEST_ID else ""


async def stop_transactions(csms: Csms, station: str, running: Sequence[str], *, in_haste: bool = False) -> Stopped:
    """Ask a station to stop transactions, and wait for their ends.

    Rejected says that it knows no such transaction (F03.FR.08), and that is as good; but of one that it tells of itself, such as
    from before it was offline, the end has to come as well.
    Args: in_haste: power flows: an answer has 5 s, and no end is waited for that was not promised.
    """
    known, stopped = csms.stations[station].transactions, Stopped()

    def over(identity: str) -> bool:
        return identity in known and known[identity].ended is not None

    for identity in running:
        if over(identity):
            continue
        try:
            request, timeout_s = {"transactionId": identity}, CALL_S if in_haste else None
            told = await csms.call(station, "RequestStopTransaction", request, timeout_s=timeout_s)
            stopped.answers[identity] = str(told["status"])
        except StationError as error:
            stopped.answers[identity] = str(error)
    due = [one for one, answer in stopped.answers.items() if answer == "Accepted"]
    due += [one for one, answer in stopped.answers.items() if answer == "Rejected" and one in known and not in_haste]
    await csms.wait_until(lambda: all(over(one) for one in due), END_S)
    for identity, answer in stopped.answers.items():
        gone = answer == "Rejected" and identity not in known
        stopped.going_on += [] if gone or over(identity) else [identity]
    return stopped

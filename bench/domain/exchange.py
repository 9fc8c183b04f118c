"""Frames and HTTP messages of a journal, paired into calls and answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from bench.domain.documents import Document, Kind
from bench.domain.quantities import seconds


@dataclass(slots=True)
class Call:
    """One OCPP CALL and what came back. Times are the bench's, in seconds since 1970 UTC."""

    station: str
    from_station: bool
    action: str
    request: dict[str, Any]
    asked: float
    asked_seq: int
    response: dict[str, Any] | None = None
    """The CALLRESULT's payload; None without a valid one."""
    error: str = ""
    """Code and description of a CALLERROR."""
    answered: float | None = None
    answered_seq: int | None = None
    invalid: str = ""
    """How the CALLRESULT breaks its schema."""

    @property
    def refs(self) -> tuple[int, ...]:
        """Return the numbers of the documents."""
        return (self.asked_seq,) if self.answered_seq is None else (self.asked_seq, self.answered_seq)

    @property
    def status(self) -> str:
        """Return the answer's status; empty without one."""
        return str((self.response or {}).get("status", ""))


@dataclass(slots=True)
class HttpExchange:
    """One OCPI request and its response."""

    sender: str
    receiver: str
    method: str
    url: str
    body: Any
    asked: float
    asked_seq: int
    status: int | None = None
    answer: Any = None
    answered: float | None = None
    answered_seq: int | None = None

    @property
    def refs(self) -> tuple[int, ...]:
        """Return the numbers of the documents."""
        return (self.asked_seq,) if self.answered_seq is None else (self.asked_seq, self.answered_seq)


class Pairing:
    """Pairs frames as they come: feed it each one in order."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        """All calls so far, in the order of their requests."""
        self._open: dict[tuple[str, bool, str], Call] = {}

    def frame(self, station: str, incoming: bool, raw: str, at: float, seq: int) -> Call | None:
        """Take one frame; return the call that it completes. What cannot be read is left out."""
        frame = _json(raw)
        if not isinstance(frame, list) or len(frame) < 3 or not isinstance(frame[1], str):
            return None
        if frame[0] == 2 and len(frame) == 4 and isinstance(frame[3], dict):
            call = Call(station, incoming, str(frame[2]), frame[3], at, seq)
            self._open[station, incoming, frame[1]] = call
            self.calls.append(call)
            return None
        answered = self._open.pop((station, not incoming, frame[1]), None)
        if answered is None:
            return None
        answered.answered, answered.answered_seq = at, seq
        if frame[0] == 3 and isinstance(frame[2], dict):
            answered.response = frame[2]
        elif frame[0] == 4:
            answered.error = f"{frame[2]}: {frame[3] if len(frame) > 3 else ''}"
        return answered


def paired_calls(documents: Iterable[Document]) -> list[Call]:
    """Return the OCPP calls of a journal."""
    pairing = Pairing()
    for document in documents:
        if document.kind == Kind.OCPP_FRAME:
            data = document.data
            pairing.frame(data["station"], data["dir"] == "in", data["raw"], seconds(document.t), document.seq)
    return pairing.calls


def paired_http(documents: Iterable[Document]) -> list[HttpExchange]:
    """Return the OCPI exchanges of a journal."""
    found: list[HttpExchange] = []
    waiting: dict[object, HttpExchange] = {}
    for document in documents:
        data = document.data
        if document.kind == Kind.OCPI_REQUEST:
            one = HttpExchange(
                data["from"], data["to"], data["method"], data["url"], _json(data.get("body")), seconds(document.t), document.seq
            )
            waiting[data["exchange"]] = one
            found.append(one)
        elif document.kind == Kind.OCPI_RESPONSE:
            asked = waiting.pop(data["exchange"], None)
            if asked is not None:
                asked.status, asked.answer = data["status"], _json(data.get("body"))
                asked.answered, asked.answered_seq = seconds(document.t), document.seq
    return found


def _json(text: object) -> Any:
    if not isinstance(text, str) or not text:
        return None
    try:
        return orjson.loads(text)  # the parser of the wire: what the bench could not read then is not read now
    except ValueError:
        return None

"""Frames and HTTP messages of a journal, paired into calls and answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

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
    """The CALLRESULT's payload; None without one."""
    error: str = ""
    """Code and description of a CALLERROR."""
    answered: float | None = None
    answered_seq: int | None = None

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


@dataclass(slots=True)
class Exchanges:
    """All calls of a journal, in the order of their requests."""

    calls: list[Call] = field(default_factory=list)
    http: list[HttpExchange] = field(default_factory=list)


def paired(documents: Iterable[Document]) -> Exchanges:
    """Return the OCPP calls and OCPI exchanges of a journal; frames that cannot be read are left out."""
    found = Exchanges()
    open_calls: dict[tuple[str, bool, str], Call] = {}
    open_http: dict[object, HttpExchange] = {}
    for document in documents:
        if document.kind == Kind.OCPP_FRAME:
            _frame(document, found, open_calls)
        elif document.kind == Kind.OCPI_REQUEST:
            data = document.data
            one = HttpExchange(
                data["from"], data["to"], data["method"], data["url"], _json(data.get("body")), seconds(document.t), document.seq
            )
            open_http[data["exchange"]] = one
            found.http.append(one)
        elif document.kind == Kind.OCPI_RESPONSE:
            asked = open_http.pop(document.data["exchange"], None)
            if asked is not None:
                asked.status, asked.answer = document.data["status"], _json(document.data.get("body"))
                asked.answered, asked.answered_seq = seconds(document.t), document.seq
    return found


def _frame(document: Document, found: Exchanges, open_calls: dict[tuple[str, bool, str], Call]) -> None:
    frame = _json(document.data["raw"])
    if not isinstance(frame, list) or len(frame) < 3 or not isinstance(frame[1], str):
        return
    station, incoming = document.data["station"], document.data["dir"] == "in"
    now = seconds(document.t)
    if frame[0] == 2 and len(frame) == 4 and isinstance(frame[3], dict):
        call = Call(station, incoming, str(frame[2]), frame[3], now, document.seq)
        open_calls[station, incoming, frame[1]] = call
        found.calls.append(call)
        return
    answered = open_calls.pop((station, not incoming, frame[1]), None)
    if answered is None:
        return
    answered.answered, answered.answered_seq = now, document.seq
    if frame[0] == 3 and isinstance(frame[2], dict):
        answered.response = frame[2]
    elif frame[0] == 4:
        answered.error = f"{frame[2]}: {frame[3] if len(frame) > 3 else ''}"


def _json(text: object) -> Any:
    if not isinstance(text, str) or not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None

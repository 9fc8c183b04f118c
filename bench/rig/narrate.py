"""What `bench serve` tells while it serves: registrations, sessions, orders by OCPI and their results, refusals, findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Full, Queue
from threading import Thread
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import orjson

from bench.adapters.journal import JournalFile, encode
from bench.domain.documents import Kind
from bench.ports import Clock
from bench.wire.ocpi.url import hide_secrets, hide_token_uid

K = TypeVar("K")
V = TypeVar("V")
_ORDERS: Final = ("chargingprofiles", "commands")
_DONE: Final = {"POST": "has registered", "PUT": "has renewed its registration", "DELETE": "has unregistered"}
_PHASES: Final = {"Started": "begins", "Ended": "ends"}
_AGAIN_S: Final = 60.0
"""The same refusal or finding is told once in so long."""
_MOST: Final = 1000
"""Open requests, promised results and the like are remembered up to so many."""
_LONGEST: Final = 300
"""Characters of a line."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request of a peer that is not answered yet."""

    peer: str
    method: str
    version: str
    module: str
    what: str
    """Module and object, such as `chargingprofiles/S-1`."""
    parties: str
    response_url: str


class Narrator:
    """Makes lines of what the journal and the CSMS tell.

    Args:
        own: the bench's party, such as NL-BEN.
        session_of: gives the id of the OCPI session of a station's transaction; empty where it has none.
        tell: takes a line, without secrets, beginning with the clock's time.
    """

    def __init__(
        self, clock: Clock, journal: JournalFile, own: str, session_of: Callable[[str, str], str], tell: Callable[[str], None]
    ) -> None:
        self._clock, self._journal, self._own, self._session_of, self._tell_line = clock, journal, own, session_of, tell
        self._open: dict[int, _Asked] = {}
        self._results: dict[str, str] = {}
        """By response_url, which order its result is of."""
        self._senders: dict[int, str] = {}
        """By the number of a request's document."""
        self._told: dict[tuple[object, ...], float] = {}

    def on_document(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take one document of the journal."""
        if kind == Kind.OCPI_REQUEST:
            self._asked(data)
        elif kind == Kind.OCPI_RESPONSE and (asked := self._open.pop(data["exchange"], None)) is not None:
            self._answered(asked, data["status"], _object(data["body"]))
        elif kind == Kind.FINDING and data["source"] == "ocpi":
            peer = next((self._senders[one] for one in data["refs"] if one in self._senders), "")
            self._rarely((data["code"], peer), f"{peer}{peer and ': '}finding {data['code']}: {data['text']}")
        elif kind == Kind.STATION_LINK and data["event"] == "refused":
            self._rarely(("station", data["reason"]), f"station {data['station']} is refused: {data['reason']}")

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take one event of the CSMS, after the OCPI platform has."""
        if event["event"] == "transaction" and (how := _PHASES.get(event["phase"])) is not None:
            session = self._session_of(event["station"], event["transaction_id"])
            named = f"session {session}" if session else f"transaction {event['transaction_id']}"
            self._tell(f"{named} {how} at {event['station']} EVSE {event['evse']}")

    def _asked(self, data: Mapping[str, Any]) -> None:
        if data["from"] == self._own and data["to"] != self._own:
            order = self._results.pop(data["url"], None) if data["method"] == "POST" else None
            if order is not None:
                self._tell(f"{order}: result {_object(data['body']).get('result')}")
            return
        _keep(self._senders, self._journal.seq - 1, data["from"])
        with suppress(ValueError):  # the Host header is anything
            url = urlsplit(data["url"])
            parts = [*url.path.split("/"), "", "", ""]
            version, module, what = parts[2], parts[3], "/".join(parts[3:]).strip("/") or url.path
            response_url, parties = "", ""
            if module in _ORDERS:
                given = parse_qs(url.query).get("response_url") or [_object(data["body"]).get("response_url")]
                response_url = hide_token_uid(hide_secrets(str(given[0])))
            elif module == "credentials" and data["method"] == "POST":
                parties = _parties(_object(data["body"]).get("roles"))
            asked = _Asked(data["from"], data["method"], version, module, what, parties, response_url)
            _keep(self._open, data["exchange"], asked)

    def _answered(self, asked: _Asked, status: int, body: Mapping[str, Any]) -> None:
        code, order = body.get("status_code"), f"{asked.peer}: {asked.method} {asked.what}"
        why = f": {body['status_message']}" if "status_message" in body else ""
        if status >= 400 or not isinstance(code, int) or code >= 2000:
            named = ("", "") if asked.peer == "unregistered" else (asked.method, asked.module)
            self._rarely((asked.peer, status, code, why, *named), f"{order} is refused: HTTP {status}, status_code {code}{why}")
        elif asked.module == "credentials" and asked.method in _DONE:
            self._tell(f"{asked.parties or asked.peer} {_DONE[asked.method]} (OCPI {asked.version})")
        elif asked.module in _ORDERS and isinstance(data := body.get("data"), dict):
            self._tell(f"{order}: {data.get('result')}{why}")
            if data.get("result") == "ACCEPTED":
                _keep(self._results, asked.response_url, order)

    def _rarely(self, key: tuple[object, ...], text: str) -> None:
        now = self._clock.monotonic()
        if now - self._told.get(key, -_AGAIN_S) >= _AGAIN_S:
            self._told.pop(key, None)
            _keep(self._told, key, now)
            self._tell(text)

    def _tell(self, text: str) -> None:
        safe: str = orjson.loads(self._journal.redacted(encode({"line": text})))["line"]
        shown = "".join(one if one.isprintable() else "?" for one in safe)[:_LONGEST]
        self._tell_line(f"{self._clock.now():%H:%M:%SZ} {shown}")


@contextmanager
def beside(announce: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Give what prints lines in a thread of its own: a terminal that is held, or a pipe that nobody reads, stops no station. What
    does not get away is left out; it is in the journal."""
    lines: Queue[str | None] = Queue(_MOST)

    def work() -> None:
        with suppress(OSError):
            while (line := lines.get()) is not None:
                announce(line)

    def tell(line: str) -> None:
        with suppress(Full):
            lines.put_nowait(line)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        with suppress(Full):
            lines.put(None, timeout=1)
        thread.join(1)


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    """Remember something, and forget the oldest for it where there is too much."""
    kept[key] = value
    if len(kept) > _MOST:
        del kept[next(iter(kept))]


def _object(text: str) -> dict[str, Any]:
    """Return a JSON object; an empty one for whatever else it is."""
    with suppress(ValueError):
        found = orjson.loads(text)
        return found if isinstance(found, dict) else {}
    return {}


def _parties(roles: object) -> str:
    """Return the parties of Credentials, such as `NL-SCP (SCSP)`."""
    found = [one for one in roles if isinstance(one, dict)] if isinstance(roles, list) else []
    return ", ".join(f"{one.get('country_code')}-{one.get('party_id')} ({one.get('role')})" for one in found)

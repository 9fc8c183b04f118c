"""What a CSO answered in a check, and what came of an order: with everything that it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from bench.peers.answer import reason_of
from bench.peers.check.desk import Received
from bench.wire.ocpi import checks
from bench.wire.ocpi.transport import INVALID, SUCCESS

_LONGEST_S: Final = 10**8
"""No promise that is longer can be used."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of the CSO, whatever it is."""

    status: int
    """HTTP; 0: none came."""
    headers: Mapping[str, str]
    raw: Any
    """Decoded JSON, or None."""
    trouble: str = ""
    document: int | None = None
    """The request's number in the journal."""

    @property
    def code(self) -> Any:
        """Return OCPI's status_code, or None."""
        return self.raw.get("status_code") if isinstance(self.raw, dict) else None

    @property
    def data(self) -> Any:
        """Return what stands in the envelope."""
        return self.raw.get("data") if isinstance(self.raw, dict) else None

    @property
    def thing(self) -> dict[str, Any]:
        """Return the one object that was asked for, also where it stands wrongly in a list; empty where there is none."""
        data = self.data
        one = data[0] if isinstance(data, list) and len(data) == 1 else data
        return one if isinstance(one, dict) else {}

    @property
    def ok(self) -> bool:
        """Say whether it is a success."""
        return 200 <= self.status < 300 and self.code == SUCCESS

    def __str__(self) -> str:
        if not self.status:
            return f"no response: {self.trouble}"
        if not isinstance(self.raw, dict):
            return f"HTTP {self.status} without a JSON object"
        word = self.thing.get("result")
        code = f"status_code {checks.short(self.code)}" if "status_code" in self.raw else "no status_code"
        return f"HTTP {self.status}, {code}" + (f", {word}" if isinstance(word, str) else "") + self._reason()

    def _reason(self) -> str:
        """Return why, in the CSO's own words, where its answer is no success; values that it repeats are left out."""
        said = "" if self.ok else reason_of(self.raw)
        return f" ({checks.short(said)})" if said else ""


@dataclass(slots=True)
class Order:
    """A request on a charging profile, or a command, and what came of it."""

    method: str
    """Of a command its name."""
    response_url: str
    reply: Reply
    since: int
    """How many requests the CSO had sent before."""
    answered: datetime
    came: list[Received] = field(default_factory=list)
    """What came to the address, right or cut."""

    @property
    def word(self) -> str:
        """Return the synchronous answer's word."""
        return str(self.reply.thing.get("result", ""))

    @property
    def promised_s(self) -> float | None:
        """Return the promised time, None where none that can be used was given."""
        timeout = self.reply.thing.get("timeout")
        return float(timeout) if checks.is_int(timeout) and 0 <= timeout < _LONGEST_S else None

    @property
    def due(self) -> datetime | None:
        """Return until when the result was promised, None where it was not."""
        return None if self.promised_s is None else self.answered + timedelta(seconds=self.promised_s)

    @property
    def accepted(self) -> bool:
        """Say whether the CSO said yes."""
        return self.reply.ok and self.word == "ACCEPTED"

    @property
    def exact(self) -> list[Received]:
        """Return what came to exactly the address that was given."""
        parts = urlsplit(self.response_url)
        wanted = parts.path + (f"?{parts.query}" if parts.query else "")
        return [one for one in self.came if one.target == wanted and one.method == "POST"]

    @property
    def result(self) -> dict[str, Any]:
        """Return the first result that came, empty where none did."""
        bodies = [one.body for one in self.came if isinstance(one.body, dict)]
        return bodies[0] if bodies else {}

    @property
    def outcome(self) -> str:
        """Return the result's word."""
        return str(self.result.get("result", ""))

    @property
    def refused(self) -> bool:
        """Say whether the CSO told that nothing was set."""
        said_no = self.reply.ok and self.word not in ("", "ACCEPTED")
        return said_no or self.reply.code == INVALID or self.outcome == "REJECTED"

    @property
    def refs(self) -> tuple[int, ...]:
        """Return the documents of the request and of what came."""
        came = [one.document for one in self.came]
        return tuple(one for one in (self.reply.document, *came) if one is not None)

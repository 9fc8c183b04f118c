"""Requests of the CPO to a registered platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.registry import Platform
from bench.errors import PeerError
from bench.ports import IdSource, OcpiTransport
from bench.wire.ocpi import checks
from bench.wire.ocpi.transport import CORRELATION_ID, REQUEST_ID, PartyId, dump, encode_token, load, routing
from bench.wire.ocpi.url import not_to_be_called, plain_host

REQUEST_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A peer's response: one with an envelope, or an HTTP error of its own (4xx) without."""

    status: int
    """HTTP."""
    code: int
    """OCPI: 1000 is success; 0: there was no envelope."""
    data: Any
    message: str = ""
    location: str = ""
    """The Location header: where a peer keeps what it was sent."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""

    @property
    def ok(self) -> bool:
        """Say whether the peer did what was asked."""
        return 200 <= self.status < 300 and 1000 <= self.code < 2000


class Calls:
    """Sends requests as one party, to a platform's own host alone; what a peer's response gets wrong becomes a finding.

    Args: allow_hosts: hosts that may be called for any platform.
    """

    def __init__(
        self, transport: OcpiTransport, ids: IdSource, own: PartyId, findings: Findings, allow_hosts: Sequence[str]
    ) -> None:
        self._transport, self._ids, self._own, self._findings = transport, ids, own, findings
        self._allow_hosts = tuple(plain_host(one) for one in allow_hosts)

    def refusal(self, platform: Platform, url: str) -> str:
        """Return why a platform's token is not sent to this address; empty where it is."""
        return not_to_be_called(url, platform.versions_url, self._allow_hosts)

    async def call(
        self,
        method: str,
        url: str,
        platform: Platform,
        body: Mapping[str, Any] | None = None,
        *,
        to: PartyId | None = None,
        data: checks.Data = "any",
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> Answer:
        """Send one request, once; `to` absent: a configuration module, without routing headers.

        Args: data: what the response must carry.
        Raises: PeerError where the address must not be called, no response came, or none that can be read.
        """
        if reason := self.refusal(platform, url):
            raise PeerError(f"{method} to {platform.parties[0].id}: {reason}")
        headers = {
            "authorization": encode_token(platform.token_out),
            REQUEST_ID: self._ids.token(16),
            CORRELATION_ID: self._ids.token(16),
        }
        headers |= routing(self._own, to) if to else {}
        content = b""
        if body is not None:
            content = dump(body)
            headers["content-type"] = "application/json"
        status, given, text = await self._transport.request(method, url, headers, content, timeout_s)
        raw = _read(text)
        answer = _answer(method, url, status, given, raw)
        found = checks.check_response_headers(headers, given, functional=to is not None, routed=platform.routed)
        self._findings.add([*found, *checks.check_envelope(raw, data)], f"answer to {method} {url}")
        return answer


def _read(text: bytes) -> Any:
    try:
        return load(text)
    except orjson.JSONDecodeError:
        return None


def _answer(method: str, url: str, status: int, headers: Mapping[str, str], raw: Any) -> Answer:
    code = raw.get("status_code") if isinstance(raw, dict) else None
    if isinstance(code, int):
        return Answer(status, code, raw.get("data"), str(raw.get("status_message") or ""), headers.get("location", ""), headers)
    if 400 <= status < 500:
        return Answer(status, 0, None)
    raise PeerError(f"{method} {url}: HTTP {status} without an OCPI status_code")


def why(answer: Answer) -> str:
    """Return how a peer refused, in words."""
    if not answer.code:
        return f"HTTP {answer.status} without an OCPI status_code"
    return f"HTTP {answer.status}, status_code {answer.code} {answer.message}".rstrip()

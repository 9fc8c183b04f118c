"""A mock SCSP: registers for real, hears of sessions, sends charging profiles, collects results and pushes.

What it finds wrong with the CSO is computed from raw JSON and headers, and decides nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from bench.adapters.http_server import open_http_server
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.errors import PeerError
from bench.peers.scsp_inbox import PARTY, Inbox, SentOrder
from bench.peers.scsp_routes import scsp_app
from bench.ports import Clock, IdSource, OcpiTransport
from bench.wire.ocpi import checks
from bench.wire.ocpi.transport import CORRELATION_ID, REQUEST_ID, VERSIONS, PartyId, dump, encode_token, join, routing

LOGICAL_URL: Final = "http://scsp.bench"
REQUEST_TIMEOUT_S: Final = 30.0
ACCEPTED: Final = "ACCEPTED"


@dataclass(slots=True)
class _Peer:
    """The CSO after registration."""

    token: str
    """TOKEN_C: what we send."""
    party: PartyId
    endpoints: dict[tuple[str, str], str] = field(default_factory=dict)


class MockScsp(Inbox):
    """One platform with one party of role SCSP.

    `sessions` has the raw Session objects by id, `results` and `pushes` what the CSO sent, `findings` what was wrong.
    """

    def __init__(
        self, clock: Clock, ids: IdSource, transport: OcpiTransport, *,
        base_url: str = LOGICAL_URL, party: PartyId = PARTY, name: str = "mock SCSP", version: str = VERSIONS[0],
    ) -> None:  # fmt: skip
        super().__init__(clock, ids.token(48), base_url, party, name, version)
        self._ids, self._transport = ids, transport
        self._peer: _Peer | None = None

    async def register(self, cso_versions_url: str, token_a: str) -> None:
        """Perform the credentials handshake. Raises PeerError where the CSO refuses or offers too little."""
        versions = await self._configure("GET", cso_versions_url, token_a)
        url = next((row["url"] for row in _rows(versions, "version", "url") if row["version"] == self.version), None)
        if url is None:
            raise PeerError(f"{cso_versions_url} offers no version {self.version}: {versions}")
        details = await self._configure("GET", url, token_a)
        rows = _rows(details.get("endpoints") if isinstance(details, dict) else None, "identifier", "role", "url")
        endpoints = {(row["identifier"], row["role"]): row["url"] for row in rows}
        for needed in (("credentials", "SENDER"), ("chargingprofiles", "RECEIVER")):
            if needed not in endpoints:
                raise PeerError(f"{url} has no endpoint {needed[0]} with role {needed[1]}")
        given = await self._configure("POST", endpoints["credentials", "SENDER"], token_a, self.own_credentials())
        self.findings += checks.check_credentials(given)
        roles = _rows(given.get("roles") if isinstance(given, dict) else None, "role", "country_code", "party_id")
        cpo = next((row for row in roles if row["role"] == "CPO"), None)
        if cpo is None or not isinstance(given.get("token"), str):
            raise PeerError("the answer to the registration has no token, or no party of role CPO")
        self.registered = True
        self._peer = _Peer(given["token"], PartyId.of(cpo["country_code"], cpo["party_id"]), endpoints)

    async def unregister(self) -> None:
        """End the registration. Raises PeerError."""
        peer = self._registered()
        await self._configure("DELETE", peer.endpoints["credentials", "SENDER"], peer.token)
        self.registered = False

    async def send_plan(self, session_id: str, profile: Mapping[str, Any]) -> SentOrder:
        """PUT a ChargingProfile; the order returned has the synchronous answer. Raises PeerError without an envelope."""
        return await self._order("PUT", session_id, {"charging_profile": dict(profile)})

    async def get_active(self, session_id: str, duration_s: int) -> SentOrder:
        """Ask what limits a session; the profile comes with the result."""
        return await self._order("GET", session_id, None, duration=str(duration_s))

    async def delete(self, session_id: str) -> SentOrder:
        """Clear the profile that we have set."""
        return await self._order("DELETE", session_id, None)

    async def wait_result(self, response_id: str, timeout_s: float) -> dict[str, Any]:
        """Return the asynchronous result of an order. Raises PeerError where none comes in time."""
        order = self.orders[response_id]
        if not await self.wait_until(lambda: order.result is not None, timeout_s):
            text = f"{order.method} on session {order.session_id}: no result within {timeout_s:g} s"
            self.findings.append(checks.Finding("no_result", text))
            raise PeerError(text)
        assert order.result is not None
        return order.result

    async def wait_session(self, matches: Callable[[Mapping[str, Any]], bool], timeout_s: float) -> dict[str, Any]:
        """Return the first ACTIVE session that matches, as soon as there is one. Raises PeerError after that many seconds."""

        def found() -> dict[str, Any] | None:
            active = (one for one in self.sessions.values() if one.get("status") == "ACTIVE")
            return next((one for one in active if matches(one)), None)

        await self.wait_until(lambda: found() is not None, timeout_s)
        session = found()
        if session is None:
            raise PeerError(f"the CSO told of no active session within {timeout_s:g} s")
        return session

    def _registered(self) -> _Peer:
        if self._peer is None or not self.registered:
            raise PeerError("not registered with a CSO")
        return self._peer

    async def _order(self, method: str, session_id: str, body: dict[str, Any] | None, **query: str) -> SentOrder:
        peer, response_id = self._registered(), self._ids.token(16)
        response_url = f"{self._base_url}/ocpi/callbacks/{response_id}"
        url = join(peer.endpoints["chargingprofiles", "RECEIVER"], session_id)
        if body is None:
            url += "?" + urlencode({**query, "response_url": response_url})
        else:
            body["response_url"] = response_url
        order = self.orders[response_id] = SentOrder(response_id, method, session_id, {})
        raw = await self._request(method, url, peer.token, body, peer.party, "object")
        data = raw.get("data")
        self.findings += checks.check_profile_response(data)
        order.answer = data if isinstance(data, dict) else {}
        if order.result is not None and order.answer.get("result") != ACCEPTED:
            self.findings.append(checks.Finding("result_unasked", f"a result after the answer {order.answer.get('result')!r}"))
        return order

    async def _configure(self, method: str, url: str, token: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call a configuration module and return `data`. Raises PeerError unless it answers with success."""
        raw = await self._request(method, url, token, body, None, "any")
        if raw.get("status_code") != 1000:
            raise PeerError(f"{method} {url}: status_code {raw.get('status_code')} {raw.get('status_message', '')}".rstrip())
        return raw.get("data")

    async def _request(
        self, method: str, url: str, token: str, body: Mapping[str, Any] | None, to: PartyId | None, data: checks.Data
    ) -> dict[str, Any]:
        headers = {"authorization": encode_token(token), REQUEST_ID: self._ids.token(16), CORRELATION_ID: self._ids.token(16)}
        headers |= routing(self.party, to) if to else {}
        if body is not None:
            headers["content-type"] = "application/json"
        content = b"" if body is None else dump(body)
        status, given, text = await self._transport.request(method, url, headers, content, REQUEST_TIMEOUT_S)
        try:
            raw = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise PeerError(f"{method} {url}: HTTP {status} without a JSON body") from None
        self.findings += checks.check_response_headers(headers, given, functional=to is not None)
        self.findings += checks.check_envelope(raw, data)
        if not isinstance(raw, dict):
            raise PeerError(f"{method} {url}: HTTP {status} without an OCPI envelope")
        return raw


def _rows(raw: Any, *keys: str) -> list[dict[str, str]]:
    """Return those objects of a list that have all the keys as texts."""
    rows = raw if isinstance(raw, list) else []
    return [one for one in rows if isinstance(one, dict) and all(isinstance(one.get(key), str) for key in keys)]


@asynccontextmanager
async def open_scsp(
    clock: Clock,
    ids: IdSource,
    addresses: AddressBook,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    base_url: str = LOGICAL_URL,
    party: PartyId = PARTY,
    version: str = VERSIONS[0],
) -> AsyncIterator[MockScsp]:
    """Serve a mock SCSP; a base URL without a port is logical and entered into `addresses`.

    Raises: RigError where it cannot listen.
    """
    async with open_transport(addresses) as transport:
        scsp = MockScsp(clock, ids, transport, base_url=base_url, party=party, version=version)
        async with open_http_server(scsp_app(scsp), host, port) as server:
            with addresses.entry(base_url, server):
                yield scsp

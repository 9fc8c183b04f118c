"""A mock peer of any role: registers for real, asks, gives orders, collects results. `MockScsp` and `MockMsp` are made of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import quote, urlencode

import orjson
from starlette.routing import Route

from bench.adapters.http_server import open_http_server
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.errors import PeerError
from bench.peers.answer import Answer
from bench.peers.books import Books, Registration, SentOrder
from bench.peers.misbehave import WRONG_TOKEN, Misbehaviour, misbehaving
from bench.peers.routes import Row, is_functional, peer_app
from bench.ports import Clock, IdSource, OcpiTransport
from bench.wire.ocpi import checks
from bench.wire.ocpi.checks_exchange import check_content_type, check_page, check_status, next_page
from bench.wire.ocpi.checks_objects import PREFERENCES_ANSWERS, check_object
from bench.wire.ocpi.transport import (
    CORRELATION_ID,
    REQUEST_ID,
    SUCCESS,
    VERSIONS,
    PartyId,
    dump,
    encode_token,
    join,
    routing,
)
from bench.wire.ocpi.types import utc_text
from bench.wire.ocpi.url import not_to_be_called, plain_host

REQUEST_TIMEOUT_S: Final = 30.0
_MOST_PAGES: Final = 1000
_OWN_QUERY: Final = "?from=mock&part=2"
"""What a response_url carries under `unencoded_query`."""
P = TypeVar("P", bound="Peer")


class Peer(Books):
    """One platform with one party.

    `objects` has the raw objects by module and id, `results` and `pushes` what the CSO sent, `findings` what was wrong.

    Args: allow_hosts: hosts that may be sent a token beside that of the platform that gave it.
    """

    ROLE: ClassVar[str] = "OTHER"
    NAME: ClassVar[str] = "mock peer"
    PARTY: ClassVar[PartyId] = PartyId("NL", "OTH")
    LOGICAL_URL: ClassVar[str] = "http://peer.bench"
    MODULES: ClassVar[tuple[tuple[str, str], ...]] = ()
    """What it serves beside versions and credentials: identifier and role."""
    NEEDED: ClassVar[tuple[tuple[str, str], ...]] = ()
    """What the CSO has to serve."""

    def __init__(
        self, clock: Clock, ids: IdSource, transport: OcpiTransport, *, base_url: str = "", party: PartyId | None = None,
        name: str = "", version: str = VERSIONS[0], habits: Misbehaviour | None = None, allow_hosts: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(
            clock, ids.token(48), base_url or self.LOGICAL_URL, party or self.PARTY, name or self.NAME, version,
            habits or Misbehaviour(),
        )  # fmt: skip
        self.ids, self._transport = ids, transport
        self._allow_hosts = tuple(plain_host(one) for one in allow_hosts)
        self._first_id, self._first_response_id = "", ""

    def endpoints(self) -> list[dict[str, str]]:
        """Return the rows of our version details."""
        rows = (("credentials", "SENDER"), *self.MODULES)
        return [{"identifier": name, "role": role, "url": f"{self.root}/{name}"} for name, role in rows]

    def own_credentials(self) -> dict[str, Any]:
        """Return our Credentials object."""
        role = {
            "role": self.ROLE,
            "business_details": {"name": self._name},
            "party_id": self.party.party_id,
            "country_code": self.party.country_code,
        }
        return {"token": self.token_b, "url": self.versions_url, "roles": [role]}

    async def register(self, cso_versions_url: str, token_a: str) -> None:
        """Perform the credentials handshake. Raises PeerError where the CSO refuses or offers too little."""
        endpoints = await self._discover(cso_versions_url, token_a)
        url = endpoints["credentials", "SENDER"]
        given = await self._configure("POST", url, token_a, cso_versions_url, self.own_credentials())
        self._take_credentials(given, cso_versions_url, endpoints)

    async def renew(self) -> None:
        """Give the CSO a new token and take its new one (PUT credentials). Raises PeerError: then the old ones count on."""
        cso, before = self.cso(), self.token_b
        self.token_b = self.ids.token(48)
        url = cso.endpoints["credentials", "SENDER"]
        try:
            given = await self._configure("PUT", url, cso.token, cso.home, self.own_credentials())
        except PeerError:
            self.token_b = before
            raise
        self._take_credentials(given, cso.home, cso.endpoints)

    async def unregister(self) -> None:
        """End the registration. Raises PeerError."""
        cso = self.cso()
        await self._configure("DELETE", cso.endpoints["credentials", "SENDER"], cso.token, cso.home)
        self.registration = None
        self.on_note("unregistered")

    def cso(self) -> Registration:
        """Return the CSO that we are registered with. Raises PeerError."""
        if self.registration is None:
            raise PeerError("not registered with a CSO")
        return self.registration

    def endpoint(self, identifier: str, role: str) -> str:
        """Return the URL of a module of the CSO. Raises PeerError where it has none."""
        url = self.cso().endpoints.get((identifier, role))
        if url is None:
            raise PeerError(f"the CSO has no endpoint {identifier} with role {role}")
        return url

    async def pull(self, module: str, **query: str) -> list[dict[str, Any]]:
        """Return all objects of a list of the CSO (SENDER), page by page. Raises PeerError.

        Args: query: date_from, date_to, offset, limit.
        """
        url: str | None = self.endpoint(module, "SENDER") + (f"?{urlencode(query)}" if query else "")
        name = module.removesuffix("s")
        listed: list[dict[str, Any]] = []
        for _ in range(_MOST_PAGES):
            if url is None:
                return listed
            answer = await self.call("GET", url, data="any")
            if not answer.ok:
                raise PeerError(f"GET {url}: {answer.words}")
            data = answer.raw.get("data")
            self.found(check_page(url, answer.headers, data), f"GET {url}")
            for one in data if isinstance(data, list) else ():
                self.found(check_object(name, one, self.version), f"GET {url}")
                self.keep(module, one)
                listed.append(one)
            url = next_page(url, answer.headers)
        raise PeerError(f"the list of {module} does not end after {_MOST_PAGES} pages")

    async def catch_up(self) -> None:
        """Fetch what the CSO lists of each module that we receive; sessions and CDRs of the last day. Raises PeerError."""
        since = utc_text(self.now().replace(microsecond=0) - timedelta(days=1))
        for module, role in self.MODULES:
            if role == "RECEIVER" and (module, "SENDER") in self.cso().endpoints:
                listed = await self.pull(module, **({"date_from": since} if module in ("sessions", "cdrs") else {}))
                self.on_note(f"GET {module}: {len(listed)}")

    async def set_preferences(self, session_id: str, preferences: Mapping[str, Any]) -> str:
        """PUT charging preferences of a session and tell the answer; return its word, or nothing. Raises PeerError."""
        url = join(self.endpoint("sessions", "SENDER"), quote(session_id, safe=""), "charging_preferences")
        answer = await self.call("PUT", url, preferences)
        word = answer.raw.get("data")
        if answer.ok and word not in PREFERENCES_ANSWERS:
            self.find("preferences_answer", f"data is {checks.short(word)}, none of {', '.join(PREFERENCES_ANSWERS)}")
        told = word if word in PREFERENCES_ANSWERS else checks.short(word)
        self.on_note(f"preferences of {session_id}: {told if answer.ok else answer.words}")
        return str(word or "")

    async def send_plan(self, session_id: str, profile: Mapping[str, Any]) -> SentOrder:
        """PUT a ChargingProfile; the order returned has the synchronous answer. Raises PeerError without an envelope."""
        return await self._profile_order("PUT", session_id, {"charging_profile": dict(profile)})

    async def get_active(self, session_id: str, duration_s: int) -> SentOrder:
        """Ask what limits a session; the profile comes with the result."""
        return await self._profile_order("GET", session_id, None, duration=str(duration_s))

    async def delete(self, session_id: str) -> SentOrder:
        """Clear the profile that we have set."""
        return await self._profile_order("DELETE", session_id, None)

    async def wait_result(self, response_id: str, timeout_s: float) -> dict[str, Any]:
        """Return the asynchronous result of an order. Raises PeerError where none comes in time."""
        order = self._order_of(response_id)
        if order is None:
            raise PeerError(f"no order has the response id {response_id!r}")
        if not await self.wait_until(lambda: order.result is not None, timeout_s):
            self.miss(order)
            raise PeerError(f"{order.method} on session {order.session_id}: no result within {timeout_s:g} s")
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

    def own_rows(self) -> list[Row]:
        """Return further routes of our modules."""
        return []

    def extra_routes(self) -> list[Route]:
        """Return routes with a door of their own."""
        return []

    async def aclose(self) -> None:
        """End what is under way."""
        self.close()

    async def order(
        self, method: str, subject: str, url: str, body: dict[str, Any] | None, query: Mapping[str, str]
    ) -> SentOrder:
        """Send an order with a response_url of its own, in the body or else in the query. Raises PeerError."""
        response_id = self.ids.token(16)
        if self.habits.duplicated_ids:
            response_id = self._first_response_id = self._first_response_id or response_id
        response_url = f"{self._base_url}/ocpi/callbacks/{response_id}"
        if self.habits.unencoded_query:
            response_url += _OWN_QUERY
        if body is not None:
            body["response_url"] = response_url
        elif self.habits.unencoded_query:
            url += "?" + "".join(f"{name}={value}&" for name, value in query.items()) + f"response_url={response_url}"
        else:
            url += "?" + urlencode({**query, "response_url": response_url})
        order = SentOrder(response_id, method, subject, {})
        self.orders[response_id if response_id not in self.orders else f"{response_id} {len(self.orders)}"] = order
        verb = "POST" if order.is_command else method
        try:
            answer = await self.call(verb, url, body, data="object")
            data, code = answer.raw.get("data"), answer.raw.get("status_code")
            if code == SUCCESS:
                command = order.is_command
                check = check_object("command_response", data, self.version) if command else checks.check_profile_response(data)
                self.found(check, f"answer to {method} on {subject}")
            else:
                self.on_note(f"{method} on {subject}: {answer.words}")
            self.answered(order, data, answer.reason if code == SUCCESS else None)
        finally:
            self.settle(order)
        return order

    async def call(
        self, method: str, url: str, body: Mapping[str, Any] | None = None, *, data: checks.Data = "any"
    ) -> Answer:
        """Call a functional module of the CSO. Raises PeerError without an envelope."""
        cso = self.cso()
        token = WRONG_TOKEN if self.habits.wrong_token else cso.token
        return await self.request(method, url, token, cso.home, body, cso.party, data)

    def refusal(self, url: str, home: str) -> str:
        """Return why a token must not be sent to an address; empty where it may.

        Args: home: the versions URL of the platform that gave the token.
        """
        reason = not_to_be_called(url, home, self._allow_hosts)
        return f"{reason}; see --allow-host" if reason else ""

    def check_address(self, what: str, url: str, home: str) -> None:
        """Raise PeerError for an address that must not be called; see `refusal`."""
        if reason := self.refusal(url, home):
            raise PeerError(f"{what}: {reason}")

    async def request(
        self, method: str, url: str, token: str, home: str, body: Mapping[str, Any] | None, to: PartyId | None,
        data: checks.Data = "any",
    ) -> Answer:  # fmt: skip
        """Send one request, and find what is wrong with the response; `to` absent: a configuration module.

        Raises: PeerError without an envelope, and where a token from `home` must not be sent there.
        """
        self.check_address(method, url, home)
        request_id = self.ids.token(16)
        if self.habits.duplicated_ids:
            request_id = self._first_id = self._first_id or request_id
        headers = {"authorization": encode_token(token), REQUEST_ID: request_id, CORRELATION_ID: self.ids.token(16)}
        headers |= routing(self.party, to) if to else {}
        if body is not None:
            headers["content-type"] = "application/json"
        content = b"" if body is None else dump(body)
        status, given, text = await self._transport.request(method, url, headers, content, REQUEST_TIMEOUT_S)
        where = f"answer to {method} {url}"
        try:
            raw = orjson.loads(text)
        except orjson.JSONDecodeError:
            self.find("envelope", f"{where}: HTTP {status} without a JSON body")
            raise PeerError(f"{method} {url}: HTTP {status} without a JSON body") from None
        self.found(check_status(status, raw), where)
        self.found(check_content_type(given, text), where)
        self.found(checks.check_response_headers(headers, given, functional=to is not None, routed=self.routed), where)
        self.found(checks.check_envelope(raw, data), where)
        if not isinstance(raw, dict):
            raise PeerError(f"{method} {url}: HTTP {status} without an OCPI envelope")
        return Answer(status, given, raw, (token, self.token_b))

    async def discover(self, versions_url: str, token: str) -> dict[tuple[str, str], str]:
        """Return the endpoints of a platform in our version. Raises PeerError."""
        versions = await self._configure("GET", versions_url, token, versions_url)
        url = next((row["url"] for row in rows_of(versions, "version", "url") if row["version"] == self.version), None)
        if url is None:
            raise PeerError(f"{versions_url} offers no version {self.version}: {versions}")
        self.check_address(f"version {self.version}", url, versions_url)
        return self.endpoints_at(versions_url, await self._configure("GET", url, token, versions_url))

    def endpoints_at(self, home: str, details: Any) -> dict[tuple[str, str], str]:
        """Return the endpoints of version details. Raises PeerError for one that must not be called; see `refusal`."""
        endpoints = endpoints_of(details)
        for (identifier, _), url in endpoints.items():
            self.check_address(f"endpoint {identifier}", url, home)
        return endpoints

    async def _discover(self, versions_url: str, token: str) -> dict[tuple[str, str], str]:
        endpoints = await self.discover(versions_url, token)
        for needed in (("credentials", "SENDER"), *self.NEEDED):
            if needed not in endpoints:
                raise PeerError(f"{versions_url} has in {self.version} no endpoint {needed[0]} with role {needed[1]}")
        return endpoints

    def _take_credentials(self, given: Any, home: str, endpoints: dict[tuple[str, str], str]) -> None:
        self.found(check_object("credentials", given, self.version))
        roles = rows_of(given.get("roles") if isinstance(given, dict) else None, "role", "country_code", "party_id")
        ordered = sorted(roles, key=lambda row: row["role"] != "CPO")
        if not ordered or not isinstance(given.get("token"), str):
            raise PeerError("the answer to the registration has no token, or no party")
        parties = tuple(PartyId.of(row["country_code"], row["party_id"]) for row in ordered)
        self.registration = Registration(given["token"], parties[0], home, parties, dict(endpoints))
        self.on_note(f"registered with {parties[0]} in {self.version}")

    async def _profile_order(self, method: str, session_id: str, body: dict[str, Any] | None, **query: str) -> SentOrder:
        url = join(self.endpoint("chargingprofiles", "RECEIVER"), quote(session_id, safe=""))
        return await self.order(method, session_id, url, body, query)

    async def _configure(self, method: str, url: str, token: str, home: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call a configuration module and return `data`. Raises PeerError unless it answers with success."""
        answer = await self.request(method, url, token, home, body, None)
        if answer.raw.get("status_code") != SUCCESS:
            raise PeerError(f"{method} {url}: {answer.words}")
        return answer.raw.get("data")


def rows_of(raw: Any, *keys: str) -> list[dict[str, str]]:
    """Return those objects of a list that have all the keys as texts."""
    rows = raw if isinstance(raw, list) else []
    return [one for one in rows if isinstance(one, dict) and all(isinstance(one.get(key), str) for key in keys)]


def endpoints_of(details: Any) -> dict[tuple[str, str], str]:
    """Return the URLs of version details by identifier and role; credentials as SENDER, for their role says nothing."""
    rows = rows_of(details.get("endpoints") if isinstance(details, dict) else None, "identifier", "role", "url")
    return {
        (one["identifier"], "SENDER" if one["identifier"] == "credentials" else one["role"]): one["url"] for one in rows
    }


@asynccontextmanager
async def open_peer(
    kind: type[P], clock: Clock, ids: IdSource, addresses: AddressBook, *, host: str = "127.0.0.1", port: int = 0,
    base_url: str = "", party: PartyId | None = None, version: str = VERSIONS[0], habits: Misbehaviour | None = None,
    logical: bool = True, ca_file: Path | None = None, allow_hosts: Sequence[str] = (),
) -> AsyncIterator[P]:  # fmt: skip
    """Serve a mock peer; a base URL without a port is logical and entered into `addresses`, unless `logical` is false.

    Args:
        ca_file: see `open_transport`.
        allow_hosts: see `Peer`.
    Raises: RigError where it cannot listen, UsageError where `ca_file` cannot be used.
    """
    async with open_transport(addresses, ca_file, allow_hosts) as transport:
        peer = kind(
            clock, ids, transport, base_url=base_url, party=party, version=version, habits=habits, allow_hosts=allow_hosts
        )
        app = misbehaving(peer_app(peer, peer.extra_routes()), peer.habits, clock, is_functional)
        async with open_http_server(app, host, port) as server:
            with addresses.entry(base_url or kind.LOGICAL_URL, server) if logical else nullcontext():
                try:
                    yield peer
                finally:
                    await peer.aclose()

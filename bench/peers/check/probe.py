"""The asking half of a check: requests with everything in our own hands, and orders with what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import orjson

from bench.errors import PeerError
from bench.peers.books import Registration, Seen, SentOrder
from bench.peers.check.desk import RESULTS, Desk, Received
from bench.peers.check.reply import Order, Reply
from bench.peers.peer import Peer, rows_of
from bench.ports import Clock, OcpiTransport
from bench.wire.ocpi import checks
from bench.wire.ocpi.checks import Finding
from bench.wire.ocpi.checks_exchange import check_content_type, check_status
from bench.wire.ocpi.transport import CORRELATION_ID, REQUEST_ID, SUCCESS, PartyId, dump, encode_token, join, routing

GRACE_S: Final = 1.0
"""A result may take so long on its way without being called late."""
LATE_S: Final = 15.0
"""How long beyond the promised time a result is still waited for."""
MOST_WAIT_S: Final = 180.0
"""Nobody is waited for longer, whatever was promised."""
_UNPROMISED_S: Final = 30.0
"""Waited for where no time was promised."""
_AGAIN_S: Final = 15.0
_TRIES: Final = 6
"""TOO_OFTEN is no fault: the order is sent again, so often."""


class Probe:
    """One check in one version of OCPI: what is known of the CSO, and what was found in passing."""

    def __init__(
        self, desk: Desk, peer: Peer, transport: OcpiTransport, clock: Clock, versions_url: str, base_url: str,
        learn: Callable[[str], None] = lambda token: None, others: OcpiTransport | None = None,
        documents: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self._learn = learn
        """Told each token, to keep it out of the journal."""
        self._tokens: set[str] = set()
        self._others = others or transport
        """Has connections of its own: where one is held up, another client's request need not be."""
        self._documents = {} if documents is None else documents
        """The number in the journal of each request, by its X-Request-ID."""
        self.sent_documents: list[int] = []
        """The numbers of our requests, in their order."""
        self.desk, self.peer, self.clock = desk, peer, clock
        self.versions_url, self.base_url, self.version = versions_url, base_url, peer.version
        self._transport = transport
        self.form: list[Finding] = []
        """What was wrong with responses as such."""
        self.echo: list[Finding] = []
        """What was wrong with their headers."""
        self.answer: list[Finding] = []
        """What was wrong with ChargingProfileResponses."""
        self.orders: list[Order] = []
        self.commands: list[Order] = []
        self.asked = 0
        """Requests answered."""
        self.session: dict[str, Any] = {}
        self.session_note = ""
        self.unit = "A"
        self.most: float | None = None
        """The lowest limit that held before we began; None: not known."""
        self.sent: dict[str, Any] = {}
        """The profile that holds, as far as we know."""
        self.push_within_s = 0.0
        """How long a push is waited for after a change by hand; 0: the user makes none."""
        self.tell: Callable[[str], None] = lambda line: None
        """Told what the user is to do."""
        self.unrouted = False
        """Whether a response of a functional module came without routing headers."""
        self.may_hold = False
        """Whether the CSO may hold a profile of ours."""
        self.unsure = ""
        """Why nobody knows which tokens hold; empty where that is known."""
        self.details: dict[tuple[str, str], str] = {}

    @property
    def session_id(self) -> str:
        """Return the id of the session that is steered; empty where there is none."""
        return str(self.session.get("id", ""))

    @property
    def token(self) -> str:
        """Return what opens the CSO. Raises PeerError where we are not registered."""
        return self.peer.cso().token

    def profiles_url(self, session_id: str) -> str:
        """Return the URL of a session's profile. Raises PeerError."""
        return join(self.peer.endpoint("chargingprofiles", "RECEIVER"), quote(session_id, safe=""))

    async def send(
        self, method: str, url: str, body: Any = None, *, token: str | None = None, content: bytes | None = None,
        functional: bool = True, counted: bool = True, apart: bool = False, timeout_s: float = 30,
    ) -> Reply:  # fmt: skip
        """Send one request and return whatever came.

        Args:
            content: instead of `body`, bytes as they are.
            counted: whether a wrong form counts against the CSO; not where the request itself is odd.
            apart: over a connection of its own, as another client would.
        """
        given = token if token is not None else self.token
        self._tokens.add(given)
        transport = self._others if apart else self._transport
        ids = self.peer.ids
        headers = {"authorization": encode_token(given), REQUEST_ID: ids.token(16), CORRELATION_ID: ids.token(16)}
        headers |= routing(self.peer.party, self.peer.cso().party) if functional else {}
        sent = content if content is not None else b"" if body is None else dump(body)
        if sent:
            headers["content-type"] = "application/json"
        where = f"answer to {method} {urlsplit(url).path}"
        try:
            self.peer.check_address(f"{method} is not sent", url, self.versions_url)
            status, answered, text = await transport.request(method, url, headers, sent, timeout_s)
        except PeerError as error:
            return Reply(0, {}, None, str(error), self._document(headers))
        raw = _decoded(text)
        self.asked += 1
        known = functional and token is None  # whom the CSO does not know it owes no routing headers
        found = checks.check_response_headers(headers, answered, functional=known, routed=self.peer.routed)
        document = self._document(headers)
        self.echo += _placed(found, where, document)
        self.unrouted |= known and not any(name.startswith("ocpi-") for name in answered)
        if counted:
            found = [*check_status(status, raw), *check_content_type(answered, text), *checks.check_envelope(raw)]
            self.form += _placed([one for one in found if one.code != "envelope_data"], where, document)
        return Reply(status, answered, raw, document=document)

    def _document(self, headers: Mapping[str, str]) -> int | None:
        number = self._documents.get(headers[REQUEST_ID])
        if number is not None:
            self.sent_documents.append(number)
        return number

    def hide(self, text: str) -> str:
        """Return a text without the tokens that were sent: a CSO may repeat one in its reason."""
        for token in filter(None, (*self._tokens, self.peer.token_b)):
            text = text.replace(token, "(token)")
        return text

    async def discover(self, token: str) -> tuple[Reply, str]:
        """Fetch versions and details; return the last reply and what is wrong, empty where everything needed is there.

        Raises: PeerError for addresses that must not be called: no fault of the CSO, whose hosts may be several.
        """
        listed = await self.send("GET", self.versions_url, token=token, functional=False)
        rows = rows_of(listed.data, "version", "url")
        url = next((row["url"] for row in rows if row["version"] == self.version), None)
        if url is None:
            offered = ", ".join(row["version"] for row in rows) or "none"
            return listed, f"GET versions: {listed}" + (f"; offered: {offered}, not {self.version}" if listed.ok else "")
        self.peer.check_address(f"version {self.version}", url, self.versions_url)
        details = await self.send("GET", url, token=token, functional=False)
        self.details = self.peer.endpoints_at(self.versions_url, details.thing)
        needed = {"credentials": ("credentials", "SENDER"), "chargingprofiles as RECEIVER": ("chargingprofiles", "RECEIVER")}
        missing = [name for name, key in needed.items() if key not in self.details]
        lacking = f"; no endpoint {' and no '.join(missing)}" if details.ok else ""
        return details, f"GET version details: {details}{lacking}" if missing else ""

    async def give_credentials(self, method: str, token: str) -> Reply:
        """POST or PUT our credentials; on success what the CSO gave is used from then on."""
        url = self.details.get(("credentials", "SENDER"), "")
        self._learn(self.peer.token_b)
        reply = await self.send(method, url, self.peer.own_credentials(), token=token, functional=False)
        if method == "PUT" and not reply.status:
            self.unsure = "PUT credentials had no response: nobody knows which tokens hold"
        given = reply.thing
        roles = rows_of(given.get("roles"), "role", "country_code", "party_id")
        if reply.ok and isinstance(given.get("token"), str) and roles:
            parties = tuple(PartyId.of(one["country_code"], one["party_id"]) for one in sorted(roles, key=_cpo_first))
            self._learn(given["token"])
            self.peer.registration = Registration(given["token"], parties[0], self.versions_url, parties, dict(self.details))
            self.desk.moved()
        return reply

    def assume(self, token: str, party: PartyId, own_token: str) -> None:
        """Take a registration that was made by hand: `token` is what we send, `own_token` what the CSO sends."""
        self._learn(own_token)
        self.peer.token_b = own_token
        self.peer.registration = Registration(token, party, self.versions_url, (party,), dict(self.details))

    async def order(
        self, method: str, *, session_id: str | None = None, profile: Mapping[str, Any] | None = None, query: str = "",
        habit: str = "", encoded: bool = True, slash: bool = False, wait: bool = True, counted: bool = True,
    ) -> Order:  # fmt: skip
        """Order something on the session's profile, and wait for the result where one is promised.

        Args:
            query: what the response_url carries; not percent-encoded in GET and DELETE unless `encoded`.
            habit: how the result's POST is answered.
            slash: whether the session's URL ends with one.
        """
        held = self.may_hold
        for again in range(_TRIES):
            if again:
                await self.clock.sleep(_AGAIN_S)
            path = RESULTS + self.peer.ids.token(16)
            self.desk.habits[path] = habit
            response_url = f"{self.base_url}{path}{query}"
            url, body = self.profiles_url(session_id or self.session_id) + "/" * slash, None
            asked = {"duration": "600"} if method == "GET" else {}
            if method == "PUT":
                body = {"charging_profile": dict(profile or {}), "response_url": response_url}
            elif encoded:
                url += "?" + urlencode({**asked, "response_url": response_url})
            else:
                url += "?" + "".join(f"{name}={value}&" for name, value in asked.items()) + f"response_url={response_url}"
            self.may_hold |= method == "PUT"
            since = len(self.desk.received)
            sent = SentOrder(path, method, session_id or self.session_id, {"result": "REJECTED"})
            self.peer.orders[path] = sent
            if method == "PUT":
                sent.answer = {}  # a push may come before the answer does
            reply = await self.send(method, url, body, counted=counted)
            order = Order(method, response_url, reply, since, self.clock.now())
            sent.answer = dict(order.reply.thing)
            if order.word != "TOO_OFTEN":
                break
        self.orders.append(order)
        if order.reply.code == SUCCESS:
            data, found = order.reply.data, []
            if isinstance(data, list):
                found.append(Finding("wrapped", "data is a list, not an object"))
            found += checks.check_profile_response(order.reply.thing)
            self.answer += _placed(found, f"answer to {method}", order.reply.document)
        if wait and order.accepted:
            await self._wait(order, path)
        sent.result = order.result or None
        if method == "PUT" and order.refused:
            self.may_hold = held
        if method == "DELETE" and order.outcome in ("ACCEPTED", "UNKNOWN"):
            self.may_hold = False
        return order

    async def command(self, name: str, body: Mapping[str, Any], *, wait: bool = True) -> Order:
        """Command something, and wait for the result where one is promised. Raises PeerError where the CSO serves no commands."""
        path = f"{RESULTS}{name.lower()}-{self.peer.ids.token(8)}"
        self.desk.habits[path] = ""
        response_url, since = self.base_url + path, len(self.desk.received)
        url = join(self.peer.endpoint("commands", "RECEIVER"), name)
        reply = await self.send("POST", url, {**body, "response_url": response_url})
        order = Order(name, response_url, reply, since, self.clock.now())
        self.commands.append(order)
        if wait and order.accepted:
            await self._wait(order, path)
        return order

    def waited_s(self, order: Order) -> float:
        """Return how long a result is waited for."""
        return min(_UNPROMISED_S if order.promised_s is None else order.promised_s, MOST_WAIT_S) + LATE_S

    async def _wait(self, order: Order, path: str) -> None:

        def came() -> bool:
            order.came = [one for one in self.desk.received[order.since :] if one.path == path]
            return bool(order.came)

        await self.peer.wait_until(came, self.waited_s(order))
        came()

    def path(self, order: Order) -> str:
        """Return the path of an order's response_url."""
        return order.response_url.removeprefix(self.base_url).partition("?")[0]

    def count(self, order: Order) -> int:
        """Return how often something came to an order's response_url, up to now."""
        path = self.path(order)
        return sum(one.path == path for one in self.desk.received)

    def first(self, order: Order) -> Received | None:
        """Return the first that came to an order's response_url, however late."""
        path = self.path(order)
        return next((one for one in self.desk.received if one.path == path), None)

    def strays(self, order: Order) -> list[Received]:
        """Return results that came since an order to addresses that nobody gave out."""
        return [
            one for one in self.desk.received[order.since :]
            if isinstance(one.body, dict) and "result" in one.body and one.status in (401, 404, 405)
            and one.path not in self.desk.habits
        ]  # fmt: skip


def _cpo_first(row: Mapping[str, str]) -> bool:
    return row["role"] != "CPO"


def _placed(found: list[Finding], where: str, document: int | None) -> list[Finding]:
    return [Seen(one.code, f"{where}: {one.text}", document) for one in found]


def _decoded(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None

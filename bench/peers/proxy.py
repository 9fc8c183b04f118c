"""The topology SCSP -> MSP -> CSO: an MSP that an SCSP sends its profiles to, with session ids of its own.

Ids of sessions are unique at one CSO only, and the URL of a profile names no party: so the MSP gives its own ids, and
translates them in sessions, orders and pushes; the response_url towards the CSO is its own too.
Source: OCPI, mod_charging_profiles, Topology.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.routing import Route

from bench.errors import PeerError
from bench.peers.books import ACCEPTED, ReceivedPush, Registration, SentOrder
from bench.peers.routes import NOT_ALLOWED, OK, Reply, Row, route
from bench.wire.ocpi.checks_objects import check_object
from bench.wire.ocpi.transport import CLIENT_ERROR, INVALID, NO_MATCHING_ENDPOINT, SUCCESS, UNUSABLE_API, PartyId, join

if TYPE_CHECKING:
    from bench.peers.peer import Peer

_WAIT_S: Final = 600.0
"""A result that comes later is not handed on."""
_PATH: Final = "/ocpi/hub"


class ProfileProxy:
    """What an MSP does for one SCSP behind it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.token_a = ""
        """Opens the door for the SCSP; empty until `open_door`."""
        self.scsp: Registration | None = None
        self._token_in = ""
        self._own_ids: dict[str, str] = {}
        """The CSO's session id, and ours."""
        self._last: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def versions_url(self) -> str:
        """Return where the SCSP begins."""
        return f"{self._root}/versions"

    def open_door(self) -> str:
        """Let one SCSP register; returns the token for it."""
        self.token_a = self._peer.ids.token(48)
        self._peer.on_told.append(self._told)
        self._peer.on_pushed.append(self._pushed)
        return self.token_a

    def own_id(self, session_id: str) -> str:
        """Return our id of a session of the CSO."""
        if session_id not in self._own_ids:
            self._own_ids[session_id] = f"M-{self._peer.ids.token(12)}"
        return self._own_ids[session_id]

    def routes(self) -> list[Route]:
        """Return what the SCSP sees of us."""
        versioned = f"{_PATH}/{self._peer.version}"
        rows: tuple[Row, ...] = (
            (f"{_PATH}/versions", self._versions, ("GET",), False),
            (versioned, self._details, ("GET",), False),
            (f"{versioned}/credentials", self._credentials, ("GET", "POST", "PUT", "DELETE"), False),
            (f"{versioned}/chargingprofiles/{{session_id}}", self._order, ("GET", "PUT", "DELETE"), True),
        )
        return [route(self._peer, row, self._functional_token if row[3] else self._any_token) for row in rows]

    async def aclose(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def _root(self) -> str:
        return self._peer.versions_url.removesuffix("/ocpi/versions") + _PATH

    def _any_token(self, token: str | None) -> bool:
        return bool(token) and token in (self.token_a, self._token_in)

    def _functional_token(self, token: str | None) -> bool:
        return bool(token) and self.scsp is not None and token == self._token_in

    async def _versions(self, request: Request, body: Any) -> Reply:
        return Reply([{"version": self._peer.version, "url": f"{self._root}/{self._peer.version}"}])

    async def _details(self, request: Request, body: Any) -> Reply:
        rows = (("credentials", "SENDER"), ("chargingprofiles", "RECEIVER"))
        root = f"{self._root}/{self._peer.version}"
        endpoints = [{"identifier": name, "role": role, "url": f"{root}/{name}"} for name, role in rows]
        return Reply({"version": self._peer.version, "endpoints": endpoints})

    async def _credentials(self, request: Request, body: Any) -> Reply:
        known = self.scsp is not None
        if request.method == "GET":
            return Reply(self._own_credentials())
        if request.method == "DELETE" and known:
            self.scsp, self._token_in = None, ""
            return OK
        if request.method == "DELETE" or (request.method == "POST") is known:
            return NOT_ALLOWED
        self._peer.found(check_object("credentials", body, self._peer.version), "credentials of the SCSP")
        try:
            party = PartyId.of(body["roles"][0]["country_code"], body["roles"][0]["party_id"])
            token, url = str(body["token"]), str(body["url"])
        except (KeyError, IndexError, TypeError, AttributeError):
            return Reply(code=INVALID)
        try:
            endpoints = await self._peer.discover(url, token)
        except PeerError as error:
            self._peer.on_note(f"{party} cannot register behind us: {error}")
            return Reply(code=UNUSABLE_API)
        if ("sessions", "RECEIVER") not in endpoints or ("chargingprofiles", "SENDER") not in endpoints:
            return Reply(code=NO_MATCHING_ENDPOINT)
        self.scsp = Registration(token, party, url, (party,), endpoints)
        self.token_a, self._token_in = "", self._peer.ids.token(48)
        self._peer.on_note(f"{party} has registered behind us")
        return Reply(self._own_credentials())

    def _own_credentials(self) -> dict[str, Any]:
        return {**self._peer.own_credentials(), "token": self._token_in or self.token_a, "url": self.versions_url}

    async def _order(self, request: Request, body: Any) -> Reply:
        """Give an order of the SCSP to the CSO under the CSO's id, and answer with the CSO's answer."""
        own_id = request.path_params["session_id"]
        session_id = next((theirs for theirs, ours in self._own_ids.items() if ours.casefold() == own_id.casefold()), None)
        told = body if isinstance(body, dict) else {}
        response_url = told.get("response_url") if request.method == "PUT" else request.query_params.get("response_url")
        duration = request.query_params.get("duration", "")
        wrong = request.method == "PUT" and not isinstance(told.get("charging_profile"), dict)
        if not isinstance(response_url, str) or wrong or (request.method == "GET" and not duration.isdigit()):
            return Reply(code=INVALID)
        if self.scsp is not None and (reason := self._peer.refusal(response_url, self.scsp.home)):
            self._peer.find("address_refused", f"response_url: {reason}")
            return Reply(code=INVALID)
        if session_id is None:
            return Reply({"result": "UNKNOWN_SESSION", "timeout": 0})
        try:
            if request.method == "PUT":
                order = await self._peer.send_plan(session_id, told["charging_profile"])
            elif request.method == "GET":
                order = await self._peer.get_active(session_id, int(duration))
            else:
                order = await self._peer.delete(session_id)
        except PeerError:
            return Reply({"result": "REJECTED", "timeout": 0})
        if order.answer.get("result") == ACCEPTED:
            self._start(self._hand_on_result(order, response_url))
        return Reply(order.answer or None, code=SUCCESS if order.answer else CLIENT_ERROR)

    async def _hand_on_result(self, order: SentOrder, response_url: str) -> None:
        if await self._peer.wait_until(lambda: order.result is not None, _WAIT_S):
            await self._send("POST", response_url, order.result or {})

    def _told(self, module: str, object_id: str, raw: dict[str, Any], patch: bool) -> None:
        """Hand a session on under our id and our name, in the order of its coming."""
        if module != "sessions" or self.scsp is None:
            return
        own_id, party = self.own_id(object_id), self._peer.party
        names = {"id": own_id, "country_code": party.country_code, "party_id": party.party_id}
        body = raw | {name: value for name, value in names.items() if name in raw}
        url = join(self.scsp.endpoints["sessions", "RECEIVER"], party.country_code, party.party_id, own_id)
        self._in_turn(self._send("PATCH" if patch else "PUT", url, body))

    def _pushed(self, push: ReceivedPush) -> None:
        """Hand a push on under our id."""
        if self.scsp is not None and push.session_id in self._own_ids:
            own_id = quote(self._own_ids[push.session_id], safe="")
            self._in_turn(self._send("PUT", join(self.scsp.endpoints["chargingprofiles", "SENDER"], own_id), push.profile))

    def _in_turn(self, work: Coroutine[Any, Any, None]) -> None:
        before = self._last

        async def turn() -> None:
            try:
                if before is not None:
                    await asyncio.wait([before])
                await work
            finally:
                work.close()

        self._last = self._start(turn())

    async def _send(self, method: str, url: str, body: dict[str, Any]) -> None:
        if self.scsp is None:
            return
        try:
            await self._peer.request(method, url, self.scsp.token, self.scsp.home, body, self.scsp.party, "none")
        except PeerError as error:
            self._peer.find("not_handed_on", str(error))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

"""A mock MSP (role EMSP): owns tokens and authorizes them, commands, sets preferences and profiles, receives sessions and CDRs.

What it finds wrong with the CSO is computed from raw JSON and headers, and decides nothing. `python -m bench.peers.msp` runs it.
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":  # the imports take a second, in which Ctrl-C is not to end in a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.routing import Route

from bench.adapters.ocpi_client import AddressBook
from bench.peers.answer import Answer
from bench.peers.books import SentOrder
from bench.peers.misbehave import Misbehaviour
from bench.peers.peer import Peer, open_peer
from bench.peers.proxy import ProfileProxy
from bench.peers.routes import Reply, Row
from bench.ports import Clock, IdSource
from bench.wire.ocpi.checks_objects import check_object
from bench.wire.ocpi.transport import VERSIONS, PartyId, join
from bench.wire.ocpi.types import utc_text

UNKNOWN_TOKEN: Final = 2004
TOO_LITTLE: Final = 2002
MOST_LISTED: Final = 50
"""Tokens on one page (X-Limit)."""


class MockMsp(Peer):
    """One platform with one party of role EMSP; `tokens` are its own."""

    ROLE: ClassVar = "EMSP"
    NAME: ClassVar = "mock MSP"
    PARTY: ClassVar = PartyId("NL", "MSP")
    LOGICAL_URL: ClassVar = "http://msp.bench"
    MODULES: ClassVar = (
        ("tokens", "SENDER"), ("sessions", "RECEIVER"), ("cdrs", "RECEIVER"), ("locations", "RECEIVER"), ("tariffs", "RECEIVER"),
        ("commands", "SENDER"), ("chargingprofiles", "SENDER"),
    )  # fmt: skip

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.allowed: dict[str, str] = {}
        """What a real-time authorization answers by token uid; ALLOWED where nothing stands here."""
        self.needs_location: set[str] = set()
        """Tokens that are not authorized without a location (2002)."""
        self.authorizations: list[tuple[str, Any]] = []
        """Token uid and LocationReferences (or None) of each request for authorization."""
        self.proxy = ProfileProxy(self)

    @property
    def tokens(self) -> dict[str, dict[str, Any]]:
        """Return our Token objects by uid."""
        return self.objects["tokens"]

    def add_token(self, uid: str, *, kind: str = "RFID", whitelist: str = "ALLOWED", **fields: Any) -> dict[str, Any]:
        """Own a token from now on; it is not told to anybody yet."""
        token = {
            "country_code": self.party.country_code, "party_id": self.party.party_id, "uid": uid, "type": kind,
            "contract_id": f"{self.party.country_code}-{self.party.party_id}-{uid}"[:36], "issuer": self._name, "valid": True,
            "whitelist": whitelist, "last_updated": utc_text(self.now()), **fields,
        }  # fmt: skip
        self.tokens[uid] = token
        return token

    async def push_token(self, uid: str) -> Answer:
        """PUT one of our tokens to the CSO. Raises PeerError."""
        return await self._tell_token("PUT", uid, self.tokens[uid])

    async def patch_token(self, uid: str, **changes: Any) -> Answer:
        """Change one of our tokens and PATCH it at the CSO. Raises PeerError."""
        changes = {**changes, "last_updated": utc_text(self.now())}
        self.tokens[uid] |= changes
        return await self._tell_token("PATCH", uid, changes)

    async def read_token(self, uid: str) -> Any:
        """Return a token of ours as the CSO has it, None where it has none; find what differs. Raises PeerError."""
        answer = await self.call("GET", self.token_url(uid))
        data = answer.raw.get("data") if answer.ok else None
        own = self.tokens[uid]
        if isinstance(data, dict):
            other = sorted(name for name, value in own.items() if name != "last_updated" and data.get(name) != value)
            if other:
                self.find("token_differs", f"the CSO holds token {uid} with another {', '.join(other)}")
        return data

    async def command(self, name: str, **body: Any) -> SentOrder:
        """POST a command; the order returned has the synchronous answer, its result follows. Raises PeerError."""
        subject = str(body.get("session_id") or body.get("location_id") or body.get("reservation_id") or "")
        return await self.order(name, subject, join(self.endpoint("commands", "RECEIVER"), name), body, {})

    async def start_session(self, uid: str, location_id: str, **fields: Any) -> SentOrder:
        """Command START_SESSION with one of our tokens."""
        return await self.command("START_SESSION", token=self.tokens[uid], location_id=location_id, **fields)

    async def stop_session(self, session_id: str) -> SentOrder:
        """Command STOP_SESSION."""
        return await self.command("STOP_SESSION", session_id=session_id)

    def own_rows(self) -> list[Row]:
        """Return the routes of the tokens module."""
        root = f"/ocpi/{self.version}/tokens"
        return [(root, self._list_tokens, ("GET",), True), (f"{root}/{{uid}}/authorize", self._authorize, ("POST",), True)]

    def extra_routes(self) -> list[Route]:
        """Return the routes for an SCSP behind us."""
        return self.proxy.routes()

    async def aclose(self) -> None:
        """End what is under way."""
        await self.proxy.aclose()
        await super().aclose()

    async def _tell_token(self, method: str, uid: str, body: Mapping[str, Any]) -> Answer:
        return await self.call(method, self.token_url(uid), body)

    def token_url(self, uid: str) -> str:
        """Return where the CSO keeps one of our tokens. Raises PeerError."""
        owner = (self.party.country_code, self.party.party_id)
        return f"{join(self.endpoint('tokens', 'RECEIVER'), *owner, quote(uid, safe=''))}?type={self.tokens[uid]['type']}"

    async def _list_tokens(self, request: Request, body: Any) -> Reply:
        query, rows = request.query_params, sorted(self.tokens.values(), key=lambda one: str(one["last_updated"]))
        begin, end = query.get("date_from"), query.get("date_to")
        rows = [one for one in rows if (not begin or one["last_updated"] >= begin) and (not end or one["last_updated"] < end)]
        offset, limit = _number(query.get("offset"), 0), min(_number(query.get("limit"), MOST_LISTED), MOST_LISTED)
        headers = {"x-total-count": str(len(rows)), "x-limit": str(MOST_LISTED)}
        if offset + limit < len(rows):
            kept = "".join(f"&{name}={query[name]}" for name in ("date_from", "date_to") if name in query)
            headers["link"] = f'<{self.root}/tokens?offset={offset + limit}&limit={limit}{kept}>; rel="next"'
        return Reply(rows[offset : offset + limit], headers=headers)

    async def _authorize(self, request: Request, body: Any) -> Reply:
        """Real-time authorization: 404 and 2004 for a token that is not ours, 2002 where the location is missing."""
        uid, kind = request.path_params["uid"], request.query_params.get("type", "RFID")
        if body is not None:
            self.found(check_object("location_references", body, self.version), f"authorize {uid}")
        self.authorizations.append((uid, body))
        same = (one for one in self.tokens.values() if one["uid"].casefold() == uid.casefold() and one["type"] == kind)
        token = next(same, None)
        if token is None:
            self.on_note(f"authorize {uid}: unknown")
            return Reply(code=UNKNOWN_TOKEN, status=404)
        if token["uid"] in self.needs_location and body is None:
            self.on_note(f"authorize {uid}: a location is needed")
            return Reply(code=TOO_LITTLE)
        word = self.allowed.get(token["uid"], "ALLOWED" if token["valid"] else "BLOCKED")
        self.on_note(f"authorize {uid}: {word}")
        self.changed()
        answer: dict[str, Any] = {"allowed": word, "token": token, "authorization_reference": self.ids.token(12)}
        if word == "ALLOWED" and isinstance(body, dict):
            answer["location"] = body
        return Reply(answer)


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else default


def open_msp(
    clock: Clock, ids: IdSource, addresses: AddressBook, *, host: str = "127.0.0.1", port: int = 0, base_url: str = "",
    party: PartyId | None = None, version: str = VERSIONS[0], habits: Misbehaviour | None = None,
    allow_hosts: Sequence[str] = (),
) -> AbstractAsyncContextManager[MockMsp]:  # fmt: skip
    """Serve a mock MSP; see `open_peer`."""
    return open_peer(
        MockMsp, clock, ids, addresses, host=host, port=port, base_url=base_url, party=party, version=version, habits=habits,
        allow_hosts=allow_hosts,
    )  # fmt: skip


if __name__ == "__main__":
    from bench.peers.command import msp_main

    sys.exit(msp_main())

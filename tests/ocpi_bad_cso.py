"""A small CSO with one ACTIVE session, sound unless bugs are switched on: those that implementations were seen to have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bench.adapters.clock import LoopClock
from bench.adapters.http_server import open_http_server
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.errors import PeerError
from bench.ports import OcpiTransport
from bench.wire.ocpi.transport import PartyId, decode_token, dump, echo, encode_token, receiver_of, routing, sender_of
from bench.wire.ocpi.types import utc_text
from tests.support import EPOCH

CSO, BASE, TOKEN_A, TIMEOUT_S = PartyId("NL", "BAD"), "http://bad.bench", "token-a-of-the-bad-one", 30
_ROWS: Final = (("credentials", "SENDER"), ("chargingprofiles", "RECEIVER"), ("sessions", "SENDER"), ("tariffs", "SENDER"),
                ("tokens", "RECEIVER"), ("commands", "RECEIVER"))  # fmt: skip


class BadCso:
    """`bugs` are names; what each does stands where it is looked for."""

    def __init__(self, version: str, transport: OcpiTransport, *bugs: str) -> None:
        self.version, self.bugs, self._transport = version, set(bugs), transport
        self.clock = LoopClock(EPOCH)
        self.tokens: list[str] = []
        """Those that open us, the newest last."""
        self.limits: list[float] = []
        """Each limit that was set."""
        self.commands: list[str] = []
        """The name of each command that came."""
        self.stopped: list[str] = []
        """The id of each session that was to be stopped."""
        self.profile: dict[str, Any] | None = None
        self._own_token, self._peer_root, self._party = "", "", PartyId("XX", "XXX")
        self._busy = asyncio.Lock()
        self._ids, self._tasks = 0, set[asyncio.Task[None]]()
        now = utc_text(self.clock.now())
        self.session: dict[str, Any] = {
            "country_code": "NL", "party_id": "BAD", "id": "S-ABCdef", "start_date_time": now,
            "kwh": "1" if "text_kwh" in bugs else 1.0, "auth_method": "WHITELIST",
            "cdr_token": {"country_code": "NL", "party_id": "BAD", "uid": "T", "type": "RFID", "contract_id": "NL-BAD-T"},
            "location_id": "L", "evse_uid": "E-1", "connector_id": "1", "currency": "EUR", "status": "ACTIVE",
            "last_updated": now,
        }  # fmt: skip

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(routes=[Route("/{path:path}", self._serve, methods=["GET", "PUT", "POST", "PATCH", "DELETE"])])

    async def aclose(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        module = request.url.path.rstrip("/").split("/")[3:4]
        functional = bool(module) and module != ["credentials"]
        if f"mute {request.method} {module[0] if module else request.url.path.rpartition('/')[2]}" in self.bugs:
            await asyncio.sleep(60)  # longer than anybody waits; what was asked for is done all the same
        owed = echo(headers, CSO, functional=functional)
        if "no_echo" in self.bugs:
            owed.pop("x-request-id", None)
        if "not_swapped" in self.bugs and functional:
            owed |= routing(sender_of(headers), receiver_of(headers))
        if "no_routing" in self.bugs:
            owed = {name: value for name, value in owed.items() if not name.startswith("ocpi-")}
        if "blocked" in self.bugs:
            async with self._busy:
                pass
        status, raw, more = await self._answer(request, decode_token(headers.get("authorization")) or "", module)
        if "no_timestamp" not in self.bugs:
            raw = {**raw, "timestamp": utc_text(self.clock.now())}
        if "holds_connection" in self.bugs and module == ["chargingprofiles"]:
            held = {"content-length": str(len(dump(raw)))}
            return StreamingResponse(self._held(dump(raw)), status, owed | held, media_type="application/json")
        return Response(dump(raw), status, {**owed, **more}, media_type="application/json")

    async def _held(self, content: bytes) -> AsyncIterator[bytes]:
        """Give a whole response, and keep its connection until what it has begun is done."""
        yield content
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, request: Request, token: str, module: list[str]) -> tuple[int, dict[str, Any], dict[str, str]]:
        known = token in self.tokens[-1:] or (not self.tokens and token == TOKEN_A)
        if not known or (module not in ([], ["credentials"]) and not self.tokens):
            if "mute to strangers" in self.bugs:
                await asyncio.sleep(60)
            return (403 if "forbidden" in self.bugs else 401), {"status_code": 2000}, {}
        content = await request.body()
        try:
            body = orjson.loads(content) if content else None
        except orjson.JSONDecodeError:
            return (200, {"status_code": 2001}, {}) if "not_json_is_200" in self.bugs else (400, {"status_code": 2001}, {})
        path = request.url.path.rstrip("/").split("/")
        if module == ["credentials"]:
            return *(await self._credentials(request.method, body)), {}
        if module == ["chargingprofiles"]:
            return *self._order(request, path[-1], body), {}
        if module in (["sessions"], ["tariffs"]):
            return self._list(module[0], request)
        if module == ["tokens"]:
            return 200, {"status_code": 1000}, {}
        if module == ["commands"]:
            return *self._command(path[-1], body or {}), {}
        root = f"{BASE}/ocpi/{self.version}"
        if path[-1] == "versions":
            return 200, {"status_code": 1000, "data": [{"version": self.version, "url": root}]}, {}
        rows = [{"identifier": name, "role": role, "url": f"{root}/{name}"} for name, role in _ROWS]
        if "credentials_receiver" in self.bugs:
            rows[0]["role"] = "RECEIVER"
        rows = rows[1:] if "no_credentials" in self.bugs else rows[:-1] if "no_commands" in self.bugs else rows
        return 200, {"status_code": 1000, "data": {"version": self.version, "endpoints": rows}}, {}

    async def _credentials(self, method: str, body: Any) -> tuple[int, dict[str, Any]]:
        role = {"role": "CPO", "party_id": "BAD", "country_code": "NL", "business_details": {"name": "bad"}}
        roles = [role, role | {"party_id": "BD2"}] if "two_parties" in self.bugs else [role]
        if method == "POST" and "wants_website" in self.bugs:
            rows = [{"type": "missing", "loc": ["body", "roles", 0, "website"], "msg": "Field required", "input": body}]
            return 422, {"detail": rows}
        if method == "POST" and "repeats_token" in self.bugs:
            return 200, {"status_code": 2001, "status_message": f"{body['token']} is no token that we like"}
        if method == "POST" and self.tokens and "silent" in self.bugs:
            await asyncio.sleep(60)
        if method == "DELETE":
            self.tokens = [] if "token_survives" not in self.bugs else self.tokens
            return 200, {"status_code": 1000}
        if method == "POST" and self.tokens and "registers_twice" not in self.bugs:
            return 405, {"status_code": 2000}
        if method in ("POST", "PUT"):
            self._own_token, party = body["token"], body["roles"][0]
            self._party = PartyId(party["country_code"], party["party_id"])
            self._peer_root = body["url"].removesuffix("/versions") + f"/{self.version}"
            for url in () if "no_fetch" in self.bugs else (body["url"], self._peer_root):
                await self._call("GET", url, functional=False)
            if method == "POST" or "same_token" not in self.bugs:
                self.tokens.append(f"token-c-{len(self.tokens)}-of-bad" + "\n" * ("newline" in self.bugs))
            if method == "POST":
                where = "sessions/NL/BAD/" + self._id(self.session["id"])
                self._start(self._call("PUT", f"{self._peer_root}/{where}", self.session))
        return 200, {"status_code": 1000, "data": {"token": self.tokens[-1], "url": f"{BASE}/ocpi/versions", "roles": roles}}

    def _list(self, module: str, request: Request) -> tuple[int, dict[str, Any], dict[str, str]]:
        stamp = utc_text(self.clock.now())
        extra = {"tax_included": "NO"} if self.version == "2.3.0" else {}
        element = {"price_components": [{"type": "ENERGY", "price": "0.3" if "text_price" in self.bugs else 0.3, "step_size": 1}]}
        tariffs = [
            {"country_code": "NL", "party_id": "BAD", "id": f"T-{number}", "currency": "EUR", "elements": [element],
             "last_updated": stamp, **extra} for number in range(2)
        ]  # fmt: skip
        rows = [self.session] if module == "sessions" else tariffs
        offset, limit = (int(request.query_params.get(name, usual)) for name, usual in (("offset", 0), ("limit", 50)))
        headers = {"x-limit": "50"} | ({} if "no_count" in self.bugs else {"x-total-count": str(len(rows))})
        if offset + limit < len(rows) and "no_link" not in self.bugs:
            headers["link"] = f'<{BASE}/ocpi/{self.version}/{module}?offset={offset + limit}&limit={limit}>; rel="next"'
        return 200, {"status_code": 1000, "data": rows[offset : offset + limit]}, headers

    def _order(self, request: Request, session_id: str, body: Any) -> tuple[int, dict[str, Any]]:
        method, query = request.method, request.query_params
        told = body if isinstance(body, dict) else {}
        response_url = told.get("response_url") if method == "PUT" else query.get("response_url")
        wrong = not response_url or (method == "GET" and "duration" not in query)
        wrong |= method == "PUT" and "takes_all" not in self.bugs and _is_wrong(told)
        if set(query) - {"duration", "response_url"}:
            wrong = True
        if wrong:
            return (422, {"detail": []}) if "http_422" in self.bugs else (200, {"status_code": 2001})
        same = session_id.casefold() == self.session["id"].casefold()
        if not same or ("exact_ids" in self.bugs and session_id != self.session["id"]):
            if "unknown_is_put" in self.bugs and method != "PUT":
                return 200, {"status_code": 1000, "data": {"result": "ACCEPTED", "timeout": TIMEOUT_S}}
            if "unknown_is_404" in self.bugs and method == "GET":
                return 404, {"status_code": 2000}
            if "unknown_is_2000" in self.bugs:
                return 200, {"status_code": 2000, "data": {"result": "REJECTED", "timeout": 0}}
            return 200, {"status_code": 1000, "data": {"result": "UNKNOWN_SESSION", "timeout": 0}}
        if method == "PUT" and "rejects_puts" in self.bugs:
            return 200, {"status_code": 1000, "data": {"result": "REJECTED", "timeout": 0}}
        self._start(self._carry_out(method, str(response_url), told))
        data: Any = {"result": "ACCEPTED", "timeout": 300 if "promises_long" in self.bugs else TIMEOUT_S}
        if "no_timeout" in self.bugs:
            del data["timeout"]
        return 200, {"status_code": 1000, "data": [data] if "wrapped" in self.bugs else data}

    def _command(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer a command, and begin it."""
        self.commands.append(name)
        answer, result = "ACCEPTED", "ACCEPTED"
        if "commands_404" in self.bugs:
            return 404, {"status_code": 2000}
        if "no_reservations" in self.bugs and name in ("RESERVE_NOW", "CANCEL_RESERVATION"):
            answer = "NOT_SUPPORTED"
        elif body.get("location_id", "L") != "L" and "any_location" not in self.bugs:
            if "location_422" in self.bugs:
                return 422, {"detail": []}
            if "location_rejected" not in self.bugs:
                return 200, {"status_code": 2003, "data": {"result": "REJECTED", "timeout": 0}}
            answer = "REJECTED"
        elif body.get("session_id", self.session["id"]) != self.session["id"]:
            answer = "REJECTED" if "stop_rejected" in self.bugs else "UNKNOWN_SESSION"
        elif name == "CANCEL_RESERVATION":
            answer = "REJECTED" if "cancel_rejected" in self.bugs else "ACCEPTED"
            result = "ACCEPTED" if "cancels_all" in self.bugs else "DONE" if "odd_word" in self.bugs else "UNKNOWN_RESERVATION"
        if name == "STOP_SESSION":
            self.stopped.append(body["session_id"])
        if answer == "ACCEPTED" and name == "START_SESSION" and "starts_nothing" not in self.bugs:
            self.session |= {"id": "S-Started", "cdr_token": self.session["cdr_token"] | {"uid": body["token"]["uid"]}}
            where = f"sessions/NL/BAD/{self.session['id']}"
            self._start(self._call("PUT", f"{self._peer_root}/{where}", dict(self.session)))
        if answer == "ACCEPTED" and "command_silent" not in self.bugs:
            self._start(self._command_result(body["response_url"], result))
        data: dict[str, Any] = {"result": answer, "timeout": TIMEOUT_S}
        if "no_command_timeout" in self.bugs:
            del data["timeout"]
        return 200, {"status_code": 1000, "data": data}

    async def _command_result(self, response_url: str, word: str) -> None:
        if "command_late" in self.bugs:
            await asyncio.sleep(TIMEOUT_S + 5)
        if "command_elsewhere" in self.bugs:
            response_url = response_url.rpartition("/")[0] + "/"
        for _ in range(1 + ("command_twice" in self.bugs)):
            await self._call("POST", response_url, {"result": word})

    async def _carry_out(self, method: str, response_url: str, told: dict[str, Any]) -> None:
        if "nothing" in self.bugs or ("no_put" in self.bugs and method == "PUT"):
            return
        result = self._result(method, told.get("charging_profile"))
        if "late" in self.bugs or ("very_late" in self.bugs and method == "PUT"):
            await asyncio.sleep(TIMEOUT_S + (5 if "late" in self.bugs else 20))
        if "takes_long" in self.bugs:
            await asyncio.sleep(190)
        if "cut_query" in self.bugs:
            response_url = response_url.partition("?")[0]
        if "cut_path" in self.bugs:
            response_url = response_url.rpartition("/")[0] + "/"
        async with self._busy if "blocked" in self.bugs else nullcontext():
            status = await self._call("POST", response_url, result)
        if "retries" in self.bugs and status >= 500:
            await asyncio.sleep(5)
            await self._call("POST", response_url, result)
        if "twice" in self.bugs:
            await self._call("POST", response_url, result)
        if method == "PUT" and "no_push" not in self.bugs:
            where = ("activechargingprofile/" if "wrong_push" in self.bugs else "") + self._id(self.session["id"])
            await self._call("PUT", f"{self._peer_root}/chargingprofiles/{where}", self._active())

    def _result(self, method: str, profile: dict[str, Any] | None) -> dict[str, Any]:
        word = "ACCEPTED"
        if method == "PUT" and profile is not None:
            if "no_put_works" in self.bugs or ("one_put" in self.bugs and self.profile is not None):
                word = "REJECTED"
            else:
                self.profile = profile
                self.limits += [one["limit"] for one in profile["charging_profile_period"]]
        if method == "DELETE":
            found, self.profile = self.profile is not None, None
            word = "ACCEPTED" if found else "UNKNOWN"
            if "inverted" in self.bugs:
                word = "REJECTED" if found else "ACCEPTED"
        return {"result": word} | ({"profile": self._active()} if method == "GET" and "no_profile" not in self.bugs else {})

    def _active(self) -> dict[str, Any]:
        now = utc_text(self.clock.now())
        limit = self.profile["charging_profile_period"][0]["limit"] if self.profile else 16.0
        limit = 16.0 if "ignores" in self.bugs else limit + 0.15 if "decimals" in self.bugs and self.profile else limit
        periods = [{"start_period": 0, "limit": limit}]
        active = {"start_date_time": now, "charging_rate_unit": "A", "duration": 600, "charging_profile_period": periods}
        return {"start_date_time": now, "charging_profile": active}

    def agree(self, token: str, peer_token: str, peer_root: str, party: PartyId) -> None:
        """Take a registration that was made by hand."""
        self.tokens, self._own_token, self._peer_root, self._party = [token], peer_token, peer_root, party

    def change(self) -> None:
        """Push what limits the session, as after a change at the station."""
        where = f"{self._peer_root}/chargingprofiles/{self.session['id']}"
        self._start(self._call("PUT", where, self._active()))

    async def _call(self, method: str, url: str, body: Any = None, *, functional: bool = True) -> int:
        self._ids += 1
        token = encode_token(self._own_token + "\n" * ("sends_newline" in self.bugs))
        headers = {"authorization": token, "content-type": "application/json"}
        headers |= {"x-request-id": f"r-{self._ids}", "x-correlation-id": f"c-{self._ids}"}
        headers |= routing(CSO, self._party) if functional and "no_routing" not in self.bugs else {}
        if "no_request_id" in self.bugs:
            del headers["x-request-id"]
        try:
            return (await self._transport.request(method, url, headers, b"" if body is None else dump(body), 60))[0]
        except PeerError:
            return 0

    def _id(self, session_id: str) -> str:
        return session_id.lower() if "lower_ids" in self.bugs else session_id

    def _start(self, work: Any) -> None:
        async def soon() -> None:
            try:
                await asyncio.sleep(0.01)
                await work
            finally:
                work.close()  # it never began where we were closed first

        task = asyncio.create_task(soon())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_wrong(told: dict[str, Any]) -> bool:
    periods = told.get("charging_profile", {}).get("charging_profile_period", [])
    starts = [one["start_period"] for one in periods]
    return not starts or starts[0] != 0 or sorted(set(starts)) != starts


@asynccontextmanager
async def open_bad_cso(version: str, addresses: AddressBook, *bugs: str) -> AsyncIterator[BadCso]:
    """Serve it at its logical address."""
    async with open_transport(addresses) as transport:
        cso = BadCso(version, transport, *bugs)
        async with open_http_server(cso.app()) as server:
            with addresses.entry(BASE, server):
                try:
                    yield cso
                finally:
                    await cso.aclose()

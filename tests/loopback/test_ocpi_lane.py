"""A PUT of a charging profile is answered alike, past FastAPI's routing and through it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from bench.cso.ocpi import profile_routes
from bench.cso.ocpi.app import ocpi_app
from bench.cso.ocpi.gate import Message, Receive, Scope, Send
from bench.cso.ocpi.reading import JsonRoute
from bench.wire.ocpi.transport import encode_token, routing
from tests.ocpi_rig import PROFILE, open_ocpi_rig

pytestmark = pytest.mark.virtual

SOUND = json.dumps({"charging_profile": PROFILE, "response_url": "http://scsp.bench/ocpi/callbacks/1"})
ELSEWHERE = json.dumps({"charging_profile": PROFILE, "response_url": "http://elsewhere.bench/1"})
JSON = {"content-type": "application/json"}


async def answered(session: str, body: str, headers: dict[str, str], method: str = "PUT") -> tuple[Any, ...]:
    """Return status, headers and body of the answer, and what the station was sent."""
    async with open_ocpi_rig() as rig:
        known = await rig.session()
        url = f"{rig.scsp.endpoint('chargingprofiles', 'RECEIVER')}/{session.format(known)}"
        given = {"authorization": encode_token(rig.scsp.cso().token), **routing(rig.scsp.party, rig.cpo.platform.own), **headers}
        status, back, text = await rig.transport.request(method, url, given, body.encode(), 10)
        await asyncio.sleep(30)  # of virtual time: the order is carried out
        return status, back, json.loads(text), rig.stations.sent("SetChargingProfile")


@pytest.mark.parametrize(
    ("session", "body", "headers"),
    [
        ("{}", SOUND, JSON),
        ("{}/", SOUND, {}),
        ("{}", SOUND, {"content-type": "application/json; charset=utf-8"}),
        ("{}", SOUND, {"content-type": "text/plain"}),
        ("S-%31", SOUND, JSON),
        ("S-1", SOUND, JSON),
        ("{}/more", SOUND, JSON),
        ("{}", "", JSON),
        ("{}", "{", JSON),
        ("{}", "{}", JSON),
        ("{}", SOUND.replace("16", "NaN"), JSON),
        ("{}", ELSEWHERE, JSON),
        ("{}", SOUND.replace('"start_period": 0', '"start_period": "0"'), JSON),
        ("{}", SOUND.replace('"start_period": 0', '"start_period": 0.0'), JSON),
    ],
)
async def test_both_ways_answer_alike(
    monkeypatch: pytest.MonkeyPatch, session: str, body: str, headers: dict[str, str]
) -> None:
    """Status, headers, body, and what reaches the station: sound or not, the quick way makes no difference."""
    quick = await answered(session, body, headers)
    monkeypatch.setattr(profile_routes, "_LANE", re.compile("(?!)"))
    assert await answered(session, body, headers) == quick


async def test_a_body_that_goes_on_is_read_to_its_end() -> None:
    """Its first part alone would be a sound PUT; the whole is no JSON, and nothing of it is done."""
    async with open_ocpi_rig() as rig:
        session_id = await rig.session()
        (platform,) = rig.cpo.platform.registry.platforms
        parts, answer = [SOUND.encode(), b"}"], list[Message]()

        async def receive() -> Message:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Message) -> None:
            answer.append(message)

        authorization = (b"authorization", encode_token(platform.token_in).encode())
        path = f"/ocpi/{platform.version}/chargingprofiles/{session_id}"
        scope = {"type": "http", "method": "PUT", "path": path, "query_string": b"", "headers": [authorization]}
        await ocpi_app(rig.cpo.platform)(scope, receive, send)
        await asyncio.sleep(30)
        assert (answer[0]["status"], rig.stations.sent("SetChargingProfile")) == (400, [])


async def test_a_sound_put_goes_past_the_routing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The routes are not asked at all."""
    handle, asked = JsonRoute.handle, list[str]()

    async def noted(route: JsonRoute, scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await handle(route, scope, receive, send)

    monkeypatch.setattr(JsonRoute, "handle", noted)
    status, _, envelope, sent = await answered("{}", SOUND, JSON)
    assert (status, envelope["data"]["result"], len(sent)) == (200, "ACCEPTED", 1)
    assert asked
    assert not [path for path in asked if "/chargingprofiles/" in path]


@pytest.mark.parametrize("lane", [True, False])
async def test_a_defect_of_the_bench_is_told_in_the_form_of_ocpi(monkeypatch: pytest.MonkeyPatch, lane: bool) -> None:
    """HTTP 500 with an envelope, the ids and the parties, on either way; the failure itself is not swallowed."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with open_ocpi_rig() as rig:
        answer: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": SOUND.encode(), "more_body": False}

        async def send(message: Message) -> None:
            answer.append(message)

        if not lane:
            monkeypatch.setattr(profile_routes, "_LANE", re.compile("(?!)"))
        session_id = await rig.session()
        monkeypatch.setattr(rig.cpo.platform.orders, "decide", broken)
        (platform,) = rig.cpo.platform.registry.platforms
        headers = [(b"authorization", encode_token(platform.token_in).encode()), (b"x-request-id", b"R-1")]
        path = f"/ocpi/{platform.version}/chargingprofiles/{session_id}"
        scope = {"type": "http", "method": "PUT", "path": path, "query_string": b"", "headers": headers}
        with pytest.raises(ZeroDivisionError):
            await ocpi_app(rig.cpo.platform)(scope, receive, send)
        start, content = answer
        assert (start["status"], json.loads(content["body"])["status_code"]) == (500, 3000)
        assert (b"x-request-id", b"R-1") in start["headers"]

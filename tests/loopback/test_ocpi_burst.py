"""Many requests at once, right and broken ones, on a platform with a store: each is answered, and the store stays whole."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from bench.adapters.json_store import JsonStore
from bench.adapters.ocpi_client import open_transport
from bench.wire.ocpi.transport import encode_token
from tests.ocpi_rig import PROFILE, OcpiRig, open_ocpi_rig

CONNECTIONS, EACH = 20, 10
TOKEN: dict[str, Any] = {
    "country_code": "NL", "party_id": "SCP", "type": "RFID", "contract_id": "C1", "issuer": "I", "valid": True,
    "whitelist": "ALWAYS", "last_updated": "2026-01-01T00:00:00Z",
}  # fmt: skip
Ask = tuple[str, str, Any, str]
"""Method, path, body, and whose token: ours, or a stranger's."""


def _asks(session_id: str, uid: str) -> list[Ask]:
    """Return one request of each kind."""
    profile = {"charging_profile": PROFILE, "response_url": "http://scsp.bench/ocpi/callbacks/1"}
    place, since = f"chargingprofiles/{session_id}", "date_from=2026-01-01T00:00:00Z"
    asks: list[tuple[str, str, Any]] = [
        ("GET", f"sessions?{since}", None), ("GET", "locations?limit=1", None), ("GET", f"sessions?{since}&limit=none", None),
        ("PUT", f"tokens/NL/SCP/{uid}", TOKEN | {"uid": uid}), ("PUT", f"tokens/NL/SCP/{uid}", TOKEN | {"uid": "OTHER"}),
        ("PATCH", f"tokens/NL/SCP/{uid}", {"valid": False, "last_updated": "2026-01-02T00:00:00Z"}),
        ("PUT", place, profile), ("PUT", place, {"charging_profile": {}}), ("PUT", "chargingprofiles/S-0", profile),
        ("GET", f"{place}?duration=60&response_url=http://scsp.bench/ocpi/callbacks/2", None), ("GET", place, None),
        ("DELETE", f"{place}?response_url=http://scsp.bench/ocpi/callbacks/3", None),
        ("POST", "commands/STOP_SESSION", {"session_id": session_id, "response_url": "http://scsp.bench/ocpi/callbacks/4"}),
        ("PUT", place, b'{"charging_profile": '), ("PUT", place, b"\xff\x00"), ("PUT", place, b"[" * 5000),
        ("PUT", place, b" " * 1_100_000), ("POST", "credentials", {}), ("PUT", "credentials", {"token": "x", "url": "nowhere"}),
        ("GET", "nothing", None), ("TRACE", "sessions", None),
    ]  # fmt: skip
    return [*((*one, "ours") for one in asks), ("GET", "locations", None, "a-strangers"), ("PUT", place, profile, "a-strangers")]


async def _one_connection(rig: OcpiRig, session_id: str, number: int, tokens: dict[str, str], statuses: list[int]) -> None:
    """Send some requests one after another, on a connection of their own."""
    asks = Random(number).sample(_asks(session_id, f"T{number}"), EACH - 1)
    asks.insert(0, ("PUT", f"tokens/NL/SCP/T{number}", TOKEN | {"uid": f"T{number}"}, "ours"))
    async with open_transport(rig.addresses) as transport:
        for method, path, body, whose in asks:
            headers = {"authorization": encode_token(tokens[whose]), "x-request-id": "r", "x-correlation-id": "c"}
            content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
            headers |= {"content-type": "application/json"} if content else {}
            status, _, text = await transport.request(method, f"http://cso.bench/ocpi/2.3.0/{path}", headers, content, 20)
            assert isinstance(orjson.loads(text)["status_code"], int)
            statuses.append(status)


@pytest.mark.virtual
async def test_a_burst_of_mixed_requests_is_answered_one_and_all(tmp_path: Path) -> None:
    """status codes: no 5xx, no hang; what was told is kept once all is over, and somebody who comes after has it."""
    store, statuses = JsonStore(tmp_path / "ocpi.json"), list[int]()
    async with open_ocpi_rig(store=store) as rig:
        session_id = await rig.session()
        tokens = {"ours": rig.cpo.platform.registry.platforms[0].token_in, "a-strangers": "nobody-gave-this-out"}
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number in range(CONNECTIONS):
                group.create_task(_one_connection(rig, session_id, number, tokens, statuses))
        headers = {"authorization": encode_token(tokens["ours"])}
        assert (await rig.transport.request("GET", rig.cpo.versions_url, headers, b"", 10))[0] == 200
    assert len(statuses) == CONNECTIONS * EACH
    assert set(statuses) <= {200, 201, 400, 401, 404, 405, 413}
    kept = store.load_rows("token").values()
    assert sorted(one["uid"] for one in kept) == sorted(f"T{number}" for number in range(CONNECTIONS))
    async with open_ocpi_rig(register=False, store=store) as rig:
        assert [one.token_in for one in rig.cpo.platform.registry.platforms] == [tokens["ours"]]

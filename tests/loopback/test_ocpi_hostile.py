"""What a hostile peer sends beyond OCPI's fields: it is refused or kept, and never breaks what the platform writes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.json_store import JsonStore
from bench.wire.ocpi.transport import CORRELATION_ID, REQUEST_ID, encode_token
from tests.ocpi_rig import OcpiRig, open_ocpi_rig

pytestmark = pytest.mark.virtual

TOKEN: dict[str, Any] = {
    "country_code": "NL", "party_id": "SCP", "uid": "T1", "type": "RFID", "contract_id": "C1", "issuer": "I", "valid": True,
    "whitelist": "ALWAYS", "last_updated": "2026-01-01T00:00:00Z",
}  # fmt: skip


async def _send(rig: OcpiRig, method: str, body: str = "") -> tuple[int, Any]:
    """Send a request about the token T1 as the registered SCSP; return HTTP status and envelope."""
    token = rig.cpo.platform.registry.platforms[0].token_in
    headers = {"authorization": encode_token(token), REQUEST_ID: "1", CORRELATION_ID: "2"}
    url = rig.cpo.versions_url.replace("/versions", "/2.3.0/tokens/NL/SCP/T1")
    status, _, text = await rig.transport.request(method, url, headers, body.encode(), 10)
    return status, json.loads(text)


@pytest.mark.parametrize(
    ("extra", "code"),
    [("1" + "0" * 30, 1000), ('"\\ud800"', 2001), ('{"\\ud800": 1}', 2001), ("NaN", 2001), ("[" * 300 + "]" * 300, 2001)],
    ids=["huge-number", "half-a-pair", "half-a-pair-as-name", "nan", "deep"],
)
async def test_no_unknown_field_breaks_what_is_kept(tmp_path: Path, extra: str, code: int) -> None:
    """Status codes: 2001 for what could not be written again; what was taken is given back and survives a restart."""
    async with open_ocpi_rig(store=JsonStore(tmp_path / "ocpi.json")) as rig:
        status, told = await _send(rig, "PUT", json.dumps(TOKEN)[:-1] + f', "x": {extra}}}')
        assert (status, told["status_code"]) == (201 if code == 1000 else 200, code)
        status, told = await _send(rig, "GET")
        assert status == (200 if code == 1000 else 404)
        assert code != 1000 or told["data"]["x"] == 1e30
        await rig.session()  # which saves the state once more
    saved = JsonStore(tmp_path / "ocpi.json").load_rows("token")
    assert [one["uid"] for one in saved.values()] == ["T1"] * (code == 1000)

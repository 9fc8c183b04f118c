"""No token is told where others read it: not in the journal, on the console, in answers, or in what Python says of failures."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.journal import open_journal
from bench.adapters.journal_reader import read_journal
from bench.adapters.json_store import JsonStore
from bench.settings.ocpi import OcpiSettings
from bench.wire.ocpi.transport import encode_token
from tests.ocpi_rig import PROFILE, OcpiRig, open_ocpi_rig, rig_settings
from tests.support import EPOCH

pytestmark = pytest.mark.virtual

TOKEN_A = "token-a-of-the-rig-file"
STRANGE = "token-of-a-stranger-0815"
NEW = ("new-token-b-unreachable", "new-token-b-userinfo", "new-token-b-wrong-url", "new-token-b-no-json", "new token-b-blank")
"""Tokens in credentials that are refused, each for another reason."""
ODD = (
    rb'{"\u0074oken": "odd-token-4711", ', rb'{"token": ["odd-token-4711"], ', rb'{"token": {"odd-token-4711": 1}, ',
    rb'{"Token": "odd-token-4711", ', rb"token=odd-token-4711&",
)  # fmt: skip
"""How credentials begin in which the token stands otherwise than it should."""
ASIDE = ("pass-word-of-a-url", "token-in-a-query", "key-in-a-query")


async def _send(rig: OcpiRig, method: str, path: str, authorization: str, body: bytes = b"") -> bytes:
    headers = {"authorization": authorization, "x-request-id": "1", "x-correlation-id": "2", "content-type": "application/json"}
    return (await rig.transport.request(method, f"http://cso.bench/ocpi{path}", headers, body, 10))[2]


async def _trouble(rig: OcpiRig) -> bytes:
    """Do all that goes wrong with tokens; return what was answered."""
    (platform,) = rig.cpo.platform.registry.platforms
    own, answers = platform.token_in, b""
    basic = f"Basic {base64.b64encode(STRANGE.encode()).decode()}"
    for header in (STRANGE, f"Token {STRANGE}", encode_token(STRANGE), basic, own):
        answers += await _send(rig, "GET", f"/2.3.0/tariffs?token={own}&access_token={ASIDE[1]}", header)
    urls = (f"http://127.0.0.1:1/v?api_key={ASIDE[2]}", f"http://usr:{ASIDE[0]}@scsp.bench/v", 5, "", "http://scsp.bench/")
    for token, url in zip(NEW, urls, strict=True):
        body = orjson.dumps(rig.scsp.own_credentials() | {"token": token, "url": url})
        answers += await _send(rig, "PUT", "/2.3.0/credentials", encode_token(own), body if url != "" else body[:-2])
    for begin in ODD:
        body = begin + orjson.dumps({"url": "http://scsp.bench/", "roles": []})[1:]
        for method, header in (("PUT", encode_token(own)), ("POST", encode_token(STRANGE))):
            answers += await _send(rig, method, "/2.3.0/credentials", header, body)
    for response_url in (f"http://usr:{ASIDE[0]}@scsp.bench/x", f"http://scsp.bench/x?token={ASIDE[1]}"):
        body = orjson.dumps({"charging_profile": PROFILE, "response_url": response_url})
        await _send(rig, "PUT", f"/2.3.0/chargingprofiles/{await rig.session(response_url)}", encode_token(own), body)
    return answers


def _told(where: bytes, secrets: Sequence[str]) -> list[str]:
    forms = {one: (one.encode(), base64.b64encode(one.encode()).rstrip(b"=")[:-1]) for one in secrets}
    return [one for one, written in forms.items() if any(form in where for form in written)]


@pytest.mark.parametrize("breaks", [False, True], ids=["refused", "failed"])
async def test_no_token_is_told_whatever_goes_wrong(
    breaks: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """transport, Authorization header: wrong tokens, refused credentials, addresses with passwords and queries, a defect of
    the bench: as it is and in Base64."""
    caplog.set_level(logging.DEBUG)
    clock, ocpi = LoopClock(EPOCH), OcpiSettings.model_validate({"token_a": TOKEN_A})
    settings = rig_settings().model_copy(update={"ocpi": ocpi})
    with open_journal(tmp_path / "journal.jsonl", clock, b"key") as journal:
        async with open_ocpi_rig(journal, clock, settings=settings, store=JsonStore(tmp_path / "ocpi.json")) as rig:
            (platform,) = rig.cpo.platform.registry.platforms
            secrets = (TOKEN_A, STRANGE, platform.token_in, platform.token_out, *NEW, *ASIDE, "odd-token-4711")
            if breaks:

                def broken(*args: Any) -> None:
                    raise RuntimeError("a defect")

                monkeypatch.setattr(rig.cpo.platform.handshake, "renew", broken)
            answers = await _trouble(rig)
    said = capfd.readouterr()
    assert breaks == ("a defect" in caplog.text)
    assert _told((tmp_path / "journal.jsonl").read_bytes(), secrets) == []
    assert _told((said.out + said.err + caplog.text).encode(), secrets) == []
    assert _told(answers, [one for one in secrets if one not in ASIDE]) == []
    assert (tmp_path / "ocpi.json").stat().st_mode & 0o777 == 0o600  # it alone holds them, for its owner


@pytest.mark.parametrize("word", ["ACCEPTED", "charging_profile"])
async def test_a_peer_whose_token_is_a_word_takes_no_evidence_away(word: str, tmp_path: Path) -> None:
    """transport, Authorization header: its order and the result can be read; where it is the token, it is hidden."""
    path, clock = tmp_path / "journal.jsonl", LoopClock(EPOCH)
    with open_journal(path, clock, b"key") as journal:
        async with open_ocpi_rig(journal, clock, register=False) as rig:
            rig.scsp.token_b = word
            await rig.scsp.register(rig.cpo.versions_url, rig.cpo.token_a)
            assert (await rig.placed())[1] == "ACCEPTED"
    told = [one.data for one in read_journal(path).documents if one.kind == "ocpi.request"]
    assert any("charging_profile" in orjson.loads(one["body"]) for one in told if "/chargingprofiles/S-" in one["url"])
    assert {"result": "ACCEPTED"} in [orjson.loads(one["body"]) for one in told if "/callbacks/" in one["url"]]
    assert [one["headers"] for one in told if word in one["headers"]["authorization"]] == []
    assert [one for one in told if one["url"].endswith("credentials") and word in one["body"]] == []

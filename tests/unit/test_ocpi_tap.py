"""What of a token reaches the journal: nothing, however a body of the credentials is written, and whatever the token is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.journal import open_journal
from bench.adapters.journal_reader import read_journal
from bench.adapters.ocpi_tap import OcpiTap
from bench.wire.ocpi.transport import encode_token
from tests.support import FakeClock

SECRET = "31415926535"
CREDENTIALS = "http://cso.bench/ocpi/2.3.0/credentials"
SESSION = "http://cso.bench/ocpi/2.3.0/sessions/NL/BEN/S-1"
KNOWN = "3f1c9a52-7d04-4b6e-9a3d-0c5e8b7f2a61"


class Tapped:
    """A tap and what it wrote."""

    def __init__(self, path: Path, tap: OcpiTap) -> None:
        self._path, self.tap = path, tap

    def text(self) -> str:
        """Return the journal as it stands on the disk."""
        return self._path.read_text()

    def shown(self) -> dict[str, Any]:
        """Return the newest document's data."""
        return read_journal(self._path).documents[-1].data

    def request(self, url: str, body: str | bytes, token: str = "stranger", *, incoming: bool = True) -> dict[str, Any]:
        """Let a request pass; return its document."""
        content = body.encode() if isinstance(body, str) else body
        self.tap.request(incoming, "POST", url, {"authorization": encode_token(token)}, content)
        return self.shown()


@pytest.fixture
def tapped(tmp_path: Path, clock: FakeClock) -> Iterator[Tapped]:
    """Return a tap that writes to a file and knows one token."""
    path = tmp_path / "journal.jsonl"
    with open_journal(path, clock, b"key") as journal:
        tap = OcpiTap(journal, "NL-BEN")
        tap.learn(KNOWN)
        yield Tapped(path, tap)


ODD = (
    r'{"\u0074oken": "31415926535"}', '{"token": ["31415926535"]}', '{"token": 31415926535}', '{"token": {"is": "31415926535"}}',
    '{"Token": "31415926535"}', '[{"access_token": "31415926535"}]', '{"roles": [{"api_key": "31415926535"}]}',
    '{"token": "a", "token": {"b": "31415926535"}, "token": "c"}', '{"token": 31415926535', '{"token": "31415926535',
    "token=31415926535", "{'token': '31415926535'}", "<token>31415926535</token>", '{"token": t31415926535}',
)  # fmt: skip


@pytest.mark.parametrize("url", [CREDENTIALS, f"{CREDENTIALS}/", f"{CREDENTIALS}?x=1", SESSION])
@pytest.mark.parametrize("body", ODD)
def test_no_token_of_a_stranger_is_shown(tapped: Tapped, url: str, body: str) -> None:
    """credentials, POST: with escapes in its key, in a list or an object, as a number, under another name, without JSON."""
    tapped.request(url, body)
    assert SECRET not in tapped.text()


@pytest.mark.parametrize("incoming", [False, True])
@pytest.mark.parametrize("body", ODD)
def test_no_token_in_credentials_is_shown(tapped: Tapped, body: str, incoming: bool) -> None:
    """credentials, PUT and its response: also those of a known peer, either way."""
    tapped.request(CREDENTIALS, body, KNOWN, incoming=incoming)
    tapped.tap.response(1, 200, CREDENTIALS, {}, body.encode())
    assert SECRET not in tapped.text()


def test_the_rest_of_odd_credentials_is_evidence(tapped: Tapped) -> None:
    """Who it was and what was wrong can be read: the key is there, and that its value was an object."""
    shown = tapped.request(CREDENTIALS, '{"token": {"is": "x"}, "url": "http://peer/v", "roles": [{"role": "SCSP"}], "n": 1.50}')
    value = json.loads(shown["body"])
    assert value == {"token": {"(hidden)": 1}, "url": "http://peer/v", "roles": [{"role": "SCSP"}], "n": 1.5}


def test_a_body_without_json_is_told_by_its_length(tapped: Tapped) -> None:
    """Of a stranger, and of credentials; a known peer's is evidence as it is."""
    assert tapped.request(SESSION, "abc=1")["body"] == "(no JSON, 5 bytes)"
    assert tapped.request(CREDENTIALS, "abc=1", KNOWN)["body"] == "(no JSON, 5 bytes)"
    assert tapped.request(SESSION, "abc=1", KNOWN)["body"] == "abc=1"
    assert tapped.request(CREDENTIALS, "")["body"] == ""


def test_a_long_body_of_a_stranger_is_not_read(tapped: Tapped) -> None:
    """Anybody can send any number of them, and to read one takes its time; 500 bytes of a shorter one are kept."""
    assert tapped.request(CREDENTIALS, "[" * 20_000)["body"] == "(20000 bytes)"
    assert tapped.request(SESSION, f"[{'1,' * 400}1]")["body"].endswith("… (803 bytes)")


def test_who_has_no_token_is_a_stranger(tapped: Tapped) -> None:
    """An empty token is nobody's, whoever tells it."""
    tapped.tap.learn("")
    assert tapped.request(SESSION, "abc=1", "")["body"] == "(no JSON, 5 bytes)"


def test_header_and_credentials_show_the_same_hash(tapped: Tapped) -> None:
    """So that an exchange can be followed to the registration that its token is of, be the token a good one or not."""
    for token in (KNOWN, "peer-b"):
        tapped.tap.learn(token)
        shown = tapped.request(CREDENTIALS, json.dumps({"token": token}), token)
        assert shown["headers"]["authorization"] == f"Token {json.loads(shown['body'])['token']}"
        assert token not in tapped.text()


WORDS = ("ACCEPTED", "charging_profile", "SetChargingProfile", '"limit":16.0,"start', "2026-11-27T09:09:04Z")


@pytest.mark.parametrize("token", WORDS)
def test_a_token_that_is_a_word_spoils_no_evidence(tapped: Tapped, token: str) -> None:
    """Transport, Authorization header: any 64 characters may be a token; it is hidden where it is one, and nowhere else."""
    tapped.tap.learn(token)
    body = json.dumps({"result": token, "token": token})
    shown = tapped.request(SESSION, body, token)
    value = json.loads(shown["body"])
    assert value["result"] == token
    assert value["token"].startswith("hmac:")
    assert shown["headers"]["authorization"] == f"Token {value['token']}"


def test_a_token_drawn_at_random_is_hidden_wherever_it_stands(tapped: Tapped) -> None:
    """Also in Base64, as in headers."""
    tapped.request(SESSION, json.dumps({"a": f"x{KNOWN}y", "b": encode_token(KNOWN)}), KNOWN)
    assert KNOWN not in tapped.text()
    assert encode_token(KNOWN).split()[1] not in tapped.text()


def test_a_known_peer_with_a_short_token_is_no_stranger(tapped: Tapped) -> None:
    """Its bodies are kept whole."""
    tapped.tap.learn("short")
    assert tapped.request(SESSION, json.dumps("x" * 1000), "short")["body"] == json.dumps("x" * 1000)

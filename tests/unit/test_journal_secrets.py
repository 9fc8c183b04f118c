"""Secrets in odd places of a journal: settings of a station, keys with escapes, lists and numbers in place of texts."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from bench.adapters.redact import Redactor

SECRET = "31415926"


def written(text: str) -> tuple[bytes, Any]:
    """Return the document with a text, and the JSON within that text."""
    body = Redactor(b"key")(orjson.dumps({"data": {"raw": text, "after": 1}}))
    data = orjson.loads(body)["data"]
    assert data["after"] == 1
    return body, orjson.loads(data["raw"])


@pytest.mark.parametrize(
    "payload",
    [
        {"attributeValue": SECRET, "variable": {"name": "basicAuthPASSWORD"}},
        {"attributeValue": SECRET, "variable": {"name": "BASICAUTHPASSWORD"}},
        {"apn": {"apnPassword": SECRET}},
        {"apn": {"simPin": int(SECRET)}},
        {"vpn": {"key": SECRET}},
    ],
)
def test_secrets_of_a_station_are_replaced(payload: dict[str, object]) -> None:
    """Whatever the case of the variable's name, and a number too."""
    frame = orjson.dumps([2, "a", "SetNetworkProfile" if "variable" not in payload else "SetVariables", payload]).decode()
    assert SECRET.encode() not in written(frame)[0]


@pytest.mark.parametrize(
    "payload",
    [
        {"idToken": {"idToken": "x", "additionalInfo": [{"additionalIdToken": SECRET, "type": "a"}]}},
        {"token": {"uid": SECRET, "type": "RFID"}, "location_id": "L"},
        {"data": [{"uid": SECRET, "type": "RFID", "whitelist": "NEVER"}]},
    ],
    ids=["OCPP, a second one", "OCPI, in a command", "OCPI, in a list"],
)
def test_a_card_is_replaced_where_its_token_lacks_something(payload: dict[str, object]) -> None:
    """A Token without its contract_id is refused, and names a card all the same."""
    assert SECRET.encode() not in written(json.dumps(payload))[0]


def test_the_uid_of_an_evse_stays() -> None:
    """It is no card, and verdicts need it."""
    assert b"CS-1-1" in written(json.dumps({"evses": [{"uid": "CS-1-1"}], "tokens": 3, "name": "whitelist"}))[0]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (r'{"\u0074oken": "31415926", "b": "\u0074oken"}', "token"),
        (r'{"\u0074\u006F\u006b\u0065\u006e" : "31415926", "b": "\u0074oken"}', "token"),
        (r'{"i\u0064Token": "31415926", "b": "\u0074oken"}', "idToken"),
        (r'{"\u0061uthorization": "31415926", "b": "\u0074oken"}', "authorization"),
        (r'{"cdr_\u0074oken": "x", "\u0075id": "31415926", "b": "\u0074oken"}', "uid"),
    ],
)
@pytest.mark.parametrize("deeper", [False, True])
def test_a_key_with_escapes_is_the_key_that_it_stands_for(text: str, key: str, deeper: bool) -> None:
    """JSON allows `\\u0074oken`: its value is hashed as that of `token`, and no other escape is touched."""
    body, value = written(json.dumps(text) if deeper else text)
    value = orjson.loads(value) if deeper else value
    assert SECRET.encode() not in body
    assert value[key] == written(json.dumps({"token": SECRET}))[1]["token"]
    assert rb"\u0074oken" in body


def test_escapes_elsewhere_stay_as_they_are() -> None:
    """Evidence is what the peer wrote: other keys, values, and what only looks like an escape."""
    text = r'{"\u006eame": "\u0074oken", "\\u0074oken": "v"}'
    assert orjson.loads(Redactor(b"key")(orjson.dumps({"data": {"raw": text}})))["data"]["raw"] == text


@pytest.mark.parametrize(
    "value", [f'["{SECRET}"]', f'["a","{SECRET}"]', f'[ [1,"]{SECRET}"] , {{"a\\"":"{SECRET}"}} ]', f"[{SECRET}]"]
)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_list_in_place_of_a_secret_is_one_hash(value: str, depth: int) -> None:
    """Whatever stands in it, at any depth of JSON inside JSON; what follows it stays."""
    text = f'{{"token": {value}, "b": ["{SECRET[:4]}"]}}'
    for _ in range(depth):
        text = json.dumps(text)
    body, found = written(text)
    for _ in range(depth):
        found = orjson.loads(found)
    assert SECRET.encode() not in body
    assert [one[:5] for one in found["token"]] == ["hmac:"]
    assert found["b"] == [SECRET[:4]]


def test_a_list_that_was_cut_off_leaks_nothing() -> None:
    """It ends where its text ends."""
    body = Redactor(b"key")(orjson.dumps({"data": {"raw": f'{{"token": ["{SECRET}", "x', "after": [1]}}))
    assert SECRET.encode() not in body
    assert orjson.loads(body)["data"]["after"] == [1]


@pytest.mark.parametrize("number", ["31415926", "-3.1415926e7"])
def test_a_number_in_place_of_a_secret_is_zero(number: str) -> None:
    """As a station with a card's number, or a peer with a numeric token, would write it."""
    assert written(f'{{"idToken": {number},"b": 5}}')[1] == {"idToken": 0, "b": 5}


@pytest.mark.parametrize("value", [None, True, {"a": 1}, [], ""])
def test_what_is_no_secret_stays(value: object) -> None:
    """An object has keys of its own; nothing is hidden in nothing."""
    assert written(json.dumps({"token": value}))[1]["token"] == value

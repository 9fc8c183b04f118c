"""Secrets of SetVariables and SetNetworkProfile in the frames of a journal."""

from __future__ import annotations

import orjson
import pytest

from bench.adapters.redact import Redactor


@pytest.mark.parametrize(
    "payload",
    [
        {"attributeValue": "31415926", "variable": {"name": "basicAuthPASSWORD"}},
        {"attributeValue": "31415926", "variable": {"name": "BASICAUTHPASSWORD"}},
        {"apn": {"apnPassword": "31415926"}},
        {"apn": {"simPin": 31415926}},
        {"vpn": {"key": "31415926"}},
    ],
)
def test_secrets_of_a_station_are_replaced(payload: dict[str, object]) -> None:
    """Whatever the case of the variable's name, and a number too."""
    frame = orjson.dumps([2, "a", "SetNetworkProfile" if "variable" not in payload else "SetVariables", payload]).decode()
    body = Redactor(b"key")(orjson.dumps({"data": {"raw": frame}}))
    assert b"31415926" not in body
    orjson.loads(orjson.loads(body)["data"]["raw"])

"""Our own OCPI objects, read by the models and written again: nothing is lost, known or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from bench.wire.ocpi.checks_fields import Table
from bench.wire.ocpi.checks_objects import tables
from bench.wire.ocpi.clients import ClientInfo
from bench.wire.ocpi.commands import CancelReservation, ReserveNow, StartSession, StopSession, UnlockConnector
from bench.wire.ocpi.credentials import Credentials
from bench.wire.ocpi.profiles import ActiveChargingProfile, SetChargingProfile
from bench.wire.ocpi.sessions import ChargingPreferences
from bench.wire.ocpi.tokens import AuthorizationInfo, LocationReferences, Token
from bench.wire.ocpi.transport import VERSIONS
from bench.wire.ocpi.types import OcpiModel

FIXTURES = Path(__file__).parents[2] / "fixtures/ocpi"
MODELS: Final[dict[str, type[OcpiModel]]] = {
    "active_charging_profile": ActiveChargingProfile, "authorization": AuthorizationInfo,
    "cancel_reservation": CancelReservation, "client_info": ClientInfo, "credentials": Credentials,
    "location_references": LocationReferences, "preferences": ChargingPreferences, "reserve_now": ReserveNow,
    "set_charging_profile": SetChargingProfile, "start_session": StartSession, "stop_session": StopSession, "token": Token,
    "unlock_connector": UnlockConnector,
}  # fmt: skip
OPEN: Final = {
    "authorization": ("allowed",), "client_info": ("role", "status"), "preferences": ("profile_type",),
    "token": ("type", "whitelist"),
}  # fmt: skip
"""Enums of what the CPO receives."""


def _fixture(version: str, name: str) -> Any:
    return json.loads((FIXTURES / version / f"{name}.json").read_text())


def _absent(raw: Any, table: Table, path: str) -> list[str]:
    """Return the fields of a table that no object of a list has, at every level."""
    found = []
    for name, _, kind in table:
        values = [one[name] for one in raw if name in one]
        if not values:
            found.append(f"{path}.{name}")
        elif isinstance(kind, tuple):
            inner = [one for value in values for one in (value if isinstance(value, list) else [value])]
            found += _absent(inner, kind, f"{path}.{name}")
    return found


def test_each_field_of_the_tables_stands_in_a_fixture() -> None:
    """types, class: but for three that would contradict what else the object says."""
    for version in VERSIONS:
        absent = [one for name, table in tables(version).items() for one in _absent([_fixture(version, name)], table, name)]
        assert absent == ["location.publish_allowed_to", "session.end_date_time", "cdr.credit_reference_id"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_an_object_comes_back_as_it_was(version: str, name: str) -> None:
    """types, class: read and written: the same JSON, in both versions."""
    raw = _fixture(version, name)
    assert MODELS[name].model_validate(raw).plain() == raw


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_unknown_fields_come_back_at_every_level(version: str, name: str) -> None:
    """Transport, Non-specified JSON fields (2.3.0); the same for peers of 2.2.1."""

    def extended(value: Any) -> Any:
        if isinstance(value, list):
            return [extended(one) for one in value]
        return {**{key: extended(one) for key, one in value.items()}, "flux": {"x": [1]}} if isinstance(value, dict) else value

    raw = extended(_fixture(version, name))
    assert MODELS[name].model_validate(raw).plain() == raw


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "field"), [(name, field) for name, fields in OPEN.items() for field in fields])
def test_unknown_values_of_enums_come_back(version: str, name: str, field: str) -> None:
    """Types, OpenEnum (2.3.0): other values are legal, and are kept."""
    raw = _fixture(version, name) | {field: "SOMETHING_NEW"}
    assert MODELS[name].model_validate(raw).plain() == raw

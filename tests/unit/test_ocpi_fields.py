"""The models beside the tables of the specification, which know nothing of one another: what is required, and how long it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel, ValidationError

from bench.wire.ocpi import checks
from bench.wire.ocpi.checks_objects import check_object, tables
from bench.wire.ocpi.profiles import ChargingProfile
from bench.wire.ocpi.tariffs import tariff_as
from bench.wire.ocpi.transport import VERSIONS
from tests.unit.test_ocpi_checks_objects import PROFILES
from tests.unit.test_ocpi_fixtures import MODELS

FIXTURES = Path(__file__).parents[2] / "fixtures/ocpi"
RECEIVED: Final = sorted(set(MODELS) & set(tables("2.3.0")))
"""Objects that the CPO reads."""
LONGEST: Final[dict[str, dict[str, int]]] = {
    "token": {"uid": 36, "contract_id": 36, "issuer": 64, "group_id": 36, "language": 2, "country_code": 2, "party_id": 3},
    "client_info": {"country_code": 2, "party_id": 3},
    "credentials": {"token": 64},
    "authorization": {"authorization_reference": 36},
    "location_references": {"location_id": 36},
    "start_session": {"location_id": 36, "evse_uid": 36, "connector_id": 36, "authorization_reference": 36},
    "stop_session": {"session_id": 36},
    "reserve_now": {"reservation_id": 36, "location_id": 36, "evse_uid": 36, "authorization_reference": 36},
    "cancel_reservation": {"reservation_id": 36},
    "unlock_connector": {"location_id": 36, "evse_uid": 36, "connector_id": 36},
}
LENGTHS: Final = [(name, field, longest) for name, fields in LONGEST.items() for field, longest in fields.items()]
PROFILE: Final = {"charging_rate_unit": "A", "charging_profile_period": [{"start_period": 0, "limit": 16.0}]}


def _fixture(version: str, name: str) -> Any:
    return json.loads((FIXTURES / version / f"{name}.json").read_text())


def _taken(name: str, raw: Any) -> bool:
    try:
        MODELS[name].model_validate(raw)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RECEIVED)
def test_a_model_requires_what_the_table_requires(version: str, name: str) -> None:
    """types, class: object descriptions, Card.: 1 and + must be there, ? and * may be absent or null."""
    raw = _fixture(version, name)
    for field, cardinality, _ in tables(version)[name]:
        without = {key: value for key, value in raw.items() if key != field}
        if name == "start_session" and field == "evse_uid":
            without.pop("connector_id")  # a connector needs its EVSE
        assert _taken(name, without) == (cardinality not in "1+"), field
        assert _taken(name, without | {field: None}) == (cardinality not in "1+"), field


@pytest.mark.parametrize(("name", "field", "longest"), LENGTHS)
def test_a_text_is_as_long_as_its_type(name: str, field: str, longest: int) -> None:
    """types, string, CiString, URL: object descriptions, Type: string(n) and CiString(n); the model and the table draw the
    line at the same place."""
    for version in VERSIONS:
        for length, right in ((longest, True), (longest + 1, False)):
            raw = _fixture(version, name) | {field: "x" * length}
            assert _taken(name, raw) is right
            assert (check_object(name, raw, version) == []) is right


@pytest.mark.parametrize("name", ["credentials", "start_session", "set_charging_profile"])
def test_an_url_has_255_characters_at_most(name: str) -> None:
    """types, URL."""
    field = "url" if name == "credentials" else "response_url"
    for length, right in ((255, True), (256, False)):
        url = "http://peer.example/".ljust(length, "x")
        assert _taken(name, _fixture("2.3.0", name) | {field: url}) is right


@pytest.mark.parametrize(
    ("field", "required"),
    [("charging_rate_unit", True), ("charging_profile_period", True), ("start_date_time", False), ("duration", False),
     ("min_charging_rate", False)],
)  # fmt: skip
def test_a_charging_profile_needs_unit_and_periods(field: str, required: bool) -> None:
    """mod_charging_profiles, ChargingProfile; its periods are `*`, but without one there is nothing to set."""
    raw = PROFILE | {"start_date_time": "2026-01-15T00:00:00Z", "duration": 60, "min_charging_rate": 6.0} | {field: None}
    if required:
        with pytest.raises(ValidationError):
            ChargingProfile.model_validate(raw)
    else:
        assert ChargingProfile.model_validate(raw).plain() == {key: value for key, value in raw.items() if value is not None}


@pytest.mark.parametrize("name", ["start_period", "limit"])
def test_a_period_needs_start_and_limit(name: str) -> None:
    """mod_charging_profiles, ChargingProfilePeriod."""
    period = {key: value for key, value in {"start_period": 0, "limit": 16.0}.items() if key != name}
    with pytest.raises(ValidationError):
        ChargingProfile.model_validate(PROFILE | {"charging_profile_period": [period]})


def test_what_a_tariff_of_2_2_1_does_not_say() -> None:
    """mod_tariffs of 2.2.1: prices before VAT alone, no tax_included; where no tax applies (N/A) there is no vat either."""
    tariff = _fixture("2.3.0", "tariff")
    parts = [{"type": "ENERGY", "price": 1.21, "vat": 21.0, "step_size": 1}]
    for included, part in (("YES", {"price": 1.0, "vat": 21.0}), ("NO", {"price": 1.21, "vat": 21.0}), ("N/A", {"price": 1.21})):
        told = tariff_as(tariff | {"tax_included": included, "elements": [{"price_components": parts}]}, "2.2.1")
        assert told["elements"] == [{"price_components": [{"type": "ENERGY", "step_size": 1, **part}]}]
        assert check_object("tariff", told, "2.2.1") == []
        assert "tax_included" not in told


def test_findings_do_not_hang_on_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """types: whatever the models take or refuse, the checks find the same; here the models refuse everything."""

    def findings() -> list[str]:
        found: list[checks.Finding] = []
        for version in VERSIONS:
            for name in sorted(path.stem for path in (FIXTURES / version).glob("*.json")):
                raw = _fixture(version, name)
                for broken in (raw, *({key: value for key, value in raw.items() if key != gone} for gone in raw)):
                    table = "session" if name == "session_patch" else name
                    found += PROFILES[name](raw) if name in PROFILES else check_object(table, broken, version)
        return [f"{one.code}: {one.text}" for one in found]

    def refuse(*args: Any, **options: Any) -> Any:
        raise AssertionError("a model was asked")

    before = findings()
    for name in ("__init__", "model_validate", "model_construct"):
        monkeypatch.setattr(BaseModel, name, refuse)
    assert findings() == before
    assert len(before) > 200

"""The [ocpi] table of a rig file: the location and the tariffs that the bench tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.errors import SettingsError
from bench.settings.base import check
from bench.settings.ocpi import OcpiSettings

DAY_1, DAY_2 = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
ENERGY = {"price_components": [{"type": "ENERGY", "price": 0.25}]}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"location": {"time_zone": "Europe/Nowhere"}}, "time_zone"),
        ({"location": {"latitude": "52"}}, "latitude"),
        ({"tariff": [{"id": "A", "elements": []}]}, "elements"),
        ({"tariff": [{"id": "A", "elements": [ENERGY]}, {"id": "a", "elements": [ENERGY]}]}, "an id of its own"),
        ({"tariff": [{"id": "A", "elements": [ENERGY], "start_date_time": "2026-01-01T00:00:00"}]}, "need an offset"),
        ({"tariff": [{"id": "A", "elements": [ENERGY], "start_date_time": DAY_2, "end_date_time": DAY_1}]}, "must come after"),
        ({"tariff": [{"id": "A", "elements": [{"price_components": [{"type": "ENERGY", "price": -1}]}]}]}, "price"),
        ({"session_update_s": 0}, "session_update_s"),
        ({"token_a": "first peer"}, "1 to 64 printable ASCII characters without blanks"),
        ({"token_a": ""}, "1 to 64 printable"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(content: dict[str, Any], names: str) -> None:
    """Key and reason of what cannot be told to a peer."""
    with pytest.raises(ValidationError, match=names):
        OcpiSettings.model_validate(content)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"public_url": "lab.example"}, "public_url = 'lab.example': must be http:// or https://, a host, and a port where "),
        ({"location": {"latitude": "52"}}, "location.latitude = '52': must be decimal degrees with 5 to 7 decimals, as text"),
        ({"location": {"country": "NL"}}, "location.country = 'NL': must be three capital letters, such as NLD"),
        ({"party_id": "ben"}, "party_id = 'ben': must be three capital letters or digits, such as BEN"),
        ({"allow_hosts": ["a:1"]}, "allow_hosts[0] = 'a:1': must be a host's name or address, without a port"),
    ],
)
def test_what_is_wanted_of_a_text_is_said_in_words(content: dict[str, Any], told: str) -> None:
    """Not by a regular expression."""
    with pytest.raises(SettingsError) as error:
        check(OcpiSettings, content, Path("rig.toml"))
    assert str(error.value).startswith(f"rig.toml: {told}")


def test_a_wrong_price_is_one_error() -> None:
    """The list that it stands in is not said to be too short as well."""
    tariff = {"id": "A", "elements": [{"price_components": [{"type": "ENERGY", "price": -1}]}]}
    with pytest.raises(SettingsError) as error:
        check(OcpiSettings, {"tariff": [tariff]}, Path("rig.toml"))
    wrong = "tariff[0].elements[0].price_components[0].price = -1: must be greater than or equal to 0"
    assert str(error.value) == f"rig.toml: {wrong}"


@pytest.mark.parametrize("url", ["https://cso.lab.example", "http://[2001:db8::1]:9001"])
def test_a_public_url_needs_no_port(url: str) -> None:
    """Without one the usual port of the scheme is meant."""
    assert OcpiSettings(public_url=url).public_url == url


def test_a_tariff_is_written_as_ocpi_has_it() -> None:
    """Elements with components and restrictions, as in mod_tariffs of 2.3.0."""
    rules = {"start_time": "07:00:00", "end_time": "19:00:00", "day_of_week": ["MONDAY"]}
    (tariff,) = OcpiSettings.model_validate({"tariff": [{"id": "A", "elements": [ENERGY | {"restrictions": rules}]}]}).tariff
    restrictions = tariff.elements[0].restrictions
    assert restrictions is not None
    assert (str(restrictions.start_time), restrictions.day_of_week) == ("07:00:00", ("MONDAY",))

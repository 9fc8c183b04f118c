"""Charging preferences of drivers (mod_sessions, Set: Charging Preferences)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS
from tests.ocpi_emsp import Emsp, open_emsp, token
from tests.ocpi_rig import open_ocpi_rig, rig_settings

pytestmark = pytest.mark.virtual

UID = "0123-CARD"
WANTED = {"profile_type": "GREEN", "departure_time": "2026-01-15T08:00:00Z", "energy_need": 20.5, "mood": "good"}


@asynccontextmanager
async def _open(version: str = VERSIONS[0], tariffs: tuple[str | None, ...] = (), **preferences: Any) -> AsyncIterator[Emsp]:
    flat = [{"price_components": [{"type": "FLAT", "price": 1}]}]
    tariff = [{"id": f"T-{number}", "type": kind, "elements": flat} for number, kind in enumerate(tariffs)]
    settings = rig_settings().model_dump(by_alias=True) | {"ocpi": {"preferences": preferences, "tariff": tariff}}
    async with (
        open_ocpi_rig(version=version, settings=RigSettings.model_validate(settings)) as rig,
        open_emsp(rig, version) as emsp,
    ):
        await emsp.tell(token(whitelist="ALWAYS"))
        await rig.stations.present(UID)
        rig.stations.transaction("Started", id_token=UID)
        yield emsp


async def _put(emsp: Emsp, wanted: dict[str, Any]) -> tuple[int, int, Any]:
    session_id = (await emsp.session())["id"]
    status, answer = await emsp.ask("PUT", f"/sessions/{session_id}/charging_preferences", wanted)
    return status, answer["status_code"], answer.get("data")


@pytest.mark.parametrize("version", VERSIONS)
async def test_preferences_are_kept_and_told_to_the_scsp(version: str) -> None:
    """The answer is a bare word; the SCSP gets a field of the session that OCPI does not have, and the eMSP does not."""
    async with _open(version) as emsp:
        assert await _put(emsp, WANTED) == (200, 1000, "ACCEPTED")
        told = await emsp.session()
        (seen,) = emsp.rig.scsp.sessions.values()
        assert seen["charging_preferences"] == WANTED
        assert seen["last_updated"] > told["last_updated"]
        assert "charging_preferences" not in told
        assert emsp.rig.scsp.findings == []


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"profile_type": "FAST"}, "PROFILE_TYPE_NOT_SUPPORTED"),
        ({"departure_time": None}, "DEPARTURE_REQUIRED"),
        ({"energy_need": None}, "ENERGY_NEED_REQUIRED"),
        ({"departure_time": "2026-01-14T08:00:00Z"}, "NOT_POSSIBLE"),
        ({"energy_need": 89.0}, "NOT_POSSIBLE"),
        ({"energy_need": 88.0}, "ACCEPTED"),
    ],
    ids=["type", "no departure", "no energy", "departure has passed", "too much energy", "just enough energy"],
)
async def test_preferences_that_cannot_be_met_are_answered_so(changes: dict[str, Any], due: str) -> None:
    """ChargingPreferencesResponse; 16 A on three phases give 88.3 kWh in 8 h. What was refused is not kept."""
    async with _open(profile_types=["GREEN", "CHEAP"], needs_departure=True, needs_energy=True) as emsp:
        assert await _put(emsp, WANTED | changes) == (200, 1000, due)
        await emsp.session()
        (seen,) = emsp.rig.scsp.sessions.values()
        assert ("charging_preferences" in seen) == (due == "ACCEPTED")


@pytest.mark.parametrize(
    ("tariffs", "supported"),
    [(("REGULAR", "PROFILE_GREEN"), ["GREEN", "REGULAR"]), (("AD_HOC_PAYMENT", None), ["CHEAP", "FAST", "GREEN", "REGULAR"])],
    ids=["by type", "one for all"],
)
async def test_a_profile_type_without_a_tariff_is_not_supported(tariffs: tuple[str | None, ...], supported: list[str]) -> None:
    """mod_sessions, ChargingPreferences object, profile_type: for each that is supported there must be a Tariff."""
    async with _open(tariffs=tariffs) as emsp:
        answers = {kind: (await _put(emsp, {"profile_type": kind}))[2] for kind in ("CHEAP", "FAST", "GREEN", "REGULAR")}
        assert [kind for kind, answer in answers.items() if answer == "ACCEPTED"] == supported
        assert {answer for kind, answer in answers.items() if kind not in supported} <= {"PROFILE_TYPE_NOT_SUPPORTED"}


async def test_nothing_is_required_unless_the_rig_says_so() -> None:
    """profile_type alone is enough."""
    async with _open() as emsp:
        assert await _put(emsp, {"profile_type": "REGULAR"}) == (200, 1000, "ACCEPTED")


async def test_a_session_that_is_over_takes_none() -> None:
    """Preferences are for an ongoing session."""
    async with _open() as emsp:
        emsp.rig.stations.transaction("Ended", id_token=UID)
        assert await _put(emsp, WANTED) == (200, 2001, None)


async def test_nobody_prefers_for_the_customer_of_another() -> None:
    """The session belongs to the eMSP of its token."""
    async with _open() as emsp:
        emsp.rig.stations.transaction("Started", "tx-2", id_token="somebody")
        own = (await emsp.session())["id"]
        other = next(one for one in emsp.rig.scsp.sessions if one != own)
        _, answer = await emsp.ask("PUT", f"/sessions/{other}/charging_preferences", WANTED)
        assert answer["status_code"] == 2001


async def test_an_unknown_session_is_not_found() -> None:
    """404, as for each object that there is not."""
    async with _open() as emsp:
        assert (await emsp.ask("PUT", "/sessions/S-nowhere/charging_preferences", WANTED))[0] == 404


async def test_a_broken_object_is_2001() -> None:
    """profile_type is required."""
    async with _open() as emsp:
        assert (await _put(emsp, {"energy_need": 1}))[1] == 2001


async def test_without_the_setting_no_evse_is_capable() -> None:
    """HTTP 404 with 2001 (ChargingPreferencesResponse)."""
    async with open_ocpi_rig() as rig, open_emsp(rig, VERSIONS[0]) as emsp:
        await emsp.tell(token(whitelist="ALWAYS"))
        await rig.stations.present(UID)
        rig.stations.transaction("Started", id_token=UID)
        assert await _put(emsp, WANTED) == (404, 2001, None)

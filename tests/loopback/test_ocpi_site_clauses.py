"""Locations, tariffs and CDRs, clause by clause (mod_locations, mod_tariffs, mod_cdrs)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.settings.ocpi_site import TariffSettings
from bench.settings.rig import RigSettings
from tests.ocpi_emsp import URL, Emsp, open_emsp, token
from tests.ocpi_rig import STATION, open_ocpi_rig

pytestmark = pytest.mark.virtual

UID = "0123-CARD"
VERSION = "2.2.1"
"""What the versions hold apart is in test_ocpi_site."""
LONG_STREET = "Avenue of the hundred and twenty charging stations 1"
EVENING = {
    "id": "T-1", "type": "REGULAR", "elements": [
        {"price_components": [{"type": "ENERGY", "price": 0.25}], "restrictions": {"end_time": "01:30"}},
        {"price_components": [{"type": "ENERGY", "price": 0.50}]},
    ],
}  # fmt: skip
"""Local times: the tests begin at 01:00 in Amsterdam."""


def _flat(tariff_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": tariff_id, "elements": [{"price_components": [{"type": "FLAT", "price": 1}]}], **fields}


@pytest.fixture
async def emsp() -> AsyncIterator[Emsp]:
    """Return an eMSP that receives CDRs too, registered with a CPO that has tariffs."""
    station = {"id": STATION, "evse": [{"id": 1, "max_current_a": 16}]}
    ocpi = {"location": {"address": LONG_STREET}, "tariff": [EVENING]}
    settings = RigSettings.model_validate({"schema": 1, "name": "test", "station": [station], "ocpi": ocpi})
    async with open_ocpi_rig(version=VERSION, settings=settings) as rig, open_emsp(rig, VERSION) as opened:
        opened.platform.endpoints["cdrs", "RECEIVER"] = f"{URL}/cdrs"
        yield opened


async def _list(emsp: Emsp, path: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await emsp.ask("GET", path))[1]["data"]
    return listed


async def _charged(emsp: Emsp, seconds: int, **fields: Any) -> dict[str, Any]:
    """Charge 1 kWh evenly in so many seconds, with a token of the eMSP; return the CDR of the CPO's list."""
    emsp.rig.stations.transaction("Started", id_token=UID, wh=0, charging_state="Charging", **fields)
    await asyncio.sleep(seconds)
    emsp.rig.stations.transaction("Ended", id_token=UID, wh=1000, charging_state="Charging", **fields)
    await asyncio.sleep(1)
    return (await _list(emsp, "/cdrs"))[-1]


async def test_a_connector_is_as_new_as_its_tariffs(emsp: Emsp) -> None:
    """mod_locations, GET List, last_updated: a Connector that names another tariff is updated, and with it EVSE and Location."""
    await asyncio.sleep(60)
    emsp.rig.cpo.platform.tariffs.put(TariffSettings.model_validate(_flat("T-2", start_date_time="2026-01-15T00:10:00Z")))
    for seconds, ids, at in ((0, ["T-1"], "00:01:00"), (540, ["T-1", "T-2"], "00:10:00")):
        await asyncio.sleep(seconds)
        (location,) = await _list(emsp, f"/locations?date_from=2026-01-15T{at}Z")
        (evse,) = location["evses"]
        (connector,) = evse["connectors"]
        assert connector["tariff_ids"] == ids
        assert [one["last_updated"] for one in (location, evse, connector)] == [f"2026-01-15T{at}Z"] * 3
    await asyncio.sleep(60)
    assert await _list(emsp, "/locations?date_from=2026-01-15T00:10:01Z") == []
    emsp.rig.cpo.platform.tariffs.remove("T-2")
    assert len(await _list(emsp, "/locations?date_from=2026-01-15T00:11:00Z")) == 1


async def test_a_connector_names_one_tariff_of_each_type(emsp: Emsp) -> None:
    """mod_locations, Connector, tariff_ids: those that are valid now, and of each Tariff.type one."""
    put = emsp.rig.cpo.platform.tariffs.put
    for tariff in (
        _flat("T-2", type="REGULAR"), _flat("T-3", type="PROFILE_GREEN"), _flat("T-4"),
        _flat("T-5", type="PROFILE_FAST", end_date_time="2026-01-14T00:00:00Z"),
    ):  # fmt: skip
        put(TariffSettings.model_validate(tariff))
    (location,) = await _list(emsp, "/locations")
    assert location["evses"][0]["connectors"][0]["tariff_ids"] == ["T-1", "T-3", "T-4"]


async def test_a_tariff_that_changes_keeps_its_place_in_the_list(emsp: Emsp) -> None:
    """transport, Paginated Response: in the order of creation; mod_tariffs, GET: by last_updated."""
    tariffs = emsp.rig.cpo.platform.tariffs
    tariffs.put(TariffSettings.model_validate(_flat("T-2")))
    await asyncio.sleep(60)
    tariffs.put(TariffSettings.model_validate(EVENING | {"currency": "SEK"}))
    assert [one["id"] for one in await _list(emsp, "/tariffs")] == ["T-1", "T-2"]
    assert [one["id"] for one in await _list(emsp, "/tariffs?date_from=2026-01-15T00:01:00Z")] == ["T-1"]


async def test_a_session_is_priced_by_the_tariff_for_it(emsp: Emsp) -> None:
    """mod_tariffs, TariffType: REGULAR for a card without preferences, whatever stands before it; else one for all sessions."""
    tariffs, ids = emsp.rig.cpo.platform.tariffs, []
    await emsp.tell(token(whitelist="ALWAYS"))
    await emsp.rig.stations.present(UID)
    adhoc, fast = _flat("T-2", type="AD_HOC_PAYMENT"), _flat("T-4", type="PROFILE_FAST")
    for gone, new in (("", adhoc), ("T-1", _flat("T-3")), ("T-3", fast)):
        tariffs.remove(gone)
        tariffs.put(TariffSettings.model_validate(new))
        cdr = await _charged(emsp, 60, transaction_id=f"tx{gone}")
        ids.append([one["id"] for one in cdr.get("tariffs", [])])
    assert ids == [["T-1"], ["T-3"], []]


async def test_another_price_begins_another_period(emsp: Emsp) -> None:
    """mod_cdrs, ChargingPeriod: at 01:30 local time energy has another price, half-way through the session."""
    await emsp.tell(token(whitelist="ALWAYS"))
    await emsp.rig.stations.present(UID)
    cdr = await _charged(emsp, 3600)
    periods = [(one["start_date_time"][11:16], one["dimensions"][0]["volume"]) for one in cdr["charging_periods"]]
    assert periods == [("00:00", 0.5), ("00:30", 0.5)]
    assert next(iter(cdr["total_cost"].values())) == 0.375


async def test_a_cdr_is_never_changed(emsp: Emsp) -> None:
    """mod_cdrs, Flow and Lifecycle: what is listed later is what was sent, whatever became of the tariff in the meantime."""
    tariffs = emsp.rig.cpo.platform.tariffs
    await asyncio.sleep(60)
    tariffs.put(TariffSettings.model_validate(EVENING | {"currency": "SEK"}))
    await emsp.tell(token(whitelist="ALWAYS"))
    await emsp.rig.stations.present(UID)
    first = await _charged(emsp, 600)
    assert first["tariffs"][0]["last_updated"] == "2026-01-15T00:01:00Z"
    tariffs.put(TariffSettings.model_validate(EVENING))
    assert await _list(emsp, "/cdrs") == [first]
    assert emsp.sessions["/cdrs"] == first


async def test_a_cdr_says_who_charged_and_where(emsp: Emsp) -> None:
    """mod_cdrs, CDR object: id of 36 characters at most, session_id, the last auth_method and reference; CdrLocation: an address
    has 45 characters at most, and one EVSE with one Connector."""
    emsp.rig.stations.answers["RequestStartTransaction"] = {"status": "Accepted"}
    await emsp.command("START_SESSION", token=token(), location_id="test", authorization_reference="ref-1")
    await emsp.result("START_SESSION")
    number = emsp.rig.stations.sent("RequestStartTransaction")[0]["remoteStartId"]
    cdr = await _charged(emsp, 600, remote_start_id=number)
    assert len(cdr["id"]) <= 36
    assert cdr["session_id"] == (await _list(emsp, "/sessions?date_from=2026-01-15T00:00:00Z"))[0]["id"]
    assert (cdr["auth_method"], cdr["authorization_reference"], cdr["cdr_token"]["uid"]) == ("COMMAND", "ref-1", UID)
    place = cdr["cdr_location"]
    assert (place["address"], place["evse_uid"], place["connector_id"]) == (LONG_STREET[:45], "CS-1-1", "1")


async def test_cdrs_are_listed_by_date(emsp: Emsp) -> None:
    """mod_cdrs, Sender Interface, GET: last_updated, which is when the CDR was made; date_from is not required here."""
    await emsp.tell(token(whitelist="ALWAYS"))
    await emsp.rig.stations.present(UID)
    cdr = await _charged(emsp, 600)
    assert cdr["last_updated"] == cdr["end_date_time"] == "2026-01-15T00:10:00Z"
    for query, count in (("date_from=2026-01-15T00:10:00Z", 1), ("date_to=2026-01-15T00:10:00Z", 0), ("offset=1", 0)):
        assert len(await _list(emsp, f"/cdrs?{query}")) == count

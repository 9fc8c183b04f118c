"""Locations, tariffs, measured periods and CDRs of the CPO, in both versions (mod_locations, mod_tariffs, mod_cdrs)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bench.settings.ocpi_site import TariffSettings
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS, encode_token
from tests.ocpi_recorder import Recorder, open_recorder
from tests.ocpi_rig import STATION, OcpiRig, open_ocpi_rig

pytestmark = pytest.mark.virtual

DAY = {
    "id": "DAY", "type": "REGULAR",
    "elements": [
        {"price_components": [{"type": "ENERGY", "price": 0.25, "vat": 20}], "restrictions": {"max_kwh": 1}},
        {"price_components": [{"type": "ENERGY", "price": 0.50, "vat": 20}, {"type": "PARKING_TIME", "price": 6}]},
        {"price_components": [{"type": "FLAT", "price": 1}]},
    ],
    "max_price": {"before_taxes": 50, "after_taxes": 60},
}  # fmt: skip


def _rig(**ocpi: Any) -> RigSettings:
    station = {"id": STATION, "evse": [{"id": 1, "max_current_a": 16}, {"id": 2, "max_current_a": 32, "connectors": 2}]}
    return RigSettings.model_validate({"schema": 1, "name": "test", "station": [station], "ocpi": {"tariff": [DAY], **ocpi}})


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Return each version of OCPI."""
    found: str = request.param
    return found


@pytest.fixture
async def both(version: str) -> AsyncIterator[tuple[OcpiRig, Recorder]]:
    """Return the CPO, and the eMSP that its tokens belong to."""
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(open_ocpi_rig(version=version, settings=_rig(session_update_s=300)))
        registry = rig.cpo.platform.registry
        yield rig, await stack.enter_async_context(open_recorder(registry, rig.addresses, version))


async def _get(rig: OcpiRig, of: Recorder, path: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """GET as a registered platform, by its own version."""
    url = f"http://cso.bench/ocpi/{of.platform.version}/{path}"
    authorization = {"authorization": encode_token(of.platform.token_in)}
    status, headers, text = await rig.transport.request("GET", url, authorization, b"", 10)
    return status, json.loads(text), headers


def _meter(wh: float, **more: float) -> list[dict[str, Any]]:
    """Return one MeterValue: the energy register, and other measurands by name."""
    samples: list[dict[str, Any]] = [{"value": wh}]
    samples += [{"value": value, "measurand": name.replace("_", ".")} for name, value in more.items()]
    return [{"sampledValue": samples}]


async def test_the_location_tells_its_evses(both: tuple[OcpiRig, Recorder]) -> None:
    """Max voltage line to neutral, amperage, power and power type of each connector, and its tariffs (mod_locations)."""
    rig, emsp = both
    _, envelope, headers = await _get(rig, emsp, "locations")
    (location,) = envelope["data"]
    assert (headers["x-total-count"], location["id"], location["publish"]) == ("1", "test", False)
    assert [one["uid"] for one in location["evses"]] == ["CS-1-1", "CS-1-2"]
    first = location["evses"][0]["connectors"][0]
    assert (first["power_type"], first["max_voltage"], first["max_amperage"]) == ("AC_3_PHASE", 230, 16)
    assert (first["max_electric_power"], first["tariff_ids"]) == (11040, ["DAY"])
    assert len(location["evses"][1]["connectors"]) == 2
    assert "CHARGING_PROFILE_CAPABLE" in location["evses"][0]["capabilities"]


async def test_parts_of_a_location_are_given(both: tuple[OcpiRig, Recorder]) -> None:
    """EVSE and Connector by their own paths, without regard to case; what is not there is 404 and 2003 (status codes)."""
    rig, emsp = both
    assert (await _get(rig, emsp, "locations/TEST/cs-1-2"))[1]["data"]["uid"] == "CS-1-2"
    assert (await _get(rig, emsp, "locations/test/CS-1-2/2"))[1]["data"]["id"] == "2"
    for path in ("locations/other", "locations/test/CS-9-1", "locations/test/CS-1-2/3"):
        status, envelope, _ = await _get(rig, emsp, path)
        assert (status, envelope["status_code"]) == (404, 2003)


async def test_a_change_of_status_is_pushed(both: tuple[OcpiRig, Recorder]) -> None:
    """A PATCH of the EVSE with its status and last_updated, once per change (mod_locations, PATCH)."""
    rig, emsp = both
    rig.stations.tell("connected")
    rig.stations.tell("status", evse=1, connector=1, status="Available")
    rig.stations.tell("status", evse=1, connector=1, status="Available")
    rig.stations.transaction("Started", wh=0)
    rig.stations.transaction("Ended", wh=0)
    rig.stations.tell("status", evse=1, connector=1, status="Faulted")
    rig.stations.tell("disconnected")
    await asyncio.sleep(1)
    told = emsp.of("locations")
    assert {(method, path) for method, path, _ in told} == {("PATCH", "locations/NL/BEN/test/CS-1-1")}
    assert [body["status"] for _, _, body in told] == ["AVAILABLE", "CHARGING", "AVAILABLE", "OUTOFORDER", "UNKNOWN"]
    assert all("last_updated" in body for _, _, body in told)


async def test_who_does_not_know_the_location_is_told_it(both: tuple[OcpiRig, Recorder]) -> None:
    """PATCH, transport: what does not exist there is PUT: the Location, for who lacks it has no place for an EVSE."""
    rig, emsp = both
    emsp.refuses = lambda method, path: method == "PATCH" and not any(one == "PUT" for one, _, _ in emsp.received)
    rig.stations.tell("connected")
    for status in ("Available", "Faulted"):
        rig.stations.tell("status", evse=1, connector=1, status=status)
        await asyncio.sleep(1)
    told = [(method, path.removeprefix("locations/NL/BEN/")) for method, path, _ in emsp.of("locations")]
    assert told == [("PATCH", "test/CS-1-1"), ("PUT", "test"), ("PATCH", "test/CS-1-1")]
    location = emsp.of("locations")[1][2]
    assert (location["id"], [one["status"] for one in location["evses"]]) == ("test", ["AVAILABLE", "UNKNOWN"])
    assert rig.found("locations_refused") == []


async def test_a_list_can_be_asked_by_date(both: tuple[OcpiRig, Recorder]) -> None:
    """date_from includes, date_to excludes, by last_updated (transport, pagination)."""
    rig, emsp = both
    for module in ("locations", "tariffs"):
        for query, count in (
            ("date_from=2026-01-15T00:00:00Z", 1), ("date_from=2026-01-15T00:00:01Z", 0), ("date_to=2026-01-15T00:00:00Z", 0),
        ):  # fmt: skip
            assert len((await _get(rig, emsp, f"{module}?{query}"))[1]["data"]) == count, (module, query)


async def test_tariffs_speak_the_words_of_the_version(both: tuple[OcpiRig, Recorder], version: str) -> None:
    """tax_included and PriceLimit are new in 2.3.0; 2.2.1 has a Price there (mod_tariffs)."""
    rig, emsp = both
    (tariff,) = (await _get(rig, emsp, "tariffs"))[1]["data"]
    assert (tariff["country_code"], tariff["party_id"], tariff["id"], tariff["type"]) == ("NL", "BEN", "DAY", "REGULAR")
    first = tariff["elements"][0]
    assert first["price_components"] == [{"type": "ENERGY", "price": 0.25, "vat": 20.0, "step_size": 1}]
    assert first["restrictions"] == {"max_kwh": 1.0}
    assert "restrictions" not in tariff["elements"][1]
    if version == "2.2.1":
        assert ("tax_included" in tariff, tariff["max_price"]) == (False, {"excl_vat": 50.0, "incl_vat": 60.0})
    else:
        assert (tariff["tax_included"], tariff["max_price"]) == ("NO", {"before_taxes": 50.0, "after_taxes": 60.0})


async def test_a_new_tariff_and_its_end_are_pushed(both: tuple[OcpiRig, Recorder]) -> None:
    """PUT of the whole object, DELETE by its id (mod_tariffs, push model)."""
    rig, emsp = both
    night = TariffSettings.model_validate({**DAY, "id": "NIGHT", "type": None})
    rig.cpo.platform.tariffs.put(night)
    rig.cpo.platform.tariffs.remove("NIGHT")
    await asyncio.sleep(1)
    (put, delete) = emsp.of("tariffs")
    assert (put[0], put[1], put[2]["id"]) == ("PUT", "tariffs/NL/BEN/NIGHT", "NIGHT")
    assert delete == ("DELETE", "tariffs/NL/BEN/NIGHT", None)


async def test_connectors_name_the_tariffs_of_now(both: tuple[OcpiRig, Recorder]) -> None:
    """A tariff is told before the Connectors that name it, and withdrawn after them; they are as new as that (mod_locations)."""
    rig, emsp = both
    await asyncio.sleep(60)
    rig.cpo.platform.tariffs.put(TariffSettings.model_validate({**DAY, "id": "NIGHT", "type": None}))
    rig.cpo.platform.tariffs.put(TariffSettings.model_validate({**DAY, "id": "NIGHT", "type": None, "currency": "SEK"}))
    (location,) = (await _get(rig, emsp, "locations?date_from=2026-01-15T00:01:00Z"))[1]["data"]
    evse = location["evses"][0]
    assert evse["connectors"][0]["tariff_ids"] == ["DAY", "NIGHT"]
    assert {one["last_updated"] for one in (location, evse, *evse["connectors"])} == {"2026-01-15T00:01:00Z"}
    await asyncio.sleep(60)
    rig.cpo.platform.tariffs.remove("NIGHT")
    await asyncio.sleep(1)
    told = [(method, path.split("/")[-1], (body or {}).get("connectors")) for method, path, body in emsp.received]
    named = [(method, name, connectors and connectors[0]["tariff_ids"]) for method, name, connectors in told]
    assert named == [
        ("PUT", "NIGHT", None), ("PATCH", "CS-1-1", ["DAY", "NIGHT"]), ("PATCH", "CS-1-2", ["DAY", "NIGHT"]),
        ("PUT", "NIGHT", None), ("PATCH", "CS-1-1", ["DAY"]), ("PATCH", "CS-1-2", ["DAY"]), ("DELETE", "NIGHT", None),
    ]  # fmt: skip


async def test_a_tariff_whose_time_has_come_makes_the_connectors_newer(version: str) -> None:
    """A list by date has them, though nobody has touched anything (transport, pagination)."""
    later = {**DAY, "id": "LATER", "type": None, "start_date_time": "2026-01-15T01:00:00Z"}
    async with (
        open_ocpi_rig(version=version, settings=_rig(tariff=[DAY, later])) as rig,
        open_recorder(rig.cpo.platform.registry, rig.addresses, version) as emsp,
    ):
        for ids, count in ((["DAY"], 0), (["DAY", "LATER"], 1)):
            (location,) = (await _get(rig, emsp, "locations"))[1]["data"]
            assert location["evses"][0]["connectors"][0]["tariff_ids"] == ids
            assert len((await _get(rig, emsp, "locations?date_from=2026-01-15T00:30:00Z"))[1]["data"]) == count
            await asyncio.sleep(3600)


async def test_a_session_is_as_new_as_what_it_says(both: tuple[OcpiRig, Recorder]) -> None:
    """Energy that nobody was told of yet stands in the list, so last_updated does too (mod_sessions, date_from)."""
    rig, emsp = both
    rig.stations.transaction("Started", wh=1000)
    await asyncio.sleep(60)
    rig.stations.transaction("Updated", wh=1500)
    (session,) = (await _get(rig, emsp, "sessions?date_from=2026-01-15T00:01:00Z"))[1]["data"]
    assert (session["kwh"], session["last_updated"]) == (0.5, "2026-01-15T00:01:00Z")
    await asyncio.sleep(60)
    rig.stations.transaction("Updated", wh=1500)
    assert (await _get(rig, emsp, "sessions?date_from=2026-01-15T00:01:01Z"))[1]["data"] == []
    assert [method for method, _, _ in emsp.of("sessions")] == ["PUT"]


async def test_a_session_tells_what_was_measured(both: tuple[OcpiRig, Recorder]) -> None:
    """At the set cadence a period with energy, time, power, current (sum of phases) and state of charge (CdrDimensionType)."""
    rig, emsp = both
    rig.stations.transaction("Started", wh=1000, charging_state="Charging")
    for minute in (1, 2, 3, 4, 5):
        await asyncio.sleep(60)
        values = _meter(1000 + minute * 100, Power_Active_Import=6000 + minute, SoC=40 + minute)
        values[0]["sampledValue"] += [
            {"value": 9, "measurand": "Current.Import", "phase": phase} for phase in ("L1", "L2", "L3")
        ]
        rig.stations.transaction("Updated", charging_state="Charging", meter_value=values)
    await asyncio.sleep(1)
    (patch,) = [body for method, _, body in emsp.of("sessions") if method == "PATCH"]
    (period,) = patch["charging_periods"]
    assert {one["type"]: one["volume"] for one in period["dimensions"]} == {
        "ENERGY": 0.5, "TIME": 0.0833, "POWER": 6.003, "MAX_POWER": 6.005, "CURRENT": 27.0, "STATE_OF_CHARGE": 45.0,
    }  # fmt: skip
    assert (period["start_date_time"], patch["kwh"]) == ("2026-01-15T00:00:00Z", 0.5)


async def test_meter_values_outside_of_events_count_too(both: tuple[OcpiRig, Recorder]) -> None:
    """mod_sessions, Session object: a station may send MeterValues for the EVSE in place of transaction events."""
    rig, emsp = both
    rig.stations.transaction("Started", wh=0, charging_state="Charging")
    await asyncio.sleep(300)
    rig.stations.tell("meter_values", evse=1, meter_value=_meter(750))
    await asyncio.sleep(1)
    assert [body["kwh"] for method, _, body in emsp.of("sessions") if method == "PATCH"] == [0.75]


async def test_the_vehicle_that_asks_for_no_power_is_parking(both: tuple[OcpiRig, Recorder]) -> None:
    """SuspendedEV ends the charging period at once; SuspendedEVSE does not: the vehicle still asks (PARKING_TIME)."""
    rig, emsp = both
    for state, wh in (("Charging", 0), ("SuspendedEVSE", 500), ("SuspendedEV", 1000), ("SuspendedEV", 1000)):
        rig.stations.transaction("Updated", charging_state=state, wh=wh)
        await asyncio.sleep(60)
    rig.stations.transaction("Ended", charging_state="Idle", wh=1000)
    await asyncio.sleep(1)
    periods = [one for _, _, body in emsp.of("sessions") for one in body.get("charging_periods", [])]
    times = [(one["type"], one["volume"]) for period in periods for one in period["dimensions"] if one["type"].endswith("TIME")]
    assert times == [("TIME", 0.0333), ("PARKING_TIME", 0.0333)]


async def _charged(rig: OcpiRig) -> None:
    """Charge 3 kWh in half an hour, park for ten minutes, and leave."""
    rig.stations.transaction("Started", wh=1000, charging_state="Charging")
    await asyncio.sleep(1800)
    rig.stations.transaction("Updated", wh=4000, charging_state="SuspendedEV")
    await asyncio.sleep(600)
    rig.stations.transaction("Ended", wh=4000, charging_state="Idle")
    await asyncio.sleep(1)


async def test_a_cdr_follows_the_end(both: tuple[OcpiRig, Recorder], version: str) -> None:
    """1 kWh at 0.25, 2 at 0.50, ten minutes of parking at 6 an hour, 1 for the start: 3.25 and VAT on energy (mod_cdrs)."""
    rig, emsp = both
    await _charged(rig)
    ((method, path, cdr),) = emsp.of("cdrs")
    assert (method, path, cdr["total_energy"]) == ("POST", "cdrs", 3.0)
    assert (cdr["total_time"], cdr["total_parking_time"]) == (0.6667, 0.1667)
    assert [(one["tariff_id"], [part["type"] for part in one["dimensions"]]) for one in cdr["charging_periods"]] == [
        ("DAY", ["ENERGY", "TIME"]), ("DAY", ["ENERGY", "TIME"]), ("DAY", ["PARKING_TIME"]),
    ]  # fmt: skip
    if version == "2.2.1":
        assert cdr["total_cost"] == {"excl_vat": 3.25, "incl_vat": 3.5}
        assert cdr["total_fixed_cost"] == {"excl_vat": 1.0, "incl_vat": 1.0}
    else:
        taxes = [{"name": "VAT", "percentage": 20.0, "amount": 0.25}]
        assert cdr["total_cost"] == {"before_taxes": 3.25, "taxes": taxes}
        assert cdr["total_energy_cost"] == {"before_taxes": 1.25, "taxes": taxes}
    assert cdr["tariffs"][0]["id"] == "DAY"
    assert cdr["cdr_location"]["connector_power_type"] == "AC_3_PHASE"


async def test_the_periods_of_a_cdr_add_up(both: tuple[OcpiRig, Recorder]) -> None:
    """To the energy, and to the session's own; session-only dimensions stay out (CdrDimensionType)."""
    rig, emsp = both
    await _charged(rig)
    (cdr,) = [body for _, _, body in emsp.of("cdrs")]
    dimensions = [one for period in cdr["charging_periods"] for one in period["dimensions"]]
    assert sum(one["volume"] for one in dimensions if one["type"] == "ENERGY") == pytest.approx(3.0)
    assert not {one["type"] for one in dimensions} & {"POWER", "CURRENT", "STATE_OF_CHARGE"}
    session = [body for _, _, body in emsp.of("sessions")][-1]
    assert session["total_cost"] == cdr["total_cost"]


async def test_a_cdr_that_nobody_keeps_is_noted(both: tuple[OcpiRig, Recorder]) -> None:
    """The answer to a POST must have a Location header (mod_cdrs, response headers)."""
    rig, emsp = both
    await _charged(rig)
    assert len(rig.found("location_missing")) == 1
    emsp.headers["Location"] = "http://ben-emsp.bench/ocpi/cdrs/1"
    await _charged(rig)
    assert len(rig.found("location_missing")) == 1


async def test_cdrs_are_listed_for_their_owner(both: tuple[OcpiRig, Recorder]) -> None:
    """A stranger's list is empty."""
    rig, emsp = both
    await _charged(rig)
    assert len((await _get(rig, emsp, "cdrs"))[1]["data"]) == 1
    async with open_recorder(rig.cpo.platform.registry, rig.addresses, emsp.platform.version, party="EVL") as stranger:
        assert (await _get(rig, stranger, "cdrs"))[1]["data"] == []


async def test_without_a_tariff_a_session_is_free(version: str) -> None:
    """total_cost is required in a CDR, and is 0 where no tariff was told."""
    async with (
        open_ocpi_rig(version=version, settings=_rig(tariff=[])) as rig,
        open_recorder(rig.cpo.platform.registry, rig.addresses, version) as emsp,
    ):
        await _charged(rig)
        (cdr,) = [body for _, _, body in emsp.of("cdrs")]
        assert next(iter(cdr["total_cost"].values())) == 0
        assert "tariffs" not in cdr


async def test_a_session_told_by_its_end_alone_has_a_cdr_that_adds_up(both: tuple[OcpiRig, Recorder]) -> None:
    """One TransactionEvent with both registers: a period with the energy that is billed (mod_cdrs, charging_periods)."""
    rig, emsp = both
    rig.stations.transaction("Ended", meter_value=[*_meter(1000), *_meter(1800)])
    await asyncio.sleep(1)
    ((_, _, cdr),) = emsp.of("cdrs")
    volumes = [one["volume"] for period in cdr["charging_periods"] for one in period["dimensions"] if one["type"] == "ENERGY"]
    assert (sum(volumes), cdr["total_energy"]) == (0.8, 0.8)
    assert 1.2 in cdr["total_cost"].values()  # 0.8 kWh at 0.25, and 1 for the start


async def test_a_session_without_length_has_one_period(both: tuple[OcpiRig, Recorder]) -> None:
    """Begun and ended in one moment, without energy: a CDR has a period all the same (mod_cdrs, charging_periods)."""
    rig, emsp = both
    rig.stations.transaction("Started", wh=0)
    rig.stations.transaction("Ended", wh=0)
    await asyncio.sleep(1)
    ((_, _, cdr),) = emsp.of("cdrs")
    assert len(cdr["charging_periods"]) == 1


async def test_a_cdr_keeps_the_tariff_that_it_was_made_by(both: tuple[OcpiRig, Recorder]) -> None:
    """It is never changed afterwards: neither its cost nor the tariff that explains it (mod_cdrs)."""
    rig, emsp = both
    rig.stations.transaction("Started", wh=0)
    rig.cpo.platform.tariffs.put(TariffSettings.model_validate(DAY | {"currency": "SEK"}))
    rig.stations.transaction("Ended", wh=2000)
    await asyncio.sleep(1)
    ((_, _, cdr),) = emsp.of("cdrs")
    assert (cdr["currency"], cdr["tariffs"][0]["currency"]) == ("EUR", "EUR")

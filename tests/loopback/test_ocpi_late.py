"""What a station tells late happened when it says so: sessions, CDRs and cost of a time without a connection (mod_sessions,
mod_cdrs).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest

from bench.settings.rig import RigSettings
from bench.wire.ocpi.profiles import ChargingProfile
from bench.wire.ocpi.transport import VERSIONS
from bench.wire.ocpi.types import utc_text
from tests.ocpi_recorder import Recorder, open_recorder
from tests.ocpi_rig import STATION, OcpiRig, open_ocpi_rig
from tests.ocpi_whole import open_whole
from tests.support import EPOCH

pytestmark = pytest.mark.virtual

PRICES = [{"type": "ENERGY", "price": 0.5}, {"type": "TIME", "price": 2}, {"type": "PARKING_TIME", "price": 6}]
DAY_S = 86_400


@pytest.fixture(params=VERSIONS)
async def both(request: pytest.FixtureRequest) -> AsyncIterator[tuple[OcpiRig, Recorder]]:
    """Return the CPO, and an eMSP that is told of its sessions; a day has passed already."""
    station = {"id": STATION, "evse": [{"id": 1, "max_current_a": 16}]}
    ocpi = {"tariff": [{"id": "DAY", "elements": [{"price_components": PRICES}]}]}
    settings = RigSettings.model_validate({"schema": 1, "name": "test", "station": [station], "ocpi": ocpi})
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(open_ocpi_rig(version=request.param, settings=settings))
        emsp = await stack.enter_async_context(open_recorder(rig.cpo.platform.registry, rig.addresses, request.param))
        await asyncio.sleep(DAY_S)
        yield rig, emsp


def _at(minutes: float) -> str:
    return utc_text(EPOCH + timedelta(minutes=minutes))


def _late(rig: OcpiRig, phase: str, minutes: float, state: str, *readings: tuple[float, float], **fields: Any) -> None:
    """Tell an event so many minutes after the begin of the test; readings are (minutes, Wh)."""
    values = [{"timestamp": _at(at), "sampledValue": [{"value": wh}]} for at, wh in readings]
    told = {"timestamp": _at(minutes), "offline": True, "charging_state": state, "meter_value": values, **fields}
    rig.stations.transaction(phase, **told)


async def _told(emsp: Recorder) -> dict[str, Any]:
    """Return the session as a peer has it after all messages."""
    await asyncio.sleep(1)
    found: dict[str, Any] = {}
    for method, _, body in emsp.of("sessions"):
        periods = [*found.get("charging_periods", []), *body.get("charging_periods", [])]
        found = body if method == "PUT" else {**found, **body, "charging_periods": periods}
    return found


def _periods(of: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Return (start, kWh, hours) of each period."""
    found = []
    for one in of["charging_periods"]:
        volumes = {part["type"]: part["volume"] for part in one["dimensions"]}
        found.append((one["start_date_time"], volumes.get("ENERGY", 0), volumes.get("TIME", 0) + volumes.get("PARKING_TIME", 0)))
    return found


async def test_a_session_that_was_offline_is_told_with_its_own_times(both: tuple[OcpiRig, Recorder]) -> None:
    """Begin, end, periods, energy and cost as if it had been told at once; last_updated is when it became known."""
    rig, emsp = both
    _late(rig, "Started", 60, "Charging", (60, 1000))
    _late(rig, "Updated", 75, "Charging", (75, 2000))
    _late(rig, "Updated", 90, "SuspendedEV", (90, 3000))
    _late(rig, "Ended", 100, "Idle", (100, 3000))
    session = await _told(emsp)
    ((_, _, cdr),) = emsp.of("cdrs")
    for one in (session, cdr):
        assert (one["start_date_time"], one["end_date_time"]) == (_at(60), _at(100))
        assert one["last_updated"] >= _at(24 * 60)
        assert next(iter(one["total_cost"].values())) == 3.0  # 2 kWh at 0.50, half an hour at 2, ten minutes at 6
    assert (session["kwh"], cdr["total_energy"], cdr["total_time"], cdr["total_parking_time"]) == (2.0, 2.0, 0.6667, 0.1667)
    assert _periods(session) == _periods(cdr) == [(_at(60), 1.0, 0.25), (_at(75), 1.0, 0.25), (_at(90), 0, 0.1667)]


async def test_one_late_event_with_all_readings_has_periods_of_the_cadence(both: tuple[OcpiRig, Recorder]) -> None:
    """A station may tell the whole transaction by its end: each reading counts at its own time, in whatever order it stands."""
    rig, emsp = both
    _late(rig, "Started", 0, "Charging", (0, 1000))
    _late(rig, "Ended", 40, "Idle", (30, 3000), (15, 2500), (0, 1000), (40, 3500))
    ((_, _, cdr),) = emsp.of("cdrs") if await _told(emsp) else [("", "", {})]
    assert _periods(cdr) == [(_at(0), 1.5, 0.25), (_at(15), 0.5, 0.25), (_at(30), 0.5, 0.1667)]


async def test_late_meter_values_count_at_their_own_time(both: tuple[OcpiRig, Recorder]) -> None:
    """MeterValues of the EVSE, sent after the connection came back: periods of then, and nothing of a former session."""
    rig, emsp = both
    _late(rig, "Started", 60, "Charging", (60, 1000))
    for minutes, wh in ((50, 900), (70, 1400), (75, 1600), (90, 2000), (80, 1700)):
        rig.stations.tell("meter_values", evse=1, meter_value=[{"timestamp": _at(minutes), "sampledValue": [{"value": wh}]}])
    session = await _told(emsp)
    assert _periods(session) == [(_at(60), 0.6, 0.25), (_at(75), 0.4, 0.25)]
    assert session["kwh"] == 1.0


async def test_a_begin_that_comes_last_is_the_begin(both: tuple[OcpiRig, Recorder]) -> None:
    """Events sent while offline may come after those sent since."""
    rig, emsp = both
    _late(rig, "Updated", 24 * 60, "Charging", (24 * 60, 3000), offline=False)
    _late(rig, "Started", 23 * 60, "Charging", (23 * 60, 1000))
    await asyncio.sleep(60)
    _late(rig, "Ended", 24 * 60 + 1, "Idle", (24 * 60 + 1, 3000), offline=False)
    session = await _told(emsp)
    ((_, _, cdr),) = emsp.of("cdrs")
    assert (cdr["start_date_time"], cdr["total_energy"]) == (_at(23 * 60), 2.0)
    assert session["start_date_time"] == cdr["start_date_time"]


@pytest.mark.parametrize(("minutes", "offline"), [(48 * 60, False), (48 * 60, True), (-60, False), (-91 * 24 * 60, True)])
async def test_nonsense_is_not_taken_for_a_time(both: tuple[OcpiRig, Recorder], minutes: float, offline: bool) -> None:
    """In the future, or so far in the past that the station's clock is wrong: then the session began when it was told."""
    rig, emsp = both
    _late(rig, "Started", minutes, "Charging", (minutes, 1000), offline=offline)
    assert (await _told(emsp))["start_date_time"] == _at(24 * 60)
    assert len(rig.found("event_time_not_credible")) == (minutes < 0)


async def test_time_does_not_run_backwards(both: tuple[OcpiRig, Recorder]) -> None:
    """An event with a time before the last one's happened together with that one."""
    rig, emsp = both
    _late(rig, "Started", 60, "Charging", (60, 1000))
    _late(rig, "Updated", 80, "SuspendedEV", (80, 2000))
    _late(rig, "Ended", 70, "Idle", (70, 2000))
    session = await _told(emsp)
    assert session["end_date_time"] == _at(80)
    assert _periods(session) == [(_at(60), 1.0, 0.3333)]


async def test_a_limit_of_the_evse_is_not_sent_to_a_session_of_the_past(both: tuple[OcpiRig, Recorder]) -> None:
    """What is told late is over at the station by then, as far as the bench knows."""
    rig, _ = both
    profile = {"charging_rate_unit": "A", "charging_profile_period": [{"start_period": 0, "limit": 10}]}
    await rig.cpo.platform.arbiter.limit((STATION, 1), "building", "BEMS", ChargingProfile.model_validate(profile))
    _late(rig, "Started", 60, "Charging")
    await asyncio.sleep(1)
    assert rig.stations.sent("SetChargingProfile") == []
    rig.stations.transaction("Updated")
    await asyncio.sleep(1)
    assert len(rig.stations.sent("SetChargingProfile")) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_emulated_station_is_billed_for_what_it_did_without_a_connection(version: str) -> None:
    """The network goes for 1,000 s, and the car leaves after 400: that is the end of its session."""
    async with open_whole(version) as whole:
        gone = whole.scsp.now()
        await whole.control.cut_network(1000)
        await asyncio.sleep(400)
        await whole.control.unplug(1)
        sessions = whole.scsp.sessions
        assert await whole.scsp.wait_until(lambda: sessions[whole.session_id]["status"] == "COMPLETED", 1000)
        end = datetime.fromisoformat(sessions[whole.session_id]["end_date_time"])
        assert abs((end - gone).total_seconds() - 400) < 5
        assert (whole.scsp.now() - gone).total_seconds() >= 1000
        assert whole.scsp.findings == []

"""Pitfalls of mod_charging_profiles; docs/reference/ocpi-rules.md says which tests elsewhere hold the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from bench.cso.ocpi.registry import Party
from bench.wire.ocpi.transport import VERSIONS, PartyId, encode_token, routing
from tests.ocpi_recorder import open_recorder
from tests.ocpi_rig import COMPOSITE, PROFILE, OcpiRig, open_ocpi_rig, rig_settings
from tests.ocpi_whole import STATION, Whole, open_whole
from tests.support import MemoryJournal

pytestmark = pytest.mark.virtual

CALLBACK = "http://scsp.bench/ocpi/callbacks/1"


@pytest.fixture(params=VERSIONS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[OcpiRig]:
    """Return CPO and SCSP, registered, with a station by script."""
    async with open_ocpi_rig(version=request.param) as opened:
        yield opened


@pytest.fixture(params=VERSIONS)
async def whole(request: pytest.FixtureRequest) -> AsyncIterator[Whole]:
    """Return SCSP, CPO, CSMS and the emulated station, with a car that charges."""
    async with open_whole(request.param) as opened:
        yield opened


async def _ask(rig: OcpiRig, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """Send a request of the SCSP's on charging profiles as it is; return the envelope, which came with HTTP 200."""
    platform = rig.cpo.platform.registry.platforms[0]
    headers = {"authorization": encode_token(platform.token_in), "x-request-id": "r", "x-correlation-id": "c"}
    headers |= {"content-type": "application/json", **routing(rig.scsp.party, rig.cpo.platform.own)}
    url = f"http://cso.bench/ocpi/{platform.version}/chargingprofiles/{path}"
    content = b"" if body is None else json.dumps(body).encode()
    status, _, text = await rig.transport.request(method, url, headers, content, 10)
    assert status == 200, text
    envelope: dict[str, Any] = json.loads(text)
    return envelope


def _periods(*starts: int) -> dict[str, Any]:
    return {**PROFILE, "charging_profile_period": [{"start_period": one, "limit": 10.0} for one in starts]}


@pytest.mark.parametrize(
    "starts", [(), (60,), (0, 900, 300), (0, 900, 900), tuple(range(1025))], ids=["empty", "late", "unsorted", "twice", "1025"]
)
async def test_periods_that_make_no_schedule_are_refused(rig: OcpiRig, starts: tuple[int, ...]) -> None:
    """4: empty, first start not 0, unsorted, duplicate, 1025 periods: HTTP 200 with 2001, no result and no OCPP."""
    session_id = await rig.session()
    envelope = await _ask(rig, "PUT", session_id, {"charging_profile": _periods(*starts), "response_url": CALLBACK})
    assert (envelope["status_code"], "data" in envelope) == (2001, False)
    assert rig.stations.calls == []


async def test_a_profile_that_began_in_the_past_is_resumed(whole: Whole) -> None:
    """5: 1000 s ago is the middle of the second period; start_period counts from start_date_time, not from the receipt."""
    limits = [(0, 16.0), (900, 6.0), (1800, 8.0)]
    assert await whole.put(limits, start_date_time=whole.at(-1000), duration=7200) == "ACCEPTED"
    assert await whole.active() == [(0, 6.0), (800, 8.0)]


async def test_before_a_profile_begins_and_after_it_ends_nothing_of_it_limits(whole: Whole) -> None:
    """5: from 600 to 1200 s it is 8 A; the gaps show the EVSE's own maximum, and no limit of 0."""
    assert await whole.put([(0, 8)], start_date_time=whole.at(600), duration=600) == "ACCEPTED"
    assert await whole.active() == [(0, 16.0), (600, 8.0), (1200, 16.0)]


async def test_a_duration_cuts_off_the_periods_behind_it(whole: Whole) -> None:
    """6: a period from 600 s on never comes where the duration is 300 s."""
    assert await whole.put([(0, 10), (600, 7)], start_date_time=whole.at(0), duration=300) == "ACCEPTED"
    assert await whole.active() == [(0, 10.0), (300, 16.0)]


async def test_a_relative_profile_is_told_as_the_station_counts_it(whole: Whole) -> None:
    """7: set a minute after the begin; this station counts from the begin of the transaction, and the active profile says so."""
    assert await whole.put([(0, 10), (120, 7)]) == "ACCEPTED"
    assert await whole.active() == [(0, 10.0), (60, 7.0)]


@pytest.mark.parametrize(
    ("features", "unit", "limit", "sent"),
    [
        ({"rate_units": ["A"]}, "W", 11000.0, ("A", 15.9, None)),
        ({"rate_units": ["W"]}, "A", 6.0, ("W", 4140.0, None)),
        ({"rate_units": ["A"], "supply_phases": 1}, "W", 3680.0, ("A", 16.0, 1)),
    ],
    ids=["W to A", "A to W", "one phase"],
)
async def test_a_unit_that_the_station_lacks_is_converted(
    features: dict[str, Any], unit: str, limit: float, sent: tuple[str, float, int | None]
) -> None:
    """8: W is the total and A is per phase; with one phase the station is told so."""
    async with open_ocpi_rig(settings=rig_settings(**features)) as rig:
        profile = {"charging_rate_unit": unit, "charging_profile_period": [{"start_period": 0, "limit": limit}]}
        order = await rig.scsp.send_plan(await rig.session(), profile)
        await rig.scsp.wait_result(order.response_id, 60)
    (schedule,) = rig.stations.sent("SetChargingProfile")[0]["chargingProfile"]["chargingSchedule"]
    (period,) = schedule["chargingSchedulePeriod"]
    assert (schedule["chargingRateUnit"], period["limit"], period.get("numberPhases")) == sent


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("station", "unit", "limit"), [("A", "W", 6900), ("W", "A", 10)])
async def test_a_converted_limit_holds_for_a_car_on_one_phase(version: str, station: str, unit: str, limit: float) -> None:
    """8: 6.9 kW on three phases is 10 A on each, and back (K01.FR.50): a car on one of them takes 2.3 kW, and never the whole."""
    async with open_whole(version, rate_units=(station,)) as whole:
        await whole.kwh()
        await whole.control.vehicle(1, {"phases": 1})
        await whole.control.plug(1)
        await whole.charge()
        assert await whole.put([(0, limit)], unit=unit) == "ACCEPTED"
        await asyncio.sleep(3600)
        assert 2.0 < await whole.kwh() < 2.5


async def test_less_than_the_least_current_pauses_charging(whole: Whole) -> None:
    """10: 5 A is below what IEC 61851-1 can signal: it is accepted, told as it is, and nothing is charged."""
    assert await whole.put([(0, 5)]) == "ACCEPTED"
    assert await whole.active() == [(0, 5.0)]
    await asyncio.sleep(3600)
    assert await whole.kwh() < 0.3


async def test_a_limit_on_the_whole_station_is_pushed_for_each_session(rig: OcpiRig) -> None:
    """11: NotifyChargingLimit without an evseId concerns all: each session with a successful PUT has its push."""
    sessions = [await rig.session(name) for name in ("tx-1", "tx-2", "tx-3")]
    for session_id in sessions[:2]:
        order = await rig.scsp.send_plan(session_id, PROFILE)
        await rig.scsp.wait_result(order.response_id, 60)
    await asyncio.sleep(1)
    rig.scsp.pushes.clear()
    lower = COMPOSITE | {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}
    rig.stations.answers["GetCompositeSchedule"] = {"status": "Accepted", "schedule": lower}
    rig.stations.tell("charging_limit", phase="Set", evse=None)
    await asyncio.sleep(1)
    assert sorted(one.session_id for one in rig.scsp.pushes) == sorted(sessions[:2])


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_local_limit_is_pushed_soon(version: str) -> None:
    """11: someone at the site limits the station: the SCSP has the new active profile within 5 s."""
    async with open_whole(version, external_limits=True) as whole:
        await whole.put([(0, 12)], start_date_time=whole.at(0), duration=7200)
        assert await whole.scsp.wait_until(lambda: len(whole.scsp.pushes) == 1, 5)
        await whole.control.external_limit(8.0)
        assert await whole.scsp.wait_until(lambda: len(whole.scsp.pushes) == 2, 5)
        assert whole.limits(whole.scsp.pushes[1].profile)[0] == (0, 8.0)


async def test_a_delete_leaves_the_profiles_of_the_cpo(whole: Whole) -> None:
    """13: the CPO's own TxDefaultProfile of 10 A survives the DELETE, and the push shows it."""
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}
    own = {
        "id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute",
        "chargingSchedule": [{**schedule, "startSchedule": whole.at(-60)}],
    }  # fmt: skip
    assert (await whole.csms.call(STATION, "SetChargingProfile", {"evseId": 1, "chargingProfile": own}))["status"] == "Accepted"
    await whole.put([(0, 7)], start_date_time=whole.at(0), duration=7200)
    assert await whole.scsp.wait_until(lambda: len(whole.scsp.pushes) == 1, 5)
    order = await whole.scsp.delete(whole.session_id)
    assert await whole.scsp.wait_result(order.response_id, 60) == {"result": "ACCEPTED"}
    assert await whole.scsp.wait_until(lambda: len(whole.scsp.pushes) == 2, 5)
    assert [whole.limits(one.profile) for one in whole.scsp.pushes] == [[(0, 7.0)], [(0, 10.0)]]


async def test_a_response_url_keeps_its_own_query(rig: OcpiRig) -> None:
    """14: percent-encoded in a GET, and plain in the body of a PUT: the result goes to exactly that URL."""
    session_id, url = await rig.session(), f"{CALLBACK}?a=1&b=2%203"
    envelope = await _ask(rig, "GET", f"{session_id}?duration=60&response_url={quote(url, safe='')}")
    assert envelope["data"]["result"] == "ACCEPTED"
    await _ask(rig, "PUT", session_id, {"charging_profile": PROFILE, "response_url": url})
    await asyncio.sleep(1)
    assert isinstance(rig.journal, MemoryJournal)
    assert [one["url"] for one in rig.journal.of("ocpi.request") if one["url"].startswith(CALLBACK)] == [url, url]


async def test_a_slash_at_the_end_loses_no_body(rig: OcpiRig) -> None:
    """17: `{endpoint}{id}` and `{endpoint}/{id}/` are both meant: served as they come, without a redirect."""
    session_id = await rig.session()
    envelope = await _ask(rig, "PUT", f"{session_id}/", {"charging_profile": PROFILE, "response_url": CALLBACK})
    assert envelope["data"]["result"] == "ACCEPTED"
    await asyncio.sleep(1)
    assert len(rig.stations.sent("SetChargingProfile")) == 1


async def test_a_station_whose_clock_is_off_changes_nothing_by_it(rig: OcpiRig) -> None:
    """20: its schedules begin by its own clock, five minutes ahead; two looks at one plan are compared in that time."""
    ahead = COMPOSITE | {"scheduleStart": "2026-01-15T00:05:00Z"}
    rig.stations.answers["GetCompositeSchedule"] = {"status": "Accepted", "schedule": ahead}
    await rig.placed()
    await asyncio.sleep(600)
    periods = [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 300, "limit": 6.0}]
    later = COMPOSITE | {"scheduleStart": "2026-01-15T00:15:00Z", "chargingSchedulePeriod": periods}
    rig.stations.answers["GetCompositeSchedule"] = {"status": "Accepted", "schedule": later}
    rig.stations.tell("charging_limit", phase="Set", evse=1)
    await asyncio.sleep(1)
    assert len(rig.stations.sent("GetCompositeSchedule")) == 2
    assert len(rig.scsp.pushes) == 1


async def test_a_result_for_a_party_behind_a_hub_goes_by_the_hub(rig: OcpiRig) -> None:
    """22: the hub called, so its address takes the result, and the To headers name the party that gave the order."""
    version, party = rig.scsp.version, PartyId("NL", "SCB")
    session_id = await rig.session()
    async with open_recorder(rig.cpo.platform.registry, rig.addresses, version, role="HUB", party="HUB") as hub:
        hub.platform.parties = (*(hub.platform.parties if version == "2.2.1" else ()), Party(party, "SCSP"))
        url = f"http://cso.bench/ocpi/{version}/chargingprofiles/{session_id}"
        headers = {"authorization": encode_token(hub.platform.token_in), **routing(party, rig.cpo.platform.own)}
        body = json.dumps({"charging_profile": PROFILE, "response_url": "http://hub-hub.bench/relayed/7"}).encode()
        _, _, text = await rig.transport.request("PUT", url, headers, body, 10)
        assert json.loads(text)["data"]["result"] == "ACCEPTED"
        await asyncio.sleep(1)
        assert ("POST", "/relayed/7", {"result": "ACCEPTED"}) in hub.received
    assert isinstance(rig.journal, MemoryJournal)
    (told,) = [one for one in rig.journal.of("ocpi.request") if one["url"].endswith("/relayed/7")]
    assert (told["headers"]["ocpi-to-country-code"], told["headers"]["ocpi-to-party-id"]) == ("NL", "SCB")

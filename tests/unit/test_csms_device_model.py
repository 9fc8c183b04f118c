"""Base reports in parts and variables in chunks, and limits of others; with stations that do it wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.cso.csms import Csms
from bench.domain.documents import Kind
from bench.errors import CallTimeoutError, StationError
from tests.stations import MemoryLink, attached, new_csms
from tests.support import FakeClock, MemoryJournal


@pytest.fixture
def csms(clock: FakeClock, journal: MemoryJournal) -> Csms:
    """Return a CSMS on test doubles."""
    return new_csms(clock, journal)


def codes(journal: MemoryJournal) -> list[str]:
    """Return the codes of all findings."""
    return [finding["code"] for finding in journal.of(Kind.FINDING)]


async def asked(station: MemoryLink, answer: dict[str, Any]) -> dict[str, Any]:
    """Answer the next call and return its payload."""
    _, number, _, payload = await station.hear()
    station.say(3, number, answer)
    request: dict[str, Any] = payload
    return request


async def part(station: MemoryLink, number: int, seq: int, tbc: bool, value: str = "2") -> None:
    """Send one NotifyReport with ItemsPerMessage of GetVariables."""
    data = {"component": {"name": "DeviceDataCtrlr"}, "variable": {"name": "ItemsPerMessage", "instance": "GetVariables"},
            "variableAttribute": [{"value": value}]}  # fmt: skip
    request = {"requestId": number, "seqNo": seq, "tbc": tbc, "generatedAt": "2026-01-15T00:00:00Z", "reportData": [data]}
    assert await station.ask("NotifyReport", request) == {}


async def test_parts_in_any_order_make_a_report(csms: Csms, journal: MemoryJournal) -> None:
    """B07: by seqNo; disorder and repetition are told; variables are then read two at a time."""
    async with attached(csms) as station:
        reading = asyncio.create_task(csms.device.base_report("CS-1"))
        number = (await asked(station, {"status": "Accepted"}))["requestId"]
        await part(station, number, 2, False, "2")
        await part(station, number, 0, True, "7")
        await part(station, number, 0, True, "8")
        await part(station, number, 1, True, "9")
        assert [one.value for one in await reading] == ["7", "9", "2"]
        assert codes(journal) == ["report_part_order", "report_part_repeated"]
        wanted = [{"component": {"name": "C"}, "variable": {"name": name}} for name in "abc"]
        getting = asyncio.create_task(csms.device.get_variables("CS-1", wanted))
        for names in ("ab", "c"):
            results = [{**wanted["abc".index(name)], "attributeStatus": "Accepted"} for name in names]
            request = await asked(station, {"getVariableResult": results})
            assert [one["variable"]["name"] for one in request["getVariableData"]] == list(names)
        assert len(await getting) == 3


@pytest.mark.virtual
async def test_a_missing_part_is_named(csms: Csms, journal: MemoryJournal) -> None:
    """The error and the finding say which."""
    async with attached(csms) as station:
        reading = asyncio.create_task(csms.device.base_report("CS-1"))
        number = (await asked(station, {"status": "Accepted"}))["requestId"]
        await part(station, number, 0, True)
        await part(station, number, 2, False)
        with pytest.raises(CallTimeoutError, match="missing: seqNo 1"):
            await reading
    assert codes(journal) == ["report_part_order", "report_incomplete"]


async def test_a_giant_report_is_cut(csms: Csms, journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, and so is the wait."""
    monkeypatch.setattr("bench.cso.device_model.MOST_VARIABLES", 5)
    async with attached(csms) as station:
        reading = asyncio.create_task(csms.device.base_report("CS-1"))
        number = (await asked(station, {"status": "Accepted"}))["requestId"]
        for seq in range(8):
            await part(station, number, seq, True)
        with pytest.raises(StationError, match="more than 5"):
            await reading
    assert codes(journal)[0] == "report_too_long"


async def test_a_report_that_nobody_asked_for(csms: Csms, journal: MemoryJournal) -> None:
    """Is a finding; one that was asked for by a raw call is none."""
    async with attached(csms) as station:
        await part(station, 4711, 0, False)
        calling = asyncio.create_task(csms.call("CS-1", "GetBaseReport", {"requestId": 5, "reportBase": "FullInventory"}))
        await asked(station, {"status": "Accepted"})
        await part(station, 5, 0, False)
        await calling
    assert codes(journal) == ["unexpected_report"]


async def test_a_station_without_such_a_report(csms: Csms) -> None:
    """NotSupported is an error that names it, EmptyResultSet an empty report."""
    async with attached(csms) as station:
        reading = asyncio.create_task(csms.device.base_report("CS-1", "SummaryInventory"))
        await asked(station, {"status": "NotSupported"})
        with pytest.raises(StationError, match="NotSupported"):
            await reading
        empty = asyncio.create_task(csms.device.base_report("CS-1"))
        await asked(station, {"status": "EmptyResultSet"})
        assert await empty == []


async def test_thin_calls(csms: Csms) -> None:
    """What is not given is not sent."""
    device = csms.device
    async with attached(csms) as station:
        for call, sent in (
            (device.reset("CS-1"), {"type": "Immediate"}),
            (device.trigger("CS-1", "MeterValues", 1), {"requestedMessage": "MeterValues", "evse": {"id": 1}}),
            (device.change_availability("CS-1", False), {"operationalStatus": "Inoperative"}),
        ):
            calling = asyncio.create_task(call)
            assert await asked(station, {"status": "Accepted"}) == sent
            assert await calling == {"status": "Accepted"}


async def test_external_limits_are_kept_until_they_are_cleared(csms: Csms, journal: MemoryJournal) -> None:
    """K11, K13: by EVSE and source; clearing what was never announced, and the source CSO, are told (K11.FR.05)."""
    state = csms.stations["CS-1"]
    async with attached(csms) as station:
        await station.ask("NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "EMS"}, "evseId": 1})
        assert [(one.evse_id, one.source) for one in state.external_limits.values()] == [(1, "EMS")]
        assert codes(journal) == []
        await station.ask("ClearedChargingLimit", {"chargingLimitSource": "EMS"})
        await station.ask("ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 1})
        assert state.external_limits == {}
        await station.ask("NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "CSO"}, "evseId": 9})
    assert codes(journal) == ["cleared_limit_unknown", "unknown_evse", "charging_limit_of_cso"]


async def test_a_report_that_goes_on_for_ever_is_given_up(csms: Csms, clock: FakeClock) -> None:
    """A part that announces another each time keeps nobody waiting beyond twenty times the time of a call."""
    async with attached(csms) as station:
        reading = asyncio.create_task(csms.device.base_report("CS-1"))
        number = (await asked(station, {"status": "Accepted"}))["requestId"]
        for seq in range(25):
            clock.advance(csms.call_timeout_s - 1)
            await part(station, number, seq, True)
            await asyncio.sleep(0)
        with pytest.raises(CallTimeoutError, match="whatever follows"):
            await asyncio.wait_for(reading, 1)


async def test_a_password_that_a_report_tells_stays_out_of_the_evidence(csms: Csms, journal: MemoryJournal) -> None:
    """BasicAuthPassword is to be written only; whatever a station tells, its value becomes a secret of the journal."""
    data = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"},
            "variableAttribute": [{"value": "correct-horse-battery"}]}  # fmt: skip
    request = {"requestId": 1, "seqNo": 0, "generatedAt": "2026-01-15T00:00:00Z", "reportData": [data]}
    async with attached(csms) as station:
        await station.ask("NotifyReport", request)
    assert "correct-horse-battery" not in str(journal.of(Kind.OCPP_FRAME))
    assert "hmac:secret" in str(journal.of(Kind.OCPP_FRAME))

"""Whatever a CSMS sends, the emulated station goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from firmware_sim.endpoint import Endpoint
from tests.support_firmware import Json, Lab, charging_profile, open_lab

pytestmark = pytest.mark.virtual


async def _still_there(lab: Lab) -> bool:
    """Say whether the station answers, on its first connection."""
    answer = await lab.csms.ask("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    return len(lab.csms.paths) == 1 and answer["status"] == "Accepted"


@pytest.mark.parametrize(
    "frame",
    [
        "[" * 200_000,
        '[2,"a","Heartbeat",' + '{"a":' * 900 + "1" + "}" * 900 + "]",
        '[2,"a","SetChargingProfile",' + "[" * 900 + "]" * 900 + "]",
        '[2,"a",["x"],{}]',
        '[2,"a","ClearChargingProfile",{"chargingProfileId":' + "9" * 5000 + "}]",
        b"\xff\x00",
    ],
    ids=["brackets", "deep object", "deep list", "action", "integer", "binary"],
)
async def test_what_cannot_be_read_is_answered_with_rpc_framework_error(frame: str | bytes) -> None:
    """CALLERROR "-1", and the connection stays."""
    async with open_lab() as lab:
        assert lab.csms.connection
        refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        lab.csms.expect("-1", refused)
        await lab.csms.connection.send(frame)
        assert (await asyncio.wait_for(refused, 60))[:2] == ["CALLERROR", "RpcFrameworkError"]
        assert await _still_there(lab)


async def test_an_action_is_no_name_of_a_file() -> None:
    """Too long for one, and with a path in it: not supported."""
    async with open_lab() as lab:
        for action in ("x" * 5000, "../schemas/Reset", "\0"):
            assert (await lab.csms.ask(action, {}))[:2] == ["CALLERROR", "NotSupported"]
        assert await _still_there(lab)


@pytest.mark.parametrize(
    "change",
    [
        {"startPeriod": 10**400},
        {"startPeriod": -(10**400)},
        {"startPeriod": 0, "limit": 1e308},
        {"startPeriod": 0, "limit": 10**400},
        {"startPeriod": 0, "numberPhases": 10**400},
        {"startPeriod": 0, "numberPhases": 1, "phaseToUse": -(10**400)},
        {"startPeriod": 0, "duration": 10**400},
        {"startPeriod": 0, "stackLevel": 10**400},
    ],
)
async def test_numbers_beyond_reason_are_refused_and_harm_nothing(change: Json) -> None:
    """Neither installed nor left to spoil what is charging; a composite schedule of that length is refused as well."""
    async with open_lab() as lab:
        await lab.charge()
        profile = charging_profile((0, 10))
        schedule = profile["chargingSchedule"][0]
        schedule["chargingSchedulePeriod"][0].update(change)
        for key, place in (("duration", schedule), ("stackLevel", profile)):
            if key in change:
                place[key] = schedule["chargingSchedulePeriod"][0].pop(key)
        answer = await lab.csms.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
        assert isinstance(answer, list) or answer["status"] == "Rejected"
        found = await lab.csms.ask("GetCompositeSchedule", {"evseId": 1, "duration": 10**400})
        assert found["status"] == "Rejected"
        assert lab.power_w() > 10_000


@pytest.mark.parametrize("told", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "2026-01-15T00:00:00"])
async def test_a_time_that_is_absurd_or_has_no_zone_moves_no_clock(told: str) -> None:
    """What has no zone is UTC."""
    async with open_lab() as lab:
        lab.csms.answers["Heartbeat"] = lambda _: {"currentTime": told}
        await lab.csms.ask("TriggerMessage", {"requestedMessage": "Heartbeat"})
        await lab.clock.sleep(1)
        wish = [{"component": {"name": "ClockCtrlr"}, "variable": {"name": "DateTime"}}]
        answer = await lab.csms.ask("GetVariables", {"getVariableData": wish})
        assert answer["getVariableResult"][0]["attributeValue"].startswith("2026-01-15T00:00:0")


async def test_an_integer_may_be_written_with_a_decimal_point() -> None:
    """To JSON Schema 1.0 is an integer."""
    async with open_lab() as lab:
        answer = await lab.csms.ask("GetCompositeSchedule", {"evseId": 1.0, "duration": 60.0})
        assert (answer["status"], answer["schedule"]["evseId"]) == ("Accepted", 1)


async def test_an_unexpected_failure_costs_the_connection_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its cause, and the station connects again."""

    async def fail(self: Endpoint, raw_msg: str) -> None:
        raise RuntimeError("a defect")

    async with open_lab() as lab:
        assert lab.csms.connection
        with monkeypatch.context() as patched:
            patched.setattr(Endpoint, "route_message", fail)
            await lab.csms.connection.send("[]")
            await lab.csms.connection.wait_closed()
        await lab.control.plug(1)
        assert (await lab.csms.until("StatusNotification", count=3))["connectorStatus"] == "Occupied"
        assert len(lab.csms.paths) == 2
    assert "the connection is given up" in caplog.text
    assert "RuntimeError: a defect" in caplog.text

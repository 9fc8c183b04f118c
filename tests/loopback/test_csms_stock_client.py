"""A station made with the plain `ocpp` package, as someone tries it on the first day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ocpp.routing import on
from ocpp.v201 import ChargePoint, call, call_result
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from bench.adapters.ocpp_server import open_ocpp_server
from bench.cso.csms import Csms
from bench.domain.documents import Kind
from bench.errors import CallRejectedError
from tests.stations import new_csms, rig_settings
from tests.support import FakeClock, MemoryJournal

PROFILE = {
    "evseId": 1,
    "chargingProfile": {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [
            {
                "id": 1,
                "startSchedule": "2026-01-15T00:00:00Z",
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}],
            }
        ],
    },
}


class Plain(ChargePoint):  # type: ignore[misc]
    """The client of the package's README."""

    async def boot(self) -> Any:
        """Send a BootNotification."""
        return await self.call(
            call.BootNotification(charging_station={"model": "M", "vendor_name": "V"}, reason="PowerUp")
        )


class WithProfiles(Plain):
    """The same with one handler added."""

    @on("SetChargingProfile")  # type: ignore[untyped-decorator]
    def on_profile(self, evse_id: int, charging_profile: dict[str, Any], **_: Any) -> Any:
        """Accept any profile."""
        return call_result.SetChargingProfile(status="Accepted")


@asynccontextmanager
async def connected(kind: type[Plain], csms: Csms) -> AsyncIterator[Plain]:
    """Connect a stock client and let it run."""
    async with (
        open_ocpp_server(rig_settings(), csms.attach, csms.knock, virtual=False) as server,
        connect(f"ws://127.0.0.1:{server.port}/ocpp/CS-1", subprotocols=[Subprotocol("ocpp2.0.1")]) as socket,
    ):
        station = kind("CS-1", socket)
        running = asyncio.create_task(station.start())
        try:
            yield station
        finally:
            running.cancel()
            await asyncio.wait([running])


async def test_stock_client_boots_and_its_not_implemented_is_a_finding(
    clock: FakeClock, journal: MemoryJournal
) -> None:
    """Nothing crashes: the call is refused, the finding is written, and the station goes on."""
    csms = new_csms(clock, journal)
    async with connected(Plain, csms) as station:
        assert (await station.boot()).status == "Accepted"
        with pytest.raises(CallRejectedError, match="NotImplemented"):
            await csms.call("CS-1", "SetChargingProfile", PROFILE)
        assert (await station.call(call.Heartbeat())).current_time == "2026-01-15T00:00:00.000Z"
    assert [finding["code"] for finding in journal.of(Kind.FINDING)] == ["not_implemented"]


async def test_stock_client_with_a_handler_accepts_a_default_profile(clock: FakeClock, journal: MemoryJournal) -> None:
    """One `@on` is all it takes."""
    csms = new_csms(clock, journal)
    async with connected(WithProfiles, csms) as station:
        await station.boot()
        assert await csms.call("CS-1", "SetChargingProfile", PROFILE) == {"status": "Accepted"}
    assert journal.of(Kind.FINDING) == []

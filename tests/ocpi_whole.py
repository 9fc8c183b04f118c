"""A mock SCSP, the bench's CPO and CSMS, and the emulated station, whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook
from bench.adapters.ocpp_server import open_ocpp_server
from bench.cso.csms import Csms
from bench.peers.scsp import MockScsp, open_scsp
from bench.ports import RigControl
from bench.rig.cpo import open_cpo
from bench.rig.emulated import open_emulated_rig
from bench.settings.base import load
from bench.settings.rig import RigSettings
from bench.wire.ocpi.types import utc_text
from tests.support import EPOCH, MemoryJournal

PATH = Path(__file__).parents[1] / "config/rigs/emulated.toml"
STATION = "CS-EMU-1"


@dataclass(slots=True)
class Whole:
    """All of it, with one session at EVSE 1."""

    scsp: MockScsp
    csms: Csms
    control: RigControl
    session_id: str = ""

    def at(self, seconds: float) -> str:
        """Return the moment so many seconds from now."""
        return utc_text(self.scsp.now() + timedelta(seconds=seconds))

    async def charge(self) -> None:
        """Present a card, and wait until the SCSP has the session and the EV charges."""
        await self.control.authorise(1, "SOMEBODY")
        self.session_id = (await self.scsp.wait_session(lambda one: True, 60))["id"]
        await asyncio.sleep(60)

    async def put(self, limits: list[tuple[int, float]], unit: str = "A", **fields: Any) -> str:
        """PUT a profile; return its result."""
        periods = [{"start_period": start, "limit": limit} for start, limit in limits]
        profile = {"charging_rate_unit": unit, "charging_profile_period": periods, **fields}
        order = await self.scsp.send_plan(self.session_id, profile)
        return str((await self.scsp.wait_result(order.response_id, 60))["result"])

    async def active(self, duration_s: int = 3600) -> list[tuple[float, float]]:
        """GET what limits the session; return each limit with its start in seconds from now."""
        order = await self.scsp.get_active(self.session_id, duration_s)
        return self.limits((await self.scsp.wait_result(order.response_id, 60))["profile"])

    async def kwh(self) -> float:
        """End the session; return what it says was charged."""
        await self.control.unplug(1)
        await self.scsp.wait_until(lambda: self.scsp.sessions[self.session_id]["status"] == "COMPLETED", 60)
        return float(self.scsp.sessions[self.session_id]["kwh"])

    def limits(self, active: Mapping[str, Any]) -> list[tuple[float, float]]:
        """Return the limits of an ActiveChargingProfile."""
        return [(one["start_period"], one["limit"]) for one in active["charging_profile"]["charging_profile_period"]]


@asynccontextmanager
async def open_whole(version: str, **features: Any) -> AsyncIterator[Whole]:
    """Open it, with a car that is plugged in at EVSE 1 and charges; `features`: what else the rig file says of the station."""
    clock, journal, ids = LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo")
    addresses, rig = AddressBook(), load(RigSettings, PATH)
    (station,) = rig.station
    station = station.model_copy(update={"features": station.features.model_copy(update=features)})
    rig = rig.model_copy(update={"station": (station,)})
    csms = Csms(clock, journal, ids, rig)
    async with (
        open_ocpp_server(rig, csms.attach, csms.knock, virtual=True, folder=PATH.parent) as server,
        open_emulated_rig(rig, PATH, clock, server.port, 1, virtual=True) as emulated,
        open_scsp(clock, SeededIds(1, "scsp"), addresses, version=version) as scsp,
        open_cpo(rig, clock, journal, ids, csms, addresses) as cpo,
    ):
        assert await csms.wait_until(lambda: csms.stations[STATION].booted is not None, 60)
        await scsp.register(cpo.versions_url, cpo.token_a)
        whole = Whole(scsp, csms, emulated.controls[STATION])
        await whole.control.plug(1)
        await whole.charge()
        yield whole
        await csms.close()

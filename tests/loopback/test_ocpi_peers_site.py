"""The mock MSP holds the bench's own CSO against the tables: locations, tariffs, sessions and CDRs, without a finding."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.peers.msp import open_msp
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS, PartyId
from tests.ocpi_rig import STATION, open_ocpi_rig
from tests.support import EPOCH

pytestmark = pytest.mark.virtual
TARIFF = {
    "id": "DAY", "type": "REGULAR",
    "elements": [{"price_components": [{"type": "ENERGY", "price": 0.25, "vat": 20}, {"type": "PARKING_TIME", "price": 6}]}],
    "max_price": {"before_taxes": 50, "after_taxes": 60},
}  # fmt: skip


def _rig() -> RigSettings:
    station = {"id": STATION, "evse": [{"id": 1, "max_current_a": 16}, {"id": 2, "max_current_a": 32, "connectors": 2}]}
    ocpi = {"tariff": [TARIFF], "session_update_s": 300}
    return RigSettings.model_validate({"schema": 1, "name": "test", "station": [station], "ocpi": ocpi})


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_objects_of_the_cso_are_right(version: str) -> None:
    """mod_locations, mod_tariffs, mod_sessions, mod_cdrs: lists, pushes of each change, a measured session and its CDR."""
    async with open_ocpi_rig(version=version, settings=_rig()) as rig:
        own = PartyId("NL", "BEN")
        async with open_msp(LoopClock(EPOCH), SeededIds(1, "msp"), rig.addresses, version=version, party=own) as msp:
            await msp.register(rig.cpo.versions_url, rig.cpo.platform.registry.invite())
            await msp.catch_up()
            assert [len(msp.objects[module]) for module in ("locations", "tariffs", "sessions", "cdrs")] == [1, 1, 0, 0]
            rig.stations.tell("connected")
            rig.stations.tell("status", evse=1, connector=1, status="Available")
            samples: list[dict[str, Any]] = [{"value": 11_000.0, "measurand": "Power.Active.Import"}]
            for minute in range(0, 31, 5):
                reading = [{"timestamp": "2026-01-15T00:00:00Z", "sampledValue": [{"value": minute * 180.0}, *samples]}]
                rig.stations.transaction("Updated" if minute else "Started", meter_value=reading)
                await asyncio.sleep(300)
            rig.stations.transaction("Ended", wh=5400)
            await asyncio.sleep(10)
            assert msp.objects["locations"]["test"]["evses"][0]["status"] == "AVAILABLE"
            (session,) = msp.sessions.values()
            (cdr,) = msp.objects["cdrs"].values()
            assert (session["status"], session["kwh"], cdr["total_energy"]) == ("COMPLETED", 5.4, 5.4)
            assert [len(await msp.pull(module, date_from="2026-01-01T00:00:00Z")) for module in ("sessions", "cdrs")] == [1, 1]
            assert msp.findings == []

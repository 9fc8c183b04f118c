"""An eMSP, the bench's CSMS and CPO, and the emulated station, whole: cards, commands, and what the session says of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.adapters.ocpp_server import open_ocpp_server
from bench.cso.csms import Csms
from bench.ports import RigControl
from bench.rig.cpo import open_cpo
from bench.rig.emulated import open_emulated_rig
from bench.settings.base import load
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS
from tests.ocpi_emsp import Emsp, open_emsp, token
from tests.ocpi_rig import OcpiRig
from tests.support import EPOCH, MemoryJournal

pytestmark = pytest.mark.virtual

PATH = Path(__file__).parents[2] / "config/rigs/emulated.toml"
STATION, UID = "CS-EMU-1", "0123-CARD"


class Whole:
    """All of it."""

    def __init__(self, emsp: Emsp, csms: Csms, control: RigControl) -> None:
        self.emsp, self.csms, self.control = emsp, csms, control

    async def transaction(self, evse_id: int = 1) -> str | None:
        """Return the status of the token of the transaction that runs on an EVSE, a minute from now; None without one."""
        await asyncio.sleep(60)
        running = self.csms.stations[STATION].active_transaction(evse_id)
        return running.id_status if running is not None else None


@pytest.fixture(params=VERSIONS)
async def whole(request: pytest.FixtureRequest) -> AsyncIterator[Whole]:
    """Return a station that is plugged in at EVSE 1, and an eMSP."""
    clock, journal, ids = LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo")
    addresses, rig = AddressBook(), load(RigSettings, PATH)
    csms = Csms(clock, journal, ids, rig)
    async with (
        open_ocpp_server(rig, csms.attach, csms.knock, virtual=True, folder=PATH.parent) as server,
        open_emulated_rig(rig, PATH, clock, server.port, 1, virtual=True) as emulated,
        open_transport(addresses) as transport,
        open_cpo(rig, clock, journal, ids, csms, addresses) as cpo,
        open_emsp(cast(OcpiRig, SimpleNamespace(cpo=cpo, addresses=addresses, transport=transport)), request.param) as emsp,
    ):
        assert await csms.wait_until(lambda: csms.stations[STATION].booted is not None, 60)
        await emulated.controls[STATION].plug(1)
        yield Whole(emsp, csms, emulated.controls[STATION])
        await csms.close()


async def test_a_card_charges_when_its_emsp_says_so(whole: Whole) -> None:
    """Authorize waits for the eMSP; the transaction becomes its session."""
    await whole.emsp.tell(token())
    whole.emsp.authorization = {"allowed": "ALLOWED", "token": token(), "authorization_reference": "ref-1"}
    await whole.control.authorise(1, UID)
    assert await whole.transaction() == "Accepted"
    session = await whole.emsp.session()
    assert (session["status"], session["auth_method"], session["authorization_reference"]) == ("ACTIVE", "AUTH_REQUEST", "ref-1")
    assert len(whole.emsp.asked) == 1


async def test_a_card_that_is_blocked_does_not_charge(whole: Whole) -> None:
    """No transaction and no session; the next card, of nobody's, charges as ever."""
    await whole.emsp.tell(token())
    whole.emsp.authorization = {"allowed": "BLOCKED", "token": token()}
    await whole.control.authorise(1, UID)
    assert await whole.transaction() is None
    await whole.control.authorise(1, "SOMEBODY")
    assert await whole.transaction() == "Accepted"
    assert whole.emsp.sessions == {}


async def test_an_emsp_starts_and_stops(whole: Whole) -> None:
    """START_SESSION and STOP_SESSION, and a connector that stays locked between them."""
    where: dict[str, Any] = {"location_id": "emulated", "evse_uid": f"{STATION}-1"}
    results = []
    for name, fields in (
        ("START_SESSION", {"token": token(), **where}), ("START_SESSION", {"token": token(), **where}),
        ("UNLOCK_CONNECTOR", {**where, "connector_id": "1"}),
    ):  # fmt: skip
        await whole.emsp.command(name, **fields)
        results.append((await whole.emsp.result(name))["result"])
        await whole.transaction()
    assert results == ["ACCEPTED", "EVSE_OCCUPIED", "REJECTED"]
    session = await whole.emsp.session()
    assert (session["status"], session["auth_method"]) == ("ACTIVE", "COMMAND")
    await whole.emsp.command("STOP_SESSION", session_id=session["id"])
    assert (await whole.emsp.result("STOP_SESSION"))["result"] == "ACCEPTED"
    assert (await whole.emsp.session())["status"] == "COMPLETED"
    assert whole.emsp.asked == []

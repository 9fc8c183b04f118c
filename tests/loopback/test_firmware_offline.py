"""The emulated station without network, without supply and without CSMS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from websockets import Subprotocol
from websockets.asyncio.server import serve

from bench.adapters.clock import LoopClock
from firmware_sim.rig import open_rig
from tests.support_firmware import EPOCH, TinyCsms, charging_profile, open_csms, open_lab, specification

pytestmark = pytest.mark.virtual


async def test_what_happened_offline_is_told_in_order_afterwards() -> None:
    """Network cut for 1,000 s during a transaction: nothing is lost, seqNo has no gap, late events are marked offline."""
    async with open_lab() as lab:
        await lab.charge()
        before = len(lab.csms.of("TransactionEvent"))
        await lab.control.cut_network(1000)
        await lab.clock.sleep(400)
        await lab.control.unplug(1)
        await lab.clock.sleep(500)
        assert len(lab.csms.of("TransactionEvent")) == before
        await lab.csms.until("TransactionEvent", lambda one: one["eventType"] == "Ended")
        events = lab.csms.of("TransactionEvent")
        assert [one["seqNo"] for one in events] == list(range(len(events)))
        assert [one.get("offline", False) for one in events[before:]] == [True] * (len(events) - before)
        assert len(lab.csms.of("BootNotification")) == 1
        assert 1000 < (lab.clock.now() - EPOCH).total_seconds() < 1100


async def test_offline_it_keeps_to_its_profiles() -> None:
    """K06.FR.01: the boundary that falls into the outage is obeyed."""
    async with open_lab() as lab:
        await lab.charge()
        await lab.csms.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": charging_profile((0, 10), (300, 6))})
        await lab.control.cut_network(1000)
        await lab.clock.sleep(400)
        assert await lab.duty() == 10.0


async def test_offline_without_a_profile_nothing_limits() -> None:
    """K06.FR.02: the EVSE's own 16 A (26.66 %) before, during and after the outage."""
    async with open_lab() as lab:
        await lab.charge()
        before = await lab.duty()
        await lab.control.cut_network(1000)
        await lab.clock.sleep(400)
        assert (before, await lab.duty()) == (26.66, 26.66)
        assert lab.power_w() > 10_000


async def test_offline_a_card_starts_a_transaction() -> None:
    """Nobody can be asked, so that every card is taken; the CSMS hears of it afterwards and may end it."""
    async with open_lab() as lab:
        lab.csms.answers["TransactionEvent"] = lambda one: {"idTokenInfo": {"status": "Invalid"}} if "idToken" in one else {}
        await lab.control.cut_network(100)
        await lab.control.plug(1)
        await lab.control.authorise(1, "CARD-1")
        await lab.clock.sleep(50)
        assert lab.power_w() > 0
        ended = await lab.csms.until("TransactionEvent", lambda one: one["eventType"] == "Ended")
        assert (ended["triggerReason"], ended["transactionInfo"]["stoppedReason"]) == ("Deauthorized", "DeAuthorized")
        await lab.clock.sleep(10)
        assert lab.power_w() == 0


async def test_a_power_cycle_ends_the_transaction_and_keeps_the_profiles() -> None:
    """Without supply no pilot and no current; then boot, the end of the transaction, and the default profile as before."""
    async with open_lab() as lab:
        await lab.csms.ask("SetChargingProfile", {"evseId": 0, "chargingProfile": charging_profile((0, 9))})
        await lab.charge()
        cycle = asyncio.create_task(lab.control.power_cycle())
        await lab.clock.sleep(2)
        assert (await lab.control.look(1))["state"] == "E"
        assert lab.power_w() == 0
        with pytest.raises(ValueError, match="power cycle is under way"):
            await lab.control.power_cycle()
        await cycle
        ended = await lab.csms.until("TransactionEvent", lambda one: one["eventType"] == "Ended")
        assert ended["transactionInfo"]["stoppedReason"] == "PowerLoss"
        assert [one["reason"] for one in lab.csms.of("BootNotification")] == ["PowerUp", "PowerUp"]
        await lab.control.authorise(1, "CARD-1")
        await lab.clock.sleep(30)
        assert await lab.duty() == 15.0


async def test_the_contactor_of_the_rig_takes_the_current_and_leaves_the_station_online() -> None:
    """Open: 0 W, the pilot stays; closed: the car goes on."""
    async with open_lab() as lab:
        await lab.charge()
        await lab.control.contactor(False)
        assert (lab.power_w(), await lab.duty()) == (0, 26.66)
        await lab.control.contactor(True)
        await lab.clock.sleep(20)
        assert lab.power_w() > 10_000
        assert len(lab.csms.of("BootNotification")) == 1


async def test_it_comes_back_for_ever_with_growing_pauses() -> None:
    """Nobody listens for half an hour; then the CSMS is there, and within a minute the station boots."""
    clock = LoopClock(EPOCH)
    async with open_csms(clock) as (_, port):
        pass
    url = f"ws://127.0.0.1:{port}/ocpp"
    async with open_rig(specification(), clock=clock, csms_url=url, seed=1, virtual=True):
        await clock.sleep(1800)
        async with open_csms(clock, port) as (csms, _):
            await csms.until("BootNotification")
            assert 1800 <= clock.monotonic() <= 1865


async def test_a_transaction_message_without_answer_is_sent_three_times() -> None:
    """OCPPCommCtrlr.MessageAttempts; then the next one gets its turn."""
    async with open_lab() as lab:
        lab.csms.answers["TransactionEvent"] = lambda one: {} if one["seqNo"] else None
        await lab.charge()
        await lab.csms.until("TransactionEvent", lambda one: one["seqNo"] == 1)
        assert [one["seqNo"] for one in lab.csms.of("TransactionEvent")] == [0, 0, 0, 1]


async def test_an_answer_that_breaks_the_schema_does_no_harm() -> None:
    """The boot is taken for refused and repeated after a minute."""
    async with open_lab() as lab:
        sound = lab.csms.answers["BootNotification"]
        answers = [{"status": "Accepted", "colour": 1}, None]
        lab.csms.answers["BootNotification"] = lambda one: answers.pop(0) or sound(one)
        await lab.csms.ask("Reset", {"type": "Immediate"})
        await lab.csms.until("StatusNotification", count=4)
        assert len(lab.csms.of("BootNotification")) == 3


async def test_a_csms_without_the_subprotocol_is_left() -> None:
    """OCPP-J: no ocpp2.0.1 in the handshake, no conversation."""
    clock = LoopClock(EPOCH)
    csms = TinyCsms(clock)
    async with serve(csms.serve, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        async with open_rig(specification(), clock=clock, csms_url=url, seed=1, virtual=True):
            await clock.sleep(20)
            assert len(csms.paths) > 1
            assert csms.calls == []


async def test_it_speaks_tls_and_trusts_the_given_authority_only(tmp_path: Path) -> None:
    """Security profile 2: with the CA file it boots, without it it does not get in."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    clock = LoopClock(EPOCH)
    csms = TinyCsms(clock)
    async with serve(csms.serve, "127.0.0.1", 0, ssl=context, subprotocols=[Subprotocol("ocpp2.0.1")]) as server:
        url = f"wss://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ocpp"
        spec = specification(password="secret")
        async with open_rig(spec, clock=clock, csms_url=url, seed=1, virtual=True):
            await clock.sleep(30)
            assert csms.calls == []
        spec["emulator"]["ca_file"] = str(tmp_path / "ca.pem")
        async with open_rig(spec, clock=clock, csms_url=url, seed=1, virtual=True):
            await csms.until("BootNotification")

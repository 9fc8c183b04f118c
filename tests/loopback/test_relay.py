"""The Modbus relay and the limit register, against the emulated board and against boards that misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.modbus_line import open_modbus_line
from bench.adapters.relay import ContactLimit, RegisterLimit, RelaySwitch, open_register_limit
from bench.errors import NotApplicableError, RigError
from bench.rig.actuators import open_actuators
from bench.rig.meters import open_meters
from bench.settings.actuators import ModbusRegister, ModbusRelay
from bench.settings.lines import TcpLine
from bench.settings.rig import RigSettings
from firmware_sim.relay import RelayBoard, open_relay
from tests.support import MemoryJournal

RELAY = ModbusRelay(kind="modbus-relay", line="supply")
REGISTER = ModbusRegister(kind="modbus-register", line="supply", register_address=5, scale=0.1, rewrite_s=10)


@asynccontextmanager
async def relay(settings: ModbusRelay = RELAY, timeout_s: float = 0.2) -> AsyncIterator[tuple[RelaySwitch, RelayBoard]]:
    """Give a relay of the bench and the emulated board behind it."""
    board = RelayBoard(8, lambda coil, closed: None)
    async with open_relay(board, host="127.0.0.1", port=0) as port:
        line = TcpLine(kind="modbus-tcp", port=port, timeout_s=timeout_s)
        async with open_modbus_line("supply", line, LoopClock(datetime(2026, 1, 15, tzinfo=UTC))) as opened:
            yield RelaySwitch("main", settings, opened), board


@pytest.mark.virtual
async def test_a_relay_closes_opens_and_reads_back() -> None:
    """The contact moves, and the coil is read."""
    async with relay() as (switch, board):
        await switch.switch(True)
        assert (board.contacts[0], await switch.is_closed()) == (True, True)
        await switch.switch(False)
        assert (board.contacts[0], await switch.is_closed()) == (False, False)


@pytest.mark.virtual
async def test_an_inverted_relay_opens_with_a_one() -> None:
    """The coil is the opposite of the contact that the settings mean."""
    async with relay(RELAY.model_copy(update={"inverted": True, "coil": 3})) as (switch, board):
        await switch.switch(False)
        assert (board.contacts[3], await switch.is_closed()) == (True, False)


@pytest.mark.virtual
async def test_a_welded_contact_is_told() -> None:
    """What was told to open and reads back closed is an error that names the actuator."""
    async with relay() as (switch, board):
        await switch.switch(True)
        board.fault = "welded"
        with pytest.raises(RigError, match=r"actuators\.main: told to open, and reads back closed"):
            await switch.switch(False)


@pytest.mark.virtual
async def test_a_silent_relay_is_an_error() -> None:
    """Nothing is taken for done that was not confirmed."""
    async with relay() as (switch, board):
        board.fault = "silent"
        with pytest.raises(RigError, match=r"actuators\.main: .*coil 0 = 0: no valid reply within 0.2 s"):
            await switch.switch(False)


@pytest.mark.virtual
async def test_a_coil_that_there_is_not_is_an_error() -> None:
    """An exception of the relay names coil and reason."""
    async with relay(RELAY.model_copy(update={"coil": 99})) as (switch, _):
        with pytest.raises(RigError, match=r"coil 99 = 1: refused with exception 2 \(illegal data address\)"):
            await switch.switch(True)


@pytest.mark.virtual
async def test_the_watchdog_is_armed_before_the_relay_closes_and_opens_it_after_a_silence() -> None:
    """Whoever reads keeps it closed; two seconds without a request open it."""
    settings = RELAY.model_copy(update={"watchdog_register": 0, "watchdog_value": 20, "watchdog_s": 2.0})
    async with relay(settings) as (switch, board):
        clock = LoopClock(datetime(2026, 1, 15, tzinfo=UTC))
        await switch.switch(True)
        for _ in range(4):
            await clock.sleep(1.5)
            assert await switch.is_closed()
        await clock.sleep(2.1)
        assert board.contacts[0] is False


@pytest.mark.virtual
async def test_a_contact_that_stands_for_a_limit_takes_no_other() -> None:
    """16 A closes it, None opens it; 10 A does not apply to such a rig."""
    settings = RELAY.model_copy(update={"roles": ("external_limit",), "contact_limit": 16.0})
    async with relay(settings) as (switch, board):
        contact = ContactLimit(settings, switch)
        await contact.external_limit(16.0)
        assert board.contacts[0]
        for limit, unit in ((10.0, "A"), (16.0, "W")):
            with pytest.raises(NotApplicableError, match="stands for 16 A"):
                await contact.external_limit(limit, unit)
        await contact.external_limit(None)
        assert not board.contacts[0]


@asynccontextmanager
async def register() -> AsyncIterator[tuple[RegisterLimit, list[int], list[str], LoopClock, RelayBoard]]:
    """Give a limit register, what was written to it, what was reported, a clock and the board."""
    board, written, told = RelayBoard(1, lambda coil, closed: None), list[int](), list[str]()
    board.add_register(5, 0xFFFF, written.append)
    clock = LoopClock(datetime(2026, 1, 15, tzinfo=UTC))
    async with open_relay(board, host="127.0.0.1", port=0) as port:
        line = TcpLine(kind="modbus-tcp", port=port, timeout_s=0.2)
        async with (
            open_modbus_line("supply", line, clock) as opened,
            open_register_limit("grid", REGISTER, opened, clock, told.append) as limit,
        ):
            yield limit, written, told, clock, board


@pytest.mark.virtual
async def test_a_limit_is_written_again_until_it_is_released() -> None:
    """10.5 A at once and every 10 s; the release is written once."""
    async with register() as (limit, written, _, clock, _board):
        await limit.external_limit(10.5)
        await clock.sleep(25)
        assert written == [105, 105, 105]
        await limit.external_limit(None)
        await clock.sleep(25)
        assert written == [105, 105, 105, 0xFFFF]


@pytest.mark.virtual
async def test_a_limit_over_time_is_written_when_it_changes() -> None:
    """16 A now and 8 A after 4 s; at the end of the run it is released."""
    async with register() as (limit, written, _, clock, _board):
        await limit.external_limit(16.0, periods=[(4, 8.0)])
        await clock.sleep(5)
        assert written == [160, 80]
    assert written == [160, 80, 0xFFFF]


@pytest.mark.virtual
async def test_a_rewrite_that_fails_is_told_and_tried_again() -> None:
    """A board that is silent for a while costs a report, not the run."""
    async with register() as (limit, written, told, clock, board):
        await limit.external_limit(10.0)
        board.fault = "silent"
        await clock.sleep(11)
        board.fault = ""
        await clock.sleep(11)
        assert "actuators.grid" in told[0]
        assert written == [100, 100]


@pytest.mark.virtual
@pytest.mark.parametrize(("limit", "unit"), [(7000.0, "A"), (6553.5, "A"), (10.55, "A"), (3000.0, "W")])
async def test_a_limit_that_the_register_cannot_hold_does_not_apply(limit: float, unit: str) -> None:
    """Too large, what stands for a release, between two steps, in another unit: nothing is written."""
    async with register() as (one, written, *_):
        with pytest.raises(NotApplicableError, match=r"actuators\.grid"):
            await one.external_limit(limit, unit)
        assert not written


@pytest.mark.virtual
async def test_a_contact_with_a_watchdog_holds_its_limit() -> None:
    """The relay is spoken to as long as the run lasts, or its watchdog would drop the limit that the run says holds."""
    actuator = {"kind": "modbus-relay", "line": "grid", "roles": ["external_limit"], "contact_limit": 16,
                "watchdog_register": 0, "watchdog_value": 20, "watchdog_s": 2}  # fmt: skip
    board, clock = RelayBoard(1, lambda coil, closed: None), LoopClock(datetime(2026, 1, 15, tzinfo=UTC))
    async with open_relay(board, host="127.0.0.1", port=0) as port:
        content = {"schema": 1, "name": "r", "station": [{"id": "CS-1", "evse": [{"id": 1}]}],
                   "lines": {"grid": {"kind": "modbus-tcp", "port": port}}, "actuators": {"contact": actuator}}  # fmt: skip
        rig = RigSettings.model_validate(content)
        async with (
            open_meters(rig, Path("r.toml"), clock) as instruments,
            open_actuators(rig, Path("r.toml"), clock, MemoryJournal(), instruments.line, {}, {}, {}, {}) as actuators,
        ):
            await actuators.controls["CS-1"].external_limit(16)
            await clock.sleep(30)
            assert board.contacts[0]

"""The serial number is read again from time to time: an exchanged meter and a shifted line give no reading."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.modbus import READINGS_PER_CHECK, ModbusMeter
from bench.adapters.modbus_line import open_modbus_line
from bench.errors import RigError
from bench.settings.base import load
from bench.settings.instruments import ModbusTcpMeter
from bench.settings.lines import TcpLine
from bench.settings.meter import MeterMap
from firmware_sim.distortion import Distortion
from firmware_sim.faults import FaultSeam
from firmware_sim.instruments.line import ModbusBus, open_tcp
from firmware_sim.instruments.meter import EmulatedMeter
from firmware_sim.instruments.modbus import TcpFraming
from firmware_sim.register_map import read_register_map
from tests.support import EPOCH

MAPS = Path(__file__).parents[2] / "config/meters"
SERIALS = {"abb-b23": 0x8900, "carlo-gavazzi-em340": 0x5000, "sunspec-meter-int": 40_052}


class Plain(EmulatedMeter):
    """Shows 230 of everything and knows what it was asked for."""

    def __init__(self, file: Path, serial_number: str) -> None:
        registers = read_register_map(file, serial_number)
        super().__init__("m", registers, Distortion(), (), FaultSeam(), LoopClock(EPOCH))
        self.shown, self.asked = dict.fromkeys(registers.registers, 230.0), list[int]()
        self.number: dict[int, tuple[int, ...]] = {}
        """What stands at an address in place of what the map says."""

    def values(self) -> dict[str, float]:
        """Return the same at each time."""
        return self.shown

    def answer(self, pdu: bytes) -> bytes:
        """Note the address."""
        address = int.from_bytes(pdu[1:3], "big")
        self.asked.append(address)
        reply = super().answer(pdu)
        words = struct.pack(f">{len(self.number.get(address, ()))}H", *self.number.get(address, ()))
        return reply[:2] + words + reply[2 + len(words) :]


@asynccontextmanager
async def served(name: str, serial_number: str, port: int = 0) -> AsyncIterator[tuple[Plain, int]]:
    """Serve a meter on Modbus TCP and give it and its port."""
    meter = Plain(MAPS / f"{name}.toml", serial_number)
    bus = ModbusBus({1: meter}, TcpFraming(), LoopClock(EPOCH), FaultSeam())
    async with open_tcp(bus, host="127.0.0.1", port=port) as found:
        yield meter, found


@asynccontextmanager
async def meter_at(name: str, port: int) -> AsyncIterator[ModbusMeter]:
    """Open the bench's side, identified."""
    settings = ModbusTcpMeter(kind="modbus-tcp", port=0, register_map=Path("x"), serial_number="10000001")
    register_map = load(MeterMap, MAPS / f"{name}.toml")
    async with open_modbus_line("", TcpLine(kind="modbus-tcp", timeout_s=0.2), LoopClock(EPOCH), port) as line:
        meter = ModbusMeter("main", settings, register_map, line)
        assert (await meter.identify())["serial_number"] == "10000001"
        yield meter


@pytest.mark.virtual
@pytest.mark.parametrize("name", SERIALS)
async def test_the_serial_number_costs_one_request_in_sixty_readings(name: str) -> None:
    """After the identification it is asked for before readings 61 and 121, and never in between."""
    async with served(name, "10000001") as (emulated, port), meter_at(name, port) as meter:
        counts = []
        for _ in range(2 * READINGS_PER_CHECK + 1):
            await meter.read()
            counts.append(emulated.asked.count(SERIALS[name]))
    assert [counts.index(number) + 1 for number in (1, 2, 3)] == [1, 61, 121]


@pytest.mark.virtual
@pytest.mark.parametrize("name", SERIALS)
async def test_another_meter_in_its_place_gives_no_reading(name: str) -> None:
    """After an outage the first thing read is the number: another one is an error each time, until the old meter is back."""
    async with served(name, "10000001") as (_, port):
        opened = meter_at(name, port)
        meter = await opened.__aenter__()
        assert (await meter.read()).voltage_v[0] == pytest.approx(230)
    with pytest.raises(RigError, match=r"no valid reply|no connection"):
        await meter.read()
    async with served(name, "10000002", port):
        for _ in range(3):
            with pytest.raises(RigError, match=r"meter main at .* instead of .* another device, or a shifted line .*serial"):
                await meter.read()
    with pytest.raises(RigError, match=r"no valid reply|no connection"):
        await meter.read()
    async with served(name, "10000001", port):
        assert (await meter.read()).voltage_v[0] == pytest.approx(230)
        await opened.__aexit__(None, None, None)


@pytest.mark.virtual
async def test_a_meter_exchanged_without_an_outage_is_noticed_within_sixty_readings() -> None:
    """A switch in the line that no reading sees is found out by the number."""
    async with served("abb-b23", "10000001") as (emulated, port), meter_at("abb-b23", port) as meter:
        await meter.read()
        emulated.number[0x8900] = (0, 7)
        for _ in range(READINGS_PER_CHECK - 1):
            await meter.read()
        with pytest.raises(RigError, match="hold 0000 0007 instead of 0098 9681"):
            await meter.read()


@pytest.mark.virtual
async def test_a_meter_that_tells_no_number_is_read_as_it_is() -> None:
    """The SDM630 has no known register for it: nothing is asked for beside the one block."""
    async with served("sdm630", "1") as (emulated, port):
        settings = ModbusTcpMeter(kind="modbus-tcp", port=0, register_map=Path("x"), serial_number="10000001")
        async with open_modbus_line("", TcpLine(kind="modbus-tcp"), LoopClock(EPOCH), port) as line:
            meter = ModbusMeter("main", settings, load(MeterMap, MAPS / "sdm630.toml"), line)
            found = await meter.identify()
            for _ in range(100):
                await meter.read()
    assert set(emulated.asked) == {0}
    assert found["doubt"] == "that it has serial number 10000001 was not checked: the meter does not tell it"

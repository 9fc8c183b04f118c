"""The meters of a rig file are opened on the lines that they hang on."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.modbus import ModbusMeter
from bench.adapters.modbus_line import open_modbus_line
from bench.errors import RigError, UsageError
from bench.rig.meters import open_meters
from bench.settings.lines import SerialLine
from bench.settings.rig import RigSettings
from tests.rtu_bus import rtu_bus
from tests.support import EPOCH

HERE = Path(__file__).parents[2] / "config/rigs/here.toml"
MAP = "../meters/sdm630.toml"


def rig(**tables: Any) -> RigSettings:
    """Return an emulated rig with these tables."""
    station = {"id": "CS-1", "evse": [{"id": 1}]}
    return RigSettings.model_validate({"schema": 1, "name": "rig", "station": [station], "emulator": {}, **tables})


def bus_meter(unit_id: int) -> dict[str, Any]:
    """Return a meter on the line `bus`."""
    return {"kind": "modbus", "line": "bus", "unit_id": unit_id, "register_map": MAP}


@pytest.mark.virtual
async def test_meters_of_a_line_share_it() -> None:
    """Two meters on one bus are read over one port; nobody opens it twice."""
    settings = rig(lines={"bus": {"kind": "serial"}}, meters={"a": bus_meter(1), "b": bus_meter(2)})
    async with rtu_bus() as bus, open_meters(settings, HERE, LoopClock(EPOCH), line_ports={"bus": bus.device}) as opened:
        readings = [await meter.read() for meter in opened.meters.values()]
        assert [one.registers["input:0x0000"][:4] for one in readings] == ["2000", "4000"]
        assert opened.lines["bus"] is await opened.line("bus")


@pytest.mark.virtual
async def test_an_outage_names_meter_line_and_unit() -> None:
    """From the error alone the lab finds the place."""
    settings = rig(lines={"bus": {"kind": "serial"}}, meters={"a": bus_meter(7)})
    async with rtu_bus() as bus, open_meters(settings, HERE, LoopClock(EPOCH), line_ports={"bus": bus.device}) as opened:
        with pytest.raises(RigError, match=r"meter a at line bus \(/dev/.*\), unit 7: 76 input registers from 0x0000: no valid"):
            await opened.meters["a"].read()


@pytest.mark.virtual
async def test_a_line_that_no_meter_uses_stays_closed_until_it_is_asked_for() -> None:
    """The line of a contactor belongs to the guard process."""
    settings = rig(lines={"relays": {"kind": "serial"}})
    async with rtu_bus() as bus, open_meters(settings, HERE, LoopClock(EPOCH), line_ports={"relays": bus.device}) as opened:
        assert not opened.lines
        await (await opened.line("relays")).write_coil(1, 0, True)
        with pytest.raises(UsageError, match="line 'bus': lines of this rig: relays"):
            await opened.line("bus")


async def test_tcp_meters_at_one_address_share_a_line(unused_tcp_port: int) -> None:
    """A gateway with several meters gets one connection; one that is absent is an error at the start, with the meter's name."""
    meter = {"kind": "modbus-tcp", "register_map": MAP, "port": unused_tcp_port}
    settings = rig(meters={"a": meter | {"unit_id": 1}, "b": meter | {"unit_id": 2}})
    with pytest.raises(RigError, match=f"meter a at 127.0.0.1:{unused_tcp_port}: no connection within 1 s"):
        async with open_meters(settings, HERE, LoopClock(wall_now())):
            pass
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", unused_tcp_port)
    async with server, open_meters(settings, HERE, LoopClock(wall_now())) as opened:
        first, second = opened.meters.values()
        assert isinstance(first, ModbusMeter)
        assert isinstance(second, ModbusMeter)
        assert first.line is second.line


@pytest.mark.outside("socat")
async def test_a_serial_server_that_nobody_here_wrote_is_read(tmp_path: Path) -> None:
    """pymodbus' own serial server behind socat's pair of ptys, in real time."""
    ends = [tmp_path / "bench", tmp_path / "meter"]
    pair = [f"pty,raw,echo=0,link={end}" for end in ends]
    async with AsyncExitStack() as stack:
        process = await asyncio.create_subprocess_exec("socat", *pair)
        stack.push_async_callback(process.wait)
        stack.callback(process.kill)
        while not all(end.is_symlink() for end in ends):
            assert process.returncode is None
            await asyncio.sleep(0.01)
        device = SimDevice(1, simdata=[SimData(0, values=list(range(100, 200)), datatype=DataType.REGISTERS)])
        server = ModbusSerialServer(device, port=str(ends[1]), baudrate=9600)
        await server.serve_forever(background=True)
        stack.push_async_callback(server.shutdown)
        line = SerialLine(kind="serial", port=str(ends[0]), drain_s=0.05)
        opened = await stack.enter_async_context(open_modbus_line("bus", line, LoopClock(wall_now())))
        for address in range(20):
            assert (await opened.read(1, "input", address, 50)).registers == tuple(range(100 + address, 150 + address))


async def test_meters_behind_one_address_share_the_longest_time_out(unused_tcp_port: int) -> None:
    """A slow meter behind a gateway is given the time that the rig file says, whichever meter is named first."""

    async def nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    place = {"kind": "modbus-tcp", "port": unused_tcp_port, "register_map": MAP}
    settings = rig(meters={"a": {**place, "timeout_s": 0.05}, "b": {**place, "unit_id": 2, "timeout_s": 0.15}})
    server = await asyncio.start_server(nobody, "127.0.0.1", unused_tcp_port)
    async with server, open_meters(settings, HERE, LoopClock(wall_now())) as opened:
        with pytest.raises(RigError, match=r"no valid reply within 0\.15 s"):
            await opened.meters["b"].read()

"""A meter on Modbus TCP against a real server on 127.0.0.1, in real and in virtual time."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from bench.adapters.clock import LoopClock
from bench.adapters.modbus import ModbusMeter
from bench.adapters.modbus_line import open_modbus_line
from bench.errors import RigError
from bench.settings.base import load
from bench.settings.instruments import ModbusTcpMeter
from bench.settings.lines import TcpLine
from bench.settings.meter import MeterMap
from tests.support import EPOCH

MAP = load(MeterMap, Path(__file__).parents[2] / "config/meters/sdm630.toml")
Responder = Callable[[list[bytes]], bytes]


SETTINGS = ModbusTcpMeter(kind="modbus-tcp", port=0, register_map=Path("x"))


def floats(**values: float) -> list[float]:
    """Return the 38 values of an SDM630's first 76 registers."""
    block = [0.0] * 38
    for name, value in values.items():
        block[MAP.quantities[name].address // 2] = value  # type: ignore[index]
    return block


@asynccontextmanager
async def sdm630(values: list[float], port: int = 0) -> AsyncIterator[int]:
    """Serve an SDM630 (unit 1) with pymodbus and give its port."""
    registers = [SimData(0, values=values, datatype=DataType.FLOAT32)]
    unused = [SimData(0, values=0, datatype=DataType.REGISTERS)]
    bits = [SimData(0, values=False, datatype=DataType.BITS)]
    device = SimDevice(1, simdata=(bits, bits, unused, registers))
    server = ModbusTcpServer(device, address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    assert isinstance(server.transport, asyncio.Server)
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def scripted(respond: Responder) -> AsyncIterator[int]:
    """Answer with whatever `respond` makes of the requests (12 bytes each) of this connection so far; give the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests: list[bytes] = []
        try:
            while request := await reader.read(12):
                requests.append(request)
                writer.write(respond(requests))
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def power_reply(request: bytes, power: float) -> bytes:
    """Return the answer of an SDM630 that measures this power."""
    return reply(request, b"\x04\x98" + struct.pack(">38f", *floats(power_total=power)))


def reply(request: bytes, pdu: bytes) -> bytes:
    """Return a PDU in the envelope that answers this request (transaction, protocol 0, length, unit)."""
    return request[:2] + struct.pack(">HHB", 0, len(pdu) + 1, request[6]) + pdu


@asynccontextmanager
async def meter_at(port: int, timeout_s: float = 0.2, meter_map: MeterMap = MAP) -> AsyncIterator[ModbusMeter]:
    """Open the meter under test."""
    settings = TcpLine(kind="modbus-tcp", timeout_s=timeout_s)
    async with open_modbus_line("", settings, LoopClock(EPOCH), port) as line:
        yield ModbusMeter("main", SETTINGS, meter_map, line)


@pytest.mark.every_loop
async def test_a_reading_has_values_times_and_raw_registers() -> None:
    """One request gives all quantities, the interval in which they were measured and what was on the wire."""
    values = floats(voltage_l1=230.5, current_l3=16.0, power_total=11040.0, power_l2=3680.0, energy_import=1.5, frequency=50.0)
    async with sdm630(values) as port, meter_at(port) as meter:
        reading = await meter.read()
    assert (reading.voltage_v[0], reading.current_a[2], reading.power_w) == (230.5, 16.0, 11040.0)
    assert (reading.phase_power_w[1], reading.energy_import_wh, reading.frequency_hz) == (3680.0, 1500.0, 50.0)
    assert reading.registers == {"input:0x0000": struct.pack(">38f", *values).hex()}
    assert EPOCH <= reading.requested <= reading.received


@pytest.mark.virtual
async def test_a_day_of_polls_in_virtual_time_has_no_false_timeout() -> None:
    """Virtual time waits for the loopback exchange: no reading takes any of it, and none times out."""
    async with sdm630(floats(power_total=7.0)) as port, meter_at(port, timeout_s=0.001) as meter:
        for _ in range(300):
            reading = await meter.read()
            assert (reading.power_w, reading.requested) == (7.0, reading.received)
            await asyncio.sleep(288)
    assert reading.requested == EPOCH + timedelta(seconds=299 * 288)


@pytest.mark.every_loop
async def test_a_meter_that_comes_back_is_read_again() -> None:
    """While the server is gone each reading is an error that says so; the first reading after its return succeeds."""
    async with sdm630(floats(power_total=1.0)) as port:
        opened = meter_at(port)
        meter = await opened.__aenter__()
        assert (await meter.read()).power_w == 1.0
    with pytest.raises(RigError, match=r"no valid reply|no connection"):
        await meter.read()
    with pytest.raises(RigError, match=rf"meter main at 127.0.0.1:{port}: no connection within 0.2 s"):
        await meter.read()
    async with sdm630(floats(power_total=2.0), port):
        assert (await meter.read()).power_w == 2.0
        await opened.__aexit__(None, None, None)


@pytest.mark.virtual
async def test_an_absent_meter_wakes_nobody_up() -> None:
    """After an outage nothing ticks: an hour of virtual time costs a handful of turns of the loop."""
    loop = asyncio.get_running_loop()
    async with sdm630(floats()) as port:
        opened = meter_at(port)
        meter = await opened.__aenter__()
    with pytest.raises(RigError):
        await meter.read()
    before = loop.iterations  # type: ignore[attr-defined]
    await asyncio.sleep(3600)
    assert loop.iterations - before < 20  # type: ignore[attr-defined]
    await opened.__aexit__(None, None, None)


async def test_an_absent_meter_is_an_error_at_the_start(unused_tcp_port: int) -> None:
    """A rig whose meter does not answer is refused before anything is energised."""
    with pytest.raises(RigError, match=f"127.0.0.1:{unused_tcp_port}: no connection"):
        async with meter_at(unused_tcp_port):
            pass


@pytest.mark.every_loop
async def test_a_silent_meter_times_out_and_can_be_read_later() -> None:
    """A request without a reply is an error after the meter's own deadline, and no burden for the next one."""
    silent = True

    def respond(requests: list[bytes]) -> bytes:
        return b"" if silent else power_reply(requests[-1], 5.0)

    async with scripted(respond) as port, meter_at(port) as meter:
        loop = asyncio.get_running_loop()
        start = loop.time()
        with pytest.raises(RigError, match=r"76 input registers from 0x0000: no valid reply within 0.2 s"):
            await meter.read()
        assert 0.19 < loop.time() - start < 1
        silent = False
        assert (await meter.read()).power_w == 5.0


@pytest.mark.virtual
async def test_a_late_reply_spoils_no_later_reading() -> None:
    """A reply that comes together with the next one spoils neither: the reading has its own value."""
    silent = True

    def respond(requests: list[bytes]) -> bytes:
        if silent:
            return b""
        return b"".join(power_reply(request, float(turn)) for turn, request in enumerate(requests, start=7))

    async with scripted(respond) as port, meter_at(port) as meter:
        reader = asyncio.create_task(meter.read())
        await asyncio.sleep(0.1)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        silent = False
        assert (await meter.read()).power_w == 7.0


async def test_a_refusal_names_the_exception() -> None:
    """A meter without these registers says so; the error repeats it in words."""
    async with scripted(lambda requests: reply(requests[-1], b"\x84\x02")) as port, meter_at(port) as meter:
        with pytest.raises(RigError, match=r"refused with exception 2 \(illegal data address\)"):
            await meter.read()


async def test_a_reply_of_the_wrong_length_is_refused() -> None:
    """Fewer registers than asked for must never be decoded as the first ones."""
    async with scripted(lambda requests: reply(requests[-1], b"\x04\x04\0\x01\0\x02")) as port, meter_at(port) as meter:
        with pytest.raises(RigError, match="the reply has 2 registers instead of 76"):
            await meter.read()


async def test_a_reply_to_another_function_is_refused() -> None:
    """Holding registers are not the input registers that were asked for."""
    answer = b"\x03\x98" + bytes(152)
    async with scripted(lambda requests: reply(requests[-1], answer)) as port, meter_at(port) as meter:
        with pytest.raises(RigError, match="the reply has function code 3"):
            await meter.read()


async def test_a_reply_with_another_number_is_refused() -> None:
    """pymodbus takes a reply with the number 0 for the answer to any request."""

    def unnumbered(requests: list[bytes]) -> bytes:
        return b"\0\0" + power_reply(requests[-1], 5000.0)[2:]

    async with scripted(unnumbered) as port, meter_at(port) as meter:
        with pytest.raises(RigError, match="the reply has number 0 instead of"):
            await meter.read()


async def test_a_line_that_breaks_in_the_middle_is_an_error() -> None:
    """Half a reply and then nothing is an outage, never a value."""
    whole = b"\x04\x98" + bytes(152)
    async with scripted(lambda requests: reply(requests[-1], whole)[:40]) as port, meter_at(port) as meter:
        with pytest.raises(RigError, match=r"no valid reply within 0.2 s"):
            await meter.read()


async def test_a_register_that_is_no_number_is_none() -> None:
    """NaN on the wire is a missing value and lowers the quality of the reading."""
    values = floats(voltage_l1=float("nan"), power_total=1.0)
    async with sdm630(values) as port, meter_at(port) as meter:
        reading = await meter.read()
    assert (reading.voltage_v[0], reading.power_w, reading.quality) == (None, 1.0, "incomplete")


@pytest.mark.virtual
async def test_requests_keep_the_gap_that_the_meter_needs() -> None:
    """Between a reply and the next request passes at least `minimum_gap_s`, also between two readers."""
    paced = MAP.model_copy(update={"minimum_gap_s": 0.5})
    async with sdm630(floats()) as port, meter_at(port, meter_map=paced) as meter:
        readings = await asyncio.gather(meter.read(), meter.read(), meter.read())
    assert [one.requested - EPOCH for one in readings] == [timedelta(seconds=0.5 * turn) for turn in range(3)]


async def test_a_cancelled_reading_leaves_the_meter_usable() -> None:
    """Cancelling a reader frees the line; the next reading has its own reply."""
    async with sdm630(floats(power_total=3.0)) as port, meter_at(port) as meter:
        task = asyncio.create_task(meter.read())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await meter.read()).power_w == 3.0

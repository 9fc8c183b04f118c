"""Emulated meters on a line of their own: RTU on a pseudo-terminal and over TCP, several units on one line."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.framer import FramerType

from bench.adapters.clock import LoopClock
from firmware_sim.faults import FaultSeam
from firmware_sim.instruments.line import ModbusBus, open_pty, open_tcp
from firmware_sim.instruments.modbus import Device, RtuFraming, TcpFraming, Wire
from tests.support_bus import TRUTH, framed, meter, open_terminal, raw_mode, read_request
from tests.support_firmware import EPOCH, SDM630, open_lab, specification

VOLTAGE_L1 = struct.pack(">f", TRUTH.voltage_v[0])


def seeded(fault_id: str, **params: Any) -> FaultSeam:
    """Return a seam with one fault of meter m1."""
    seam = FaultSeam()
    seam.seed(fault_id, {"meter": "m1", **params})
    return seam


def on_lines(kind: str, **line: Any) -> dict[str, Any]:
    """Return the usual rig with two meters on one line."""
    spec = specification()
    spec["stations"][0]["evses"][1]["meter"] = "m2"
    spec["meters"] = {f"m{unit}": {"register_map": str(SDM630), "line": "bus", "unit_id": unit} for unit in (1, 2)}
    spec["lines"] = {"bus": {"kind": kind, **line}}
    return spec


@pytest.mark.virtual
async def test_a_reply_takes_the_time_that_a_wire_takes() -> None:
    """9600 baud 8E1: 8 characters of request, 50 ms, 157 of reply, 11 bits each."""
    async with open_terminal(wire=Wire.serial(9600, "E", 1, 0.05)) as line:
        began = line.clock.monotonic()
        line.send(read_request(1, 0, 76))
        at, reply = await line.heard(157)
        assert reply[:7] == bytes([1, 4, 152]) + VOLTAGE_L1
        assert at - began == pytest.approx(0.05 + (8 + 157) * 11 / 9600)


@pytest.mark.virtual
async def test_the_second_request_waits_for_the_first_reply() -> None:
    """Unit 1 answers after 250 ms; what was asked of unit 2 meanwhile is answered after that, and in that order."""
    async with open_terminal(seeded("meter.late-reply", late_s=0.25, every=1)) as line:
        began = line.clock.monotonic()
        line.send(read_request(1, 0, 2))
        await line.clock.sleep(0.1)
        line.send(read_request(2, 2, 2))
        at, reply = await line.heard(18)
        assert (reply[0], reply[9]) == (1, 2)
        assert at - began == pytest.approx(0.25)


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("request_frame", "reply"),
    [
        (read_request(3, 0, 2), b""),
        (read_request(1, 0, 2)[:-1] + b"\0", b""),
        (framed(0, 4, 0, 0, 0, 2), b""),
        (read_request(1, 0, 2, function=3), framed(1, 0x83, 2)),
        (read_request(1, 75, 2), framed(1, 0x84, 2)),
        (read_request(1, 0, 126), framed(1, 0x84, 3)),
        (read_request(1, 0, 2, function=1), framed(1, 0x81, 1)),
        (framed(1, 6, 0, 0, 0, 1), framed(1, 0x86, 1)),
        (framed(1, 16, 0, 0, 0, 1, 2, 0, 1), framed(1, 0x90, 1)),
        (framed(1, 0x2B, 14, 1, 0), framed(1, 0xAB, 1)),
        (b"\0\xff" + read_request(2, 0, 2), framed(2, 4, 4, *VOLTAGE_L1)),
    ],
)
async def test_what_a_bus_answers(request_frame: bytes, reply: bytes) -> None:
    """Nothing for a unit that is not there, a wrong CRC or a broadcast; exceptions 1 to 3 by the standard; noise is skipped."""
    async with open_terminal() as line:
        assert await line.ask(request_frame, patience_s=1) == reply
        assert (await line.ask(read_request(1, 0, 2), 9))[3:7] == VOLTAGE_L1


@pytest.mark.virtual
async def test_the_begin_of_a_request_is_forgotten() -> None:
    """Five bytes of a request, silence, a whole one: one reply."""
    async with open_terminal() as line:
        line.send(read_request(1, 0, 2)[:5])
        await line.clock.sleep(0.5)
        assert await line.ask(read_request(2, 0, 2), patience_s=1) == framed(2, 4, 4, *VOLTAGE_L1)


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("fault_id", "params", "reply"),
    [
        ("meter.stray-byte", {"byte": 0}, b"\0" + framed(1, 4, 4, *VOLTAGE_L1)),
        ("meter.truncated", {"lost_bytes": 2}, framed(1, 4, 4, *VOLTAGE_L1)[:-2]),
        ("meter.silent", {"from_s": 0, "for_s": 60}, b""),
        ("meter.word-order", {"quantity": "voltage_l1"}, framed(1, 4, 4, *VOLTAGE_L1[2:], *VOLTAGE_L1[:2])),
        ("meter.not-available", {"quantity": "*", "content": "7fc00000"}, framed(1, 4, 4, 0x7F, 0xC0, 0, 0)),
    ],
)
async def test_a_fault_reaches_the_wire(fault_id: str, params: dict[str, Any], reply: bytes) -> None:
    """The points `reply` and `encoded` of the seam; the other meter on the bus is sound."""
    every = {} if "from_s" in params or "quantity" in params else {"every": 1}
    async with open_terminal(seeded(fault_id, **params, **every)) as line:
        assert await line.ask(read_request(1, 0, 2), patience_s=1) == reply
        assert await line.ask(read_request(2, 0, 2), 9) == framed(2, 4, 4, *VOLTAGE_L1)


@pytest.mark.virtual
async def test_a_broadcast_is_obeyed() -> None:
    """Each device gets it; none answers."""

    class Listener:
        name = "x"
        asked: bytes = b""

        def answer(self, pdu: bytes) -> bytes:
            self.asked = pdu
            return pdu

    listeners = {1: Listener(), 2: Listener()}
    async with open_terminal(units={**listeners}) as line:
        assert await line.ask(framed(0, 5, 0, 0, 0xFF, 0), patience_s=1) == b""
        assert [one.asked for one in listeners.values()] == [bytes([5, 0, 0, 0xFF, 0])] * 2


@pytest.mark.virtual
async def test_a_slow_meter_shows_an_average() -> None:
    """Window 20 s, 10 s after the car has stopped: half its power; the energy is not averaged."""
    async with open_lab() as lab:
        await lab.control.seed_fault("meter.slow-average", {"meter": "m1", "window_s": 20})
        client = AsyncModbusTcpClient("127.0.0.1", port=int(lab.rig.meter_ports["m1"]), retries=0)
        await client.connect()
        await lab.charge()
        await lab.clock.sleep(60)
        before = lab.power_w()
        await lab.control.unplug(1)
        await lab.clock.sleep(10)
        reply = await client.read_input_registers(0x34, count=2, device_id=1)
        client.close()
        shown = struct.unpack(">f", struct.pack(">2H", *reply.registers))[0]
        assert shown == pytest.approx(before / 2, rel=0.05)


async def test_pymodbus_reads_a_terminal(tmp_path: Path) -> None:
    """In real time, by the symbolic link, which is gone afterwards; the terminal is raw."""
    clock, link = LoopClock(EPOCH), tmp_path / "bus"
    bus = ModbusBus({7: meter(clock)}, RtuFraming(), clock, FaultSeam(), Wire.serial(115_200, "N", 1, 0.0))
    async with open_pty(bus, link=link) as path:
        assert path == str(link)
        assert raw_mode(path)
        client = AsyncModbusSerialClient(path, baudrate=115_200, timeout=1, retries=0)
        await client.connect()
        reply = await client.read_input_registers(0, count=76, device_id=7)
        client.close()
        assert struct.pack(">2H", *reply.registers[:2]) == VOLTAGE_L1
    assert not link.is_symlink()


@pytest.mark.virtual
@pytest.mark.parametrize("framer", [FramerType.SOCKET, FramerType.RTU])
async def test_units_share_a_tcp_line(framer: FramerType) -> None:
    """Modbus TCP, and RTU through a device server."""
    clock = LoopClock(EPOCH)
    devices: dict[int, Device] = {unit: meter(clock, f"m{unit}") for unit in (1, 2)}
    framing = TcpFraming() if framer is FramerType.SOCKET else RtuFraming()
    async with open_tcp(ModbusBus(devices, framing, clock, FaultSeam()), host="127.0.0.1", port=0) as port:
        client = AsyncModbusTcpClient("127.0.0.1", port=port, framer=framer, retries=0)
        await client.connect()
        replies = [await client.read_input_registers(0, count=2, device_id=unit) for unit in (1, 2)]
        assert [struct.pack(">2H", *reply.registers) for reply in replies] == [VOLTAGE_L1] * 2
        if framer is FramerType.SOCKET:
            assert (await client.read_input_registers(0, count=2, device_id=3)).exception_code == 11
        client.close()


@pytest.mark.virtual
@pytest.mark.parametrize("kind", ["serial", "modbus-tcp", "rtu-over-tcp"])
async def test_a_rig_has_meters_on_lines(kind: str) -> None:
    """The line has a port, its meters have none; a device path for a serial line."""
    async with open_lab(on_lines(kind)) as lab:
        assert lab.rig.meter_ports == {}
        assert isinstance(lab.rig.line_ports["bus"], str if kind == "serial" else int)


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"meters": {"m1": {"register_map": str(SDM630), "line": "x"}}}, r"meters.m1.line = 'x': lines here: bus"),
        ({"lines": {"bus": {"kind": "usb"}}}, r"lines.bus.kind = 'usb': must be one of serial"),
        ({"lines": {"bus": {"baud": 1}}}, r"lines.bus.baud = 1: must be a number from 300"),
    ],
)
async def test_a_wrong_line_is_refused(change: dict[str, Any], reason: str) -> None:
    """The message names the key, the value and what can be there."""
    with pytest.raises(ValueError, match=reason):
        async with open_lab({**on_lines("serial"), **change}):
            pass


@pytest.mark.virtual
async def test_two_meters_cannot_have_one_address() -> None:
    """Unit 1 twice on one line."""
    spec = on_lines("serial")
    spec["meters"]["m2"]["unit_id"] = 1
    with pytest.raises(ValueError, match=r"meters.m2.unit_id = 1: m1 has it on line 'bus'"):
        async with open_lab(spec):
            pass

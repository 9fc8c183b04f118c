"""A Modbus RTU line against a bus on a pty: what comes late, stray, garbled or never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.modbus_line import ModbusLine, frame_gap_s, open_modbus_line
from bench.errors import RigError
from bench.settings.lines import SerialLine, TcpLine
from tests.rtu_bus import Saying, answer, register, rtu_bus, soundly, with_crc
from tests.support import EPOCH

pytestmark = pytest.mark.virtual
LINE = SerialLine(kind="serial", timeout_s=0.2, drain_s=0.5)


@asynccontextmanager
async def line_at(port: str, **changes: Any) -> AsyncIterator[ModbusLine]:
    """Open the line under test."""
    async with open_modbus_line("bus", LINE.model_copy(update=changes), LoopClock(EPOCH), port) as line:
        yield line


def late_at(address: int, delay_s: float) -> Any:
    """Return the script of a device that is late where it is asked for this address."""

    def script(request: bytes) -> Saying:
        return [(delay_s if int.from_bytes(request[2:4]) == address else 0.0, answer(request))]

    return script


async def seconds_of(request: Any) -> float:
    """Return how long a request took, whatever came of it."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.gather(request, return_exceptions=True)
    return loop.time() - start


async def test_two_units_share_a_bus() -> None:
    """Each unit answers for itself, also when both are asked at once."""
    async with rtu_bus() as bus, line_at(bus.device) as line:
        replies = await asyncio.gather(line.read(1, "input", 0x34, 2), line.read(2, "holding", 0x10, 3))
    assert replies[0].registers == (register(1, 4, 0x34), register(1, 4, 0x35))
    assert replies[1].registers == tuple(register(2, 3, 0x10 + number) for number in range(3))


async def test_a_late_reply_is_not_the_answer_to_the_next_request() -> None:
    """The reply to address 0 comes 50 ms after its time-out; address 50 is answered by its own registers."""
    async with rtu_bus(late_at(0, 0.25)) as bus, line_at(bus.device) as line:
        with pytest.raises(
            RigError, match=r"line bus \(/dev/.*\), unit 1: 2 input registers from 0x0000: no valid reply within 0.2 s"
        ):
            await line.read(1, "input", 0, 2)
        assert (await line.read(1, "input", 50, 2)).registers[0] == register(1, 4, 50)


async def test_a_reply_later_than_the_silence_is_not_the_answer_either() -> None:
    """The reply to address 0 comes 1.5 s late, when address 50 was asked for long since: errors, never a wrong value."""
    async with rtu_bus(late_at(0, 1.5)) as bus, line_at(bus.device) as line:
        await seconds_of(line.read(1, "input", 0, 2))
        right = (register(1, 4, 50), register(1, 4, 51))
        replies = [await asyncio.gather(line.read(1, "input", 50, 2), return_exceptions=True) for _ in range(6)]
    values = [one.registers for (one,) in replies if not isinstance(one, BaseException)]
    assert values[-1] == right
    assert set(values) == {right}


async def test_a_refusal_shows_that_nothing_is_owed() -> None:
    """A device that refuses another number of registers has answered what came before."""

    def script(request: bytes) -> Saying:
        odd = request[5] != 2
        return [(0.25 if request[3] == 0 else 0.0, with_crc(bytes([1, 0x84, 2])) if odd else answer(request))]

    async with rtu_bus(script) as bus, line_at(bus.device) as line:
        await seconds_of(line.read(1, "input", 0, 2))
        assert (await line.read(1, "input", 50, 2)).registers[0] == register(1, 4, 50)


async def test_there_is_no_register_behind_the_last() -> None:
    """An address that a device's own tables lead to is an error of that device, not of the bench."""
    async with rtu_bus() as bus, line_at(bus.device) as line:
        with pytest.raises(RigError, match="the last register is 0xffff"):
            await line.read(1, "input", 0xFFFF, 2)
        assert not bus.requests


async def test_what_no_register_holds_is_not_written() -> None:
    """A scaled value may be too large or below nought: an error of the rig, before anything is sent."""
    async with rtu_bus() as bus, line_at(bus.device) as line:
        for value in (-1, 65536):
            with pytest.raises(RigError, match="a register holds 0 to 65535"):
                await line.write_register(1, 0, value)
        assert not bus.requests


async def test_a_late_reply_keeps_the_line_silent_from_its_own_end() -> None:
    """The line has to be silent for `drain_s` after the last byte, not after the time-out."""
    async with rtu_bus(late_at(0, 0.6)) as bus, line_at(bus.device) as line:
        await seconds_of(line.read(1, "input", 0, 2))
        assert await seconds_of(line.read(2, "input", 50, 2)) == pytest.approx(0.4 + 0.5, abs=0.01)


async def test_what_nobody_asked_for_keeps_the_line_silent() -> None:
    """A reply later than `drain_s`, or another master: the line rests before it is used again. A stray byte does not matter."""
    async with rtu_bus() as bus, line_at(bus.device) as line:
        await line.read(1, "input", 0, 2)
        for data, rest_s in ((b"\x00\xff", 0.0), (answer(bus.requests[0]), 0.5)):
            bus.say(data)
            await asyncio.sleep(0.1)
            assert await seconds_of(line.read(2, "input", 0, 2)) == pytest.approx(max(0.0, rest_s - 0.1), abs=0.01)


async def test_a_cancelled_request_spoils_no_other() -> None:
    """Whoever gives up on a request leaves a line that is silent before the next one."""
    async with rtu_bus(late_at(0, 0.15)) as bus, line_at(bus.device) as line:
        reader = asyncio.create_task(line.read(1, "input", 0, 2))
        await asyncio.sleep(0.6)
        assert len(bus.requests) == 1
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        assert (await line.read(1, "input", 50, 2)).registers[0] == register(1, 4, 50)


async def test_a_request_that_was_given_up_early_may_be_answered_late() -> None:
    """Given up after 10 ms, answered after 600 ms: the silence counts from when the reply was due, not from the giving up."""
    async with rtu_bus(late_at(0, 0.6)) as bus, line_at(bus.device) as line:
        await line.read(2, "input", 50, 2)
        reader = asyncio.create_task(line.read(1, "input", 0, 2))
        await asyncio.sleep(0.01)
        reader.cancel()
        assert (await line.read(1, "input", 50, 2)).registers[0] == register(1, 4, 50)
        assert [one[0] for one in bus.requests] == [2, 1, 1, 1]


@pytest.mark.parametrize(
    "stray", [b"\x00", b"\xff", b"\xfe", b"\x01", b"\x01\x04", b"\x00\xff\xfe"], ids=lambda stray: stray.hex()
)
async def test_stray_bytes_around_a_reply_are_cut_off(stray: bytes) -> None:
    """Adapters and some meters send a byte too many; the reply is read all the same, and so is the next one."""
    async with rtu_bus(lambda request: [(0.0, stray + answer(request) + b"\x00")]) as bus, line_at(bus.device) as line:
        for address in (0, 50):
            assert (await line.read(1, "input", address, 2)).registers[0] == register(1, 4, address)
        assert await seconds_of(line.read(1, "input", 7, 2)) < 0.1


async def test_a_reply_in_small_pieces_is_one_reply() -> None:
    """A slow adapter hands on three bytes at a time."""

    def script(request: bytes) -> Saying:
        reply = answer(request)
        return [(0.005, reply[at : at + 3]) for at in range(0, len(reply), 3)]

    async with rtu_bus(script) as bus, line_at(bus.device) as line:
        assert (await line.read(1, "input", 0, 20)).registers[19] == register(1, 4, 19)


async def test_a_reply_with_a_wrong_crc_is_none() -> None:
    """The error shows what came."""
    async with rtu_bus(lambda request: [(0.0, answer(request)[:-1] + b"!")]) as bus, line_at(bus.device) as line:
        with pytest.raises(RigError, match=r"no valid reply within 0.2 s; what came: 01 04 04"):
            await line.read(1, "input", 0, 2)


async def test_a_reply_of_another_length_is_refused() -> None:
    """Fewer registers than asked for are never taken for the first ones."""
    short = lambda request: [(0.0, answer(request[:4] + b"\x00\x01"))]  # noqa: E731
    async with rtu_bus(short) as bus, line_at(bus.device) as line:
        with pytest.raises(RigError, match="the reply has 1 registers instead of 2"):
            await line.read(1, "input", 0, 2)


async def test_an_echoing_adapter_is_read_when_the_rig_file_says_so() -> None:
    """With `local_echo` the echo is not taken for the reply, not even for the confirmation of a write."""
    answers = True
    script = lambda request: soundly(request) if answers else []  # noqa: E731
    async with rtu_bus(script, echo=True) as bus, line_at(bus.device, local_echo=True) as line:
        assert (await line.read(1, "input", 9, 2)).registers[0] == register(1, 4, 9)
        await line.write_coil(1, 0, True)
        answers = False
        with pytest.raises(RigError, match="coil 0 = 0: no valid reply"):
            await line.write_coil(1, 0, False)


async def test_coils_and_registers_are_written_and_confirmed() -> None:
    """A write returns when the device has confirmed what was written."""
    async with rtu_bus() as bus, line_at(bus.device) as line:
        await line.write_coil(1, 3, True)
        await line.write_register(1, 0x20, 160)
        assert await line.read_coil(1, 3) is True
        assert [request[1] for request in bus.requests] == [5, 6, 1]


async def test_a_write_that_confirms_something_else_is_an_error() -> None:
    """Another coil was switched, or not as it was told."""
    async with rtu_bus(lambda request: [(0.0, with_crc(request[:3] + b"\x09\xff\x00"))]) as bus, line_at(bus.device) as line:
        with pytest.raises(RigError, match="the reply confirms coil 9 = 1"):
            await line.write_coil(1, 3, True)


async def test_a_gap_keeps_its_own_device_waiting_only() -> None:
    """Unit 1 needs 0.1 s between a reply and the next request; unit 2 is read in between."""
    async with rtu_bus() as bus, line_at(bus.device) as line:
        await line.read(1, "input", 0, 2, gap_s=0.1)
        again = asyncio.create_task(seconds_of(line.read(1, "input", 0, 2)))
        assert await seconds_of(line.read(2, "input", 0, 2)) < 0.01
        assert await again == pytest.approx(0.1, abs=0.01)


async def test_a_dead_device_costs_the_others_its_time_out_and_no_more() -> None:
    """Once it was silent, a device that is silent again keeps the line for its time-out; it is itself asked less often."""
    async with rtu_bus() as bus, line_at(bus.device) as line:
        await seconds_of(line.read(7, "input", 0, 2))
        dead = asyncio.create_task(seconds_of(line.read(7, "input", 0, 2)))
        await asyncio.sleep(0.51)
        assert await seconds_of(line.read(1, "input", 0, 2)) <= 0.2
        await dead


async def test_a_canary_that_changed_is_an_error() -> None:
    """A register that is known and constant tells of a shifted line or another device."""
    async with rtu_bus() as bus, line_at(bus.device) as line:
        await line.expect(1, "holding", 0x40, [register(1, 3, 0x40)])
        with pytest.raises(RigError, match="hold 3040 instead of 3041: another device, or a shifted line"):
            await line.expect(1, "holding", 0x40, [register(1, 3, 0x41)])


async def test_a_line_that_is_never_silent_is_an_error() -> None:
    """Two masters on one bus are told apart from a silent device."""
    async with rtu_bus() as bus, line_at(bus.device) as line:

        async def babble() -> None:
            while True:
                bus.say(b"babbling")
                await asyncio.sleep(0.1)

        other = asyncio.create_task(babble())
        with pytest.raises(RigError, match=r"never silent for 0.5 s: something else asks or talks on it"):
            await line.read(1, "input", 0, 2)
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


async def test_an_adapter_that_was_gone_for_3_s_is_read_again(tmp_path: Path) -> None:
    """While it is gone each reading is an error; behind the same name it is read within two seconds."""
    link = tmp_path / "usb-adapter"
    async with rtu_bus(link=link):
        opened = line_at(str(link))
        line = await opened.__aenter__()
        await line.read(1, "input", 0, 2)
    for _ in range(3):
        with pytest.raises(RigError, match=r"the connection is lost|no such device"):
            await line.read(1, "input", 0, 2)
        await asyncio.sleep(1)
    async with rtu_bus(link=link):
        assert await seconds_of(line.read(1, "input", 0, 2)) < 2
        assert (await line.read(1, "input", 0, 2)).registers[0] == register(1, 4, 0)
        await opened.__aexit__(None, None, None)


async def test_a_port_that_is_taken_says_so() -> None:
    """One program uses a serial port at a time."""
    async with rtu_bus() as bus, line_at(bus.device):
        with pytest.raises(RigError, match=rf"is taken by another program or another run: `fuser -v {bus.device}` names it"):
            async with line_at(bus.device):
                pass


async def test_a_port_that_is_missing_says_what_there_is(tmp_path: Path) -> None:
    """The error names the adapters that are plugged in."""
    with pytest.raises(RigError, match=r"line bus \(.*/usb-none\): there is no such device: (no serial|adapters)"):
        async with line_at(str(tmp_path / "usb-none")):
            pass


async def test_rtu_over_tcp_drops_a_late_reply() -> None:
    """A serial device server has no transaction number either: its late reply is taken for nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(request := await reader.read(8)) == 8:
            await asyncio.sleep(0.25 if request[3] == 0 else 0)
            writer.write(b"\x00" + answer(request))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    settings = TcpLine(kind="rtu-over-tcp", timeout_s=0.2, drain_s=0.5)
    async with server, open_modbus_line("far", settings, LoopClock(EPOCH), server.sockets[0].getsockname()[1]) as line:
        with pytest.raises(RigError, match="line far"):
            await line.read(1, "input", 0, 2)
        assert (await line.read(1, "input", 50, 2)).registers[0] == register(1, 4, 50)
    await asyncio.sleep(0.1)


def test_the_gap_between_frames_is_three_and_a_half_characters() -> None:
    """MODBUS over Serial Line 2.5.1.1: 3.5 characters, and 1.75 ms from 19,200 baud on."""
    assert frame_gap_s(LINE) == pytest.approx(3.5 * 10 / 9600)
    assert frame_gap_s(LINE.model_copy(update={"baud": 115_200})) == 0.00175

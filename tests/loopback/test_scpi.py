"""The SCPI driver against the emulated EV emulator, and against instruments that misbehave."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.roles import InstrumentEv, InstrumentLoad, InstrumentPilot, InstrumentSwitch
from bench.adapters.scpi import Scpi, open_scpi
from bench.errors import NotApplicableError, RigError
from bench.settings.actuators import Role, ScpiInstrument
from bench.settings.base import load
from bench.settings.instrument_map import InstrumentMap
from firmware_sim.scpi import EvEmulator, open_instrument

MAPS = Path(__file__).parent.parent.parent / "config" / "instruments"
EV = load(InstrumentMap, MAPS / "emulated-ev.toml")
SOURCE = load(InstrumentMap, MAPS / "generic-ac-source.toml")
Answer = Callable[[str], bytes | None]


class Car:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    async def plug(self, evse_id: int) -> None:
        self.told.append(("plug", evse_id))

    async def unplug(self, evse_id: int) -> None:
        self.told.append(("unplug", evse_id))

    async def demand(self, evse_id: int, amperes: float) -> None:
        if amperes > 80:
            raise ValueError("too much")
        self.told.append(("demand", evse_id, amperes))

    async def vehicle(self, evse_id: int, settings: Any) -> None:
        self.told.append(("vehicle", evse_id, settings))

    async def look(self, evse_id: int) -> Any:
        return {"state": "C", "duty_percent": 26.67}


@asynccontextmanager
async def emulated() -> AsyncIterator[tuple[Scpi, Car]]:
    """Give the driver and the car behind the emulated instrument."""
    car = Car()
    settings = ScpiInstrument(kind="scpi", roles=("ev", "pilot"), commands=Path("x"), host="127.0.0.1", timeout_s=0.5)
    async with (
        open_instrument(EvEmulator(car), host="127.0.0.1", port=0) as port,
        open_scpi("ev", settings, EV, port) as instrument,
    ):
        yield instrument, car


@asynccontextmanager
async def source(answer: Answer, commands: InstrumentMap = SOURCE, role: Role = "power_switch") -> AsyncIterator[Scpi]:
    """Give the driver of an AC source, or of what has these commands; `answer(line)` is its answer; None: silence."""
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(OSError):
            while line := (await reader.readline()).decode().strip():
                said = answer(line) or (b"ACME,SOURCE\n" if line == "*IDN?" else None)
                if said is not None:
                    writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    settings = ScpiInstrument(kind="scpi", roles=(role,), commands=Path("x"), host="127.0.0.1", timeout_s=0.2)
    try:
        async with open_scpi("source", settings, commands, server.sockets[0].getsockname()[1]) as instrument:
            yield instrument
    finally:
        server.close()
        for writer in writers:
            writer.close()
        for _ in range(3):
            await asyncio.sleep(0)


def sound(line: str) -> bytes | None:
    """Answer as a source that is on."""
    return {"OUTP?": b"1\n", "SYST:ERR?": b'0,"No error"\n'}.get(line)


@pytest.mark.virtual
async def test_an_ev_is_plugged_and_draws() -> None:
    """Actions become the map's commands; the instrument moves the car."""
    async with emulated() as (instrument, car):
        ev = InstrumentEv(instrument)
        await ev.plug(1)
        await ev.demand(1, 13.5)
        await ev.vehicle(1, {"phases": 1, "soc_percent": 40})
        await ev.unplug(1)
    assert car.told == [
        ("plug", 1), ("demand", 1, 13.5), ("vehicle", 1, {"phases": 1}), ("vehicle", 1, {"soc_percent": 40.0}), ("unplug", 1),
    ]  # fmt: skip


@pytest.mark.virtual
async def test_a_load_reads_back_what_it_draws() -> None:
    """What was set is asked for."""
    async with emulated() as (instrument, _):
        load = InstrumentLoad(instrument)
        await load.draw(10.0)
        assert await load.drawn() == 10.0


@pytest.mark.virtual
async def test_a_pilot_is_seen() -> None:
    """State and duty cycle come from the instrument, not from the station."""
    async with emulated() as (instrument, _):
        assert await InstrumentPilot(instrument).look(1) == {"state": "C", "duty_percent": 26.67, "ev_wants_a": None}


@pytest.mark.virtual
async def test_the_error_queue_is_told() -> None:
    """What the instrument refuses is an error with its words."""
    async with emulated() as (instrument, _):
        with pytest.raises(RigError, match=r'EV:CURR 1,99: -222,"Data out of range"'):
            await InstrumentEv(instrument).demand(1, 99.0)


@pytest.mark.virtual
async def test_a_property_that_the_instrument_does_not_know_does_not_apply() -> None:
    """Nothing is pretended: the run is NOT APPLICABLE."""
    async with emulated() as (instrument, car):
        with pytest.raises(NotApplicableError, match="cannot set departure_s"):
            await InstrumentEv(instrument).vehicle(1, {"phases": 1, "departure_s": 1000})
        assert not car.told


@pytest.mark.virtual
async def test_text_that_would_be_another_command_is_refused() -> None:
    """No value can end a command and begin another."""
    async with emulated() as (instrument, car):
        with pytest.raises(RigError, match="must be letters"):
            await InstrumentEv(instrument).vehicle(1, {"phases": "1\nEV:CURR 1,32"})
        assert not car.told


@pytest.mark.virtual
async def test_a_source_switches_and_reads_back() -> None:
    """A contact that does not follow is told."""
    async with source(sound) as instrument:
        switch = InstrumentSwitch(instrument)
        await switch.switch(True)
        with pytest.raises(RigError, match="told to open, and reads back closed"):
            await switch.switch(False)


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (None, "OUTP[?]: no answer within 0.2 s"),
        (b"1", "OUTP[?]: no answer within 0.2 s; what came: b'1'"),
        (b"\xff\x00garbage\n", "OUTP[?]: answers .*known: 1, ON, 0, OFF"),
        (b"9" * 100_000, "the answer is longer than 4096 bytes"),
        (b"\n", "OUTP[?]: answers ''"),
    ],
)
async def test_an_answer_that_is_none_is_an_error(said: bytes | None, reason: str) -> None:
    """Silence, half a line, garbage, too much, nothing: each says what came."""
    async with source(lambda line: said if line == "OUTP?" else sound(line)) as instrument:
        with pytest.raises(RigError, match=reason):
            await InstrumentSwitch(instrument).is_closed()


@pytest.mark.virtual
async def test_a_late_answer_is_not_taken_for_the_next() -> None:
    """After silence the connection is made anew, so that what comes late belongs to nobody."""
    answers = iter((None, b"0\n", b"1\n"))

    def late(line: str) -> bytes | None:
        return next(answers) if line == "OUTP?" else sound(line)

    async with source(late) as instrument:
        switch = InstrumentSwitch(instrument)
        with pytest.raises(RigError):
            await switch.is_closed()
        assert [await switch.is_closed(), await switch.is_closed()] == [False, True]


@pytest.mark.virtual
async def test_an_answer_that_nobody_asked_for_is_thrown_away() -> None:
    """Two lines for one question do not shift the answers."""
    async with source(lambda line: b"1\n0\n" if line == "OUTP?" else sound(line)) as instrument:
        switch = InstrumentSwitch(instrument)
        assert [await switch.is_closed(), await switch.is_closed()] == [True, True]


@pytest.mark.virtual
async def test_an_error_queue_without_an_end_is_an_error() -> None:
    """It is asked twenty times, not for ever."""
    async with source(lambda line: b'-350,"Queue overflow"\n' if line == "SYST:ERR?" else sound(line)) as instrument:
        with pytest.raises(RigError, match="Queue overflow"):
            await InstrumentSwitch(instrument).switch(True)


@pytest.mark.virtual
async def test_another_instrument_is_refused() -> None:
    """Who answers at this address is not who was expected."""
    settings = ScpiInstrument(kind="scpi", roles=("ev",), commands=Path("x"), host="127.0.0.1")
    stranger = EV.model_copy(update={"expect": "ACME"})
    async with open_instrument(EvEmulator(Car()), host="127.0.0.1", port=0) as port:
        with pytest.raises(RigError, match="says that it is 'charge point bench,EMU-EV,0,1', and 'ACME' was expected"):
            async with open_scpi("ev", settings, stranger, port):
                pass


async def test_an_instrument_on_a_serial_port_is_told_and_asked() -> None:
    """The same lines over a serial port."""
    ours, theirs = os.openpty()
    for end in (ours, theirs):
        tty.setraw(end)
    os.set_blocking(ours, False)
    received = bytearray()

    def serve() -> None:
        received.extend(os.read(ours, 1000))
        while b"\n" in received:
            line, _, rest = bytes(received).partition(b"\n")
            received[:] = rest
            said = b"ACME,SOURCE\n" if line == b"*IDN?" else sound(line.decode())
            if said:
                os.write(ours, said)

    asyncio.get_running_loop().add_reader(ours, serve)
    settings = ScpiInstrument(
        kind="scpi", roles=("power_switch",), commands=Path("x"), serial_port=os.ttyname(theirs), timeout_s=0.5
    )
    try:
        async with open_scpi("source", settings, SOURCE) as instrument:
            await InstrumentSwitch(instrument).switch(True)
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        os.close(theirs)


async def test_a_generic_load_reads_back_nothing_once_it_is_stopped() -> None:
    """The safe state takes a load for off only where `drawn` says 0, and CURR? tells what is set, not what flows."""
    current, told = 0.0, list[str]()

    def instrument(line: str) -> bytes | None:
        nonlocal current
        told.append(line)
        if line.startswith("CURR "):
            current = float(line.partition(" ")[2])
        return {"CURR?": f"{current:g}\n".encode(), "SYST:ERR?": b'0,"No error"\n'}.get(line)

    async with source(instrument, load(InstrumentMap, MAPS / "generic-ac-load.toml"), "load") as one:
        for amperes in (16.0, 0.0):
            await InstrumentLoad(one).draw(amperes)
            assert await InstrumentLoad(one).drawn() == amperes
    assert "INP OFF" in told


@pytest.mark.virtual
async def test_an_answer_after_the_time_out_is_none_to_the_next_question() -> None:
    """The connection is given up: what the instrument says on it once it is asked again would pass for the new answer."""
    connections = questions = 0

    def late(line: str) -> bytes | None:
        nonlocal connections, questions
        connections += line == "*IDN?"
        questions += line == "OUTP?"
        if line != "OUTP?" or questions == 1:
            return None
        return b"1\n0\n" if connections == 1 else b"0\n"

    async with source(late) as one:
        with pytest.raises(RigError, match="no answer within"):
            await InstrumentSwitch(one).is_closed()
        assert await InstrumentSwitch(one).is_closed() is False

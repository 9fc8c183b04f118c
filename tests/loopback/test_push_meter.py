"""P1 and SML meters on pseudo-terminals: read by the bench, sent by the emulator."""

from __future__ import annotations

import asyncio
import fcntl
import os
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.push_meter import PushMeter, open_p1_meter, open_sml_meter
from bench.errors import RigError
from bench.settings.instruments import P1Meter, SmlMeter
from bench.wire.p1 import decode_p1
from firmware_sim.instruments import p1
from firmware_sim.instruments.serial_meter import Shown
from tests.support import EPOCH
from tests.support_firmware import STATION, Lab, open_lab

TELEGRAM = p1.telegram(Shown(EPOCH, (230.0,) * 3, (10.0,) * 3, (2300.0,) * 3, 1000.0), "5")


@contextmanager
def terminal(link: Path) -> Iterator[int]:
    """Give the far end of a serial port that is there under a stable name."""
    master, slave = os.openpty()
    tty.setraw(slave)
    link.symlink_to(os.ttyname(slave))
    try:
        yield master
    finally:
        link.unlink()
        os.close(master)
        os.close(slave)


def p1_meter(port: Path | str, timeout_s: float = 3.0) -> P1Meter:
    """Return the settings of a meter of version 5."""
    return P1Meter(kind="p1", port=str(port), timeout_s=timeout_s)


def building(kind: str, **meter: Any) -> dict[str, Any]:
    """Return a rig of two EVSEs of 16 A, each without a meter, and the building's meter."""
    station = {"id": STATION, "evses": [{"id": 1, "max_current_a": 16}, {"id": 2, "max_current_a": 16}]}
    return {"stations": [station], "meters": {"house": {"kind": kind, **meter}}, "emulator": {"house_load_w": 690.0}}


@asynccontextmanager
async def house(lab: Lab, version: Any = "5") -> AsyncIterator[PushMeter]:
    """Open the building's P1 meter."""
    settings = P1Meter(kind="p1", version=version)
    async with open_p1_meter("house", settings, lab.clock, lab.rig.meter_devices["house"]) as meter:
        yield meter


async def test_a_telegram_is_handed_out_once(tmp_path: Path) -> None:
    """Its interval is its time on the wire at 115200 baud; without another one the next reading is an error that says why."""
    with terminal(tmp_path / "p1") as far:
        async with open_p1_meter("house", p1_meter(tmp_path / "p1", 0.05), LoopClock(EPOCH)) as meter:
            os.write(far, TELEGRAM)
            reading = await meter.read()
            assert (reading.power_w, reading.current_a) == (6900.0, (10.0, 10.0, 10.0))
            on_the_wire_s = (reading.received - reading.requested).total_seconds()
            assert on_the_wire_s == pytest.approx((len(TELEGRAM) - 1) * 10 / 115_200, 0.01)
            with pytest.raises(RigError, match=r"meter house at .*p1: no telegram within 0.05 s: not one byte came"):
                await meter.read()
            os.write(far, b"\x00" * 40)
            with pytest.raises(RigError, match="40 bytes came that are none: wrong version"):
                await meter.read()


async def test_a_wrong_checksum_is_an_outage_of_one_telegram(tmp_path: Path) -> None:
    """The next telegram is read again."""
    with terminal(tmp_path / "p1") as far:
        async with open_p1_meter("house", p1_meter(tmp_path / "p1"), LoopClock(EPOCH)) as meter:
            os.write(far, TELEGRAM.replace(b"06.900", b"06.901"))
            with pytest.raises(RigError, match=r"house at .*: the checksum \(CRC\) of the telegram is wrong"):
                await meter.read()
            os.write(far, TELEGRAM)
            assert (await meter.read()).power_w == 6900.0


async def test_an_adapter_that_comes_back_is_used_again(tmp_path: Path) -> None:
    """Unplugged, each reading says so; plugged in again it is read within 2 s."""
    with terminal(tmp_path / "p1"):
        opened = open_p1_meter("house", p1_meter(tmp_path / "p1", 0.7), LoopClock(EPOCH))
        meter = await opened.__aenter__()
    with pytest.raises(RigError, match="there is no such device"):
        await meter.read()
    with terminal(tmp_path / "p1") as far:
        async with asyncio.timeout(2):
            while meter.stream is None or meter.stream.lost:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0.01)
        os.write(far, TELEGRAM)
        assert (await meter.read()).power_w == 6900.0
        await opened.__aexit__(None, None, None)


@pytest.mark.virtual
async def test_a_character_of_wrong_parity_is_none(tmp_path: Path) -> None:
    """Version 2.2 has no checksum: the port itself looks at the parity, and a disturbed digit is read as NUL."""
    settings = P1Meter(kind="p1", port=str(tmp_path / "p1"), version="2.2")
    with terminal(tmp_path / "p1") as far:
        async with open_p1_meter("house", settings, LoopClock(EPOCH)):
            assert termios.tcgetattr(far)[0] & termios.INPCK
    shown = Shown(EPOCH, (230.0,) * 3, (10.0,) * 3, (2300.0,) * 3, 1000.0)
    nul = p1.telegram(shown, "2.2").replace(b"1-0:1.7.0(0", b"1-0:1.7.0(\0")
    with pytest.raises(ValueError, match="cannot be read"):
        decode_p1(nul, "2.2", EPOCH, EPOCH)


async def test_ports_that_cannot_be_opened_say_what_mends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, in use and not permitted are told apart."""
    import serial

    async def refusal(port: Path) -> str:
        with pytest.raises(RigError) as refused:
            async with open_p1_meter("house", p1_meter(port), LoopClock(EPOCH)):
                pass
        return str(refused.value)

    assert "there is no such device" in await refusal(tmp_path / "none")
    with terminal(tmp_path / "p1"):
        other = os.open(tmp_path / "p1", os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "taken by another program" in await refusal(tmp_path / "p1")
        os.close(other)

    def denied(*_: Any, **__: Any) -> None:
        raise serial.SerialException(13, "could not open port")

    monkeypatch.setattr(serial, "Serial", denied)
    assert "not permitted: `sudo usermod" in await refusal(tmp_path)


@pytest.mark.virtual
@pytest.mark.parametrize("version", ["2.2", "4", "5", "fluvius", "luxembourg", "sweden"])
async def test_the_buildings_meter_sees_every_evse_and_the_house(version: str) -> None:
    """690 W of house and two cars of 16 A per phase, on a P1 port of each version."""
    async with open_lab(building("p1", version=version)) as lab, house(lab, version) as meter:
        assert (await meter.read()).power_w == pytest.approx(690, abs=10)
        await lab.charge(1)
        await lab.charge(2)
        await meter.read()
        assert (await meter.read()).power_w == pytest.approx(690 + lab.power_w(1) + lab.power_w(2), abs=10)


@pytest.mark.virtual
async def test_virtual_time_waits_for_the_terminal() -> None:
    """300 telegrams in a row: each a second after the other, its last byte one wire time later, none lost."""
    async with open_lab(building("p1")) as lab, house(lab) as meter:
        readings = [await meter.read() for _ in range(300)]
    steps = {(after.received - before.received).total_seconds() for before, after in pairwise(readings)}
    assert all(step == pytest.approx(1, abs=0.001) for step in steps)


@pytest.mark.virtual
async def test_an_sml_meter_shows_the_truth() -> None:
    """The emulated German meter: signed power to 0.1 W each second."""
    settings = SmlMeter(kind="sml")
    async with (
        open_lab(building("sml")) as lab,
        open_sml_meter("house", settings, lab.clock, lab.rig.meter_devices["house"]) as meter,
    ):
        await lab.charge(1)
        await meter.read()
        reading = await meter.read()
    assert reading.power_w == pytest.approx(690 + 10_692.2, abs=0.1)


@pytest.mark.virtual
@pytest.mark.parametrize(("fault", "reason"), [("meter.telegram-crc", "checksum"), ("meter.telegram-silence", "not one byte")])
async def test_faults_of_the_port(fault: str, reason: str) -> None:
    """A wrong checksum and silence: outages with their reason."""
    async with open_lab(building("p1")) as lab:
        await lab.control.seed_fault(fault, {})
        async with house(lab) as meter:
            with pytest.raises(RigError, match=reason):
                await meter.read()


@pytest.mark.virtual
@pytest.mark.parametrize(("kind", "number"), [("p1", "EMU00000001"), ("sml", "0A01454D550000000001")])
async def test_a_meter_that_sends_by_itself_tells_its_number(kind: str, number: str) -> None:
    """The identity takes no telegram away: the next reading is the one it was told by."""
    model, opened = ((P1Meter, open_p1_meter), (SmlMeter, open_sml_meter))[kind == "sml"]
    settings: Any = model.model_validate({"kind": kind, "serial_number": "17"})
    async with open_lab(building(kind)) as lab, opened("house", settings, lab.clock, lab.rig.meter_devices["house"]) as meter:
        found = await meter.identify()
        at = lab.clock.now()
        assert (await meter.read()).received <= at == lab.clock.now()
    assert found["serial_number"] == number
    assert f"tells serial number {number}, the rig file 17" in found["doubt"]

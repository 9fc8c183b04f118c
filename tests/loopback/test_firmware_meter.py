"""The emulated meter on Modbus TCP: its registers are the truth, seen through the meter's own errors."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

from firmware_sim import faults
from tests.support_firmware import EPOCH, Lab, charging_profile, open_lab, specification

VOLTAGE, CURRENT, POWER, TOTAL, FREQUENCY, ENERGY = 0, 3, 6, 26, 35, 36
"""Where the SDM630's floats stand, counted in floats from register 0."""


@asynccontextmanager
async def client(lab: Lab) -> AsyncIterator[AsyncModbusTcpClient]:
    """Yield a Modbus client at meter m1."""
    modbus = AsyncModbusTcpClient("127.0.0.1", port=int(lab.rig.meter_ports["m1"]), retries=0)
    await modbus.connect()
    try:
        yield modbus
    finally:
        modbus.close()


async def floats(modbus: AsyncModbusTcpClient) -> tuple[float, ...]:
    """Read the whole block of 76 registers as 38 floats."""
    reply = await modbus.read_input_registers(0, count=76, device_id=1)
    return struct.unpack(">38f", struct.pack(">76H", *reply.registers))


def with_meter(**changes: Any) -> dict[str, Any]:
    """Return the usual rig with meter m1 changed."""
    spec = specification()
    spec["meters"]["m1"].update(changes)
    return spec


@pytest.mark.virtual
async def test_registers_are_the_truth() -> None:
    """Voltage, current, power and energy of the charging car, as its physics has them."""
    async with open_lab() as lab, client(lab) as modbus:
        await lab.charge()
        await lab.clock.sleep(3600)
        shown, truth = await floats(modbus), lab.control.state()["evses"][0]
        assert shown[VOLTAGE : VOLTAGE + 3] == (230, 230, 230)
        assert shown[CURRENT : CURRENT + 3] == pytest.approx(truth["current_a"], rel=1e-4)
        assert shown[POWER : POWER + 3] == pytest.approx([truth["power_w"] / 3] * 3, rel=1e-5)
        assert shown[TOTAL] == pytest.approx(truth["power_w"], rel=1e-5)
        assert shown[FREQUENCY] == 50
        assert shown[ENERGY] == pytest.approx(truth["energy_wh"] / 1000)
        assert truth["energy_wh"] > 10_000


@pytest.mark.virtual
async def test_the_meter_sees_the_phases_it_is_wired_to() -> None:
    """A single-phase EVSE on the meter's phase 2: current and voltage there, nothing elsewhere."""
    spec = specification()
    spec["stations"][0]["evses"][0]["phases"] = [2]
    async with open_lab(spec) as lab, client(lab) as modbus:
        await lab.charge()
        shown = await floats(modbus)
        assert shown[CURRENT : CURRENT + 3] == pytest.approx([0, 0.6 * 26.66 - 0.5, 0])
        assert shown[VOLTAGE : VOLTAGE + 3] == (0, 230, 0)


@pytest.mark.virtual
async def test_two_evses_behind_one_meter_add_up() -> None:
    """Two cars, each 10.7 kW."""
    spec = specification()
    spec["stations"][0]["evses"][1]["meter"] = "m1"
    async with open_lab(spec) as lab, client(lab) as modbus:
        await lab.charge(1)
        await lab.charge(2)
        assert (await floats(modbus))[TOTAL] == pytest.approx(lab.power_w(1) + lab.power_w(2), rel=1e-5)
        assert lab.power_w(1) > 10_000


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("errors", "current", "total"),
    [
        ({"gain_percent": 2}, 15.496 * 1.02, 10_692.24 * 1.02),
        ({"offset_a": 0.1}, 15.596, 230 * 3 * 15.596),
        ({"resolution_a": 0.5, "resolution_w": 100}, 15.5, 10_800),
    ],
)
async def test_the_meter_errs_in_its_own_way(errors: Mapping[str, float], current: float, total: float) -> None:
    """Gain, offset and the last digit; the truth behind it stays (per phase 3564 W, which is 3600 W in steps of 100 W)."""
    async with open_lab(with_meter(distortion=errors)) as lab, client(lab) as modbus:
        await lab.charge()
        shown = await floats(modbus)
        assert (shown[CURRENT], shown[TOTAL]) == pytest.approx((current, total), rel=1e-5)
        assert lab.power_w() == pytest.approx(10_692.2)


@pytest.mark.virtual
async def test_a_slow_meter_shows_the_past() -> None:
    """Latency 20 s: 15 s after the car has stopped the registers still show its power, 30 s after, none."""
    async with open_lab(with_meter(distortion={"latency_s": 20})) as lab, client(lab) as modbus:
        await lab.charge()
        await lab.clock.sleep(30)
        await lab.control.unplug(1)
        await lab.clock.sleep(15)
        assert (await floats(modbus))[TOTAL] == pytest.approx(10_692.24)
        await lab.clock.sleep(15)
        assert (await floats(modbus))[TOTAL] == 0


@pytest.mark.virtual
async def test_what_is_not_in_the_map_is_refused() -> None:
    """Illegal address (2) outside the block and for holding registers, illegal function (1) for coils and for a write."""
    async with open_lab() as lab, client(lab) as modbus:
        replies = [
            await modbus.read_input_registers(75, count=2, device_id=1),
            await modbus.read_input_registers(1000, count=2, device_id=1),
            await modbus.read_holding_registers(0, count=2, device_id=1),
            await modbus.read_coils(0, count=1, device_id=1),
            await modbus.write_register(0, 1, device_id=1),
        ]
        assert [reply.exception_code for reply in replies] == [2, 2, 2, 1, 1]


@pytest.mark.virtual
async def test_a_fault_of_the_meter_changes_its_registers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The point `registers` of the seam: a meter that always shows 0 W while the car charges."""

    class ShowsNothing:
        PARAMS: Mapping[str, str] = {}

        def registers(self, meter: str, t: float, values: dict[str, float]) -> dict[str, float]:
            return {**values, "power_total": 0.0}

    monkeypatch.setitem(faults.FAULTS, "meter.shows-nothing", ShowsNothing)
    async with open_lab() as lab, client(lab) as modbus:
        await lab.control.seed_fault("meter.shows-nothing", {})
        await lab.charge()
        assert (await floats(modbus))[TOTAL] == 0
        assert lab.power_w() > 10_000


@pytest.mark.virtual
async def test_a_taken_port_is_an_error() -> None:
    """Two meters on one port: OSError names the address."""
    async with open_lab() as lab:
        taken = lab.rig.meter_ports["m1"]
        with pytest.raises(OSError, match=str(taken)):
            async with open_lab(with_meter(port=taken)):
                pass


@pytest.mark.virtual
async def test_a_day_is_cheap() -> None:
    """A day of charging with 24 limits, 288 reports and 9,000 polls takes seconds, not minutes."""
    began = time.process_time()
    async with open_lab() as lab, client(lab) as modbus:
        steps = [(3600.0 * hour, 6.0 + hour % 4 * 3) for hour in range(24)]
        await lab.control.vehicle(1, {"battery_wh": 500_000})
        await lab.csms.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": charging_profile(*steps, start=EPOCH)})
        await lab.charge()
        for _ in range(9000):
            await lab.clock.sleep(9.6)
            await modbus.read_input_registers(0, count=76, device_id=1)
        assert len(lab.csms.of("TransactionEvent")) > 300
    assert time.process_time() - began < 30


@pytest.mark.outside("mbpoll")
async def test_a_foreign_modbus_master_reads_it() -> None:
    """mbpoll reads the three voltages at register 1 as big-endian floats."""
    async with open_lab() as lab:
        arguments = f"-m tcp -p {lab.rig.meter_ports['m1']} -a 1 -t 3:float -B -r 1 -c 3 -1 127.0.0.1".split()
        process = await asyncio.create_subprocess_exec("mbpoll", *arguments, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        assert [line.split()[-1] for line in output.decode().splitlines() if line.startswith("[")] == ["230", "230", "230"]

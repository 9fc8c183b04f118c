"""An independent meter on Modbus TCP whose registers are worked out from the truth when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from firmware_sim.distortion import Distortion
from firmware_sim.faults import FaultSeam
from firmware_sim.plant import EvsePlant
from firmware_sim.register_map import RegisterMap

FREQUENCY_HZ: Final = 50.0
_NOWHERE: Final = 65_535


class EmulatedMeter:
    """One meter. It sees the EVSEs wired to it, each EVSE's L1, L2, L3 on the meter's phase that is named for it."""

    def __init__(
        self,
        name: str,
        registers: RegisterMap,
        distortion: Distortion,
        wired: Sequence[tuple[EvsePlant, Sequence[int]]],
        faults: FaultSeam,
    ) -> None:
        """`wired` gives for each EVSE the meter's phases (1 to 3) that its own L1, L2, L3 hang on."""
        self._name, self._map, self._distortion, self._wired, self._faults = name, registers, distortion, wired, faults

    def values(self) -> dict[str, float]:
        """Return what the meter shows now, by quantity, in V, A, W, Wh and Hz."""
        shown = dict.fromkeys(self._map.registers, 0.0)
        energy = total = 0.0
        for plant, phases in self._wired:
            truth = plant.truth(self._distortion.latency_s)
            energy += truth.energy_wh
            for index, phase in enumerate(phases):
                power = self._distortion.power(truth, index)
                current = self._distortion.current(truth.current_a[index])
                total += power
                shown[f"voltage_l{phase}"] = truth.voltage_v[index]
                shown[f"current_l{phase}"] = shown.get(f"current_l{phase}", 0.0) + current
                shown[f"power_l{phase}"] = shown.get(f"power_l{phase}", 0.0) + power
        shown["power_total"] = total
        shown["frequency"] = FREQUENCY_HZ
        shown["energy_import"] = self._distortion.energy(energy)
        changed: dict[str, float] = self._faults.apply("registers", self._name, value=shown)
        return changed

    async def answer(
        self, function: int, start: int, address: int, count: int, registers: list[int], written: Any
    ) -> ExcCodes | None:
        """Bring the registers that are asked for up to date; the meter cannot be written to."""
        if written is not None or function not in (3, 4):
            return ExcCodes.ILLEGAL_FUNCTION
        values = self.values()
        for name, register in self._map.registers.items():
            asked = address < register.address + register.count and register.address < address + count
            if asked and register.function == function:
                first = register.address - start
                registers[first : first + register.count] = register.encode(values[name])
        return None

    def _at_rest(self, function: int, first: int, count: int) -> list[int]:
        content = [0] * count
        for (fixed_function, address), words in self._map.fixed.items():
            if fixed_function == function and first <= address < first + count:
                content[address - first : address - first + len(words)] = words
        return content

    def device(self, unit_id: int) -> SimDevice:
        """Return the Modbus device: every address outside the map is answered with exception 2."""
        bits = [SimData(0, count=1, values=[False] * 16, datatype=DataType.BITS)]
        holding, inputs = (
            [
                SimData(address, values=self._at_rest(function, address, count), datatype=DataType.REGISTERS)
                for address, count in self._map.readable[function]
            ]
            or [SimData(_NOWHERE, datatype=DataType.INVALID)]
            for function in (3, 4)
        )
        return SimDevice(unit_id, simdata=(bits, list(bits), holding, inputs), action=self.answer)


class _Server(ModbusTcpServer):
    """Knows the port it got, and leaves no connection behind."""

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        listener: Any = self.transport
        port: int = listener.sockets[0].getsockname()[1]
        return port


@asynccontextmanager
async def open_meter(meter: EmulatedMeter, *, unit_id: int, host: str, port: int) -> AsyncIterator[int]:
    """Serve the meter on Modbus TCP and yield the port it listens on (`port` 0: a free one). Raises OSError when taken."""
    server = _Server(meter.device(unit_id), address=(host, port))
    try:
        await server.serve_forever(background=True)
    except RuntimeError:
        await server.shutdown()  # type: ignore[no-untyped-call]
        raise OSError(f"the meter cannot listen on {host}:{port}") from None
    try:
        yield server.port
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]
        await asyncio.sleep(0)

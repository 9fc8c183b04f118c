"""An independent meter whose registers are worked out from the truth when they are asked for."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from firmware_sim.clock import Clock
from firmware_sim.distortion import Distortion
from firmware_sim.faults import FaultSeam
from firmware_sim.instruments.modbus import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, MOST_REGISTERS, refusal
from firmware_sim.plant import EvsePlant
from firmware_sim.register_map import RegisterMap

FREQUENCY_HZ: Final = 50.0
_SAMPLES: Final = 50
"""Of which an average is made."""


class EmulatedMeter:
    """One meter. It sees the EVSEs wired to it, each EVSE's L1, L2, L3 on the meter's phase that is named for it."""

    def __init__(
        self,
        name: str,
        registers: RegisterMap,
        distortion: Distortion,
        wired: Sequence[tuple[EvsePlant, Sequence[int]]],
        faults: FaultSeam,
        clock: Clock,
        *,
        beside_w: float = 0.0,
        output: bool = False,
    ) -> None:
        """`wired`: for each EVSE the meter's phases (1 to 3) that its own L1, L2, L3 hang on; `beside_w` flows on all alike.

        `output`: it sits at the output of a DC EVSE.
        """
        self._output = output
        self._beside_w, self._since = beside_w, clock.monotonic()
        self.name = name
        self._map, self._distortion, self._wired, self._faults, self._clock = registers, distortion, wired, faults, clock

    def values(self) -> dict[str, float]:
        """Return what the meter shows now, by quantity, in V, A, W, Wh and Hz."""
        shown = self._look(0.0)
        window_s: float = self._faults.apply("averaging_s", self.name, value=0.0)
        if window_s:
            looks = [self._look(window_s * (index + 0.5) / _SAMPLES) for index in range(_SAMPLES)]
            shown |= {name: sum(look[name] for look in looks) / _SAMPLES for name in shown if not name.startswith("energy")}
        changed: dict[str, float] = self._faults.apply("registers", self.name, self._clock.monotonic(), value=shown)
        return changed

    def _look(self, ago_s: float) -> dict[str, float]:
        shown = dict.fromkeys(self._map.registers, 0.0)
        energy = total = 0.0
        for plant, phases in self._wired:
            ago = self._distortion.latency_s + ago_s
            truth = plant.metered(ago, output=True) if self._output else plant.metered(ago)
            energy += truth.energy_wh
            for index, phase in enumerate(phases):
                power = self._distortion.power(truth, index)
                current = self._distortion.current(truth.current_a[index])
                total += power
                shown[f"voltage_l{phase}"] = truth.voltage_v[index]
                shown[f"current_l{phase}"] = shown.get(f"current_l{phase}", 0.0) + current
                shown[f"power_l{phase}"] = shown.get(f"power_l{phase}", 0.0) + power
        if self._beside_w:
            total += self._beside_w
            energy += self._beside_w * (self._clock.monotonic() - ago_s - self._since) / 3600
            for phase in (1, 2, 3):
                shown[f"power_l{phase}"] = shown.get(f"power_l{phase}", 0.0) + self._beside_w / 3
                if volts := shown.get(f"voltage_l{phase}"):
                    shown[f"current_l{phase}"] += self._beside_w / 3 / volts
        shown["power_total"] = total
        shown["frequency"] = FREQUENCY_HZ
        shown["energy_import"] = self._distortion.energy(energy)
        return shown

    def answer(self, pdu: bytes) -> bytes:
        """Answer a read of holding or input registers; the meter cannot be written to.

        Source: MODBUS Application Protocol V1.1b3, 6.3 and 6.4.
        """
        function = pdu[0]
        if function not in (3, 4):
            return refusal(pdu, ILLEGAL_FUNCTION)
        if len(pdu) != 5:
            return refusal(pdu, ILLEGAL_VALUE)
        address, count = struct.unpack(">HH", pdu[1:])
        if not 1 <= count <= MOST_REGISTERS:
            return refusal(pdu, ILLEGAL_VALUE)
        if not any(first <= address and address + count <= first + many for first, many in self._map.readable[function]):
            return refusal(pdu, ILLEGAL_ADDRESS)
        return struct.pack(f">BB{count}H", function, 2 * count, *self._registers(function, address, count))

    def _registers(self, function: int, address: int, count: int) -> list[int]:
        content, values = [0] * count, self.values()
        for (fixed_function, place), fixed in self._map.fixed.items():
            if fixed_function == function:
                _put(content, place - address, fixed)
        for name, register in self._map.registers.items():
            first = register.address - address
            if register.function == function and -register.count < first < count:
                words = register.encode(values[name])
                _put(content, first, self._faults.apply("encoded", self.name, name, value=words))
        return content


def _put(content: list[int], first: int, words: Sequence[int]) -> None:
    """Write words from an index on, which may lie before the content; what lies outside is left out."""
    for index, word in enumerate(words, first):
        if 0 <= index < len(content):
            content[index] = word

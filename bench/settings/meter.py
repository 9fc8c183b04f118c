"""A meter's register map, `config/meters/*.toml`: a meter is described by its registers, not by code."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from bench.domain.meter import Quantity
from bench.settings.base import Settings, load
from bench.settings.instruments import AnyMeter, MappedMeter
from bench.settings.lines import Parity
from bench.wire.registers import Block, Function, Register, RegisterPlan, RegisterType, TextType, WordOrder, width

Unit = Literal["V", "A", "W", "Wh", "Hz"]
UNITS: Final[dict[str, Unit]] = {"voltage": "V", "current": "A", "power": "W", "energy": "Wh", "frequency": "Hz"}
LAST_ADDRESS: Final = 0xFFFF
CLASS_PERCENT: Final[dict[str, float]] = {
    "EN 50470-3 class A": 3.5, "EN 50470-3 class B": 2.0, "EN 50470-3 class C": 1.0,
    "IEC 62053-21 class 1": 1.0, "IEC 62053-21 class 2": 2.0, "IEC 62053-22 class 0.2S": 0.2, "IEC 62053-22 class 0.5S": 0.5,
}  # fmt: skip
"""Limits of error of the active energy. EN 50470-3: the largest that directive 2014/32/EU, annex V, table 2 allows at 5 to 30 °C.
IEC: the class index itself, which is the limit at reference conditions and unity power factor."""


class BlockSettings(Settings):
    """Registers that one request reads."""

    function: Function
    """input: function code 4; holding: function code 3."""
    address: int = Field(ge=0, le=LAST_ADDRESS)
    """0-based, as in the PDU."""
    count: int = Field(ge=1, le=125)
    """MODBUS Application Protocol V1.1b3, 6.3 and 6.4: at most 125 in one request."""

    @model_validator(mode="after")
    def _ends_in_range(self) -> BlockSettings:
        if self.address + self.count > LAST_ADDRESS + 1:
            raise ValueError(f"ends at register {self.address + self.count - 1}; the last one is {LAST_ADDRESS}")
        return self


class QuantitySettings(Settings):
    """Where one quantity stands. Value = register times `scale`, in `unit`; power and energy are import positive."""

    function: Function
    address: int = Field(ge=0, le=LAST_ADDRESS)
    type: RegisterType
    unit: Unit
    scale_register: int | None = Field(default=None, ge=0, le=LAST_ADDRESS)
    """Address of an int16 that holds a power of ten by which the meter multiplies (SunSpec scale factor)."""
    word_order: WordOrder | None = None
    """Absent: the file's."""
    resolution: float | None = Field(default=None, gt=0)
    """Smallest step of the value, in `unit`; absent: `scale` for an integer."""
    source: str = ""
    """Where this register differs from the file's source."""
    scale: float = Field(default=1.0, allow_inf_nan=False)
    """-1 for a meter whose sign is export positive."""
    not_available: tuple[int, ...] = ()
    """Raw contents, as unsigned integers, by which the meter says that it has no value (NaN always says so)."""

    @property
    def step(self) -> float:
        """Return the smallest step of the value, in `unit`; 0 where it is a float and no file says it."""
        whole = not self.type.startswith("float") and self.scale_register is None
        return self.resolution or (abs(self.scale) if whole else 0.0)

    @field_validator("scale")
    @classmethod
    def _scales(cls, value: float) -> float:
        if value == 0:
            raise ValueError("must not be 0: each reading would be 0")
        return value

    @model_validator(mode="after")
    def _sentinels_fit(self) -> QuantitySettings:
        if self.not_available and self.type.startswith("float"):
            raise ValueError(f"not_available is for integers; a {self.type} says NaN")
        for value in self.not_available:
            if not 0 <= value < 1 << 16 * width(self.type):
                raise ValueError(f"not_available {value:#x} does not fit into {self.type}, written as an unsigned integer")
        return self


class ProbeSettings(Settings):
    """What the bench looks at to see that this meter is what it is said to be."""

    quantity: Quantity = "voltage_l1"
    low: float = 100.0
    """A reading below this is not plausible, in V, A, W, Wh or Hz."""
    high: float = 300.0

    @model_validator(mode="after")
    def _ordered(self) -> ProbeSettings:
        if self.low >= self.high:
            raise ValueError("low must be less than high")
        return self


class SerialNumberSettings(Settings):
    """Registers that hold the serial number on the meter's plate."""

    function: Function
    address: int = Field(ge=0, le=LAST_ADDRESS)
    count: int = Field(ge=1, le=32)
    type: TextType
    """ascii: two characters in a register; bcd: four digits; hex: as hexadecimal digits."""
    word_order: WordOrder = "big"
    source: str = ""

    @model_validator(mode="after")
    def _wide_enough(self) -> SerialNumberSettings:
        bits = self.type.removeprefix("uint")
        if bits.isdigit() and int(bits) != 16 * self.count:
            raise ValueError(f"count is {self.count}: a {self.type} takes {int(bits) // 16}")
        return self


class DataSheetAccuracy(Settings):
    """What the maker promises of `model`, at reference conditions; a certificate of one meter stands in the rig file.

    For an alias, or a version with another range, the rig file has to say it.
    """

    source: str = Field(min_length=1)
    """What was read, and what was taken for what it does not say."""
    energy_class: str = ""
    """Accuracy class of the active energy with its standard; where `power_percent` is absent its limit counts for power."""
    current_percent: float | None = Field(default=None, ge=0, le=20)
    """Of the reading."""
    current_range_percent: float = Field(default=0.0, ge=0, le=20)
    """In addition, of `current_range_a`."""
    current_range_a: float = Field(default=0.0, ge=0)
    power_percent: float | None = Field(default=None, ge=0, le=20)
    power_range_percent: float = Field(default=0.0, ge=0, le=20)
    power_range_w: float = Field(default=0.0, ge=0)
    voltage_percent: float | None = Field(default=None, ge=0, le=20)
    energy_percent: float | None = Field(default=None, ge=0, le=20)

    @field_validator("energy_class")
    @classmethod
    def _known(cls, value: str) -> str:
        if value and value not in CLASS_PERCENT:
            raise ValueError(f"unknown class; known: {', '.join(CLASS_PERCENT)}")
        return value

    @model_validator(mode="after")
    def _ranges_are_given(self) -> DataSheetAccuracy:
        for what, percent, reach in (
            ("current_range_a", self.current_range_percent, self.current_range_a),
            ("power_range_w", self.power_range_percent, self.power_range_w),
        ):
            if bool(percent) != bool(reach):
                raise ValueError(f"{what} and its percentage belong together: give both or none")
        return self


class SunSpecSettings(Settings):
    """Present: the addresses of this file count from the ID word of the first of these models in the meter's chain."""

    models: tuple[int, ...] = Field(min_length=1)


class MeterMap(Settings):
    """One register map."""

    version: Literal[1] = Field(alias="schema")
    model: str = Field(min_length=1)
    maker: str = ""
    aliases: tuple[str, ...] = ()
    """Other products with the same registers."""
    baud: int | None = Field(default=None, ge=300, le=921_600)
    """What is tried first to find a meter; likewise `parity` and `unit_id`. What holds is the rig file."""
    parity: Parity | None = None
    unit_id: int = Field(default=1, ge=1, le=247)
    source: str = Field(min_length=1)
    """What was consulted for these registers, and what was not: a maker's document only where somebody read it."""
    word_order: WordOrder
    """big: the high word of a longer type comes first."""
    minimum_gap_s: float = Field(default=0.1, ge=0, le=10)
    """Pause that the meter needs between a reply and the next request; 0.1 where nobody found out, as openWB waits."""
    blocks: tuple[BlockSettings, ...] = Field(alias="block", min_length=1)
    quantities: dict[Quantity, QuantitySettings] = Field(alias="quantity")
    probe: ProbeSettings = ProbeSettings()
    serial_number: SerialNumberSettings | None = None
    """Absent: the meter does not tell it, or nobody found where."""
    accuracy: DataSheetAccuracy | None = None
    """Absent: not known; without a certificate in the rig file nothing can be judged by this meter."""
    sunspec: SunSpecSettings | None = None

    @model_validator(mode="after")
    def _measures(self) -> MeterMap:
        if not {"power_total", "power_l1", "current_l1"} & self.quantities.keys():
            raise ValueError("a meter needs power_total, power_l1 or current_l1: without one no limit can be judged")
        for name, quantity in self.quantities.items():
            unit = UNITS[name.partition("_")[0]]
            if quantity.unit != unit:
                raise ValueError(f"quantity.{name}.unit is {quantity.unit}: must be {unit}; use scale to convert")
        return self

    @model_validator(mode="after")
    def _laid_out(self) -> MeterMap:
        blocks = self._blocks()
        _refuse_overlap([(one.function, one.address, one.count, f"block {one.name}") for one in blocks])
        for register in self._registers():
            if not any(register.inside(block) for block in blocks):
                end = register.address + width(register.kind) - 1
                where = f"{register.function} registers {register.address:#06x} to {end:#06x}"
                raise ValueError(f"quantity.{register.quantity} takes {where}, which no block covers")
            place = register.scale_register
            if place is not None and not any(
                block.function == register.function and block.address <= place < block.address + block.count for block in blocks
            ):
                raise ValueError(f"quantity.{register.quantity}.scale_register {place:#06x} lies in no block")
        _refuse_overlap([(one.function, one.address, width(one.kind), f"quantity.{one.quantity}") for one in self._registers()])
        return self

    @model_validator(mode="after")
    def _probed(self) -> MeterMap:
        if "probe" in self.model_fields_set and self.probe.quantity not in self.quantities:
            raise ValueError(f"probe.quantity is {self.probe.quantity}, which is not mapped")
        if self.probe.quantity not in self.quantities and "voltage_l1" not in self.quantities:
            raise ValueError("voltage_l1 is not mapped: [probe] has to name another quantity and its plausible range")
        return self

    def at(self, base: int) -> MeterMap:
        """Return the map of one SunSpec meter, whose model begins (with its ID word) at this address."""
        moved = {
            name: one.model_copy(
                update={
                    "address": one.address + base,
                    "scale_register": None if one.scale_register is None else one.scale_register + base,
                }
            )
            for name, one in self.quantities.items()
        }
        blocks = tuple(one.model_copy(update={"address": one.address + base}) for one in self.blocks)
        return self.model_copy(update={"blocks": blocks, "quantities": moved, "sunspec": None})

    def resolution(self, what: Literal["current", "power"]) -> float:
        """Return the coarsest step of a quantity's registers, in A or W; 0 where they are floats and no file says it."""
        return max((one.step for name, one in self.quantities.items() if name.startswith(what)), default=0.0)

    @property
    def energy_step_wh(self) -> float:
        """Return the step of the energy register; 0 where it is a float and no file says it."""
        register = self.quantities.get("energy_import")
        return 0.0 if register is None else register.step

    def plan(self) -> RegisterPlan:
        """Return the plan that decodes this meter's replies. Raises ValueError for a SunSpec map before `at`."""
        if self.sunspec is not None:
            raise ValueError(f"{self.model}: its place in the chain of SunSpec models was not looked up")
        return RegisterPlan(self._blocks(), self._registers(), self.word_order)

    def _blocks(self) -> list[Block]:
        return [Block(one.function, one.address, one.count) for one in self.blocks]

    def _registers(self) -> list[Register]:
        return [
            Register(name, one.function, one.address, one.type, one.scale, one.not_available, one.word_order, one.scale_register)
            for name, one in self.quantities.items()
        ]


def _refuse_overlap(ranges: list[tuple[Function, int, int, str]]) -> None:
    """Raise ValueError where two of (function, address, count, name) share a register."""
    for (function, address, count, name), (other_function, other_address, _, other) in pairwise(sorted(ranges)):
        if function == other_function and address + count > other_address:
            raise ValueError(f"{name} and {other} overlap at {function} register {other_address:#06x}")


def energy_steps(rig_file: Path, meters: Mapping[str, AnyMeter]) -> dict[str, float]:
    """Return the step of each meter's energy register in Wh, by name; 0 where neither rig file nor map says it."""
    steps = {}
    for name, one in meters.items():
        mapped = load_meter_map(rig_file, one).energy_step_wh if isinstance(one, MappedMeter) else 0.0
        steps[name] = one.energy_step_wh or mapped
    return steps


def load_meter_map(rig_file: Path, meter: MappedMeter) -> MeterMap:
    """Read the register map of a meter; its path counts from the rig file. Raises SettingsError."""
    return load(MeterMap, rig_file.parent / meter.register_map)

"""A meter's register map, `config/meters/*.toml`: a meter is described by its registers, not by code."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from bench.domain.meter import Quantity
from bench.settings.base import Settings, load
from bench.settings.instruments import MappedMeter
from bench.wire.registers import Block, Function, Register, RegisterPlan, RegisterType, WordOrder, width

Unit = Literal["V", "A", "W", "Wh", "Hz"]
UNITS: Final[dict[str, Unit]] = {"voltage": "V", "current": "A", "power": "W", "energy": "Wh", "frequency": "Hz"}
LAST_ADDRESS: Final = 0xFFFF


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
    scale: float = Field(default=1.0, allow_inf_nan=False)
    """-1 for a meter whose sign is export positive."""
    not_available: tuple[int, ...] = ()
    """Raw contents, as unsigned integers, by which the meter says that it has no value (NaN always says so)."""

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


class MeterMap(Settings):
    """One register map."""

    version: Literal[1] = Field(alias="schema")
    model: str = Field(min_length=1)
    source: str = Field(min_length=1)
    """The maker's document, and how its numbers become 0-based addresses."""
    word_order: WordOrder
    """big: the high word of a longer type comes first."""
    minimum_gap_s: float = Field(default=0.0, ge=0, le=10)
    """Pause that the meter needs between a reply and the next request."""
    blocks: tuple[BlockSettings, ...] = Field(alias="block", min_length=1)
    quantities: dict[Quantity, QuantitySettings] = Field(alias="quantity")

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
        _refuse_overlap([(one.function, one.address, width(one.kind), f"quantity.{one.quantity}") for one in self._registers()])
        return self

    def plan(self) -> RegisterPlan:
        """Return the plan that decodes this meter's replies."""
        return RegisterPlan(self._blocks(), self._registers(), self.word_order)

    def _blocks(self) -> list[Block]:
        return [Block(one.function, one.address, one.count) for one in self.blocks]

    def _registers(self) -> list[Register]:
        return [
            Register(name, one.function, one.address, one.type, one.scale, one.not_available)
            for name, one in self.quantities.items()
        ]


def _refuse_overlap(ranges: list[tuple[Function, int, int, str]]) -> None:
    """Raise ValueError where two of (function, address, count, name) share a register."""
    for (function, address, count, name), (other_function, other_address, _, other) in pairwise(sorted(ranges)):
        if function == other_function and address + count > other_address:
            raise ValueError(f"{name} and {other} overlap at {function} register {other_address:#06x}")


def load_meter_map(rig_file: Path, meter: MappedMeter) -> MeterMap:
    """Read the register map of a meter; its path counts from the rig file. Raises SettingsError."""
    return load(MeterMap, rig_file.parent / meter.register_map)

"""What acts on the physical side of a station: relays, instruments, programs, and people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bench.settings.base import Settings

Role = Literal["power_switch", "load", "ev", "external_limit", "pilot"]
"""power_switch: the contactor in the station's supply; load: what draws power where no EV does; ev: an EV or its emulator;
external_limit: the station's input for a limit past the CSMS; pilot: sees the control pilot."""


class _Actuator(Settings):
    """What holds for every actuator."""

    station: str = ""
    """Id of the station it acts on; absent: the first of the rig."""


class PromptActuator(_Actuator):
    """A person who is asked."""

    kind: Literal["prompt"]
    roles: tuple[Literal["load", "ev", "external_limit"], ...] = Field(min_length=1)
    timeout_s: float = Field(default=120, gt=0)
    """How long the bench waits; what was not done in time leaves the run INCONCLUSIVE."""


class ModbusRelay(_Actuator):
    """A relay whose coil is written by Modbus; the guard process holds it, so its line carries nothing else."""

    kind: Literal["modbus-relay"]
    roles: tuple[Literal["power_switch", "external_limit"], ...] = ("power_switch",)
    line: str
    """Name of a line in `[lines]`."""
    unit_id: int = Field(default=1, ge=1, le=247)
    coil: int = Field(default=0, ge=0, le=0xFFFF)
    """0-based, as in the PDU; 1 closes it."""
    inverted: bool = False
    """1 opens it. The relay's own watchdog clears or sets the coil so that it opens: look that up in its manual."""
    watchdog_register: int | None = Field(default=None, ge=0, le=0xFFFF)
    """Holding register of the relay's own communication watchdog; it gets `watchdog_value` when the safe state is armed."""
    watchdog_value: int = Field(default=20, ge=0, le=0xFFFF)
    """As the relay wants it, such as tenths of a second."""
    watchdog_s: float | None = Field(default=None, gt=0, le=60)
    """After so long a silence the relay opens by itself; absent: it has no watchdog."""
    contact_limit: float | None = Field(default=None, ge=0)
    """With the role external_limit: the limit that a closed contact stands for."""
    contact_unit: Literal["A", "W"] = "A"

    @model_validator(mode="after")
    def _one_coil_one_role(self) -> ModbusRelay:
        if len(self.roles) != 1:
            raise ValueError("roles: a coil has one role; describe another coil as another actuator")
        if ("external_limit" in self.roles) != (self.contact_limit is not None):
            raise ValueError("contact_limit goes with the role external_limit: the limit that the closed contact stands for")
        if self.watchdog_register is not None and self.watchdog_s is None:
            raise ValueError("watchdog_register needs watchdog_s: how long a silence watchdog_value stands for")
        return self


class ModbusRegister(_Actuator):
    """A holding register that takes a limit, written again and again as long as it is to hold."""

    kind: Literal["modbus-register"]
    roles: tuple[Literal["external_limit"], ...] = ("external_limit",)
    line: str
    unit_id: int = Field(default=1, ge=1, le=247)
    register_address: int = Field(ge=0, le=0xFFFF)
    unit: Literal["A", "W"] = "A"
    scale: float = Field(default=1.0, gt=0)
    """Limit = register times this."""
    released: int = Field(default=0xFFFF, ge=0, le=0xFFFF)
    """What releases the limit."""
    rewrite_s: float = Field(default=10, gt=0)


class ScpiInstrument(_Actuator):
    """A programmable load, source or EV emulator that speaks SCPI, described by a command map."""

    kind: Literal["scpi"]
    roles: tuple[Role, ...] = Field(min_length=1)
    commands: Path
    """The command map, config/instruments/*.toml."""
    host: str = ""
    port: int = Field(default=5025, ge=0, le=65535)
    serial_port: str = ""
    """Device by its stable name, where it has no network."""
    baud: int = Field(default=9600, ge=300, le=921_600)
    timeout_s: float = Field(default=2.0, gt=0, le=30)


class ShellHook(_Actuator):
    """A program of the lab's own for each action; exit code 0 says that it was done."""

    kind: Literal["shell"]
    roles: tuple[Role, ...] = Field(min_length=1)
    command: tuple[str, ...] = Field(min_length=1)
    """Program and arguments, without a shell; the action and its arguments follow as words, `key=value`."""
    timeout_s: float = Field(default=10.0, gt=0, le=120)


Actuator = Annotated[PromptActuator | ModbusRelay | ModbusRegister | ScpiInstrument | ShellHook, Field(discriminator="kind")]

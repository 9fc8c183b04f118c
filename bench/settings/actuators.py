"""What acts on the physical side of a station: relays, instruments, programs, and people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bench.settings.base import Settings

Role = Literal["power_switch", "load", "ev", "external_limit", "pilot", "supply"]
"""power_switch: the contactor in the station's supply; load: what draws power where no EV does; ev: an EV or its emulator;
external_limit: the station's input for a limit past the CSMS; pilot: sees the control pilot; supply: sets the voltage that
the station is supplied with, as an AC source does."""


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
    """After so long a silence the relay opens by itself; absent: it has no watchdog. At most 3 where nobody is at the rig
    (`safety.unattended`)."""
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
    """0 on an emulated rig: the emulator chooses a free one."""
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


class PilotLog(_Actuator):
    """A CSV file that a logger of the control pilot writes while the run goes on; its last whole line counts."""

    kind: Literal["csv"]
    roles: tuple[Literal["pilot"], ...] = ("pilot",)
    path: Path
    """Relative to the rig file. The first line names the columns."""
    time_column: str = "time"
    """ISO 8601 with offset, by the logger's own clock."""
    state_column: str = "state"
    duty_column: str = "duty_percent"
    evse_column: str = ""
    """Absent: the file is about one EVSE, whichever is asked for."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    stale_s: float = Field(default=5.0, gt=0)
    """A line whose time lies further back than this says nothing about now."""


Actuator = Annotated[
    PromptActuator | ModbusRelay | ModbusRegister | ScpiInstrument | ShellHook | PilotLog, Field(discriminator="kind")
]
GUARDED: tuple[Role, ...] = ("power_switch", "load")
"""Roles that the guard process holds."""


def check_actuators(
    actuators: Mapping[str, Actuator], stations: Sequence[str], lines: Collection[str], metered: Mapping[str, str]
) -> None:
    """Raise ValueError for a role that is filled twice, and for what acts on a station or a line that there is not.

    Args: stations: ids; the first is meant where an actuator names none. metered: by line, a meter that hangs on it.
    """
    filled: dict[tuple[str, Role], str] = {}
    users: dict[str, tuple[str, bool]] = {}
    for name, one in actuators.items():
        station = one.station or stations[0]
        if station not in stations:
            raise ValueError(f"actuators.{name}.station names {station!r}; stations here: {', '.join(stations)}")
        for role in one.roles:
            if (station, role) in filled:
                raise ValueError(f"actuators.{filled[station, role]} and actuators.{name} both have the role {role} of {station}")
            filled[station, role] = name
        guarded = [role for role in one.roles if role in GUARDED]
        if isinstance(one, ScpiInstrument):
            if bool(one.host) == bool(one.serial_port):
                raise ValueError(f"actuators.{name}: needs host or serial_port, one of both")
            if one.serial_port and guarded and len(guarded) != len(one.roles):
                text = f"the guard process alone opens {one.serial_port}: {guarded[0]} goes with no other role"
                raise ValueError(f"actuators.{name}: {text}")
        if isinstance(one, ModbusRelay | ModbusRegister):
            if one.line not in lines:
                raise ValueError(f"actuators.{name}.line names {one.line!r}; lines here: {', '.join(sorted(lines)) or 'none'}")
            if guarded and one.line in metered:
                text = f"hangs on line {one.line!r}, which the guard process opens for actuators.{name}"
                raise ValueError(f"meters.{metered[one.line]} {text}")
            other, was_guarded = users.setdefault(one.line, (name, bool(guarded)))
            if was_guarded != bool(guarded):
                text = f"share line {one.line!r}, and the guard process alone opens the line of one of them"
                raise ValueError(f"actuators.{other} and actuators.{name} {text}")

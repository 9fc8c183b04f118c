"""Starts the emulated rig inside the bench: the only module that knows the emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import RigError, UsageError
from bench.ports import Clock, RigControl, Witness
from bench.settings.actuators import ModbusRegister, ModbusRelay, ScpiInstrument
from bench.settings.instruments import ModbusTcpMeter
from bench.settings.rig import RigSettings
from firmware_sim.faults import FaultSeam, describe_faults
from firmware_sim.rig import open_rig


@dataclass(frozen=True, slots=True)
class Emulated:
    """What the emulated rig gives: its handles by station id, and the ports of its meters."""

    controls: dict[str, RigControl]
    witnesses: dict[str, Witness]
    meter_ports: dict[str, int]
    actuator_ports: dict[str, int]
    """Ports of lines with relays by line, and of instruments by actuator."""


def check_fault(fault_id: str, params: Mapping[str, Any]) -> None:
    """Say whether the emulator knows a fault and its parameters. Raises UsageError."""
    try:
        FaultSeam().seed(fault_id, params)
    except ValueError as error:
        known: dict[str, str] = next((one["params"] for one in describe_faults() if one["id"] == fault_id), {})
        meaning = "; ".join(f"{name}: {text}" for name, text in known.items())
        raise UsageError(f"fault {error!s}{meaning and f' ({meaning})'}") from None


@asynccontextmanager
async def open_emulated_rig(
    rig: RigSettings, rig_path: Path, clock: Clock, csms_port: int, seed: int, *, virtual: bool
) -> AsyncIterator[Emulated]:
    """Start the stations, EVs and meters of a rig file, and connect the stations to the CSMS."""
    scheme = "wss" if rig.csms.security_profile == 2 else "ws"
    url = f"{scheme}://127.0.0.1:{csms_port}/ocpp"
    try:
        async with open_rig(
            _specification(rig, rig_path), clock=clock, csms_url=url, seed=seed, virtual=virtual
        ) as emulated:
            stations = dict(emulated.stations)
            yield Emulated(dict(stations), dict(stations), dict(emulated.meter_ports), dict(emulated.actuator_ports))
    except ValueError as error:
        raise RigError(f"the emulated rig: {error}") from error


def _specification(rig: RigSettings, rig_path: Path) -> dict[str, Any]:
    """Return the rig as plain data: all that crosses to the emulator."""
    assert rig.emulator is not None
    emulator = rig.emulator.model_dump()
    if rig.csms.certificate is not None:
        emulator["ca_file"] = str(rig_path.parent / rig.csms.certificate)
    return {
        "stations": [
            {
                "id": station.id,
                "password": station.password.get_secret_value() if station.password else None,
                "evses": [
                    {"id": evse.id, "max_current_a": evse.max_current_a, "meter": evse.meter, "phases": list(evse.phases)}
                    for evse in station.evse
                ],
                "features": station.features.model_dump(),
                "max_current_a": station.max_current_a,
            }
            for station in rig.station
        ],
        "meters": {
            name: {
                "register_map": str(rig_path.parent / meter.register_map),
                "unit_id": meter.unit_id,
                "port": meter.port,
            }
            for name, meter in rig.meters.items()
            if isinstance(meter, ModbusTcpMeter)
        },
        **_actuators(rig),
        "emulator": emulator,
    }


def _actuators(rig: RigSettings) -> dict[str, Any]:
    """Return the relay boards by line, and the instruments, that stand for the actuators of the rig file."""
    relays: dict[str, dict[str, Any]] = {}
    instruments: dict[str, dict[str, Any]] = {}
    for name, one in rig.actuators.items():
        station = one.station or rig.station[0].id
        match one:
            case ScpiInstrument():
                instruments[name] = {"station": station, "port": one.port}
            case ModbusRelay() | ModbusRegister():
                line = rig.lines[one.line]
                board = relays.setdefault(
                    one.line, {"port": line.port, "unit_id": one.unit_id, "supplies": {}, "contacts": {}, "registers": {}}
                )
                if line.kind != "modbus-tcp" or board["unit_id"] != one.unit_id:
                    raise RigError(f"actuators.{name}: an emulated relay is one unit alone on a line of kind modbus-tcp")
                if isinstance(one, ModbusRegister):
                    taken = {"station": station, "unit": one.unit, "scale": one.scale, "released": one.released}
                    board["registers"][one.register_address] = taken
                elif one.contact_limit is not None:
                    board["contacts"][one.coil] = {"station": station, "limit": one.contact_limit, "unit": one.contact_unit}
                else:
                    board["supplies"][one.coil] = station
                    board |= {} if one.watchdog_register is None else {"watchdog_register": one.watchdog_register}
                    board |= {} if one.watchdog_s is None else {"watchdog_s": one.watchdog_s}
    return {"relays": relays, "instruments": instruments}

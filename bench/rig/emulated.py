"""Starts the emulated rig inside the bench: the only module that knows the emulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.adapters.clock import VirtualLoop
from bench.errors import RigError, UsageError
from bench.ports import Clock, PowerSwitch, RigControl, Witness
from bench.settings.actuators import ModbusRegister, ModbusRelay, ScpiInstrument
from bench.settings.instruments import AnyMeter, BusMeter, ModbusTcpMeter, MqttMeter, P1Meter, SmlMeter
from bench.settings.lines import Line, SerialLine
from bench.settings.rig import EmulatorSettings, RigSettings
from firmware_sim.control import StationControl
from firmware_sim.faults import FaultSeam, describe_faults, register_fault
from firmware_sim.faults.failing import FaultError
from firmware_sim.rig import open_rig

__all__ = ["Emulated", "check_fault", "describe_faults", "open_emulated_rig", "register_fault"]


@dataclass(frozen=True, slots=True)
class Emulated:
    """What the emulated rig gives: its handles by station id, and the ports of its meters and lines by their names.

    A port is that of TCP or the path of a serial device; a meter on a line has none of its own.
    """

    controls: dict[str, RigControl]
    witnesses: dict[str, Witness]
    switches: dict[str, PowerSwitch]
    """The rig's contactors."""
    meter_ports: dict[str, int | str]
    """TCP port of each Modbus TCP meter, device of each P1 or SML meter."""
    line_ports: dict[str, int | str]
    """TCP port or device of each line with meters."""
    actuator_ports: dict[str, int]
    """Ports of lines with relays by line, and of instruments by actuator."""


class _Contactor:
    """Fits PowerSwitch: the contactor of an emulated station."""

    def __init__(self, control: StationControl) -> None:
        self._control = control

    async def switch(self, closed: bool) -> None:
        await self._control.contactor(closed)

    async def is_closed(self) -> bool | None:
        return await self._control.contactor_closed()


def check_fault(fault_id: str, params: Mapping[str, Any]) -> None:
    """Say whether the emulator knows a fault and its parameters. Raises UsageError."""
    try:
        FaultSeam().seed(fault_id, params)
    except ValueError as error:
        known: dict[str, str] = next((one["params"] for one in describe_faults() if one["id"] == fault_id), {})
        meaning = "; ".join(f"{name}: {text}" for name, text in known.items())
        raise UsageError(f"{error!s}{meaning and f' ({meaning})'}") from None


@asynccontextmanager
async def open_emulated_rig(
    rig: RigSettings, rig_path: Path, clock: Clock, csms_port: int, seed: int, *, virtual: bool
) -> AsyncIterator[Emulated]:
    """Start the stations, EVs and meters of a rig file, and connect the stations to the CSMS.

    Raises: RigError, at the end too: where a seeded fault failed.
    """
    scheme = "wss" if rig.csms.security_profile == 2 else "ws"
    url = f"{scheme}://127.0.0.1:{csms_port}/ocpp"
    loop = asyncio.get_running_loop()
    in_flight = loop.in_flight if isinstance(loop, VirtualLoop) else None
    specification = _specification(rig, rig_path)
    try:
        async with open_rig(
            specification, clock=clock, csms_url=url, seed=seed, virtual=virtual, in_flight=in_flight
        ) as emulated:
            stations = dict(emulated.stations)
            switches: dict[str, PowerSwitch] = {name: _Contactor(one) for name, one in stations.items()}
            ports = {**emulated.meter_ports, **emulated.meter_devices}
            wired = dict(emulated.actuator_ports)
            blind = rig.emulator is not None and not rig.emulator.witness
            witnesses: dict[str, Witness] = {} if blind else dict(stations)
            yield Emulated(dict(stations), witnesses, switches, ports, dict(emulated.line_ports), wired)
    except FaultError as error:
        raise RigError(str(error)) from error
    except ValueError as error:
        raise RigError(f"the emulated rig: {error}") from error


def _specification(rig: RigSettings, rig_path: Path) -> dict[str, Any]:
    """Return the rig as plain data: all that crosses to the emulator."""
    assert rig.emulator is not None
    for station in rig.station:
        if station.features.default_taken_over != "at_once":
            raise RigError(f"{station.id}: default_taken_over: the emulated station takes a TxDefaultProfile over at once")
    emulator = rig.emulator.model_dump(exclude={"contactor", "meter_errors", "witness"})
    seeing = {evse.meter for station in rig.station for evse in station.evse}
    supplies = {name: {"supplies": station} for station, name in rig.supply_meters().items()}
    metered = {meter.line for meter in rig.meters.values() if isinstance(meter, BusMeter)}
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
                "features": station.features.model_dump(exclude={"default_taken_over"}),
                "max_current_a": station.max_current_a,
                "own_draw_w": station.own_draw_w,
            }
            for station in rig.station
        ],
        "lines": {name: _line(line) for name, line in rig.lines.items() if name in metered},
        "meters": {
            name: _meter(name, meter, rig_path) | _errors(rig.emulator, name) | supplies.get(name, {}) | _side(meter)
            for name, meter in rig.meters.items()
            if name in seeing or not isinstance(meter, MqttMeter)  # one that sees no EVSE is there by itself
        },
        **_actuators(rig),
        "emulator": emulator,
    }


def _errors(emulator: EmulatorSettings, meter: str) -> dict[str, Any]:
    error = emulator.meter_errors.get(meter)
    return {} if error is None else {"distortion": error.model_dump()}


def _side(meter: AnyMeter) -> dict[str, Any]:
    return {"output": True} if meter.side == "DC" else {}


def _line(line: Line) -> dict[str, Any]:
    if isinstance(line, SerialLine):
        return {"kind": line.kind, "baud": line.baud, "parity": line.parity, "stop_bits": line.stop_bits}
    return {"kind": line.kind, "port": line.port}


def _meter(name: str, meter: AnyMeter, rig_path: Path) -> dict[str, Any]:
    match meter:
        case P1Meter():
            return {"kind": "p1", "version": meter.version}
        case SmlMeter():
            return {"kind": "sml", "baud": meter.baud}
        case ModbusTcpMeter():
            return {"register_map": str(rig_path.parent / meter.register_map), "unit_id": meter.unit_id, "port": meter.port}
        case BusMeter():
            return {"register_map": str(rig_path.parent / meter.register_map), "unit_id": meter.unit_id, "line": meter.line}
        case _:
            raise RigError(f"meters.{name}.kind = {meter.kind!r}: cannot be emulated")


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

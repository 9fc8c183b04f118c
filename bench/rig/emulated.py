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
from bench.ports import Clock, RigControl, Witness
from bench.settings.instruments import AnyMeter, BusMeter, MappedMeter
from bench.settings.lines import Line, SerialLine
from bench.settings.rig import RigSettings
from firmware_sim.faults import FaultSeam, describe_faults
from firmware_sim.rig import open_rig


@dataclass(frozen=True, slots=True)
class Emulated:
    """What the emulated rig gives: its handles by station id, and the ports of its meters and lines by their names.

    A port is that of TCP or the path of a serial device; a meter on a line has none of its own.
    """

    controls: dict[str, RigControl]
    witnesses: dict[str, Witness]
    meter_ports: dict[str, int | str]
    line_ports: dict[str, int | str]


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
    loop = asyncio.get_running_loop()
    in_flight = loop.in_flight if isinstance(loop, VirtualLoop) else None
    specification = _specification(rig, rig_path)
    try:
        async with open_rig(
            specification, clock=clock, csms_url=url, seed=seed, virtual=virtual, in_flight=in_flight
        ) as emulated:
            stations = dict(emulated.stations)
            yield Emulated(dict(stations), dict(stations), dict(emulated.meter_ports), dict(emulated.line_ports))
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
        "lines": {name: _line(line) for name, line in rig.lines.items()},
        "meters": {name: _meter(name, meter, rig_path) for name, meter in rig.meters.items()},
        "emulator": emulator,
    }


def _line(line: Line) -> dict[str, Any]:
    if isinstance(line, SerialLine):
        return {"kind": line.kind, "baud": line.baud, "parity": line.parity, "stop_bits": line.stop_bits}
    return {"kind": line.kind, "port": line.port}


def _meter(name: str, meter: AnyMeter, rig_path: Path) -> dict[str, Any]:
    if not isinstance(meter, MappedMeter):
        raise RigError(f"meters.{name}.kind = {meter.kind!r}: cannot be emulated; kinds that can: modbus-tcp, modbus")
    place = {"line": meter.line} if isinstance(meter, BusMeter) else {"port": meter.port}
    return {"register_map": str(rig_path.parent / meter.register_map), "unit_id": meter.unit_id, **place}

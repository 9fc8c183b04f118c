"""The emulated rig: stations, EVs and meters from plain data, started and stopped as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_sim.boards import board_of
from firmware_sim.clock import Clock
from firmware_sim.control import StationControl
from firmware_sim.dc import DcEvsePhysics
from firmware_sim.faults import FaultSeam
from firmware_sim.instruments import p1, sml
from firmware_sim.instruments.line import InFlight, ModbusBus, open_pty, open_tcp
from firmware_sim.instruments.meter import EmulatedMeter
from firmware_sim.instruments.modbus import Device, RtuFraming, TcpFraming, Wire
from firmware_sim.instruments.serial_meter import SerialMeter, Shown, Sight, open_serial_meter
from firmware_sim.link import REAL_PING_S, CsmsAddress
from firmware_sim.outlet import Outlet
from firmware_sim.physics import EvsePhysics
from firmware_sim.plant import EvsePlant
from firmware_sim.probe import PilotProbe
from firmware_sim.register_map import read_register_map
from firmware_sim.relay import RelayBoard, open_relay
from firmware_sim.scpi import EvEmulator, open_instrument
from firmware_sim.spec import LineSpec, MeterSpec, RigSpec, StationSpec, read_spec
from firmware_sim.station import ChargingStation


@dataclass(frozen=True, slots=True)
class EmulatedRig:
    """What a running rig gives."""

    meter_ports: dict[str, int | str]
    """TCP port, or path of the serial device, of each meter that has one of its own, by the meter's name."""
    line_ports: dict[str, int | str]
    """TCP port, or path of the serial device, of each line by its name."""
    stations: dict[str, StationControl]
    """By station id."""
    meter_devices: dict[str, str]
    """Terminal of each P1 and SML meter by its name."""
    actuator_ports: dict[str, int] = field(default_factory=dict)
    """TCP port of each relay board and instrument by its name."""
    boards: dict[str, RelayBoard] = field(default_factory=dict)
    """By name; their faults are set here."""


@asynccontextmanager
async def open_rig(
    spec: Mapping[str, Any], *, clock: Clock, csms_url: str, seed: int, virtual: bool, in_flight: InFlight | None = None
) -> AsyncIterator[EmulatedRig]:
    """Start stations, EVs and meters; the stations connect to `csms_url` plus their id, and come back for ever.

    Args:
        spec: plain data, see `spec.read_spec`.
        clock: its seconds are those of the running loop.
        csms_url: e.g. `ws://127.0.0.1:9000/ocpp`, or wss:// with `ca_file` in the spec.
        seed: of message and transaction ids.
        virtual: no WebSocket pings.
        in_flight: is told of the bytes that emulated instruments read from and write to pseudo-terminals.
    Raises: ValueError on a wrong spec or register map, OSError when a port is taken; at the end FaultError where a seeded fault
        failed.
    """
    rig = read_spec(spec)
    faults = FaultSeam()
    async with AsyncExitStack() as stack:
        controls: dict[str, StationControl] = {}
        plants: dict[str, dict[int, EvsePlant]] = {}
        stations: list[ChargingStation] = []
        for station_spec in rig.stations:
            plants[station_spec.id] = _plants(rig, station_spec, clock, faults, stack)
            address = CsmsAddress(csms_url, station_spec.id, station_spec.password, rig.ca_file, None if virtual else REAL_PING_S)
            station = ChargingStation(
                station_spec, rig.emulator, _outlets(station_spec, plants[station_spec.id]), address,
                clock=clock, faults=faults, seed=seed,
            )  # fmt: skip
            stack.callback(station.close)
            stations.append(station)
            probe = PilotProbe(plants[station_spec.id])
            controls[station_spec.id] = StationControl(station, plants[station_spec.id], probe, faults, clock)
        meter_ports: dict[str, int | str] = {}
        line_ports: dict[str, int | str] = {}
        on_lines: dict[str, dict[int, Device]] = {name: {} for name in rig.lines}
        devices: dict[str, str] = {}
        for name, one in rig.meters.items():
            if one.kind != "modbus":
                serial_meter = _serial_meter(rig, name, one, plants, clock, faults, in_flight)
                devices[name] = await stack.enter_async_context(open_serial_meter(serial_meter, clock))
                continue
            registers = read_register_map(one.register_map)
            meter = EmulatedMeter(
                    name, registers, one.distortion, _wired(rig, name, plants), faults, clock, beside_w=_own_draw_w(rig, one),
                    output=one.output,
                )
            if one.line:
                on_lines[one.line][one.unit_id] = meter
            else:
                bus = ModbusBus({one.unit_id: meter}, TcpFraming(), clock, faults)
                meter_ports[name] = await stack.enter_async_context(open_tcp(bus, host=rig.host, port=one.port))
        for name, line in rig.lines.items():
            opened = _line(line, on_lines[name], rig.host, clock, faults, in_flight)
            line_ports[name] = await stack.enter_async_context(opened)
        by_id = {one.id: station for one, station in zip(rig.stations, stations, strict=True)}
        boards = {name: board_of(one, by_id, plants) for name, one in rig.relays.items()}
        actuator_ports = {
            name: await stack.enter_async_context(
                open_relay(board, host=rig.host, port=rig.relays[name].port, unit_id=rig.relays[name].unit_id)
            )
            for name, board in boards.items()
        }
        for name, instrument in rig.instruments.items():
            if instrument.station not in controls:
                raise ValueError(f"instruments.{name}: unknown station {instrument.station!r}; known: {', '.join(controls)}")
            emulator = EvEmulator(controls[instrument.station])
            actuator_ports[name] = await stack.enter_async_context(
                open_instrument(emulator, host=rig.host, port=instrument.port)
            )
        await stack.enter_async_context(_running(stations))
        with faults.told():
            yield EmulatedRig(meter_ports, line_ports, controls, devices, actuator_ports, boards)


def _line(
    line: LineSpec, devices: Mapping[int, Device], host: str, clock: Clock, faults: FaultSeam, in_flight: InFlight | None
) -> AbstractAsyncContextManager[int | str]:
    if line.kind == "serial":
        wire = Wire.serial(line.baud, line.parity, line.stop_bits, line.turnaround_s)
        bus = ModbusBus(devices, RtuFraming(), clock, faults, wire)
        return open_pty(bus, link=Path(line.link) if line.link else None, in_flight=in_flight)
    framing = TcpFraming() if line.kind == "modbus-tcp" else RtuFraming()
    return open_tcp(ModbusBus(devices, framing, clock, faults), host=host, port=line.port)


@asynccontextmanager
async def _running(stations: Sequence[ChargingStation]) -> AsyncIterator[None]:
    """Let the stations speak; a crash of one is raised in the body of the caller."""
    body: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(station.link.run()) for station in stations]
            try:
                yield
            except BaseException as error:
                body = error
                raise
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as group_error:
        crash = next((error for error in group_error.exceptions if error is not body), body)
        raise crash or group_error from None


def _plants(rig: RigSpec, station: StationSpec, clock: Clock, faults: FaultSeam, stack: AsyncExitStack) -> dict[int, EvsePlant]:
    plants = {}
    for evse in station.evses:
        now, volts = clock.monotonic(), rig.emulator.supply_voltage_v
        physics = (
            DcEvsePhysics(evse.id, now, ac_voltage_v=volts, seam=faults)
            if station.dc
            else EvsePhysics(evse.id, now, phases=station.phases_of(evse), voltage_v=volts, seam=faults)
        )
        plants[evse.id] = EvsePlant(physics, clock)
        stack.callback(plants[evse.id].close)
        for at_s, step_v in rig.emulator.supply_steps:
            stack.callback(asyncio.get_running_loop().call_later(at_s, plants[evse.id].supply, step_v).cancel)
    return plants


def _outlets(station: StationSpec, plants: Mapping[int, EvsePlant]) -> list[Outlet]:
    return [Outlet(evse.id, evse.max_current_a, station.phases_of(evse), plants[evse.id], station.dc) for evse in station.evses]


def _wired(rig: RigSpec, meter: str, plants: Mapping[str, Mapping[int, EvsePlant]]) -> list[tuple[EvsePlant, Sequence[int]]]:
    return [
        (plants[station.id][evse.id], evse.phases[: station.phases_of(evse)])
        for station in rig.stations
        for evse in station.evses
        if evse.meter == meter or rig.meters[meter].supplies == station.id
    ]


def _own_draw_w(rig: RigSpec, meter: MeterSpec) -> float:
    return sum(station.own_draw_w for station in rig.stations if station.id == meter.supplies)


def _serial_meter(
    rig: RigSpec, name: str, spec: MeterSpec, plants: Mapping[str, Mapping[int, EvsePlant]], clock: Clock, faults: FaultSeam,
    in_flight: InFlight | None,
) -> SerialMeter:  # fmt: skip
    """Return a P1 or SML meter. One that no EVSE names is the building's: it sees every EVSE, and the house."""
    wired, beside_w = _wired(rig, name, plants), _own_draw_w(rig, spec)
    if not spec.supplies and not any(evse.meter == name for station in rig.stations for evse in station.evses):
        beside_w = rig.emulator.house_load_w
        wired = [
            (plants[station.id][evse.id], evse.phases[: station.phases_of(evse)])
            for station in rig.stations
            for evse in station.evses
        ]
    sight = Sight(clock, wired, spec.distortion, rig.emulator.supply_voltage_v, beside_w)

    def p1_telegram(shown: Shown) -> bytes:
        return p1.telegram(shown, spec.version)

    if spec.kind == "sml":
        return SerialMeter(
            name, sight, sml.telegram, faults, interval_s=sml.INTERVAL_S, baud=spec.baud, in_flight=in_flight
        )
    interval_s, baud = p1.INTERVAL_S.get(spec.version, 1.0), p1.BAUD.get(spec.version, 115_200)
    return SerialMeter(name, sight, p1_telegram, faults, interval_s=interval_s, baud=baud, in_flight=in_flight)

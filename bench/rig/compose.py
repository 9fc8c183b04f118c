"""Puts a bench together: settings in, adapters opened, a connected Bench out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from bench.adapters.modbus import open_modbus_meter
from bench.adapters.ocpp_server import open_ocpp_server
from bench.cso.csms import Csms
from bench.domain.documents import Kind
from bench.errors import UsageError
from bench.ports import Clock, IdSource, Journal, Meter, RigControl, Witness
from bench.runs.bench import Bench
from bench.settings.instruments import ModbusTcpMeter
from bench.settings.meter import load_meter_map
from bench.settings.scenario import Fault, under_test

if TYPE_CHECKING:
    from bench.rig.session import Order


@asynccontextmanager
async def open_bench(order: Order, clock: Clock, journal: Journal, ids: IdSource) -> AsyncIterator[Bench]:
    """Open the CSMS, the emulated rig where the rig file asks for one, the meters, and OCPI where the scenario needs it.

    Raises: RigError, SettingsError, UsageError.
    """
    rig, scenario = order.rig, order.scenario
    host: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        csms = Csms(clock, journal, ids, rig)
        if order.station_clock is not None:
            csms.shift_clock(under_test(rig, scenario)[0].id, order.station_clock - clock.now())
        stack.push_async_callback(csms.close)
        server = await stack.enter_async_context(
            open_ocpp_server(rig, csms.attach, csms.knock, virtual=order.virtual, folder=order.rig_path.parent)
        )
        host["csms_port"] = server.port
        controls: dict[str, RigControl] = {}
        witnesses: dict[str, Witness] = {}
        ports: dict[str, int | str] = {}
        if rig.emulator is not None:
            from bench.rig.emulated import open_emulated_rig

            emulated = await stack.enter_async_context(
                open_emulated_rig(rig, order.rig_path, clock, server.port, order.seed, virtual=order.virtual)
            )
            controls, witnesses, ports = emulated.controls, emulated.witnesses, emulated.meter_ports
            host["meter_ports"] = ports
        elif rig.control is not None:
            from bench.adapters.http_control import open_http_control

            control = await stack.enter_async_context(open_http_control(rig.control.url))
            controls, witnesses = {rig.station[0].id: control}, {rig.station[0].id: control}
        contactors = dict(controls)
        if rig.operator is not None:
            from bench.adapters.prompt import PromptControl, open_console

            console = await stack.enter_async_context(open_console())
            controls = {one.id: PromptControl(console, one.id, rig.operator.timeout_s) for one in rig.station}
        meters = await _open_meters(order, clock, ports, stack)
        scsp = None
        if scenario.scsp is not None:
            from bench.rig.ocpi import open_ocpi

            scsp = await stack.enter_async_context(open_ocpi(order, clock, journal, ids, csms, host))
        fault = order.fault or scenario.fault
        if fault is not None:
            await _seed(fault, controls, journal)
        yield Bench(rig, clock, journal, ids, csms, meters, controls, witnesses, contactors, scsp, host)


async def _open_meters(order: Order, clock: Clock, ports: dict[str, int | str], stack: AsyncExitStack) -> dict[str, Meter]:
    meters: dict[str, Meter] = {}
    for name, settings in order.rig.meters.items():
        if not isinstance(settings, ModbusTcpMeter):
            raise UsageError(f"meters.{name}: kind {settings.kind} cannot be read yet")
        register_map = load_meter_map(order.rig_path, settings)
        meters[name] = await stack.enter_async_context(
            open_modbus_meter(name, settings, register_map, clock, port=int(ports.get(name, 0)))
        )
    return meters


async def _seed(fault: Fault, controls: Mapping[str, RigControl], journal: Journal) -> None:
    """Seed a fault into the emulated stations; a real one cannot be made faulty on order."""
    if not controls:
        raise UsageError(f"fault {fault.id}: only an emulated rig can be made faulty")
    for control in controls.values():
        try:
            await control.seed_fault(fault.id, fault.params)
        except ValueError as error:
            raise UsageError(f"fault {error}") from None
    journal.write(Kind.FAULT_SEEDED, {"id": fault.id, "params": fault.params})

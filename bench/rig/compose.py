"""Puts a bench together: settings in, adapters opened, a connected Bench out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from bench.adapters.guard import LocalGuard, open_guard
from bench.adapters.ocpp_server import open_ocpp_server
from bench.cso.csms import Csms
from bench.cso.faults import is_own
from bench.domain.documents import Kind
from bench.errors import UsageError
from bench.ports import Clock, Guard, IdSource, Journal, PowerSwitch, RigControl, Witness
from bench.rig.actuators import open_actuators, open_held
from bench.rig.earlier import left_running
from bench.rig.meters import open_meters
from bench.rig.seeding import origin
from bench.runs.bench import Bench
from bench.settings.scenario import Fault, under_test

if TYPE_CHECKING:
    from bench.rig.session import Order


@asynccontextmanager
async def open_bench(order: Order, clock: Clock, journal: Journal, ids: IdSource) -> AsyncIterator[Bench]:
    """Open the CSMS, the emulated rig where the rig file asks for one, the meters, and OCPI where the scenario needs it.

    Raises: RigError, SettingsError, UsageError.
    """
    rig, scenario = order.rig, order.scenario
    left = left_running(rig, under_test(rig, scenario)[0].id, order.out, journal)
    host: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        csms = Csms(clock, journal, ids, rig)
        if order.station_clock is not None:
            csms.shift_clock(under_test(rig, scenario)[0].id, order.station_clock - clock.now() - order.lead)
        stack.push_async_callback(csms.close)
        server = await stack.enter_async_context(
            open_ocpp_server(rig, csms.attach, csms.knock, virtual=order.virtual, folder=order.rig_path.parent)
        )
        host["csms_port"] = server.port
        controls: dict[str, RigControl] = {}
        witnesses: dict[str, Witness] = {}
        switches: dict[str, PowerSwitch] = {}
        ports: dict[str, int | str] = {}
        wired: dict[str, int] = {}
        lines: dict[str, int | str] = {}
        if rig.emulator is not None:
            from bench.rig.emulated import open_emulated_rig

            emulated = await stack.enter_async_context(
                open_emulated_rig(rig, order.rig_path, clock, server.port, order.seed, virtual=order.virtual)
            )
            controls, witnesses, ports = emulated.controls, emulated.witnesses, emulated.meter_ports
            switches = emulated.switches if rig.emulator.contactor else {}
            wired, lines = emulated.actuator_ports, emulated.line_ports
            host["meter_ports"] = ports
        elif rig.control is not None:
            from bench.adapters.http_control import open_http_control

            control = await stack.enter_async_context(open_http_control(rig.control.url))
            controls, witnesses = {rig.station[0].id: control}, {rig.station[0].id: control}
        guard = await _open_guard(order, clock, switches, wired, stack)
        instruments = await stack.enter_async_context(open_meters(rig, order.rig_path, clock, ports, {**lines, **wired}))
        identities = {name: await meter.identify() for name, meter in instruments.meters.items()}
        for identity in identities.values():
            journal.write(Kind.METER_IDENTITY, identity)
        actuators = await stack.enter_async_context(
            open_actuators(
                rig, order.rig_path, clock, journal, instruments.line, controls, witnesses, guard.switches, guard.loads, wired
            )
        )
        controls, witnesses = dict(actuators.controls), dict(actuators.witnesses)
        scsp = None
        if scenario.scsp is not None:
            from bench.rig.ocpi import open_ocpi

            scsp = await stack.enter_async_context(open_ocpi(order, clock, journal, ids, csms, host))
        for fault in order.seeded:
            await _seed(fault, csms, controls, journal)
        yield Bench(
            rig, clock, journal, ids, csms, instruments.meters, controls, witnesses, guard, scsp, host, server.link, identities,
            left,
        )  # fmt: skip


async def _open_guard(
    order: Order, clock: Clock, emulated: Mapping[str, PowerSwitch], wired: Mapping[str, int], stack: AsyncExitStack
) -> Guard:
    """Return what holds contactors and loads: a process of its own where they stand outside of the bench."""
    rig = order.rig
    if rig.emulator is not None:
        switches, loads = await stack.enter_async_context(open_held(rig, order.rig_path, clock, wired))
        return LocalGuard({**emulated, **switches}, loads)
    if rig.is_guarded():
        evidence = order.out / "guard.jsonl"
        guard: Guard = await stack.enter_async_context(open_guard(order.rig_path, evidence, rig.safety.heartbeat_s))
        return guard
    return LocalGuard({}, {})


async def _seed(fault: Fault, csms: Csms, controls: Mapping[str, RigControl], journal: Journal) -> None:
    """Seed a fault into the bench's own CSMS and platform, else into the emulated stations; a real one cannot be made faulty."""
    own = is_own(fault.id)
    if not controls and not own:
        raise UsageError(f"fault {fault.id}: only an emulated rig can be made faulty")
    try:
        if own:
            csms.faults.seed(fault.id, fault.params)
        for control in () if own else controls.values():
            await control.seed_fault(fault.id, fault.params)
    except ValueError as error:
        raise UsageError(str(error)) from None
    journal.write(Kind.FAULT_SEEDED, {"id": fault.id, "params": fault.params, **origin(fault.id)})

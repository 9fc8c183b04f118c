"""The steps that a scenario file or a pytest procedure takes on a bench; each is written down as it begins and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from bench.cso.profile_gate import Rules
from bench.cso.station import Transaction
from bench.domain.documents import Kind
from bench.domain.oracle import Supply
from bench.errors import CallRejectedError, MeterLostError, RigError, StationError, UsageError
from bench.ports import RigControl
from bench.runs.bench import Bench
from bench.runs.live import LiveLimits
from bench.runs.safe_state import SafeState
from bench.runs.sampler import Sampler
from bench.settings.scenario import ScenarioSettings, under_test

CONNECT_PATIENCE_S: Final = 120.0
"""How long a station may take to connect."""
BOOT_PATIENCE_S: Final = 5.0
"""How long a connected station may take to boot before it counts as one that has booted long ago."""


class Procedure:
    """One EVSE under test. Every method is one step, in the field's own terms."""

    def __init__(self, bench: Bench, scenario: ScenarioSettings) -> None:
        self.bench, self.scenario = bench, scenario
        self.station, self.evse = under_test(bench.settings, scenario)
        features = self.station.features
        self.limits = LiveLimits(
            bench.clock, self.station.id, self.evse.id, Supply(features.nominal_voltage_v, features.supply_phases)
        )
        self.sampler: Sampler | None = None
        """Reads the EVSE's meter; None where none measures it."""
        self._steps = 0
        self.profile_ids: dict[tuple[str, int, int], int] = {}
        """One id per purpose, EVSE and stack level, so that a new profile replaces the old one (K01.FR.05, FR.06, FR.39)."""
        self._began = bench.clock.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the run began."""
        return self.bench.clock.monotonic() - self._began

    @asynccontextmanager
    async def step(self, name: str, **settings: Any) -> AsyncIterator[None]:
        """Write a step's begin and end around what is done inside."""
        self._steps += 1
        number, journal = self._steps, self.bench.journal
        journal.write(Kind.STEP_START, {"step": number, "name": name, "at_s": round(self.elapsed_s, 6), **settings})
        try:
            yield
        except BaseException as error:
            detail = str(error) or type(error).__name__
            journal.write(Kind.STEP_END, {"step": number, "name": name, "outcome": "failed", "detail": detail})
            raise
        journal.write(Kind.STEP_END, {"step": number, "name": name, "outcome": "done", "detail": ""})

    async def wait_until(self, at_s: float) -> None:
        """Wait until so many seconds after the run's begin."""
        await self.bench.clock.sleep(at_s - self.elapsed_s)

    async def wait(self, seconds: float) -> None:
        """Wait for so many seconds of the run's time."""
        await self.bench.clock.sleep(seconds)

    async def plug(self) -> None:
        """Connect the EV."""
        async with self.step("plug", evse=self.evse.id):
            await self._act("plug", evse_id=self.evse.id)

    async def unplug(self) -> None:
        """Disconnect the EV and wait for the end of its transaction."""
        async with self.step("unplug", evse=self.evse.id):
            running = self._running()
            await self._act("unplug", evse_id=self.evse.id)
            if running is not None and not await self.bench.csms.wait_until(lambda: running.ended is not None, 60):
                raise StationError(f"{self.station.id}: transaction {running.transaction_id} did not end within 60 s")

    async def demand(self, amperes: float) -> None:
        """Set what the EV wants, in A per phase."""
        async with self.step("demand", evse=self.evse.id, amperes=amperes):
            await self._act("demand", evse_id=self.evse.id, amperes=amperes)

    async def vehicle(self, settings: Mapping[str, float | str]) -> None:
        """Put another EV before the EVSE."""
        async with self.step("vehicle", evse=self.evse.id, **settings):
            await self._act("vehicle", evse_id=self.evse.id, settings=dict(settings))

    async def authorise(self, within_s: float = 60) -> Transaction:
        """Present a token and wait for the transaction. Raises StationError."""
        async with self.step("authorise", evse=self.evse.id):
            token = self.bench.ids.token(14).upper()
            self.bench.journal.secret(token)
            await self._act("authorise", evse_id=self.evse.id, id_token=token)
            if not await self.bench.csms.wait_until(lambda: self._running() is not None, within_s):
                raise StationError(f"{self.station.id}: no transaction on EVSE {self.evse.id} within {within_s:g} s")
            running = self._running()
            assert running is not None
            return running

    async def power_cycle(self) -> None:
        """Switch the station off and on, and wait until it has booted again."""
        async with self.step("power_cycle"):
            state = self.bench.csms.stations[self.station.id]
            before = state.booted
            await self._act("power_cycle")
            if not await self.bench.csms.wait_until(lambda: state.booted != before and state.online, CONNECT_PATIENCE_S):
                raise StationError(f"{self.station.id}: did not boot within {CONNECT_PATIENCE_S:g} s of a power cycle")

    async def cut_network(self, seconds: float) -> None:
        """Take the station's network away for so long; the run goes on meanwhile."""
        async with self.step("cut_network", seconds=seconds):
            await self._act("cut_network", seconds=seconds)

    async def scsp_plan(self, within_s: float = 60) -> str:
        """Let the SCSP send its ChargingProfile by OCPI; return the result's word, ACCEPTED or another."""
        async with self.step("scsp_plan"):
            if self.bench.scsp is None:
                raise UsageError("this bench has no SCSP: the scenario needs the [scsp] table")
            result = await self.bench.scsp.send_plan(within_s)
        await self.read_back()
        return result

    async def set_profile(
        self,
        periods: Sequence[tuple[int, float]],
        *,
        unit: str = "A",
        purpose: str = "TxProfile",
        stack_level: int = 0,
        duration_s: int | None = None,
        broken: bool = False,
    ) -> str:
        """Send a profile, Absolute from this second on, and read the store back; return the answer's status.

        Args: broken: it breaks a rule of the CSMS on purpose; the journal says which. Raises ProfileRuleError where it does
        so without being ordered to.
        """
        async with self.step("set_profile", purpose=purpose, unit=unit, periods=[list(period) for period in periods]):
            evse_id = 0 if purpose == "ChargingStationMaxProfile" else self.evse.id
            identity = self.profile_ids.setdefault((purpose, evse_id, stack_level), len(self.profile_ids) + 1)
            start = self.bench.csms.station_time(self.station.id).replace(microsecond=0)
            schedule: dict[str, Any] = {
                "id": identity,
                "startSchedule": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "chargingRateUnit": unit,
                "chargingSchedulePeriod": [{"startPeriod": begin, "limit": limit} for begin, limit in periods],
            }
            if duration_s is not None:
                schedule["duration"] = duration_s
            profile: dict[str, Any] = {
                "id": identity,
                "stackLevel": stack_level,
                "chargingProfilePurpose": purpose,
                "chargingProfileKind": "Absolute",
                "chargingSchedule": [schedule],
            }
            if purpose == "TxProfile":
                running = self._running()
                if running is None:
                    raise StationError(f"{self.station.id}: a TxProfile needs a transaction on EVSE {self.evse.id} (K01.FR.09)")
                profile["transactionId"] = running.transaction_id
            request = {"evseId": evse_id, "chargingProfile": profile}
            rules: Rules = "deliberate" if broken else "refuse"
            answer = await self.bench.csms.call(self.station.id, "SetChargingProfile", request, rules=rules)
        await self.read_back()
        return str(answer["status"])

    async def read_back(self) -> list[dict[str, Any]]:
        """Read the station's profile store."""
        async with self.step("read_back"):
            return await self.bench.csms.installed_profiles(self.station.id)

    async def composite(self, duration_s: int, unit: str | None = None) -> dict[str, Any]:
        """Ask for the EVSE's composite schedule and return the answer."""
        async with self.step("composite", duration_s=duration_s, unit=unit):
            request: dict[str, Any] = {"evseId": self.evse.id, "duration": duration_s}
            if unit is not None:
                request["chargingRateUnit"] = unit
            return await self.bench.csms.call(self.station.id, "GetCompositeSchedule", request)

    def _running(self) -> Transaction | None:
        return self.bench.csms.stations[self.station.id].active_transaction(self.evse.id)

    async def _act(self, action: str, **arguments: Any) -> None:
        control = _control(self.bench, self.station.id, action)
        self.bench.journal.write(Kind.RIG_ACTION, {"station": self.station.id, "action": action, **arguments})
        await getattr(control, action)(**arguments)


def _control(bench: Bench, station: str, action: str) -> RigControl:
    control = bench.controls.get(station)
    if control is None:
        raise RigError(f"nothing can {action} at {station}: the rig file has neither [emulator] nor [control]")
    return control


@asynccontextmanager
async def open_procedure(bench: Bench, scenario: ScenarioSettings) -> AsyncIterator[Procedure]:
    """Wait for the station, arm the safe state, start sampling; at the end enter the safe state, whatever happened.

    Raises: RigError when the station does not come, MeterLostError when the meter was silent for too long.
    """
    procedure = Procedure(bench, scenario)
    async with procedure.step("connect"):
        await _connected(procedure)
    safe = SafeState(bench, procedure.station.id)
    sampler: Sampler | None = None
    tasks: list[asyncio.Task[None]] = []
    completed = False
    try:
        await safe.arm()
        procedure.sampler = sampler = _sampler(procedure)
        if sampler is not None:
            tasks.append(asyncio.create_task(sampler.run(), name="sampler"))
            tasks.append(asyncio.create_task(_stop_when_lost(sampler, asyncio.current_task()), name="meter watch"))
        yield procedure
        completed = True
    except asyncio.CancelledError:
        if sampler is None or not sampler.lost.is_set():
            raise
        _uncancel()
        if tasks[0].done() and not tasks[0].cancelled():
            tasks[0].result()
        raise MeterLostError(f"meter {procedure.evse.meter} was silent for {bench.settings.meter_loss_s:g} s") from None
    finally:
        try:
            await _end(tasks)
        finally:
            safe.profile_ids = tuple(procedure.profile_ids.values())
            await _to_safety(safe, aborted=not completed)


async def _connected(procedure: Procedure) -> None:
    """Wait for the station. One that merely reconnects does not boot (B04), so it is asked to tell what it is (F06)."""
    csms, station = procedure.bench.csms, procedure.station.id
    state = csms.stations[station]
    if not await csms.wait_until(lambda: state.online, CONNECT_PATIENCE_S):
        refused = [one.reason for one in csms.knocks if not one.accepted and one.station_id in ("", station)]
        why = f"; somebody was refused: {refused[-1]}" if refused else "; is it switched on, and does its URL lead here?"
        raise RigError(f"{station} did not connect within {CONNECT_PATIENCE_S:g} s{why}")
    if await csms.wait_until(lambda: state.booted is not None, BOOT_PATIENCE_S):
        return
    with suppress(CallRejectedError):
        await csms.call(station, "TriggerMessage", {"requestedMessage": "BootNotification"})
        await csms.wait_until(lambda: state.booted is not None, BOOT_PATIENCE_S)


def _sampler(procedure: Procedure) -> Sampler | None:
    bench, evse, station = procedure.bench, procedure.evse, procedure.station.id
    bench.journal.subscribe(procedure.limits)
    if not evse.meter:
        return None
    sampler = Sampler(
        bench.clock, bench.journal, bench.meters[evse.meter], procedure.limits, procedure.scenario.polling,
        loss_s=bench.settings.meter_loss_s,
    )  # fmt: skip
    if station in bench.witnesses:
        sampler.watch(bench.witnesses[station], station, evse.id)
    return sampler


async def _stop_when_lost(sampler: Sampler, run: asyncio.Task[Any] | None) -> None:
    await sampler.lost.wait()
    if run is not None:
        run.cancel()


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks until they are over; before Python 3.12 `asyncio.wait_for` can lose a cancellation."""
    while any(not task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0)


async def _to_safety(safe: SafeState, *, aborted: bool) -> None:
    """Enter the safe state to its end, also when the run is being cancelled."""
    entering = asyncio.create_task(safe.enter(aborted=aborted), name="safe state")
    cancelled = False
    while not entering.done():
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            if entering.cancelled():
                raise
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    if not entering.result():
        raise RigError(f"the safe state was not reached at {safe.station}: see what the last actions read back, and look there")


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()

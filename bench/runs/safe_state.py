"""The safe state: armed before anything is energised, entered at the end of each run and on each abort (the soft stop)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bench.domain.documents import Document, Kind
from bench.errors import CallRejectedError, EvidenceError, RigError, StationError
from bench.runs.bench import Bench
from bench.runs.floor import CALL_S, arm_floor, install_floor, needs_contactor, not_shown, send_floor
from bench.runs.snapshot import FLOOR_PROFILE_ID, clear_profile
from bench.runs.transactions import Stopped, stop_transactions

SAFE_POWER_W: Final = 50.0
"""Below this an EVSE counts as off."""
_PATIENCE_S: Final = 15.0
_TOLD_S: Final = 3.0
"""How long a station may take to tell a transaction that it was asked for."""
_GONE_S: Final = 5.0
"""How long after the end of a transaction its EV may still take what it was offered (IEC 61851-1: it has 3 s to end that)."""
_SWITCHED_S: Final = 3.0
"""How long a meter may take to show that a contactor is open."""
_LOOKED: Final = "earlier_transactions"
"""What the document of an arming tells of those that were stopped; {}: there were none."""


def has_looked(documents: Iterable[Document], station: str) -> bool:
    """Say whether a run, by its journal, has seen to what earlier ones had left running: it arms a station only then."""
    return any(
        one.kind == Kind.SAFE_STATE and one.data["action"] == "arm" and one.data["station"] == station
        and _LOOKED in one.data["read_back"] for one in documents
    )  # fmt: skip


class SafeState:
    """Brings one station to rest: stops its transactions, forbids new power, opens the contactor, and reads back."""

    def __init__(self, bench: Bench, station: str) -> None:
        self._bench, self.station = bench, station
        self._settings = next(one for one in bench.settings.station if one.id == station)
        self.armed = False
        self.floor_level: int | None = None
        """Stack level of the floor that was armed; None where none was."""
        self._unwritten: EvidenceError | None = None
        self._live = False

    async def arm(self, *, tests_defaults: bool = False) -> None:
        """Clear what an aborted run left behind, arm the floor where one is wanted, and only then close the contactor.

        Args: tests_defaults: the run sets or clears TxDefaultProfiles, so that the floor cannot stay.
        Raises: StationError where the station does not take calls: what cannot be stopped is not energised. RigError where
        the contactor does not act, or where there is neither a contactor nor a floor.
        """
        csms = self._bench.csms
        earlier = await self._end_what_runs()
        answer = await clear_profile(csms, self.station, FLOOR_PROFILE_ID)
        found = None
        with suppress(CallRejectedError):  # what the station holds already counts; one that cannot say holds nothing known
            found = await csms.installed_profiles(self.station)
        switch = self._bench.guard.switches.get(self.station)
        if self._bench.settings.floor_wanted(self.station):
            await self._arm_floor(found, tests_defaults, alone=switch is None)
        elif switch is None:
            self._write("no floor and no contactor", True, {"by": "safety.floor = false in the rig file"}, stop=False)
        self.armed = True
        self._write("arm", True, {"floor_cleared": answer, "contactor": switch is not None, _LOOKED: earlier.answers}, stop=False)
        if switch is not None:
            await switch.switch(True)
            self._write("close contactor", True, {"closed": await switch.is_closed()}, stop=False)

    async def _end_what_runs(self) -> Stopped:
        """Stop what a run that died has left charging: it would go on under its old profile when the contactor closes.

        Those are the transactions that its journal names, and those that the station tells when it is asked for them (F06).
        Raises: RigError where one may go on; StationError where the station does not answer.
        """
        csms, asked = self._bench.csms, False
        for evse in self._settings.evse if self._bench.settings.emulator is None else ():
            request = {"requestedMessage": "TransactionEvent", "evse": {"id": evse.id}}
            with suppress(CallRejectedError):
                answer = await csms.call(self.station, "TriggerMessage", request, timeout_s=CALL_S)
                asked = asked or answer["status"] == "Accepted"
        if asked:
            await csms.wait_until(lambda: bool(self._running()), _TOLD_S)
        left = self._bench.left_running
        running = list(dict.fromkeys([*left, *self._running()]))
        stopped = await stop_transactions(csms, self.station, running)
        going_on = list(dict.fromkeys([*stopped.going_on, *self._running()]))
        if running or going_on:
            read_back = {"stopped": stopped.answers, "going_on": going_on, "seen_by": {one: str(left[one]) for one in left}}
            self._write("stop what runs", not going_on, read_back, stop=False)
        if going_on:
            raise self._may_go_on(going_on[0], stopped)
        if "Accepted" in stopped.answers.values():
            await self._bench.clock.sleep(_GONE_S)
        return stopped

    def _may_go_on(self, identity: str, stopped: Stopped) -> RigError:
        folder = self._bench.left_running.get(identity)
        seen = "" if folder is None else f" (seen by {folder})"
        where = "" if folder is None or folder.parent == Path("runs") else f" --run {folder}"
        answer, restore = stopped.answers.get(identity, "not sent"), f"`bench restore {self._bench.settings.name}{where}`"
        return RigError(
            f"{self.station}: transaction {identity} of an earlier run{seen} may still go on (RequestStopTransaction: {answer}, "
            f"and no end was seen), so nothing was switched on; stop it at the station, then {restore} gives back what it held"
        )

    async def floor_after_boot(self) -> None:
        """See that the floor outlived a boot of the station, else install it again. Raises RigError where it cannot be shown."""
        if self.floor_level is None:
            return
        found = None
        with suppress(StationError):
            found = await self._bench.csms.installed_profiles(self.station)
        if found is not None and any(one["profile"]["id"] == FLOOR_PROFILE_ID for one in found):
            return
        told = await install_floor(self._bench.csms, self._settings, self.floor_level)
        ok = bool(told.pop("ok"))
        self._write("floor", ok, {"why": "gone after a boot", **told}, stop=False)
        if not ok:
            raise needs_contactor(self.station, f"the floor of 0 A is gone after a boot ({not_shown(told)})")

    async def _arm_floor(self, found: list[dict[str, Any]] | None, tests_defaults: bool, *, alone: bool) -> None:
        """Install the floor and let the station show it. Raises RigError where it has to hold alone and is not shown."""
        if tests_defaults:
            if alone:
                raise needs_contactor(self.station, "the run tests defaults, which would take the floor away")
            self._write("no floor", True, {"why": "the run tests defaults"}, stop=False)
            return
        try:
            told = await arm_floor(self._bench.csms, self._settings, found)
        except BaseException:  # a floor that is not armed is not left behind
            with suppress(StationError, TimeoutError):
                async with asyncio.timeout(CALL_S):
                    await clear_profile(self._bench.csms, self.station, FLOOR_PROFILE_ID)
            raise
        ok = bool(told.pop("ok"))
        self._write("floor", ok, told, stop=False)
        if ok:
            self.floor_level = told["stack_level"]
        elif alone:
            raise needs_contactor(self.station, f"the floor of 0 A cannot be shown ({not_shown(told)})")

    async def enter(self, *, aborted: bool) -> bool:
        """Stop everything; each action is tried, whatever became of the one before.

        Returns: whether the strongest means there is did act (the contactor, else the stop of the transactions) and no meter
        still shows power.
        Raises: EvidenceError where the journal cannot be written, but only after the last action.
        """
        if not self.armed:
            return True
        self._write("begin", True, {"aborted": aborted})
        if self._settings.features.smart_charging and (aborted or self._running()):
            await self._try("0 A profile", self._floor)
        acted = await self._try("stop transactions", self._stop_transactions)
        if self.station in self._bench.guard.loads:
            await self._try("load off", self._load_off)
        await self._try("power below 50 W", lambda: self._power_is_low(_PATIENCE_S))
        if self.station in self._bench.guard.switches:
            acted = await self._try("open contactor", self._open_contactor)
            await self._try("read back", lambda: self._power_is_low(_SWITCHED_S))
        self.armed = False
        if self._unwritten is not None:
            raise self._unwritten
        return acted and not self._live

    async def _floor(self) -> dict[str, Any]:
        level = self._settings.features.profile_stack_level if self.floor_level is None else self.floor_level
        limit, unit, answers = await send_floor(self._bench.csms, self._settings, level)
        return {"ok": limit is not None, "limit": limit, "unit": unit, "answers": answers, "profile": FLOOR_PROFILE_ID}

    def _running(self) -> list[str]:
        state = self._bench.csms.stations[self.station]
        return [one.transaction_id for one in state.transactions.values() if one.ended is None]

    async def _stop_transactions(self) -> dict[str, Any]:
        stopped = await stop_transactions(self._bench.csms, self.station, self._running(), in_haste=True)
        return {"ok": not stopped.going_on, "stopped": stopped.answers}

    async def _load_off(self) -> dict[str, Any]:
        load = self._bench.guard.loads[self.station]
        await load.draw(0.0)
        drawn = await load.drawn()
        return {"ok": not drawn, "drawn_a": drawn}

    async def _open_contactor(self) -> dict[str, Any]:
        switch = self._bench.guard.switches[self.station]
        await switch.switch(False)
        closed = await switch.is_closed()
        return {"ok": not closed, "closed": closed}

    async def _power_is_low(self, patience_s: float) -> dict[str, Any]:
        """Read the meters until all show less than 50 W, for so many seconds at most; without a meter nothing is shown."""
        names = sorted({evse.meter for evse in self._settings.evse if evse.meter})
        begin = self._bench.clock.monotonic()
        while True:
            power = {name: await self._power(name) for name in names}
            low = bool(power) and all(isinstance(value, float) and abs(value) < SAFE_POWER_W for value in power.values())
            self._live = any(isinstance(value, float) and abs(value) >= SAFE_POWER_W for value in power.values())
            if low or not power or self._bench.clock.monotonic() - begin >= patience_s:
                return {"ok": low, "power_w": power}
            await self._bench.clock.sleep(1.0)

    async def _power(self, meter: str) -> float | str | None:
        """Return the power in W, or why there is none."""
        try:
            return (await self._bench.meters[meter].read()).power_w
        except RigError as error:
            return str(error)

    async def _try(self, action: str, act: Callable[[], Awaitable[dict[str, Any]]]) -> bool:
        try:
            read_back = await act()
        except Exception as error:  # whatever one action meets, the next one has to be tried
            read_back = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        ok = bool(read_back.pop("ok"))
        self._write(action, ok, read_back)
        return ok

    def _write(self, action: str, ok: bool, read_back: dict[str, Any], *, stop: bool = True) -> None:
        data = {"station": self.station, "action": action, "ok": ok, "read_back": read_back, "stop": stop}
        try:
            self._bench.journal.write(Kind.SAFE_STATE, data)
        except (EvidenceError, OSError) as error:
            if not stop:
                raise
            self._unwritten = EvidenceError(f"the safe state could not be written down: {error}")

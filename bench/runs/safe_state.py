"""The safe state: armed before anything is energised, entered at the end of each run and on each abort."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from bench.domain.documents import Kind
from bench.errors import CallRejectedError, EvidenceError, RigError, StationError
from bench.runs.bench import Bench
from bench.runs.snapshot import FLOOR_PROFILE_ID

SAFE_POWER_W: Final = 50.0
"""Below this an EVSE counts as off."""
_PATIENCE_S: Final = 15.0
_CALL_S: Final = 5.0
"""A station that does not answer must not keep the contactor closed for longer."""


class SafeState:
    """Brings one station to rest: stops its transactions, forbids new power, opens the contactor, and reads back."""

    def __init__(self, bench: Bench, station: str) -> None:
        self._bench, self.station = bench, station
        self.armed = False
        self._unwritten: EvidenceError | None = None
        self._live = False

    async def arm(self) -> None:
        """Clear what an aborted run left behind, note which means of stopping there are, and only then close the contactor.

        Raises: StationError where the station does not take calls: what cannot be stopped is not energised. RigError where
        the contactor does not act.
        """
        csms = self._bench.csms
        try:
            floor = (await csms.call(self.station, "ClearChargingProfile", {"chargingProfileId": FLOOR_PROFILE_ID}))["status"]
        except CallRejectedError as error:
            if not error.unknown:
                raise
            floor = error.code  # without smart charging nothing was left behind
        with suppress(CallRejectedError):  # what the station holds already counts; one that cannot say holds nothing known
            await csms.installed_profiles(self.station)
        contactor = self.station in self._bench.contactors
        self.armed = True
        self._write("arm", True, {"floor_cleared": floor, "contactor": contactor}, stop=False)
        if contactor:
            await self._bench.contactors[self.station].contactor(True)
            self._write("close contactor", True, {}, stop=False)

    async def enter(self, *, aborted: bool) -> bool:
        """Stop everything; each action is tried, whatever became of the one before.

        Returns: whether the strongest means there is did act (the contactor, else the stop of the transactions) and no meter
        still shows power.
        Raises: EvidenceError where the journal cannot be written, but only after the last action.
        """
        if not self.armed:
            return True
        self._write("begin", True, {"aborted": aborted})
        if aborted:
            await self._try("0 A profile", self._floor)
        acted = await self._try("stop transactions", self._stop_transactions)
        if self.station in self._bench.contactors:
            acted = await self._try("open contactor", self._open_contactor)
        await self._try("power below 50 W", self._power_is_low)
        self.armed = False
        if self._unwritten is not None:
            raise self._unwritten
        return acted and not self._live

    async def _floor(self) -> dict[str, Any]:
        now = self._bench.csms.station_time(self.station).replace(microsecond=0)
        features = next(one.features for one in self._bench.settings.station if one.id == self.station)
        profile = {
            "id": FLOOR_PROFILE_ID,
            "stackLevel": features.profile_stack_level,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [
                {
                    "id": FLOOR_PROFILE_ID,
                    "startSchedule": (now - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "chargingRateUnit": features.rate_units[0],
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0.0}],
                }
            ],
        }
        request = {"evseId": 0, "chargingProfile": profile}
        answer = await self._bench.csms.call(self.station, "SetChargingProfile", request, timeout_s=_CALL_S, rules="report")
        return {"ok": answer["status"] == "Accepted", **answer}

    async def _stop_transactions(self) -> dict[str, Any]:
        state = self._bench.csms.stations[self.station]
        running = [one.transaction_id for one in state.transactions.values() if one.ended is None]
        answers = {}
        for identity in running:
            request = {"transactionId": identity}
            try:
                answer = await self._bench.csms.call(self.station, "RequestStopTransaction", request, timeout_s=_CALL_S)
                answers[identity] = str(answer["status"])
            except StationError as error:
                answers[identity] = str(error)
        patience = _PATIENCE_S if "Accepted" in answers.values() else 0.0
        ended = await self._bench.csms.wait_until(
            lambda: all(state.transactions[identity].ended is not None for identity in running), patience
        )
        return {"ok": ended, "stopped": answers}

    async def _open_contactor(self) -> dict[str, Any]:
        await self._bench.contactors[self.station].contactor(False)
        return {"ok": True}

    async def _power_is_low(self) -> dict[str, Any]:
        """Read the meters until all show less than 50 W, for at most 15 s; without a meter nothing is shown."""
        station = next(one for one in self._bench.settings.station if one.id == self.station)
        names = sorted({evse.meter for evse in station.evse if evse.meter})
        begin = self._bench.clock.monotonic()
        while True:
            power = {name: await self._power(name) for name in names}
            low = bool(power) and all(isinstance(value, float) and abs(value) < SAFE_POWER_W for value in power.values())
            self._live = any(isinstance(value, float) and abs(value) >= SAFE_POWER_W for value in power.values())
            if low or not power or self._bench.clock.monotonic() - begin >= _PATIENCE_S:
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

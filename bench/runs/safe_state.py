"""The safe state: armed before anything is energised, entered at the end of each run and on each abort."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from bench.domain.documents import Kind
from bench.errors import BenchError, StationError
from bench.runs.bench import Bench

FLOOR_PROFILE_ID: Final = 2_000_000_000
"""Id of the 0 A TxDefaultProfile that an abort leaves in the station; the next run clears it."""
SAFE_POWER_W: Final = 50.0
"""Below this an EVSE counts as off."""
_PATIENCE_S: Final = 15.0
_CALL_S: Final = 5.0
"""A station that does not answer must not keep the contactor closed for longer."""


class SafeState:
    """Brings one station to rest: stops its transactions, forbids new power, opens the contactor, and reads back."""

    def __init__(self, bench: Bench, station: str) -> None:
        self._bench, self._station = bench, station
        self.armed = False

    async def arm(self) -> None:
        """Clear what an aborted run left behind, note which means of stopping there are, and only then close the contactor.

        Raises: StationError where the station does not take calls: what cannot be stopped is not energised. RigError where
        the contactor does not act.
        """
        csms = self._bench.csms
        answer = await csms.call(self._station, "ClearChargingProfile", {"chargingProfileId": FLOOR_PROFILE_ID})
        contactor = self._station in self._bench.controls
        self.armed = True
        self._write("arm", True, {"floor_cleared": answer["status"], "contactor": contactor}, stop=False)
        if contactor:
            await self._bench.controls[self._station].contactor(True)
            self._write("close contactor", True, {}, stop=False)

    async def enter(self, *, aborted: bool) -> bool:
        """Stop everything; return whether the read-back shows it. Each action is tried, whatever became of the one before."""
        if not self.armed:
            return True
        self._write("begin", True, {"aborted": aborted})
        if aborted:
            await self._try("0 A profile", self._floor)
        await self._try("stop transactions", self._stop_transactions)
        if self._station in self._bench.controls:
            await self._try("open contactor", self._open_contactor)
        safe = await self._try("power below 50 W", self._power_is_low)
        self.armed = False
        return safe

    async def _floor(self) -> dict[str, Any]:
        now = self._bench.clock.now().replace(microsecond=0)
        features = next(one.features for one in self._bench.settings.station if one.id == self._station)
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
        answer = await self._bench.csms.call(self._station, "SetChargingProfile", request, timeout_s=_CALL_S)
        return {"ok": answer["status"] == "Accepted", **answer}

    async def _stop_transactions(self) -> dict[str, Any]:
        state = self._bench.csms.stations[self._station]
        running = [one.transaction_id for one in state.transactions.values() if one.ended is None]
        answers = {}
        for identity in running:
            request = {"transactionId": identity}
            try:
                answer = await self._bench.csms.call(self._station, "RequestStopTransaction", request, timeout_s=_CALL_S)
                answers[identity] = str(answer["status"])
            except StationError as error:
                answers[identity] = str(error)
        ended = await self._bench.csms.wait_until(
            lambda: all(state.transactions[identity].ended is not None for identity in running), _PATIENCE_S
        )
        return {"ok": ended, "stopped": answers}

    async def _open_contactor(self) -> dict[str, Any]:
        await self._bench.controls[self._station].contactor(False)
        return {"ok": True}

    async def _power_is_low(self) -> dict[str, Any]:
        station = next(one for one in self._bench.settings.station if one.id == self._station)
        names = sorted({evse.meter for evse in station.evse if evse.meter})
        power: dict[str, float | None] = {}
        waited = 0.0
        while True:
            for name in names:
                power[name] = (await self._bench.meters[name].read()).power_w
            low = all(value is not None and value < SAFE_POWER_W for value in power.values())
            if low or waited >= _PATIENCE_S:
                return {"ok": low, "power_w": power}
            await self._bench.clock.sleep(1.0)
            waited += 1.0

    async def _try(self, action: str, act: Callable[[], Awaitable[dict[str, Any]]]) -> bool:
        try:
            read_back = await act()
        except (BenchError, OSError, ValueError) as error:
            read_back = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        ok = bool(read_back.pop("ok"))
        self._write(action, ok, read_back)
        return ok

    def _write(self, action: str, ok: bool, read_back: dict[str, Any], *, stop: bool = True) -> None:
        data = {"station": self._station, "action": action, "ok": ok, "read_back": read_back, "stop": stop}
        self._bench.journal.write(Kind.SAFE_STATE, data)

"""What the outside world can do to one station: cable, card, EV, supply, network, faults; and what it can see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from firmware_sim.clock import Clock
from firmware_sim.faults import FaultSeam
from firmware_sim.plant import EvsePlant, PilotView
from firmware_sim.probe import PilotListener, PilotProbe
from firmware_sim.station import ChargingStation

POWER_OFF_S: Final = 5.0
"""How long a power cycle leaves the station without supply."""
MAX_CUT_S: Final = 86_400.0


class StationControl:
    """Acts on one station in plain numbers and strings; a wrong argument raises ValueError that says what is wrong."""

    def __init__(
        self, station: ChargingStation, plants: Mapping[int, EvsePlant], probe: PilotProbe, faults: FaultSeam, clock: Clock
    ) -> None:
        self._station, self._plants, self._probe, self._faults, self._clock = station, plants, probe, faults, clock

    async def plug(self, evse_id: int) -> None:
        """Connect the EV's cable; nothing happens where one is connected."""
        plant = self._plant(evse_id)
        if not plant.plugged:
            plant.plug()
            if self._station.powered:
                self._station.evses[evse_id].plug()

    async def unplug(self, evse_id: int) -> None:
        """Disconnect the EV's cable; nothing happens where none is connected."""
        plant = self._plant(evse_id)
        if plant.plugged:
            plant.unplug()
            if self._station.powered:
                self._station.evses[evse_id].unplug()

    async def authorise(self, evse_id: int, id_token: str) -> None:
        """Present a card (ISO14443) at the reader; returns at once, the station asks the CSMS by itself."""
        self._plant(evse_id)
        if not isinstance(id_token, str) or not 1 <= len(id_token) <= 36:
            raise ValueError("id_token: must be a text of 1 to 36 characters")
        if any("\ud800" <= one <= "\udfff" for one in id_token):
            raise ValueError("id_token: has half of a surrogate pair, which is no character")
        if self._station.powered:
            self._station.evses[evse_id].present({"idToken": id_token, "type": "ISO14443"})

    async def demand(self, evse_id: int, amperes: float) -> None:
        """Set the current per phase that the EV wants, in A; 0 asks for nothing."""
        plant = self._plant(evse_id)
        plant.demand(_number("amperes", amperes, 0, 80))

    async def vehicle(self, evse_id: int, settings: Mapping[str, float | str]) -> None:
        """Put another EV before the EVSE: properties of `ev.ElectricVehicle` and `ev_needs.EvNeeds`; others stay as they were."""
        plant = self._plant(evse_id)
        if not isinstance(settings, Mapping):
            raise ValueError("settings: must be a table of properties")  # noqa: TRY004  bad input, whatever its type
        plant.vehicle(settings)

    async def power_cycle(self) -> None:
        """Switch the station's supply off, and on again after POWER_OFF_S."""
        if not self._station.powered:
            raise ValueError("the station is without supply: a power cycle is under way")
        self._station.power(False)
        for plant in self._plants.values():
            plant.energise(False)
        try:
            await self._clock.sleep(POWER_OFF_S)
        finally:  # whoever asked for it may be gone by then
            for plant in self._plants.values():
                plant.energise(True)
            self._station.power(True)

    async def cut_network(self, seconds: float) -> None:
        """Take the station's network away for that long; returns at once."""
        self._station.link.cut(_number("seconds", seconds, 0, MAX_CUT_S))

    async def contactor(self, closed: bool) -> None:
        """Open or close the rig's contactor in L1 to L3; the station's electronics and the meters stay supplied."""
        if not isinstance(closed, bool):
            raise ValueError(f"closed = {closed!r}: must be true or false")  # noqa: TRY004  bad input, whatever its type
        for plant in self._plants.values():
            plant.load_switch(closed)

    async def contactor_closed(self) -> bool:
        """Tell how the rig's contactor stands."""
        return all(plant.load_closed for plant in self._plants.values())

    async def supply(self, volts: float) -> None:
        """Give the station another supply voltage, V phase to neutral, as an AC source does."""
        checked = _number("volts", volts, 1, 400)
        for plant in self._plants.values():
            plant.supply(checked)

    async def external_limit(
        self, limit: float | None, unit: str = "A", *, source: str = "EMS", periods: Sequence[tuple[int, float]] = ()
    ) -> None:
        """Limit the whole station from outside, past the CSMS; None releases the limit of that source.

        Arguments: see `external.ExternalLimits.limit`.
        """
        if self._station.external is None:
            raise ValueError("external_limit: this station has no input for it")
        if not self._station.powered:
            raise ValueError("external_limit: the station is without supply")
        self._station.external.limit(limit, unit, source, periods)

    async def reference_load(self, evse_id: int, amperes: Sequence[float]) -> None:
        """Draw a known current behind the independent meters and past the EVSE, A per phase of the EVSE; zeros switch it off."""
        plant = self._plant(evse_id)
        if isinstance(amperes, str) or not isinstance(amperes, Sequence) or not 1 <= len(amperes) <= 3:
            raise ValueError(f"amperes = {amperes!r}: must be one to three numbers")
        plant.reference_load([_number("amperes", one, 0, 80) for one in amperes])

    async def renegotiate(self, evse_id: int, needs: Mapping[str, float | str]) -> None:
        """Let the ISO 15118 EV change its charging needs (`ev_needs.EvNeeds`) and ask for another schedule (K17)."""
        self._plant(evse_id)
        if not isinstance(needs, Mapping):
            raise ValueError("needs: must be a table of properties")  # noqa: TRY004  bad input, whatever its type
        if self._station.hlc is None:
            raise ValueError("renegotiate: this station does not speak ISO 15118")
        self._station.hlc.renegotiate(evse_id, needs)

    async def seed_fault(self, fault_id: str, params: Mapping[str, Any]) -> None:
        """Seed a fault of `faults.FAULTS`. Station faults act on every station of the rig."""
        if not isinstance(fault_id, str) or not isinstance(params, Mapping):
            raise ValueError("a fault is an id and a table of params")  # noqa: TRY004  bad input, whatever its type
        self._faults.seed(fault_id, params)

    async def look(self, evse_id: int) -> PilotView:
        """Return `state`, `duty_percent` and `ev_wants_a` as a probe at the pilot sees them."""
        self._plant(evse_id)
        return self._probe.look(evse_id)

    def subscribe(self, listener: PilotListener) -> Callable[[], None]:
        """Call `listener(evse_id, view)` at once after each change of what `look` returns; return a function that ends it."""
        return self._probe.subscribe(listener)

    def state(self) -> dict[str, Any]:
        """Return how things stand, for people: per EVSE what the probe sees, the transaction and what the meter would show."""
        evses = []
        for evse_id, plant in self._plants.items():
            controller, truth = self._station.evses[evse_id], plant.truth()
            transaction = controller.transaction
            evses.append({
                "evse_id": evse_id,
                "plugged": plant.plugged,
                **plant.look(),
                "status": controller.status(),
                "transaction_id": transaction.id if transaction else None,
                "charging_state": transaction.state if transaction else None,
                "current_a": [round(one, 3) for one in truth.current_a],
                "power_w": round(truth.power_w, 1),
                "energy_wh": round(truth.energy_wh, 3),
            })  # fmt: skip
        station = {"powered": self._station.powered, "accepted": self._station.outbox.open}
        return {**station, "contactor_closed": all(one.load_closed for one in self._plants.values()), "evses": evses}

    def _plant(self, evse_id: int) -> EvsePlant:
        if isinstance(evse_id, bool) or not isinstance(evse_id, int) or evse_id not in self._plants:
            raise ValueError(f"evse_id = {evse_id!r}: EVSEs here: {', '.join(map(str, self._plants))}")
        return self._plants[evse_id]


def _number(name: str, value: float, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} = {value!r}: must be a number from {low:g} to {high:g}")
    return float(value)

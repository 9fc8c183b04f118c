"""Sends each action on a station to what fills its role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from bench.errors import NotApplicableError, RigError
from bench.ports import Clock, Load, PowerSwitch, RigControl

OFF_S: Final = 5.0
"""How long a power cycle leaves the station without supply."""


class Ev(Protocol):
    """The EV's part of RigControl."""

    async def plug(self, evse_id: int) -> None: ...
    async def unplug(self, evse_id: int) -> None: ...
    async def demand(self, evse_id: int, amperes: float) -> None: ...
    async def vehicle(self, evse_id: int, settings: Mapping[str, float | str]) -> None: ...


class ExternalLimit(Protocol):
    """The external limit's part of RigControl."""

    async def external_limit(
        self, limit: float | None, unit: str = "A", *, source: str = "EMS", periods: Sequence[tuple[int, float]] = ()
    ) -> None: ...


class Supply(Protocol):
    """The supply's part of RigControl."""

    async def supply(self, volts: float) -> None: ...


class RoutedControl:
    """Fits RigControl: the actuator with the role, else the default; RigError where neither is there."""

    def __init__(
        self,
        station: str,
        clock: Clock,
        default: RigControl | None,
        *,
        ev: Ev | None = None,
        limit: ExternalLimit | None = None,
        switch: PowerSwitch | None = None,
        load: Load | None = None,
        supply: Supply | None = None,
        cycles: bool = True,
    ) -> None:
        """`cycles`: the switch is in the supply of the whole station, and so can restart it."""
        self._station, self._clock, self._default = station, clock, default
        self._ev, self._limit, self._switch, self._load = ev, limit, switch, load
        self._cycles, self._supply = cycles, supply

    async def reference_load(self, evse_id: int, amperes: Sequence[float]) -> None:
        """Draw a known current behind the EVSE's meter."""
        if self._default is not None:
            await self._default.reference_load(evse_id, amperes)
        elif self._load is None:
            raise RigError(f"{self._station}: there is no known load: no actuator with the role load")
        elif len(set(amperes)) > 1:
            raise RigError(f"{self._station}: its load draws the same on all phases")
        else:
            await self._load.draw(amperes[0])

    async def plug(self, evse_id: int) -> None:
        """Connect the EV's cable."""
        await (self._ev or self._otherwise("plug", "ev")).plug(evse_id)

    async def unplug(self, evse_id: int) -> None:
        """Disconnect the EV's cable."""
        await (self._ev or self._otherwise("unplug", "ev")).unplug(evse_id)

    async def authorise(self, evse_id: int, id_token: str) -> None:
        """Present an identification token at the station."""
        await self._otherwise("authorise").authorise(evse_id, id_token)

    async def demand(self, evse_id: int, amperes: float) -> None:
        """Set the current per phase that the EV wants, or that the load draws, in A."""
        if self._ev is None and self._load is not None:
            await self._load.draw(amperes)
        else:
            await (self._ev or self._otherwise("demand", "ev or load")).demand(evse_id, amperes)

    async def vehicle(self, evse_id: int, settings: Mapping[str, float | str]) -> None:
        """Put another EV before the EVSE."""
        await (self._ev or self._otherwise("vehicle", "ev")).vehicle(evse_id, settings)

    async def power_cycle(self) -> None:
        """Switch the station's supply off and on; it stays off where it was off."""
        if self._switch is None or not self._cycles:
            await self._otherwise("power_cycle", "power_switch").power_cycle()
            return
        was_closed = await self._switch.is_closed()
        await self._switch.switch(False)
        await self._clock.sleep(OFF_S)
        if was_closed is not False:
            await self._switch.switch(True)

    async def cut_network(self, seconds: float) -> None:
        """Take the station's network away for that long."""
        await self._otherwise("cut_network").cut_network(seconds)

    async def contactor(self, closed: bool) -> None:
        """Open or close the contactor in the supply of the station."""
        if self._switch is not None:
            await self._switch.switch(closed)
        else:
            await self._otherwise("contactor", "power_switch").contactor(closed)

    async def external_limit(
        self, limit: float | None, unit: str = "A", *, source: str = "EMS", periods: Sequence[tuple[int, float]] = ()
    ) -> None:
        """Limit the whole station from outside. Raises NotApplicableError where the rig has no means for it."""
        way = self._limit or self._default
        if way is None:
            raise NotApplicableError(f"{self._station}: no actuator has the role external_limit, and nobody can be asked")
        await way.external_limit(limit, unit, source=source, periods=periods)

    async def supply(self, volts: float) -> None:
        """Give the station another supply voltage. Raises NotApplicableError where there is no AC source."""
        way = self._supply or self._default
        if way is None:
            raise NotApplicableError(f"{self._station}: no actuator has the role supply")
        await way.supply(volts)

    async def renegotiate(self, evse_id: int, needs: Mapping[str, float | str]) -> None:
        """Let the ISO 15118 EV ask for another schedule."""
        await self._otherwise("renegotiate").renegotiate(evse_id, needs)

    async def seed_fault(self, fault_id: str, params: Mapping[str, Any]) -> None:
        """Seed one fault. Raises ValueError where nothing is emulated."""
        if self._default is None:
            raise ValueError(f"{fault_id}: only an emulated rig can be made faulty")
        await self._default.seed_fault(fault_id, params)

    def _otherwise(self, action: str, role: str = "") -> RigControl:
        if self._default is None:
            means = f"no actuator has the role {role}, and " if role else ""
            raise RigError(f"nothing can {action} at {self._station}: {means}the rig file has no [operator]")
        return self._default

"""What an instrument does in a role: as contactor, load, EV, input for external limits, or witness of the pilot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from bench.adapters.scpi import number
from bench.errors import NotApplicableError, RigError

_CLOSED: Final = ("1", "on", "closed", "true")
_OPEN: Final = ("0", "off", "open", "false")


class Instrument(Protocol):
    """Takes actions and queries by name; both raise RigError. See `settings.instrument_map` for their names."""

    name: str

    def can(self, action: str) -> bool:
        """Say whether it knows an action."""
        ...

    async def do(self, action: str, **arguments: float | str) -> None:
        """Carry out an action."""
        ...

    async def ask(self, query: str, **arguments: float | str) -> str | None:
        """Return what it says; None where it cannot tell."""
        ...


class InstrumentSwitch:
    """Fits PowerSwitch."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    async def switch(self, closed: bool) -> None:
        """Close or open it, and read back where that is possible."""
        await self._instrument.do("close" if closed else "open")
        if await self.is_closed() not in (closed, None):
            told, seen = ("close", "open") if closed else ("open", "closed")
            raise RigError(f"actuators.{self._instrument.name}: told to {told}, and reads back {seen}")

    async def is_closed(self) -> bool | None:
        """Read how it stands."""
        said = await self._instrument.ask("is_closed")
        if said is None:
            return None
        if said.casefold() not in (*_CLOSED, *_OPEN):
            raise RigError(f"actuators.{self._instrument.name}: is_closed: says {said[:80]!r}: must be 1 or 0")
        return said.casefold() in _CLOSED


class InstrumentLoad:
    """Fits Load."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    async def draw(self, amperes: float) -> None:
        """Draw so much per phase."""
        await _draw(self._instrument, 1, amperes)

    async def drawn(self) -> float | None:
        """Read what it is set to."""
        said = await self._instrument.ask("drawn", evse_id=1)
        return None if said is None else number(said, f"actuators.{self._instrument.name}: drawn")


class InstrumentEv:
    """The EV's part of RigControl."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    async def plug(self, evse_id: int) -> None:
        """Connect the EV's cable."""
        await self._instrument.do("plug", evse_id=evse_id)

    async def unplug(self, evse_id: int) -> None:
        """Disconnect the EV's cable."""
        await self._instrument.do("unplug", evse_id=evse_id)

    async def demand(self, evse_id: int, amperes: float) -> None:
        """Set the current per phase that the EV wants, in A."""
        await _draw(self._instrument, evse_id, amperes)

    async def vehicle(self, evse_id: int, settings: Mapping[str, float | str]) -> None:
        """Set properties of the EV. Raises NotApplicableError for one that the instrument does not know."""
        unknown = [key for key in settings if not self._instrument.can(f"set_{key}")]
        if unknown:
            raise NotApplicableError(f"actuators.{self._instrument.name}: cannot set {', '.join(unknown)} of the EV")
        for key, value in settings.items():
            await self._instrument.do(f"set_{key}", evse_id=evse_id, value=value)


class InstrumentLimit:
    """The external limit's part of RigControl."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    async def external_limit(
        self, limit: float | None, unit: str = "A", *, source: str = "EMS", periods: Sequence[tuple[int, float]] = ()
    ) -> None:
        """Set or release a limit. Raises NotApplicableError for one that changes over time."""
        if periods:
            raise NotApplicableError(f"actuators.{self._instrument.name}: takes a limit from now on, none over time")
        if limit is None:
            await self._instrument.do("release", source=source)
        else:
            await self._instrument.do("limit", limit=limit, unit=unit, source=source)


class InstrumentSupply:
    """The supply's part of RigControl: an AC source."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    async def supply(self, volts: float) -> None:
        """Set the voltage, V phase to neutral."""
        await self._instrument.do("volts", volts=volts)


class InstrumentPilot:
    """Fits Witness."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    async def look(self, evse_id: int) -> Mapping[str, object]:
        """Return state, duty cycle and, if known, what the EV wants."""
        where = f"actuators.{self._instrument.name}"
        state = await self._instrument.ask("state", evse_id=evse_id)
        if state is not None and state not in tuple("ABCDEF"):
            raise RigError(f"{where}: state: says {state[:80]!r}: must be A to F")
        seen: dict[str, object] = {"state": state}
        for query in ("duty_percent", "ev_wants_a"):
            said = await self._instrument.ask(query, evse_id=evse_id)
            seen[query] = None if said is None or said.casefold() in ("", "none") else number(said, f"{where}: {query}")
        return seen


async def _draw(instrument: Instrument, evse_id: int, amperes: float) -> None:
    if amperes == 0 and instrument.can("stop"):
        await instrument.do("stop", evse_id=evse_id)
    else:
        await instrument.do("draw", evse_id=evse_id, amperes=float(amperes))

"""What a run asks of the world, as Protocols: unit and sign are said, transport is not.

An adapter fits a port structurally. Nothing above this module opens a socket, reads a clock or sleeps on one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from bench.domain.link import LinkFault
from bench.domain.meter import MeterReading


class Clock(Protocol):
    """Time is given, never taken."""

    def now(self) -> datetime:
        """Return the time of the run, aware, in UTC; it never goes back."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary origin, for intervals."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of the run's time; at once for zero or less."""
        ...


class Journal(Protocol):
    """The append-only stream of documents that a run consists of."""

    def write(self, kind: str, data: Mapping[str, Any]) -> int:
        """Append one document and return its number; secrets are replaced before it is chained."""
        ...

    def secret(self, value: str) -> None:
        """From now on replace this text wherever it stands in a document."""
        ...

    def subscribe(self, listener: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Call `listener(kind, data)` after each document."""
        ...


class IdSource(Protocol):
    """Gives identifiers; from the seed on an emulated rig, random elsewhere."""

    def token(self, length: int = 32) -> str:
        """Return a token of hexadecimal characters."""
        ...

    def number(self, below: int) -> int:
        """Return an integer in [0, below)."""
        ...


class StationLink(Protocol):
    """One open connection to a charging station: text frames in order, without a task for each."""

    def send(self, text: str) -> None:
        """Send one frame without waiting for it to be gone; raise StationOfflineError when the connection is."""
        ...

    async def serve(self, receive: Callable[[str | bytes], None]) -> None:
        """Call `receive` with each frame as it arrives, until the connection ends; then return.

        Bytes are a binary frame, which OCPP-J does not allow. What `receive` raises ends the connection and is raised here.
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close the connection with a WebSocket close code."""
        ...

    def ended(self) -> tuple[int, str] | None:
        """Return close code and reason once the connection is over (1006: without a closing handshake), else None."""
        ...


Authorizer = Callable[[str, Mapping[str, Any]], "str | Callable[[], Awaitable[dict[str, Any]]]"]
"""(station id, IdTokenType) -> AuthorizationStatusEnumType; or, where somebody has to be asked, what gives the IdTokenInfo."""


class StationCaller(Protocol):
    """Sends OCPP calls to stations."""

    async def call(
        self, station_id: str, action: str, payload: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Send one CALL and return the CALLRESULT's payload.

        Raises: StationOfflineError, CallTimeoutError, CallRejectedError.
        """
        ...


class Stations(StationCaller, Protocol):
    """Sends calls to stations and tells what happens at them."""

    def subscribe(self, listener: Listener) -> Unsubscribe:
        """Call `listener` with each event, such as `{"event": "transaction", "phase": "Started", …}`; returns what ends it."""
        ...

    async def installed_profiles(self, station_id: str, evse_id: int | None = None) -> list[dict[str, Any]]:
        """Return `{"evse_id", "source", "profile"}` for each installed charging profile. Raises StationError."""
        ...

    def authorize_by(self, authorizer: Authorizer) -> Unsubscribe:
        """Let somebody else decide on identification tokens from now on; returns what ends that."""
        ...


RowKind = Literal["session", "token"]
"""Sessions that are over, and Tokens."""


class Store(Protocol):
    """Keeps a document over a restart, and beside it rows, each of which is written alone."""

    def load(self) -> dict[str, Any] | None:
        """Return what was saved last; None where nothing was."""
        ...

    def save(self, document: dict[str, Any]) -> None:
        """Keep a document; it is durable when this returns."""
        ...

    def load_rows(self, kind: RowKind) -> dict[str, dict[str, Any]]:
        """Return the rows of a kind by id, in the order of their coming."""
        ...

    def keep_rows(self, kind: RowKind, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep rows by id, all or none, in place of those of the same id; they are durable when this returns."""
        ...

    def drop_row(self, kind: RowKind, identity: str) -> None:
        """Forget a row, if it is there."""
        ...


class OcpiTransport(Protocol):
    """Carries HTTP requests to OCPI peers; logical addresses are its own affair."""

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (names in lower case) and body of the response, whatever its status.

        Raises: PeerError where no whole response came in time.
        """
        ...


class Meter(Protocol):
    """An independent meter: power in W, import positive; energy in Wh, cumulative."""

    name: str

    async def read(self) -> MeterReading:
        """Read all quantities once; raise RigError on an outage, never return a zero for one."""
        ...


class IdentifiedMeter(Meter, Protocol):
    """A meter of the rig file, which tells at the begin of a run which one it is."""

    async def identify(self) -> dict[str, Any]:
        """Return the data of a METER_IDENTITY document. Raises RigError where it is silent or not the one it is said to be."""
        ...


class PowerSwitch(Protocol):
    """A contactor in the supply of a station, or of what loads it. It is open until told otherwise."""

    async def switch(self, closed: bool) -> None:
        """Close or open it; raise RigError where that cannot be done."""
        ...

    async def is_closed(self) -> bool | None:
        """Read back how it stands; None where it cannot tell. Raises RigError."""
        ...


class Load(Protocol):
    """What draws power from a station in place of an EV, or decides what an EV emulator draws."""

    async def draw(self, amperes: float) -> None:
        """Draw so much per phase, in A; 0 switches it off. Raises RigError."""
        ...

    async def drawn(self) -> float | None:
        """Read back what it is set to, A per phase; None where it cannot tell. Raises RigError."""
        ...


class Link(Protocol):
    """The network between the stations and the CSMS: one disturbance at a time, of all connections."""

    def disturb(self, fault: LinkFault, over: Callable[[], None]) -> None:
        """Begin a disturbance in place of the one that lasts, if any; `over` is called once when it has ended."""
        ...

    def restore(self) -> None:
        """End the disturbance that lasts, if any."""
        ...


@dataclass(frozen=True, slots=True)
class HardStop:
    """A hard stop that was made, or the end of what could make one."""

    cause: Literal["cap", "operator", "heartbeat", "contactor", "guard"]
    """A hard cap was passed, somebody asked for it, the bench was not heard, one opened by itself, or the guard is gone."""
    reason: str
    actions: tuple[Mapping[str, Any], ...] = ()
    """What was done, with `station`, `action`, `ok` and `read_back` each."""

    @property
    def ok(self) -> bool:
        """Say whether there was something to do and all of it was done."""
        return bool(self.actions) and all(one["ok"] for one in self.actions)


class Guard(Protocol):
    """Holds contactors and loads; after a hard stop nothing closes again."""

    switches: Mapping[str, PowerSwitch]
    """By station id."""
    loads: Mapping[str, Load]
    """By station id."""

    async def hard_stop(self, cause: Literal["cap", "operator"], reason: str) -> None:
        """Switch the loads off and open the contactors at once; a second one does nothing."""
        ...

    async def stopped(self) -> HardStop:
        """Wait for a hard stop, whoever asked for it, or for the end of the guard."""
        ...


class RigControl(Protocol):
    """Acts on the physical side of one charging station in plain numbers and strings.

    An emulator's object fits it structurally; on hardware a person or an instrument stands behind it.
    """

    async def plug(self, evse_id: int) -> None:
        """Connect the EV's cable."""
        ...

    async def unplug(self, evse_id: int) -> None:
        """Disconnect the EV's cable."""
        ...

    async def authorise(self, evse_id: int, id_token: str) -> None:
        """Present an identification token at the station."""
        ...

    async def demand(self, evse_id: int, amperes: float) -> None:
        """Set the current per phase that the driver's EV wants, in A."""
        ...

    async def vehicle(self, evse_id: int, settings: Mapping[str, float | str]) -> None:
        """Put another EV before the EVSE: phases, max_current_a, battery_wh, soc_percent and the like.

        Over ISO 15118: iso15118 (0 or 1), departure_s, energy_wh, max_schedule_tuples, ev_profile (inside, outside or none:
        which charging profile it returns) and requested_mode (EnergyTransferModeEnumType).
        """
        ...

    async def power_cycle(self) -> None:
        """Switch the station's supply off and on."""
        ...

    async def cut_network(self, seconds: float) -> None:
        """Take the station's network away for that long."""
        ...

    async def contactor(self, closed: bool) -> None:
        """Open or close the rig's own contactor in the supply of the station."""
        ...

    async def external_limit(
        self, limit: float | None, unit: str = "A", *, source: str = "EMS", periods: Sequence[tuple[int, float]] = ()
    ) -> None:
        """Limit the whole station from outside, past the CSMS: from now on, or over time by `periods` (s from now, limit).

        Args: limit: in A per phase or W in total; None releases the limit of that source.
            source: a ChargingLimitSourceEnumType other than CSO.
        """
        ...

    async def supply(self, volts: float) -> None:
        """Give the station another supply voltage, V phase to neutral. Raises NotApplicableError where there is no AC source."""
        ...

    async def reference_load(self, evse_id: int, amperes: Sequence[float]) -> None:
        """Draw a known current behind the EVSE's meter and past the EVSE, A per phase of it; zeros switch it off.

        Raises: RigError where there is no such load.
        """
        ...

    async def renegotiate(self, evse_id: int, needs: Mapping[str, float | str]) -> None:
        """Let the ISO 15118 EV change its charging needs and ask for another schedule (K17); keys as in `vehicle`."""
        ...

    async def seed_fault(self, fault_id: str, params: Mapping[str, Any]) -> None:
        """Seed one fault of the station, the EV or a meter."""
        ...


class Witness(Protocol):
    """Sees the control pilot and the EV from outside, never from the station's report."""

    async def look(self, evse_id: int) -> Mapping[str, object]:
        """Return `state` (A to F), `duty_percent` (None without a PWM) and, if known, `ev_wants_a` (A per phase)."""
        ...


Unsubscribe = Callable[[], None]
Listener = Callable[[Mapping[str, Any]], None]

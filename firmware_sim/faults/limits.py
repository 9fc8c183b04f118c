"""Faults in how the station applies a limit that it has read rightly: its reports stay right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from firmware_sim.limiter import Ruling
from firmware_sim.pilot import MIN_CURRENT_A
from firmware_sim.profiles import Profile

_SAME: Final = 1e-6


class IgnoresLimit:
    """The station goes on with what ruled before wherever its schedule says this limit; what it reports is right."""

    ID: ClassVar = "station.ignores-limit"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "periods with one limit are ignored: the limit before goes on, or the station's own maximum"
    PARAMS: ClassVar = {"limit": "the limit that is ignored, a number from 0 to 1000000", "unit": "W or A"}

    def __init__(self, *, limit: float, unit: str) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1e6:
            raise ValueError(f"{self.ID}: limit = {limit!r}: must be a number from 0 to 1000000")
        if unit not in ("A", "W"):
            raise ValueError(f"{self.ID}: unit = {unit!r}: must be A or W")
        self._limit, self._unit = float(limit), unit
        self._before: dict[int, float] = {}

    def limit_a(self, evse_id: int, t: float, ruling: Ruling | None, max_a: float, amps: float) -> float:
        """Keep the amperes of before while the ignored limit rules."""
        if ruling and ruling.unit == self._unit and abs(ruling.limit - self._limit) <= _SAME:
            return self._before.get(evse_id, max_a)
        self._before[evse_id] = amps
        return amps


class ConstantDelay:
    """What the UK's rules want at random is always the same."""

    ID: ClassVar = "station.constant-delay"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "starts and planned changes always wait equally long, where the wait is to be random"
    PARAMS: ClassVar = {"seconds": "how long, a number from 0 to 3600"}

    def __init__(self, *, seconds: float) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 3600:
            raise ValueError(f"{self.ID}: seconds = {seconds!r}: must be a number from 0 to 3600")
        self._seconds = float(seconds)

    def random_delay(self, longest: int, seconds: float) -> float:
        """Wait so long."""
        return self._seconds


class NoDelay:
    """No random delay at all."""

    ID: ClassVar = "station.no-delay"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "starts and planned changes never wait, where the wait is to be random"
    PARAMS: ClassVar[dict[str, str]] = {}

    def random_delay(self, longest: int, seconds: float) -> float:
        """Do not wait."""
        return 0.0


class ZeroResume:
    """After a pause the first limit above it only lets the car charge again, at the EVSE's own maximum."""

    ID: ClassVar = "station.zero-resume"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "the first limit after a pause is not applied: the car gets the EVSE's own maximum until the next change"
    PARAMS: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._paused: set[int] = set()
        self._unheeded: dict[int, tuple[float, str] | None] = {}

    def limit_a(self, evse_id: int, t: float, ruling: Ruling | None, max_a: float, amps: float) -> float:
        """Remember a pause; what first follows it has no effect."""
        if amps < MIN_CURRENT_A:
            self._paused.add(evse_id)
            self._unheeded.pop(evse_id, None)
            return amps
        now = (ruling.limit, ruling.unit) if ruling else None
        if evse_id in self._paused:
            self._paused.remove(evse_id)
            self._unheeded[evse_id] = now
        if evse_id in self._unheeded and self._unheeded[evse_id] == now:
            return max_a
        self._unheeded.pop(evse_id, None)
        return amps


class JumpsOnRepeat:
    """The same limits sent so many times in a row make the station forget them."""

    ID: ClassVar = "station.jumps-on-repeat"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "the same limits sent several times in a row: the EVSE's own maximum, until others come"
    PARAMS: ClassVar = {"times": "after how many equal profiles, a whole number from 2 to 1000"}

    def __init__(self, *, times: int) -> None:
        if isinstance(times, bool) or not isinstance(times, int) or not 2 <= times <= 1000:
            raise ValueError(f"{self.ID}: times = {times!r}: must be a whole number from 2 to 1000")
        self._times, self._seen, self._last = times, 0, ()

    def on_set_profile(self, evse_id: int, profile: Profile) -> Profile:
        """Count equal ones."""
        self._seen = self._seen + 1 if profile.periods == self._last else 1
        self._last = profile.periods  # type: ignore[assignment]
        return profile

    def limit_a(self, evse_id: int, t: float, ruling: Ruling | None, max_a: float, amps: float) -> float:
        """Give the maximum once there were too many."""
        return max_a if self._seen >= self._times else amps


class OffersMore:
    """The pilot offers more than the limit."""

    ID: ClassVar = "station.offers-more"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "the pilot offers so much more than the limit, up to the EVSE's own maximum"
    PARAMS: ClassVar = {"amps": "A per phase, a number above 0 up to 80"}

    def __init__(self, *, amps: float) -> None:
        if isinstance(amps, bool) or not isinstance(amps, int | float) or not 0 < amps <= 80:
            raise ValueError(f"{self.ID}: amps = {amps!r}: must be a number above 0 up to 80")
        self._amps = float(amps)

    def limit_a(self, evse_id: int, t: float, ruling: Ruling | None, max_a: float, amps: float) -> float:
        """Add to what is not a pause."""
        return min(max_a, amps + self._amps) if amps >= MIN_CURRENT_A else amps


class NeverPauses:
    """A limit below 6 A is rounded up to it."""

    ID: ClassVar = "station.never-pauses"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a limit below 6 A, 0 A too, is applied as 6 A"
    PARAMS: ClassVar[dict[str, str]] = {}

    def limit_a(self, evse_id: int, t: float, ruling: Ruling | None, max_a: float, amps: float) -> float:
        """Round up."""
        return max(amps, MIN_CURRENT_A)


class SumsPhases:
    """A limit in A is taken for the sum of all phases (K01.FR.51)."""

    ID: ClassVar = "station.sums-phases"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a limit in A is divided by its number of phases, as if it were their sum"
    PARAMS: ClassVar[dict[str, str]] = {}

    def limit_a(self, evse_id: int, t: float, ruling: Ruling | None, max_a: float, amps: float) -> float:
        """Divide."""
        return amps / ruling.number_phases if ruling and ruling.unit == "A" else amps


class MaxPerEvse:
    """Each EVSE has the station's limit for itself (K04.FR.05, K12.FR.01)."""

    ID: ClassVar = "station.max-per-evse"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "the station's limit is applied to each EVSE instead of to their sum"
    PARAMS: ClassVar[dict[str, str]] = {}

    def share(self, total_a: float, wanted_a: Sequence[float], given_a: list[float]) -> list[float]:
        """Cap each by the whole."""
        return [min(one, total_a) for one in wanted_a]


class IgnoresNumberPhases:
    """The car stays on all phases (K01.FR.43)."""

    ID: ClassVar = "station.ignores-numberphases"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "numberPhases is accepted and reported, and charging goes on on all phases"
    PARAMS: ClassVar[dict[str, str]] = {}

    def lines(self, evse_id: int, phases: int, lines: tuple[int, ...]) -> tuple[int, ...]:
        """Use all."""
        return tuple(range(phases))


class IgnoresPhaseToUse:
    """One phase is always L1 (K01.FR.46)."""

    ID: ClassVar = "station.ignores-phasetouse"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "charging on one phase is always on L1, whatever phaseToUse says"
    PARAMS: ClassVar[dict[str, str]] = {}

    def lines(self, evse_id: int, phases: int, lines: tuple[int, ...]) -> tuple[int, ...]:
        """Use L1 for one."""
        return (0,) if len(lines) == 1 else lines


class LowerOffline:
    """Without the CSMS and without a profile an EV gets the least there is (K06.FR.02)."""

    ID: ClassVar = "station.lower-offline"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "while the station is offline, an EV that no profile limits is offered 6 A"
    PARAMS: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._online = True

    def on_link(self, online: bool) -> bool:
        """Remember it."""
        self._online = online
        return online

    def limit_a(self, evse_id: int, t: float, ruling: Ruling | None, max_a: float, amps: float) -> float:
        """Hold it down."""
        return amps if self._online or ruling else min(amps, MIN_CURRENT_A)


LIMIT_FAULTS: Final[tuple[Any, ...]] = (
    IgnoresLimit, ZeroResume, JumpsOnRepeat, OffersMore, NeverPauses, SumsPhases, MaxPerEvse, IgnoresNumberPhases,
    IgnoresPhaseToUse, LowerOffline, ConstantDelay, NoDelay,
)  # fmt: skip

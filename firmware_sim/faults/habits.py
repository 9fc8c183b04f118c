"""Faults in which profiles the station takes, keeps and begins: of transactions, of order, of time, of phases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Final

from firmware_sim.limiter import Situation
from firmware_sim.profiles import TX, Period, Profile
from firmware_sim.validation import Refusal


class AcceptsEndedTransaction:
    """A TxProfile is matched by its EVSE alone (K01.FR.33)."""

    ID: ClassVar = "station.accepts-ended-transaction"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a TxProfile for a transaction that does not run is accepted, and rules the one that does"
    PARAMS: ClassVar[dict[str, str]] = {}

    def refusals(self, action: str, profile: Profile | None, refusals: list[Refusal]) -> list[Refusal]:
        """Find nothing wrong with the transaction."""
        if profile is None or profile.purpose != TX:
            return refusals
        return [one for one in refusals if "ransaction" not in one.text + one.reason_code]

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Take each for the transaction that runs."""
        return [replace(one, transaction_id=now.transaction_id) if one.purpose == TX else one for one in seen]


class SkipsLastPeriod:
    """The comparison with the duration has the wrong sign."""

    ID: ClassVar = "station.skips-last-period"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "of a schedule with a duration the last period has no effect: the one before goes on"
    PARAMS: ClassVar[dict[str, str]] = {}

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Leave it out."""
        return [
            replace(one, periods=one.periods[:-1]) if one.duration_s is not None and len(one.periods) > 1 else one for one in seen
        ]


class RelativeAnchor:
    """Relative schedules count from another moment (K01.FR.42)."""

    ID: ClassVar = "station.relative-anchor"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a Relative schedule begins so many seconds after the transaction, before it with a minus"
    PARAMS: ClassVar = {"shift_s": "seconds, from -86400 to 86400", "reported": "whether the station reports it so too"}

    def __init__(self, *, shift_s: float, reported: bool) -> None:
        if isinstance(shift_s, bool) or not isinstance(shift_s, int | float) or not -86400 <= shift_s <= 86400:
            raise ValueError(f"{self.ID}: shift_s = {shift_s!r}: must be a number from -86400 to 86400")
        if not isinstance(reported, bool):
            raise ValueError(f"{self.ID}: reported = {reported!r}: must be true or false")  # noqa: TRY004  bad input
        self._shift_s, self._reported = float(shift_s), reported

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Shift them in reports too."""
        return self._shifted(now, seen) if self._reported else seen

    def applied(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Shift them where it is decided."""
        return seen if self._reported else self._shifted(now, seen)

    def _shifted(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        began = now.transaction_start
        if began is None:
            return seen
        return [
            replace(one, kind="Absolute", start=began + self._shift_s) if one.kind == "Relative" else one for one in seen
        ]  # fmt: skip


class KeepsExpired:
    """Profiles past validTo are counted for ever (K01.FR.37)."""

    ID: ClassVar = "station.keeps-expired"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "expired profiles keep their place: when all are taken, new ones are rejected"
    PARAMS: ClassVar = {"slots": "how many profiles the store holds, a whole number from 1 to 100"}

    def __init__(self, *, slots: int) -> None:
        if isinstance(slots, bool) or not isinstance(slots, int) or not 1 <= slots <= 100:
            raise ValueError(f"{self.ID}: slots = {slots!r}: must be a whole number from 1 to 100")
        self._slots = slots
        self._kept: set[int] = set()

    def refusals(self, action: str, profile: Profile | None, refusals: list[Refusal]) -> list[Refusal]:
        """Refuse what has no place."""
        if action != "SetChargingProfile" or profile is None or len(self._kept | {profile.id}) <= self._slots:
            return refusals
        return [*refusals, Refusal("TooManyProfiles", f"at most {self._slots} profiles")]

    def on_set_profile(self, evse_id: int, profile: Profile) -> Profile:
        """Count it."""
        self._kept.add(profile.id)
        return profile

    def on_clear(self, installed: list[Profile], found: list[Profile]) -> list[Profile]:
        """What is cleared gives its place back."""
        self._kept -= {one.id for one in found}
        return found


class UnorderedPeriods:
    """Periods are taken as they are listed (K01.FR.31, K01.FR.35)."""

    ID: ClassVar = "station.unordered-periods"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "periods out of order are accepted, and the first or the last in the list that has begun rules"
    PARAMS: ClassVar = {"pick": "first or last"}

    def __init__(self, *, pick: str) -> None:
        if pick not in ("first", "last"):
            raise ValueError(f"{self.ID}: pick = {pick!r}: must be first or last")
        self._pick = pick

    def refusals(self, action: str, profile: Profile | None, refusals: list[Refusal]) -> list[Refusal]:
        """Find nothing wrong with the order."""
        return [one for one in refusals if one.rule not in ("K01.FR.31", "K01.FR.35")]

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Give the periods the order in which they count."""
        return [replace(one, periods=self._as_listed(one.periods)) for one in seen]

    def _as_listed(self, periods: tuple[Period, ...]) -> tuple[Period, ...]:
        starts = sorted({one.start_s for one in periods})
        begun = [[one for one in periods if one.start_s <= start] for start in starts]
        chosen = [those[0] if self._pick == "first" else those[-1] for those in begun]
        return tuple(replace(one, start_s=start) for one, start in zip(chosen, starts, strict=True))


class SwapsStackAndPhases:
    """stackLevel and numberPhases are exchanged on their way to the power electronics."""

    ID: ClassVar = "station.swaps-stack-and-phases"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "charging goes on on as many phases as the stackLevel of the TxProfile says, one to three"
    PARAMS: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._levels: dict[int, int] = {}

    def applied(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Remember the level that leads."""
        mine = [one.stack_level for one in seen if one.purpose == TX and one.transaction_id == now.transaction_id]
        self._levels[now.evse_id] = max(mine, default=3)
        return seen

    def lines(self, evse_id: int, phases: int, lines: tuple[int, ...]) -> tuple[int, ...]:
        """Use as many."""
        return tuple(range(min(phases, max(1, min(3, self._levels.get(evse_id, 3))))))


class StaysOnOnePhase:
    """Phases are switched off and never on again."""

    ID: ClassVar = "station.stays-on-one-phase"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "an EVSE that went over to one phase never goes back to three"
    PARAMS: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._left: dict[int, tuple[int, ...]] = {}

    def lines(self, evse_id: int, phases: int, lines: tuple[int, ...]) -> tuple[int, ...]:
        """Stay on the phase that is left."""
        if len(lines) == 1:
            self._left[evse_id] = lines
        return self._left.get(evse_id, lines)


class RejectsUnit:
    """One unit of limits is not taken (K01.FR.26)."""

    ID: ClassVar = "station.rejects-unit"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "profiles in one unit are rejected"
    PARAMS: ClassVar = {"unit": "A or W"}

    def __init__(self, *, unit: str) -> None:
        if unit not in ("A", "W"):
            raise ValueError(f"{self.ID}: unit = {unit!r}: must be A or W")
        self._unit = unit

    def refusals(self, action: str, profile: Profile | None, refusals: list[Refusal]) -> list[Refusal]:
        """Refuse them."""
        if profile is None or profile.unit != self._unit:
            return refusals
        return [Refusal("UnsupportedRateUnit", self._unit, "K01.FR.26"), *refusals]


class LongPhaseSwitch:
    """Switching phases takes its time."""

    ID: ClassVar = "station.long-phase-switch"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "between two numbers of phases nothing is offered for so long"
    PARAMS: ClassVar = {"pause_s": "seconds, from 7 to 600"}

    def __init__(self, *, pause_s: float) -> None:
        if isinstance(pause_s, bool) or not isinstance(pause_s, int | float) or not 7 <= pause_s <= 600:
            raise ValueError(f"{self.ID}: pause_s = {pause_s!r}: must be a number from 7 to 600")
        self._pause_s = float(pause_s)

    def switch_pause(self, seconds: float) -> float:
        """Take longer."""
        return self._pause_s


HABIT_FAULTS: Final[tuple[Any, ...]] = (
    AcceptsEndedTransaction, SkipsLastPeriod, RelativeAnchor, KeepsExpired, UnorderedPeriods, SwapsStackAndPhases,
    StaysOnOnePhase, RejectsUnit, LongPhaseSwitch,
)  # fmt: skip

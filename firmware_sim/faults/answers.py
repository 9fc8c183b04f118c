"""Faults in how the station answers and keeps its profiles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Final

from firmware_sim.composite import CompositePeriod
from firmware_sim.faults.reading import known_purpose
from firmware_sim.limiter import Situation
from firmware_sim.profiles import EXTERNAL, STATION_MAX, TX_DEFAULT, Profile
from firmware_sim.validation import Refusal

START: Final = "RequestStartTransaction"


class StartProfileIgnored:
    """The profile of RequestStartTransaction has no effect (K05.FR.03)."""

    ID: ClassVar = "station.start-profile-ignored"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "RequestStartTransaction is accepted and its chargingProfile ignored"
    PARAMS: ClassVar[dict[str, str]] = {}

    def on_start_profile(self, evse_id: int, profile: Profile) -> None:
        """Ignore it."""


class StartRefusedWithProfile:
    """A profile in RequestStartTransaction is a reason to refuse (K05.FR.03, K05.FR.04)."""

    ID: ClassVar = "station.start-refused-with-profile"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "RequestStartTransaction with a chargingProfile is rejected"
    PARAMS: ClassVar[dict[str, str]] = {}

    def refusals(self, action: str, profile: Profile | None, refusals: list[Refusal]) -> list[Refusal]:
        """Refuse it."""
        return [*refusals, Refusal("UnsupportedParam", "no profile is taken here")] if action == START else refusals


class UnknownEvseAccepted:
    """An EVSE that does not exist is no reason to refuse (K01.FR.28, K08.FR.05)."""

    ID: ClassVar = "station.unknown-evse-accepted"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "requests for an EVSE that does not exist are accepted"
    PARAMS: ClassVar[dict[str, str]] = {}

    def refusals(self, action: str, profile: Profile | None, refusals: list[Refusal]) -> list[Refusal]:
        """Let it pass."""
        return [one for one in refusals if one.rule not in ("K01.FR.28", "K08.FR.05")]


class KeepsOldOfId:
    """A profile with a known id does not replace the old one (K01.FR.05)."""

    ID: ClassVar = "station.keeps-old-of-id"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a profile with the id of an installed one is accepted, and the old one stays"
    PARAMS: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._ids: set[int] = set()

    def on_set_profile(self, evse_id: int, profile: Profile) -> Profile | None:
        """Install each id once."""
        known = profile.id in self._ids
        self._ids.add(profile.id)
        return None if known else profile

    def on_clear(self, installed: list[Profile], found: list[Profile]) -> list[Profile]:
        """Know a cleared id no more."""
        self._ids -= {one.id for one in found}
        return found


class DefaultOnOneEvse:
    """A TxDefaultProfile of EVSE 0 is copied to EVSE 1 (K01.FR.14)."""

    ID: ClassVar = "station.default-on-one-evse"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a TxDefaultProfile for all EVSEs is installed on EVSE 1 alone"
    PARAMS: ClassVar[dict[str, str]] = {}

    def on_set_profile(self, evse_id: int, profile: Profile) -> Profile:
        """Put it there."""
        return replace(profile, evse_id=1) if profile.purpose == TX_DEFAULT and evse_id == 0 else profile


class ClearOverbroad:
    """Clearing some clears all (K10.FR.03, FR.04)."""

    ID: ClassVar = "station.clear-overbroad"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "ClearChargingProfile that matches a profile deletes all others too"
    PARAMS: ClassVar[dict[str, str]] = {}

    def on_clear(self, installed: list[Profile], found: list[Profile]) -> list[Profile]:
        """Take all that a CSMS has set."""
        return [one for one in installed if one.purpose != EXTERNAL] if found else found


class ClearFirstOnly:
    """Of several that match, one goes (K10.FR.04)."""

    ID: ClassVar = "station.clear-first-only"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "ClearChargingProfile that matches several profiles deletes the first of them"
    PARAMS: ClassVar[dict[str, str]] = {}

    def on_clear(self, installed: list[Profile], found: list[Profile]) -> list[Profile]:
        """Take one."""
        return found[:1]


class ClearAlwaysAccepted:
    """What matches nothing, or an external limit alone, is not Unknown (K10.FR.01, FR.08, FR.09)."""

    ID: ClassVar = "station.clear-always-accepted"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "ClearChargingProfile is answered Accepted, whether it matches anything or not"
    PARAMS: ClassVar[dict[str, str]] = {}

    def clear_status(self, status: str) -> str:
        """Say so."""
        return "Accepted"


class ClearNothing(ClearAlwaysAccepted):
    """What is said to be cleared stays (K10.FR.03)."""

    ID: ClassVar = "station.clear-nothing"
    TEXT: ClassVar = "ClearChargingProfile is answered Accepted and deletes nothing"

    def on_clear(self, installed: list[Profile], found: list[Profile]) -> list[Profile]:
        """Take none."""
        return []


class ClearNoReapply:
    """After a clear the old limit goes on (K10.FR.05, FR.07)."""

    ID: ClassVar = "station.clear-no-reapply"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "a cleared profile goes on to limit until the next one is set"
    PARAMS: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._cleared: list[Profile] = []

    def on_clear(self, installed: list[Profile], found: list[Profile]) -> list[Profile]:
        """Remember them."""
        self._cleared = list(found)
        return found

    def on_set_profile(self, evse_id: int, profile: Profile) -> Profile:
        """Forget them."""
        self._cleared = []
        return profile

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Count them."""
        return [*seen, *self._cleared]


class ClearNotApplied(ClearNoReapply):
    """After a clear the old limit goes on at the plug, and is reported no more (K10.FR.05, FR.07)."""

    ID: ClassVar = "station.clear-not-applied"
    TEXT: ClassVar = "a cleared profile goes on to limit what is offered until the next one is set; what is reported is right"

    def profiles(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Report what is there."""
        return seen

    def applied(self, now: Situation, seen: list[Profile]) -> list[Profile]:
        """Offer what was there."""
        return [*seen, *self._cleared]


class ReportIgnoresCriteria:
    """GetChargingProfiles reports everything (K09.FR.04 to FR.06)."""

    ID: ClassVar = "station.report-ignores-criteria"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "GetChargingProfiles reports all profiles, whatever was asked for"
    PARAMS: ClassVar[dict[str, str]] = {}

    def report_found(self, installed: list[Profile], found: list[Profile]) -> list[Profile]:
        """Report all."""
        return installed


class ReportNoTbc:
    """No report says that another follows (K09.FR.02)."""

    ID: ClassVar = "station.report-no-tbc"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "ReportChargingProfiles in several parts without tbc"
    PARAMS: ClassVar[dict[str, str]] = {}

    def reports(self, reports: list[Any]) -> list[Any]:
        """Take it away."""
        return [replace(one, tbc=None) for one in reports]


class ReportWrongRequestId:
    """Reports carry another requestId (K09.FR.01)."""

    ID: ClassVar = "station.report-wrong-request-id"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "ReportChargingProfiles with a requestId that nobody gave"
    PARAMS: ClassVar[dict[str, str]] = {}

    def reports(self, reports: list[Any]) -> list[Any]:
        """Count on."""
        return [replace(one, request_id=one.request_id + 1) for one in reports]


class CompositeLatePeriod:
    """What begins later is not in the composite schedule (K08.FR.02)."""

    ID: ClassVar = "station.composite-late-period"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "profiles that begin inside the asked time are left out of the composite schedule"
    PARAMS: ClassVar[dict[str, str]] = {}

    def composite_profiles(self, start: float, profiles: list[Profile]) -> list[Profile]:
        """Keep what has begun."""
        return [one for one in profiles if max(one.valid_from or 0, one.start or 0) <= start]


class CompositeIgnoresMax:
    """The station maximum is not in the composite schedule (K08.FR.04)."""

    ID: ClassVar = "station.composite-ignores-max"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "ChargingStationMaxProfile is left out of the composite schedule"
    PARAMS: ClassVar[dict[str, str]] = {}

    def composite_profiles(self, start: float, profiles: list[Profile]) -> list[Profile]:
        """Leave it out."""
        return [one for one in profiles if one.purpose != STATION_MAX]


class CompositeNotSummed:
    """EVSE 0 reports one EVSE (K08.FR.03)."""

    ID: ClassVar = "station.composite-not-summed"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "the composite schedule of EVSE 0 is half of what the station may take"
    PARAMS: ClassVar[dict[str, str]] = {}

    def composite(self, evse_id: int, periods: list[CompositePeriod]) -> list[CompositePeriod]:
        """Halve it."""
        return [replace(one, limit=one.limit / 2) for one in periods] if evse_id == 0 else periods


class ForgetsOnReboot:
    """Profiles do not survive (K01.FR.27)."""

    ID: ClassVar = "station.forgets-on-reboot"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "after a reset or a loss of power the store is empty"
    PARAMS: ClassVar[dict[str, str]] = {}

    def on_restart(self, profiles: list[Profile]) -> list[Profile]:
        """Keep none."""
        return []


class AcceptsAnything:
    """One rule is no reason to refuse."""

    ID: ClassVar = "station.accepts-anything"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "what breaks one rule is accepted"
    PARAMS: ClassVar = {"rule": "the requirement, such as K01.FR.16"}

    def __init__(self, *, rule: str) -> None:
        if not isinstance(rule, str) or not rule:
            raise ValueError(f"{self.ID}: rule = {rule!r}: must be a requirement such as K01.FR.16")
        self._rule = rule

    def refusals(self, action: str, profile: Profile | None, refusals: list[Refusal]) -> list[Refusal]:
        """Let it pass."""
        return [one for one in refusals if one.rule != self._rule]


class RejectsValid:
    """Sound profiles of one purpose are refused."""

    ID: ClassVar = "station.rejects-valid"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "sound profiles of one purpose are rejected"
    PARAMS: ClassVar = {"purpose": "a ChargingProfilePurposeEnumType"}

    def __init__(self, *, purpose: str) -> None:
        self._purpose = known_purpose(self.ID, purpose)

    def refusals(self, action: str, profile: Profile | None, refusals: list[Refusal]) -> list[Refusal]:
        """Find fault with it."""
        wrong = profile is not None and profile.purpose == self._purpose
        return [*refusals, Refusal("InvalidProfile", f"{self._purpose} is not liked")] if wrong else refusals


class AcceptsAndDrops:
    """Profiles of one purpose are accepted and lost (K01.FR.07)."""

    ID: ClassVar = "station.accepts-and-drops"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "profiles of one purpose are accepted and not installed"
    PARAMS: ClassVar = {"purpose": "a ChargingProfilePurposeEnumType"}

    def __init__(self, *, purpose: str) -> None:
        self._purpose = known_purpose(self.ID, purpose)

    def on_set_profile(self, evse_id: int, profile: Profile) -> Profile | None:
        """Lose it."""
        return None if profile.purpose == self._purpose else profile


ANSWER_FAULTS: Final[tuple[Any, ...]] = (
    StartProfileIgnored, StartRefusedWithProfile, UnknownEvseAccepted, KeepsOldOfId, DefaultOnOneEvse, ClearOverbroad,
    ClearFirstOnly, ClearAlwaysAccepted, ClearNothing, ClearNoReapply, ClearNotApplied, ReportIgnoresCriteria, ReportNoTbc,
    ReportWrongRequestId, CompositeLatePeriod, CompositeIgnoresMax, CompositeNotSummed, ForgetsOnReboot,
    AcceptsAnything, RejectsValid, AcceptsAndDrops,
)  # fmt: skip

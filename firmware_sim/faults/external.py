"""Seeded defects of external limits (K11 to K13) and of charging with ISO 15118 (K15 to K17)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from ocpp.v201 import call

from firmware_sim.ev_needs import MAX_AC_VOLTAGE_V, MAX_DC_VOLTAGE_V, MIN_CURRENT_A, Schedule
from firmware_sim.limiter import Ruling
from firmware_sim.profiles import EXTERNAL, Profile
from firmware_sim.validation import Refusal


class _Plain:
    """A defect of the station without parameters."""

    LAYER: ClassVar = "station"
    PARAMS: ClassVar[Mapping[str, str]] = {}


class IgnoresExternalLimit(_Plain):
    """K11.FR.01, K12.FR.01: the station reports the external limit and charges as if there were none."""

    ID: ClassVar = "station.ignores-external-limit"
    TEXT: ClassVar = "external limits are announced and reported, and the EVs are not limited by them"

    def applied(self, now: object, profiles: Sequence[Profile]) -> list[Profile]:
        """Leave external limits out where the station decides what to offer."""
        return [one for one in profiles if one.purpose != EXTERNAL]


class SilentExternalLimit(_Plain):
    """K11.FR.02, K12.FR.02: no NotifyChargingLimit."""

    ID: ClassVar = "station.silent-external-limit"
    TEXT: ClassVar = "a new external limit is obeyed but never announced with NotifyChargingLimit"

    def notice(self, payload: Any) -> Any:
        """Drop the announcement."""
        return None if isinstance(payload, call.NotifyChargingLimit) else payload


class ExternalSourceCso(_Plain):
    """K11.FR.05, K12.FR.04: chargingLimitSource is CSO."""

    ID: ClassVar = "station.external-source-cso"
    TEXT: ClassVar = "NotifyChargingLimit names CSO as the source of an external limit"

    def notice(self, payload: Any) -> Any:
        """Name the wrong source."""
        if isinstance(payload, call.NotifyChargingLimit):
            return replace(payload, charging_limit={**payload.charging_limit, "charging_limit_source": "CSO"})
        return payload


class NoClearedLimit(_Plain):
    """K13.FR.02: no ClearedChargingLimit."""

    ID: ClassVar = "station.no-cleared-limit"
    TEXT: ClassVar = "the release of an external limit is never told with ClearedChargingLimit"

    def notice(self, payload: Any) -> Any:
        """Drop the message."""
        return None if isinstance(payload, call.ClearedChargingLimit) else payload


class ExternalNotReported(_Plain):
    """K11.FR.06, K12.FR.05: GetChargingProfiles does not show external limits."""

    ID: ClassVar = "station.external-not-reported"
    TEXT: ClassVar = "external limits are missing from ReportChargingProfiles"

    def report_found(self, store: Sequence[Profile], found: Sequence[Profile]) -> list[Profile]:
        """Leave external limits out of the report."""
        return [one for one in found if one.purpose != EXTERNAL]


class ExternalClearable(_Plain):
    """K10.FR.03, FR.04, FR.08, FR.09: a CSMS can clear external limits."""

    ID: ClassVar = "station.external-clearable"
    TEXT: ClassVar = "every ClearChargingProfile takes the external limits with it"

    def on_clear(self, store: Sequence[Profile], found: Sequence[Profile]) -> list[Profile]:
        """Clear external limits too."""
        return [*found, *(one for one in store if one.purpose == EXTERNAL)]


class ExternalStays(_Plain):
    """K13.FR.01: a released external limit goes on to limit."""

    ID: ClassVar = "station.external-stays"
    TEXT: ClassVar = "a released external limit is told as released, and goes on to limit"

    def __init__(self) -> None:
        self._last: Profile | None = None

    def applied(self, now: object, profiles: Sequence[Profile]) -> list[Profile]:
        """Put the last external limit back where there is none."""
        there = [one for one in profiles if one.purpose == EXTERNAL]
        self._last = there[-1] if there else self._last
        return [*profiles] if there or self._last is None else [*profiles, self._last]


class ForgetsExternalOffline(_Plain):
    """SC.02: what an external system said while offline is never told."""

    ID: ClassVar = "station.forgets-external-offline"
    TEXT: ClassVar = "an external limit that comes while the station is offline is never announced"

    def __init__(self) -> None:
        self._online = True

    def on_link(self, online: bool) -> bool:
        """Remember it."""
        self._online = online
        return online

    def notice(self, payload: Any) -> Any:
        """Drop what is said offline."""
        return payload if self._online or not isinstance(payload, call.NotifyChargingLimit) else None


class ExternalWithoutSchedule(_Plain):
    """K11.FR.03, K12.FR.03: no schedule although NotifyChargingLimitWithSchedules is true."""

    ID: ClassVar = "station.external-without-schedule"
    TEXT: ClassVar = "NotifyChargingLimit never carries a schedule"

    def notice(self, payload: Any) -> Any:
        """Leave the schedule out."""
        return replace(payload, charging_schedule=None) if isinstance(payload, call.NotifyChargingLimit) else payload


class NoRateChange(_Plain):
    """K11.FR.04, K13.FR.03: no TransactionEvent with ChargingRateChanged."""

    ID: ClassVar = "station.no-rate-change"
    TEXT: ClassVar = "a changed charging rate is not told with a TransactionEvent"

    def rate_changed(self, evse_id: int, told: bool) -> bool:
        """Say nothing."""
        return False


class NoNeeds(_Plain):
    """K15.FR.01, K17.FR.01: no NotifyEVChargingNeeds."""

    ID: ClassVar = "station.no-needs"
    TEXT: ClassVar = "the charging needs of an ISO 15118 EV are not told to the CSMS"

    def notice(self, payload: Any) -> Any:
        """Drop the message."""
        return None if isinstance(payload, call.NotifyEVChargingNeeds) else payload


class NeedsBothParameters(_Plain):
    """K15.FR.06, K17.FR.06: the needs carry AC and DC parameters."""

    ID: ClassVar = "station.needs-both-parameters"
    TEXT: ClassVar = "NotifyEVChargingNeeds carries AC and DC parameters at once"

    def notice(self, payload: Any) -> Any:
        """Add the parameters of the other kind."""
        if not isinstance(payload, call.NotifyEVChargingNeeds):
            return payload
        both = {
            "ac_charging_parameters": {
                "energy_amount": 0, "ev_min_current": MIN_CURRENT_A, "ev_max_current": 16, "ev_max_voltage": MAX_AC_VOLTAGE_V,
            },
            "dc_charging_parameters": {"ev_max_current": 100, "ev_max_voltage": MAX_DC_VOLTAGE_V},
        }  # fmt: skip
        return replace(payload, charging_needs={**both, **payload.charging_needs})


class NoEvSchedule(_Plain):
    """K15.FR.10, K16.FR.05, K17.FR.10: no NotifyEVChargingSchedule."""

    ID: ClassVar = "station.no-ev-schedule"
    TEXT: ClassVar = "the EV's own schedule is not forwarded to the CSMS"

    def notice(self, payload: Any) -> Any:
        """Drop the message."""
        return None if isinstance(payload, call.NotifyEVChargingSchedule) else payload


class _Once(_Plain):
    """One message of a kind is sent, and no other."""

    KIND: ClassVar[type]

    def __init__(self) -> None:
        self._sent = False

    def notice(self, payload: Any) -> Any:
        """Drop all but the first."""
        if not isinstance(payload, self.KIND):
            return payload
        first, self._sent = not self._sent, True
        return payload if first else None


class NeedsOnce(_Once):
    """K17.FR.01: no NotifyEVChargingNeeds when the EV renegotiates."""

    ID: ClassVar = "station.needs-once"
    TEXT: ClassVar = "the charging needs are told once, and not again when the EV changes them"
    KIND: ClassVar = call.NotifyEVChargingNeeds


class EvScheduleOnce(_Once):
    """K16.FR.05, K17.FR.10: no NotifyEVChargingSchedule after a renegotiation."""

    ID: ClassVar = "station.ev-schedule-once"
    TEXT: ClassVar = "the EV's own schedule is forwarded once, and not again after a renegotiation"
    KIND: ClassVar = call.NotifyEVChargingSchedule


class KeepsFirstSchedule(_Plain):
    """K16.FR.01: a second TxProfile in one transaction is rejected."""

    ID: ClassVar = "station.keeps-first-schedule"
    TEXT: ClassVar = "once a transaction has a TxProfile, another one is rejected"

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def refusals(self, action: str, profile: Profile | None, refusals: Sequence[Refusal]) -> list[Refusal]:
        """Refuse all but the first of a transaction."""
        transaction = None if profile is None else profile.transaction_id
        if action != "SetChargingProfile" or transaction is None or refusals:
            return [*refusals]
        again = transaction in self._seen
        self._seen.add(transaction)
        return [Refusal("Occupied", "the schedule stands", "K16.FR.01")] if again else []


class EvScheduleUnchecked(_Plain):
    """K15.FR.09, K16.FR.04, K17.FR.09: the EV gets what it says, whatever the CSMS allows."""

    ID: ClassVar = "station.ev-schedule-unchecked"
    TEXT: ClassVar = "the EV's own schedule is taken as the limit, above what the CSMS allows"

    def __init__(self) -> None:
        self._taken: dict[int, Schedule] = {}

    def ev_schedule_check(self, evse_id: int, schedule: Schedule, inside: bool) -> bool:
        """Find every schedule good."""
        self._taken[evse_id] = schedule
        return True

    def limit_a(self, evse_id: int, t: float, ruling: Ruling | None, max_a: float, amps: float) -> float:
        """Offer what the EV's schedule says where that is more."""
        asked = self._taken[evse_id].limit_at(t) if evse_id in self._taken else math.inf
        return amps if asked == math.inf else max(amps, asked)


class NoFailsafe(_Plain):
    """EEBUS LPC: the limit of before goes on although its source is gone."""

    ID: ClassVar = "station.no-failsafe"
    TEXT: ClassVar = "an external limit holds on when its source is silent: no failsafe limit"

    def failsafe(self, after_s: float) -> float:
        """Never wait for it."""
        return 0.0


class LeavesFailsafe:
    """EEBUS LPC: the failsafe limit is given up before the least time that it has to hold."""

    ID: ClassVar = "station.leaves-failsafe"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "the failsafe limit ends by itself while its source is still silent"
    PARAMS: ClassVar = {"after_s": "how many seconds it holds, from 1 to 86400"}

    def __init__(self, *, after_s: float) -> None:
        if isinstance(after_s, bool) or not isinstance(after_s, int | float) or not 1 <= after_s <= 86_400:
            raise ValueError(f"{self.ID}: after_s = {after_s!r}: must be a number from 1 to 86400")
        self._after_s = float(after_s)

    def failsafe_holds(self, holds_s: float) -> float:
        """End it then."""
        return min(holds_s, self._after_s)


class NeedsDuringCsmsRenegotiation(_Plain):
    """K16.FR.09: NotifyEVChargingNeeds although the CSMS began the renegotiation."""

    ID: ClassVar = "station.needs-during-csms-renegotiation"
    TEXT: ClassVar = "the charging needs are told again in a renegotiation that the CSMS began"

    def needs_in_renegotiation(self, evse_id: int, told: bool) -> bool:
        """Tell them."""
        return True


class EvExceedsSchedule(_Plain):
    """The EV says one schedule and draws what the pilot allows."""

    ID: ClassVar = "station.ev-exceeds-schedule"
    LAYER: ClassVar = "ev"
    TEXT: ClassVar = "the EV draws more than the schedule that it told, up to the limit at the pilot"

    def ev_plan(self, evse_id: int, amperes: float) -> float:
        """Forget what was agreed."""
        return math.inf


EXTERNAL_FAULTS: Final[tuple[Any, ...]] = (
    IgnoresExternalLimit, SilentExternalLimit, ExternalSourceCso, NoClearedLimit, ExternalNotReported, ExternalClearable,
    ExternalStays, ForgetsExternalOffline, ExternalWithoutSchedule, NoRateChange, NoNeeds, NeedsBothParameters, NoEvSchedule,
    NeedsOnce, EvScheduleOnce, KeepsFirstSchedule, EvScheduleUnchecked, NeedsDuringCsmsRenegotiation,
    EvExceedsSchedule, NoFailsafe, LeavesFailsafe,
)  # fmt: skip

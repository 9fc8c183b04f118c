"""The relay: what a party asks for by OCPI becomes OCPP calls to a station, and the answers become OCPI's words.

It keeps the intent (what was asked, by whom) apart from what the station said of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from bench.cso.faults import OwnFaults
from bench.errors import CallRejectedError, ProfileRuleError, SchemaError, StationError
from bench.ports import Stations
from bench.settings.rig import RigSettings
from bench.wire.ocpi.mapping import EvseSupply, NotConvertibleError, capacity, refusal, to_ocpi, to_ocpp, unit_for
from bench.wire.ocpi.profiles import ActiveChargingProfile, ChargingProfile

FIRST_PROFILE_ID: Final = 90_000
"""Profiles of the relay are numbered from here, apart from the CSMS's own."""
STACK_LEVEL: Final = 3
"""One level for each relayed profile; lower where the station has not so many."""

Word = Literal["ACCEPTED", "REJECTED", "UNKNOWN"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where an OCPI session takes place."""

    session_id: str
    station: str
    evse_id: int
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """OCPI's word for what the station did, with a reason that OCPI cannot carry."""

    word: Word
    reason: str = ""
    profile: ActiveChargingProfile | None = None
    sure: bool = True
    """False: no answer came, so the station may have done it all the same."""


@dataclass(slots=True)
class Intent:
    """What a party asked for and what is known of it."""

    target: Target
    writer: str
    profile_id: int
    profile: ChargingProfile | None = None
    """None once it was withdrawn."""
    state: Literal["asked", "installed", "refused", "unknown", "withdrawn"] = "asked"
    """unknown: no answer came, so it may or may not be installed."""


def supplies_of(rig: RigSettings) -> dict[tuple[str, int], EvseSupply]:
    """Return what the rig file says of each EVSE, by station and EVSE id."""
    return {
        (station.id, evse.id): EvseSupply(
            rate_units=station.features.rate_units,
            phases=None if station.features.current_type == "DC" else min(station.features.supply_phases, len(evse.phases)),
            voltage_v=station.features.nominal_voltage_v,
            max_current_a=evse.max_current_a,
            periods=station.features.periods_per_schedule,
            stack_levels=station.features.profile_stack_level,
            smart_charging=station.features.smart_charging,
        )
        for station in rig.station
        for evse in station.evse
    }


class Relay:
    """Relays for all stations of a rig; no failure of a station gets out of it as an exception."""

    def __init__(self, caller: Stations, supplies: Mapping[tuple[str, int], EvseSupply], faults: OwnFaults) -> None:
        self._caller, self._supplies, self._faults = caller, supplies, faults
        self.intents: dict[tuple[str, str, str], Intent] = {}
        """By station, session and writer."""
        self._last_id = FIRST_PROFILE_ID - 1

    def supply(self, target: Target) -> EvseSupply | None:
        """Return what is known of a session's EVSE; None where the rig does not have it."""
        return self._supplies.get((target.station, target.evse_id))

    def not_supported(self, target: Target, profile: ChargingProfile | None = None) -> str:
        """Return why the EVSE cannot be steered at all, or not by this profile; empty where it can."""
        supply = self.supply(target)
        if supply is None:
            return f"EVSE {target.evse_id} of {target.station} is not part of this rig"
        if not supply.smart_charging:
            return f"{target.station} has no smart charging"
        return "" if profile is None else refusal(profile, supply)

    async def set_profile(self, target: Target, writer: str, profile: ChargingProfile) -> Outcome:
        """Hold the running transaction, and no other, inside a limit from an outside party: a TxProfile (K02.FR.01, FR.03).

        The writer's former profile has the same id and is replaced (K01.FR.05).
        """
        intent = self._intent(target, writer)
        try:
            payload = self.as_sent(target, writer, profile)
        except NotConvertibleError as error:
            return Outcome("REJECTED", str(error))
        intent.profile, intent.state = profile, "unknown"
        answer = await self._call(target, "SetChargingProfile", {"evseId": target.evse_id, "chargingProfile": payload})
        if isinstance(answer, Outcome):
            return answer
        accepted = answer.get("status") == "Accepted"
        intent.state = "installed" if accepted else "refused"
        return Outcome("ACCEPTED") if accepted else Outcome("REJECTED", _status(answer))

    async def clear_profile(self, target: Target, writer: str) -> Outcome:
        """Clear the writer's profile, by its id alone: profiles of others stay."""
        intent = self.intents.get((target.station, target.session_id, writer))
        if intent is None:
            return Outcome("UNKNOWN", "this party has set no profile in this session")
        answer = await self._call(target, "ClearChargingProfile", {"chargingProfileId": intent.profile_id})
        if isinstance(answer, Outcome):
            intent.state = "unknown"
            return answer
        intent.profile, intent.state = None, "withdrawn"
        return Outcome("ACCEPTED") if answer.get("status") == "Accepted" else Outcome("UNKNOWN", _status(answer))

    async def active_profile(self, target: Target, duration_s: int, unit: str = "") -> Outcome:
        """Ask what limits the EVSE from now on; in `unit` where given, else in one that the station has."""
        supply = self._supplies[target.station, target.evse_id]
        spoken = unit_for(unit, supply)
        asked = {"evseId": target.evse_id, "duration": duration_s, "chargingRateUnit": spoken}
        answer = await self._call(target, "GetCompositeSchedule", asked)
        if isinstance(answer, Outcome):
            return answer
        if answer.get("status") != "Accepted":
            return Outcome("REJECTED", _status(answer))
        schedule = answer.get("schedule")
        if not schedule or not schedule.get("chargingSchedulePeriod"):
            return Outcome("UNKNOWN", "the station reported no schedule")
        try:
            return Outcome("ACCEPTED", profile=to_ocpi(schedule, unit or spoken, supply))
        except ValueError as error:
            return Outcome("REJECTED", f"the station's schedule cannot be told in OCPI: {error}")

    def maximum(self, target: Target, now: datetime, duration_s: int, unit: str = "") -> ActiveChargingProfile:
        """Return the EVSE's own maximum: what is due where nothing limits any more."""
        supply = self._supplies[target.station, target.evse_id]
        return capacity(now, duration_s, unit or supply.rate_units[0], supply)

    def _converted_with(self, supply: EvseSupply) -> EvseSupply:
        if supply.phases is None:
            return supply
        phases = self._faults.apply("phases", value=supply.phases)
        return supply if phases == supply.phases else replace(supply, phases=phases)

    def reserve(self, target: Target, writer: str) -> None:
        """Number a writer's profile before it goes out, so that it is known by that number after a restart."""
        self._intent(target, writer)

    def restore(self, intent: Intent) -> None:
        """Take back what was known of a profile before a restart."""
        self.intents[intent.target.station, intent.target.session_id, intent.writer] = intent
        self._last_id = max(self._last_id, intent.profile_id)

    def forget(self, target: Target) -> None:
        """Forget what was asked for at a session that is over; its numbers are not given again."""
        for key in [key for key in self.intents if key[:2] == (target.station, target.session_id)]:
            del self.intents[key]

    def as_sent(self, target: Target, writer: str, profile: ChargingProfile) -> dict[str, Any]:
        """Return the OCPP profile that goes out for a writer's. Raises: NotConvertibleError."""
        return to_ocpp(
            profile, self._converted_with(self._supplies[target.station, target.evse_id]),
            profile_id=self._intent(target, writer).profile_id, stack_level=STACK_LEVEL, transaction_id=target.transaction_id,
        )  # fmt: skip

    def found(self, target: Target, writer: str, profile: ChargingProfile | None) -> None:
        """Take what the station itself has shown of a writer's profile for true; None: it has none."""
        intent = self._intent(target, writer)
        intent.profile, intent.state = profile, "withdrawn" if profile is None else "installed"

    def is_installed(self, target: Target, writer: str, profile: ChargingProfile) -> bool:
        """Say whether the station is known to hold a writer's profile."""
        intent = self.intents.get((target.station, target.session_id, writer))
        return intent is not None and intent.state == "installed" and intent.profile == profile

    def ids(self, target: Target) -> list[int]:
        """Return the ids that the profiles of a session have had."""
        return [one.profile_id for one in self.intents.values() if one.target == target]

    async def installed(self, target: Target) -> list[dict[str, Any]]:
        """Return the profiles that the station shows at a session's EVSE (K09). Raises StationError."""
        shown = await self._caller.installed_profiles(target.station, target.evse_id)
        return [one["profile"] for one in shown]

    def _intent(self, target: Target, writer: str) -> Intent:
        """Return a writer's intent; where another writer's profile may still be installed, it takes over that one's id.

        Two TxProfiles of one level and transaction are forbidden (K01.FR.39), and clearing first would raise power.
        """
        key = (target.station, target.session_id, writer)
        for known, other in self.intents.items():
            if known != key and known[:2] == key[:2] and other.state in ("installed", "unknown"):
                self.intents[key] = Intent(target, writer, other.profile_id)
                other.profile, other.state = None, "withdrawn"
                return self.intents[key]
        if key not in self.intents:
            self._last_id += 1
            self.intents[key] = Intent(target, writer, self._last_id)
        return self.intents[key]

    async def _call(self, target: Target, action: str, payload: dict[str, Any]) -> dict[str, Any] | Outcome:
        """Return the station's answer, or REJECTED with why there is none."""
        try:
            return await self._caller.call(target.station, action, payload)
        except (StationError, SchemaError, ProfileRuleError) as error:
            sure = isinstance(error, CallRejectedError) or not isinstance(error, StationError)
            return Outcome("REJECTED", str(error) or type(error).__name__, sure=sure)


def _status(answer: Mapping[str, Any]) -> str:
    info = answer.get("statusInfo") or {}
    return " ".join(str(part) for part in (answer.get("status"), info.get("reasonCode"), info.get("additionalInfo")) if part)

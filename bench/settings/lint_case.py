"""The case of `bench lint`: a request with a charging profile, and the station that shall get it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, field_validator

from bench.domain.lint_request import StationView, Via
from bench.settings.base import Settings


class InstalledEntry(Settings):
    """A profile in the station's store."""

    evseId: Annotated[StrictInt, Field(ge=0)]
    """0 for the station's own."""
    chargingProfile: dict[str, Any]


class LintStation(Settings):
    """What is known of the station."""

    n_evses: Annotated[StrictInt, Field(ge=1)]
    evse_type: Literal["AC", "DC"]
    supply_phases: Annotated[StrictInt, Field(ge=1, le=3)]
    rate_units: tuple[Literal["A", "W"], ...]
    ac_phase_switching: StrictBool
    """SmartChargingCtrlr.ACPhaseSwitchingSupported."""
    smart_charging_available: StrictBool
    """SmartChargingCtrlr.Available."""
    transactions: dict[str, str]
    """transactionId of the active transaction by EVSE id, such as `{"1": "tx-1"}`."""
    installed: tuple[InstalledEntry, ...]
    profile_stack_level: Annotated[StrictInt, Field(ge=0)] | None = None
    periods_per_schedule: Annotated[StrictInt, Field(ge=1)] | None = None
    entries: Annotated[StrictInt, Field(ge=0)] | None = None
    iso15118: StrictBool = False
    """The EV has told its charging needs."""

    @field_validator("transactions")
    @classmethod
    def _by_evse(cls, value: dict[str, str]) -> dict[str, str]:
        for key in value:
            if not (key.isascii() and key.isdecimal() and int(key) > 0):
                raise ValueError(f"{key!r} is no EVSE id: they are 1, 2, …")
        return value

    def view(self) -> StationView:
        """Return the station as the rules see it."""
        return StationView(
            n_evses=self.n_evses,
            evse_type=self.evse_type,
            supply_phases=self.supply_phases,
            rate_units=self.rate_units,
            ac_phase_switching=self.ac_phase_switching,
            smart_charging_available=self.smart_charging_available,
            transactions={int(evse_id): identity for evse_id, identity in self.transactions.items()},
            installed=tuple((one.evseId, one.chargingProfile) for one in self.installed),
            profile_stack_level=self.profile_stack_level,
            periods_per_schedule=self.periods_per_schedule,
            entries=self.entries,
            iso15118=self.iso15118,
        )


class LintCase(Settings):
    """One case."""

    via: Via
    station: LintStation
    request: dict[str, Any]
    """`evseId` and `chargingProfile` as on the wire: what is wrong in them is found, not refused."""

    @field_validator("request")
    @classmethod
    def _has_a_profile(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "chargingProfile" not in value:
            raise ValueError("chargingProfile is required")
        return value

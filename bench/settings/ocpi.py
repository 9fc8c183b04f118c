"""The table [ocpi] of a rig file: the bench's OCPI platform."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from bench.settings.base import Settings, written
from bench.settings.ocpi_relay import RelaySettings
from bench.settings.ocpi_site import LocationSettings, TariffSettings


class PreferenceSettings(Settings):
    """Present: the EVSEs take charging preferences of drivers (CHARGING_PREFERENCES_CAPABLE)."""

    profile_types: tuple[Literal["CHEAP", "FAST", "GREEN", "REGULAR"], ...] = ("CHEAP", "FAST", "GREEN", "REGULAR")
    """Others are answered with PROFILE_TYPE_NOT_SUPPORTED."""
    needs_departure: bool = False
    """Without departure_time: DEPARTURE_REQUIRED."""
    needs_energy: bool = False
    """Without energy_need: ENERGY_NEED_REQUIRED."""


class OcpiSettings(RelaySettings):
    """The bench's OCPI platform (role CPO) and its party."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    country_code: str = Field(default="NL", pattern=written(r"^[A-Z]{2}$", "two capital letters, such as NL"))
    party_id: str = Field(default="BEN", pattern=written(r"^[A-Z0-9]{3}$", "three capital letters or digits, such as BEN"))
    token_a: SecretStr | None = None
    """The registration token for a peer; made anew for each run where absent."""
    authorize: Literal["told", "tokens"] = "told"
    """Who may charge. told: a Token that an eMSP has told, by its whitelist, and everyone else as ever. tokens: nobody else; of a
    token that was not told the registered eMSPs are asked."""
    authorize_timeout_s: float = Field(default=10, gt=0, le=30)
    """How long an eMSP is waited for in real-time authorization; then the Token's whitelist decides."""
    pull_every_s: float = Field(default=86_400, ge=0)
    """A platform's list of Tokens, and a hub's of its clients, are fetched after its registration, after a restart, and then so
    often; 0: never, it tells them by itself."""
    preferences: PreferenceSettings | None = None
    location: LocationSettings = LocationSettings()
    tariff: tuple[TariffSettings, ...] = ()
    session_update_s: float = Field(default=900, ge=1)
    """A running session is told at most so often, with a charging period of what was measured since."""

    @field_validator("token_a")
    @classmethod
    def _as_ocpi_has_tokens(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[!-~]{1,64}", value.get_secret_value()):
            raise ValueError("must be 1 to 64 printable ASCII characters without blanks")
        return value

    @field_validator("tariff")
    @classmethod
    def _each_once(cls, value: tuple[TariffSettings, ...]) -> tuple[TariffSettings, ...]:
        if len({one.id.casefold() for one in value}) != len(value):
            raise ValueError("each tariff needs an id of its own")
        return value

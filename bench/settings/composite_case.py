"""The case of `bench composite`: installed profiles, and what is asked of them."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StrictBool, StrictInt, field_validator, model_validator

from bench.domain.composite import CompositeCase, Local, as_asked
from bench.domain.oracle import PRESETS, OracleOptions, Transaction, options_of
from bench.domain.profiles import InstalledProfile
from bench.domain.quantities import parse_time
from bench.domain.timeline import Window
from bench.settings.base import Settings
from bench.settings.case import CaseError
from bench.settings.case_profile import read_profile

MOST_DURATION_S: Final = 100 * 366 * 86_400
"""A schedule that is longer than a century is a mistake."""
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII | re.IGNORECASE)
_AMPERES_ONLY_ON_AC: Final = "on DC a limit has no conversion between A and W"


class CompositeOptions(Settings):
    """How the specification is read where it leaves a choice; what is not said is as the preset has it."""

    local_limit: Literal["filler", "cap"] | None = None
    """The EVSE's own limit: only where no profile limits (filler), or on top of each profile."""
    relative_anchor: Literal["transaction_start", "power_path_closed", "received"] | None = None
    """received: from `now`, where the profiles are taken as just accepted."""
    preset: str = "text"
    """text: as the specification has it; libocpp: as that stack reads it."""

    @field_validator("preset")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in PRESETS:
            raise ValueError(f"must be one of {', '.join(PRESETS)}")
        return value

    def chosen(self) -> OracleOptions:
        """Return them with the preset's readings filled in."""
        return options_of(self.preset, local_limit=self.local_limit, relative_anchor=self.relative_anchor)


class CompositeDefaults(Settings):
    """The supply, and the EVSE's own limit: of the two one suffices; without either a gap stays without limit."""

    voltage: float = Field(default=230, ge=1, le=1e6)
    """Of one phase, in V."""
    phases: Annotated[StrictInt, Field(ge=1, le=3)] = 3
    """By which one of the two limits follows from the other; a period without numberPhases has 3 all the same (K01.FR.49)."""
    limit_A: float | None = Field(default=None, ge=0, le=1e12)
    """Per phase."""
    limit_W: float | None = Field(default=None, ge=0, le=1e12)
    """In total."""

    def local(self, *, direct_current: bool) -> Local:
        """Return the local limit in both units; on AC the missing one follows from voltage and phases."""
        amperes, watts = self.limit_A, self.limit_W
        volts = self.voltage * self.phases
        if not direct_current:
            amperes = watts / volts if amperes is None and watts is not None else amperes
            watts = amperes * volts if watts is None and amperes is not None else watts
        return Local(amperes, watts)


class CompositeEntry(Settings):
    """One installed profile; `evse_id` is another spelling of `evseId`."""

    evseId: Annotated[StrictInt, Field(ge=0)] | None = None
    evse_id: Annotated[StrictInt, Field(ge=0)] | None = None
    chargingProfile: dict[str, Any]
    """As in SetChargingProfileRequest; only its first schedule counts."""

    @model_validator(mode="after")
    def _placed_once(self) -> CompositeEntry:
        if (self.evseId is None) == (self.evse_id is None):
            raise ValueError("needs one of evseId and evse_id")
        return self

    @property
    def place(self) -> int:
        """Return the EVSE, 0 for the whole station."""
        return self.evseId if self.evseId is not None else self.evse_id or 0


class CompositeSettings(Settings):
    """One case."""

    now: str
    """RFC 3339 with Z; fractions of a second are cut off."""
    duration_s: Annotated[StrictInt, Field(ge=1, le=MOST_DURATION_S)]
    """The schedule is computed over [now, now + duration)."""
    rate_unit: Literal["A", "W"]
    """A per phase, or W in total."""
    evse: Annotated[StrictInt, Field(ge=0)]
    """0 for the whole station."""
    n_evses: Annotated[StrictInt, Field(ge=1, le=1000)]
    profiles: tuple[CompositeEntry, ...]
    """As the station holds them: they are read, and not judged by the rules on profiles."""
    current_type: Literal["AC", "DC"] = "AC"
    """On DC there are no phases, and no limit may be in another unit than the one asked for."""
    tx_start_by_evse: dict[str, str] = Field(default_factory=dict)
    """When the transaction of an EVSE began, such as `{"1": "2026-01-15T10:00:00Z"}`."""
    assume_transaction: StrictBool = True
    """Compute as if a transaction began now on each EVSE that has none (K08.FR.06)."""
    options: CompositeOptions = CompositeOptions()
    defaults: CompositeDefaults = CompositeDefaults()

    def case(self) -> CompositeCase:
        """Return what the oracle works with. Raises CaseError that names the place."""
        now = float(math.floor(_moment(self.now, "now")))
        if self.evse > self.n_evses:
            raise CaseError("evse", f"{self.evse}: the station has EVSEs 1 to {self.n_evses}, and 0 for all of it")
        direct, options = self.current_type == "DC", self.options.chosen()
        installed = [self._installed(index, entry, now) for index, entry in enumerate(self.profiles)]
        if direct:
            self._one_unit(installed)
            self._local_in_unit()
        return CompositeCase(
            as_asked(installed, direct_current=direct), Window(now, now + self.duration_s), self.rate_unit, self.evse,
            self._transactions(now), direct, self.defaults.voltage, self.defaults.local(direct_current=direct), options,
        )  # fmt: skip

    def _transactions(self, now: float) -> dict[int, Transaction | None]:
        begun: dict[int, float] = {}
        known = {str(one) for one in range(1, self.n_evses + 1)}
        for key, text in self.tx_start_by_evse.items():
            path = f"tx_start_by_evse.{key}"
            if key not in known:
                raise CaseError(path, f"{key!r} is no EVSE of this station: they are 1 to {self.n_evses}")
            begun[int(key)] = _moment(text, path)
        assumed = Transaction("", now) if self.assume_transaction else None
        return {one: Transaction("", begun[one]) if one in begun else assumed for one in range(1, self.n_evses + 1)}

    def _installed(self, index: int, entry: CompositeEntry, now: float) -> InstalledProfile:
        path = f"profiles[{index}]"
        if entry.place > self.n_evses:
            key = "evse_id" if entry.evseId is None else "evseId"
            name = f"charging profile {entry.chargingProfile.get('id', 'without id')}"
            reason = f"{entry.place}: the station has EVSEs 1 to {self.n_evses}, and 0 for all of it"
            raise CaseError(f"{path}.{key}", f"{name}: {reason}")
        profile = read_profile(entry.chargingProfile, f"{path}.chargingProfile")
        return InstalledProfile(entry.place, profile, now)

    def _one_unit(self, installed: list[InstalledProfile]) -> None:
        for index, one in enumerate(installed):
            if one.profile.schedule.unit != self.rate_unit:
                reason = f"charging profile {one.profile.id} is in {one.profile.schedule.unit}, asked in {self.rate_unit}"
                raise CaseError(f"profiles[{index}].chargingProfile", f"{reason}: {_AMPERES_ONLY_ON_AC}")

    def _local_in_unit(self) -> None:
        own, other = ("limit_A", "limit_W") if self.rate_unit == "A" else ("limit_W", "limit_A")
        if getattr(self.defaults, own) is None and getattr(self.defaults, other) is not None:
            raise CaseError(f"defaults.{other}", f"asked in {self.rate_unit}, so {own} is needed: {_AMPERES_ONLY_ON_AC}")


def _moment(text: str, path: str) -> float:
    """Return an RFC 3339 date-time that ends with Z. Raises CaseError."""
    try:
        if not _RFC_3339.fullmatch(text):
            raise ValueError
        return parse_time(text.upper())
    except ValueError:
        raise CaseError(path, f"{text!r} is no RFC 3339 date-time with Z, such as 2026-01-15T10:00:00Z") from None

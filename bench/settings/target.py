"""The target file: what one model of charging station claims, was seen or is said to do; a rig file can lean on it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from bench.settings.base import Settings

Origin = Literal["reported", "observed", "entered"]


class TargetFeatures(Settings):
    """What the station under test claims to do, and how it reads the specification where that leaves a choice."""

    rate_units: tuple[Literal["A", "W"], ...] = ("A", "W")
    profile_stack_level: int = Field(default=9, ge=0)
    """SmartChargingCtrlr.ProfileStackLevel: the highest stack level that is accepted."""
    periods_per_schedule: int = Field(default=24, ge=1)
    """SmartChargingCtrlr.PeriodsPerSchedule."""
    entries: int = Field(default=100, ge=1)
    """SmartChargingCtrlr.Entries: how many profiles the store holds."""
    smart_charging: bool = True
    """SmartChargingCtrlr.Available and Enabled."""
    current_type: Literal["AC", "DC"] = "AC"
    supply_phases: Literal[1, 2, 3] = 3
    nominal_voltage_v: float = Field(default=230, gt=0)
    ac_phase_switching: bool = False
    """SmartChargingCtrlr.ACPhaseSwitchingSupported: phaseToUse can be chosen (K01.FR.20)."""
    phases_3to1: bool = False
    """SmartChargingCtrlr.Phases3to1: charging on three phases can go over to one and back."""
    external_limits: bool = False
    """An external system can limit the station, and the station tells so (K11 to K13)."""
    iso15118: bool = False
    """ISO15118Ctrlr.Available: an EV can tell its charging needs (K15 to K17)."""
    local_limit: Literal["filler", "cap"] = "filler"
    """The EVSE's own limit in a composite schedule: only where no profile limits, or on top of each profile."""
    relative_anchor: Literal["transaction_start", "power_path_closed", "received"] = "transaction_start"
    """From when a Relative profile counts (K01.FR.42 recommends PowerPathClosed)."""
    preset: str = ""
    """A well-known stack whose readings of the specification stand in for those of the text; empty for the text's."""
    product_tolerance_a: float = Field(default=0, ge=0)
    """What the product's own tolerance adds to a limit, per phase, in A."""

    @field_validator("rate_units")
    @classmethod
    def _some_unit(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("must name A, W or both, each once")
        return value


class TargetSettings(Settings):
    """One target file under config/targets."""

    version: Literal[1] = Field(alias="schema")
    name: str
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    features: TargetFeatures = TargetFeatures()
    origin: dict[str, Origin] = Field(default_factory=dict)
    """By the name of a feature or an observation: reported by the device model, observed on the bench, or entered by hand."""

    @model_validator(mode="after")
    def _origins_are_of_values(self) -> TargetSettings:
        for name in self.origin:
            if name not in TargetFeatures.model_fields:
                raise ValueError(f"origin.{name}: there is no such feature")
        return self


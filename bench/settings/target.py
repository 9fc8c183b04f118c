"""The target file: what one model of charging station claims, was seen or is said to do; a rig file can lean on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from bench.domain.oracle import PRESETS
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
    failsafe_s: int = Field(default=0, ge=0)
    """An external limit that is not set anew for so long gives way to `failsafe_w` until one is; 0: no failsafe."""
    failsafe_w: float = Field(default=4200, ge=0)
    """The failsafe limit of the whole station."""
    random_delay: bool = False
    """Starts and planned changes of the limit wait for a random time, as the UK's rules for smart charge points ask for."""
    random_delay_variable: str = Field(default="SmartChargingCtrlr.RandomisedDelay", pattern=r"^[^.@]+\.[^.]+$")
    """The variable that holds the longest delay in s; OCPP 2.0.1 has no name for it."""
    iso15118: bool = False
    """ISO15118Ctrlr.Available: an EV can tell its charging needs (K15 to K17)."""
    local_limit: Literal["filler", "cap"] = "filler"
    """The EVSE's own limit in a composite schedule: only where no profile limits, or on top of each profile."""
    relative_anchor: Literal["transaction_start", "power_path_closed", "received"] = "transaction_start"
    """From when a Relative profile counts (K01.FR.42 recommends PowerPathClosed)."""
    default_taken_over: Literal["at_once", "next_transaction"] = "at_once"
    """A TxDefaultProfile that comes during a transaction counts for that one, or for the next only."""
    preset: str = ""
    """A well-known stack whose readings stand in for those of the specification, libocpp; empty or text: the specification's."""
    station_meter_percent: float = Field(default=10, ge=0, le=100)
    """How far the station's own meter may be off, in percent of the value; where nothing is said, what the UK's rules for smart
    charge points allow."""
    product_tolerance_a: float = Field(default=0, ge=0)
    """What the product's own tolerance adds to a limit, per phase, in A."""

    @field_validator("preset")
    @classmethod
    def _known(cls, value: str) -> str:
        if value and value not in PRESETS:
            raise ValueError(f"must be one of {', '.join(PRESETS)}")
        return value

    @field_validator("rate_units")
    @classmethod
    def _some_unit(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("must name A, W or both, each once")
        return value


class ReportedValues(Settings):
    """What the device model says beside the features; absent: it does not say."""

    tx_start_point: tuple[str, ...] | None = None
    """TxCtrlr.TxStartPoint: when a transaction begins."""
    tx_stop_point: tuple[str, ...] | None = None
    """TxCtrlr.TxStopPoint."""
    time_source: tuple[str, ...] | None = None
    """ClockCtrlr.TimeSource: where the station takes its time from."""
    heartbeat_interval_s: int | None = Field(default=None, ge=0)
    message_timeout_s: int | None = Field(default=None, ge=0)
    retry_back_off_repeat_times: int | None = Field(default=None, ge=0)
    """OCPPCommCtrlr.RetryBackOffRepeatTimes: how often the wait before a reconnection doubles."""
    retry_back_off_wait_minimum_s: int | None = Field(default=None, ge=0)
    retry_back_off_random_range_s: int | None = Field(default=None, ge=0)
    external_control_signals: bool | None = None
    """SmartChargingCtrlr.ExternalControlSignalsEnabled."""
    notify_limit_with_schedules: bool | None = None
    """SmartChargingCtrlr.NotifyChargingLimitWithSchedules."""
    limit_change_significance_percent: float | None = Field(default=None, ge=0, le=100)


class ObservedValues(Settings):
    """What was seen of the station as a whole; absent: not observed."""

    boot_s: float | None = Field(default=None, ge=0)
    """From the answer to a Reset to the BootNotification that was accepted."""
    clock_offset_s: float | None = None
    """The station's time less the bench's."""
    clock_uncertainty_s: float | None = Field(default=None, ge=0)
    """Of `clock_offset_s`, plus and minus."""
    clock_takes_heartbeat: bool | None = None
    """Whether the station's clock follows the currentTime of the answer to a Heartbeat."""


class ObservedEvse(Settings):
    """What was seen of one EVSE; absent: not observed."""

    id: int = Field(ge=1)
    max_current_a: float | None = Field(default=None, ge=0)
    """The highest current per phase without any profile, as far as the EV goes."""
    max_power_w: float | None = None
    """The highest power without any profile, all phases."""
    standby_w: float | None = None
    """Power without an EV."""
    settle_down_s: tuple[float, float] | None = None
    """Shortest and longest time from an accepted lower limit to the current's being at it."""
    settle_up_s: tuple[float, float] | None = None
    """The same for a higher limit."""
    zero_ampere: Literal["pauses", "refused", "keeps charging"] | None = None
    """What a limit of 0 A does."""
    resumes: bool | None = None
    """Whether charging goes on when a limit of 0 A is lifted."""


class TargetSettings(Settings):
    """One target file under config/targets."""

    version: Literal[1] = Field(alias="schema")
    name: str
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    features: TargetFeatures = TargetFeatures()
    reported: ReportedValues = ReportedValues()
    observed: ObservedValues = ObservedValues()
    evse: tuple[ObservedEvse, ...] = ()
    origin: dict[str, Origin] = Field(default_factory=dict)
    """By the name of a feature or value, `evse.1.standby_w` for one of an EVSE: reported by the device model, observed on the
    bench, or entered by hand. A feature without an origin was entered; every other value needs one."""

    @model_validator(mode="after")
    def _values_have_origins(self) -> TargetSettings:
        ids = [one.id for one in self.evse]
        if len(set(ids)) != len(ids):
            raise ValueError("evse: each id once")
        values = dict(_present(self.reported)) | dict(_present(self.observed))
        for evse in self.evse:
            values |= {f"evse.{evse.id}.{name}": value for name, value in _present(evse) if name != "id"}
        for name in self.origin:
            if name not in TargetFeatures.model_fields and name not in values:
                raise ValueError(f"origin.{name}: there is no such feature or value")
        for name in values:
            if name not in self.origin:
                raise ValueError(f"origin.{name} is missing: is it reported, observed or entered?")
        return self


def _present(section: Settings) -> Iterator[tuple[str, Any]]:
    return ((name, getattr(section, name)) for name in type(section).model_fields if getattr(section, name) is not None)

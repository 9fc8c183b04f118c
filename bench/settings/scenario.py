"""The scenario file: what is done, in which order, and how it is judged."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, field_validator, model_validator

from bench.domain.decision import DecisionRule
from bench.errors import UsageError
from bench.settings.base import Settings
from bench.settings.ocpi_relay import Policy
from bench.settings.rig import EvseSettings, Identifier, RigSettings, StationSettings
from bench.settings.steps import PILOT_MOST_A, AnyStep, Demand, SetProfile

Check = Literal[
    "relay", "installed", "composite", "power", "station_power", "conduct", "delivery", "meter", "meter_values",
    "transactions", "status", "time", "energy", "intent", "connectivity", "supply", "supply_sum", "dimming", "random_delay",
    "writers",
]  # fmt: skip
Requirement = Annotated[str, Field(pattern=r"^K\d\d\.FR\.\d\d\d?$")]


class Polling(Settings):
    """How often the meters are read: fast around each change of the limit, slow elsewhere."""

    fast_s: float = Field(default=1, ge=0.05)
    slow_s: float = Field(default=10, ge=0.05)
    before_s: float = Field(default=5, ge=0)
    after_s: float = Field(default=60, ge=0)

    @model_validator(mode="after")
    def _fast_is_faster(self) -> Polling:
        if self.slow_s < self.fast_s and "slow_s" in self.model_fields_set:
            raise ValueError(f"slow_s = {self.slow_s:g}: must be at least fast_s = {self.fast_s:g}")
        return self


class MustExercise(Settings):
    """What has to be exercised for a PASS; "all" means each period of the expected limit."""

    limits: Annotated[int, Field(ge=0)] | Literal["all"] = 1
    lowerings: Annotated[int, Field(ge=0)] | Literal["all"] = 1


class Vehicle(Settings):
    """The EV that the scenario needs at its EVSE; on hardware, the one to bring."""

    model: str | None = None
    """A named EV of the emulator, e.g. two-phase-7kw; keys below that differ from their defaults count instead of its own."""
    phases: Literal[1, 2, 3] = 3
    max_current_a: float = Field(default=16, ge=6, le=1000)
    """Per phase, 80 at most on AC."""
    battery_wh: float = Field(default=60_000, ge=1, le=1_000_000)
    soc_percent: float = Field(default=20, ge=0, le=100)
    iso15118: bool | None = None
    """Whether it speaks ISO 15118; the keys below count only then. Absent: as the EV at the EVSE is."""
    departure_s: float | None = Field(default=None, ge=1, le=1_000_000)
    """When it will leave, from the moment it tells its needs."""
    energy_wh: float | None = Field(default=None, ge=1, le=1_000_000)
    """What it asks for; absent: what its battery still takes."""
    max_schedule_tuples: int | None = Field(default=None, ge=1, le=1024)
    """Most periods of one schedule that it takes."""
    ev_profile: Literal["inside", "outside", "stubborn", "none"] | None = None
    """Which charging profile it returns: inside the schedule that it chose, outside of it until that is rejected, outside of it
    again and again, or none."""
    requested_mode: Literal["AC_single_phase", "AC_two_phase", "AC_three_phase", "DC"] | None = None
    """What it asks for; absent: as its EVSE is, AC with its phases."""

    @model_validator(mode="after")
    def _fits_a_pilot(self) -> Vehicle:
        if self.max_current_a > PILOT_MOST_A and self.requested_mode != "DC":
            reason = f"no pilot offers more than {PILOT_MOST_A:g} A; an EV on DC has requested_mode = \"DC\""
            raise ValueError(f"max_current_a = {self.max_current_a:g}: {reason}")
        return self

    def properties(self) -> dict[str, float | str]:
        """Return what is said of it, as RigControl.vehicle takes it."""
        said = self.model_dump(exclude_none=True, exclude_defaults=self.model is not None)
        return {key: int(value) if isinstance(value, bool) else value for key, value in said.items()}


class ScspPlan(Settings):
    """What the mock SCSP knows and wants."""

    prices: Path | None = None
    """Price curve, relative to the scenario file."""
    levels_w: tuple[Annotated[float, Field(ge=0)], ...] = ()
    energy_wh: float = Field(default=0, ge=0)
    departure_s: float = Field(default=0, ge=0)
    unit: Literal["A", "W"] = "W"
    periods: tuple[tuple[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=0)]], ...] = ()
    """[start in s from the sending on, limit in `unit`] each: a plain plan, in place of prices."""
    policy: Policy | None = None
    """Whose limits count where a BEMS, a DSO or an operator limits too; absent: as [ocpi] of the rig file says."""
    behind_msp: bool = False
    """It registers at a mock MSP, which passes its orders on to the CSO (topology SCSP, MSP, CSO) and owns the cards that are
    shown."""

    @field_validator("levels_w")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("must ascend, each level once")
        return value

    @model_validator(mode="after")
    def _plain_or_priced(self) -> ScspPlan:
        priced = self.prices is not None and len(self.levels_w) > 1 and self.energy_wh > 0 and self.departure_s > 0
        if bool(self.periods) == (self.prices is not None):
            raise ValueError("has either prices or periods")
        if not self.periods and not priced:
            raise ValueError("a plan from prices needs two levels_w, energy_wh and departure_s")
        starts = [start for start, _ in self.periods]
        if self.periods and (starts[0] != 0 or starts != sorted(set(starts))):
            raise ValueError("periods: starts must ascend from 0")
        return self


class Fault(Settings):
    """A fault to seed into the emulated rig before the first step."""

    id: Identifier
    params: dict[str, str | float | int | bool] = Field(default_factory=dict)


class ScenarioSettings(Settings):
    """One scenario file."""

    version: Literal[1] = Field(alias="schema")
    name: Identifier
    title: str
    description: str = ""
    source: str = ""
    start: datetime | None = None
    """Where virtual time begins. In real time a run starts now, and prices and plans move with it."""
    duration_s: float = Field(gt=0)
    station: str = ""
    """Id of the station; the rig's first where absent."""
    evse: int = Field(default=1, ge=1)
    checks: tuple[Check, ...] = Field(default=("installed", "composite", "power"), min_length=1)
    watch: tuple[Check, ...] = ()
    """Checks beside `checks` that can only convict: what they leave undecided decides nothing."""
    decision_rule: DecisionRule = DecisionRule.FOUR_WAY
    must_find_a: float | None = Field(default=None, gt=0)
    """The excess above a limit in A that the run has to find; a rig whose meter cannot find it is refused."""
    must_find_w: float | None = Field(default=None, gt=0)
    """Likewise above a limit in W."""
    apply_within_s: float | None = Field(default=None, gt=0)
    """How long the current may take to obey a lowered limit; absent: `settle_s` alone says when it is judged. A rig that cannot
    tell the moment to a quarter of it is refused."""
    settle_s: float = Field(default=15, ge=0)
    w_limits: Literal["nominal", "measured"] = "nominal"
    near_a: float = Field(default=1.5, gt=0)
    resume_s: float = Field(default=60, gt=0)
    """How long an offer may stay below a limit that has risen; after it, and with proven demand, it is under-delivery."""
    regulation_s: float = Field(default=300, gt=0)
    """The time that a regulation gives for a lowered W limit to be kept; the check `dimming` judges by it."""
    longest_gap_s: float = Field(default=30, gt=0)
    proof: Literal["run", "file", "none"] | None = None
    """How the meter is proven: by known loads at the begin of the run, by a record of them, or not at all, which the report says.
    Absent: `run` where the rig has a known load, else `file`."""
    must_exercise: MustExercise = MustExercise()
    needs: tuple[str, ...] = ()
    """Features that the target has to declare (fields of the target file); without one the run is NOT APPLICABLE."""
    must_show: tuple[Requirement, ...] = ()
    """Requirements that the run has to put to the test; one that was not leaves the run INCONCLUSIVE."""
    tests_defaults: bool = False
    """It tests TxDefaultProfiles, or what holds without one: on a rig without a contactor it is refused."""
    polling: Polling = Polling()
    vehicle: Vehicle | None = None
    scsp: ScspPlan | None = None
    fault: Fault | None = None
    step: tuple[AnyStep, ...] = ()
    """What `bench run` does; empty where a procedure in pytest takes the steps."""

    @field_validator("start")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("needs an offset or Z")
        return value and value.astimezone(UTC)

    @model_validator(mode="after")
    def _consistent(self) -> ScenarioSettings:
        for index, (earlier, later) in enumerate(pairwise(self.step)):
            if later.at_s < earlier.at_s:
                raise ValueError(f"step[{index + 1}].at_s = {later.at_s:g} comes after step[{index}].at_s = {earlier.at_s:g}")
        if self.step and self.step[-1].at_s > self.duration_s:
            last = f"step[{len(self.step) - 1}].at_s = {self.step[-1].at_s:g}"
            raise ValueError(f"{last} lies after the end of the run at duration_s = {self.duration_s:g}")
        if self.must_show and "conduct" not in self.checks:
            raise ValueError('must_show needs the check "conduct" among `checks`, which is what judges by requirement')
        if self.scsp is not None and self.scsp.departure_s > self.duration_s:
            raise ValueError(f"scsp.departure_s = {self.scsp.departure_s:g} lies after duration_s = {self.duration_s:g}")
        on_dc = self.vehicle is not None and self.vehicle.requested_mode == "DC"
        for index, step in enumerate(self.step):
            if isinstance(step, Demand) and step.amperes > PILOT_MOST_A and not on_dc:
                reason = f"no pilot offers more than {PILOT_MOST_A:g} A; an EV on DC has vehicle.requested_mode = \"DC\""
                raise ValueError(f"step[{index}].amperes = {step.amperes:g}: {reason}")
        if self.scsp is None and any(step.do.startswith("scsp_") for step in self.step):
            raise ValueError("a scsp_ step needs the [scsp] table")
        if any(step.do == "local_limit" for step in self.step):
            if self.scsp is None:
                raise ValueError("a local_limit step needs the [scsp] table")
            if "relay" in self.checks:
                raise ValueError("local_limit: limits are merged then; the check that judges it is writers, not relay")
        return self

    def as_document(self) -> dict[str, Any]:
        """Return the scenario as it goes into the journal."""
        return self.model_dump(mode="json", by_alias=True)


def under_test(rig: RigSettings, scenario: ScenarioSettings) -> tuple[StationSettings, EvseSettings]:
    """Return station and EVSE under test: the scenario's, or the rig's first station. Raises UsageError."""
    named = [one for one in rig.station if one.id == scenario.station] if scenario.station else rig.station[:1]
    if not named:
        known = ", ".join(one.id for one in rig.station)
        raise UsageError(f"scenario {scenario.name}: station = {scenario.station!r}: rig {rig.name} has {known}")
    evse = next((one for one in named[0].evse if one.id == scenario.evse), None)
    if evse is None:
        there = f"{named[0].id} of rig {rig.name} has EVSEs 1 to {len(named[0].evse)}"
        raise UsageError(f"scenario {scenario.name}: evse = {scenario.evse}: {there}")
    units = named[0].features.rate_units
    for index, step in enumerate(scenario.step):
        if isinstance(step, SetProfile) and step.unit not in units and not step.broken:
            reason = f"{named[0].id} of rig {rig.name} takes {' and '.join(units)} (K01.FR.26)"
            raise UsageError(f"scenario {scenario.name}: step[{index}].unit = {step.unit!r}: {reason}")
    return named[0], evse


class PriceCurve(Settings):
    """Day-ahead prices, one per interval."""

    version: Literal[1] = Field(alias="schema")
    source: str
    unit: Literal["EUR/MWh"]
    start: AwareDatetime
    interval_s: Literal[900, 3600]
    prices: tuple[float, ...] = Field(min_length=1)

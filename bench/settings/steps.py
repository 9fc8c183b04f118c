"""The steps of a scenario file."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from bench.domain.link import Direction, LinkFault, LinkMode
from bench.settings.base import Settings

Offset = Annotated[float, Field(ge=0)]
PILOT_MOST_A: Final = 80.0
"""The most that a control pilot can offer on AC (IEC 61851-1, Annex A), and the most that the emulated EV takes."""

_EV_RANGES: Final = {
    "phases": (1, 3), "max_current_a": (6, 1000), "wants_a": (0, 1000), "battery_wh": (1, 1_000_000), "soc_percent": (0, 100),
    "dead_time_s": (0, 300), "ramp_up_a_s": (0.01, 1000), "ramp_down_a_s": (0.01, 1000), "offset_a": (0, 5),
    "taper_soc_percent": (0, 99.9), "efficiency": (0.1, 1),
}  # fmt: skip
"""What a car can be, by the properties that any rig may know; a rig may take less."""


class Step(Settings):
    """One step, at so many seconds after the start of the run."""

    at_s: Offset


class AtEvse(Step):
    """A step at one EVSE; at the one under test where `evse` is absent. Another one's meter is read from then on."""

    evse: int | None = Field(default=None, ge=1)


class Plug(AtEvse):
    """Connect the EV's cable."""

    do: Literal["plug"]


class Unplug(AtEvse):
    """Disconnect the EV's cable."""

    do: Literal["unplug"]


class Authorise(AtEvse):
    """Present an identification token at the station."""

    do: Literal["authorise"]
    within_s: float = Field(default=60, gt=0)
    """The transaction must have started by then."""


class Demand(AtEvse):
    """Set the current per phase that the EV wants."""

    do: Literal["demand"]
    amperes: float = Field(ge=0)


class SendPlan(Step):
    """Let the SCSP build its ChargingProfile for the running session and send it by OCPI."""

    do: Literal["scsp_plan"]
    within_s: float = Field(default=60, gt=0)


class ClearPlan(Step):
    """Let the SCSP take back by OCPI (DELETE) the ChargingProfile that it has sent."""

    do: Literal["scsp_clear"]
    within_s: float = Field(default=60, gt=0)


class AskActive(Step):
    """Let the SCSP ask by OCPI (GET) what limits the running session: its ActiveChargingProfile."""

    do: Literal["scsp_active"]
    duration_s: int = Field(default=60, ge=1)
    within_s: float = Field(default=60, gt=0)


class LocalLimit(AtEvse):
    """Let a BEMS, a DSO or an operator on the spot limit the EVSE beside the SCSP; without `periods` it takes its limit back."""

    do: Literal["local_limit"]
    by: Literal["BEMS", "DSO", "OPERATOR"]
    unit: Literal["A", "W"] = "A"
    periods: tuple[tuple[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=0)]], ...] = ()
    """[start in s from now on, limit in `unit`] each."""
    duration_s: int | None = Field(default=None, ge=1)
    """Absent: until it is taken back."""
    emergency: bool = False
    """Of a BEMS: counts whoever owns the session."""

    @model_validator(mode="after")
    def _sound(self) -> LocalLimit:
        starts = [start for start, _ in self.periods]
        if starts and (starts[0] != 0 or starts != sorted(set(starts))):
            raise ValueError("periods: starts must ascend from 0")
        if self.emergency and self.by != "BEMS":
            raise ValueError("an emergency is a BEMS's alone")
        return self


class VehicleStep(AtEvse):
    """Change properties of the EV while it stands there, as [vehicle] has them."""

    do: Literal["vehicle"]
    settings: dict[str, float | str] = Field(min_length=1)

    @field_validator("settings")
    @classmethod
    def _possible(cls, value: dict[str, float | str]) -> dict[str, float | str]:
        for key, (least, most) in _EV_RANGES.items():
            told = value.get(key, least)
            if isinstance(told, str) or not least <= told <= most:
                raise ValueError(f"{key} = {told!r}: must be a number from {least:g} to {most:g}")
        return value


class RequestStop(AtEvse):
    """Stop the EVSE's transaction from the CSMS and wait for its end."""

    do: Literal["request_stop"]


class Schedule(Settings):
    """A charging profile as the CSMS sends it; seconds count from the moment it is sent."""

    purpose: Literal["TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile"] = "TxProfile"
    kind: Literal["Absolute", "Relative", "Recurring"] = "Absolute"
    recurrency: Literal["Daily", "Weekly"] | None = None
    unit: Literal["A", "W"] = "A"
    stack_level: int = Field(default=0, ge=0)
    start_in_s: float = 0
    """startSchedule; may lie in the past. A Relative profile has none (K01.FR.41)."""
    duration_s: int | None = Field(default=None, ge=1)
    valid_from_in_s: float | None = None
    valid_to_in_s: float | None = None
    number_phases: Literal[1, 2, 3] | None = None
    phase_to_use: Literal[1, 2, 3] | None = None
    profile_id: int | None = Field(default=None, ge=1)
    """Absent: one per purpose, EVSE, stack level and transaction, so that it replaces its forerunner."""
    periods: tuple[tuple[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=0)]], ...] = Field(min_length=1)
    """[start in s, limit] each."""

    def arguments(self) -> dict[str, Any]:
        """Return what the procedures' `profile` takes beside the periods."""
        return self.model_dump(include=set(Schedule.model_fields) - {"periods"}, exclude_none=True)


class SetProfile(Step, Schedule):
    """Send a charging profile from the CSMS, and read the store back."""

    do: Literal["set_profile"]
    evse: int | None = Field(default=None, ge=0)
    """0: the whole station. Absent: the EVSE under test, and 0 for a ChargingStationMaxProfile."""
    of: Literal["running", "ended"] = "running"
    """Which transaction a TxProfile names: the one that runs on the EVSE, or the last one that ended there."""
    broken: bool = False
    """The profile breaks a rule on purpose, to see what the station says of it; without this it is not sent."""
    go_on: bool = False
    """The run goes on where no answer comes in time."""
    repeat: int = Field(default=1, ge=1, le=1000)
    every_s: float = Field(default=10, gt=0)
    """It is sent so many times, each with a read-back."""

    @model_validator(mode="after")
    def _ordered(self) -> SetProfile:
        starts = [start for start, _ in self.periods]
        if not self.broken and (starts[0] != 0 or starts != sorted(set(starts))):
            raise ValueError("periods: starts must ascend from 0 (K01.FR.31, K01.FR.35)")
        return self


class SetWindow(AtEvse):
    """Hold one limit between two hours of local time each day, and another outside of them."""

    do: Literal["set_window"]
    zone: str
    """Name in the tz database, such as Europe/Paris."""
    begin: time
    end: time
    """May lie on the next day."""
    inside: float = Field(ge=0)
    outside: float = Field(ge=0)
    unit: Literal["A", "W"] = "A"
    days: int = Field(default=2, ge=1, le=7)


class Composite(Step):
    """Ask the station for its composite schedule."""

    do: Literal["composite"]
    evse: int | None = Field(default=None, ge=0)
    """0: the whole station; absent: the EVSE under test."""
    duration_s: int = Field(ge=0)
    unit: Literal["A", "W"] | None = None


class ReadBack(Step):
    """Read the station's profile store."""

    do: Literal["read_back"]


class Clear(Step):
    """Clear a profile by its id, or all that fit the criteria; all where nothing is said."""

    do: Literal["clear"]
    id: int | None = None
    evse: int | None = Field(default=None, ge=0)
    purpose: Literal["TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile"] | None = None
    stack_level: int | None = Field(default=None, ge=0)


class Report(Step):
    """Ask for the installed profiles that fit."""

    do: Literal["report"]
    evse: int | None = Field(default=None, ge=0)
    purpose: Literal["TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile"] | None = None


class ExternalLimit(Step):
    """Limit the whole station from outside, past the CSMS; without `limit` the source releases it."""

    do: Literal["external_limit"]
    limit: float | None = Field(default=None, ge=0)
    unit: Literal["A", "W"] = "A"
    source: str = "EMS"


class Reset(Step):
    """Let the station boot again."""

    do: Literal["reset"]
    kind: Literal["Immediate", "OnIdle"] = "Immediate"


class RequestStart(AtEvse):
    """Start a transaction from the CSMS and wait for it."""

    do: Literal["request_start"]
    within_s: float = Field(default=60, gt=0)
    profile: Schedule | None = None
    """A TxProfile that goes with it (K05)."""


class RandomDelay(Step):
    """Set how long the station may wait at random before it starts, or changes as planned; needs the feature random_delay."""

    do: Literal["random_delay"]
    longest_s: int = Field(ge=0, le=1800)


class Starts(AtEvse):
    """Start and stop so many transactions one after the other, each with a card of its own; the cable stays in."""

    do: Literal["starts"]
    times: int = Field(ge=1, le=100)
    each_s: float = Field(gt=0)
    """From the start of a transaction to its end."""
    pause_s: float = Field(default=10, ge=0)


class SetVariable(Step):
    """Set a variable of the device model; the end of the run sets it back."""

    do: Literal["set_variable"]
    name: str = Field(pattern=r"^[^.@]+(@\d+)?\.[^.]+$")
    """`Component.Variable` or `Component@EVSE.Variable`."""
    value: str


class PowerCycle(Step):
    """Switch the station's supply off and on."""

    do: Literal["power_cycle"]
    wait: bool = True
    """Until it has booted again; false where nobody hears that."""


class Supply(Step):
    """Give the station another supply voltage; the end of the run gives back the nominal one."""

    do: Literal["supply"]
    volts: float = Field(gt=0, le=300)
    """Phase to neutral."""


class CutNetwork(Step):
    """Take the station's network away for a while."""

    do: Literal["cut_network"]
    seconds: float = Field(gt=0)


class DisturbLink(Step):
    """Disturb the connections of the rig's stations; needs [link] in the rig file."""

    do: Literal["disturb_link"]
    mode: LinkMode
    seconds: float = Field(ge=0)
    direction: Direction = "both"
    """For swallow, delay and throttle: what flows to_station, to_csms or both."""
    delay_s: float = Field(default=0, ge=0)
    bytes_per_s: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> DisturbLink:
        self.fault()
        return self

    def fault(self) -> LinkFault:
        """Return what is to be done. Raises ValueError."""
        return LinkFault(self.mode, self.seconds, self.direction, self.delay_s, self.bytes_per_s)


AnyStep = Annotated[
    Plug
    | Unplug
    | Authorise
    | Demand
    | SendPlan
    | ClearPlan
    | AskActive
    | LocalLimit
    | SetProfile
    | SetWindow
    | Composite
    | ReadBack
    | PowerCycle
    | Supply
    | CutNetwork
    | Clear
    | Report
    | ExternalLimit
    | Reset
    | RequestStart
    | RequestStop
    | SetVariable
    | RandomDelay
    | Starts
    | DisturbLink
    | VehicleStep,
    Field(discriminator="do"),
]

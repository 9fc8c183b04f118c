"""The record of known loads as `bench baseline` writes it: what a run rests on is checked before the run begins."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bench.domain.quantities import parse_time


def _moment(text: str) -> str:
    parse_time(text)
    return text


class _Part(BaseModel):
    """Numbers are numbers; keys that a later version adds are left alone."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class PointRecord(_Part):
    """One known load and what was shown of it."""

    at: float
    set_a: list[float] = Field(min_length=1, max_length=3)
    requested: float
    shown_a: list[float | None]
    voltage_v: list[float | None]
    power_w: float | None
    energy_wh: float | None
    stamp: str = ""

    @model_validator(mode="after")
    def _one_value_for_each_phase(self) -> Self:
        if not len(self.set_a) == len(self.shown_a) == len(self.voltage_v):
            raise ValueError("set_a, shown_a and voltage_v must have one value for each phase")
        return self


class ResponseRecord(_Part):
    """How a step came to be seen."""

    asked: float
    set: float
    missed: float | None
    shown: float | None


class LookRecord(_Part):
    """One reading under a load that stays."""

    requested: float
    received: float
    power_w: float | None
    energy_wh: float | None
    renewed: bool


class ProofRecord(_Part):
    """What one meter showed. What an older record does not tell may be missing: the judge says so."""

    made: Annotated[str, AfterValidator(_moment)]
    load_percent: float = Field(ge=0)
    failed: str
    points: list[PointRecord]
    responses: list[ResponseRecord] = []
    held: list[LookRecord] = []
    energy_step_wh: float = Field(default=0.0, ge=0)
    station: str | None = None
    evse: int | None = None
    phases: list[int] | None = None
    side: str | None = None
    model: str | None = None
    serial_number: str | None = None

    @model_validator(mode="after")
    def _same_phases_throughout(self) -> Self:
        if len({len(one.set_a) for one in self.points}) > 1:
            raise ValueError("all points must have the same number of phases")
        return self

"""The meters of a rig file: which one it is, where it hangs, and how far it can be trusted."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bench.domain.meter import Quantity
from bench.settings.base import Settings


class MeterAccuracy(Settings):
    """How far a reading can be from the truth: from a certificate, else from the data sheet."""

    current_percent: float = Field(ge=0, le=20)
    """Of the reading, in percent."""
    power_percent: float = Field(ge=0, le=20)
    current_resolution_a: float = Field(default=0.001, ge=0)
    power_resolution_w: float = Field(default=0.1, ge=0)
    current_offset_a: float = Field(default=0.0, ge=0)
    """Largest error besides, of the same size at each reading: the data sheet's share of the range."""
    power_offset_w: float = Field(default=0.0, ge=0)
    current_noise_a: float = Field(default=0.0, ge=0)
    """Standard deviation of single readings of a constant current, where somebody found it out."""
    power_noise_w: float = Field(default=0.0, ge=0)
    certificate: str = ""
    """Number of the calibration certificate whose figures these are; empty where the data sheet is all there is, or where
    `[meters.NAME.certificate]` has the points."""
    certificate_due: dt.date | None = None
    """Last day on which the certificate counts; a run after it is not traceable."""


Point = tuple[float, float, Annotated[float, Field(gt=0)]]
"""Reading, its error (what the meter shows too much), and U of that error."""


class MeterCertificate(Settings):
    """What a calibration of this meter found, point by point; outside of the points its accuracy counts."""

    number: str = Field(min_length=1)
    date: dt.date
    due: dt.date | None = None
    """Last day on which it counts; a run after it is not traceable."""
    k: float = Field(default=2.0, ge=1, le=4)
    """Coverage factor of each U."""
    drift_percent_per_year: float = Field(default=0.0, ge=0, le=20)
    """Largest change since then, of the reading."""
    current: tuple[Point, ...] = ()
    """A."""
    power: tuple[Point, ...] = ()
    """W."""

    @field_validator("current", "power")
    @classmethod
    def _ascending(cls, value: tuple[Point, ...]) -> tuple[Point, ...]:
        readings = [one[0] for one in value]
        if readings != sorted(set(readings)) or (readings and readings[0] < 0):
            raise ValueError("readings must ascend from 0, each once: [[reading, error, U], ...]")
        return value

    @model_validator(mode="after")
    def _is_one(self) -> MeterCertificate:
        if not self.current and not self.power:
            raise ValueError("needs points of current or power: [[reading, error, U], ...]")
        if self.due is not None and self.due < self.date:
            raise ValueError(f"due = {self.due} lies before date = {self.date}")
        return self


class _Meter(Settings):
    """What holds for every meter."""

    accuracy: MeterAccuracy | None = None
    """Absent: the data sheet's, as the meter's map tells it."""
    certificate: MeterCertificate | None = None
    """Absent: there is none, or `accuracy` has its figures and number."""
    role: Literal["", "evse", "supply", "building"] = ""
    """What it sees: the EVSE that names it, a station's whole supply, or the building. Absent: evse where an EVSE names it, else
    building."""
    station: str = ""
    """With the role supply: whose supply it sits in; absent: the rig's first station's."""
    side: Literal["AC", "DC"] = "AC"
    """What flows through it. DC: an EVSE's meter at the output of its converter, its current on L1."""
    serial_number: str = ""
    """As on the certificate. A meter that tells another one voids the certificate."""
    energy_step_wh: float | None = Field(default=None, gt=0)
    """Smallest step of its energy register; absent: as the meter's map tells, or as the baseline finds out."""
    latency_s: tuple[float, float] = (0.0, 1.0)
    """Shortest and longest time from a change of the current to its being seen in the registers."""

    @model_validator(mode="after")
    def _one_certificate(self) -> Self:
        if self.certificate is not None and self.accuracy is not None and self.accuracy.certificate:
            raise ValueError("accuracy.certificate and the certificate table both name one: keep one of them")
        return self

    @field_validator("latency_s")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] <= value[1]:
            raise ValueError("must be [shortest, longest], both at least 0")
        return value


class ModbusTcpMeter(_Meter):
    """A meter with a Modbus TCP address of its own; its registers are described in config/meters/."""

    kind: Literal["modbus-tcp"]
    host: str = "127.0.0.1"
    port: int = Field(default=502, ge=0, le=65535)
    """0 on an emulated rig: the emulator chooses a free one."""
    unit_id: int = Field(default=1, ge=1, le=247)
    register_map: Path
    timeout_s: float = Field(default=1.0, gt=0, le=30)


class BusMeter(_Meter):
    """A meter on one of the rig's lines; its registers are described in config/meters/."""

    kind: Literal["modbus"]
    line: str
    """Name of a line in `[lines]`."""
    unit_id: int = Field(default=1, ge=1, le=247)
    register_map: Path


class P1Meter(_Meter):
    """The customer port of a smart meter (DSMR P1), which sends a telegram by itself."""

    kind: Literal["p1"]
    port: str = ""
    """Device by its stable name, such as /dev/serial/by-id/…; empty on an emulated rig."""
    version: Literal["2.2", "4", "5", "fluvius", "luxembourg", "sweden"] = "5"
    timeout_s: float = Field(default=12.0, gt=0, le=60)
    """How long the next telegram may take: every 1 s from version 5 on, every 10 s before."""


class SmlMeter(_Meter):
    """The information port of a German meter (SML), which sends a file by itself."""

    kind: Literal["sml"]
    port: str = ""
    """Device by its stable name, such as /dev/serial/by-id/…; empty on an emulated rig."""
    baud: int = Field(default=9600, ge=300, le=921_600)
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """How long the next file may take."""


def one_topic(value: str) -> str:
    """Return a topic. Raises ValueError for one with wildcards."""
    if {"+", "#", "\0"} & set(value):
        raise ValueError("must be one topic, without the wildcards + and #")
    return value


class MqttValue(Settings):
    """Where one quantity stands in a message."""

    path: str = Field(min_length=1)
    """Keys and indices with dots between, such as `ENERGY.Power` or `I.0`; `.` where the message is the number itself."""
    topic: str = ""
    """Absent: the meter's topic."""
    scale: float = 1.0
    """Value = number times this, in V, A, W, Wh or Hz, import positive."""

    @field_validator("scale")
    @classmethod
    def _scales(cls, value: float) -> float:
        if value == 0:
            raise ValueError("must not be 0: each reading would be 0")
        return value

    @field_validator("topic")
    @classmethod
    def _one_topic(cls, value: str) -> str:
        return one_topic(value)


class MqttMeter(_Meter):
    """A meter that publishes by MQTT to the broker of `[mqtt]`."""

    kind: Literal["mqtt"]
    topic: str = Field(min_length=1)
    quantity: dict[Quantity, MqttValue] = Field(min_length=1)
    time_path: str = ""
    """Where the meter's own time stands in the messages of `topic`: RFC 3339 with a zone, or seconds or milliseconds since 1970.
    It shows how far its clock is off; what counts is when a message comes. Absent: nobody looks."""
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """How long the next message may take."""

    @field_validator("topic")
    @classmethod
    def _one_topic(cls, value: str) -> str:
        return one_topic(value)

    @field_validator("quantity")
    @classmethod
    def _measures(cls, value: dict[Quantity, MqttValue]) -> dict[Quantity, MqttValue]:
        if not {"power_total", "power_l1", "current_l1"} & value.keys():
            raise ValueError("a meter needs power_total, power_l1 or current_l1: without one no limit can be judged")
        return value


AnyMeter = Annotated[ModbusTcpMeter | BusMeter | P1Meter | SmlMeter | MqttMeter, Field(discriminator="kind")]
MappedMeter = ModbusTcpMeter | BusMeter

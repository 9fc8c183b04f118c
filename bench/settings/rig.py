"""The rig file: what stands on the bench, how it is wired, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from bench.settings.actuators import Actuator, ModbusRelay, check_actuators
from bench.settings.base import Settings
from bench.settings.instruments import AnyMeter, BusMeter, ModbusTcpMeter, MqttMeter
from bench.settings.lines import Line, SerialLine
from bench.settings.ocpi import OcpiSettings
from bench.settings.safety import Budget, LinkSettings, MqttSettings, ProofSettings, SafetySettings
from bench.settings.target import TargetFeatures

OPEN_WITHIN_S: Final = 3.0
"""How long after the death of the bench a contactor may stay closed."""
Phase = Literal[1, 2, 3]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:*|@=+-]{1,48}$")]


class EvseSettings(Settings):
    """One EVSE of a station: the meter that sees it and the station's phases it hangs on."""

    id: int = Field(ge=1)
    meter: str = ""
    """Name of the meter in this file; empty where none measures this EVSE."""
    phases: tuple[Phase, ...] = (1, 2, 3)
    """Which phase of the meter sees L1, L2, L3 of the EVSE."""
    max_current_a: float = Field(default=32, gt=0, le=1000)
    """The EVSE's own limit per phase, from its rating plate."""
    connectors: int = Field(default=1, ge=1)

    @field_validator("phases")
    @classmethod
    def _distinct(cls, value: tuple[Phase, ...]) -> tuple[Phase, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("must name one to three distinct phases of the meter")
        return value


class StationSettings(Settings):
    """One charging station that may connect."""

    id: Identifier
    password: SecretStr | None = None
    """For HTTP basic authentication (security profiles 1 and 2)."""
    target: Path | None = None
    """A target file, relative to this one, that describes the station in place of `features`."""
    features: TargetFeatures = TargetFeatures()
    max_current_a: float | None = Field(default=None, ge=6, le=10_000)
    """What the station's supply can carry, A per phase over all its EVSEs; absent: as much as they take."""
    own_draw_w: float = Field(default=0, ge=0)
    """What the station itself takes, beside its EVSEs, as a meter in its supply sees it."""
    efficiency: tuple[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0, le=100)]], ...] = ()
    """Of a DC converter, as measured: [W at the output, percent of what the supply gives], ascending. With it a limit in W, which
    counts at the supply, can be judged by a meter at the output."""
    efficiency_uncertainty_percent: float = Field(default=1, ge=0, le=20)
    evse: tuple[EvseSettings, ...] = Field(min_length=1)

    @field_validator("efficiency")
    @classmethod
    def _ascending(cls, value: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        powers = [power for power, _ in value]
        if powers != sorted(set(powers)):
            raise ValueError("the powers must ascend, each once")
        return value

    @field_validator("evse")
    @classmethod
    def _numbered(cls, value: tuple[EvseSettings, ...]) -> tuple[EvseSettings, ...]:
        if sorted(one.id for one in value) != list(range(1, len(value) + 1)):
            raise ValueError("EVSEs are numbered 1, 2, 3 … without a gap (OCPP 2.0.1 part 1)")
        return value

    @model_validator(mode="after")
    def _described_once(self) -> StationSettings:
        if self.target is not None and "features" in self.model_fields_set:
            raise ValueError("target and features exclude one another: the target file has the features")
        return self


def check_roles(meters: Mapping[str, AnyMeter], first: str, stations: Mapping[str, StationSettings]) -> None:
    """Raise ValueError for a meter whose role does not fit what names it."""
    named = {evse.meter: station for station in stations.values() for evse in station.evse}
    supplied: dict[str, str] = {}
    for name, one in meters.items():
        where = f"meters.{name}"
        if one.role in ("supply", "building") and name in named:
            raise ValueError(f"{where}.role = {one.role!r}: an EVSE of {named[name].id} names it as its own")
        if one.role == "evse" and name not in named:
            raise ValueError(f"{where}.role = 'evse': no EVSE names it")
        if one.station and (one.role != "supply" or one.station not in stations):
            raise ValueError(f"{where}.station = {one.station!r}: goes with the role supply; stations: {', '.join(stations)}")
        if one.role == "supply" and (other := supplied.setdefault(one.station or first, name)) != name:
            raise ValueError(f"{where} and meters.{other} both sit in the supply of {one.station or first}")
        if one.side == "DC" and (name not in named or named[name].features.current_type != "DC"):
            raise ValueError(f"{where}.side = 'DC': only an EVSE of a DC station has an output of DC")


class CsmsSettings(Settings):
    """The bench's own CSMS."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    security_profile: Literal[0, 1, 2] = 0
    """0: no authentication; 1: basic authentication; 2: TLS with basic authentication."""
    certificate: Path | None = None
    """PEM file with the server's certificate chain (security profile 2)."""
    private_key: Path | None = None
    call_timeout_s: float = Field(default=30, gt=0)
    heartbeat_interval_s: int = Field(default=300, ge=1)
    max_frame_bytes: int = Field(default=1_000_000, ge=1024)

    @model_validator(mode="after")
    def _tls_is_complete(self) -> CsmsSettings:
        if self.security_profile == 2 and not (self.certificate and self.private_key):
            raise ValueError("security_profile 2 needs certificate and private_key")
        return self


class MeterError(Settings):
    """How an emulated meter differs from the truth."""

    gain_percent: float = Field(default=0, gt=-20, lt=20)
    """Of current, power and energy."""
    offset_a: float = Field(default=0, gt=-5, lt=5)
    """Added to each phase current that flows."""
    latency_s: float = Field(default=0, ge=0, le=600)
    """It shows the truth of so many seconds ago."""
    resolution_wh: float = Field(default=0, ge=0, le=600)
    """Step of its energy register."""


class EmulatorSettings(Settings):
    """Present: the station, its EVs and the meters are emulated."""

    time: Literal["virtual", "real"] = "virtual"
    supply_voltage_v: float = Field(default=230, gt=0)
    supply_steps: tuple[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=1, le=1000)]], ...] = ()
    """Another voltage of the supply: seconds from the emulator's start on, V; such as [[30, 190], [32, 230]] for a dip."""
    meter_values_interval_s: int = Field(default=300, ge=1)
    pwm_delay_s: float = Field(default=1.0, ge=0)
    """From an accepted profile to the new duty cycle."""
    house_load_w: float = Field(default=0, ge=0)
    """What the building draws beside its EVSEs, as a P1 or SML meter sees it that no EVSE names."""
    phase_switch_pause_s: float = Field(default=10, ge=7, le=600)
    """How long a station offers nothing when it switches phases."""
    contactor: bool = True
    """There is one in the stations' supply; without it the floor is what keeps power down."""
    meter_errors: dict[str, MeterError] = Field(default_factory=dict)
    """By the name of the meter; absent: it shows the truth."""
    witness: bool = True
    """Something sees the control pilot and what the EV wants, as an EV emulator or a logger does on hardware."""
    tells_offered: bool = True
    """The stations' MeterValues say Current.Offered and Power.Offered."""


class HttpControl(Settings):
    """An emulated station in its own process, acted on and looked at over HTTP."""

    kind: Literal["http"]
    url: str = Field(pattern=r"^https?://[^/@]+$")
    contactor: bool = True
    """Let the bench use its contactor; without it the floor is what keeps power down."""


class OperatorSettings(Settings):
    """Present: a person at the console plugs, unplugs, presents cards and the like when the bench asks for it."""

    timeout_s: float = Field(default=120, gt=0)
    """How long the bench waits for each; what was not done in time leaves the run INCONCLUSIVE."""


class RigSettings(Settings):
    """One rig file."""

    version: Literal[1] = Field(alias="schema")
    name: Identifier
    description: str = ""
    csms: CsmsSettings = CsmsSettings()
    ocpi: OcpiSettings = OcpiSettings()
    station: tuple[StationSettings, ...] = Field(min_length=1)
    lines: dict[str, Line] = Field(default_factory=dict)
    """Modbus lines by name; several meters may hang on one."""
    meters: dict[str, AnyMeter] = Field(default_factory=dict)
    actuators: dict[str, Actuator] = Field(default_factory=dict)
    """What acts on the station by name; each role of a station is filled once."""
    safety: SafetySettings = SafetySettings()
    budget: Budget = Budget()
    proof: ProofSettings | None = None
    link: LinkSettings | None = None
    mqtt: MqttSettings | None = None
    emulator: EmulatorSettings | None = None
    control: HttpControl | None = None
    """How the EV's side is acted on where nothing is emulated inside the bench."""
    operator: OperatorSettings | None = None
    """Who acts on the EV's side where no instrument does."""
    meter_loss_s: float = Field(default=10, gt=0)
    """A meter that is silent for longer ends the run in the safe state."""

    @model_validator(mode="after")
    def _wired(self) -> RigSettings:
        if self.emulator is not None and self.control is not None:
            raise ValueError("[emulator] and [control] exclude one another")
        if self.operator is not None and (self.emulator is not None or self.control is not None):
            raise ValueError("[operator] and [emulator] or [control] exclude one another")
        every = [(station, evse) for station in self.station for evse in station.evse]
        seen_by = [(evse.meter, f"EVSE {evse.id} of {station.id}") for station, evse in every if evse.meter]
        for (name, first), (other, second) in combinations(seen_by, 2):
            if name == other:
                raise ValueError(f"meter {name!r} is named by {first} and by {second}: each EVSE needs its own")
        self._check_meters()
        check_roles(self.meters, self.station[0].id, {one.id: one for one in self.station})
        for name in self.emulator.meter_errors if self.emulator is not None else ():
            if name not in self.meters:
                there = ", ".join(sorted(self.meters)) or "none"
                raise ValueError(f"emulator.meter_errors.{name}: no such meter; meters here: {there}")
        self._check_unattended()
        self._check_real_time()
        metered = {meter.line: name for name, meter in self.meters.items() if isinstance(meter, BusMeter)}
        check_actuators(self.actuators, [one.id for one in self.station], self.lines, metered)
        ids = [station.id for station in self.station]
        if len(set(ids)) != len(ids):
            raise ValueError("station ids must be unique")
        for station in self.station:
            for evse in station.evse:
                if evse.meter and evse.meter not in self.meters:
                    known = ", ".join(sorted(self.meters)) or "none"
                    raise ValueError(f"EVSE {evse.id} of {station.id} names meter {evse.meter!r}; meters here: {known}")
        csms, ocpi = self.csms, self.ocpi
        if ocpi is not None and ocpi.port and (ocpi.host, ocpi.port) == (csms.host, csms.port):
            raise ValueError(f"csms.port and ocpi.port are both {ocpi.port}: each needs a port of its own")
        if self.csms.security_profile and any(station.password is None for station in self.station):
            raise ValueError("with a security profile each station needs a password")
        return self

    def supply_meters(self) -> dict[str, str]:
        """Return the meter in the supply of each station that has one, by station id."""
        first = self.station[0].id
        return {one.station or first: name for name, one in self.meters.items() if one.role == "supply"}

    def has_power_switch(self, station: str) -> bool:
        """Say whether the bench can open a contactor in a station's supply."""
        if self.emulator is not None and self.emulator.contactor:
            return True
        if self.control is not None and self.control.contactor and station == self.station[0].id:
            return True
        switches = [one for one in self.actuators.values() if "power_switch" in one.roles]
        return station in [one.station or self.station[0].id for one in switches]

    def is_guarded(self) -> bool:
        """Say whether there is a contactor or a load for the guard to hold; a person at a load is asked by the bench itself."""
        load = any("load" in one.roles and one.kind != "prompt" for one in self.actuators.values())
        return load or any(self.has_power_switch(one.id) for one in self.station)

    def floor_wanted(self, station: str) -> bool:
        """Say whether a floor is installed at a station before anything is energised."""
        if self.safety.floor is not None:
            return self.safety.floor
        return self.safety.dead_man_s is not None or not self.has_power_switch(station)

    def needs_the_floor(self, station: str) -> bool:
        """Say whether nothing but the floor keeps a station's power down when the bench is gone."""
        return self.floor_wanted(station) and not self.has_power_switch(station)

    def _check_unattended(self) -> None:
        """Raise ValueError for a rig that nothing would bring to rest, and for a contactor that opens too late."""
        first = self.station[0].id
        for station in self.station:
            alone = self.emulator is None and self.operator is None and not self.has_power_switch(station.id)
            if self.safety.floor is False and alone:
                raise ValueError(
                    f"safety.floor: {station.id} has no contactor: without the floor somebody has to stand by: [operator]"
                )
        for name, one in self.actuators.items():
            both = self.control is not None and self.control.contactor and (one.station or first) == first
            if both and "power_switch" in one.roles:
                raise ValueError(f"actuators.{name}: [control] has the contactor of {first} too: say contactor = false there")
            line = self.lines.get(one.line) if isinstance(one, ModbusRelay) and "power_switch" in one.roles else None
            if line is None or line.kind == "modbus-tcp":
                continue
            takes_s = self.safety.heartbeat_s + line.timeout_s + line.drain_s
            if takes_s > OPEN_WITHIN_S:
                raise ValueError(
                    f"actuators.{name}: after the last heartbeat its contactor may open after {takes_s:g} s, which is more than "
                    f"{OPEN_WITHIN_S:g} s: lower timeout_s and drain_s of its line, such as 0.3 each, or safety.heartbeat_s"
                )
        watched = set[str]()
        for name, one in self.actuators.items():
            if not isinstance(one, ModbusRelay) or "power_switch" not in one.roles or one.watchdog_s is None:
                continue
            watched.add(one.station or first)
            if self.safety.unattended and self.emulator is None and one.watchdog_s > OPEN_WITHIN_S:
                raise ValueError(
                    f"actuators.{name}.watchdog_s = {one.watchdog_s:g}: must be at most {OPEN_WITHIN_S:g} with "
                    "safety.unattended: where bench and guard are both gone, only this watchdog opens the contactor"
                )
        for station in self.station:
            if self.safety.unattended and self.emulator is None and station.id not in watched:
                raise ValueError(
                    f"safety.unattended: {station.id} needs an actuator with the role power_switch and watchdog_s: a relay that "
                    "opens by itself when nobody speaks to it"
                )

    def _check_real_time(self) -> None:
        """Raise ValueError for an actuator that needs real time on a rig in virtual time, which would not wait for it."""
        if self.emulator is not None and self.emulator.time == "virtual":
            for name, one in self.actuators.items():
                if one.kind in ("shell", "prompt", "csv"):
                    raise ValueError(f"actuators.{name}: kind {one.kind} acts in real time: emulator.time must be real")

    def _check_meters(self) -> None:
        """Raise ValueError for two meters at one place, for a line that there is not and for one without a port."""
        emulated = self.emulator is not None
        places: dict[tuple[object, ...], str] = {}
        place: tuple[object, ...]
        for name, meter in self.meters.items():
            match meter:
                case ModbusTcpMeter():
                    place, port = (meter.host, meter.port, meter.unit_id), str(meter.port or "")
                case BusMeter():
                    if meter.line not in self.lines:
                        known = ", ".join(sorted(self.lines)) or "none"
                        raise ValueError(f"meters.{name}.line names {meter.line!r}; lines here: {known}")
                    place, port = (meter.line, meter.unit_id), "of the line"
                case MqttMeter():
                    if self.mqtt is None:
                        raise ValueError(f"meters.{name} publishes by MQTT: [mqtt] has to name the broker")
                    if self.emulator is not None and self.emulator.time == "virtual":
                        raise ValueError(f"meters.{name} publishes by MQTT, in real time: emulator.time must be real")
                    place, port = ("mqtt", name), "of the broker"
                case _:
                    place, port = (meter.port,), meter.port
            if not emulated and not port:
                raise ValueError(f"meters.{name}.port is missing: only an emulated meter chooses its own")
            if port and place in places:
                raise ValueError(f"meters.{places[place]} and meters.{name} are at the same place: {', '.join(map(str, place))}")
            places[place] = name
        for name, line in self.lines.items():
            if not emulated and not line.port:
                raise ValueError(f"lines.{name}.port is missing: only an emulated line chooses its own")
        ports = [line.port for line in self.lines.values() if isinstance(line, SerialLine) and line.port]
        ports += [meter.port for meter in self.meters.values() if meter.kind in ("p1", "sml") and meter.port]
        ports += [one.serial_port for one in self.actuators.values() if one.kind == "scpi" and one.serial_port]
        for port in ports:
            if ports.count(port) > 1:
                raise ValueError(f"serial port {port} is named twice: put the meters of one bus on one line")

"""What a rig is made of, as plain data turned into checked values; errors say which key, which value and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from firmware_sim.dc import GRID_W_PER_A
from firmware_sim.distortion import NO_DISTORTION, Distortion
from firmware_sim.physics import FORCED_OPEN_S
from firmware_sim.relay import RelaySpec
from firmware_sim.scpi import InstrumentSpec


@dataclass(frozen=True, slots=True)
class EvseSpec:
    """One EVSE: its rating, and the meter's phases that its own L1, L2, L3 hang on (as many as it has)."""

    id: int
    max_current_a: float = 32.0
    meter: str = ""
    phases: tuple[int, ...] = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What the station claims to do."""

    rate_units: tuple[str, ...] = ("A", "W")
    profile_stack_level: int = 9
    periods_per_schedule: int = 24
    entries: int = 100
    smart_charging: bool = True
    current_type: str = "AC"
    supply_phases: int = 3
    ac_phase_switching: bool = False
    phases_3to1: bool = False
    external_limits: bool = False
    failsafe_s: int = 0
    """After so long without an external limit being set anew failsafe_w holds; 0: no failsafe."""
    failsafe_w: float = 4200.0
    random_delay: bool = False
    """Starts and planned changes wait at random, at most as long as a variable says."""
    iso15118: bool = False
    local_limit: str = "filler"
    relative_anchor: str = "transaction_start"
    nominal_voltage_v: float = 230.0


@dataclass(frozen=True, slots=True)
class StationSpec:
    """One charging station."""

    id: str
    evses: tuple[EvseSpec, ...]
    password: str | None = field(default=None, repr=False)
    features: FeatureSpec = FeatureSpec()
    max_current_a: float | None = None
    """What its supply can carry, A per phase over all EVSEs (K04.FR.02); None: as much as the EVSEs take."""
    own_draw_w: float = 0.0
    """What it takes itself, as a meter in its supply sees it."""

    @property
    def dc(self) -> bool:
        """Whether its EVSEs give DC."""
        return self.features.current_type == "DC"

    @property
    def grid_w_per_a(self) -> float:
        """What one ampere, per phase or on DC, costs at the grid in W: the nominal voltage, or that of DC with its losses."""
        return GRID_W_PER_A if self.dc else self.features.nominal_voltage_v

    def phases_of(self, evse: EvseSpec) -> int:
        """Return how many phases an EVSE has."""
        return min(len(evse.phases), self.features.supply_phases)


@dataclass(frozen=True, slots=True)
class LineSpec:
    """A Modbus line with one or several meters on it."""

    kind: str = "serial"
    """serial: RTU on a pseudo-terminal; modbus-tcp; rtu-over-tcp."""
    port: int = 0
    """Of TCP; 0: a free one."""
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    turnaround_s: float = 0.02
    """From the end of a request to the begin of its reply (serial only)."""
    link: str = ""
    """Where a symbolic link to the pseudo-terminal is made; empty: nowhere."""


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """One independent meter, on a line by its name or with a Modbus TCP port of its own."""

    register_map: Path = Path()
    unit_id: int = 1
    port: int = 0
    line: str = ""
    distortion: Distortion = NO_DISTORTION
    kind: str = "modbus"
    """modbus, p1 or sml; the last two send by themselves on a pseudo-terminal."""
    version: str = "5"
    """Of a P1 port: 2.2, 4, 5, fluvius, luxembourg or sweden."""
    baud: int = 9600
    """Of an SML port."""
    output: bool = False
    """It sits at the output of a DC EVSE and shows that on L1."""
    supplies: str = ""
    """Id of the station whose whole supply it sits in; empty: it sees the EVSEs that name it."""


@dataclass(frozen=True, slots=True)
class EmulatorSpec:
    """What holds for all stations."""

    supply_voltage_v: float = 230.0
    supply_steps: tuple[tuple[float, float], ...] = ()
    """Another voltage of the supply: seconds from the start on, V."""
    meter_values_interval_s: int = 300
    pwm_delay_s: float = 1.0
    phase_switch_pause_s: float = 10.0
    """How long a station offers nothing when it switches phases."""
    house_load_w: float = 0.0
    """What a building draws beside its EVSEs, as a meter sees it that no EVSE names."""
    station_meter: Distortion = NO_DISTORTION
    """Errors of the stations' own meters."""
    tells_offered: bool = True
    """MeterValues say Current.Offered and Power.Offered."""


@dataclass(frozen=True, slots=True)
class RigSpec:
    """The whole rig."""

    stations: tuple[StationSpec, ...]
    meters: Mapping[str, MeterSpec]
    emulator: EmulatorSpec
    lines: Mapping[str, LineSpec] = field(default_factory=dict)
    host: str = "127.0.0.1"
    """Where the meters listen."""
    ca_file: str | None = None
    relays: Mapping[str, RelaySpec] = field(default_factory=dict)
    """Relay boards by name."""
    instruments: Mapping[str, InstrumentSpec] = field(default_factory=dict)
    """EV emulators that speak SCPI, by name."""


_NOT_OURS: Final = ("time", "product_tolerance_a", "preset", "station_meter_percent", "random_delay_variable")
"""Keys of a rig that concern only who runs it."""
P1_VERSIONS: Final = ("2.2", "4", "5", "fluvius", "luxembourg", "sweden")
_WORDS: Final = {
    "current_type": ("AC", "DC"),
    "local_limit": ("filler", "cap"),
    "relative_anchor": ("transaction_start", "power_path_closed", "received"),
}


def read_spec(data: Mapping[str, Any]) -> RigSpec:
    """Check plain data. Raises ValueError that names key, value and reason.

    Keys: `stations` (`id`, `password`, `evses`, `features`, `max_current_a`), `meters` (by name:
    `register_map`, `unit_id`, `port`, `line`, `distortion`), `lines` (by name: see
    `LineSpec`), `relays` and `instruments` (by name, see
    `relay.RelaySpec`, `scpi.InstrumentSpec`),
    `host`, and `emulator` (`supply_voltage_v`, `supply_steps`, `meter_values_interval_s`, `pwm_delay_s`,
    `phase_switch_pause_s`, `station_meter`, `tells_offered`, `ca_file`).
    """
    _only(data, "spec", "stations", "meters", "lines", "relays", "instruments", "emulator", "host")
    lines = {name: _line(entry, f"lines.{name}") for name, entry in data.get("lines", {}).items()}
    meters = {name: _meter(entry, f"meters.{name}") for name, entry in data.get("meters", {}).items()}
    _check_places(meters, lines)
    stations = tuple(_station(entry, f"stations[{index}]") for index, entry in enumerate(data["stations"]))
    for station in stations:
        for evse in station.evses:
            if evse.meter and evse.meter not in meters:
                known = ", ".join(meters) or "none"
                raise ValueError(f"EVSE {evse.id} of {station.id}: unknown meter {evse.meter!r}; known: {known}")
    for name, meter in meters.items():
        if meter.supplies and meter.supplies not in [one.id for one in stations]:
            raise ValueError(f"meters.{name}.supplies = {meter.supplies!r}: there is no such station")
    if len({station.id for station in stations}) != len(stations):
        raise ValueError("stations: ids must be unique")
    relays = {name: RelaySpec.from_data(entry, f"relays.{name}") for name, entry in data.get("relays", {}).items()}
    instruments = {
        name: InstrumentSpec.from_data(entry, f"instruments.{name}") for name, entry in data.get("instruments", {}).items()
    }
    emulator = dict(data.get("emulator", {}))
    ca_file = emulator.pop("ca_file", None)
    host = str(data.get("host", "127.0.0.1"))
    return RigSpec(stations, meters, _emulator(emulator), lines, host, ca_file, relays, instruments)


def _station(entry: Mapping[str, Any], where: str) -> StationSpec:
    _only(entry, where, "id", "password", "evses", "features", "max_current_a", "own_draw_w")
    _number(entry, "own_draw_w", where, 0)
    max_current_a = entry.get("max_current_a")
    if max_current_a is not None:
        _number(entry, "max_current_a", where, 6)
    evses = tuple(_evse(one, f"{where}.evses[{index}]") for index, one in enumerate(entry["evses"]))
    if [evse.id for evse in evses] != list(range(1, len(evses) + 1)) or not evses:
        raise ValueError(f"{where}.evses: EVSEs are numbered 1, 2, 3 … in order")
    features = {key: value for key, value in entry.get("features", {}).items() if key not in _NOT_OURS}
    _only(features, f"{where}.features", *FeatureSpec.__slots__)
    if "rate_units" in features:
        features["rate_units"] = tuple(features["rate_units"])
        if not features["rate_units"] or any(unit not in ("A", "W") for unit in features["rate_units"]):
            raise ValueError(f"{where}.features.rate_units = {features['rate_units']!r}: must be A, W or both")
    for key, value in features.items():
        default = getattr(FeatureSpec(), key)
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise ValueError(f"{where}.features.{key} = {value!r}: must be true or false")  # noqa: TRY004  bad input
        elif isinstance(default, str):
            if value not in _WORDS[key]:
                raise ValueError(f"{where}.features.{key} = {value!r}: must be one of {', '.join(_WORDS[key])}")
        elif key != "rate_units":
            _number(features, key, f"{where}.features", 0)
    own_draw_w = float(entry.get("own_draw_w", 0))
    return StationSpec(str(entry["id"]), evses, entry.get("password"), FeatureSpec(**features), max_current_a, own_draw_w)


def _evse(entry: Mapping[str, Any], where: str) -> EvseSpec:
    _only(entry, where, *EvseSpec.__slots__)
    _number(entry, "max_current_a", where, 6, 80)
    phases = tuple(entry.get("phases", (1, 2, 3)))
    if not phases or len(set(phases)) != len(phases) or any(phase not in (1, 2, 3) for phase in phases):
        raise ValueError(f"{where}.phases = {list(phases)!r}: must be one to three distinct phases")
    return EvseSpec(int(entry["id"]), float(entry.get("max_current_a", 32)), str(entry.get("meter", "")), phases)


def _meter(entry: Mapping[str, Any], where: str) -> MeterSpec:
    _only(entry, where, *MeterSpec.__slots__)
    _number(entry, "unit_id", where, 1, 247)
    _number(entry, "port", where, 0, 65535)
    distortion = Distortion.from_spec(entry.get("distortion", {}), f"{where}.distortion")
    kind, version = entry.get("kind", "modbus"), entry.get("version", "5")
    if kind not in ("modbus", "p1", "sml"):
        raise ValueError(f"{where}.kind = {kind!r}: must be modbus, p1 or sml")
    if version not in P1_VERSIONS:
        raise ValueError(f"{where}.version = {version!r}: must be one of {', '.join(P1_VERSIONS)}")
    _number(entry, "baud", where, 300)
    output, supplies = entry.get("output", False) is True, str(entry.get("supplies", ""))
    if kind == "modbus" and "register_map" not in entry:
        raise ValueError(f"{where}.register_map is missing")
    register_map, baud = Path(entry.get("register_map", ".")), int(entry.get("baud", 9600))
    unit_id, port, line = int(entry.get("unit_id", 1)), int(entry.get("port", 0)), str(entry.get("line", ""))
    return MeterSpec(register_map, unit_id, port, line, distortion, kind, version, baud, output, supplies)


def _line(entry: Mapping[str, Any], where: str) -> LineSpec:
    _only(entry, where, *LineSpec.__slots__)
    for key, known in (("kind", ("serial", "modbus-tcp", "rtu-over-tcp")), ("parity", ("N", "E", "O")), ("stop_bits", (1, 2))):
        if key in entry and entry[key] not in known:
            raise ValueError(f"{where}.{key} = {entry[key]!r}: must be one of {', '.join(map(str, known))}")
    _number(entry, "port", where, 0, 65535)
    _number({"baud": 9600, **entry}, "baud", where, 300, 921_600)
    _number(entry, "turnaround_s", where, 0, 60)
    return LineSpec(**entry)


def _check_places(meters: Mapping[str, MeterSpec], lines: Mapping[str, LineSpec]) -> None:
    taken: dict[tuple[str, int], str] = {}
    for name, meter in meters.items():
        if not meter.line:
            continue
        if meter.line not in lines:
            raise ValueError(f"meters.{name}.line = {meter.line!r}: lines here: {', '.join(lines) or 'none'}")
        other = taken.setdefault((meter.line, meter.unit_id), name)
        if other != name:
            raise ValueError(f"meters.{name}.unit_id = {meter.unit_id}: {other} has it on line {meter.line!r}")


def _emulator(entry: Mapping[str, Any]) -> EmulatorSpec:
    values = {key: value for key, value in entry.items() if key not in _NOT_OURS}
    _only(values, "emulator", *EmulatorSpec.__slots__)
    values["station_meter"] = Distortion.from_spec(values.get("station_meter", {}), "emulator.station_meter")
    _number(values, "supply_voltage_v", "emulator", 1, 1000)
    values["supply_steps"] = tuple((float(at_s), float(volts)) for at_s, volts in values.get("supply_steps", ()))
    _number(values, "meter_values_interval_s", "emulator", 0)
    _number(values, "house_load_w", "emulator", 0)
    _number(values, "pwm_delay_s", "emulator", 0, 600)
    _number(values, "phase_switch_pause_s", "emulator", FORCED_OPEN_S + 1, 600)
    if not isinstance(values.get("tells_offered", True), bool):
        raise ValueError(f"emulator.tells_offered = {values['tells_offered']!r}: must be true or false")  # noqa: TRY004  bad input
    return EmulatorSpec(**values)


def _only(entry: Mapping[str, Any], where: str, *known: str) -> None:
    for key in entry:
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}; known: {', '.join(known)}")


def _number(entry: Mapping[str, Any], key: str, where: str, low: float, high: float = float("inf")) -> None:
    value = entry.get(key, low)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{where}.{key} = {value!r}: must be a number from {low:g} to {high:g}")

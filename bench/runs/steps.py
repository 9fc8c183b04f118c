"""What every step of a procedure is made of: one run's shared state, and the EVSE that a step acts on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.cso.station import Transaction
from bench.domain.documents import Kind
from bench.domain.link import BackOff
from bench.domain.oracle import Supply
from bench.errors import NotApplicableError, RigError, StationError, UsageError
from bench.ports import RigControl
from bench.runs.bench import Bench
from bench.runs.dead_man import DeadMan
from bench.runs.facts import readings
from bench.runs.floor import needs_contactor, takes_floor
from bench.runs.live import LiveLimits
from bench.runs.sampler import Sampler
from bench.runs.snapshot import Snapshot
from bench.settings.rig import EvseSettings, StationSettings
from bench.settings.scenario import ScenarioSettings, under_test


@dataclass(slots=True)
class Course:
    """What all views of one run share: the bench, the station under test, and what has been touched so far."""

    bench: Bench
    scenario: ScenarioSettings
    station: StationSettings
    began: float
    snapshot: Snapshot
    steps: int = 0
    profile_ids: dict[tuple[str, int, int, str], int] = field(default_factory=dict)
    """One id per purpose, EVSE, stack level and transaction: a new profile replaces the old one (K01.FR.05, FR.06, FR.39)."""
    own_ids: set[int] = field(default_factory=set)
    """Ids of all profiles that the run has sent."""
    availability: set[tuple[int, int]] = field(default_factory=set)
    """What ChangeAvailability was sent for: evseId and connectorId, 0 for all."""
    supply_changed: bool = False
    """The AC source is to give back the nominal voltage."""
    external_sources: set[str] = field(default_factory=set)
    """Whose external limits are in force."""
    heard: dict[tuple[int, str], int] = field(default_factory=dict)
    """By EVSE and action: how many messages of an ISO 15118 EV a step has waited for."""
    back_off: BackOff | None = None
    """How the station waits before it connects again; None as long as it was not asked."""
    network_back_at: float = 0.0
    """When the last outage that a step caused ends, on the clock's monotonic seconds."""
    outage_s: float = 0.0
    """How long that outage is."""
    samplers: dict[int, Sampler] = field(default_factory=dict)
    """By EVSE; none where no meter measures it."""
    limits: dict[int, LiveLimits] = field(default_factory=dict)
    look_at: Callable[[int], None] = lambda evse_id: None
    """Begins to read the meter of an EVSE, once."""
    floor_level: int | None = None
    """Stack level of the floor, where nothing else keeps power down; then no step takes it away."""
    dead_man: DeadMan | None = None
    """Renews what the steps send; None without one."""

    @classmethod
    def of(cls, bench: Bench, scenario: ScenarioSettings) -> Course:
        """Begin a run on the station that the scenario names. Raises UsageError."""
        station, _ = under_test(bench.settings, scenario)
        course = cls(bench, scenario, station, bench.clock.monotonic(), Snapshot(station.id))
        supply = Supply(station.features.nominal_voltage_v, station.features.supply_phases)
        options = readings(station.features.model_dump())
        course.limits = {evse.id: LiveLimits(bench.clock, station.id, evse.id, supply, options) for evse in station.evse}
        return course

    def fresh_id(self) -> int:
        """Return an id that no profile has that was found in the station or sent by the run."""
        taken = self.own_ids | set(self.profile_ids.values()) | {one["profile"]["id"] for one in self.snapshot.profiles or ()}
        return next(number for number in range(1, len(taken) + 2) if number not in taken)


class Steps:
    """One EVSE of the station under test; each method of the subclasses is one step, written down as it begins and ends."""

    def __init__(self, course: Course, evse_id: int) -> None:
        evse = next((one for one in course.station.evse if one.id == evse_id), None)
        if evse is None:
            raise UsageError(f"{course.station.id} has EVSEs 1 to {len(course.station.evse)}; there is no EVSE {evse_id}")
        self.course = course
        self.bench: Bench = course.bench
        self.scenario: ScenarioSettings = course.scenario
        self.station: StationSettings = course.station
        self.evse: EvseSettings = evse

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the run began."""
        return self.bench.clock.monotonic() - self.course.began

    @property
    def limits(self) -> LiveLimits:
        """Return what limits this EVSE now, as far as the bench knows."""
        return self.course.limits[self.evse.id]

    @property
    def sampler(self) -> Sampler | None:
        """Return what reads this EVSE's meter; None where none measures it."""
        return self.course.samplers.get(self.evse.id)

    @property
    def transaction(self) -> Transaction | None:
        """Return the transaction that runs on this EVSE."""
        return self.bench.csms.stations[self.station.id].active_transaction(self.evse.id)

    def last_ended(self, evse_id: int | None = None) -> str:
        """Return the id of the last transaction that ended on an EVSE, this one by default. Raises StationError."""
        place = self.evse.id if evse_id is None else evse_id
        known = self.bench.csms.stations[self.station.id].transactions.values()
        ended = [one.transaction_id for one in known if one.evse_id == place and one.ended is not None]
        if not ended:
            raise StationError(f"{self.station.id}: no transaction has ended on EVSE {place} yet")
        return ended[-1]

    @asynccontextmanager
    async def step(self, name: str, **settings: Any) -> AsyncIterator[None]:
        """Write a step's begin and end around what is done inside."""
        self.course.steps += 1
        number, journal = self.course.steps, self.bench.journal
        journal.write(Kind.STEP_START, {"step": number, "name": name, "at_s": round(self.elapsed_s, 6), **settings})
        end = {"step": number, "name": name, "outcome": "done", "detail": ""}
        try:
            yield
        except NotApplicableError as error:
            journal.write(Kind.STEP_END, {**end, "outcome": "skipped", "detail": str(error), "not_applicable": str(error)})
            raise
        except BaseException as error:
            journal.write(Kind.STEP_END, {**end, "outcome": "failed", "detail": str(error) or type(error).__name__})
            raise
        journal.write(Kind.STEP_END, end)

    async def needs(
        self,
        *features: str,
        evses: int = 1,
        unit: str | None = None,
        phases: int | None = None,
        current_type: str | None = None,
        without: str | None = None,
    ) -> None:
        """End the run as NOT_APPLICABLE unless the target declares these features and has so many EVSEs, phases …

        Args:
            features: fields of the target file that are true or false, such as "external_limits" or "iso15118".
            without: one that it must not declare; or a rate unit, A or W.
        Raises: NotApplicableError; UsageError for a feature that there is not.
        """
        declared = self.station.features
        lacking = [name for name in features if not self._declares(name)]
        lacking += [f"{evses} EVSEs"] if len(self.station.evse) < evses else []
        lacking += [f"the rate unit {unit}"] if unit is not None and unit not in declared.rate_units else []
        lacking += [f"{phases} phases"] if phases is not None and declared.supply_phases < phases else []
        lacking += [f"{current_type} charging"] if current_type not in (None, declared.current_type) else []
        if lacking:
            async with self.step("needs", features=lacking):
                raise NotApplicableError(f"{self.station.id} does not have {', '.join(lacking)}")
        if without in declared.rate_units or (without not in (None, "A", "W") and self._declares(str(without))):
            async with self.step("needs", without=without):
                raise NotApplicableError(f"{self.station.id} has {without}")

    async def refused(self, feature: str, answer: str) -> None:
        """Note that the station refused what `feature` names: FAIL where the target declares it, else NOT_APPLICABLE.

        Raises: NotApplicableError where it is not declared; StationError where it is, for the rest cannot be shown.
        """
        if not self._declares(feature):
            async with self.step("refused", feature=feature):
                raise NotApplicableError(f"{self.station.id} does not declare {feature} and refuses it: {answer}")
        self.course.steps += 1
        text = f"{feature} is declared and yet refused: {answer}"
        start = {"step": self.course.steps, "name": "refused", "at_s": round(self.elapsed_s, 6), "feature": feature}
        self.bench.journal.write(Kind.STEP_START, start)
        end = {"step": self.course.steps, "name": "refused", "outcome": "failed", "detail": text, "refused": text}
        self.bench.journal.write(Kind.STEP_END, end)
        raise StationError(f"{self.station.id}: {text}")

    def _declares(self, feature: str) -> bool:
        declared = getattr(self.station.features, feature, None)
        if not isinstance(declared, int):  # true, false, or a number that is 0 where there is none
            raise UsageError(f"{feature!r} is no feature of a target that is true or false")
        return bool(declared)

    async def wait_until(self, at_s: float) -> None:
        """Wait until so many seconds after the run's begin."""
        await self.bench.clock.sleep(at_s - self.elapsed_s)

    async def wait(self, seconds: float) -> None:
        """Wait for so many seconds of the run's time."""
        await self.bench.clock.sleep(seconds)

    def want(self, evse_id: int | None, action: str, **more: Any) -> None:
        """Write down what is wanted of the station, before the CSMS acts on it; see `Kind.INTENT`."""
        data = {"station": self.station.id, "evse": evse_id, "by": "operator", "action": action, **more}
        self.bench.journal.write(Kind.INTENT, data)

    def want_profile(self, evse_id: int, profile: Mapping[str, Any], *, of_running: bool = False) -> None:
        """Write down that a ChargingProfileType is wanted; for whichever transaction runs on the EVSE, where `of_running`."""
        identity, purpose = profile.get("id"), profile.get("chargingProfilePurpose")
        self.want(evse_id, "limit", profile_id=identity, purpose=purpose, profile=dict(profile), of_running=of_running)

    async def call(self, action: str, payload: dict[str, Any], *, check: bool = True) -> dict[str, Any]:
        """Send any OCPP call and return its answer; without `check` also a broken one. Raises StationError."""
        async with self.step("call", action=action):
            self.keep_floor(action, payload)
            if check and action == "SetChargingProfile":
                self.want_profile(payload["evseId"], payload["chargingProfile"])
            elif check and action == "ClearChargingProfile":
                self.want(None, "release", request=dict(payload))
            return await self.bench.csms.call(self.station.id, action, payload, check=check)

    def keep_floor(self, action: str, payload: Mapping[str, Any]) -> None:
        """Refuse a call that would take the floor away where nothing else keeps power down. Raises RigError."""
        level = self.course.floor_level
        if level is not None and takes_floor(action, payload, level):
            raise needs_contactor(self.station.id, f"{action} was not sent, for it tests defaults and takes the floor away")

    async def act(self, action: str, **arguments: Any) -> None:
        """Act on the physical side of the station, and write it down first. Raises RigError."""
        control = _control(self.bench, self.station.id, action)
        self.bench.journal.write(Kind.RIG_ACTION, {"station": self.station.id, "action": action, **arguments})
        try:
            await getattr(control, action)(**arguments)
        except ValueError as error:
            raise RigError(f"{self.station.id}: {action}: {error}") from error


def _control(bench: Bench, station: str, action: str) -> RigControl:
    control = bench.controls.get(station)
    if control is None:
        raise RigError(f"nothing can {action} at {station}: the rig file has neither [emulator] nor [control] nor [operator]")
    return control

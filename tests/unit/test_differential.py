"""The oracle against the emulated firmware on random stations: two authors, one text.

The oracle paints a whole timeline, the firmware decides pointwise; they share no code and are told the same facts as plain data.
A disagreement is settled from OCPP 2.0.1, never from the other implementation, and becomes a golden case in
test_oracle_golden.py, test_firmware_limiter.py or test_firmware_composite.py.

Left out: two profiles of one purpose and stack level, which may not be installed, and what the text has no word on, the number
of phases of a sum in which an EVSE without any profile takes part.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from ocpp.charge_point import camel_to_snake_case

from bench.domain.composite import CompositeCase, Local, as_asked, expected_composite
from bench.domain.oracle import ExpectedLimit, OracleOptions, Supply, Transaction, expected_limit, expected_station_limit
from bench.domain.profiles import ChargingProfile, InstalledProfile
from bench.domain.quantities import moment
from bench.domain.timeline import Window
from firmware_sim.composite import EvseView, StationView, composite_schedule
from firmware_sim.limiter import Limiter, Ruling
from firmware_sim.profiles import Profile, profile_from

STACKS: Final = 20_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 300
T0: Final = 1_767_225_600  # 2026-01-01T00:00:00Z
LENGTH: Final = 4000
VOLTS: Final = 230.0
DC_W_PER_A: Final = 400.0
TX, TX_DEFAULT, STATION_MAX, EXTERNAL = (
    "TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile", "ChargingStationExternalConstraints",
)  # fmt: skip
PLACES: Final = {TX: (1, 2), TX_DEFAULT: (0, 1, 2), STATION_MAX: (0,), EXTERNAL: (0, 0, 1, 2)}
PHASES: Final[tuple[dict[str, int], ...]] = (
    {}, {}, {"numberPhases": 1}, {"numberPhases": 2}, {"numberPhases": 3}, {"numberPhases": 1, "phaseToUse": 2},
)  # fmt: skip
SAID_BY: Final = ((TX, "CSO"), (TX_DEFAULT, "CSO"), (STATION_MAX, "CSO"), (EXTERNAL, "EMS"), (EXTERNAL, "SO"))
"""Purposes, with the source of each."""


@dataclass(frozen=True)
class Entry:
    """One installed profile, as plain data."""

    evse_id: int
    source: str
    received: int
    raw: dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """A station with two EVSEs, as both sides are told."""

    stack: list[Entry]
    began: dict[int, int]
    """When the transaction tx-N of EVSE N began; EVSEs without one are left out."""
    dc: bool
    supply_phases: int
    local_a: float
    local_limit: str
    anchor: str
    unit: str

    @property
    def volts(self) -> float:
        """What one ampere costs in W, on one phase or on DC."""
        return DC_W_PER_A if self.dc else VOLTS


def stamp(offset: int) -> str:
    """Return T0 + offset as the wire has it."""
    return moment(T0 + offset).strftime("%Y-%m-%dT%H:%M:%SZ")


@st.composite
def stations(draw: st.DrawFn, direct_current: tuple[bool, ...] = (False, False, False, True)) -> Facts:
    """Return a station with up to eight profiles, purpose, source and stack level unique (K01.FR.06, FR.39, FR.52, FR.53)."""
    dc, unit = draw(st.sampled_from(direct_current)), draw(st.sampled_from("AW"))
    keys = draw(st.lists(st.tuples(st.sampled_from(SAID_BY), st.integers(0, 3)), max_size=8, unique=True))
    units = unit if dc else "AW"
    stack = [_entry(draw, number, purpose, source, level, units) for number, ((purpose, source), level) in enumerate(keys, 1)]
    began = {evse_id: T0 - draw(st.integers(0, 2000)) for evse_id in (1, 2) if draw(st.booleans())}
    return Facts(
        stack, began, dc, draw(st.sampled_from((3, 3, 1))), draw(st.sampled_from((16.0, 32.0))),
        draw(st.sampled_from(("filler", "cap"))),
        draw(st.sampled_from(("transaction_start", "power_path_closed", "received"))), unit,
    )  # fmt: skip


def _entry(draw: st.DrawFn, identity: int, purpose: str, source: str, level: int, units: str) -> Entry:
    kind = draw(st.sampled_from(("Absolute", "Recurring", "Relative")[: 2 if purpose == STATION_MAX else 3]))
    unit, evse_id = draw(st.sampled_from(units)), draw(st.sampled_from(PLACES[purpose]))
    highest = 400 if unit == "A" else 276_000
    starts = [0, *sorted(draw(st.sets(st.integers(1, 3000), max_size=3)))]
    limits = st.integers(0, highest)
    schedule: dict[str, Any] = {
        "id": identity,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [
            {"startPeriod": at, "limit": draw(limits) / 10, **draw(st.sampled_from(PHASES))} for at in starts
        ],
    }
    if kind != "Relative":
        schedule["startSchedule"] = stamp(draw(st.integers(-700_000, 3000)))
    if draw(st.booleans()):
        schedule["duration"] = draw(st.integers(1, 90_000))
    raw: dict[str, Any] = {
        "id": identity,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [schedule],
    }
    if kind == "Recurring":
        raw["recurrencyKind"] = draw(st.sampled_from(("Daily", "Weekly")))
    if purpose == TX:
        raw["transactionId"] = f"tx-{evse_id}"
    if draw(st.booleans()):
        raw["validFrom"] = stamp(draw(st.integers(-1000, 3000)))
    if draw(st.booleans()):
        raw["validTo"] = stamp(draw(st.integers(-500, 5000)))
    return Entry(evse_id, source, T0 - draw(st.integers(0, 3000)), raw)


def _oracle_store(facts: Facts) -> list[InstalledProfile]:
    return [
        InstalledProfile(one.evse_id, ChargingProfile.from_ocpp(one.raw), one.received, one.source) for one in facts.stack
    ]


def _options(facts: Facts) -> OracleOptions:
    return OracleOptions(local_limit=facts.local_limit, relative_anchor=facts.anchor)  # type: ignore[arg-type]


def _transaction(facts: Facts, evse_id: int) -> Transaction | None:
    """Return a transaction; where the power path is the anchor, it closes only a while after the start."""
    began = facts.began.get(evse_id)
    if began is None:
        return None
    if facts.anchor == "power_path_closed":
        return Transaction(f"tx-{evse_id}", began - 40, began)
    return Transaction(f"tx-{evse_id}", began)


def _firmware_store(facts: Facts) -> list[Profile]:
    return [
        profile_from(one.evse_id, camel_to_snake_case(one.raw), source=one.source, received_at=one.received)
        for one in facts.stack
    ]


def _moments(starts: list[float] | list[int]) -> list[int]:
    """Return each breakpoint, one second before and one after, inside the window."""
    near = {int(at) + shift for at in starts for shift in (-1, 0, 1)} | {T0 + LENGTH - 1}
    return sorted(one for one in near if T0 <= one < T0 + LENGTH)


def _told(limit: ExpectedLimit | None) -> tuple[float, int] | None:
    return None if limit is None else (round(limit.limit_a, 6), limit.number_phases)


def _ruled(ruling: Ruling | None, phases: int) -> tuple[float, int] | None:
    """Return what the limiter rules on an EVSE or a grid with so many phases."""
    return None if ruling is None else (round(ruling.amps, 6), min(phases, ruling.number_phases))


@settings(max_examples=STACKS)
@given(stations((False,)))
def test_limits_agree(facts: Facts) -> None:
    """At every breakpoint and 1 s either side: A per phase and phases, of an EVSE and of the station, on AC."""
    window, supply, options = Window(T0, T0 + LENGTH), Supply(VOLTS, facts.supply_phases), _options(facts)
    installed, store, firmware = _oracle_store(facts), _firmware_store(facts), Limiter(VOLTS, anchor=facts.anchor)
    own = expected_limit(installed, 1, window, _transaction(facts, 1), supply, options)
    station = expected_station_limit(installed, window, supply, options)
    began = facts.began.get(1)
    here = store if began is not None else [one for one in store if one.purpose != TX_DEFAULT]
    for at in _moments([*own.starts, *station.starts]):
        ruling = firmware.ruling(here, 1, at, transaction_id="tx-1" if began else None, transaction_start=began)
        assert _told(own.at(at)) == _ruled(ruling, facts.supply_phases), f"EVSE 1 at T0 + {at - T0} s"
        assert _told(station.at(at)) == _ruled(firmware.shared(store, at), facts.supply_phases), f"station at T0 + {at - T0} s"


@settings(max_examples=STACKS)
@given(stations(), st.sampled_from((0, 1, 2)))
def test_composite_schedules_agree(facts: Facts, evse_id: int) -> None:
    """At every breakpoint of either and 1 s either side: the limit in the unit asked for, and the number of phases."""
    expected, reported = _expected(facts, evse_id), _reported(facts, evse_id)
    limiter, store = Limiter(facts.volts, dc=facts.dc, anchor=facts.anchor), _firmware_store(facts)
    for at in _moments([*expected, *reported]):
        limit, phases = expected[max(one for one in expected if one <= at)]
        told, told_phases = reported[max(one for one in reported if one <= at)]
        assert limit is not None
        assert told is not None
        assert -1e-5 < limit - told < 0.1 + 1e-5, f"T0 + {at - T0} s: expected {limit}, reported {told} {facts.unit}"
        if phases != told_phases and phases is not None:
            text = f"T0 + {at - T0} s: expected {phases}, reported {told_phases} phases"
            assert evse_id == 0, text
            assert not _all_ruled(facts, limiter, store, at), text


Steps = Mapping[int, tuple[float | None, int | None]]


def _expected(facts: Facts, evse_id: int) -> Steps:
    """Return the oracle's limit and phases by moment; phases None where they are not compared."""
    window = Window(T0, T0 + LENGTH)
    begun = {one: _transaction(facts, one) or Transaction("", T0) for one in (1, 2)}
    installed = tuple(_oracle_store(facts))
    if facts.dc:
        held = [one for one in installed if one.profile.transaction_id is None or one.evse_id in facts.began]
        installed = as_asked(held, direct_current=True)
    case = CompositeCase(
        installed, window, facts.unit, evse_id, begun, facts.dc, facts.volts,
        Local(facts.local_a, facts.local_a * facts.volts * (1 if facts.dc else 3)), _options(facts),
    )  # fmt: skip
    return {T0 + int(one.start_s): (one.limit, one.number_phases) for one in expected_composite(case)}


def _all_ruled(facts: Facts, limiter: Limiter, store: list[Profile], at: int) -> bool:
    """Tell whether a profile limits each EVSE at a moment, so that all of them have a number of phases."""
    return all(
        limiter.ruling(
            store, one, at, transaction_id=f"tx-{one}" if one in facts.began else None,
            transaction_start=facts.began.get(one, T0), with_shared=False,
        )
        for one in (1, 2)
    )  # fmt: skip


def _reported(facts: Facts, evse_id: int) -> Steps:
    """Return what the firmware reports, by moment."""
    limiter = Limiter(facts.volts, dc=facts.dc, anchor=facts.anchor)
    views = [
        EvseView(one, facts.local_a, 1 if facts.dc else 3, f"tx-{one}" if one in facts.began else None, facts.began.get(one))
        for one in (1, 2)
    ]
    station = StationView(views, local_limit=facts.local_limit)
    found = composite_schedule(_firmware_store(facts), limiter, station, evse_id, T0, LENGTH, facts.unit)
    return {T0 + one.start_s: (one.limit, one.number_phases) for one in found.periods}

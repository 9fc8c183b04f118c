"""The oracle against the emulated firmware on random profile stacks: two authors, one text.

The oracle paints a whole timeline, the firmware decides pointwise; they share no code. A disagreement is settled from OCPP 2.0.1,
never from the other implementation, and becomes a golden case in test_oracle.py.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ocpp.charge_point import camel_to_snake_case

from bench.domain.oracle import ExpectedLimit, Supply, Transaction, expected_limit
from bench.domain.profiles import ChargingProfile, InstalledProfile
from bench.domain.quantities import moment
from bench.domain.timeline import Window
from firmware_sim.limiter import Limiter
from firmware_sim.profiles import profile_from

T0 = 1_767_225_600  # 2026-01-01T00:00:00Z
LENGTH = 4000
TX_START = T0 - 500
PURPOSES = ("TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile")


def stamp(offset: int) -> str:
    """Return T0 + offset as the wire has it."""
    return moment(T0 + offset).strftime("%Y-%m-%dT%H:%M:%SZ")


@st.composite
def profiles(draw: st.DrawFn) -> list[tuple[int, dict[str, Any]]]:
    """Return up to eight profiles with their EVSE; purpose, EVSE and stack level never twice (K01.FR.06, FR.39, FR.52, FR.53)."""
    keys = draw(st.lists(st.tuples(st.sampled_from(PURPOSES), st.integers(0, 3)), max_size=8, unique=True))
    return [_profile(draw, number + 1, purpose, level) for number, (purpose, level) in enumerate(keys)]


def _profile(draw: st.DrawFn, identity: int, purpose: str, level: int) -> tuple[int, dict[str, Any]]:
    kinds = ("Absolute", "Recurring") if purpose == "ChargingStationMaxProfile" else ("Absolute", "Recurring", "Relative")
    kind, unit = draw(st.sampled_from(kinds)), draw(st.sampled_from("AW"))
    starts = [0, *sorted(draw(st.sets(st.integers(1, 3000), max_size=4)))]
    highest = 40 if unit == "A" else 27_600
    schedule: dict[str, Any] = {
        "id": identity,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [
            {"startPeriod": at, "limit": draw(st.integers(0, highest * 10)) / 10}
            | draw(st.sampled_from(({}, {}, {"numberPhases": 1}, {"numberPhases": 2}, {"numberPhases": 3})))
            for at in starts
        ],
    }
    if kind != "Relative":
        schedule["startSchedule"] = stamp(draw(st.integers(-200_000, 3000)))
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
    if purpose == "TxProfile":
        raw["transactionId"] = "tx-1"
    if draw(st.booleans()):
        raw["validFrom"] = stamp(draw(st.integers(-1000, 3000)))
    if draw(st.booleans()):
        raw["validTo"] = stamp(draw(st.integers(-500, 5000)))
    evse_id = {"ChargingStationMaxProfile": 0, "TxProfile": 1}.get(purpose)
    return draw(st.sampled_from((0, 1))) if evse_id is None else evse_id, raw


@given(profiles())
def test_oracle_and_firmware_agree(stack: list[tuple[int, dict[str, Any]]]) -> None:
    """At every breakpoint, one second before and one after: the same limit per phase and the same number of phases."""
    installed = [InstalledProfile(evse_id, ChargingProfile.from_ocpp(raw)) for evse_id, raw in stack]
    window = Window(T0, T0 + LENGTH)
    line = expected_limit(installed, 1, window, Transaction("tx-1", TX_START), Supply(230.0, 3))
    store = [profile_from(evse_id, camel_to_snake_case(raw)) for evse_id, raw in stack]
    firmware = Limiter(230.0)
    moments = {at + shift for at in line.starts for shift in (-1, 0, 1)} | {T0 + LENGTH - 1}
    for at in sorted(one for one in moments if T0 <= one < T0 + LENGTH):
        ruling = firmware.ruling(store, 1, at, transaction_id="tx-1", transaction_start=TX_START)
        decided = ruling and (round(ruling.amps, 6), ruling.number_phases)
        assert _rounded(line.at(at)) == decided, f"at T0 + {at - T0} s"


def _rounded(limit: ExpectedLimit | None) -> tuple[float, int] | None:
    return None if limit is None else (round(limit.limit_a, 6), limit.number_phases)

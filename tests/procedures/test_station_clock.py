"""A station whose clock the bench shifts: its midnight comes within two minutes, and all of it is judged."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from bench.adapters.clock import VirtualLoop
from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Kind
from bench.domain.verdicts import Verdict
from bench.errors import UsageError
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, open_run
from bench.rig.verify import verify_run
from bench.settings.moments import parse_moment
from tests.support import DEEP

BEFORE_MIDNIGHT: Final = datetime(2026, 3, 28, 23, 58, tzinfo=UTC)
DAILY: Final[dict[str, Any]] = {
    "id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Recurring",
    "recurrencyKind": "Daily",
    "chargingSchedule": [{
        "id": 1, "startSchedule": "2026-03-01T00:00:00Z", "chargingRateUnit": "A", "duration": 86_400,
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}, {"startPeriod": 43_200, "limit": 12.0}],
    }],
}  # fmt: skip
"""From midnight on 8 A, from noon on 12 A, each day."""


async def across_midnight(out: Path) -> Outcome:
    """Charge across the station's midnight under a daily profile, then under an absolute one from then on."""
    scenario_path, scenario = find_scenario("lowered-limit")
    rig_path, rig = find_rig("emulated")
    async with open_run(Order(scenario, scenario_path, rig, rig_path, out, station_clock=BEFORE_MIDNIGHT, pages=DEEP)) as run:
        procedure = run.procedure
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        await procedure.wait_until(20)
        request = {"evseId": 1, "chargingProfile": DAILY}
        await procedure.bench.csms.call(procedure.station.id, "SetChargingProfile", request)
        procedure.course.own_ids.add(1)
        await procedure.read_back()
        await procedure.composite(300, "A")
        await procedure.wait_until(200)
        await procedure.set_profile([(0, 6.0)], stack_level=1)
        await procedure.composite(300, "A")
        await procedure.wait_until(260)
    assert run.outcome is not None
    return run.outcome


def test_a_daily_profile_is_judged_across_the_stations_midnight(tmp_path: Path) -> None:
    """12 A, 8 A from the station's midnight (120 s after the clock was served), then 6 A; and the clock is set right again."""
    out = tmp_path / "run"
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        outcome = runner.run(across_midnight(out))
    judgement = outcome.judgement
    assert judgement.verdict.verdict is Verdict.PASS, judgement.verdict.headline
    documents = read_journal(out / "journal.jsonl").documents
    began = 1768435200.0  # 2026-01-15T00:00Z, where the scenario's seconds begin
    steps = [(max(0.0, one.start - began), one.value.limit_a if one.value else None)
             for one in judgement.traces[0].limits.segments()]  # fmt: skip
    assert steps == [(0.0, None), (20.0, 12.0), (120.0, 8.0), (200.0, 6.0)]
    clocks = [one for one in documents if one.kind == Kind.SETTING and one.data["what"] == "station_clock"]
    assert [one.data["value"]["measured_s"] for one in clocks] == pytest.approx([6_307_080.0, 0.0], abs=1.0)
    safe = [one.seq for one in documents if one.kind == Kind.SAFE_STATE and one.data["stop"]]
    assert max(safe) < clocks[-1].seq  # the safe state does not wait for the clock
    assert verify_run(out).sound


def test_a_plan_for_the_true_time_is_refused(tmp_path: Path) -> None:
    """An SCSP knows nothing of the shift: its plan would be over, or far ahead."""
    scenario_path, scenario = find_scenario("scsp-day-ahead")
    rig_path, rig = find_rig("emulated")
    order = Order(scenario, scenario_path, rig, rig_path, tmp_path / "run", station_clock=BEFORE_MIDNIGHT)

    async def run() -> None:
        async with open_run(order):
            pass

    with asyncio.Runner(loop_factory=VirtualLoop) as runner, pytest.raises(UsageError, match="has an SCSP"):
        runner.run(run())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text", ["2026-03-29T00:58:00", "2026-03-29", "midnight", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", ""]
)
def test_a_time_needs_an_offset(text: str) -> None:
    """RFC 3339, else the person at the keyboard is told."""
    with pytest.raises(UsageError, match="--station-clock"):
        parse_moment(text, "--station-clock")


def test_a_time_with_an_offset_is_read() -> None:
    """02:58 in Berlin's summer is 00:58 UTC."""
    assert parse_moment("2026-03-29T02:58:00+02:00", "--station-clock") == datetime(2026, 3, 29, 0, 58, tzinfo=UTC)

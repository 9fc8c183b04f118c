"""The procedures that need another rig than the default one: with all that it lacks, with DC, with real wires, or with less."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Kind
from bench.domain.quantities import parse_time
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, open_run
from bench.runs.procedure import Procedure
from tests.support import DEEP

ROOT: Final = Path(__file__).parents[2]
HEADLINE: Final = re.compile(r"procedures: (\d+) passed of (\d+) applicable of (\d+)")


@pytest.mark.parametrize(
    ("rig", "files"),
    [
        ("emulated-full", ("test_k11_k13.py", "test_k15_k17.py", "test_k01_phases.py")),
        ("emulated-dc", ("test_dc.py", "test_k01_refused.py", "test_k04.py::test_a_station_maximum_on_an_evse_is_refused",
                         "test_k06_k07.py::test_offline_without_any_profile_charging_goes_on")),
        ("emulated-plain", (
            "test_k01_refused.py::test_a_station_without_smart_charging_answers_with_an_error",
            "test_k05.py::test_without_smart_charging_the_profile_is_ignored",
        )),
        ("emulated-bus", ("test_lowered_limit.py", "test_k10_clear.py::test_a_cleared_profile_limits_no_more")),
        ("emulated-wired", ("test_lowered_limit.py",)),
        ("emulated-amperes", ("test_k01_refused.py::test_a_unit_that_is_not_supported_is_refused", "test_k08.py")),
    ],
)
def test_the_procedures_pass_on_their_rig(rig: str, files: tuple[str, ...], tmp_path: Path) -> None:
    """One pytest for all: each procedure passes, or does not apply."""
    there = [str(ROOT / "hil_tests" / one) for one in files if (ROOT / "hil_tests" / one.partition("::")[0]).is_file()]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "--rig", rig, f"--bench-out={tmp_path}"]
    command = [sys.executable, "-m", "pytest", *options, *there]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = HEADLINE.search(done.stdout)
    assert found is not None, done.stdout + done.stderr
    passed, applicable, total = map(int, found.groups())
    assert (done.returncode, passed) == (0, applicable), done.stdout
    assert passed > total / 2


@pytest.mark.virtual
@pytest.mark.parametrize(("rig", "unit", "high", "low"), [("emulated-full", "A", 12, 7), ("emulated-dc", "W", 15_000, 9_000)])
@pytest.mark.parametrize("ev_profile", ["inside", "none"])
async def test_an_ev_schedule_is_one_of_the_csms(
    rig: str, unit: str, high: float, low: float, ev_profile: str, tmp_path: Path
) -> None:
    """CSMS and station as they are: the EV's schedule has the CSMS's id and unit, and ends a high limit no later than it does.

    Sent 0.7 s after a full second; OCPP says times in whole ones, so that the EV's step may lie up to 1 s beside.
    """
    told, sent, findings = await _negotiated(rig, unit, high, low, ev_profile, tmp_path)
    (ours,), theirs = sent["chargingSchedule"], told["chargingSchedule"]
    assert (theirs["id"], theirs["chargingRateUnit"]) == (ours["id"], unit)
    first, second = theirs["chargingSchedulePeriod"]
    assert (first["limit"] <= high, second["limit"] <= low) == (True, True)
    ends = parse_time(told["timeBase"]) + second["startPeriod"]
    assert abs(ends - (parse_time(ours["startSchedule"]) + 60)) <= 1
    assert findings == []


async def _negotiated(
    rig_name: str, unit: str, high: float, low: float, ev_profile: str, folder: Path
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return the EV's schedule, the profile that it answers, and the codes of what was found."""
    (scenario_path, scenario), (rig_path, rig) = find_scenario("procedure"), find_rig(rig_name)
    async with open_run(Order(scenario, scenario_path, rig, rig_path, folder / "run", pages=DEEP)) as opened:
        procedure: Procedure = opened.procedure
        await procedure.vehicle({"iso15118": 1, "departure_s": 3600, "ev_profile": ev_profile})
        await procedure.plug()
        running = await procedure.authorise()
        await procedure.wait_for_needs()
        await procedure.wait_for_ev_schedule()
        await procedure.wait(0.7 - procedure.elapsed_s % 1 + 1)
        sent = procedure.profile([(0, high), (60, low)], unit=unit, transaction_id=running.transaction_id, profile_id=80_001)
        assert await procedure.negotiate({**sent, "stackLevel": 2}) == "Accepted"
        told = await procedure.wait_for_ev_schedule()
        await procedure.wait(5)
    assert told is not None
    documents = read_journal(folder / "run/journal.jsonl").documents
    return told, sent, [one.data["code"] for one in documents if one.kind == Kind.FINDING]

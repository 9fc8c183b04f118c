"""Commissioning the emulated station: what is found, that it is left as it was, and that it can be told again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import VirtualLoop
from bench.adapters.journal_reader import read_journal
from bench.cli import main
from bench.domain.documents import Kind
from bench.domain.exchange import Call, paired_calls
from bench.domain.verdicts import RunState
from bench.errors import UsageError
from bench.rig.commission import Commissioned, CommissionOrder, commission, commission_here
from bench.rig.files import check_file, find_rig
from bench.rig.verify import verify_run
from bench.settings.rig import RigSettings
from bench.settings.scenario import Fault
from bench.settings.target import TargetFeatures

STATION = "CS-EMU-1"


def order(tmp_path: Path, **changes: Any) -> CommissionOrder:
    """Return an order for the emulated rig."""
    rig_path, rig = find_rig("emulated")
    return replace(CommissionOrder(STATION, rig, rig_path, tmp_path / "run", tmp_path / "target.toml"), **changes)


def calls(done: Commissioned) -> list[Call]:
    """Return the calls of the run."""
    return paired_calls(read_journal(done.folder / "journal.jsonl").documents)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Commissioned:
    """Return a whole commissioning."""
    return commission(order(tmp_path_factory.mktemp("commission")))


def test_a_target_file_is_written_that_passes_the_check(done: Commissioned) -> None:
    """Its values are those of the result."""
    assert done.whole
    assert done.target_path is not None
    assert check_file(done.target_path) == "target"
    content = tomllib.loads(done.target_path.read_text())
    assert content["features"]["rate_units"] == ["A", "W"]
    assert content["origin"]["rate_units"] == "reported"
    assert (content["vendor"], content["model"]) == ("Charge Point Bench", "firmware_sim")


def test_what_an_evse_does_is_observed(done: Commissioned) -> None:
    """The emulated EV draws 0.5 A less than 16 A on three phases, and follows a step within a few seconds."""
    assert done.target is not None
    assert [one.id for one in done.target.evse] == [1, 2]
    for evse in done.target.evse:
        assert evse.max_current_a == pytest.approx(15.5, abs=0.1)
        assert evse.max_power_w == pytest.approx(3 * 230 * 15.5, rel=0.01)
        assert evse.standby_w == pytest.approx(0, abs=1)
        assert evse.settle_down_s is not None
        assert 1 < evse.settle_down_s[0] < evse.settle_down_s[1] < 6
        assert evse.zero_ampere == "pauses"
        assert evse.resumes is True


def test_boot_and_clock_are_observed(done: Commissioned) -> None:
    """The reset comes 1 s after its answer; the emulated clock is the bench's own."""
    assert done.target is not None
    seen = done.target.observed
    assert seen.boot_s is not None
    assert 1 <= seen.boot_s < 10
    assert seen.clock_offset_s is not None
    assert seen.clock_uncertainty_s is not None
    assert abs(seen.clock_offset_s) <= seen.clock_uncertainty_s <= 0.001


def test_variables_and_profiles_are_left_as_they_were(done: Commissioned) -> None:
    """Each variable's last value is its first, and the last read-back of the store is empty."""
    first: dict[str, str | None] = {}
    last: dict[str, str | None] = {}
    for call in calls(done):
        if call.action == "SetVariables" and call.response and not call.from_station:
            data = call.request["setVariableData"][0]
            if call.response["setVariableResult"][0]["attributeStatus"] == "Accepted":
                last[data["variable"]["name"]] = data["attributeValue"]
        for one in (call.response or {}).get("getVariableResult", ()) if call.action == "GetVariables" else ():
            first.setdefault(one["variable"]["name"], one.get("attributeValue"))
    assert {"TxUpdatedMeasurands", "TxUpdatedInterval"} <= last.keys()
    assert last == {name: first[name] for name in last}
    read_backs = [call for call in calls(done) if call.action == "GetChargingProfiles"]
    assert read_backs[-1].status == "NoProfiles"


def test_the_journal_is_that_of_a_run_that_judges_nothing(done: Commissioned) -> None:
    """It verifies, and ends in the safe state."""
    verification = verify_run(done.folder)
    assert verification.sound
    assert not verification.judged
    kinds = [one.kind for one in read_journal(done.folder / "journal.jsonl").documents]
    assert kinds[-1] == Kind.RUN_END
    assert Kind.SAFE_STATE in kinds


def test_the_same_seed_gives_the_same_file_and_journal(done: Commissioned, tmp_path: Path) -> None:
    """Byte for byte, in virtual time."""
    again = commission(order(tmp_path))
    assert again.target_path is not None
    assert done.target_path is not None
    assert again.target_path.read_bytes() == done.target_path.read_bytes()
    journal = "journal.jsonl"
    assert (again.folder / journal).read_bytes() == (done.folder / journal).read_bytes()


def test_reading_only_acts_on_nothing(tmp_path: Path) -> None:
    """Without observation: no Reset, no profile, no EV."""
    only_read = commission(order(tmp_path, observe=False))
    assert only_read.whole
    assert only_read.target is not None
    assert only_read.target.evse == ()
    actions = {call.action for call in calls(only_read) if not call.from_station}
    assert not actions & {"Reset", "SetChargingProfile", "RequestStartTransaction"}
    documents = read_journal(only_read.folder / "journal.jsonl").documents
    assert {one.data["action"] for one in documents if one.kind == Kind.RIG_ACTION} == set()


def test_what_was_entered_stays_entered(tmp_path: Path) -> None:
    """A feature of the rig file that no device model tells goes into the target, marked so."""
    base = order(tmp_path, observe=False)
    station = base.rig.station[0]
    features = TargetFeatures(product_tolerance_a=0.4)
    rig = base.rig.model_copy(update={"station": (station.model_copy(update={"features": features}),)})
    told = commission(replace(base, rig=rig))
    assert told.target is not None
    assert told.target.features.product_tolerance_a == 0.4
    assert told.target.origin["product_tolerance_a"] == "entered"


def test_an_existing_target_file_is_not_overwritten(tmp_path: Path) -> None:
    """It may hold what somebody entered; nothing is begun."""
    (tmp_path / "target.toml").write_text("schema = 1\n")
    with pytest.raises(UsageError, match="is there already"):
        commission(order(tmp_path))
    assert not (tmp_path / "run").exists()


def test_an_unknown_station_is_named(tmp_path: Path) -> None:
    """With those that there are."""
    with pytest.raises(UsageError, match="no station 'CS-9' in rig emulated; there: CS-EMU-1"):
        commission(order(tmp_path, station="CS-9"))


def test_the_command_prints_its_result_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For machines, and nothing else; the target is named."""
    target = tmp_path / "t.toml"
    assert main(["commission", STATION, "--no-observe", "--json", "--out", str(target), "--run", str(tmp_path / "run")]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["target_file"] == str(target)
    assert answer["target"]["features"]["rate_units"] == ["A", "W"]
    assert answer["state"] == "completed"


async def stopped_while(at_step: str, one: CommissionOrder) -> Commissioned:
    """Commission, and stop it as Ctrl-C does while a step is under way."""
    working = asyncio.create_task(commission_here(one))
    journal = one.folder / "journal.jsonl"
    for _ in range(3600):
        if journal.is_file() and f'"name":"{at_step}"' in journal.read_text():
            break
        await asyncio.sleep(1)
    os.kill(os.getpid(), signal.SIGINT)
    return await working


@pytest.mark.parametrize("at_step", ["observe_boot", "observe_settling"])
def test_stopping_it_leaves_the_station_safe_and_its_variables_as_they_were(tmp_path: Path, at_step: str) -> None:
    """No target is written; the contactor is open, and the measurands are put back after that."""
    one = order(tmp_path)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        stopped = runner.run(stopped_while(at_step, one))
    assert stopped.state is RunState.ABORTED
    assert not (tmp_path / "target.toml").exists()
    documents = read_journal(stopped.folder / "journal.jsonl").documents
    opened = next(doc.seq for doc in documents if doc.kind == Kind.SAFE_STATE and doc.data["action"] == "open contactor")
    restored = [call for call in calls(stopped) if call.action == "SetVariables" and call.asked_seq > opened]
    assert restored
    assert all(call.response for call in restored)
    assert verify_run(stopped.folder).sound


def test_a_station_that_ignores_a_limit_is_not_said_to_settle(tmp_path: Path) -> None:
    """It goes on with 15.5 A under 8 A: a note, and no settling time."""
    seen = commission(order(tmp_path, fault=Fault(id="station.ignores-limit", params={"limit": 8.0, "unit": "A"})))
    assert seen.target is not None
    assert seen.result is not None
    assert [evse.settle_down_s for evse in seen.target.evse] == [None, None]
    assert "EVSE 1: not observed: settle_down_s: the current stayed at 15.5 A under a limit of 8 A" in seen.result.notes


def test_nothing_is_measured_by_an_accuracy_that_nobody_told(tmp_path: Path) -> None:
    """Settling times need it: without one they stay out of the target file, and a note says why."""
    rig_path, rig = find_rig("emulated")
    content = rig.model_dump(mode="json", by_alias=True)
    content.pop("control", None)
    for meter in content["meters"].values():
        meter |= {"register_map": str(rig_path.parent.parent / "meters/abb-b23.toml"), "accuracy": None}
    one = commission(order(tmp_path, rig=RigSettings.model_validate(content)))
    assert one.target is not None
    assert one.result is not None
    assert [evse.settle_down_s for evse in one.target.evse] == [None, None]
    assert any("is not known: give it in the rig file" in note for note in one.result.notes)

"""How runs end when they do not end well: Ctrl-C, kill -9, a lost meter, a station that refuses, a broken rig."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.adapters.clock import VirtualLoop
from bench.adapters.journal_reader import read_journal
from bench.domain.meter import MeterReading
from bench.domain.verdicts import Verdict
from bench.errors import RigError
from bench.ports import Meter
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, open_run
from bench.rig.verify import verify_run

ROOT = Path(__file__).parents[2]


def start(out: Path, *more: str) -> subprocess.Popen[str]:
    """Start a long run in real time on an emulated rig, and wait until power has been measured."""
    rig = out.parent / "rig.toml"
    text = (ROOT / "config/rigs/emulated.toml").read_text()
    text = text.replace('time = "virtual"', 'time = "real"').replace("../meters", str(ROOT / "config/meters"))
    rig.write_text(text)
    scenario = out.parent / "unproven.toml"  # known loads would take half a minute of real time
    content = find_scenario("lowered-limit")[0].read_text()
    scenario.write_text(content.replace('name = "lowered-limit"', 'name = "unproven"\nproof = "none"'))
    command = [sys.executable, "-m", "bench", "run", str(scenario), "--rig", str(rig), "--out", str(out), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = out / "journal.jsonl"
    assert process.stderr is not None
    for _ in process.stderr:  # progress: one line per step where there is no terminal
        if journal.is_file() and b'"name":"set_profile"' in journal.read_bytes():
            break
    return process


def test_kill_9_leaves_an_aborted_run_that_verifies(tmp_path: Path) -> None:
    """No document that was written is lost, and the verdict is none."""
    process = start(tmp_path / "run")
    process.kill()
    process.communicate()
    verification = verify_run(tmp_path / "run")
    assert verification.recorded is None
    assert verification.findings in ((), ("torn tail: the last line is incomplete and was left out",))
    assert "verdict: none" in verification.lines()[-1]
    assert verification.documents > 50


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_in_the_safe_state(tmp_path: Path, number: signal.Signals) -> None:
    """0 A, transaction stopped, contactor open, read back; the journal is closed; exit code 5."""
    process = start(tmp_path / "run")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 5, err
    assert out.startswith("ABORTED: stopped by the operator")
    documents = read_journal(tmp_path / "run" / "journal.jsonl").documents
    actions = {one.data["action"]: one.data["ok"] for one in documents if one.kind == "safe_state" and one.data["stop"]}
    assert actions == {
        "begin": True,
        "0 A profile": True,
        "stop transactions": True,
        "power below 50 W": True,
        "open contactor": True,
        "read back": True,
    }
    assert "`bench restore" not in out  # the emulated station is gone with the run
    assert verify_run(tmp_path / "run").sound
    assert json.loads((tmp_path / "run" / "result.json").read_text())["state"] == "aborted"


class SilentMeter:
    """A meter that answers until it is cut off."""

    def __init__(self, meter: Meter) -> None:
        self.name, self._meter, self.cut = meter.name, meter, False

    async def read(self) -> MeterReading:
        """Read, or time out."""
        if self.cut:
            raise RigError("meter evse1: no answer within 1 s")
        return await self._meter.read()


class BlankMeter(SilentMeter):
    """A meter that, once cut off, answers and says "not available" of all it is asked."""

    async def read(self) -> MeterReading:
        """Read; when cut off, values there are none."""
        reading = await self._meter.read()
        nothing = (None, None, None)
        return replace(reading, power_w=None, current_a=nothing, phase_power_w=nothing) if self.cut else reading


@pytest.mark.parametrize(
    ("kind", "silence_s", "ends_early"), [(SilentMeter, 3, False), (SilentMeter, 30, True), (BlankMeter, 30, True)]
)
def test_a_lost_meter_ends_in_the_safe_state(tmp_path: Path, kind: type[SilentMeter], silence_s: float, ends_early: bool) -> None:
    """Silent, or without a value, for longer than `meter_loss_s`: a soft stop, INCONCLUSIVE. A short gap is just a gap."""
    scenario_path, scenario = find_scenario("lowered-limit")
    rig_path, rig = find_rig("emulated")

    async def drive() -> Outcome | None:
        async with open_run(Order(scenario, scenario_path, rig, rig_path, tmp_path / "run")) as run:
            procedure = run.procedure
            assert procedure.sampler is not None
            meter = procedure.sampler.meter = kind(procedure.bench.meters["evse1"])
            await procedure.demand(16)
            await procedure.plug()
            await procedure.authorise()
            await procedure.wait(10)
            await procedure.set_profile([(0, 12), (20, 8), (40, 0)])
            await procedure.composite(60)
            meter.cut = True
            await procedure.wait(silence_s)
            meter.cut = False
            await procedure.wait(60)
        return run.outcome

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        outcome = runner.run(drive())
    assert outcome is not None
    documents = read_journal(outcome.folder / "journal.jsonl").documents
    assert any(one.kind == "meter.gap" for one in documents) is (kind is SilentMeter)
    safe = next(one.data["read_back"]["aborted"] for one in documents if one.kind == "safe_state" and one.data["stop"])
    assert safe is ends_early
    expected = Verdict.INCONCLUSIVE if ends_early else Verdict.PASS
    assert outcome.judgement.verdict.verdict is expected


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    """One digit of one meter sample, and `bench verify` names the line; exit code 1."""
    run = [sys.executable, "-m", "bench", "run", "lowered-limit", "--quiet", "--out", str(tmp_path / "run")]
    subprocess.run(run, check=True, capture_output=True)
    journal = tmp_path / "run" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    index = next(number for number, line in enumerate(lines) if b'"kind":"meter.sample"' in line)
    lines[index] = lines[index].replace(b'"frequency_hz":5', b'"frequency_hz":6', 1)
    journal.write_bytes(b"".join(lines))
    done = subprocess.run([sys.executable, "-m", "bench", "verify", str(tmp_path / "run")], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"the chain is broken at line {index + 1}" in done.stdout


def test_used_folder_is_refused(tmp_path: Path) -> None:
    """Evidence is never overwritten."""
    (tmp_path / "something").touch()
    command = [sys.executable, "-m", "bench", "run", "lowered-limit", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
    assert (done.returncode, "is not empty" in done.stderr) == (2, True)

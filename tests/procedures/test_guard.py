"""The bench dies, hangs or is stopped twice: the guard, a process of its own, opens the emulated contactor of another one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.adapters.journal_reader import read_journal
from tests.procedures.test_restore import bench, station

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
KILLS = 50 if DEEP else 2
OPEN_WITHIN_S = 3.0
SCENARIO = """
schema = 1
name = "charges"
title = "Charges for a while"
duration_s = 60
proof = "none"
checks = ["power"]
[[step]]
at_s = 0
do = "demand"
amperes = 16
[[step]]
at_s = 0
do = "plug"
[[step]]
at_s = 0.1
do = "authorise"
[[step]]
at_s = 0.5
do = "set_profile"
periods = [[0, 12]]
"""


class Lab:
    """The emulated station in its own process, seen past the bench."""

    def __init__(self, folder: Path, rig: Path) -> None:
        self.folder, self.rig = folder, rig
        line = next(one for one in rig.read_text().splitlines() if one.startswith("url = "))
        self.url = line.split('"')[1]

    def state(self) -> dict[str, Any]:
        """Return what the station's own process tells."""
        answer: dict[str, Any] = httpx.get(f"{self.url}/state", trust_env=False, verify=False).json()
        return answer

    def power_w(self) -> float:
        """Return the power of all EVSEs."""
        return float(sum(one["power_w"] for one in self.state()["evses"]))

    def unplug(self) -> None:
        """End the transaction that a dead bench has left."""
        httpx.post(f"{self.url}/unplug", json={"evse_id": 1}, trust_env=False, verify=False)
        self.wait(lambda: self.state()["evses"][0]["transaction_id"] is None, 5)

    def wait(self, holds: Callable[[], bool], within_s: float) -> float:
        """Return after how many seconds something came to hold."""
        begin = time.perf_counter()
        while not holds():
            assert time.perf_counter() - begin < within_s, f"not within {within_s} s: {self.state()}"
            time.sleep(0.02)  # noqa: TID251  another process is watched
        return time.perf_counter() - begin

    @contextmanager
    def run(self, name: str) -> Iterator[subprocess.Popen[str]]:
        """Run the scenario; whatever the test leaves of it is killed."""
        (self.folder / "charges.toml").write_text(SCENARIO)
        out = str(self.folder / name)
        with bench(self.folder, "run", "charges.toml", "--rig", str(self.rig), "--quiet", "--out", out) as process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    process.kill()

    def guard(self, name: str) -> list[dict[str, Any]]:
        """Return the guard's own evidence."""
        return [json.loads(line) for line in (self.folder / name / "guard.jsonl").read_text().splitlines()]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Return a station in a process of its own, and its rig file."""
    with station(tmp_path) as rig:
        yield Lab(tmp_path, rig)


@contextmanager
def two_labs(folder: Path, *more: str) -> Iterator[tuple[Lab, Lab]]:
    """Run two stations, whose benches start at the same time."""
    for name in "ab":
        (folder / name).mkdir()
    with station(folder / "a", *more) as first, station(folder / "b", *more) as second:
        yield Lab(folder / "a", first), Lab(folder / "b", second)


def closed(lab: Lab, name: str) -> Callable[[], bool]:
    """Return what says that a run has closed the contactor, which is closed from the first as the emulator starts."""
    journal = lab.folder / name / "journal.jsonl"
    return lambda: journal.is_file() and b'"action":"close contactor"' in journal.read_bytes()


def test_a_bench_that_is_killed_or_hangs_opens_the_contactor(tmp_path: Path) -> None:
    """SIGKILL and SIGSTOP at random moments after the contactor was closed: open within 3 s, power never higher than before."""
    chance = random.Random(int(os.environ.get("GUARD_SEED", "7")))
    with two_labs(tmp_path) as labs:
        for turn in range(KILLS // 2):
            name, hows = f"kill-{turn}", (signal.SIGKILL, signal.SIGSTOP)
            with ExitStack() as stack:
                runs = [stack.enter_context(lab.run(name)) for lab in labs]
                for lab, process, how in zip(labs, runs, hows, strict=True):
                    lab.wait(closed(lab, name), 60)
                    moment = time.perf_counter() + chance.uniform(0, 3 if DEEP else 1)
                    lab.wait(lambda: time.perf_counter() >= moment, 5)  # noqa: B023
                    before = lab.power_w()
                    process.send_signal(how)
                    took = lab.wait(lambda: not lab.state()["contactor_closed"], OPEN_WITHIN_S)  # noqa: B023
                    assert lab.power_w() <= before + 1, (turn, how, took)
            for lab in labs:
                assert "open contactor" in [one["action"] for one in lab.guard(name) if one.get("ok")]
                if turn % 2:  # the run before was killed while its car charged
                    assert b'"action":"stop what runs","ok":true' in (lab.folder / name / "journal.jsonl").read_bytes()
                    lab.unplug()  # else the next run finds the transaction and stops it before it closes anything


def test_a_second_ctrl_c_is_a_hard_stop(lab: Lab) -> None:
    """The guard opens at once; the soft stop then goes on with what is left, and all of it is written down."""
    with lab.run("twice") as process:
        lab.wait(lambda: lab.power_w() > 1500, 30)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert lab.wait(lambda: not lab.state()["contactor_closed"], OPEN_WITHIN_S) < OPEN_WITHIN_S
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 5, out
    actions = [one.data for one in read_journal(lab.folder / "twice" / "journal.jsonl").documents if one.kind == "safe_state"]
    stop = next(one for one in actions if one["action"] == "hard stop")
    assert (stop["ok"], stop["read_back"]["cause"]) == (True, "operator")
    assert [one["ok"] for one in actions if one["action"] == "open contactor"] == [True]
    assert "`bench restore" in out


@pytest.mark.skipif(not DEEP, reason="takes 10 s; make deep")
def test_a_guard_that_dies_ends_the_run_softly(lab: Lab) -> None:
    """The bench notices, brings the station to rest, and has the contactor opened by another guard; ERROR."""
    with lab.run("guardless") as process:
        lab.wait(closed(lab, "guardless"), 60)
        child = next(pid for pid in children(process.pid) if b"bench.guard" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(child, signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, "the guard process is gone" in out) == (4, True), out
    assert not lab.state()["contactor_closed"]


@pytest.mark.skipif(not DEEP, reason="takes 10 s; make deep")
def test_a_guard_that_hangs_ends_the_run_softly(lab: Lab) -> None:
    """It answers no heartbeat: the bench kills it, and another one opens the contactor; ERROR."""
    with lab.run("hung") as process:
        lab.wait(closed(lab, "hung"), 60)
        child = next(pid for pid in children(process.pid) if b"bench.guard" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(child, signal.SIGSTOP)
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, "the guard process is gone" in out) == (4, True), out
    assert not lab.state()["contactor_closed"]


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not DEEP, reason="takes 10 s; make deep")
def test_nothing_closes_again_after_the_guard_has_fired(lab: Lab) -> None:
    """A bench that hung and comes back finds everything open, and ends in ERROR."""
    with lab.run("back") as process:
        lab.wait(closed(lab, "back"), 60)
        process.send_signal(signal.SIGSTOP)
        lab.wait(lambda: not lab.state()["contactor_closed"], OPEN_WITHIN_S)
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, "was not heard" in out) == (4, True), out
    assert not lab.state()["contactor_closed"]


def test_the_guard_alone_opens_what_it_can(lab: Lab) -> None:
    """Without a bench it opens the contactors of a rig and ends; that is what `bench restore` asks of it."""
    command = [sys.executable, "-m", "bench.guard", "--rig", str(lab.rig), "--evidence", str(lab.folder / "guard.jsonl")]
    assert lab.state()["contactor_closed"]
    assert subprocess.run(command, check=False).returncode == 0
    assert not lab.state()["contactor_closed"]


def test_a_relay_opens_after_the_death_of_the_bench(tmp_path: Path) -> None:
    """Through the guard long before the watchdog of 2 s; by its watchdog where the guard is killed too, and not before."""
    with (
        two_labs(tmp_path, "--relay-port", "0", "--relay-watchdog", "2") as (guarded, alone),
        guarded.run("relay") as first,
        alone.run("relay") as second,
    ):
        guarded.wait(closed(guarded, "relay"), 60)
        first.kill()
        assert guarded.wait(lambda: not guarded.state()["contactor_closed"], OPEN_WITHIN_S) < 1.5
        alone.wait(closed(alone, "relay"), 60)
        alone.wait(lambda: alone.power_w() > 1500, 30)
        for pid in (*children(second.pid), second.pid):
            os.kill(pid, signal.SIGKILL)
        assert alone.wait(lambda: not alone.state()["contactor_closed"], OPEN_WITHIN_S) > 0.5


def test_the_death_of_the_bench_never_raises_power_without_a_contactor(tmp_path: Path) -> None:
    """Floor and dead-man alone: after SIGKILL power stays where it was, and falls to 0 when the TxProfile expires."""
    with station(tmp_path) as rig:
        text = rig.read_text().replace('kind = "http"', 'kind = "http"\ncontactor = false')
        rig.write_text(text + "\n[safety]\ndead_man_s = 10\n")
        lab = Lab(tmp_path, rig)
        with lab.run("floor") as process:
            lab.wait(lambda: lab.power_w() > 7930, 30)  # of 7935 W: all that 12 A let through
            process.kill()
            before = lab.power_w()
            highest = before
            end = time.perf_counter() + 14

            def fallen() -> bool:
                nonlocal highest
                highest = max(highest, lab.power_w())
                return highest > before + 20 or lab.power_w() < 50

            lab.wait(fallen, 14)
            assert (highest <= before + 20, lab.power_w() < 50, time.perf_counter() < end) == (True, True, True)

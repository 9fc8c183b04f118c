"""One user at a time per rig: real processes that hold, die or stand still."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bench.adapters import lease
from bench.adapters.journal import open_journal
from bench.adapters.lease import LeaseHeldError, all_held, held
from bench.cli import main
from bench.domain.documents import Kind
from bench.rig.lease import things
from bench.settings.rig import RigSettings
from tests.support import FakeClock

HOLD = """
import signal, sys
from bench.adapters.lease import held
with held(["rig desk"], "bench serve", say=lambda text: None, lost=lambda text: print(text, flush=True)):
    print("held", flush=True)
    signal.sigwait([signal.SIGTERM])
"""
RIG = """
schema = 1
name = "desk"
[[station]]
id = "CS-1"
[[station.evse]]
id = 1
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep leases in a folder of the test's own."""
    monkeypatch.setenv(lease.FOLDER_VARIABLE, str(tmp_path / "leases"))
    return tmp_path / "leases"


@contextmanager
def holder() -> Iterator[subprocess.Popen[str]]:
    """Hold the rig `desk` in another process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # inherited, for sigwait
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def take(said: list[str] | None = None) -> None:
    """Hold the rig for a moment."""
    with held(["rig desk"], "pytest", say=(said if said is not None else []).append, lost=print):
        pass


def test_a_second_bench_is_refused_and_told_by_whom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Owner, process, reason, since and what to do; exit code 4, and nothing has begun."""
    (tmp_path / "rig.toml").write_text(RIG)
    with holder() as process:
        assert main(["serve", "--rig", str(tmp_path / "rig.toml"), "--out", str(tmp_path / "out")]) == 4
        said = capsys.readouterr().err
    assert f"(process {process.pid}) for 'bench serve' since 20" in said
    assert "wait for it, ask " in said
    assert not (tmp_path / "out").exists()


def test_a_dead_owners_lease_is_taken_over_and_that_is_said() -> None:
    """Killed without a word: the lock is gone with the process."""
    with holder() as process:
        process.kill()
        process.wait()
        said: list[str] = []
        take(said)
    assert f"gone is {all_owner()}@" in said[0]
    assert f"(process {process.pid})" in said[0]


def test_a_stopped_owner_loses_it_by_its_heartbeat_and_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGSTOP: it lives and holds the lock, but renews nothing. When it goes on it learns what happened."""
    monkeypatch.setattr(lease, "CONFIRM_S", 0.2)
    with holder() as process:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        with pytest.raises(LeaseHeldError):
            take()
        os.utime(folder / "rig-desk.lease", (0, 0))
        said: list[str] = []
        with held(["rig desk"], "pytest", say=said.append, lost=print):
            process.send_signal(signal.SIGCONT)
            assert process.stdout is not None
            assert "taken over by another process" in process.stdout.readline()
        assert "no heartbeat" in said[0]


def test_a_lease_that_only_seems_stale_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer that slept renews it within the time that it is watched."""
    monkeypatch.setattr(lease, "CONFIRM_S", 1.5)
    with holder():
        os.utime(folder / "rig-desk.lease", (0, 0))
        with pytest.raises(LeaseHeldError, match="in use"):
            take()


def test_at_the_end_nothing_is_held(folder: Path) -> None:
    """And a file that is no lease blocks nobody."""
    folder.mkdir()
    (folder / "rig-desk.lease").write_text("rubbish")
    take()
    assert all_held() == []


def test_rigs_shows_who_has_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The rigs of this directory, each free or with its holder."""
    (tmp_path / "config" / "rigs").mkdir(parents=True)
    (tmp_path / "config" / "rigs" / "desk.toml").write_text(RIG)
    monkeypatch.chdir(tmp_path)
    with holder() as process:
        assert main(["rigs", "--json"]) == 0
        rigs = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
        assert (rigs["desk"]["kind"], rigs["desk"]["holder"]["pid"]) == ("hardware", process.pid)
        assert rigs["emulated"]["holder"] is None
        assert main(["rigs"]) == 0
    assert f"in use: {all_owner()}@" in capsys.readouterr().out


def test_a_free_rig_tells_of_a_run_that_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how its station gets back what it held; once that is done, nothing more is said."""
    (tmp_path / "config" / "rigs").mkdir(parents=True)
    (tmp_path / "config" / "rigs" / "desk.toml").write_text(RIG)
    (tmp_path / "runs" / "cut").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with open_journal(tmp_path / "runs/cut/journal.jsonl", FakeClock(), b"key") as journal:
        journal.write(Kind.RUN_START, {"rig": {"name": "desk"}, "mode": "real", "judged": True})
        journal.write(Kind.SNAPSHOT, {"station": "CS-1", "what": "profiles", "profiles": []})
        assert main(["rigs"]) == 0
        assert "free; runs/cut was cut off: `bench restore desk`" in capsys.readouterr().out
        with holder():
            assert main(["rigs"]) == 0
        assert "cut off" not in capsys.readouterr().out
        journal.write(Kind.RESTORED, {"station": "CS-1", "clean": True})
    assert main(["rigs"]) == 0
    assert "cut off" not in capsys.readouterr().out


def test_a_port_is_leased_by_what_it_is(tmp_path: Path) -> None:
    """Two names of one device are one thing; an emulated rig needs nothing."""
    (tmp_path / "tty").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "tty")
    line = {"kind": "serial", "port": str(tmp_path / "by-id")}
    content = {"schema": 1, "name": "desk", "station": [{"id": "CS-1", "evse": [{"id": 1}]}], "lines": {"a": line}}
    assert things(RigSettings.model_validate(content)) == ["rig desk", f"port {tmp_path / 'tty'}"]
    assert things(RigSettings.model_validate({**content, "emulator": {}})) == []


def all_owner() -> str:
    """Return this user's name."""
    return getpass.getuser()


def test_a_bench_that_lost_its_rig_stops(folder: Path, tmp_path: Path) -> None:
    """`bench serve` was stopped for long, and another one has the rig when it goes on: it says so and ends."""
    (tmp_path / "rig.toml").write_text(RIG)
    command = [sys.executable, "-m", "bench", "serve", "--rig", "rig.toml", "--out", "out"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("OCPP 2.0.1:")
            (folder / "rig-desk.lease").rename(folder / "taken-over")
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, "taken over by another process" in said) == (0, True)


def test_a_strict_umask_hides_no_lease(folder: Path) -> None:
    """Another user has to be able to read who holds the rig, and to pass the gate."""
    before = os.umask(0o077)
    try:
        with held(["rig desk"], "pytest", say=print, lost=print):
            modes = {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()}
    finally:
        os.umask(before)
    assert modes == {".gate": 0o644, "rig-desk.lease": 0o644}


def test_a_lease_that_cannot_be_read_counts_as_held(folder: Path) -> None:
    """It is somebody's: taking it would give the rig to two users. A link that is not followed stands in for another's file."""
    folder.mkdir()
    (folder / "rig-desk.lease").symlink_to("elsewhere")
    with pytest.raises(LeaseHeldError, match="in use by somebody"):
        take()


def test_a_lease_that_another_has_taken_over_is_left_to_it(folder: Path) -> None:
    """Who stood still and comes to its end does not take the new owner's lease away."""
    mine = folder / "rig-desk.lease"
    with held(["rig desk"], "pytest", say=print, lost=print):
        mine.unlink()
        mine.write_text("another's")
    assert mine.read_text() == "another's"


def test_of_two_starts_at_the_same_moment_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both see that nobody has the rig, if they may look at the same time; then each would take it."""
    looked, over, real = threading.Barrier(2), threading.Barrier(2), lease.look
    became: list[str] = []

    def look_together(path: Path) -> lease.Held | None:
        found = real(path)
        with suppress(threading.BrokenBarrierError):
            looked.wait(0.2)
        return found

    def start() -> None:
        try:
            with held(["rig desk"], "pytest", say=print, lost=print):
                became.append("has it")
                over.wait(10)
        except LeaseHeldError:
            became.append("is refused")
            over.wait(10)

    monkeypatch.setattr(lease, "look", look_together)
    threads = [threading.Thread(target=start) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(became) == ["has it", "is refused"]

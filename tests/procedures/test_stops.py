"""Somebody presses Ctrl-C, at any moment and as often as he likes: the run ends in its safe state, and with its own exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SETS_HANDLERS = 1 << (signal.SIGTERM - 1)


def takes_signals(pid: int) -> bool:
    """Say whether a process has a handler of its own: Python's start-up, before which nobody can act, is over."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16) & SETS_HANDLERS)


def wait(seconds: float) -> None:
    """Let another process go on for a while."""
    time.sleep(seconds)  # noqa: TID251  another process is to be hit at any moment


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("first_s", [0.0, 0.5, 0.8, 1.1, 1.5])
def test_any_number_of_ctrl_c_ends_with_aborted(tmp_path: Path, first_s: float) -> None:
    """From the first moment on, and on until the process is gone: exit code 5, and what has begun tells its safe state."""
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "bench", "run", "scsp-day-ahead", "--quiet", "--out", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not takes_signals(process.pid):
            wait(0.005)
        wait(first_s)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            wait(0.05)
        told = process.communicate()[1]
    assert process.returncode == 5, told
    if (folder / "journal.jsonl").exists():
        result = json.loads((folder / "result.json").read_text())
        assert (result["verdict"], result["exit_code"]) == ("ABORTED", 5)
        text = (folder / "journal.jsonl").read_text()
        assert '"action":"close contactor"' not in text or '"action":"open contactor"' in text
    else:
        assert "stopped before the run began" in told


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_ctrl_c_ends_a_suite(tmp_path: Path) -> None:
    """The scenario that goes on is aborted, no other is begun, and the summary says so; 5."""
    command = [sys.executable, "-m", "bench", "run", "--suite", "first-twelve", "--out", str(tmp_path / "suite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while process.poll() is None and not (tmp_path / "suite/baseline/journal.jsonl").exists():
            wait(0.005)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            wait(0.05)
        told = process.communicate()[0]
    assert process.returncode == 5, told
    assert len(list((tmp_path / "suite").glob("*/journal.jsonl"))) == 1
    assert json.loads((tmp_path / "suite/summary.json").read_text())["entries"][1]["attempts"] == []

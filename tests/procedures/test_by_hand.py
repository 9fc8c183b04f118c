"""A rig with an operator and no contactor, from the files to the end: the floor alone keeps the station down, and does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Kind
from tests.procedures.test_guard import SCENARIO, Lab
from tests.procedures.test_restore import ROOT, station

DONE = {
    "Let the EV at EVSE 1": ("demand", {"evse_id": 1, "amperes": 16}),
    "Plug the EV": ("plug", {"evse_id": 1}),
    "Present a card": ("authorise", {"evse_id": 1, "id_token": "CARD-1"}),
}
"""What the operator is asked for, and how it is done."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Return a station in a process of its own; its rig file knows no control, but a person."""
    with station(tmp_path) as rig:
        lab = Lab(tmp_path, rig)
        before, _, rest = rig.read_text().partition("[control]")
        rig.write_text(f"{before}[operator]\n[[station]]{rest.partition('[[station]]')[2]}")
        (tmp_path / "charges.toml").write_text(SCENARIO.replace("duration_s = 60", "duration_s = 6"))
        yield lab


@contextmanager
def attended(lab: Lab) -> Iterator[subprocess.Popen[str]]:
    """Begin a run without a terminal, and do what it asks for until the last of it is done."""
    command = [sys.executable, "-m", "bench", "run", "charges.toml", "--rig", str(lab.rig), "--quiet", "--out", "run"]
    with subprocess.Popen(
        command, cwd=lab.folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for line in process.stdout:
                asked = next((begin for begin in DONE if line.startswith(f">> {begin}")), "")
                if asked:
                    path, body = DONE[asked]
                    httpx.post(f"{lab.url}/{path}", json=body, trust_env=False, verify=False).raise_for_status()
                    process.stdin.write("\n")
                    process.stdin.flush()
                if asked == "Present a card":
                    break
            yield process
        finally:
            process.kill()


def metered_w(lab: Lab) -> float:
    """Return the highest power that the meter has told of."""
    documents = read_journal(lab.folder / "run/journal.jsonl").documents
    return max((one.data["power_w"] for one in documents if one.kind == Kind.METER_SAMPLE), default=0.0)


def at_rest(lab: Lab) -> dict[str, bool]:
    """Say of each means to come to rest whether it worked; the power is what the station itself tells, past the bench."""
    assert lab.power_w() < 50
    assert lab.state()["contactor_closed"], "nobody opened it: the rig has none"
    documents = read_journal(lab.folder / "run/journal.jsonl").documents
    assert metered_w(lab) > 500
    told = {one.data["action"]: one.data["ok"] for one in documents if one.kind == Kind.SAFE_STATE}
    assert "open contactor" not in told
    return {one: told.get(one, False) for one in ("floor", "0 A profile", "stop transactions", "power below 50 W")}


def test_a_run_by_hand_ends_without_power(lab: Lab) -> None:
    """The floor was armed and shown before, 0 A and the stop come at the end; the EV had charged until then."""
    with attended(lab) as process:
        out, _ = process.communicate(timeout=60)
    assert json.loads((lab.folder / "run/result.json").read_text())["state"] == "completed", out
    assert all(at_rest(lab).values())


def test_a_run_by_hand_that_is_aborted_ends_without_power(lab: Lab) -> None:
    """Ctrl-C while the EV charges: the same, exit code 5."""
    with attended(lab) as process:
        lab.wait(lambda: lab.power_w() > 1500 and metered_w(lab) > 500, 20)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 5, out
    assert all(at_rest(lab).values())

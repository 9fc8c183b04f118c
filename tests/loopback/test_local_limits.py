"""`bench limit`, `limits` and `invite`: a BEMS, a DSO and an operator beside the OCPI parties of a running bench."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import wall_now
from bench.adapters.control_socket import open_control_socket
from bench.adapters.ids import SeededIds
from bench.cli import main
from bench.cso.ocpi.platform import CpoPlatform
from bench.errors import BenchError, EvidenceError, RigError
from bench.peers.scsp import open_scsp
from bench.rig.ocpi import commands_of
from bench.rig.serve import Controls
from bench.wire.ocpi.transport import PartyId
from tests.ocpi_rig import OcpiRig, open_ocpi_rig
from tests.stations import new_csms
from tests.support import EPOCH, FakeClock, MemoryJournal


async def ask(rig: OcpiRig, folder: Path, *arguments: str) -> int:
    """Run one command against the platform of a rig and return its exit code."""
    controls = Controls(new_csms(FakeClock(), MemoryJournal()), commands_of(rig.cpo))
    async with open_control_socket(folder, controls.answer):
        return await asyncio.to_thread(main, [*arguments, "--run", str(folder)])


def intents(rig: OcpiRig) -> list[Any]:
    """Return what the journal says somebody wanted."""
    assert isinstance(rig.journal, MemoryJournal)
    return [(one["by"], one["action"]) for one in rig.journal.of("intent")]


async def test_a_limit_of_the_dso_is_merged_shown_and_released(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """5 A beside the SCSP's 16 and 6: what leaves has it, the journal has who wanted it, and the release brings 16 back."""
    async with open_ocpi_rig(policy="minimum") as rig:
        await rig.placed()
        assert await ask(rig, tmp_path, "limit", "CS-1", "1", "5A", "--by", "DSO", "--for", "600") == 0
        assert await ask(rig, tmp_path, "limits") == 0
        assert await ask(rig, tmp_path, "limit", "CS-1", "1", "release", "--by", "DSO") == 0
        assert await ask(rig, tmp_path, "limit", "CS-1", "1", "release", "--by", "DSO") == 1
        sent = [one["chargingProfile"]["chargingSchedule"][0] for one in rig.stations.sent("SetChargingProfile")]
        assert intents(rig) == [("DSO", "limit"), *[("DSO", "release")] * 2]
    assert 5.0 in [one["limit"] for one in sent[1]["chargingSchedulePeriod"]]
    assert sent[2]["chargingSchedulePeriod"] == sent[0]["chargingSchedulePeriod"]
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "ACCEPTED"
    assert out[2].startswith("  counts     NL-SCP (SCSP)    16 A, 6 A from 900 s since 2026-01-15T00:00:00Z")
    assert out[3].startswith("  not yet    DSO              5 A from 20")  # the rig's clock is behind the one here
    assert out[4:] == ["ACCEPTED", "UNKNOWN: DSO limits nothing there"]


async def test_a_limit_from_now_on_has_begun_by_a_clock_that_is_behind(tmp_path: Path) -> None:
    """It may take the place of an SCSP's profile, and a station for which it begins later would fall back to its default."""
    async with open_ocpi_rig(policy="bems_owns") as rig:
        await rig.placed()
        called = wall_now()
        assert await ask(rig, tmp_path, "limit", "CS-1", "1", "6A", "--by", "BEMS", "--for", "600") == 0
        assert isinstance(rig.journal, MemoryJournal)
        (profile,) = (one["profile"] for one in rig.journal.of("intent"))
    start = datetime.fromisoformat(profile["start_date_time"])
    end = start + timedelta(seconds=profile["duration"])
    assert start <= wall_now() - timedelta(seconds=60)
    assert called + timedelta(seconds=599) <= end <= wall_now() + timedelta(seconds=600)


@pytest.mark.parametrize(
    ("later_s", "state", "words"),
    [
        (0, "counts", "5 A since 2026-01-15T00:00:00Z until 2026-01-15T01:00:00Z"),
        (3600, "not yet", "5 A from 2026-01-15T01:00:00Z until 2026-01-15T02:00:00Z"),
        (-3600, "over", "5 A since 2026-01-14T23:00:00Z until 2026-01-15T00:00:00Z"),
    ],
)
async def test_a_limit_counts_while_it_asks_for_something(
    later_s: int, state: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is over, or has not begun, holds nobody back and is not said to count."""
    start = (EPOCH + timedelta(seconds=later_s)).isoformat()
    periods = [{"start_period": 0, "limit": 5}]
    profile = {"start_date_time": start, "duration": 3600, "charging_rate_unit": "A", "charging_profile_period": periods}
    async with open_ocpi_rig(policy="minimum") as rig:
        await rig.cpo.limits.set("CS-1", 1, "DSO", profile)
        assert await ask(rig, tmp_path, "limits") == 0
    assert capsys.readouterr().out.splitlines()[1] == f"  {state:<10} DSO              {words}"


async def test_who_is_refused_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """one_writer: the SCSP came first; exit code 1, the reason, and a finding in the journal."""
    async with open_ocpi_rig(policy="one_writer") as rig:
        await rig.placed()
        assert await ask(rig, tmp_path, "limit", "CS-1", "1", "6A", "--by", "BEMS", "--emergency") == 1
        assert rig.found("limit_refused") == [
            "CS-1 EVSE 1: the limit of the BEMS is REJECTED: NL-SCP steers this session (policy one_writer)"
        ]
    assert capsys.readouterr().out == "REJECTED: NL-SCP steers this session (policy one_writer)\n"


async def test_a_limit_waits_for_a_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a file with an OCPI ChargingProfile, while nobody charges."""
    periods = [{"start_period": 0, "limit": 4000}, {"start_period": 60, "limit": 2000}]
    (tmp_path / "dso.json").write_text(json.dumps({"charging_rate_unit": "W", "charging_profile_period": periods}))
    async with open_ocpi_rig(policy="minimum") as rig:
        assert await ask(rig, tmp_path, "limits") == 0
        assert await ask(rig, tmp_path, "limit", "CS-1", "1", str(tmp_path / "dso.json"), "--by", "OPERATOR") == 0
        assert await ask(rig, tmp_path, "limits") == 0
        assert not rig.stations.calls
    assert capsys.readouterr().out.splitlines() == [
        "no session runs, and nothing is limited", "ACCEPTED", "CS-1 EVSE 1: no session, policy minimum",
        "  counts     OPERATOR         4000 W, 2000 W from 60 s since the session's begin",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["CS-1", "2", "6A", "--by", "DSO"], "EVSE 2 of CS-1 is not part of this rig"),
        (["CS-9", "1", "release", "--by", "DSO"], "EVSE 1 of CS-9 is not part of this rig"),
        (["CS-1", "1", "6A", "--by", "DSO", "--emergency"], "an emergency is a BEMS's alone"),
        (["CS-1", "1", "6A", "--by", "DSO", "--for", "0"], "--for 0: must be at least 1 s"),
        (["CS-1", "1", "6 amperes", "--by", "DSO"], "a limit is such as 10A or 6900W"),
        (["CS-1", "1", "list.json", "--by", "DSO"], "list.json: a ChargingProfile is a JSON object"),
        (["CS-1", "1", "empty.json", "--by", "DSO"], "empty.json: the profile: charging_rate_unit: is required"),
        (
            ["CS-1", "1", "low.json", "--by", "DSO"],
            "low.json: the profile: charging_profile_period[0].limit = -3: must be greater than or equal to 0",
        ),
        (["CS-1", "1", "-5A", "--by", "DSO"], "-5A: must not be negative; 0A pauses"),
    ],
)
async def test_a_wrong_limit_is_refused(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, before anything is wanted of a station."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "empty.json").write_text("{}")
    low = {"charging_rate_unit": "A", "charging_profile_period": [{"start_period": 0, "limit": -3}]}
    (tmp_path / "low.json").write_text(json.dumps(low))
    async with open_ocpi_rig() as rig:
        assert await ask(rig, tmp_path, "limit", *arguments) == 2
        assert intents(rig) == []
    assert words in capsys.readouterr().err


async def test_another_peer_registers_by_an_invitation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rig's own token is spent with the first peer; the journal does not have the new one."""
    async with open_ocpi_rig() as rig:
        assert await ask(rig, tmp_path, "invite") == 0
        token = capsys.readouterr().out.strip()
        other = PartyId("NL", "OTH")
        opened = open_scsp(FakeClock(), SeededIds(2, "other"), rig.addresses, base_url="http://other.bench", party=other)
        async with opened as second:
            await second.register(rig.cpo.versions_url, token)
        assert isinstance(rig.journal, MemoryJournal)
        assert token not in str(rig.journal.documents)


@pytest.mark.parametrize("error", [RigError, EvidenceError])
async def test_what_the_bench_cannot_do_is_told(
    error: type[BenchError], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as on a full disk: its words and code 4, no traceback."""

    def fail(_: object) -> None:
        raise error("No space left on device")

    monkeypatch.setattr(CpoPlatform, "invite", fail)
    async with open_ocpi_rig() as rig:
        assert await ask(rig, tmp_path, "invite") == 4
    assert capsys.readouterr().err == "bench: No space left on device\n"


async def test_a_peer_that_cannot_unregister_is_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed, it has lost its token: its limit leaves the station, and it registers anew as the party that it was."""
    async with open_ocpi_rig() as rig:
        await rig.placed()
        assert await ask(rig, tmp_path, "forget", "NL-NOT") == 2
        assert "no party NL-NOT is registered; there: NL-SCP" in capsys.readouterr().err
        assert await ask(rig, tmp_path, "forget", "nl-scp") == 0
        assert capsys.readouterr().out == "forgotten: NL-SCP (SCSP)\n"
        await rig.scsp.wait_until(lambda: bool(rig.stations.sent("ClearChargingProfile")), 10)
        assert await ask(rig, tmp_path, "limits") == 0
        assert "nobody limits it" in capsys.readouterr().out
        opened = open_scsp(FakeClock(), SeededIds(2, "again"), rig.addresses, base_url="http://again.bench")
        async with opened as again:
            await again.register(rig.cpo.versions_url, rig.cpo.platform.registry.invite())

"""`bench ocpi check` as its users see it: a process in real time, its files, its exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.ids import SeededIds
from bench.adapters.journal_reader import read_journal
from bench.adapters.ocpi_client import AddressBook
from bench.cli import main
from bench.rig.cpo import Cpo, open_cpo
from bench.settings.ocpi import OcpiSettings
from tests.ocpi_rig import ScriptedStations, rig_settings
from tests.support import MemoryJournal
from tests.support_ports import free_port

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def _cpo() -> AsyncIterator[tuple[Cpo, ScriptedStations]]:
    """Serve the bench's CPO at a real address, with a session."""
    port, stations = free_port(), ScriptedStations()
    settings = rig_settings().model_copy(update={"ocpi": OcpiSettings(port=port)})
    opened = open_cpo(
        settings, LoopClock(wall_now()), MemoryJournal(), SeededIds(1, "cpo"), stations, AddressBook(),
        base_url=f"http://127.0.0.1:{port}",
    )  # fmt: skip
    async with opened as cpo:
        stations.transaction("Started", wh=1000)
        yield cpo, stations


async def _start(cpo: Cpo, folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", "ocpi", "check", cpo.versions_url, "--listen", f"127.0.0.1:{free_port()}",
        "--out", str(folder), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "BENCH_OCPI_TOKEN": cpo.token_a, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


async def test_a_check_as_a_process(tmp_path: Path) -> None:
    """A table on the console; result, JUnit, report and journal in the folder; no token in any of them."""
    async with _cpo() as (cpo, _):
        process = await _start(cpo, tmp_path / "run", "--only", "set", "--only", "replace", "--only", "unknown-session")
        out, err = (one.decode() for one in await asyncio.wait_for(process.communicate(), 25))
        token = cpo.token_a
    assert (process.returncode, err) == (0, "")
    assert "PASS           set" in out
    assert "PASS: 3 PASS" in out
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert (result["verdict"], result["state"], [one["name"] for one in result["cases"]]) == (
        "PASS", "completed", ["unknown-session", "set", "replace"],
    )  # fmt: skip
    suite = ET.parse(tmp_path / "run/junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("3", "0")
    assert read_journal(tmp_path / "run/journal.jsonl").broken_at is None
    page = (tmp_path / "run/report.html").read_text()
    assert "A second profile takes the place of the first" in page
    assert page.count('<td class="refs"><a href="#d') == 3
    for file in (tmp_path / "run").iterdir():
        assert token not in file.read_text(), file


def test_its_report_is_not_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`bench report` judges runs; it says where the report of a check is."""
    url, listen = (f"127.0.0.1:{free_port()}" for _ in range(2))
    out = str(tmp_path / "run")
    assert main(["ocpi", "check", f"http://{url}/ocpi/versions", "--token", "token-a", "--listen", listen, "--out", out]) == 4
    assert main(["report", out]) == 2
    assert "of 'bench ocpi check', whose report.html stands beside it" in capsys.readouterr().err


async def test_a_fail_is_exit_code_1(tmp_path: Path) -> None:
    """The scripted station clears whatever is asked: `clear-twice` fails, and --json prints the result alone."""
    async with _cpo() as (cpo, _):
        process = await _start(cpo, tmp_path / "run", "--only", "clear-twice", "--json")
        out, _err = await asyncio.wait_for(process.communicate(), 25)
    assert process.returncode == 1
    result = json.loads(out)
    assert (result["verdict"], result["exit_code"]) == ("FAIL", 1)
    assert result["cases"][0]["name"] == "clear-twice"


async def test_a_wrong_token_is_a_case_that_fails(tmp_path: Path) -> None:
    """Exit code 1: the CSO can be reached, and refuses; what it said stands at the case `versions`."""
    async with _cpo() as (cpo, _):
        process = await _start(cpo, tmp_path / "run", "--token", "not-the-token")
        out, err = (one.decode() for one in await asyncio.wait_for(process.communicate(), 25))
    assert (process.returncode, err) == (1, "")
    assert "FAIL           versions             GET versions: HTTP 401" in out
    assert "not-the-token" not in out + "".join(one.read_text() for one in (tmp_path / "run").iterdir())


async def test_a_wrong_token_fails_also_where_another_case_is_asked_for(tmp_path: Path) -> None:
    """--only: exit code 1, and the CSO's own reason, for without a registration nothing can be shown."""
    async with _cpo() as (cpo, _):
        process = await _start(cpo, tmp_path / "run", "--token", "not-the-token", "--only", "set")
        out, err = (one.decode() for one in await asyncio.wait_for(process.communicate(), 25))
    assert (process.returncode, err) == (1, "")
    line = next(one for one in out.splitlines() if one.startswith("FAIL"))
    assert line == "FAIL           versions             GET versions: HTTP 401, status_code 2000 ('the token is not known')"


async def test_ctrl_c_ends_it_with_the_profile_taken_back(tmp_path: Path) -> None:
    """Exit code 5, a report that says so, and nothing of ours at the CSO."""
    async with _cpo() as (cpo, stations):
        process = await _start(cpo, tmp_path / "run", "--only", "response-url-slow", "--only", "set")
        assert process.stdout is not None
        while b"PASS           set" not in (line := await asyncio.wait_for(process.stdout.readline(), 25)):
            assert line, "it ended"
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 25)
        assert (process.returncode, err) == (5, b""), out
        assert len(stations.sent("ClearChargingProfile")) == 1
        assert not cpo.platform.registry.platforms
    assert json.loads((tmp_path / "run/result.json").read_text())["state"] == "aborted"
    assert "stopped by the operator" in (tmp_path / "run/report.html").read_text()


async def test_ctrl_c_while_the_cso_is_kept_waiting_is_quiet(tmp_path: Path) -> None:
    """The address that never answers answers then: an open request is no line of the server's own on the console."""
    async with _cpo() as (cpo, _):
        process = await _start(cpo, tmp_path / "run", "--only", "response-url-silent")
        ended, journal = asyncio.create_task(process.wait()), tmp_path / "run/journal.jsonl"
        posted = re.compile(r'"POST","url":"[^"]*/ocpi/results/')
        while not ended.done() and not (journal.is_file() and posted.search(journal.read_text())):
            await asyncio.wait([ended], timeout=0.01)
        process.send_signal(signal.SIGINT)
        out, err = (one.decode() for one in await asyncio.wait_for(process.communicate(), 25))
    assert (process.returncode, err) == (5, ""), out


async def test_more_signals_change_nothing_of_the_end(tmp_path: Path) -> None:
    """Ctrl-C again and again until the process is gone: the same exit code, and its report."""
    async with _cpo() as (cpo, _):
        process = await _start(cpo, tmp_path / "run", "--only", "response-url-slow", "--only", "set")
        assert process.stdout is not None
        while b"PASS           set" not in (line := await asyncio.wait_for(process.stdout.readline(), 25)):
            assert line, "it ended"
        ended = asyncio.create_task(process.wait())
        while not ended.done():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)  # send_signal would take the exit code away from who waits for it
            await asyncio.wait([ended], timeout=0.005)
        out = (await process.stdout.read()).decode()
    assert (process.returncode, "ABORTED: " in out) == (5, True), out
    assert "stopped by the operator" in (tmp_path / "run/report.html").read_text()


def test_a_cso_that_is_not_there_is_exit_code_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing listens at that port."""
    url = f"http://127.0.0.1:{free_port()}/ocpi/versions"
    listen = f"127.0.0.1:{free_port()}"
    assert main(["ocpi", "check", url, "--token", "token-a", "--listen", listen, "--out", str(tmp_path / "run")]) == 4
    assert "cannot be reached" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://x/v"], "no registration token"),
        (["http://x/v", "--token", "t", "--start", "U", "L", "E"], "--role EMSP"),
        (["http://x/v", "--token", "t", "--only", "nothing"], "no case nothing"),
        (["http://x/v", "--token", "t", "--listen", "0.0.0.0:9012"], "needs --public-url"),
        (["ftp://x/v", "--token", "t"], "no http or https address"),
        (["http://x/v", "--token", "t", "--session-within", "-1"], "--session-within"),
        (["http://x/v", "--token", "t", "--push-within", "-1"], "--push-within"),
        (["http://x/v", "--token", "t", "--registered", "NLBAD"], "--registered NLBAD"),
        (["http://x/v", "--token", "t", "--registered", "NL-BAD"], "set BENCH_OCPI_OWN_TOKEN"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is written or sent."""
    for name in ("BENCH_OCPI_TOKEN", "BENCH_OCPI_OWN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert main(["ocpi", "check", *arguments]) == 2
    assert words in capsys.readouterr().err

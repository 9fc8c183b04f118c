"""The mock peers acting by themselves: in one process in virtual time, and as processes of their own in real time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.http_server import Receive, Scope, Send, open_http_server
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook
from bench.errors import PeerError, UsageError
from bench.peers.command import msp_main, scsp_main
from bench.peers.follower import Follower
from bench.peers.schedule import Need, schedule
from bench.rig.cpo import Cpo, open_cpo
from bench.settings.ocpi import OcpiSettings
from tests.ocpi_rig import ScriptedStations, open_ocpi_rig, rig_settings, with_location
from tests.support import EPOCH, MemoryJournal
from tests.support_ports import free_port

FLAT = schedule("flat:11000W", Need())


@pytest.mark.virtual
async def test_each_new_session_gets_a_profile() -> None:
    """Set at once, set again, and taken back."""
    async with open_ocpi_rig() as rig:
        follower = Follower(rig.scsp, FLAT, LoopClock(EPOCH), replace_every_s=60, withdraw_after_s=150)
        await rig.session()
        await asyncio.sleep(200)
        assert [one.method for one in rig.scsp.orders.values()] == ["PUT", "PUT", "PUT", "DELETE"]
        assert [one.result for one in rig.scsp.orders.values()] == [{"result": "ACCEPTED"}] * 4
        await follower.aclose()


@pytest.mark.virtual
async def test_nothing_is_sent_after_the_end_of_a_session() -> None:
    """The end cancels what was planned."""
    async with open_ocpi_rig() as rig:
        follower = Follower(rig.scsp, FLAT, LoopClock(EPOCH), replace_every_s=60)
        session_id = await rig.session()
        await asyncio.sleep(30)
        rig.stations.transaction("Ended", wh=2000)
        await rig.scsp.wait_until(lambda: rig.scsp.sessions[session_id]["status"] == "COMPLETED", 10)
        await asyncio.sleep(300)
        assert len(rig.scsp.orders) == 1
        await follower.aclose()


@pytest.mark.virtual
async def test_a_refused_profile_is_tried_again() -> None:
    """At each `replace_every_s`, until the CSO takes one; the time until the withdrawal counts from then on."""
    async with open_ocpi_rig() as rig:
        follower = Follower(rig.scsp, FLAT, LoopClock(EPOCH), replace_every_s=60, withdraw_after_s=100)
        rig.stations.answers["SetChargingProfile"] = {"status": "Rejected"}
        await rig.session()
        await asyncio.sleep(90)
        rig.stations.answers["SetChargingProfile"] = {"status": "Accepted"}
        await asyncio.sleep(150)
        told = [f"{one.method} {(one.result or {})['result']}" for one in rig.scsp.orders.values()]
        assert told == ["PUT REJECTED"] * 2 + ["PUT ACCEPTED"] * 2 + ["DELETE ACCEPTED"]
        await follower.aclose()


@pytest.mark.virtual
async def test_a_plan_of_several_limits_is_told() -> None:
    """What the CSO pushes may end before the first change: without that line, only 0 W would be seen of a plan by prices."""
    async with open_ocpi_rig() as rig:
        periods = [{"start_period": 3600 * hour, "limit": 1000.0 * hour} for hour in range(7)]
        plan = {"start_date_time": "2026-01-01T00:00:00Z", "charging_rate_unit": "W", "charging_profile_period": periods}
        notes: list[str] = []
        rig.scsp.on_note = notes.append
        follower = Follower(rig.scsp, lambda now: plan, LoopClock(EPOCH))
        session_id = await rig.session()
        await asyncio.sleep(1)
        told = "W: 0 from 0 s, 1000 from 3600 s, 2000 from 7200 s, 3000 from 10800 s, 4000 from 14400 s …"
        assert f"plan for {session_id}, counted from 2026-01-01T00:00:00Z: {told}" in notes
        await follower.aclose()


@pytest.mark.virtual
async def test_what_fails_is_tried_again() -> None:
    """A plan that cannot be made, or a CSO that is away for a while: the next `replace_every_s` is another try."""
    async with open_ocpi_rig() as rig:
        failed, notes = [UsageError("no plan"), PeerError("no connection")], list[str]()

        def plan(now: datetime) -> dict[str, Any]:
            if failed:
                raise failed.pop()
            return FLAT(now)

        rig.scsp.on_note = notes.append
        follower = Follower(rig.scsp, plan, LoopClock(EPOCH), replace_every_s=60)
        session_id = await rig.session()
        await asyncio.sleep(150)
        assert [one.result for one in rig.scsp.orders.values()] == [{"result": "ACCEPTED"}]
        assert [one for one in notes if "no " in one] == [f"session {session_id}: no {what}" for what in ("connection", "plan")]
        await follower.aclose()


async def _start(module: str, cpo: Cpo, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, "--cso", cpo.versions_url, "--listen", f"127.0.0.1:{free_port()}", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=Path(__file__).parents[2],
        env={**os.environ, "BENCH_OCPI_TOKEN": cpo.token_a},
    )  # fmt: skip


async def _read_until(process: asyncio.subprocess.Process, words: str) -> str:
    """Return what the process has printed, up to the line with these words."""
    assert process.stdout is not None
    text = ""
    async with asyncio.timeout(60):
        while words not in text:
            line = (await process.stdout.readline()).decode()
            assert line, f"it ended: {text}"
            text += line
    return text


@pytest.mark.parametrize(("module", "arguments"), [("bench.peers.scsp", ()), ("bench.peers.msp", ("--party", "NL-BEN"))])
@pytest.mark.parametrize("version", ["2.2.1", "2.3.0"])
async def test_a_peer_as_a_process(module: str, arguments: tuple[str, ...], version: str) -> None:
    """It registers, steers the session, tells each thing in a line, unregisters at Ctrl-C, and ends with 0."""
    port, stations = free_port(), ScriptedStations()
    settings = rig_settings().model_copy(update={"ocpi": OcpiSettings(port=port)})
    opened = open_cpo(
        settings, LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo"), stations, AddressBook(),
        base_url=f"http://127.0.0.1:{port}",
    )  # fmt: skip
    async with opened as cpo:
        process = await _start(module, cpo, "--version", version, "--schedule", "flat:16A", *arguments)
        try:
            text = await _read_until(process, f"registered with NL-BEN in {version}")
            stations.transaction("Started", wh=1000)
            text += await _read_until(process, "push for session")
            assert "ACCEPTED" in text
            assert cpo.token_a not in text
            process.send_signal(signal.SIGINT)
            text += await _read_until(process, "0 findings")
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert cpo.platform.registry.platforms == []


async def test_the_msp_starts_a_session_by_command() -> None:
    """`--start TOKEN_UID LOCATION EVSE`, as the check has it: the token is told first; an empty EVSE is left to the CSO."""
    port, stations = free_port(), ScriptedStations()
    stations.answers["RequestStartTransaction"] = {"status": "Accepted"}
    settings = rig_settings().model_copy(update={"ocpi": OcpiSettings(port=port)})
    opened = open_cpo(
        settings, LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo"), stations, AddressBook(),
        base_url=f"http://127.0.0.1:{port}",
    )  # fmt: skip
    async with opened as cpo:
        process = await _start("bench.peers.msp", cpo, "--no-pull", "--start", "04A1B2C3", "test", "")
        try:
            text = await _read_until(process, "START_SESSION")
            assert "PUT token 04A1B2C3: HTTP 201" in text
            assert "ACCEPTED" in text
        finally:
            process.kill()
            await process.wait()


async def test_the_example_in_python_runs(tmp_path: Path) -> None:
    """The MSP of docs/how-to/use-the-mock-peers.md, with the addresses of this test: each command has its result."""
    port, stations = free_port(), ScriptedStations()
    stations.answers |= {
        "ReserveNow": {"status": "Accepted"}, "CancelReservation": {"status": "Accepted"},
        "UnlockConnector": {"status": "Unlocked"},
    }  # fmt: skip
    settings = with_location(capabilities=["RESERVABLE", "UNLOCK_CAPABLE"])
    settings = settings.model_copy(update={"ocpi": settings.ocpi.model_copy(update={"port": port})})
    opened = open_cpo(
        settings, LoopClock(wall_now()), MemoryJournal(), SeededIds(1, "cpo"), stations, AddressBook(),
        base_url=f"http://127.0.0.1:{port}",
    )  # fmt: skip
    root = Path(__file__).parents[2]
    page = (root / "docs/how-to/use-the-mock-peers.md").read_text(encoding="utf-8")
    text = page.partition("```python\n")[2].partition("```")[0]
    async with opened as cpo:
        own = {"http://127.0.0.1:9080/ocpi/versions": cpo.versions_url, "first-peer": cpo.token_a, "9003": str(free_port())}
        for old, new in {**own, '"ocpi"': '"test"', "CS-EMU-1-1": "CS-1-1"}.items():
            assert old in text
            text = text.replace(old, new)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", text, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)},
        )  # fmt: skip
        try:
            said = (await process.communicate())[0].decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert said.endswith("unregistered\n0 findings\n"), said
    results = [line.split()[2] for line in said.splitlines() if line.startswith("result of") and line.endswith(": ACCEPTED")]
    assert results == ["RESERVE_NOW", "CANCEL_RESERVATION", "UNLOCK_CONNECTOR"], said


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["--token", "t", "--listen", "9002"], ["--token", "t", "--listen", "0.0.0.0:9002"],
        ["--token", "t", "--party", "SCP"], ["--token", "t", "--misbehave", "rude"], ["--token", "t", "--schedule", "moon:full"],
        ["--token", "t", "--public-url", "peer.example"], ["--token", "t", "--ca-file", "nowhere.pem"],
        ["--token", "t", "--cso", "nohost"], ["--token", "t", "--party", "NL-W1"],
    ],
)  # fmt: skip
def test_bad_usage_ends_with_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is opened."""
    monkeypatch.delenv("BENCH_OCPI_TOKEN", raising=False)
    assert scsp_main(["--cso", "http://127.0.0.1:9/", *arguments]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--replace-every", "-1"], ["--withdraw-after", "-3"], ["--levels", "0"], ["--levels", "4200,"], ["--energy-kwh", "-3"],
        ["--hours", "0"], ["--slow-s", "-1"], ["--slow-s", "nan"], ["--stop-after", "-1"], ["--preferences", "BLUE"],
        ["--rfid", ""], ["--rfid", "04A1,"], ["--start", "", "LOC-1", ""], ["--start", "04A1", "", ""],
    ],
)  # fmt: skip
def test_values_without_sense_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The option is named, and nobody is called."""
    with pytest.raises(SystemExit) as ended:
        msp_main(["--cso", "http://127.0.0.1:9/", "--token", "t", *arguments])
    assert ended.value.code == 2
    assert f"argument {arguments[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("gone", ["reader", "terminal"])
async def test_a_peer_whose_reader_has_gone_unregisters(gone: str) -> None:
    """`| head`, or a window that was closed (SIGHUP): it ends as by Ctrl-C, and without a traceback."""
    port, stations = free_port(), ScriptedStations()
    settings = rig_settings().model_copy(update={"ocpi": OcpiSettings(port=port)})
    opened = open_cpo(
        settings, LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo"), stations, AddressBook(),
        base_url=f"http://127.0.0.1:{port}",
    )  # fmt: skip
    reading, writing = os.pipe()
    async with opened as cpo:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.peers.scsp", "--cso", cpo.versions_url, "--listen", f"127.0.0.1:{free_port()}",
            stdout=writing, stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
            env={**os.environ, "BENCH_OCPI_TOKEN": cpo.token_a},
        )  # fmt: skip
        os.close(writing)
        try:
            text = await asyncio.to_thread(os.read, reading, 1000)
            while gone == "terminal" and b"GET tariffs" not in text:
                text += await asyncio.to_thread(os.read, reading, 1000)
            if gone == "terminal":
                process.send_signal(signal.SIGHUP)
            os.close(reading)
            told = (await process.communicate())[1].decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert (process.returncode, told) == (0, "")
        assert cpo.platform.registry.platforms == []


@pytest.mark.parametrize(("broken", "code", "told"), [(True, 1, "1 finding\n"), (False, 4, "0 findings\n")])
async def test_a_cso_that_does_not_let_go(broken: bool, code: int, told: str) -> None:
    """The peer says so and still counts its findings: an answer without OCPI's form is one, a CSO that has gone is none."""
    port, stations = free_port(), ScriptedStations()
    settings = rig_settings().model_copy(update={"ocpi": OcpiSettings(port=port)})
    async with AsyncExitStack() as stack:
        cpo = await stack.enter_async_context(open_cpo(
            settings, LoopClock(EPOCH), MemoryJournal(), SeededIds(1, "cpo"), stations, AddressBook(),
            base_url=f"http://127.0.0.1:{port}",
        ))  # fmt: skip
        process = await _start("bench.peers.scsp", cpo, "--no-pull")
        try:
            await _read_until(process, "registered with NL-BEN")
            await stack.aclose()
            if broken:
                await stack.enter_async_context(open_http_server(_broken, port=port))
            process.send_signal(signal.SIGINT)
            text = (await process.communicate())[0].decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert (process.returncode, text.endswith(told), "error: DELETE http" in text) == (code, True, True), text


async def _broken(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 500, "headers": []})
    await send({"type": "http.response.body", "body": b"broken"})


def test_a_cso_that_is_not_there_ends_with_4(capsys: pytest.CaptureFixture[str]) -> None:
    """With one line that says so, and without the token."""
    arguments = ["--cso", f"http://127.0.0.1:{free_port()}/ocpi/versions", "--token", "hidden-token"]
    assert msp_main([*arguments, "--listen", f"127.0.0.1:{free_port()}"]) == 4
    said = capsys.readouterr()
    assert said.err.startswith("error: GET http://127.0.0.1:")
    assert "hidden-token" not in said.out + said.err

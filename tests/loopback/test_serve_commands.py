"""`bench serve`, `stations` and `send` as an operator uses them."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import orjson
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench.adapters.clock import wall_now
from bench.adapters.control_socket import MAX_LINE, NAME, ask, open_control_socket
from bench.adapters.journal_reader import read_journal
from bench.cli import main
from bench.cli.serve import listening
from bench.domain.documents import Kind
from bench.errors import UsageError
from bench.rig.serve import Controls
from tests.stations import BOOT, attached, new_csms, rig_settings
from tests.support import FakeClock, MemoryJournal
from tests.support_lint import default, schedule

RIG = """
schema = 1
name = "desk"
[[station]]
id = "CS-1"
[[station.evse]]
id = 1
"""


@contextmanager
def serving(folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run `bench serve` as a process in `folder`; gives it and the lines that it printed first."""
    (folder / "rig.toml").write_text(RIG)
    command = [sys.executable, "-m", "bench", "serve", "--rig", "rig.toml", "--out", "out", *more]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, _first_lines(process.stdout)
        finally:
            process.kill()


def _first_lines(output: IO[str]) -> dict[str, str]:
    lines: dict[str, str] = {}
    for line in output:
        name, _, text = line.partition(":")
        lines.setdefault(name, text.strip())
        if line.startswith("Ctrl-C"):
            break
    return lines


def station(url: str) -> ClientConnection:
    """Connect to the URL that was printed."""
    return connect(url.replace("STATION_ID", "CS-1"), subprotocols=[Subprotocol("ocpp2.0.1")], compression=None)


def test_a_station_gets_in_until_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The printed URL works, the commands find the server by themselves, and the journal is whole at the end."""
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path) as (process, lines):
        with station(lines["OCPP 2.0.1"]) as one:
            one.send(orjson.dumps([2, "1", "BootNotification", BOOT]).decode())
            assert orjson.loads(one.recv())[2]["status"] == "Accepted"
            assert main(["stations", "--json"]) == 0
            assert [(it["station"], it["online"]) for it in json.loads(capsys.readouterr().out)] == [("CS-1", True)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    documents = read_journal(tmp_path / "out" / "journal.jsonl").documents
    assert documents[0].data["judged"] is False
    assert [document.data["dir"] for document in documents if document.kind == Kind.OCPP_FRAME] == ["in", "out"]
    assert documents[-1].data == {"state": "completed", "reason": "stopped by the operator"}
    assert main(["stations"]) == 2


@pytest.mark.parametrize(("more", "told"), [((), 1), (("--quiet",), 0)])
def test_what_happens_is_told_unless_quiet(more: tuple[str, ...], told: int, tmp_path: Path) -> None:
    """A line for the begin of a session, with its time; none by `--quiet`."""
    event = {"eventType": "Started", "timestamp": wall_now().isoformat(), "triggerReason": "Authorized", "seqNo": 0}
    event |= {"transactionInfo": {"transactionId": "tx-1"}, "evse": {"id": 1}}
    with serving(tmp_path, *more) as (process, lines):
        with station(lines["OCPP 2.0.1"]) as one:
            one.send(orjson.dumps([2, "1", "TransactionEvent", event]).decode())
            one.recv()
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        lines_after = process.stdout.read().splitlines()
    assert len(lines_after) == told
    assert all("Z session S-" in line and line.endswith(" begins at CS-1 EVSE 1") for line in lines_after)


def test_listening_to_the_outside_without_a_password_is_warned_of(tmp_path: Path) -> None:
    """And the URL is printed for each interface, loopback among them."""
    with serving(tmp_path, "--listen", "0.0.0.0:0") as (_, lines):
        assert "no security profile" in lines["warning"]
        assert lines["OCPP 2.0.1"].startswith("ws://")


def test_a_served_station_is_told_another_time(tmp_path: Path) -> None:
    """`--station-clock`: the answer to its boot says so, a warning too; a station that is gone at the end is a finding."""
    with serving(tmp_path, "--station-clock", "2031-03-30T00:58:00Z") as (process, lines):
        assert "2031-03-30T00:58:00" in lines["warning"]
        with station(lines["OCPP 2.0.1"]) as one:
            one.send(orjson.dumps([2, "1", "BootNotification", BOOT]).decode())
            assert orjson.loads(one.recv())[2]["currentTime"].startswith("2031-03-30T00:58")
            assert orjson.loads(one.recv())[2] == "GetVariables"  # is its time from Heartbeat?
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    documents = read_journal(tmp_path / "out" / "journal.jsonl").documents
    codes = {one.data["code"] for one in documents if one.kind == Kind.FINDING}
    assert {"clock_not_shifted", "clock_not_restored"} <= codes


def test_a_server_that_was_killed_is_not_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its socket is still there; the message says what to do."""
    with serving(tmp_path) as (process, _):
        process.kill()
        process.wait(10)
    assert (tmp_path / "out" / NAME).exists()
    assert main(["stations", "--run", str(tmp_path / "out")]) == 2
    assert "start one with 'bench serve'" in capsys.readouterr().err


def test_a_full_disk_ends_it(tmp_path: Path) -> None:
    """Without a journal nobody is served: it says why and ends, and leaves no station with a server that answers nothing."""
    with serving(tmp_path) as (process, lines):
        most = (tmp_path / "out" / "journal.jsonl").stat().st_size + 10
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
        with station(lines["OCPP 2.0.1"]) as link, suppress(ConnectionClosed):
            link.send(orjson.dumps([2, "1", "BootNotification", BOOT]).decode())
            link.recv(10)
        assert process.wait(10) == 4
        assert process.stdout is not None
        assert "bench: the journal ended at document " in process.stdout.read()


def test_evidence_is_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is in use is refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rig.toml").write_text(RIG)
    assert main(["serve", "--rig", "rig.toml", "--out", str(tmp_path)]) == 2
    assert "choose another folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["check", "rig.toml"], ["serve", "--rig", "rig.toml"]])
def test_a_store_in_no_folder_is_refused(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing could be kept there: who wrote it is told before anything is served, with file, key, value and reason."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rig.toml").write_text(RIG + '[ocpi]\nstore = "nodir/x.json"\n')
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "rig.toml: ocpi.store = 'nodir/x.json': there is no folder " in told


async def test_refused_station_is_listed_with_its_remedy(
    tmp_path: Path, clock: FakeClock, journal: MemoryJournal, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words that a lab engineer can act on; the same knock again is counted."""
    csms = new_csms(clock, journal)
    for _ in range(3):
        csms.knock("CS-9", "10.0.0.9", "station id 'CS-9' is not in the rig file", "add it as a [[station]]")
    async with open_control_socket(tmp_path, Controls(csms).answer):
        assert await asyncio.to_thread(main, ["stations", "--run", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("refused  CS-9")
    assert "3 times" in out
    assert "remedy: add it as a [[station]]" in out


@pytest.mark.parametrize(
    ("answer", "code", "printed"),
    [
        ([3, {"status": "Accepted"}], 0, '"status": "Accepted"'),
        ([4, "NotSupported", "no", {}], 1, "CALLERROR NotSupported: no"),
    ],
)
async def test_send_prints_the_answer(
    answer: list[object], code: int, printed: str,
    tmp_path: Path, clock: FakeClock, journal: MemoryJournal, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """0 with the answer on standard output, 1 with the CALLERROR on standard error."""
    (tmp_path / "reset.json").write_text('{"type": "Immediate"}')
    csms = new_csms(clock, journal)
    command = ["send", "CS-1", "Reset", str(tmp_path / "reset.json"), "--run", str(tmp_path)]
    async with open_control_socket(tmp_path, Controls(csms).answer), attached(csms) as link:
        sending = asyncio.create_task(asyncio.to_thread(main, command))
        message_id = (await link.hear())[1]
        link.say(answer[0], message_id, *answer[1:])
        assert await sending == code
    out, err = capsys.readouterr()
    assert printed in (err if code else out)


@pytest.mark.parametrize(
    ("station_id", "action", "payload", "message"),
    [
        ("CS-1", "Reset", '{"type": "Hard"}', "ResetRequest: type"),
        ("CS-1", "Explode", "{}", "no action of OCPP 2.0.1"),
        ("CS-9", "Reset", '{"type": "Immediate"}', "there: CS-1"),
        ("CS-1", "Reset", "[]", "JSON object"),
        ("CS-1", "Reset", "{", "not valid JSON"),
    ],
)
async def test_send_refuses_bad_input(
    station_id: str, action: str, payload: str, message: str,
    tmp_path: Path, clock: FakeClock, journal: MemoryJournal, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """2, and nothing goes to the station."""
    (tmp_path / "file.json").write_text(payload)
    csms = new_csms(clock, journal)
    command = ["send", station_id, action, str(tmp_path / "file.json"), "--run", str(tmp_path)]
    async with open_control_socket(tmp_path, Controls(csms).answer), attached(csms) as link:
        assert await asyncio.to_thread(main, command) == 2
        assert link.silent()
    assert message in capsys.readouterr().err


async def test_send_warns_of_a_profile_that_breaks_a_rule(
    tmp_path: Path, clock: FakeClock, journal: MemoryJournal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever sends by hand is told, and not held up."""
    request = {"evseId": 1, "chargingProfile": default(schedule({"startPeriod": 5, "limit": 16}))}
    (tmp_path / "profile.json").write_text(json.dumps(request))
    csms = new_csms(clock, journal)
    command = ["send", "CS-1", "SetChargingProfile", str(tmp_path / "profile.json"), "--run", str(tmp_path)]
    async with open_control_socket(tmp_path, Controls(csms).answer), attached(csms) as link:
        sending = asyncio.create_task(asyncio.to_thread(main, command))
        link.say(3, (await link.hear())[1], {"status": "Rejected"})
        assert await sending == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"status": "Rejected"}
    assert err.startswith("bench: warning: SetChargingProfile: ")
    assert "K01.FR.31" in err


async def test_the_socket_is_private_and_short_of_nothing(tmp_path: Path) -> None:
    """Mode 0600; a folder deeper than a socket's path may be long; garbage and too much are answered, not crashed on."""
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)

    async def echo(request: dict[str, object]) -> dict[str, object]:
        return request

    async with open_control_socket(folder, echo):
        assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
        assert await asyncio.to_thread(ask, folder, {"a": 1}) == {"a": 1}
        with pytest.raises(UsageError, match="longer than"):
            ask(folder, {"a": "x" * MAX_LINE})
    assert not (folder / NAME).exists()


async def test_closing_does_not_wait_for_a_request(tmp_path: Path) -> None:
    """A call in progress must not hold up Ctrl-C; the command is told."""

    async def never(request: dict[str, object]) -> dict[str, object]:
        asked.set()
        await asyncio.Event().wait()
        return {}

    asked = asyncio.Event()
    async with open_control_socket(tmp_path, never):
        asking = asyncio.create_task(asyncio.to_thread(ask, tmp_path, {}))
        await asked.wait()
    with pytest.raises(UsageError, match="ended before it answered"):
        await asking


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("10.0.0.1", "10.0.0.1", 7000),
        ("10.0.0.1:9000", "10.0.0.1", 9000),
        ("::1", "::1", 7000),
        ("[::1]:9000", "::1", 9000),
    ],
)
def test_listen_overrides_the_rig_file(listen: str, host: str, port: int) -> None:
    """The port of the rig file stays where none is given."""
    csms = listening(rig_settings(port=7000), listen).csms
    assert (csms.host, csms.port) == (host, port)


@pytest.mark.parametrize("listen", [":9000", "10.0.0.1:http", "10.0.0.1:70000"])
def test_listen_that_is_no_address_is_refused(listen: str) -> None:
    """The message repeats it."""
    with pytest.raises(UsageError, match="--listen"):
        listening(rig_settings(), listen)

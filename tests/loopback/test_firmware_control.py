"""The control port of the standalone emulator, and the emulator as a process."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.http_control import open_http_control
from bench.adapters.modbus_line import open_modbus_line
from bench.errors import RigError
from bench.settings.lines import TcpLine
from firmware_sim.__main__ import main
from firmware_sim.clock import RealClock
from firmware_sim.http_control import MAX_BODY, open_control
from firmware_sim.plant import PilotView
from tests.support_firmware import EPOCH, STATION, Lab, open_csms, open_lab, specification


@asynccontextmanager
async def http(lab: Lab) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client at the control port of the lab's station."""
    async with (
        open_control(lab.control, host="127.0.0.1", port=0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        yield client


@pytest.mark.every_loop
async def test_a_car_is_plugged_in_and_seen() -> None:
    """What the probe sees comes back as JSON."""
    async with open_lab() as lab, http(lab) as client:
        assert (await client.post("plug", json={"evse_id": 2})).json() == {"ok": True}
        assert (await client.post("vehicle", json={"evse_id": 2, "settings": {"max_current_a": 10}})).is_success
        seen = (await client.get("look", params={"evse_id": 2})).json()
        assert seen == {"state": "B", "duty_percent": None, "ev_wants_a": 10.0}
        assert (await client.get("state")).json()["evses"][1]["plugged"] is True


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("plug", {}, "plug: wants exactly evse_id; got nothing"),
        ("plug", {"evse_id": 3}, "evse_id = 3: EVSEs here: 1, 2"),
        ("plug", {"evse_id": "1"}, "evse_id = '1'"),
        ("plug", {"evse_id": [1]}, "evse_id = [1]"),
        ("plug", {"evse_id": True}, "evse_id = True"),
        ("demand", {"evse_id": 1, "amperes": -1}, "must be a number from 0 to 80"),
        ("demand", {"evse_id": 1, "amperes": 10**400}, "must be a number from 0 to 80"),
        ("vehicle", {"evse_id": 1, "settings": {"wheels": 4}}, "unknown key 'wheels'"),
        ("vehicle", {"evse_id": 1, "settings": [4]}, "settings"),
        ("authorise", {"evse_id": 1, "id_token": ""}, "id_token"),
        ("vehicle", {"evse_id": 1, "settings": {"ev_profile": ["inside"]}}, "ev_profile = ['inside']: must be one of inside"),
        ("external_limit", {"limit": 8, "unit": "A", "source": "EMS", "periods": []}, "this station has no input for it"),
        ("renegotiate", {"evse_id": 1, "needs": {}}, "this station does not speak ISO 15118"),
        ("renegotiate", {"evse_id": 1, "needs": 5}, "needs: must be a table"),
        ("cut_network", {"seconds": "long"}, "seconds = 'long'"),
        ("contactor", {"closed": 1}, "must be true or false"),
        ("seed_fault", {"id": "none.such", "params": {}}, "unknown fault"),
        ("seed_fault", {"id": "station.ignores-limit", "params": []}, "a fault is an id and a table"),
        ("power_cycle", {"hard": True}, "wants exactly nothing"),
        ("plug", [1], "must be a JSON object"),
    ],
)
async def test_bad_input_is_answered_with_400_and_a_reason(path: str, body: Any, reason: str) -> None:
    """The reason names the argument, its value and what is wanted."""
    async with open_lab() as lab, http(lab) as client:
        answer = await client.post(path, json=body)
        assert answer.status_code == 400
        assert reason in answer.json()["error"]


@pytest.mark.virtual
async def test_other_bad_requests_have_their_own_status() -> None:
    """404 for an unknown path, 405 for the wrong method, 413 for a huge body, 400 for what is not JSON."""
    async with open_lab() as lab, http(lab) as client:
        assert (await client.get("coffee")).status_code == 404
        assert (await client.get("plug")).status_code == 405
        assert (await client.post("plug", content=b"x" * (MAX_BODY + 1))).status_code == 413
        assert (await client.post("plug", content=b"{")).status_code == 400
        assert (await client.post("demand", content=b'{"evse_id": 1, "amperes": NaN}')).status_code == 400
        assert (await client.post("authorise", content=b'{"evse_id": 1, "id_token": "\\ud800"}')).status_code == 400
        assert (await client.get("look", params={"evse_id": "one"})).status_code == 400


@pytest.mark.virtual
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", ""])
async def test_a_plain_post_acts(kind: str) -> None:
    """As `curl -d` sends it, whatever the Content-Type."""
    async with open_lab() as lab, http(lab) as client:
        answer = await client.post("plug", content=b'{"evse_id": 1}', headers={"content-type": kind})
        assert answer.status_code == 200
        assert lab.control.state()["evses"][0]["plugged"] is True


@pytest.mark.virtual
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_a_page_in_a_browser_cannot_act(kind: str) -> None:
    """403 for what has an Origin, which browsers put into every POST; nothing was plugged in."""
    async with open_lab() as lab, http(lab) as client:
        headers = {"content-type": kind, "origin": "null"}
        answer = await client.post("plug", content=b'{"evse_id": 1}', headers=headers)
        assert answer.status_code == 403
        assert lab.control.state()["evses"][0]["plugged"] is False


@pytest.mark.virtual
async def test_the_probe_tells_each_change_at_once() -> None:
    """B when plugged in, then the duty, then C; nothing more after the listener has gone."""
    async with open_lab() as lab:
        seen: list[tuple[int, PilotView]] = []
        stop = lab.control.subscribe(lambda evse_id, view: seen.append((evse_id, view)))
        await lab.charge(2)
        stop()
        await lab.control.unplug(2)
        assert [(evse_id, view["state"], view["duty_percent"]) for evse_id, view in seen] == [
            (2, "B", None), (2, "B", 26.66), (2, "C", 26.66),
        ]  # fmt: skip


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("where", "change", "reason"),
    [
        ("stations", [{"id": "A", "evses": [{"id": 2}]}], "EVSEs are numbered"),
        ("stations", [{"id": "A", "evses": [{"id": 1, "meter": "none"}]}], "unknown meter 'none'"),
        ("stations", [{"id": "A", "evses": [{"id": 1, "max_current_a": 200}]}], "max_current_a = 200"),
        ("stations", [{"id": "A", "evses": [{"id": 1}], "features": {"rate_units": ["V"]}}], "rate_units"),
        ("meters", {"m1": {"register_map": "nowhere.toml", "unit_id": 300}}, "unit_id = 300"),
        ("emulator", {"pwm_delay_s": -1}, "pwm_delay_s = -1"),
        ("emulator", {"colour": "red"}, "unknown key 'colour'"),
    ],
)
async def test_a_wrong_specification_is_refused(where: str, change: Any, reason: str) -> None:
    """Key, value and reason are named; nothing is left running."""
    with pytest.raises(ValueError, match=reason):
        async with open_lab({**specification(), where: change}):
            pass


async def test_real_time_is_the_time_of_the_loop() -> None:
    """Timers and the clock of the standalone process agree, and it never goes back."""
    clock = RealClock()
    first = clock.now()
    await clock.sleep(0.01)
    assert clock.monotonic() == pytest.approx(asyncio.get_running_loop().time(), abs=0.01)
    assert (clock.now() - first).total_seconds() >= 0.009


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_process_prints_its_ports_and_ends_cleanly(number: signal.Signals) -> None:
    """It boots at the CSMS, is controlled over HTTP, and ends with 0 and without a traceback."""
    async with open_csms(LoopClock(EPOCH)) as (csms, port):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "firmware_sim", "--csms", f"ws://127.0.0.1:{port}/ocpp", "--control", "0", "--id", STATION,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parent.parent.parent,
        )  # fmt: skip
        assert process.stdout
        lines = [(await process.stdout.readline()).decode().split() for _ in range(3)]
        assert [line[:2] for line in lines] == [["control", lines[0][1]], ["meter", "evse1"], ["meter", "evse2"]]
        await csms.until("StatusNotification", count=2)
        async with httpx.AsyncClient(base_url=lines[0][1], trust_env=False) as client:
            assert (await client.post("plug", json={"evse_id": 1})).is_success
        assert (await csms.until("StatusNotification", count=3))["connectorStatus"] == "Occupied"
        process.send_signal(number)
        _, errors = await process.communicate()
        assert process.returncode == 0
        assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--csms", "http://127.0.0.1"], "must begin with ws:// or wss://"),
        (["--csms", "ws://127.0.0.1", "--meter-map", "nowhere.toml"], "nowhere.toml"),
        (["--csms", "ws://127.0.0.1", "--password-file", "nowhere.txt"], "nowhere.txt"),
        (["--csms", "ws://127.0.0.1", "--max-current", "3"], "max_current_a = 3"),
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what is wrong; no traceback."""
    assert main([*arguments, "--control", "0"]) == 2
    assert reason in capsys.readouterr().err


def test_a_port_that_is_taken_ends_with_4(capsys: pytest.CaptureFixture[str]) -> None:
    """As of the bench and the peers; one line names it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["--csms", "ws://127.0.0.1:1", "--control", str(port)]) == 4
        assert main(["--csms", "ws://127.0.0.1:1", "--control", "0", "--meter-port", str(port)]) == 4
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("firmware_sim: ")]
    assert [str(port) in line for line in errors] == [True, True]


@pytest.mark.virtual
async def test_external_limits_and_new_needs_come_through_the_control_port() -> None:
    """The bench's own adapter at the other end: a limit over time, its release, an EV's words, and what it may not ask."""
    spec = specification(features={"external_limits": True, "iso15118": True})
    async with (
        open_lab(spec) as lab,
        open_control(lab.control, host="127.0.0.1", port=0) as port,
        open_http_control(f"http://127.0.0.1:{port}") as control,
    ):
        await control.external_limit(10, "A", source="SO", periods=[(60, 8.0)])
        notice = await lab.csms.until("NotifyChargingLimit")
        assert [one["limit"] for one in notice["chargingSchedule"][0]["chargingSchedulePeriod"]] == [10.0, 8.0]
        await control.external_limit(None, source="SO")
        await lab.csms.until("ClearedChargingLimit")
        await control.vehicle(1, {"iso15118": 1, "ev_profile": "inside"})
        with pytest.raises(RigError, match="EVSE 1 has no agreed ISO 15118 session"):
            await control.renegotiate(1, {"energy_wh": 5000})


@pytest.mark.virtual
async def test_a_known_load_comes_through_the_control_port() -> None:
    """What a baseline asks for, by the bench's own adapter: refused where it is none, else drawn behind the meter."""
    async with (
        open_lab() as lab,
        open_control(lab.control, host="127.0.0.1", port=0) as port,
        open_http_control(f"http://127.0.0.1:{port}") as control,
        open_modbus_line("", TcpLine(kind="modbus-tcp", port=int(lab.rig.meter_ports["m1"])), lab.clock) as line,
    ):
        with pytest.raises(RigError, match="amperes = "):
            await control.reference_load(1, [])
        await control.reference_load(1, [6, 10, 16])
        amperes = (await line.read(1, "input", 6, 6)).registers
    assert struct.unpack(">3f", struct.pack(">6H", *amperes)) == (6.0, 10.0, 16.0)

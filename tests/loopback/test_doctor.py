"""`bench doctor`: a sound rig, and rigs with one thing broken each."""

from __future__ import annotations

import json
import os
import pty
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.adapters import host
from bench.adapters.host import ClockSync, users_of
from bench.adapters.lease import held
from bench.cli import main
from bench.rig import doctor
from bench.rig.doctor import Finding, examine
from bench.settings.rig import RigSettings
from tests.procedures.test_restore import station

STATION = {"id": "CS-1", "evse": [{"id": 1}]}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def look(tmp_path: Path, **more: Any) -> dict[str, Finding]:
    """Examine a rig; return its findings by subject."""
    content = {"schema": 1, "name": "desk", "station": [STATION], "csms": {"port": free_port()}, **more}
    rig = RigSettings.model_validate(content)
    return {one.subject: one for one in examine(rig, tmp_path / "rig.toml", runs=tmp_path / "runs")}


def test_the_emulated_rig_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0; each finding has its state, subject, text and remedy."""
    assert main(["doctor", "--json"]) == 0
    found = {one["subject"]: one for one in json.loads(capsys.readouterr().out)}
    assert {"lease", "clock", "disk", "packages", "csms"} <= set(found)
    assert all(set(one) == {"state", "subject", "text", "remedy"} for one in found.values())


@pytest.mark.parametrize(
    ("more", "subject", "text", "remedy"),
    [
        ({"lines": {"bus": {"kind": "serial", "port": "/dev/serial/by-id/none"}}}, "lines.bus.port", "no such device", "plug"),
        ({"lines": {"bus": {"kind": "serial", "port": "/etc/hostname"}}}, "lines.bus.port", "no serial port", "by-id"),
        ({"lines": {"lan": {"kind": "modbus-tcp", "port": 1}}}, "line lan", "nothing listens", "lines.lan.host"),
        ({"mqtt": {"port": 1}}, "mqtt", "127.0.0.1:1: nothing listens", "mqtt.host"),
        ({"control": {"kind": "http", "url": "http://127.0.0.1:1"}}, "control", "nothing listens", "control.url"),
        ({"actuators": {"k1": {"kind": "modbus-relay", "line": "lan"}}, "lines": {"lan": {"kind": "modbus-tcp", "port": 1}}},
         "actuator k1", "127.0.0.1", "actuators.k1.unit_id"),
        ({"actuators": {"ev": {"kind": "shell", "roles": ["ev"], "command": ["/no/such"]}}}, "actuator ev", "no such program",
         "actuators.ev.command"),
        ({"actuators": {"cp": {"kind": "csv", "path": "no.csv"}}}, "actuator cp", "no such file", "actuators.cp"),
        ({"mqtt": {"host": "a" * 70}}, "mqtt", "label", ""),
        ({"csms": {"port": 0}}, "csms", "another port each time", "csms.port"),
    ],
)  # fmt: skip
def test_what_is_broken_is_told_with_its_remedy(
    tmp_path: Path, more: dict[str, Any], subject: str, text: str, remedy: str
) -> None:
    """The key in the rig file, and what to do."""
    found = look(tmp_path, **more)[subject]
    assert (found.state, text in found.text, remedy in found.remedy) == ("fail", True, True)


def test_a_taken_port_of_the_csms_is_told(tmp_path: Path) -> None:
    """And the command exits 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (tmp_path / "rig.toml").write_text(
            f'schema = 1\nname = "desk"\n[csms]\nport = {taken.getsockname()[1]}\n'
            '[[station]]\nid = "CS-1"\n[[station.evse]]\nid = 1\n'
        )
        assert main(["doctor", "--rig", str(tmp_path / "rig.toml")]) == 1


def test_a_port_without_permission_names_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to type stands there."""
    monkeypatch.setattr(os, "access", lambda path, mode: "tty" not in str(path) and "pts" not in str(path))
    control, device = pty.openpty()
    try:
        found = look(tmp_path, lines={"bus": {"kind": "serial", "port": os.ttyname(device)}})["lines.bus.port"]
    finally:
        os.close(control)
        os.close(device)
    assert (found.state, "no permission" in found.text, "usermod -aG" in found.remedy) == ("fail", True, True)


def test_two_relays_on_one_serial_line_are_read_in_turn(tmp_path: Path) -> None:
    """Neither finds the line taken by the other."""
    control, device = pty.openpty()
    line = {"kind": "serial", "port": os.ttyname(device), "timeout_s": 0.1}
    os.close(device)
    relays = {name: {"kind": "modbus-relay", "line": "k", "coil": coil, "roles": ["external_limit"], "contact_limit": 6,
                     "station": name} for coil, name in enumerate(("CS-1", "CS-2"))}  # fmt: skip
    try:
        found = look(tmp_path, lines={"k": line}, actuators=relays, station=[STATION, {**STATION, "id": "CS-2"}])
    finally:
        os.close(control)
    assert ["no valid reply" in found[f"actuator {name}"].text for name in relays] == [True, True]


def test_a_meter_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """With its address."""
    register_map = Path(__file__).parents[2] / "config/meters/sdm630.toml"
    meter = {"kind": "modbus-tcp", "port": free_port(), "register_map": str(register_map)}
    found = look(tmp_path, meters={"main": meter})["meter main"]
    assert (found.state, "127.0.0.1" in found.text) == ("fail", True)


@pytest.mark.parametrize(
    ("sync", "state"),
    [
        (None, "warn"),
        (ClockSync(False, 16, ""), "warn"),
        (ClockSync(True, 0.01, "chronyd"), "ok"),
        (ClockSync(True, 3, ""), "warn"),
    ],
)
def test_the_clock_is_told_as_far_as_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: ClockSync | None, state: str
) -> None:
    """How far it can be off and by what it is kept; unknown is said."""
    monkeypatch.setattr(host, "clock_sync", lambda: sync)
    assert look(tmp_path)["clock"].state == state


def test_a_full_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a day's run is left."""
    full = type(shutil.disk_usage("/"))(10, 9, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    assert look(tmp_path)["disk"].state == "fail"


@pytest.mark.parametrize(
    ("requirement", "wrong"),
    [("pytest>=1,<2", True), ("pytest>=9,<100", False), ("no-such-package>=1", True), ("pytest>=900", True)],
)
def test_a_package_outside_its_bounds_is_told(requirement: str, wrong: bool) -> None:
    """With what is there and what is asked for."""
    assert bool(doctor._wrong_version(requirement)) is wrong


def test_a_check_that_hangs_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told all the same."""
    monkeypatch.setattr(doctor, "LIMIT_S", 0.2)

    async def hang(*_: object) -> list[Finding]:
        await doctor.asyncio.Event().wait()  # type: ignore[attr-defined]
        return []

    monkeypatch.setattr(doctor, "_reach", hang)
    found = look(tmp_path, mqtt={})
    assert "no result within" in found["mqtt"].text
    assert "disk" in found


def test_the_station_is_waited_for(tmp_path: Path) -> None:
    """None comes within that time."""
    content = {"schema": 1, "name": "desk", "station": [STATION], "csms": {"port": free_port()}}
    found = examine(RigSettings.model_validate(content), tmp_path / "rig.toml", wait_s=0.1)
    assert next(one for one in found if one.subject == "station CS-1").state == "fail"


def test_who_has_a_device_open_is_seen(tmp_path: Path) -> None:
    """Another process by name and number; this one is none of them."""
    path = tmp_path / "device"
    path.touch()
    with path.open() as file, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as process:
        assert users_of(path) == [f"cat (process {process.pid})"]
        assert process.stdin is not None
        process.stdin.close()




def test_a_sound_rig_in_two_processes_has_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The station connects within --wait, both meters tell their voltages, the control answers; exit code 0."""
    with station(tmp_path) as rig:
        assert main(["doctor", "--rig", str(rig), "--wait", "30", "--json"]) == 0
    found = {one["subject"]: one for one in json.loads(capsys.readouterr().out)}
    assert {found[name]["state"] for name in ("meter evse1", "meter evse2", "control", "station CS-EMU-1", "lease")} == {"ok"}
    assert "answers, 230" in found["meter evse1"]["text"]


class Named:
    """A meter that tells serial number 123."""

    doubt = ""

    async def identify(self) -> dict[str, str]:
        """Tell it."""
        return {"model": "SDM630", "serial_number": "123", "doubt": self.doubt}

    async def read(self) -> SimpleNamespace:
        """Read nothing."""
        return SimpleNamespace()


@pytest.mark.parametrize(("wanted", "state"), [("", "ok"), ("123", "ok"), ("124", "fail")])
def test_a_meter_with_another_serial_number_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, state: str
) -> None:
    """What its certificate says holds for another one."""

    @asynccontextmanager
    async def open_named(*_: object) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(meters={"main": Named()})

    monkeypatch.setattr(doctor, "open_meters", open_named)
    meter = {"kind": "modbus-tcp", "port": 1, "register_map": "none.toml", "serial_number": wanted}
    found = look(tmp_path, meters={"main": meter})["meter main"]
    assert (found.state, "123" in found.text) == (state, True)


def test_a_doubt_of_a_meter_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers, and nothing can be judged by it."""

    @asynccontextmanager
    async def open_named(*_: object) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(meters={"main": Named()})

    monkeypatch.setattr(doctor, "open_meters", open_named)
    monkeypatch.setattr(Named, "doubt", "its accuracy is not known")
    meter = {"kind": "modbus-tcp", "port": 1, "register_map": "none.toml"}
    found = look(tmp_path, meters={"main": meter})["meter main"]
    assert (found.state, "accuracy is not known" in found.text) == ("warn", True)


def test_a_rig_in_use_is_left_alone(tmp_path: Path) -> None:
    """Who has it is told; neither its ports nor its meters are touched."""
    meter = {"kind": "modbus-tcp", "port": 1, "register_map": "none.toml"}
    with held(["rig desk"], "bench run x", say=print, lost=print):
        found = look(tmp_path, meters={"main": meter})
    assert (found["lease"].state, "bench run x" in found["lease"].text) == ("warn", True)
    assert {"meter main", "csms"}.isdisjoint(found)

"""The actuators of a rig file, command maps, and the routing of actions to roles."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.pilot_log import PilotFile
from bench.adapters.prompt import JournalledAsker
from bench.adapters.routed_control import RoutedControl
from bench.domain.documents import Kind
from bench.errors import NotApplicableError, PromptTimeoutError, RigError, SettingsError
from bench.rig.files import check_file
from bench.settings.actuators import PilotLog
from bench.settings.base import check, load
from bench.settings.instrument_map import InstrumentMap
from bench.settings.rig import RigSettings
from tests.support import EPOCH, FakeClock, MemoryJournal

CONFIG = Path(__file__).parent.parent.parent / "config"
RELAY = {"kind": "modbus-relay", "line": "supply"}
EV = {"kind": "scpi", "roles": ["ev"], "commands": "ev.toml", "host": "h"}


def rig(**actuators: dict[str, Any]) -> RigSettings:
    """Return a rig with these actuators, one line and a meter on another."""
    content = {
        "schema": 1,
        "name": "r",
        "station": [{"id": "CS-1", "evse": [{"id": 1}]}],
        "lines": {"supply": {"kind": "modbus-tcp", "port": 502}, "bus": {"kind": "modbus-tcp", "port": 503}},
        "meters": {"main": {"kind": "modbus", "line": "bus", "register_map": "x.toml"}},
        "actuators": actuators,
    }
    return check(RigSettings, content, Path("r.toml"))


@pytest.mark.parametrize(
    ("actuators", "reason"),
    [
        ({"a": EV, "b": EV}, "actuators.a and actuators.b both have the role ev of CS-1"),
        ({"a": RELAY | {"line": "no"}}, "actuators.a.line names 'no'; lines here: bus, supply"),
        ({"a": RELAY | {"line": "bus"}}, "meters.main hangs on line 'bus', which the guard process opens for actuators.a"),
        ({"a": RELAY | {"station": "CS-9"}}, "actuators.a.station names 'CS-9'; stations here: CS-1"),
        ({"a": EV | {"serial_port": "/dev/x"}}, "actuators.a: needs host or serial_port, one of both"),
        ({"a": RELAY, "b": {"kind": "modbus-register", "line": "supply", "register_address": 1}}, "share line 'supply'"),
        ({"a": RELAY | {"roles": ["external_limit"]}}, "contact_limit goes with the role external_limit"),
        ({"a": RELAY | {"watchdog_register": 1}}, "watchdog_register needs watchdog_s"),
    ],
)
def test_what_is_wired_wrongly_is_refused(actuators: dict[str, dict[str, Any]], reason: str) -> None:
    """The message names both ends of what does not fit."""
    with pytest.raises(SettingsError) as caught:
        rig(**actuators)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("actuators", "guarded"),
    [
        ({}, False),
        ({"a": EV}, False),
        ({"a": RELAY}, True),
        ({"a": EV | {"roles": ["load"]}}, True),
        ({"a": {"kind": "prompt", "roles": ["load"]}}, False),
    ],
)
def test_contactor_and_load_are_for_the_guard(actuators: dict[str, dict[str, Any]], guarded: bool) -> None:
    """Each of both alone; a person is asked by the bench."""
    assert rig(**actuators).is_guarded() is guarded


@pytest.mark.parametrize(
    "actuator",
    [
        {"kind": "shell", "roles": ["load"], "command": ["x"]},
        {"kind": "prompt", "roles": ["ev"]},
        {"kind": "csv", "path": "x.csv"},
    ],
)
def test_what_acts_in_real_time_is_refused_in_virtual_time(actuator: dict[str, Any]) -> None:
    """Virtual time does not wait for a program, a person or a logger: each would time out at once."""
    content = {"schema": 1, "name": "r", "station": [{"id": "CS-1", "evse": [{"id": 1}]}], "actuators": {"a": actuator}}
    with pytest.raises(SettingsError, match=r"acts in real time: emulator\.time must be real"):
        check(RigSettings, content | {"emulator": {}}, Path("r.toml"))
    check(RigSettings, content | {"emulator": {"time": "real"}}, Path("r.toml"))


@pytest.mark.parametrize("path", sorted((CONFIG / "instruments").glob("*.toml")), ids=lambda one: one.stem)
def test_a_command_map_that_ships_is_sound(path: Path) -> None:
    """Each file can be read."""
    assert load(InstrumentMap, path).source


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"action": {"jump": ["X"]}}, "jump: unknown action; known: close, open, draw"),
        ({"action": {"draw": ["CURR {volts}"]}}, "unknown {volts}; known: evse_id, amperes"),
        ({"query": {"mood": {"command": "X?"}}}, "mood: unknown query; known: is_closed"),
        ({"query": {"drawn": {"command": "X?", "pattern": "("}}}, "is no regular expression"),
    ],
)
def test_a_command_map_with_a_mistake_is_refused(content: dict[str, Any], reason: str) -> None:
    """What nobody would ever send, or fill in, is told when the file is read."""
    with pytest.raises(SettingsError) as caught:
        check(InstrumentMap, {"schema": 1, "model": "m", "source": "s", **content}, Path("m.toml"))
    assert reason in str(caught.value)


async def test_what_has_no_means_says_which_role_is_missing() -> None:
    """An external limit does not apply; anything else is an error of the rig."""
    control = RoutedControl("CS-1", FakeClock(), None)
    with pytest.raises(NotApplicableError, match="CS-1: no actuator has the role external_limit"):
        await control.external_limit(10)
    with pytest.raises(RigError, match="nothing can plug at CS-1: no actuator has the role ev"):
        await control.plug(1)


@pytest.mark.parametrize(
    ("commands", "reason"),
    [("no.toml", "no such file"), (str(CONFIG / "instruments/generic-ac-load.toml"), "lacks plug (ev), unplug (ev)")],
)
def test_a_rig_is_checked_with_its_command_maps(tmp_path: Path, commands: str, reason: str) -> None:
    """Before anything is opened: `bench check` tells it, and no run begins."""
    file = tmp_path / "r.toml"
    file.write_text(f'''
schema = 1
name = "r"
station = [{{ id = "CS-1", evse = [{{ id = 1 }}] }}]
[actuators.car]
kind = "scpi"
roles = ["ev"]
host = "h"
commands = "{commands}"
''')
    with pytest.raises(SettingsError) as caught:
        check_file(file)
    assert reason in str(caught.value)


def test_a_command_map_is_checked_by_itself() -> None:
    """As any other file of config/."""
    assert check_file(CONFIG / "instruments/emulated-ev.toml") == "instrument"


class Switch:
    """A contactor that notes what it is told."""

    def __init__(self, closed: bool) -> None:
        self.closed, self.told = closed, list[bool]()

    async def switch(self, closed: bool) -> None:
        self.closed = closed
        self.told.append(closed)

    async def is_closed(self) -> bool | None:
        return self.closed


@pytest.mark.parametrize(("closed", "told"), [(True, [False, True]), (False, [False])])
async def test_a_power_cycle_closes_only_what_was_closed(closed: bool, told: list[bool]) -> None:
    """Nothing closes by itself."""
    switch = Switch(closed)
    await RoutedControl("CS-1", FakeClock(), None, switch=switch).power_cycle()
    assert switch.told == told


async def test_a_contactor_behind_the_electronics_restarts_no_station() -> None:
    """Where it cannot, whoever else acts on the station is asked, and the contactor stays as it is."""
    switch = Switch(True)
    with pytest.raises(RigError, match="nothing can power_cycle"):
        await RoutedControl("CS-1", FakeClock(), None, switch=switch, cycles=False).power_cycle()
    assert switch.told == []


class Nobody:
    """A face at which nobody answers."""

    async def ask(self, text: str, timeout_s: float) -> str:
        raise PromptTimeoutError("nobody answered")


async def test_a_question_without_an_answer_is_written_down() -> None:
    """Text, answer and reason stand in the journal."""
    journal = MemoryJournal()
    with pytest.raises(PromptTimeoutError):
        await JournalledAsker(Nobody(), FakeClock(), journal).ask("Plug in", 5)
    (one,) = journal.documents
    assert (one.kind, one.data["text"], one.data["answer"], one.data["reason"]) == (
        Kind.PROMPT, "Plug in", None, "nobody answered",
    )  # fmt: skip


def log(tmp_path: Path, text: str) -> PilotFile:
    """Return a witness that reads this text."""
    path = tmp_path / "pilot.csv"
    path.write_text(text)
    return PilotFile("scope", PilotLog(kind="csv", path=path), path, FakeClock())


async def test_the_last_whole_line_of_a_pilot_log_counts(tmp_path: Path) -> None:
    """A line that is being written is none yet."""
    seen = await log(
        tmp_path, f"time,state,duty_percent\n{EPOCH},B,\n{EPOCH},C,26.7\n{EPOCH},A"
    ).look(1)
    assert seen == {"state": "C", "duty_percent": 26.7, "ev_wants_a": None, "time": EPOCH}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"time,state,duty_percent\n{EPOCH - timedelta(seconds=6)},C,\n", "6.0 s old, more than 5 s"),
        (f"time,state,duty_percent\n{EPOCH + timedelta(seconds=6)},C,\n", "-6.0 s old, more than 5 s"),
        ("time,state,duty_percent\n", "no line about EVSE 1 yet"),
        ("time,duty_percent\n", "no column 'state'"),
        (f"time,state,duty_percent\n{EPOCH},X,\n", "'X': must be A to F"),
        ("time,state,duty_percent\nnoon,C,\n", "'noon' is no time"),
        ("time,state,duty_percent\nnoon,\rC,\n", "is no CSV"),
    ],
)
async def test_a_pilot_log_that_says_nothing_about_now_is_an_error(tmp_path: Path, text: str, reason: str) -> None:
    """A blind witness says so."""
    with pytest.raises(RigError, match=reason):
        await log(tmp_path, text).look(1)

"""What the guard does with its devices, whatever they answer."""

from __future__ import annotations

import asyncio
import json
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from bench.adapters.guard import START_S, UNHEARD, LocalGuard, ProcessGuard
from bench.errors import RigError, SettingsError
from bench.guard import Guard, refresh_s, serve
from bench.ports import HardStop
from bench.settings.base import check
from bench.settings.rig import RigSettings


class Device:
    """A contactor and a load that write down what they are told; `fails` so many times, `hangs` for ever."""

    def __init__(self, told: list[str], *, fails: int = 0, hangs: bool = False) -> None:
        self.told, self.fails, self.hangs, self.closed = told, fails, hangs, False

    async def _told(self, what: str) -> None:
        self.told.append(what)
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            self.fails -= 1
            raise RigError("no answer")

    async def switch(self, closed: bool) -> None:
        """Close or open."""
        await self._told("close" if closed else "open")
        self.closed = closed

    async def is_closed(self) -> bool | None:
        """Read back."""
        return self.closed

    async def draw(self, amperes: float) -> None:
        """Draw."""
        await self._told(f"draw {amperes:g}")

    async def drawn(self) -> float | None:
        """Read back."""
        return None


def guard(switch: Device, load: Device | None = None) -> tuple[Guard, list[dict[str, Any]]]:
    """Return a guard and its evidence."""
    evidence: list[dict[str, Any]] = []
    return Guard({"CS-1": switch}, {} if load is None else {"CS-1": load}, evidence.append), evidence


@pytest.mark.virtual
async def test_the_load_is_off_before_the_contactor_opens() -> None:
    """So that nothing is switched under load; each action is evidence, with what was read back."""
    told: list[str] = []
    one, evidence = guard(Device(told), Device(told))
    await one.fire("heartbeat", "silence")
    assert told == ["draw 0", "open"]
    assert [(line["action"], line.get("ok")) for line in evidence] == [
        ("hard stop", None), ("load off", True), ("open contactor", True),
    ]  # fmt: skip


@pytest.mark.virtual
async def test_a_load_that_hangs_does_not_keep_the_contactor_closed() -> None:
    """It gets half a second; the contactor opens then, and the load is told again."""
    told: list[str] = []
    one, _ = guard(Device(told), Device(told, hangs=True))
    firing = asyncio.create_task(one.fire("heartbeat", "silence"))
    await asyncio.sleep(0.501)
    assert told == ["draw 0", "open"]
    await asyncio.sleep(3)
    assert told == ["draw 0", "open", "draw 0"]
    firing.cancel()
    await asyncio.wait([firing])


@pytest.mark.virtual
async def test_a_contactor_is_shown_to_act_before_the_guard_is_ready() -> None:
    """What was left closed is open then; one that reads back closed is refused."""
    told: list[str] = []
    one, evidence = guard(Device(told))
    await one.begin()
    assert (told, evidence) == (["open"], [{"station": "CS-1", "action": "begin", "closed": False}])
    welded = Device(told)
    welded.is_closed = _closed  # type: ignore[method-assign]
    with pytest.raises(RigError, match="told to open and reads back closed"):
        await guard(welded)[0].begin()


async def _closed() -> bool | None:
    return True


async def served(one: Guard, sent: list[bytes], patience_s: float = 2.0) -> list[dict[str, Any]]:
    """Let a bench that sends these bytes, and then ends, speak to a guard; return what the guard said."""
    ours, theirs = socket.socketpair()
    serving = asyncio.create_task(serve(one, theirs, patience_s, 0.1))
    reader, writer = await asyncio.open_connection(sock=ours)
    for part in sent:
        writer.write(part)
        await asyncio.sleep(0.25)
    writer.write_eof()
    said = [json.loads(line) async for line in reader]
    await serving
    writer.close()
    await writer.wait_closed()
    return said


@pytest.mark.virtual
async def test_half_a_line_of_a_dying_bench_opens_the_contactor() -> None:
    """The bench was killed while it wrote: what cannot be understood is a bench that is gone."""
    told: list[str] = []
    one, _ = guard(Device(told))
    await served(one, [b'{"id": 1, "do": "switch", "station": "CS-1", "value": true}\n{"do": "be'])
    assert told == ["close", "open"]
    assert "cannot be understood" in one.reason


@pytest.mark.virtual
async def test_heartbeats_are_answered_and_a_contactor_that_opens_by_itself_is_told() -> None:
    """So the bench sees a guard that hangs, and a relay whose own watchdog opened it."""
    told: list[str] = []
    device = Device(told)
    one, _ = guard(device)
    closing = b'{"id": 1, "do": "switch", "station": "CS-1", "value": true}\n'
    asyncio.get_running_loop().call_later(0.3, setattr, device, "closed", False)
    said = await served(one, [b'{"do": "beat"}\n', closing, b'{"do": "beat"}\n'])
    assert {"alive": True} in said
    stop = next(line["stopped"] for line in said if "stopped" in line)
    assert (stop["cause"], stop["reason"]) == ("contactor", "the contactor of CS-1 opened by itself")


@pytest.mark.virtual
async def test_a_contactor_that_does_not_open_is_told_again() -> None:
    """Until it reads back open; the tries that failed alike are told once."""
    told: list[str] = []
    one, evidence = guard(Device(told, fails=3))
    actions = await one.fire("heartbeat", "silence")
    assert told == ["open"] * 4
    assert [line.get("ok") for line in evidence] == [None, False, True]
    assert [action["ok"] for action in actions] == [True]


@pytest.mark.virtual
async def test_a_command_under_way_is_broken_off_and_nothing_closes_again() -> None:
    """A contactor that is just being closed is opened after that; a later order to close is refused."""
    told: list[str] = []
    device = Device(told, hangs=True)
    one, _ = guard(device)
    closing = asyncio.create_task(one.obey("switch", "CS-1", True))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    device.hangs = False
    await one.fire("heartbeat", "silence")
    with pytest.raises(RigError, match="broken off by a hard stop"):
        await closing
    with pytest.raises(RigError, match="nothing is switched on after a hard stop"):
        await one.obey("switch", "CS-1", True)
    assert told == ["close", "open"]


@pytest.mark.virtual
async def test_an_order_that_waits_is_not_carried_out_after_a_hard_stop() -> None:
    """A load that is to draw, behind a command that hangs: the hard stop breaks that one off, and the load stays off."""
    told: list[str] = []
    switch, load = Device(told, hangs=True), Device(told)
    one, _ = guard(switch, load)
    orders = [asyncio.create_task(one.obey("switch", "CS-1", True)), asyncio.create_task(one.obey("draw", "CS-1", 16.0))]
    await asyncio.sleep(0.01)
    switch.hangs = False
    await one.fire("heartbeat", "silence")
    refused = await asyncio.gather(*orders, return_exceptions=True)
    assert [type(error) for error in refused] == [RigError, RigError]
    assert "draw 16" not in told


@pytest.mark.virtual
async def test_the_stand_in_within_the_bench_does_the_same() -> None:
    """Load off, contactor open, whoever waits is told, and nothing closes again."""
    told: list[str] = []
    one = LocalGuard({"CS-1": Device(told)}, {"CS-1": Device(told, fails=1)})
    await one.switches["CS-1"].switch(True)
    await one.hard_stop("operator", "twice")
    stop = await one.stopped()
    assert (told, [action["ok"] for action in stop.actions]) == (["close", "draw 0", "open"], [False, True])
    with pytest.raises(RigError, match="nothing is switched on"):
        await one.switches["CS-1"].switch(True)
    with pytest.raises(RigError, match="nothing is switched on"):
        await one.loads["CS-1"].draw(6)


@pytest.mark.virtual
async def test_a_process_that_starts_slowly_is_not_taken_for_hung() -> None:
    """On a busy computer it may need longer than its heartbeats may be missed; once it is ready, they count."""
    reader, writer = asyncio.StreamReader(), SimpleNamespace(is_closing=lambda: True)
    killed: list[str] = []

    async def successor() -> bool:
        return False

    one = ProcessGuard(reader, writer, 0.25, successor)  # type: ignore[arg-type]
    tasks = [asyncio.create_task(one.listen()), asyncio.create_task(one.beat(lambda: killed.append("killed")))]
    await asyncio.sleep(START_S - 1)
    assert killed == []
    reader.feed_data(b'{"ready": {"switches": [], "loads": []}}\n')
    await one.ready()
    await asyncio.sleep(UNHEARD * 0.25 + 0.5)
    assert killed == ["killed"]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_a_hard_stop_without_means_is_not_ok() -> None:
    """Nothing was done, so nothing is safe."""
    assert not HardStop("operator", "twice").ok


RIG = {"schema": 1, "name": "lab", "station": [{"id": "CS-1", "evse": [{"id": 1}]}]}
LINES = {"supply": {"kind": "modbus-tcp", "port": 502}}
SERIAL = {"kind": "serial", "port": "/dev/serial/by-id/usb-a"}
RELAY = {"kind": "modbus-relay", "line": "supply"}
LIMIT = RELAY | {"coil": 1, "roles": ["external_limit"], "contact_limit": 10}
UNATTENDED = {"safety": {"unattended": True}, "lines": LINES}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"safety": {"unattended": True}}, "needs an actuator with the role power_switch and watchdog_s"),
        ({"safety": {"unattended": True}, "lines": LINES, "actuators": {"main": RELAY}}, "watchdog_s"),
        (UNATTENDED | {"actuators": {"main": RELAY | {"watchdog_s": 3.1}}}, r"main\.watchdog_s = 3\.1: must be at most 3"),
        (UNATTENDED | {"actuators": {"main": RELAY, "limit": LIMIT | {"watchdog_s": 2}}}, "with the role power_switch"),
        ({"safety": {"dead_man_s": 30, "floor": False}}, "dead_man_s needs the floor"),
        ({"safety": {"unattended": True, "floor": False}}, "needs somebody at the rig"),
        ({"safety": {"floor": False}}, "somebody has to stand by"),
        ({"lines": {"supply": SERIAL}, "actuators": {"main": RELAY}}, "its contactor may open after 4 s"),
    ],
)
def test_a_rig_that_could_not_be_safe_is_refused(more: dict[str, Any], reason: str, tmp_path: Any) -> None:
    """By its file, with what it needs."""
    with pytest.raises(SettingsError, match=reason):
        check(RigSettings, RIG | more, tmp_path / "rig.toml")


def test_a_serial_relay_that_opens_in_time_is_taken(tmp_path: Any) -> None:
    """The same line with shorter times, and a person in place of floor and contactor."""
    quick = {"lines": {"supply": SERIAL | {"timeout_s": 0.3, "drain_s": 0.3}}, "actuators": {"main": RELAY}}
    assert check(RigSettings, RIG | quick, tmp_path / "rig.toml").has_power_switch("CS-1")
    watched = {"safety": {"floor": False}, "operator": {}}
    assert not check(RigSettings, RIG | watched, tmp_path / "rig.toml").floor_wanted("CS-1")


def test_a_relay_with_a_watchdog_hears_from_the_guard_in_time(tmp_path: Any) -> None:
    """Three times in the time of its watchdog, and a rig with one may be unattended."""
    more = {"safety": {"unattended": True}, "lines": LINES, "actuators": {"main": RELAY | {"watchdog_s": 1.5}}}
    assert refresh_s(check(RigSettings, RIG | more, tmp_path / "rig.toml")) == 0.5

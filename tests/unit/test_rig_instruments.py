"""Errors in how a rig file wires its instruments: from the message alone a lab engineer can mend the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.errors import SettingsError
from bench.settings.base import check
from bench.settings.rig import RigSettings

FILE = Path("config/rigs/lab-a.toml")
STATION = {"id": "CS-1", "evse": [{"id": 1, "meter": "one"}]}
MAP = "../meters/sdm630.toml"
BUS = {"kind": "serial", "port": "/dev/serial/by-id/usb-a"}


def on_bus(line: str = "bus", unit_id: int = 1) -> dict[str, Any]:
    """Return a meter on a line."""
    return {"kind": "modbus", "line": line, "unit_id": unit_id, "register_map": MAP}


def refused(**tables: Any) -> str:
    """Return why a rig with these tables is refused."""
    content = {"schema": 1, "name": "lab-a", "station": [STATION], "meters": {"one": on_bus()}, "lines": {"bus": BUS}} | tables
    with pytest.raises(SettingsError) as error:
        check(RigSettings, content, FILE)
    return str(error.value)


def test_meters_share_a_bus() -> None:
    """Two units on one line are one line."""
    meters = {"one": on_bus(), "two": on_bus(unit_id=2)}
    content = {"schema": 1, "name": "lab-a", "station": [STATION], "meters": meters, "lines": {"bus": BUS}}
    assert check(RigSettings, content, FILE).lines["bus"].port == "/dev/serial/by-id/usb-a"


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"meters": {"one": on_bus("buss")}}, "meters.one.line names 'buss'; lines here: bus"),
        ({"meters": {"one": on_bus(), "two": on_bus()}}, "meters.one and meters.two are at the same place: bus, 1"),
        ({"lines": {"bus": {"kind": "serial"}}}, "lines.bus.port is missing: only an emulated line chooses its own"),
        ({"lines": {"bus": BUS, "bus2": BUS}}, "serial port /dev/serial/by-id/usb-a is named twice"),
        ({"meters": {"one": {"kind": "p1"}}}, "meters.one.port is missing: only an emulated meter chooses its own"),
        ({"lines": {"bus": BUS | {"parity": "X"}}}, "lines.bus.parity = 'X': must be 'N', 'E' or 'O'"),
        ({"meters": {"one": {"kind": "mqtt", "topic": "t", "quantity": {"power_total": {"path": "P"}}}}}, "publishes by MQTT"),
    ],
)
def test_a_wrong_wiring_is_named(tables: dict[str, Any], message: str) -> None:
    """What is connected twice, to nothing or nowhere is said by name."""
    assert message in refused(**tables)

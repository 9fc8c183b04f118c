"""What crosses from a rig file to the emulator for meters on lines."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import LoopClock
from bench.errors import RigError
from bench.rig.emulated import Emulated, open_emulated_rig
from bench.settings.base import load
from bench.settings.instruments import MqttMeter, MqttValue
from bench.settings.lines import TcpLine
from bench.settings.rig import RigSettings
from tests.support_firmware import EPOCH, open_csms

PATH = Path(__file__).parents[2] / "config/rigs/emulated-bus.toml"
RIG = load(RigSettings, PATH)


async def opened(look: Callable[[Emulated], Any] = lambda one: one, **changed: Any) -> Any:
    """Open the shipped rig with its meters on a bus, changed so; return what is seen of it."""
    clock, rig = LoopClock(EPOCH), RIG.model_copy(update=changed)
    async with open_csms(clock) as (_, port), open_emulated_rig(rig, PATH, clock, port, 1, virtual=True) as emulated:
        return look(emulated)


@pytest.mark.virtual
async def test_a_serial_line_is_a_terminal() -> None:
    """Of the line and not of its meters."""
    meters, device = await opened(lambda one: (one.meter_ports, os.path.realpath(str(one.line_ports["bus"]))))
    assert meters == {}
    assert device.startswith("/dev/pts/")


@pytest.mark.virtual
@pytest.mark.parametrize("kind", ["modbus-tcp", "rtu-over-tcp"])
async def test_a_tcp_line_has_a_free_port(kind: Any) -> None:
    """Where the rig file says 0."""
    emulated = await opened(lines={"bus": TcpLine(kind=kind, port=0)})
    assert int(emulated.line_ports["bus"]) > 1024


@pytest.mark.virtual
async def test_what_cannot_be_emulated_is_said() -> None:
    """A meter that publishes by MQTT."""
    meter = MqttMeter(kind="mqtt", topic="x", quantity={"power_total": MqttValue(path="P")})
    with pytest.raises(RigError, match=r"meters.evse1.kind = 'mqtt': cannot be emulated"):
        await opened(meters={**RIG.meters, "evse1": meter})

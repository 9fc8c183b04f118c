"""The MQTT feed: what the lab is told, and that no broker disturbs a run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.journal_reader import read_journal
from bench.adapters.mqtt import open_mqtt
from bench.adapters.mqtt_meter import open_mqtt_meter
from bench.errors import RigError
from bench.rig.feed import LARGEST_COMMAND, abort_reason
from bench.settings.instruments import MqttMeter
from bench.settings.safety import MqttSettings
from tests.support_mqtt import broker, free_port, run, until

GRID = MqttMeter.model_validate(
    {"kind": "mqtt", "topic": "m/power", "quantity": {"power_total": {"path": "ENERGY.Power", "scale": 1000}}, "timeout_s": 2}
)


async def listen(port: int, out: Path, **more: Any) -> list[aiomqtt.Message]:
    """Run while a client listens; return all messages up to the end of the run."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("#", qos=1)
        ran = asyncio.get_running_loop().run_in_executor(None, lambda: run(out, port=port, **more))
        told = await asyncio.wait_for(
            until(client, lambda one: str(one.topic).endswith("/status") and one.payload == b"offline"), 20
        )
        await ran
    await asyncio.get_running_loop().shutdown_default_executor()
    return told


@pytest.mark.outside("mosquitto")
async def test_the_lab_is_told_of_a_run(tmp_path: Path) -> None:
    """Status, session, one message for each sample, limits as they change, the verdict, and nothing of a token."""
    with broker(tmp_path) as one:
        told = await listen(one.port, tmp_path / "run", home_assistant=True)
    topics = [str(message.topic).removeprefix("hil/v1/emulated/") for message in told]
    documents = read_journal(tmp_path / "run" / "journal.jsonl").documents
    assert topics.count("meter/evse1/sample") == sum(document.kind == "meter.sample" for document in documents)
    limits = [json.loads(bytes(m.payload))["amps"] for m in told if str(m.topic).endswith("CS-EMU-1/1/limit")]
    assert limits[-1] is None
    verdicts = [json.loads(bytes(m.payload)) for m in told if str(m.topic).endswith("/verdict")]
    assert verdicts[-1]["check"] is None
    assert verdicts[-1]["verdict"] == "PASS"
    assert any(topic.startswith("homeassistant/sensor/") for topic in topics)
    assert not any(b"idToken" in bytes(message.payload) for message in told)


@pytest.mark.outside("mosquitto")
async def test_state_is_told_again_to_a_broker_that_comes_back(tmp_path: Path) -> None:
    """A broker without persistence forgets what was retained; the feed tells it again."""
    lines: list[str] = []
    with broker(tmp_path) as one, open_mqtt(MqttSettings(port=one.port), status_topic="s", announce=lines.append) as feed:
        feed.publish("state", b"1", qos=1, retain=True)
        for _ in range(2):
            async with aiomqtt.Client("127.0.0.1", one.port) as client:
                await client.subscribe("state", qos=1)
                told = await asyncio.wait_for(until(client, lambda message: message.payload == b"1"), 10)
            assert str(told[-1].topic) == "state"
            one.stop()
            one.start()
    assert all("cannot be reached" in line or "is back" in line for line in lines)


@pytest.mark.outside("mosquitto")
async def test_a_meter_hands_out_each_message_once(tmp_path: Path) -> None:
    """A retained message is no reading; a live one is read once, decoded by path and scale, with its raw payload."""
    with broker(tmp_path) as one:
        async with aiomqtt.Client("127.0.0.1", one.port) as client:
            await client.publish("m/power", b'{"ENERGY": {"Power": 9}}', qos=1, retain=True)
            async with open_mqtt_meter("grid", GRID, MqttSettings(port=one.port), LoopClock(wall_now())) as meter:
                with pytest.raises(RigError, match="no message on m/power within 2 s"):
                    await meter.read()
                live = b'{"ENERGY": {"Power": 1.5}}'
                await client.publish("m/power", live, qos=1)
                reading = await meter.read()
                assert (reading.power_w, reading.registers) == (1500, {"mqtt:m/power": live.hex()})


@pytest.mark.parametrize(
    ("payload", "reason"), [(b'{"reason": "smoke\\n"}', "smoke"), (b"", ""), (b"[", ""), (b'{"reason": 1}', "")]
)
def test_an_abort_without_a_readable_reason_is_one(payload: bytes, reason: str) -> None:
    """Whoever wants to stop the rig need not write JSON for it."""
    assert abort_reason(payload) == reason
    assert len(payload) < LARGEST_COMMAND


def test_samples_of_a_dead_broker_are_dropped_oldest_first() -> None:
    """Memory stays bounded, and the drops are counted."""
    with open_mqtt(MqttSettings(port=free_port()), announce=lambda _: None) as feed:
        for number in range(2100):
            feed.publish("sample", str(number).encode())
        assert feed.dropped == 100

"""A meter that publishes by MQTT in a whole run, in real time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import aiomqtt
import pytest

from bench.adapters.journal_reader import read_journal
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, open_run
from bench.settings.rig import RigSettings
from tests.support_mqtt import broker


def metered_by_mqtt(port: int) -> tuple[Path, RigSettings]:
    """Return the emulated rig in real time and a meter that publishes."""
    path, rig = find_rig("emulated")
    tables = rig.model_dump(mode="json", by_alias=True, exclude_unset=True)
    quantity = {"power_total": {"path": "P", "scale": 1000}, "current_l1": {"path": "I.0"}}
    tables["emulator"] = {"time": "real"}
    tables["mqtt"] = {"port": port}
    tables["meters"]["grid"] = {"kind": "mqtt", "topic": "lab/m2", "quantity": quantity, "timeout_s": 2}
    return path, RigSettings.model_validate(tables)


@pytest.mark.outside("mosquitto")
async def test_a_meter_by_mqtt_in_a_whole_run(tmp_path: Path) -> None:
    """Each message is a sample with its raw payload; one that cannot be read is a gap with its reason; the run goes on."""
    with broker(tmp_path) as one:
        path, rig = metered_by_mqtt(one.port)
        scenario_path, scenario = find_scenario("lowered-limit")
        scenario = scenario.model_copy(update={"proof": "none"})
        sampled, seen, both = asyncio.Queue[str](), set[str](), asyncio.Event()

        def listener(kind: str, data: object) -> None:
            if isinstance(data, dict) and data.get("meter") == "grid" and kind in ("meter.sample", "meter.gap"):
                sampled.put_nowait(kind)
                if kind == "meter.sample" or "not JSON" in data["reason"]:  # a gap before the first message does not count
                    seen.add(kind)
                if len(seen) == 2:
                    both.set()

        order = Order(scenario, scenario_path, rig, path, tmp_path / "run", listeners=(listener,))

        async def publish() -> None:
            async with aiomqtt.Client("127.0.0.1", one.port) as client:
                for count in range(1_000):
                    await client.publish("lab/m2", b"junk" if count % 2 else b'{"P": 0.5, "I": [2.5]}', qos=1)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(sampled.get(), 0.3)

        publisher = asyncio.create_task(publish())
        async with open_run(order) as opened:
            async with asyncio.timeout(60):
                await both.wait()
        publisher.cancel()
        await asyncio.gather(publisher, return_exceptions=True)
    assert opened.outcome is not None
    found = [d for d in read_journal(tmp_path / "run/journal.jsonl").documents if d.data.get("meter") == "grid"]
    samples = [d.data for d in found if d.kind == "meter.sample"]
    assert {(data["power_w"], data["current_a"][0]) for data in samples} == {(500.0, 2.5)}
    assert any("not JSON" in d.data["reason"] for d in found if d.kind == "meter.gap")

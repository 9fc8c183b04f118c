"""Meters that publish by MQTT: what is a reading and what is none, without a broker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from bench.adapters.clock import LoopClock
from bench.adapters.mqtt_meter import LARGEST, MqttMeter, stamp_at
from bench.errors import RigError
from bench.settings.instruments import MqttMeter as Settings
from tests.support import EPOCH

POWER = {"power_total": {"path": "P", "scale": 1000}}
TWO = {"power_total": {"path": "."}, "current_l2": {"path": "I.1", "topic": "b"}}


def meter(**quantity: Any) -> MqttMeter:
    """Return a meter on topic `a` with a time-out of 5 s."""
    settings = Settings.model_validate({"kind": "mqtt", "topic": "a", "quantity": quantity or POWER})
    return MqttMeter("grid", settings, LoopClock(EPOCH))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b"{}", "a: the message has no P"),
        (b"[1]", "a: the message has no P"),
        (b"7", "a: the message has no P"),
        (b'{"P": "230 W"}', "P is no number: '230 W'"),
        (b'{"P": "230"}', "P is no number: '230'"),
        (b'{"P": true}', "P is no number"),
        (b'{"P": {}}', "P is no number"),
        (b'{"P": NaN}', "P is no number: nan"),
        (b'{"P": -Infinity}', "P is no number: -inf"),
        (b'{"P": 1' + b"0" * 400 + b"}", "P is no number: it is too large"),
        (b'{"P": 1e308}', "P is no number: inf"),
        (b"1" * 5000, "not JSON"),
        (b" " * LARGEST + b"1", f"a message of {LARGEST + 1} bytes is no reading"),
    ],
)
@pytest.mark.virtual
async def test_a_message_that_cannot_be_read_is_a_gap(payload: bytes, reason: str) -> None:
    """It never is a number, and never anything but a RigError that says why."""
    one = meter()
    one.take("a", payload)
    with pytest.raises(RigError, match="meter grid by MQTT: ") as told:
        await one.read()
    assert reason in str(told.value)
    assert len(str(told.value)) < 200


@pytest.mark.virtual
async def test_null_is_no_value() -> None:
    """A quantity that the meter does not know at the moment is absent, the others are read."""
    one = meter(power_total={"path": "P"}, frequency={"path": "f"})
    one.take("a", b'{"P": 5, "f": null}')
    reading = await one.read()
    assert (reading.power_w, reading.frequency_hz) == (5.0, None)


@pytest.mark.virtual
async def test_topics_make_one_reading() -> None:
    """It is complete with the last topic, takes the newest of each, and spans the time between them."""
    one = meter(**TWO)
    one.take("a", b"1")
    await asyncio.sleep(1)
    one.take("a", b"2")
    reader = asyncio.create_task(one.read())
    await asyncio.sleep(1)
    one.take("b", b'{"I": [1, 2.5]}')
    reading = await reader
    assert (reading.power_w, reading.current_a) == (2.0, (None, 2.5, None))
    assert (reading.received - reading.requested).total_seconds() == 1


@pytest.mark.virtual
async def test_a_topic_that_is_silent_is_named() -> None:
    """And what the others published meanwhile does not wait for it beyond the time-out."""
    one = meter(**TWO)
    one.take("a", b"1")
    with pytest.raises(RigError, match="no message on b within 5 s"):
        await one.read()
    await asyncio.sleep(1)
    one.take("b", b'{"I": [0, 0]}')
    with pytest.raises(RigError, match="no message on a within 5 s"):
        await one.read()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity": {"power_totl": {"path": "P"}}}, "quantity.power_totl"),
        ({"quantity": {"power_total": {"path": "P", "scale": 0}}}, "must not be 0"),
        ({"quantity": {"power_total": {"path": ""}}}, "path"),
        ({"quantity": {"energy_import": {"path": "E"}}}, "without one no limit can be judged"),
        ({"quantity": {}}, "quantity"),
        ({"topic": "a/+"}, "without the wildcards"),
        ({"topic": ""}, "topic"),
        ({"quantity": {"power_total": {"path": "P", "topic": "#"}}}, "without the wildcards"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"quantity": {"power_total": {"path": "P", "scale": float("inf")}}}, "scale"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], message: str) -> None:
    """An unknown quantity, a scale that gives nothing, a wildcard: refused before anything runs."""
    with pytest.raises(ValidationError) as told:
        Settings.model_validate({"kind": "mqtt", "topic": "a", "quantity": POWER} | changes)
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("told", "stamp"),
    [
        ("2026-01-15T10:00:00+01:00", "2026-01-15T10:00:00+01:00"), (1_768_467_600, "2026-01-15T09:00:00+00:00"),
        (1_768_467_600_000, "2026-01-15T09:00:00+00:00"), ("2026-01-15T10:00:00", ""), ("now", ""), (None, ""), (True, ""),
        (1e300, ""),
    ],
)  # fmt: skip
def test_the_meters_own_time_counts_with_its_zone_only(told: object, stamp: str) -> None:
    """Text, seconds or milliseconds; without a zone nobody knows what it means."""
    assert stamp_at({"t": {"at": told}}, "t.at") == stamp
    assert stamp_at({"t": 1}, "t.at") == stamp_at([1], "t") == stamp_at({}, "") == ""

"""Meters that publish by MQTT, in messages of their own choice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final, NamedTuple

from bench.adapters.identity import identity_of
from bench.adapters.mqtt import open_mqtt
from bench.domain.meter import MeterReading
from bench.errors import RigError
from bench.ports import Clock
from bench.settings.instruments import MqttMeter as MqttMeterSettings
from bench.settings.safety import MqttSettings

_MILLISECONDS: Final = 1e11
"""A larger number of seconds is of the year 5138."""
LARGEST: Final = 65_536
"""Bytes of a message; what is larger is no reading."""


class _Part(NamedTuple):
    """The newest message of one topic that was not handed out."""

    payload: bytes
    arrived: datetime
    at_s: float


class MqttMeter:
    """Hands out each message at most once. Retained messages are old and no readings.

    With several topics a reading is complete when each has had a message since the last reading, none of them older than
    `timeout_s`; it takes the newest of each. `requested` is when the oldest arrived and `received` when the newest did.
    """

    def __init__(self, name: str, settings: MqttMeterSettings, clock: Clock) -> None:
        self.name, self._settings, self._clock = name, settings, clock
        self.topics = tuple(dict.fromkeys(value.topic or settings.topic for value in settings.quantity.values()))
        self._parts: dict[str, _Part] = {}
        self._news = asyncio.Event()

    def take(self, topic: str, payload: bytes) -> None:
        """Take a message that was not retained; in the loop's own thread."""
        self._parts[topic] = _Part(payload, self._clock.now(), self._clock.monotonic())
        self._news.set()

    async def identify(self) -> dict[str, Any]:
        """Return a METER_IDENTITY's data: a message tells no serial number."""
        return identity_of(self.name, self._settings, None, "")

    async def read(self) -> MeterReading:
        """Wait for the next reading. Raises RigError where none is complete within `timeout_s`, or one cannot be read."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                while not self._complete():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            missing = ", ".join(topic for topic in self.topics if topic not in self._parts)
            raise self._error(f"no message on {missing} within {self._settings.timeout_s:g} s") from None
        parts, self._parts = self._parts, {}
        return self._decode(parts)

    def _complete(self) -> bool:
        oldest = self._clock.monotonic() - self._settings.timeout_s
        self._parts = {topic: part for topic, part in self._parts.items() if part.at_s >= oldest}
        return len(self._parts) == len(self.topics)

    def _decode(self, parts: dict[str, _Part]) -> MeterReading:
        contents = {topic: self._content(topic, part.payload) for topic, part in parts.items()}
        found: dict[str, float | None] = {}
        for quantity, value in self._settings.quantity.items():
            topic = value.topic or self._settings.topic
            number = self._number(topic, value.path, contents[topic])
            found[quantity] = None if number is None else self._finite(topic, value.path, number * value.scale)
        arrived = [part.arrived for part in parts.values()]
        return MeterReading(
            requested=min(arrived), received=max(arrived), voltage_v=_phases(found, "voltage"),
            current_a=_phases(found, "current"), power_w=found.get("power_total"), phase_power_w=_phases(found, "power"),
            energy_import_wh=found.get("energy_import"), frequency_hz=found.get("frequency"),
            registers={f"mqtt:{topic}": part.payload.hex() for topic, part in parts.items()},
            stamp=stamp_at(contents.get(self._settings.topic), self._settings.time_path),
        )  # fmt: skip

    def _content(self, topic: str, payload: bytes) -> Any:
        if len(payload) > LARGEST:
            raise self._error(f"{topic}: a message of {len(payload)} bytes is no reading")
        try:
            return json.loads(payload)
        except (ValueError, RecursionError):
            raise self._error(f"{topic}: the message is not JSON: {payload[:40]!r}") from None

    def _number(self, topic: str, path: str, content: Any) -> float | None:
        """Return the number at a path, None for null. Raises RigError."""
        for key in path.split(".") if path != "." else ():
            if isinstance(content, dict) and key in content:
                content = content[key]
            elif isinstance(content, list) and key.isascii() and key.isdecimal() and int(key) < len(content):
                content = content[int(key)]
            else:
                raise self._error(f"{topic}: the message has no {path}")
        if content is None:
            return None
        if isinstance(content, bool) or not isinstance(content, int | float):
            raise self._error(f"{topic}: {path} is no number: {str(content)[:40]!r}")
        try:
            return self._finite(topic, path, float(content))
        except OverflowError:
            raise self._error(f"{topic}: {path} is no number: it is too large") from None

    def _finite(self, topic: str, path: str, number: float) -> float:
        if not isfinite(number):
            raise self._error(f"{topic}: {path} is no number: {number}")
        return number

    def _error(self, reason: str) -> RigError:
        return RigError(f"meter {self.name} by MQTT: {reason}")


def stamp_at(content: Any, path: str) -> str:
    """Return the time at a path of a message as RFC 3339; empty where there is none, or one without a zone."""
    for key in path.split(".") if path else ():
        content = content.get(key) if isinstance(content, dict) else None
    if not path or isinstance(content, bool):
        return ""
    try:
        if isinstance(content, int | float):
            return datetime.fromtimestamp(content / 1000 if content > _MILLISECONDS else content, UTC).isoformat()
        moment = datetime.fromisoformat(content) if isinstance(content, str) else None
    except (ValueError, OverflowError, OSError):
        return ""
    return "" if moment is None or moment.tzinfo is None else moment.isoformat()


def _phases(found: dict[str, float | None], name: str) -> tuple[float | None, float | None, float | None]:
    return found.get(f"{name}_l1"), found.get(f"{name}_l2"), found.get(f"{name}_l3")


@asynccontextmanager
async def open_mqtt_meter(
    name: str, settings: MqttMeterSettings, broker: MqttSettings, clock: Clock
) -> AsyncIterator[MqttMeter]:
    """Subscribe to a meter's topics on a connection of its own, and disconnect at the end. For runs in real time only.

    A broker that cannot be reached is a gap for as long as that lasts.
    """
    meter, loop = MqttMeter(name, settings, clock), asyncio.get_running_loop()

    def arrived(topic: str, payload: bytes, retained: bool) -> None:
        if not retained:
            with suppress(RuntimeError):  # the run is over
                loop.call_soon_threadsafe(meter.take, topic, payload)

    with open_mqtt(broker, handlers=dict.fromkeys(meter.topics, arrived)):
        yield meter

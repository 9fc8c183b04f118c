"""Tells the lab by MQTT how a run goes: hangs the feed on the journal, and takes `cmd/abort`. Evidence never depends on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from bench.adapters.journal import JournalFile, encode
from bench.domain.documents import Document, Kind
from bench.ports import Clock
from bench.runs.feed import Feed, Message, base_topic
from bench.settings.rig import RigSettings

if TYPE_CHECKING:
    from bench.adapters.mqtt import MqttConnection

Abort = Callable[[str], object]
"""Takes the reason; called in the run's loop, at once for each message."""
LARGEST_COMMAND: Final = 4096
"""Bytes; what is larger is no command."""


@contextmanager
def open_feed(rig: RigSettings, journal: JournalFile, clock: Clock, run: str, abort: Abort) -> Iterator[Callable[[], None]]:
    """Publish what is written to the journal from now on, where the rig file has [mqtt]; at the end send what waits.

    Yields what tells a planned change that is due, for whoever writes nothing for minutes.

    Args:
        run: the run's id, as its folder is called.
        abort: called where someone publishes to `cmd/abort`.
    """
    settings = rig.mqtt
    if settings is None:
        yield lambda: None
        return
    from bench.adapters.mqtt import open_mqtt, tell

    if settings.password is not None:
        journal.secret(settings.password.get_secret_value())
    bench, loop = settings.bench or rig.name, asyncio.get_running_loop()
    feed = Feed(bench, run, home_assistant=settings.home_assistant)

    def stop(reason: str) -> None:
        if not listener.ended:  # also where the feed has failed
            text = f"cmd/abort by MQTT{reason and ': '}{reason}"
            journal.write(Kind.FINDING, {"source": "operator", "code": "abort", "text": text, "refs": []})
            abort(reason)

    def command(topic: str, payload: bytes, retained: bool) -> None:
        if not retained and len(payload) <= LARGEST_COMMAND:
            with suppress(RuntimeError):  # the run is over
                loop.call_soon_threadsafe(stop, abort_reason(payload))

    handlers = {f"{feed.base}/cmd/abort": command} if settings.allow_abort else {}
    with open_mqtt(settings, status_topic=f"{base_topic(bench)}/status", handlers=handlers) as connection:
        listener = _Listener(feed, journal, clock, connection)
        journal.subscribe(listener)
        try:
            yield listener.due
        finally:
            listener.end()
    if connection.dropped:
        tell(f"mqtt: {connection.dropped} messages were not published: the broker was too slow, or not there")


def abort_reason(payload: bytes) -> str:
    """Return the reason of an abort: `{"reason": …}` or nothing; an abort whose reason cannot be read is one all the same."""
    with suppress(ValueError, RecursionError):
        content = json.loads(payload)
        if isinstance(content, dict) and isinstance(content.get("reason"), str):
            return "".join(one for one in content["reason"] if one.isprintable())[:200]
    return ""


class _Listener:
    """Gives each document to the feed. A defect of the feed ends the feed, not the run."""

    def __init__(self, feed: Feed, journal: JournalFile, clock: Clock, connection: MqttConnection) -> None:
        self._feed, self._journal, self._clock, self._connection = feed, journal, clock, connection
        self._failed = self.ended = False

    def __call__(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take one document of the journal."""
        self._tell(lambda: self._feed.take(Document(self._journal.seq - 1, self._clock.now(), kind, dict(data))))

    def due(self) -> None:
        """Tell what has changed without a document."""
        self._tell(lambda: self._feed.due(self._clock.now()))

    def _tell(self, messages: Callable[[], list[Message]]) -> None:
        if self._failed or self.ended:
            return
        try:
            for message in messages():
                self._publish(message)
        except Exception as error:
            self._failed = True
            from bench.adapters.mqtt import tell

            tell(f"mqtt: the feed ended: {type(error).__name__}: {error}")

    def end(self) -> None:
        """Take no more."""
        self.ended = True

    def _publish(self, message: Message) -> None:
        told = message.payload
        if message.topic.endswith("/session"):
            told = told | {"dropped": self._connection.dropped}
        payload = encode(told)
        if message.qos:
            payload = self._journal.redacted(payload)
        self._connection.publish(message.topic, payload, qos=message.qos, retain=message.retain)

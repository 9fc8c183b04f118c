"""A connection to an MQTT broker in a thread of its own: whatever the broker does, nobody waits for it.

All that the bench knows of aiomqtt stands in this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final

import aiomqtt

from bench.settings.safety import MqttSettings

Handler = Callable[[str, bytes, bool], None]
"""Takes topic, payload and whether the broker had retained the message; called in the connection's thread."""

CONNECT_S: Final = 2.0
"""Seconds in which TCP connection and TLS handshake have to be there."""
ANSWER_S: Final = 5.0
"""Seconds in which the broker has to answer; a slower one is taken for gone."""
KEEPALIVE_S: Final = 10
"""After one and a half times this silence the broker publishes the last will (MQTT 3.1.1, 3.1.2.10)."""
FLUSH_S: Final = 2.0
"""Real seconds that the end of a run waits at most for what is still to be sent."""
GOODBYE_S: Final = 0.5
BACKOFF_S: Final = (0.2, 5.0)
"""Real seconds between two attempts to connect: the first, and the longest."""
QUEUE: Final = 2000
"""So many samples and so many events wait at most; the oldest go first."""

_LOG: Final = logging.getLogger("bench.mqtt")
_LOG.addHandler(logging.NullHandler())  # what aiomqtt has to say is told in one line by `announce`
_LOG.propagate = False


def tell(line: str) -> None:
    """Print a line for the operator on standard error."""
    with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
        print(line, file=sys.stderr, flush=True)


class _Client(aiomqtt.Client):
    """A client that leaves no socket behind where its connection never came to be."""

    def __init__(self, settings: MqttSettings, will: aiomqtt.Will | None, tls: ssl.SSLContext | None) -> None:
        super().__init__(
            settings.host, settings.port, username=settings.username or None,
            password=settings.password.get_secret_value() if settings.password is not None else None,
            will=will, timeout=ANSWER_S, keepalive=KEEPALIVE_S, tls_context=tls, logger=_LOG, clean_session=True,
        )  # fmt: skip
        self._client.connect_timeout = CONNECT_S

    async def goodbye(self) -> None:
        """Disconnect as one who has nothing more to say, so that the last will is not published."""
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self.__aexit__(None, None, None)

    def drop(self) -> None:
        """Close the socket, if there is one, inside the loop."""
        self._client._sock_close()

    def close_socket(self) -> None:
        """Close a socket that was opened by an attempt which nobody waited for, after the loop."""
        open_socket = self._client.socket()
        if open_socket is not None:
            open_socket.close()


class _Outbox:
    """What is to be sent. Retained state is a last value for each topic; events and samples wait apart, bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: dict[str, bytes] = {}
        self._changed: dict[str, None] = {}
        self._events: deque[tuple[str, bytes]] = deque()
        self._samples: deque[tuple[str, bytes]] = deque()
        self.dropped = 0

    def put(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        with self._lock:
            if retain:
                self._state[topic] = payload
                self._changed[topic] = None
                return
            queue = self._events if qos else self._samples
            if len(queue) >= QUEUE:
                queue.popleft()
                self.dropped += 1
            queue.append((topic, payload))

    def again(self) -> None:
        """Send all retained state once more: the broker may have lost it."""
        with self._lock:
            self._changed = dict.fromkeys(self._state)

    def next(self) -> tuple[str, bytes, int, bool] | None:
        """Return topic, payload, QoS and retain of what is to be sent next, state first."""
        with self._lock:
            for topic in self._changed:
                return topic, self._state[topic], 1, True
            for queue, qos in ((self._events, 1), (self._samples, 0)):
                if queue:
                    return *queue[0], qos, False
            return None

    def sent(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        """Forget what the broker has; what came in its place meanwhile stays."""
        with self._lock:
            queue = self._events if qos else self._samples
            if retain:
                if self._state[topic] is payload:
                    self._changed.pop(topic, None)
            elif queue and queue[0][1] is payload:
                queue.popleft()


class MqttConnection:
    """Publishes and receives. No method waits for the broker or raises because of it; see `open_mqtt`."""

    def __init__(
        self, settings: MqttSettings, status_topic: str, handlers: Mapping[str, Handler], announce: Callable[[str], None]
    ) -> None:
        self._settings, self._status, self._handlers, self._announce = settings, status_topic, dict(handlers), announce
        self._where = f"mqtt: broker {settings.host}:{settings.port}"
        self._outbox = _Outbox()
        self._down = ""
        """Why there is no connection, once that was told."""
        self._client: _Client | None = None
        self._lookup: Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._wake: asyncio.Event
        self._end: asyncio.Event
        self._delay_s = BACKOFF_S[0]
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mqtt", daemon=True)

    @property
    def dropped(self) -> int:
        """Return how many messages were dropped because the broker was too slow or not there."""
        return self._outbox.dropped

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Queue a message; a retained one takes the place of the one before it on its topic."""
        self._outbox.put(topic, payload, qos, retain=retain)
        self._call(self._wake)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """Send what waits, as far as the broker takes it within FLUSH_S, and end the thread."""
        self._call(self._end, self._wake)
        self._thread.join(FLUSH_S + CONNECT_S + 2 * GOODBYE_S)

    def _call(self, *events: asyncio.Event) -> None:
        """Set events of the thread's loop."""
        for event in events:
            with contextlib.suppress(RuntimeError):  # the thread has ended
                self._loop.call_soon_threadsafe(event.set)

    def _work(self) -> None:
        try:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._serve())
        except Exception as error:  # whatever it is, the run goes on
            self._announce(f"{self._where}: {type(error).__name__}: {error}; nothing more is published")
        finally:
            self._ready.set()
            if self._client is not None:
                self._client.close_socket()

    async def _serve(self) -> None:
        self._loop, self._wake, self._end = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._ready.set()
        sessions, ending = asyncio.create_task(self._sessions()), asyncio.create_task(self._end.wait())
        await asyncio.wait([sessions, ending], return_when="FIRST_COMPLETED")
        await asyncio.wait([sessions], timeout=FLUSH_S)
        for task in (sessions, ending):
            task.cancel()
        await asyncio.gather(sessions, ending, return_exceptions=True)

    async def _sessions(self) -> None:
        """Connect again and again until the end."""
        while True:
            reason = await self._session()
            if self._end.is_set():
                return
            if reason and not self._down:
                self._down = reason
                self._announce(f"{self._where} cannot be reached: {reason}; what is published waits, within bounds")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._delay_s):
                    await self._end.wait()
            if self._end.is_set():
                return
            self._delay_s = min(2 * self._delay_s, BACKOFF_S[1])

    async def _session(self) -> str:
        """Serve one connection until it is lost or the run ends; return why it could not be had or went."""
        tasks: list[asyncio.Task[None]] = []
        client: _Client | None = None
        try:
            tls = self._tls()
            await self._resolve()
            client = self._client = _Client(self._settings, self._will(), tls)
            await client.__aenter__()
            if self._handlers:
                await client.subscribe([(topic, 1) for topic in self._handlers])
            if self._status:
                await client.publish(self._status, b"online", qos=1, retain=True)
            if self._down:
                self._announce(f"{self._where} is back")
            self._down, self._delay_s = "", BACKOFF_S[0]
            self._outbox.again()
            tasks = [asyncio.create_task(self._receive(client)), asyncio.create_task(self._send(client))]
            done, _ = await asyncio.wait(tasks, return_when="FIRST_COMPLETED")
            for task in done:
                task.result()
            await client.goodbye()
        except Exception as error:
            return str(error) or type(error).__name__
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if client is not None:
                client.drop()
        return ""

    async def _resolve(self) -> None:
        """Look the broker's name up in a thread that no exit waits for, unlike an executor's. Raises OSError."""
        if self._lookup is None or self._lookup.done():
            self._lookup = Future()
            self._lookup.set_running_or_notify_cancel()  # who stops waiting does not end it
            threading.Thread(target=_look_up, args=(self._settings, self._lookup), name="mqtt lookup", daemon=True).start()
        try:
            await asyncio.wait_for(asyncio.wrap_future(self._lookup), CONNECT_S)
        except TimeoutError:
            raise OSError(f"the name was not resolved within {CONNECT_S:g} s") from None

    async def _receive(self, client: _Client) -> None:
        async for message in client.messages:
            payload = message.payload if isinstance(message.payload, bytes) else str(message.payload or "").encode()
            handler = self._handlers.get(topic := str(message.topic))
            if handler is not None:
                handler(topic, payload, message.retain)

    async def _send(self, client: _Client) -> None:
        while True:
            self._wake.clear()
            item = self._outbox.next()
            if item is not None:
                topic, payload, qos, retain = item
                await client.publish(topic, payload, qos=qos, retain=retain)
                self._outbox.sent(*item)
            elif self._end.is_set():
                break
            else:
                await self._wake.wait()
        if self._status:
            await client.publish(self._status, b"offline", qos=1, retain=True)

    def _will(self) -> aiomqtt.Will | None:
        return aiomqtt.Will(self._status, b"offline", qos=1, retain=True) if self._status else None

    def _tls(self) -> ssl.SSLContext | None:
        if not self._settings.tls:
            return None
        try:
            return ssl.create_default_context(cafile=self._settings.ca_file or None)
        except OSError as error:
            raise OSError(f"ca_file {self._settings.ca_file}: {error.strerror or error}") from None


def _look_up(settings: MqttSettings, result: Future[None]) -> None:
    try:
        socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        result.set_exception(error)
    else:
        result.set_result(None)


@contextmanager
def open_mqtt(
    settings: MqttSettings, *, status_topic: str = "", handlers: Mapping[str, Handler] | None = None,
    announce: Callable[[str], None] = tell,
) -> Iterator[MqttConnection]:
    """Begin to connect to the broker, and at the end send what waits and disconnect: at most about FLUSH_S real seconds.

    Args:
        status_topic: says `online` and `offline`, retained and by last will; empty for a connection that only listens.
        handlers: topics to subscribe to, without wildcards.
        announce: called in the connection's thread with one line when the broker cannot be reached, and one when it is back.
    """  # fmt: skip
    connection = MqttConnection(settings, status_topic, handlers or {}, announce)
    connection.start()
    try:
        yield connection
    finally:
        connection.close()

"""Virtual time jumps only when nothing can happen any more: not over work in a thread, bytes on a pty or a socket."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
import tty
from collections.abc import AsyncIterator
from datetime import timedelta, timezone

import pytest

from bench.adapters import clock as clock_module
from bench.adapters.clock import InFlight, LoopClock, VirtualLoop, every_real_second, wall_now
from tests.support import EPOCH

pytestmark = pytest.mark.virtual


def virtual_loop() -> VirtualLoop:
    """Return the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


async def test_a_day_passes_in_no_time() -> None:
    """A sleep of a day ends at the very moment it should, and costs one jump."""
    loop = virtual_loop()
    before = loop.iterations
    await asyncio.sleep(86_400)
    assert loop.time() == 86_400
    assert loop.iterations - before < 5


async def test_time_stands_still_while_something_is_runnable() -> None:
    """Code that only yields takes no time, however often it does."""
    loop = virtual_loop()
    late = asyncio.create_task(asyncio.sleep(0.001))
    for _ in range(1000):
        await asyncio.sleep(0)
    assert loop.time() == 0
    await late
    assert loop.time() == 0.001


async def test_timers_fire_in_order_and_on_time() -> None:
    """Timers are due in the order of their times, whatever the order in which they were set."""
    loop = virtual_loop()
    fired: list[tuple[float, float]] = []
    for due in (3.0, 1.0, 2.5, 3600.0, 0.1, 1e6):
        loop.call_at(due, lambda at: fired.append((at, loop.time())), due)
    await asyncio.sleep(1e6 + 1)
    assert fired == [(due, due) for due in (0.1, 1.0, 2.5, 3.0, 3600.0, 1e6)]


async def test_no_rounding_adds_up() -> None:
    """A thousand sleeps of a tenth end where a thousand additions of a tenth end: jumps land on the timers themselves."""
    loop = virtual_loop()
    due = 0.0
    for _ in range(1000):
        due += 0.1
        await asyncio.sleep(0.1)
    assert loop.time() == due


async def test_a_timeout_is_a_matter_of_virtual_time() -> None:
    """A deadline of an hour is over after an hour of virtual time, at once."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await asyncio.Event().wait()
    assert virtual_loop().time() == 3600


async def test_an_idle_loop_does_not_turn() -> None:
    """Waiting for an hour with ten sleepers costs three turns for each at most, so nothing ticks."""
    loop = virtual_loop()
    before = loop.iterations
    await asyncio.gather(*(asyncio.sleep(3600 + number) for number in range(10)))
    assert loop.iterations - before <= 32


async def test_work_in_a_thread_holds_the_clock() -> None:
    """While a thread works no timer is reached, so its work takes no virtual time."""
    loop = virtual_loop()
    rival = asyncio.create_task(asyncio.sleep(5))
    gate = threading.Event()
    threading.Timer(0.05, gate.set).start()
    assert await loop.run_in_executor(None, gate.wait, 5.0)
    assert (loop.time(), rival.done()) == (0, False)
    await rival


async def test_a_thread_that_fails_gives_the_clock_back() -> None:
    """The hold ends with the work, however it ends."""
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 // 0)
    await asyncio.sleep(60)
    assert virtual_loop().time() == 60


async def test_a_call_from_a_thread_wakes_an_idle_loop() -> None:
    """Without any timer the loop waits for the outside world in real time."""
    loop = virtual_loop()
    done = asyncio.Event()
    caller = threading.Thread(target=loop.call_soon_threadsafe, args=(done.set,))
    loop.call_soon(caller.start)
    await done.wait()
    caller.join()
    assert loop.time() == 0


async def test_an_exchange_over_loopback_never_times_out() -> None:
    """A send on 127.0.0.1 makes the peer readable before it returns: 300 exchanges, each shorter than any deadline."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100_000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for size in range(1, 30_000, 100):
            writer.write(bytes(size))
            async with asyncio.timeout(1e-6):
                await reader.readexactly(size)
        writer.close()
        await writer.wait_closed()
    assert virtual_loop().time() == 0


class Pty:
    """An echo on a pseudo terminal, whose bytes the kernel delivers late; both ends count them."""

    def __init__(self, in_flight: InFlight) -> None:
        self.in_flight = in_flight
        self.loop = asyncio.get_running_loop()
        self.device, self.bench = os.openpty()
        for fd in (self.device, self.bench):
            tty.setraw(fd)
            os.set_blocking(fd, False)
        self.answers = True
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.loop.add_reader(self.device, self._serve)
        self.loop.add_reader(self.bench, self._receive)

    def _serve(self) -> None:
        data = os.read(self.device, 1000)
        self.in_flight.read(len(data))
        if self.answers:
            self.in_flight.written(os.write(self.device, data))

    def _receive(self) -> None:
        data = os.read(self.bench, 1000)
        self.in_flight.read(len(data))
        self.received.put_nowait(data)

    def send(self, data: bytes) -> None:
        """Send to the device."""
        self.in_flight.written(os.write(self.bench, data))

    def close(self) -> None:
        """Take both ends out of the loop."""
        for fd in (self.device, self.bench):
            self.loop.remove_reader(fd)
            os.close(fd)


@pytest.fixture
async def pty() -> AsyncIterator[Pty]:
    """Return an echo on a pty."""
    line = Pty(virtual_loop().in_flight)
    yield line
    line.close()


async def test_bytes_on_a_pty_hold_the_clock(pty: Pty) -> None:
    """300 round trips with a deadline of a millisecond: not one false timeout, and no time passes."""
    for number in range(300):
        pty.send(message := b"%04d" % number)
        async with asyncio.timeout(0.001):
            answer = b""
            while len(answer) < len(message):
                answer += await pty.received.get()
        assert answer == message
    assert virtual_loop().time() == 0


async def test_what_falls_on_one_moment_has_one_order(pty: Pty) -> None:
    """A socket is readable at once, a pty whenever the kernel gets to it: who was opened first is served first, each time."""
    pty.answers = False
    served: list[str] = []

    def serve() -> None:
        served.append("pty")
        pty._serve()

    pty.loop.add_reader(pty.device, serve)
    near, far = socket.socketpair()
    with near, far:
        pty.loop.add_reader(near, lambda: served.append(f"socket {len(near.recv(1))}"))
        for _ in range(100):
            far.send(b"!")
            pty.send(bytes(300))
            await asyncio.sleep(0.001)
        pty.loop.remove_reader(near)
    assert served == ["pty", "socket 1"] * 100


async def test_a_silent_pty_times_out(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that nobody reads hold the clock for the patience in real time; then the device is taken for silent."""
    monkeypatch.setattr(clock_module, "HOLD_PATIENCE_S", 0.1)
    pty.loop.remove_reader(pty.device)
    started = wall_now()
    pty.send(b"anyone?")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await pty.received.get()
    assert virtual_loop().time() == 2
    assert timedelta(seconds=0.1) <= wall_now() - started < timedelta(seconds=1)


async def test_a_device_that_reads_and_says_nothing_times_out_at_once(pty: Pty) -> None:
    """Bytes that were read hold nothing: the deadline of the poll is reached without waiting in real time."""
    pty.answers = False
    pty.send(b"anyone?")
    started = wall_now()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await pty.received.get()
    assert wall_now() - started < timedelta(seconds=clock_module.HOLD_PATIENCE_S / 2)


def test_more_read_than_written_holds_nothing_back() -> None:
    """A stray byte of the device must not hide bytes that are written later."""
    in_flight = InFlight()
    in_flight.read(5)
    in_flight.written(3)
    assert in_flight.count == 3


@pytest.mark.every_loop
async def test_the_clock_follows_the_loop() -> None:
    """`now` is the epoch plus what the loop measured, in UTC, whole microseconds; it never goes back."""
    local = EPOCH.astimezone(timezone(timedelta(hours=2)))
    clock = LoopClock(local)
    first = clock.now()
    before = clock.monotonic()
    await clock.sleep(0.002)
    passed = clock.now() - first
    assert first.utcoffset() == timedelta(0)
    assert first - EPOCH < timedelta(seconds=0.1)
    assert abs(passed.total_seconds() - (clock.monotonic() - before)) < 0.001
    assert passed >= timedelta(seconds=0.002)


async def test_sleeping_for_the_past_returns_at_once() -> None:
    """A negative sleep is a due time that has passed."""
    clock = LoopClock(EPOCH)
    await clock.sleep(-5)
    assert clock.now() == EPOCH


async def test_real_seconds_go_on_while_virtual_time_leaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is synced by real seconds: a virtual year calls nothing, and the end calls once more."""
    calls: list[float] = []
    with every_real_second(lambda: calls.append(time.perf_counter())):
        await asyncio.sleep(365 * 86_400)
        assert calls == []
        await asyncio.to_thread(threading.Event().wait, 1.2)
        assert len(calls) == 1
    assert len(calls) == 2


async def test_the_last_sync_comes_even_if_the_run_fails() -> None:
    """An error in the run passes through, after what was written has been brought to the disk."""
    calls: list[str] = []
    with pytest.raises(KeyError), every_real_second(lambda: calls.append("sync")):
        raise KeyError
    assert calls == ["sync"]


def test_a_failing_sync_is_raised_at_the_end() -> None:
    """A disk that fails in the thread fails the run, once."""
    calls: list[str] = []
    failed = threading.Event()

    def fail() -> None:
        calls.append("sync")
        failed.set()
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"), every_real_second(fail):
        failed.wait(3)
    assert calls == ["sync"]

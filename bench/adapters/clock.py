"""The only place that reads the wall clock, sleeps on it or makes it jump."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import selectors
import termios
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

HOLD_PATIENCE_S: Final = 1.0
"""Real seconds that virtual time waits for bytes in flight before a silent device is taken for silent."""
FOREIGN_WAIT_S: Final = 1.0
"""Real seconds of one wait for input when no timer is set."""


class LoopClock:
    """Time of the running event loop on a calendar: `epoch` is now. Serves real and virtual loops alike."""

    def __init__(self, epoch: datetime, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._epoch = epoch.astimezone(UTC)
        self._origin = self._loop.time()

    def now(self) -> datetime:
        """Return the time of the run, aware, in UTC."""
        return self._epoch + timedelta(0, self._loop.time() - self._origin)  # rounds to whole microseconds

    def monotonic(self) -> float:
        """Return the loop's seconds."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of the loop's time."""
        await asyncio.sleep(max(0.0, seconds))


def _waiting(fd: int) -> int:
    """Return how many bytes can be read from a terminal; 0 for anything else."""
    if not os.isatty(fd):
        return 0
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def wall_now() -> datetime:
    """Return the computer's time, for host facts and for the epoch of a run in real time."""
    return datetime.now(UTC)


class InFlight:
    """Bytes written and not yet read on lines that the kernel serves late, such as a pty: virtual time waits for them."""

    def __init__(self) -> None:
        self.count = 0

    def written(self, count: int) -> None:
        """Tell that so many bytes were written to the line."""
        self.count += count

    def read(self, count: int) -> None:
        """Tell that so many bytes were read from the other end."""
        self.count = max(0, self.count - count)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer, only when nothing is runnable, readable or in flight.

    Loopback sockets inside one process are safe without a hold: a send on 127.0.0.1 makes the peer readable before it
    returns. Work in another thread holds the clock until it is done; a pty reports its bytes to `in_flight`: nothing else
    happens before they can be read, so that what falls on one moment has one order.
    """

    def __init__(self) -> None:
        self._virtual_s = 0.0
        self.iterations = 0
        self.in_flight = InFlight()
        self._jobs = 0
        selector = selectors.DefaultSelector()
        super().__init__(selector)
        self._select = selector.select
        selector.select = self._jumping_select  # type: ignore[method-assign]
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._virtual_s

    def _jumping_select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.iterations += 1
        ready = self._landed() if self.in_flight.count else self._select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:
            return self._select(FOREIGN_WAIT_S)
        while self._jobs:
            ready = self._select(0.02)
            if ready:
                return ready
        self._virtual_s = self._next_timer(timeout)
        return []

    def _landed(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, by file descriptor, once the bytes in flight can be read; what never comes is given up."""
        given_up = time.monotonic() + HOLD_PATIENCE_S
        while True:
            ready = sorted(self._select(0), key=lambda event: event[0].fd)
            if any(events & selectors.EVENT_WRITE for _, events in ready):
                return ready  # they are only now being written
            if self.in_flight.count <= sum(_waiting(fd) for fd in self._open_fds()):
                return sorted(self._select(0), key=lambda event: event[0].fd)
            if time.monotonic() > given_up:
                self.in_flight.count = 0
                return ready
            time.sleep(0.0001)

    def _open_fds(self) -> list[int]:
        selector: selectors.BaseSelector = self._selector  # type: ignore[attr-defined]
        return [key.fd for key in selector.get_map().values()]

    def _next_timer(self, timeout: float) -> float:
        """Return the exact time of the next timer, so that no rounding adds up over a day."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return max(self._virtual_s, scheduled[0].when()) if scheduled else self._virtual_s + timeout

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run `func` in a thread; virtual time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jobs += 1
        future.add_done_callback(self._job_done)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Join the threads; virtual time stands still, or the time that Python 3.12 gives them for it would be over at once."""
        self._jobs += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._jobs -= 1

    def _job_done(self, _: asyncio.Future[Any]) -> None:
        self._jobs -= 1


@contextmanager
def every_real_second(action: Callable[[], None]) -> Iterator[None]:
    """Call `action` in a thread once per real second, whatever the run's clock does, and once at the end.

    Raises: at the end what `action` raised; after a failure it is not called again.
    """
    stop = threading.Event()
    failure: list[Exception] = []

    def work() -> None:
        while not stop.wait(1.0):
            try:
                action()
            except Exception as error:
                failure.append(error)
                return

    thread = threading.Thread(target=work, name="every-real-second", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if failure:
            raise failure[0]
        action()

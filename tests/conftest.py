"""Rules that every test of the bench is held to, and the loops and doubles that tests share.

A test that leaves an asyncio task, a thread or an open socket behind fails. `@pytest.mark.virtual` runs a test in virtual
time, `@pytest.mark.every_loop` once in real and once in virtual time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from pytest_asyncio import is_async_test

from bench.adapters.clock import VirtualLoop
from tests.support import FakeClock, MemoryJournal

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
REAL: LoopFactory = asyncio.SelectorEventLoop
settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("deep", deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
PATIENCE = 20
"""Turns of the loop that a closing connection gets to finish its tasks."""


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Choose the event loop by the test's marker."""
    if item.get_closest_marker("every_loop"):
        return {"real": REAL, "virtual": VirtualLoop}
    return {"virtual": VirtualLoop} if item.get_closest_marker("virtual") else {"real": REAL}


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still until the test moves it."""
    return FakeClock()


@pytest.fixture
def journal(clock: FakeClock) -> MemoryJournal:
    """Return a journal in memory, on the test's clock."""
    return MemoryJournal(clock)


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    """Fail a test that leaves a thread or a socket behind; looks when the event loop of the test is closed."""
    threads, sockets = set(threading.enumerate()), _open_sockets()
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("asyncio-waitpid"):
            thread.join(5)  # asyncio's own, which ends with the process it waits for
    left = [thread.name for thread in threading.enumerate() if thread not in threads]
    opened = [_describe(fd) for inode, fd in _open_sockets().items() if inode not in sockets]
    assert not left, f"threads left running: {left}"
    assert not opened, f"sockets left open: {opened}"


@pytest.fixture(autouse=True)
def nothing_left_running(request: pytest.FixtureRequest, nothing_left_open: None) -> None:
    """Watch the tasks of an asynchronous test; a synchronous one gets no event loop."""
    if is_async_test(request.node):
        request.getfixturevalue("no_task_leaks")


@pytest.fixture
async def no_task_leaks() -> AsyncIterator[None]:
    """Fail a test that leaves an asyncio task behind; set up first, so that other fixtures are gone when it looks."""
    before = asyncio.all_tasks()
    yield
    for _ in range(PATIENCE):
        left = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]
        if not left:
            return
        await asyncio.sleep(0)
    pytest.fail(f"tasks left running: {sorted(str(task.get_coro()) for task in left)}")


def _open_sockets() -> dict[str, int]:
    """Return the descriptor of each open socket of this process by its inode; nothing where /proc is absent."""
    found: dict[str, int] = {}
    directory = Path("/proc/self/fd")
    for entry in directory.iterdir() if directory.exists() else []:
        with contextlib.suppress(FileNotFoundError):  # the descriptor of this very listing
            target = str(entry.readlink())
            if target.startswith("socket:"):
                found[target] = int(entry.name)
    return found


def _describe(fd: int) -> str:
    with socket.socket(fileno=os.dup(fd)) as one:
        listens = one.family != socket.AF_UNIX and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return f"{one.getsockname()}{' (listening)' if listens else ''}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of an outside program that is not installed, and remember the program."""
    for marker in item.iter_markers("outside"):
        program = marker.args[0]
        if shutil.which(program) is None:
            item.user_properties.append((NotRun.PROPERTY, program))
            pytest.skip(f"{program} was not found")


def pytest_configure(config: pytest.Config) -> None:
    """Collect what was not run, in the process that reports; keep the leases of each process apart from the computer's own."""
    os.environ["BENCH_LEASES"] = tempfile.mkdtemp(prefix="leases-")
    config.add_cleanup(lambda: shutil.rmtree(os.environ["BENCH_LEASES"], ignore_errors=True))
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(NotRun(config))


class NotRun:
    """Names in the last line of the output the outside programs whose tests could not run."""

    PROPERTY = "not run"

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._programs: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the tests that a missing program skipped."""
        if report.when == "setup":
            for name, program in report.user_properties:
                if name == self.PROPERTY:
                    self._programs[str(program)] = self._programs.get(str(program), 0) + 1

    def pytest_unconfigure(self) -> None:
        """Write the line after pytest's own last line."""
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if self._programs and reporter:
            missing = ", ".join(f"{name} ({count} test{'s' * (count > 1)})" for name, count in sorted(self._programs.items()))
            reporter.write_line(f"not run: {missing}")

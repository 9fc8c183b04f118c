"""Programs of the lab's own as actuators."""

from __future__ import annotations

import asyncio
import sys
import tracemalloc
from pathlib import Path

import pytest

from bench.adapters.roles import InstrumentEv, InstrumentLoad, InstrumentSwitch
from bench.adapters.shell_hook import Hook
from bench.errors import RigError
from bench.settings.actuators import ShellHook


def hook(program: str, timeout_s: float = 10.0) -> Hook:
    """Return a hook that runs these lines of Python."""
    command = (sys.executable, "-S", "-c", program)
    settings = ShellHook(kind="shell", roles=("power_switch",), command=command, timeout_s=timeout_s)
    return Hook("own", settings)


def runs(pid: str) -> bool:
    """Say whether a process is there and no zombie."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


async def test_action_and_arguments_come_as_words(tmp_path: Path) -> None:
    """No shell stands in between: what looks like one is passed on as it is."""
    out = tmp_path / "words"
    await InstrumentEv(hook(f"import sys; open({str(out)!r}, 'w').write(repr(sys.argv[1:]))")).vehicle(1, {"phases": "$(x) ; y"})
    assert out.read_text() == repr(["set_phases", "evse_id=1", "value=$(x) ; y"])


async def test_the_last_line_is_what_was_read() -> None:
    """Whatever it says before."""
    assert await InstrumentSwitch(hook("print('hello\\nclosed\\n')")).is_closed() is True


async def test_nothing_printed_is_nothing_known() -> None:
    """A program that cannot tell says nothing."""
    assert await InstrumentSwitch(hook("pass")).is_closed() is None


async def test_an_exit_code_is_an_error_with_its_complaint() -> None:
    """The last line of the standard error says why."""
    with pytest.raises(RigError, match=r"actuators\.own: .* open: exit code 3: stuck"):
        await InstrumentSwitch(hook("import sys; print('stuck', file=sys.stderr); sys.exit(3)")).switch(False)


async def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    """Its whole process group ends: the pipe that the child holds is closed."""
    program = "import subprocess; subprocess.run(['sleep', '60'])"
    with pytest.raises(RigError, match=r"was not done within 0\.3 s, and was killed"):
        await hook(program, timeout_s=0.3).do("open")


async def test_a_program_that_there_is_not_is_an_error() -> None:
    """The message names it."""
    settings = ShellHook(kind="shell", roles=("ev",), command=("/no/such/program",))
    with pytest.raises(RigError, match=r"/no/such/program plug evse_id=1: cannot be started: No such file"):
        await Hook("own", settings).do("plug", evse_id=1)


async def test_a_program_may_leave_one_running_that_holds_its_output() -> None:
    """Such as a service that it starts in a session of its own: the program itself has ended, and that is what counts."""
    start = "import subprocess; subprocess.Popen(['sleep', '3'], start_new_session=True); print('closed')"
    assert await InstrumentSwitch(hook(start, timeout_s=2)).is_closed() is True


async def test_output_without_an_end_is_not_kept() -> None:
    """The guard calls such programs: whatever they print must not cost it its memory."""
    tracemalloc.start()
    try:
        with pytest.raises(RigError, match=r"was not done within 0\.5 s"):
            await hook("while True: print('y' * 60_000)", timeout_s=0.5).do("open")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


async def test_a_load_is_stopped_by_drawing_nothing(tmp_path: Path) -> None:
    """A program has one action for that, and not two."""
    out = tmp_path / "words"
    await InstrumentLoad(hook(f"import sys; open({str(out)!r}, 'w').write(repr(sys.argv[1:]))")).draw(0)
    assert out.read_text() == repr(["draw", "evse_id=1", "amperes=0"])


async def test_what_a_hanging_program_has_started_ends_with_it(tmp_path: Path) -> None:
    """All of its group."""
    out = tmp_path / "pid"
    start = f"import subprocess, time; open({str(out)!r}, 'w').write(str(subprocess.Popen(['sleep', '60']).pid)); time.sleep(60)"
    with pytest.raises(RigError, match="and was killed"):
        await hook(start, timeout_s=1).do("open")
    for _ in range(200):  # the kernel takes its time to bury it
        if not runs(out.read_text()):
            return
        await asyncio.sleep(0.01)
    pytest.fail("it still runs")

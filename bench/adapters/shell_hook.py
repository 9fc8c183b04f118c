"""Programs of the lab's own: one call for each action, without a shell, and the last line that they print as what was read."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import Final, Self

from bench.errors import RigError
from bench.settings.actuators import ShellHook

PIPE_BYTES: Final = 65_536
"""What a pipe holds."""
KEPT_BYTES: Final = 4096


class Hook:
    """Runs `PROGRAM … ACTION key=value …`; exit code 0 says that it was done. Raises RigError with what it complained of."""

    def __init__(self, name: str, settings: ShellHook) -> None:
        self.name, self._settings = name, settings

    def can(self, action: str) -> bool:
        """Say that it may be asked to do anything, and that `draw amperes=0` is how it stops: the program decides."""
        return action != "stop"

    async def do(self, action: str, **arguments: float | str) -> None:
        """Carry out an action."""
        await self._run(action, arguments)

    async def ask(self, query: str, **arguments: float | str) -> str | None:
        """Return the last line that the program printed; None where it printed nothing."""
        return await self._run(query, arguments) or None

    async def _run(self, action: str, arguments: dict[str, float | str]) -> str:
        words = [f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in arguments.items()]
        where = f"actuators.{self.name}: {' '.join((self._settings.command[0], action, *words))}"
        with _Tail() as out, _Tail() as complaint:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._settings.command, action, *words,
                    stdin=asyncio.subprocess.DEVNULL, stdout=out.end, stderr=complaint.end, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise RigError(f"{where}: cannot be started: {error.strerror or error}") from error
            try:
                async with asyncio.timeout(self._settings.timeout_s):
                    await process.wait()
            except TimeoutError:
                raise RigError(f"{where}: was not done within {self._settings.timeout_s:g} s, and was killed") from None
            finally:
                with suppress(ProcessLookupError, PermissionError):  # what it started in its group ends with it
                    os.killpg(process.pid, signal.SIGKILL)
                if process.returncode is None:
                    await process.wait()
            printed, complained = out.last_line(), complaint.last_line()
        if process.returncode:
            last = complained or printed
            raise RigError(f"{where}: exit code {process.returncode}{last and f': {last}'}")
        return printed


class _Tail:
    """A pipe of which only the last bytes are kept, read as they come.

    It is not read to its end: what the program left running, outside of its group, may hold the other end for ever.
    """

    def __init__(self) -> None:
        self._kept = b""
        self._reading, self.end = os.pipe()
        """`end`: where the program writes."""
        os.set_blocking(self._reading, False)

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._reading, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._reading)
        os.close(self._reading)
        os.close(self.end)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            self._kept = (self._kept + os.read(self._reading, PIPE_BYTES))[-KEPT_BYTES:]

    def last_line(self) -> str:
        """Return the last line that is not empty, once the program has ended."""
        self._read()
        lines = self._kept.decode(errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")

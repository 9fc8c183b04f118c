"""Programs of the lab's own: one call for each action, without a shell, and the last line that they print as what was read."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

from bench.errors import RigError
from bench.settings.actuators import ShellHook


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
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._settings.command, action, *words,
                stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise RigError(f"{where}: cannot be started: {error.strerror or error}") from error
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                out, complaint = await process.communicate()
        except TimeoutError:
            raise RigError(f"{where}: was not done within {self._settings.timeout_s:g} s, and was killed") from None
        finally:
            with suppress(ProcessLookupError, PermissionError):  # what it started in its group ends with it
                os.killpg(process.pid, signal.SIGKILL)
            if process.returncode is None:
                await process.wait()
        if process.returncode:
            last = _last_line(complaint) or _last_line(out)
            raise RigError(f"{where}: exit code {process.returncode}{last and f': {last}'}")
        return _last_line(out)


def _last_line(output: bytes) -> str:
    lines = output[-4096:].decode(errors="replace").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")

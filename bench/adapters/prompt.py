"""Asks a person at the console to act on the station: the rig's control where no instrument does it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Protocol

from bench.domain.documents import Kind
from bench.errors import NotApplicableError, PromptTimeoutError, RigError
from bench.ports import Clock, Journal

CANNOT: Final = ("n", "no", "skip")
"""Answers that say it cannot be done."""
DONE: Final = ("", "y", "yes", "ok", "done")
"""Answers that say it is done; any other is no answer, and the question is asked again."""
MOST_TYPED: Final = 65_536
TERMINAL: Final = "/dev/tty"


class Asker(Protocol):
    """A face that a person is asked at: the console, or a page."""

    async def ask(self, text: str, timeout_s: float) -> str:
        """Show a question and return the answer. Raises PromptTimeoutError where none came in time."""
        ...


class JournalledAsker:
    """Writes each question down with its answer, or with the reason why there is none."""

    def __init__(self, asker: Asker, clock: Clock, journal: Journal) -> None:
        self._asker, self._clock, self._journal = asker, clock, journal

    async def ask(self, text: str, timeout_s: float) -> str:
        """Show a question and return the answer. Raises PromptTimeoutError."""
        asked = self._clock.now()
        try:
            answer = await self._asker.ask(text, timeout_s)
        except PromptTimeoutError as error:
            self._journal.write(Kind.PROMPT, {"text": text, "asked": asked, "answer": None, "reason": str(error)})
            raise
        self._journal.write(Kind.PROMPT, {"text": text, "asked": asked, "answer": answer, "reason": ""})
        return answer


class Console:
    """Lines from and to a person, without blocking the event loop and without a thread.

    Args: reading, writing: file descriptors; of a terminal or a pipe.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._one_at_a_time = asyncio.Lock()

    async def ask(self, text: str, timeout_s: float) -> str:
        """Show a text and return the line that is typed, without its end.

        What was typed before the question is thrown away. Raises: PromptTimeoutError on a time-out and at the input's end.
        """
        async with self._one_at_a_time:
            self._throw_away()
            self.say(text)
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[str] = loop.create_future()
            typed = bytearray()

            def read() -> None:
                try:
                    part = os.read(self._reading, 1024)
                except BlockingIOError:
                    return
                except OSError:  # a terminal whose other end is gone
                    part = b""
                typed.extend(part)
                if not part and not answer.done():
                    answer.set_exception(PromptTimeoutError("the console was closed"))
                elif b"\n" in typed and not answer.done():
                    answer.set_result(bytes(typed).partition(b"\n")[0].decode(errors="replace").strip())

            loop.add_reader(self._reading, read)
            try:
                async with asyncio.timeout(timeout_s):
                    return await answer
            except TimeoutError:
                raise PromptTimeoutError(f"nobody answered within {timeout_s:g} s: {text}") from None
            finally:
                loop.remove_reader(self._reading)

    def say(self, text: str) -> None:
        """Show a line."""
        os.write(self._writing, f"\n>> {text}\n".encode())

    def _throw_away(self) -> None:
        with suppress(OSError):  # nothing is left
            for _ in range(MOST_TYPED // 1024):  # of a pipe that never ends not all can be thrown away
                if not os.read(self._reading, 1024):
                    return


class PromptControl:
    """Fits RigControl: each action is shown to the operator, who does it or says that it cannot be done.

    Each method raises PromptTimeoutError where that did not happen in time. There is no `contactor`: the safe state does not
    wait for a person, and counts none among its means.
    """

    def __init__(self, asker: Asker, station: str, timeout_s: float) -> None:
        self._asker, self._station, self._timeout_s = asker, station, timeout_s

    async def plug(self, evse_id: int) -> None:
        """Ask for the cable to be connected."""
        await self._ask(f"Plug the EV into EVSE {evse_id} of {self._station}")

    async def unplug(self, evse_id: int) -> None:
        """Ask for the cable to be taken out."""
        await self._ask(f"Unplug the EV from EVSE {evse_id} of {self._station}")

    async def authorise(self, evse_id: int, id_token: str) -> None:
        """Ask for a card, any card: the token is the card's own, so `id_token` is not used."""
        await self._ask(f"Present a card at EVSE {evse_id} of {self._station}")

    async def demand(self, evse_id: int, amperes: float) -> None:
        """Ask for an EV that wants so much current per phase, in A."""
        what = f"want {amperes:g} A per phase" if amperes else "want nothing (charging stopped or full)"
        await self._ask(f"Let the EV at EVSE {evse_id} of {self._station} {what}")

    async def vehicle(self, evse_id: int, settings: Mapping[str, float | str]) -> None:
        """Ask for an EV with these properties."""
        listed = _listed(settings)
        await self._ask(f"Bring an EV for EVSE {evse_id} of {self._station} with {listed}; do not plug it in yet")

    async def power_cycle(self) -> None:
        """Ask for the supply to be switched off and on."""
        await self._ask(f"Switch the supply of {self._station} off, wait 5 s, and switch it on")

    async def cut_network(self, seconds: float) -> None:
        """Ask for the network to be taken away for that long."""
        await self._ask(f"Take the network of {self._station} away now, for {seconds:g} s")

    async def contactor(self, closed: bool) -> None:
        """Refuse: nobody is asked for what the safe state needs at once. Raises RigError."""
        raise RigError(f"{self._station}: no contactor that the bench can act on")

    async def external_limit(
        self, limit: float | None, unit: str = "A", *, source: str = "EMS", periods: Sequence[tuple[int, float]] = ()
    ) -> None:
        """Ask for a limit from outside."""
        if periods:
            what = "set a limit to " + ", then ".join(f"{value:g} {unit} after {start} s" for start, value in periods)
        else:
            what = "release its limit" if limit is None else f"set a limit of {limit:g} {unit}"
        await self._ask(f"Let the external system ({source}) of {self._station} {what}")

    async def supply(self, volts: float) -> None:
        """Nobody turns the mains by hand. Raises NotApplicableError."""
        raise NotApplicableError(f"{self._station}: no actuator has the role supply, and nobody can be asked for {volts:g} V")

    async def reference_load(self, evse_id: int, amperes: Sequence[float]) -> None:
        """A person is no known load. Raises RigError."""
        raise RigError(f"EVSE {evse_id}: nobody can be asked for a known load; the rig file's [proof] names a record of one")

    async def renegotiate(self, evse_id: int, needs: Mapping[str, float | str]) -> None:
        """Ask for other charging needs of the EV."""
        listed = _listed(needs)
        await self._ask(f"Let the EV at EVSE {evse_id} of {self._station} ask for a new schedule with {listed}")

    async def seed_fault(self, fault_id: str, params: Mapping[str, Any]) -> None:
        """Refuse. Raises ValueError."""
        raise ValueError(f"{fault_id}: only an emulated rig can be made faulty")

    async def _ask(self, text: str) -> None:
        while True:
            answer = await self._asker.ask(f"{text}, then press Enter (n: cannot; {self._timeout_s:g} s)", self._timeout_s)
            if answer.casefold() in (*DONE, *CANNOT):
                break
        if answer.casefold() in CANNOT:
            raise PromptTimeoutError(f"the operator could not: {text}")


def _listed(settings: Mapping[str, float | str]) -> str:
    return ", ".join(f"{name} {value if isinstance(value, str) else format(value, 'g')}" for name, value in settings.items())


@asynccontextmanager
async def open_console() -> AsyncIterator[Console]:
    """Open the terminal itself, which a test runner that captures output leaves alone; without one, standard input and error.

    Raises: RigError where nobody can be asked.
    """
    try:
        own = os.open(TERMINAL, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        own = None
    reading, writing = (own, own) if own is not None else _standard()
    blocking = os.get_blocking(reading)
    try:
        os.set_blocking(reading, False)
        yield Console(reading, writing)
    finally:
        if own is None:
            os.set_blocking(reading, blocking)
        else:
            os.close(own)


def _standard() -> tuple[int, int]:
    try:
        reading, writing = sys.stdin.fileno(), sys.stderr.fileno()
        loop = asyncio.get_running_loop()
        loop.add_reader(reading, lambda: None)  # refuses what cannot be waited for, such as a file
        loop.remove_reader(reading)
    except (OSError, ValueError, AttributeError) as error:
        raise RigError(f"[operator]: there is no terminal to ask the operator at ({error})") from None
    return reading, writing

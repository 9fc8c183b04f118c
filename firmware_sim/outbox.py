"""What the station has to say, in order: transaction messages wait until they are answered, the rest is lost with the link."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from firmware_sim.seam import Seam, Sound

Answer = Callable[[Any], None]


@dataclass(slots=True)
class Message:
    """One call to be sent."""

    payload: Any
    """A request of `ocpp.v201.call`."""
    keep: bool
    """Wait for a connection; otherwise it is lost when there is none."""
    answered: Answer | None
    """Called with the answer of `ocpp.v201.call_result`; None when it was lost or refused with a CALLERROR."""
    attempts: int = 0


class Outbox:
    """A queue with one reader, which takes a message off only when it is dealt with."""

    def __init__(self, seam: Seam | None = None) -> None:
        self._seam = seam or Sound()
        self._messages: deque[Message] = deque()
        self._filled = asyncio.Event()
        self.open = False
        """Whether the CSMS has accepted the station and the link is up."""
        self.linked = False
        """Whether the link is up, accepted or not."""

    def put(self, payload: Any, *, keep: bool = False, asked: bool = False, answered: Answer | None = None) -> None:
        """Say this after all that was said before.

        Args: asked: the CSMS has asked for it over this link, maybe before the station may speak (B01.FR.08): it waits for that.
        """
        if not (keep or self.open or (asked and self.linked)):
            if answered:
                answered(None)
            return
        self._messages.append(Message(self._seam.apply("request", value=payload), keep, answered))
        self._filled.set()

    async def first(self) -> Message:
        """Wait for a message and return it, without taking it off."""
        while not self._messages:
            self._filled.clear()
            await self._filled.wait()
        return self._messages[0]

    def done(self, message: Message, answer: Any) -> None:
        """Take the message off and hand its answer on, unless it was lost with the link in the meantime."""
        if self._messages and self._messages[0] is message:
            self._messages.popleft()
            if message.answered:
                message.answered(answer)

    def link_lost(self) -> None:
        """Lose what does not wait for the next connection."""
        self.open = self.linked = False
        lost = [message for message in self._messages if not message.keep]
        self._messages = deque(message for message in self._messages if message.keep)
        for message in lost:
            if message.answered:
                message.answered(None)

"""What the station has to say, in order: transaction messages wait until they are answered, the rest is lost with the link."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._filled = asyncio.Event()
        self.open = False
        """Whether the CSMS has accepted the station and the link is up."""

    def put(self, payload: Any, *, keep: bool = False, asked: bool = False, answered: Answer | None = None) -> None:
        """Say this after all that was said before.

        Args: asked: the CSMS asked for it over this link. What it asks for right after its answer to the BootNotification is
            not lost while that answer is still being taken in.
        """
        if not (keep or asked or self.open):
            if answered:
                answered(None)
            return
        self._messages.append(Message(payload, keep, answered))
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
        self.open = False
        lost = [message for message in self._messages if not message.keep]
        self._messages = deque(message for message in self._messages if message.keep)
        for message in lost:
            if message.answered:
                message.answered(None)

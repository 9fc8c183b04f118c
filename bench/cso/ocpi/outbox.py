"""What the CPO owes to registered platforms: each gets its messages in order, each once, and a failure costs only itself.

OCPI wants no message queued and sent again (transport, offline behaviour): who missed something asks for the list. A CDR is the
exception, for it is money: it is sent again until the peer answers, whatever it answers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bench.cso.ocpi.background import Background
from bench.cso.ocpi.calls import Answer, Calls, why
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.registry import Party, Platform, Registry
from bench.errors import PeerError
from bench.wire.ocpi.transport import PartyId, join

MOST_WAITING: Final = 1000
"""Messages that wait for one platform; the oldest is dropped for one more, and a finding tells it."""
RETRY_S, LONGEST_RETRY_S = 60.0, 3600.0
"""A CDR that was not answered is sent again so much later; each time twice as long, up to the second."""

Body = Callable[[str], Mapping[str, Any]]
"""Gives an object as a version of OCPI has it."""
Meant = Callable[[Party], bool]
"""Says to which parties a message may be addressed."""
Key = tuple[str, str]
"""A module, and the id of an object of it."""


@dataclass(frozen=True, slots=True)
class Push:
    """One message of a module to the peer that receives it."""

    module: str
    """Such as sessions: the peer's endpoint with role RECEIVER."""
    id: str
    """Of the object."""
    method: str
    path: tuple[str, ...]
    """Below that endpoint, such as country code, party id and the object's id."""
    body: Body | None
    whole: Push | None = None
    """Tells the whole object, where this one is refused, or in place of a PATCH after one that was lost: the peer does not know
    the object as it is."""

    @property
    def key(self) -> Key:
        """Return what it is about."""
        return self.module, self.id

    @property
    def is_cdr(self) -> bool:
        """Say whether it is a CDR."""
        return self.module == "cdrs"


def everyone(party: Party) -> bool:
    """Say that a message may be addressed to any party."""
    return True


@dataclass(slots=True, eq=False)
class _Due:
    push: Push
    meant: Meant
    failed: bool = False


@dataclass(slots=True)
class _Line:
    """What one platform still has to be told."""

    waiting: deque[_Due] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    now: _Due | None = None
    """In the air."""
    unanswered: list[_Due] = field(default_factory=list)
    """CDRs; while there is one, others join it untried."""
    retry_at: float = 0.0
    """By the clock of the event loop."""
    pause_s: float = RETRY_S
    lost: dict[Key, None] = field(default_factory=dict)
    """Objects of which the peer has missed something: their next message is the whole."""


class Outbox:
    """One line for each platform."""

    def __init__(self, registry: Registry, calls: Calls, background: Background, findings: Findings) -> None:
        self._registry, self._calls, self._background, self._findings = registry, calls, background, findings
        self._lines: dict[Platform, _Line] = {}
        self.changed: Callable[[], None] = lambda: None
        """Called after each change of what is owed."""

    def tell(self, push: Push, meant: Meant = everyone) -> None:
        """Send a message to each platform that receives the module and has a party that is meant; nothing is kept."""
        for platform in self._registry.platforms:
            self.tell_one(platform, push, meant)

    def tell_one(self, platform: Platform, push: Push, meant: Meant = everyone) -> None:
        """Send a message to one platform, if it may have it."""
        if (push.module, "RECEIVER") not in platform.endpoints or platform.receiver(meant) is None:
            return
        line = self._lines.get(platform)
        if line is None:
            line = self._lines[platform] = _Line()
            self._background.start(self._deliver(platform, line))
        if len(line.waiting) >= MOST_WAITING:
            self._drop(platform, line, line.waiting.popleft())
        line.waiting.append(_Due(push, meant))
        line.arrived.set()
        self.changed()

    def owed(self, platform: Platform) -> list[Key]:
        """Return the objects of which a platform still has to be told something, in the order of the messages, each once."""
        line = self._lines.get(platform)
        if line is None:
            return []
        now = [] if line.now is None else [line.now]
        return list(dict.fromkeys(one.push.key for one in (*line.unanswered, *now, *line.waiting)))

    def forget_who_left(self) -> None:
        """End the lines of platforms that are not registered any more."""
        for platform, line in self._lines.items():
            if platform not in self._registry.platforms:
                line.arrived.set()

    async def _deliver(self, platform: Platform, line: _Line) -> None:
        while platform in self._registry.platforms:
            if line.waiting:
                line.now = line.waiting.popleft()
                await self._deliver_one(platform, line, line.now)
                line.now = None
                self.changed()
                continue
            line.arrived.clear()
            try:
                async with asyncio.timeout_at(line.retry_at if line.unanswered else None):
                    await line.arrived.wait()
            except TimeoutError:
                line.waiting.extend(line.unanswered)
                line.unanswered.clear()
        del self._lines[platform]

    async def _deliver_one(self, platform: Platform, line: _Line, due: _Due) -> None:
        push, to = due.push, platform.receiver(due.meant)
        endpoint = platform.endpoints.get((push.module, "RECEIVER"))
        if endpoint is None or to is None:
            return
        if push.is_cdr and line.unanswered:
            self._later(platform, line, due)
            return
        try:
            await self._send(platform, line, push, endpoint, to)
        except PeerError as error:
            if not due.failed:
                self._findings.tell(f"{push.module}_not_delivered", str(error))
            if not push.is_cdr:
                self._lose(line, push)
                return
            due.failed = True
            line.retry_at, line.pause_s = _now() + line.pause_s, min(2 * line.pause_s, LONGEST_RETRY_S)
            self._later(platform, line, due)

    async def _send(self, platform: Platform, line: _Line, push: Push, endpoint: str, to: PartyId) -> None:
        lost = push.method == "PATCH" and push.key in line.lost
        sent = push.whole if lost and push.whole is not None else push
        answer = await self._call(platform, sent, endpoint, to)
        if not answer.ok and sent.whole is not None:
            sent = sent.whole
            answer = await self._call(platform, sent, endpoint, to)
        if sent.method == "PUT":
            line.lost.pop(push.key, None)
        where = f"{sent.method} {join(endpoint, *sent.path)}"
        if not answer.ok:
            self._findings.tell(f"{push.module}_refused", f"{where}: {why(answer)}")
        elif push.is_cdr and not answer.location:
            self._findings.tell("location_missing", f"{where}: the answer has no Location header")
        if push.is_cdr:
            line.pause_s = RETRY_S

    async def _call(self, platform: Platform, push: Push, endpoint: str, to: PartyId) -> Answer:
        content = None if push.body is None else push.body(platform.version)
        return await self._calls.call(push.method, join(endpoint, *push.path), platform, content, to=to)

    def _later(self, platform: Platform, line: _Line, due: _Due) -> None:
        line.unanswered.append(due)
        if len(line.unanswered) > MOST_WAITING:
            self._drop(platform, line, line.unanswered.pop(0))

    def _drop(self, platform: Platform, line: _Line, due: _Due) -> None:
        self._lose(line, due.push)
        text = f"{due.push.method} of {due.push.module} {due.push.id}: {MOST_WAITING} messages wait for this peer already"
        self._findings.tell("push_dropped", f"{platform.parties[0].id}: {text}")

    @staticmethod
    def _lose(line: _Line, push: Push) -> None:
        line.lost[push.key] = None
        if len(line.lost) > MOST_WAITING:
            del line.lost[next(iter(line.lost))]


def _now() -> float:
    return asyncio.get_running_loop().time()

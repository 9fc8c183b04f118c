"""What the CPO owes to registered platforms: each gets its messages in order, each once, and a failure costs only itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.cso.ocpi.background import Background
from bench.cso.ocpi.calls import Calls, why
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.registry import Party, Platform, Registry
from bench.errors import PeerError
from bench.wire.ocpi.transport import PartyId, join

Body = Callable[[str], Mapping[str, Any]]
"""Gives an object as a version of OCPI has it."""


@dataclass(frozen=True, slots=True)
class Push:
    """One message of a module to the peer that receives it."""

    module: str
    """Such as sessions: the peer's endpoint with role RECEIVER."""
    method: str
    path: tuple[str, ...]
    """Below that endpoint, such as country code, party id and the object's id."""
    body: Body | None
    whole: Body | None = None
    """The whole object, which is PUT where a PATCH is refused: the peer does not know the object yet."""
    located: bool = False
    """The answer must say by a Location header where the new object is (CDRs)."""


_Due = tuple[Push, Callable[[Party], bool]]


class Outbox:
    """One queue for each platform; nothing is retried, for a peer that missed something asks for the list (GET)."""

    def __init__(self, registry: Registry, calls: Calls, background: Background, findings: Findings) -> None:
        self._registry, self._calls, self._background, self._findings = registry, calls, background, findings
        self._queues: list[tuple[Platform, asyncio.Queue[_Due]]] = []

    def tell(
        self, push: Push, whom: Callable[[Platform], bool], meant: Callable[[Party], bool] = lambda party: True
    ) -> None:
        """Send a message to each platform that receives the module and may see the object; nothing waits for an absent party.

        Args: meant: to which of its parties the message may be addressed.
        """
        for platform in self._registry.platforms:
            if (push.module, "RECEIVER") in platform.endpoints and whom(platform) and platform.receiver(meant) is not None:
                self._queue(platform).put_nowait((push, meant))

    def _queue(self, platform: Platform) -> asyncio.Queue[_Due]:
        for known, queue in self._queues:
            if known is platform:
                return queue
        queue = asyncio.Queue[_Due]()
        self._queues.append((platform, queue))
        self._background.start(self._deliver(platform, queue))
        return queue

    async def _deliver(self, platform: Platform, queue: asyncio.Queue[_Due]) -> None:
        while True:
            push, meant = await queue.get()
            endpoint = platform.endpoints.get((push.module, "RECEIVER"))
            to = platform.receiver(meant)
            if platform in self._registry.platforms and endpoint is not None and to is not None:
                await self._deliver_one(platform, endpoint, push, to)

    async def _deliver_one(self, platform: Platform, endpoint: str, push: Push, to: PartyId) -> None:
        url = join(endpoint, *push.path)
        body = push.body(platform.version) if push.body is not None else None
        try:
            answer = await self._calls.call(push.method, url, platform, body, to=to)
            if not answer.ok and push.method == "PATCH" and push.whole is not None:
                answer = await self._calls.call("PUT", url, platform, push.whole(platform.version), to=to)
        except PeerError as error:
            self._findings.tell(f"{push.module}_not_delivered", str(error))
            return
        if not answer.ok:
            self._findings.tell(f"{push.module}_refused", f"{push.method} {url}: {why(answer)}")
        elif push.located and not answer.location:
            self._findings.tell("location_missing", f"{push.method} {url}: the answer has no Location header")

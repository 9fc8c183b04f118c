"""What the CPO fetches from platforms: the Tokens of eMSPs, and from a hub who is connected to it.

Peers tell each change by themselves; a list has what was before they registered, and what they told in vain.
Source: mod_tokens and mod_hub_client_info, Pull model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.background import Background
from bench.cso.ocpi.calls import Calls, why
from bench.cso.ocpi.clients import Clients
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.outbox import everyone
from bench.cso.ocpi.registry import Platform, Registry
from bench.cso.ocpi.tokens import Tokens
from bench.errors import PeerError
from bench.ports import Clock
from bench.wire.ocpi.checks_exchange import check_page, next_page
from bench.wire.ocpi.clients import ClientInfo
from bench.wire.ocpi.tokens import Token
from bench.wire.ocpi.transport import PartyId
from bench.wire.ocpi.types import OcpiModel

SETTLED_S: Final = 5.0
"""So long after a registration a peer has the token that the answer gave it."""
MOST_PAGES: Final = 10_000
"""Of one list."""
MOST_TOLD: Final = 10
"""Objects of one page that cannot be read; of more only how many they are."""

M = TypeVar("M", bound=OcpiModel)


class Pulls:
    """Fetches lists of each registered platform that offers them as SENDER, in the background.

    Args: every_s: from one time to the next; 0: never.
    """

    def __init__(
        self, clock: Clock, registry: Registry, calls: Calls, background: Background, findings: Findings, tokens: Tokens,
        clients: Clients, every_s: float,
    ) -> None:  # fmt: skip
        self._clock, self._registry, self._calls = clock, registry, calls
        self._background, self._findings = background, findings
        self._tokens, self._clients, self._every_s = tokens, clients, every_s
        self._following: dict[Platform, asyncio.Task[None] | None] = {}

    def look(self) -> None:
        """Begin with platforms that have come, and leave those that are gone."""
        lists = {(module, "SENDER") for module in ("tokens", "hubclientinfo")} if self._every_s else set()
        here = [one for one in self._registry.platforms if lists & one.endpoints.keys()]
        for platform in [one for one in self._following if one not in here]:
            if (task := self._following.pop(platform)) is not None:
                task.cancel()
        for platform in here:
            if platform not in self._following:
                self._following[platform] = self._background.start(self._follow(platform))

    async def _follow(self, platform: Platform) -> None:
        await self._clock.sleep(SETTLED_S)
        while True:
            await self._pull(platform, "hubclientinfo", ClientInfo, self._clients.take, None)
            to = platform.receiver(lambda party: party.role == "EMSP") or platform.receiver(everyone)
            if to is not None and not platform.is_hub:  # transport, message routing: no list goes through a hub
                await self._pull(platform, "tokens", Token, self._tokens.take, to)
            await self._clock.sleep(self._every_s)

    async def _pull(
        self, platform: Platform, module: str, model: type[M], take: Callable[[Platform, list[M]], int], to: PartyId | None
    ) -> None:
        """Fetch a list, page by page, where the platform offers it; what fails is a finding, and tried again the next time."""
        url, pages, others = platform.endpoints.get((module, "SENDER")), 0, 0
        former: Any = None
        while url is not None and pages < MOST_PAGES:
            try:
                answer = await self._calls.call("GET", url, platform, to=to)
                if not answer.ok:
                    raise PeerError(f"GET {url}: {why(answer)}")
                self._findings.add(check_page(url, answer.headers, answer.data), f"answer to GET {url}")
                if pages and answer.data == former:  # the offset is ignored, or a page leads to itself
                    raise PeerError(f"GET {url}: the same page as the one before: the list has no end")
                others += take(platform, self._read(module, model, answer.data))
            except (PeerError, OcpiError) as error:
                self._findings.tell(f"{module}_not_pulled", str(error))
                return
            url, pages, former = next_page(url, answer.headers), pages + 1, answer.data
        if url is not None:
            self._findings.tell(f"{module}_not_pulled", f"{platform.parties[0].id}: the list has more than {MOST_PAGES} pages")
        if others:
            self._findings.tell(f"{module}_of_others", f"{platform.parties[0].id}: {others} objects in its list are not its own")

    def _read(self, module: str, model: type[M], data: Any) -> list[M]:
        """Return what of a page can be read."""
        found, unreadable = [], 0
        for raw in data if isinstance(data, list) else ():
            try:
                found.append(model.model_validate(raw))
            except ValidationError as error:
                unreadable += 1
                if unreadable <= MOST_TOLD:
                    first = error.errors()[0]
                    place = ".".join(str(part) for part in first["loc"])
                    self._findings.tell(f"{module}_unreadable", f"{place or 'an object of the list'}: {first['msg']}")
        if unreadable > MOST_TOLD:
            self._findings.tell(f"{module}_unreadable", f"{unreadable - MOST_TOLD} more objects of the page")
        return found

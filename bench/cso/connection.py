"""One open connection of a station to the CSMS."""

from __future__ import annotations

import asyncio

from bench.errors import StationOfflineError
from bench.ports import StationLink
from bench.wire.ocppj import ErrorReceived, OcppSession, ResultReceived


class Connection:
    """A link, its protocol state, and the answer that our outstanding CALL waits for."""

    __slots__ = ("answer", "link", "session")

    def __init__(self, link: StationLink, session: OcppSession) -> None:
        self.link, self.session = link, session
        self.answer: asyncio.Future[ResultReceived | ErrorReceived] | None = None

    def end(self, reason: str) -> None:
        """Tell whoever waits for an answer that none will come."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(StationOfflineError(f"{reason} before the answer came"))

"""Lets a mock peer act by itself: a ChargingProfile for each new session, its replacement, its withdrawal."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bench.errors import BenchError
from bench.peers.books import ACCEPTED, SentOrder, limits_text
from bench.peers.peer import Peer
from bench.peers.schedule import Schedule
from bench.ports import Clock

_PATIENCE_S: Final = 60.0
"""For a result, where the CSO promises no time."""


class Follower:
    """Sends a profile for each session that becomes ACTIVE, until it is over.

    Args:
        replace_every_s: plan and send again so often, also where the CSO refused or did not answer; 0: never.
        withdraw_after_s: take the profile back so long after it was first set; 0: never.
    """

    def __init__(
        self, peer: Peer, schedule: Schedule, clock: Clock, *, replace_every_s: float = 0.0, withdraw_after_s: float = 0.0
    ) -> None:
        self._peer, self._schedule, self._clock = peer, schedule, clock
        self._replace_every_s, self._withdraw_after_s = replace_every_s, withdraw_after_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        peer.on_told.append(self._told)

    async def aclose(self) -> None:
        """End what is under way."""
        self._peer.on_told.remove(self._told)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _told(self, module: str, object_id: str, raw: dict[str, Any], patch: bool) -> None:
        if module != "sessions":
            return
        status = self._peer.sessions[object_id].get("status")
        if status == "ACTIVE" and object_id not in self._tasks:
            self._tasks[object_id] = asyncio.create_task(self._follow(object_id))
        elif status != "ACTIVE" and object_id in self._tasks:
            self._tasks[object_id].cancel()

    async def _follow(self, session_id: str) -> None:
        try:
            set_once = await self._try(session_id)
            passed_s, withdraw_s = 0.0, self._withdraw_after_s or float("inf")
            while self._replace_every_s and (not set_once or passed_s + self._replace_every_s < withdraw_s):
                await self._clock.sleep(self._replace_every_s)
                passed_s += self._replace_every_s if set_once else 0.0
                set_once = await self._try(session_id) or set_once
            if set_once and self._withdraw_after_s:
                await self._clock.sleep(self._withdraw_after_s - passed_s)
                await self._result(await self._peer.delete(session_id))
        except BenchError as error:
            self._peer.on_note(f"session {session_id}: {error}")

    async def _try(self, session_id: str) -> bool:
        """Plan and send; say whether the CSO took it. What fails is told, for the next time may be better."""
        try:
            profile = self._schedule(self._clock.now())
            if len(profile.get("charging_profile_period", ())) > 1:  # of one limit the push tells it all
                begin = profile.get("start_date_time", "the session's begin")
                told = limits_text({"charging_profile": profile})
                self._peer.on_note(f"plan for {session_id}, counted from {begin}: {told}")
            return await self._result(await self._peer.send_plan(session_id, profile)) == ACCEPTED
        except BenchError as error:
            self._peer.on_note(f"session {session_id}: {error}")
            return False

    async def _result(self, order: SentOrder) -> str:
        """Return the result's word, or the answer's where it was not accepted. Raises PeerError where none came."""
        if order.answer.get("result") != ACCEPTED:
            return str(order.answer.get("result"))
        timeout = order.answer.get("timeout")
        patience_s = timeout + 2.0 if isinstance(timeout, int) else _PATIENCE_S
        await self._peer.wait_until(lambda: order.result is not None, patience_s)
        return str((order.result or {}).get("result"))

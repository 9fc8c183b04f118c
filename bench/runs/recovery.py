"""The recovery ladder: brings a station back to where a scenario can begin, by the gentlest means that does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from bench.errors import BenchError, CallRejectedError
from bench.runs.procedure import Procedure

_TOLD_S: Final = 3.0
"""How long a station may take to tell a transaction that it was asked for."""
_SETTLE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Rung:
    """One means, and what became of it."""

    name: str
    outcome: str
    """done, or why not."""
    ready: str
    """What still stood in the way afterwards; empty where nothing did."""


async def recover(procedure: Procedure, left: Collection[int] = ()) -> list[Rung]:
    """Climb until the station is ready; return the rungs that were taken, the last with an empty `ready` where it is.

    Ready means: connected, no transaction on any EVSE, and none of the profiles that were left behind. In order: end the
    transactions, clear the profiles, replug, Reset OnIdle, Reset Immediate, power cycle.

    Args: left: ids of profiles that earlier runs have set and that must be gone.
    """
    taken: list[Rung] = []
    obstacle = await what_hinders(procedure, left)
    for name, act in _ladder(procedure, left):
        if not obstacle:
            break
        try:
            async with procedure.step("recover", rung=name, because=obstacle):
                await act()
            outcome = "done"
        except BenchError as error:  # the next rung is there for that
            outcome = str(error)
        await procedure.wait(_SETTLE_S)
        obstacle = await what_hinders(procedure, left)
        taken.append(Rung(name, outcome, obstacle))
    return taken


async def what_hinders(procedure: Procedure, left: Collection[int] = ()) -> str:
    """Return what keeps a scenario from beginning; empty where nothing does."""
    csms, station = procedure.bench.csms, procedure.station.id
    state = csms.stations[station]
    if not state.online:
        return f"{station} is not connected"
    try:
        await csms.call(station, "TriggerMessage", {"requestedMessage": "TransactionEvent"})
        await csms.wait_until(lambda: bool(_running(procedure)), _TOLD_S)
    except CallRejectedError:
        pass
    except BenchError as error:
        return str(error)
    if running := _running(procedure):
        return f"transaction {running[0]} runs"
    if not procedure.station.features.smart_charging:
        return ""
    try:
        installed = await csms.installed_profiles(station)
    except BenchError as error:
        return str(error)
    there = [one["profile"]["id"] for one in installed if one["profile"]["id"] in left]
    return f"profile {there[0]} of an earlier run is installed" if there else ""


def _running(procedure: Procedure) -> list[str]:
    known = procedure.bench.csms.stations[procedure.station.id].transactions.values()
    return [one.transaction_id for one in known if one.ended is None]


def _ladder(procedure: Procedure, left: Collection[int]) -> Iterator[tuple[str, Callable[[], Awaitable[object]]]]:
    csms, station = procedure.bench.csms, procedure.station.id

    async def end_transactions() -> None:
        for identity in _running(procedure):
            await csms.call(station, "RequestStopTransaction", {"transactionId": identity})

    async def clear() -> None:
        for identity in sorted(left):
            await procedure.clear(identity)

    async def replug() -> None:
        for evse in procedure.station.evse:
            await procedure.at(evse.id).unplug()

    yield "end transaction", end_transactions
    yield "clear profiles", clear
    yield "replug", replug
    yield "Reset OnIdle", lambda: procedure.reset("OnIdle")
    yield "Reset Immediate", lambda: procedure.reset("Immediate")
    yield "power cycle", procedure.power_cycle

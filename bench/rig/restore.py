"""Gives a rig's stations back what they held before runs that never came to their end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import __version__
from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.guard import open_contactors
from bench.adapters.ids import SystemIds
from bench.adapters.journal import JournalFile, open_journal
from bench.adapters.journal_reader import read_journal
from bench.adapters.ocpp_server import open_ocpp_server
from bench.cso.csms import Csms
from bench.domain.documents import Document, Kind
from bench.domain.exchange import paired_calls
from bench.errors import EvidenceError, RigError, UsageError
from bench.rig.earlier import RUNS, earlier_runs
from bench.rig.files import new_folder
from bench.runs.restore import Restored, Restorer
from bench.runs.snapshot import Snapshot
from bench.runs.transactions import still_open, stop_transactions
from bench.settings.rig import RigSettings

BOOT_S: Final = 2.0
"""A station that merely reconnects does not boot; one that boots must not be called before that."""


@dataclass(frozen=True, slots=True)
class RestoreOrder:
    """What is to be restored."""

    rig: RigSettings
    rig_path: Path
    out: Path
    """Folder of the restoration's own journal; must not exist or be empty."""
    runs: Path = RUNS
    """Where runs are looked for."""
    run: Path | None = None
    """One run's folder, instead of those that never came to their end."""
    within_s: float = 120.0
    """How long the station may take to connect."""


@dataclass(slots=True)
class Debt:
    """What is owed to one station."""

    snapshot: Snapshot
    folders: list[Path] = field(default_factory=list)
    """The runs, oldest first."""
    transactions: list[str] = field(default_factory=list)
    """Those that the runs have seen begin and not end."""
    own_ids: set[int] = field(default_factory=set)
    availability: set[tuple[int, int]] = field(default_factory=set)

    def take(self, folder: Path, documents: Sequence[Document]) -> None:
        """Add a run, the oldest first: of each thing, what was found first is what is given back."""
        self.folders.append(folder)
        for document in documents:
            if document.kind == Kind.SNAPSHOT:
                self.snapshot.add(document.data)
        calls = paired_calls(documents)
        self.transactions = still_open(calls, self.snapshot.station, self.transactions)
        for call in calls:
            if call.station != self.snapshot.station:
                continue
            if call.action == "SetChargingProfile":
                identity = call.request.get("chargingProfile", {}).get("id")
                self.own_ids |= {identity} if isinstance(identity, int) else set()
            elif call.action == "ChangeAvailability":
                place = call.request.get("evse", {})
                self.availability.add((place.get("id", 0), place.get("connectorId", 0)))


def find_debts(order: RestoreOrder) -> list[Debt]:
    """Return what is owed to each station of the rig; nothing where every run gave back what it took.

    The state found before the first of several unfinished runs in a row counts: what the later ones found was already changed.
    A run that gave everything back, or a restoration that did, ends the row. Raises UsageError for a run that is none.
    """
    if order.run is not None:
        return [_debt_of(order.run, order.rig)]
    return _debts(order.rig, order.runs)


def unfinished_runs(rig: RigSettings, runs: Path = RUNS) -> list[Path]:
    """Return the runs that `bench restore` would give back for, as far as they can be read; a run in progress is one too."""
    if rig.emulator is not None:  # its stations live within a run only
        return []
    try:
        return sorted({folder for debt in _debts(rig, runs) for folder in debt.folders})
    except (EvidenceError, LookupError, TypeError, ValueError):
        return []


def _debts(rig: RigSettings, runs: Path) -> list[Debt]:
    begun = [one.folder for one in earlier_runs(rig.name, runs) if not one.unread]
    debts = (_debt_to(station.id, begun) for station in rig.station)
    return [debt for debt in debts if debt is not None]


def _debt_of(folder: Path, rig: RigSettings) -> Debt:
    try:
        documents = read_journal(folder / "journal.jsonl").documents
    except EvidenceError as error:
        raise UsageError(f"--run {folder}: is no run: {error}") from None
    station = documents[0].data.get("scenario", {}).get("station") if documents else None
    if station not in [one.id for one in rig.station]:
        raise UsageError(f"--run {folder}: is no run on a station of rig {rig.name}")
    debt = Debt(Snapshot(station))
    debt.take(folder, documents)
    if not debt.snapshot.taken:
        raise UsageError(f"--run {folder}: holds no snapshot: that run ended before it touched anything")
    return debt


def _debt_to(station: str, newest_first: Sequence[Path]) -> Debt | None:
    """Go back through the runs until one that left the station as found."""
    unfinished: list[tuple[Path, list[Document]]] = []
    for folder in newest_first:
        documents = read_journal(folder / "journal.jsonl").documents
        mine = [one for one in documents if one.data.get("station") == station]
        if any(one.kind == Kind.RESTORED and one.data["clean"] for one in mine):
            break
        if documents[0].data["judged"] and any(one.kind == Kind.SNAPSHOT for one in mine):
            unfinished.append((folder, documents))
    if not unfinished:
        return None
    debt = Debt(Snapshot(station))
    for folder, documents in reversed(unfinished):
        debt.take(folder, documents)
    return debt


def restore_rig(order: RestoreOrder, announce: Callable[[str], None]) -> bool:
    """Give back what is owed, in real time; say whether every station is then as it was found.

    Args: announce: called with each line that the operator should read.
    Raises: UsageError; RigError where a station does not come.
    """
    if order.rig.emulator is not None:
        raise UsageError(f"rig {order.rig.name}: its station lives within a run only, there is nothing to restore")
    debts = find_debts(order)
    if not debts:
        announce(f"nothing to restore: no run on rig {order.rig.name} in {order.runs}/ was left unfinished")
        return True
    return asyncio.run(_restore(order, debts, announce))


async def _restore(order: RestoreOrder, debts: Sequence[Debt], announce: Callable[[str], None]) -> bool:
    new_folder(order.out)
    clock, ids = LoopClock(wall_now()), SystemIds()
    with open_journal(order.out / "journal.jsonl", clock, os.urandom(32)) as journal:
        start = {"scenario": {}, "rig": order.rig.model_dump(mode="json", by_alias=True), "seed": 0, "bench": __version__,
                 "mode": "real", "judged": False, "restores": [str(one) for debt in debts for one in debt.folders]}  # fmt: skip
        journal.write(Kind.RUN_START, start)
        state, reason = "error", "the station could not be restored"
        try:
            async with AsyncExitStack() as stack:
                csms = Csms(clock, journal, ids, order.rig)
                stack.push_async_callback(csms.close)
                await stack.enter_async_context(
                    open_ocpp_server(order.rig, csms.attach, csms.knock, virtual=False, folder=order.rig_path.parent)
                )
                results = [await _restore_one(order, debt, csms, clock, journal, announce) for debt in debts]
            state, reason = "completed", ""
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            raise
        finally:
            journal.write(Kind.RUN_END, {"state": state, "reason": reason})
    announce(f"journal: {order.out / 'journal.jsonl'}")
    return all(one.clean for one in results)


async def _restore_one(
    order: RestoreOrder, debt: Debt, csms: Csms, clock: LoopClock, journal: JournalFile, announce: Callable[[str], None]
) -> Restored:
    station = debt.snapshot.station
    announce(f"{station}: as found before {debt.folders[0]}, through {len(debt.folders)} run(s)")
    state = csms.stations[station]
    if not await csms.wait_until(lambda: state.online, order.within_s):
        raise RigError(f"{station} did not connect within {order.within_s:g} s: it was not restored")
    await csms.wait_until(lambda: state.booted is not None, BOOT_S)
    opened = await _open_contactor(order, station, journal, announce)
    running = list(dict.fromkeys([*debt.transactions, *(one.transaction_id for one in state.transactions.values())]))
    stopped = await stop_transactions(csms, station, running)
    for identity, answer in stopped.answers.items():
        announce(f"  {stopped_text(identity, answer, going_on=identity in stopped.going_on)}")
    if stopped.going_on and not opened:  # a limit that is given back now could let more power flow
        text = f"transaction {stopped.going_on[0]} may still run, and no contactor was opened, so nothing was restored"
        raise RigError(f"{station}: {text}; stop it at the station, and restore again")
    restorer = Restorer(
        csms, clock, journal, debt.snapshot, own_ids=sorted(debt.own_ids), availability=sorted(debt.availability)
    )  # fmt: skip
    restorer.result.differences += [f"transaction {one} may still run" for one in stopped.going_on]
    restored = await restorer.restore(order.within_s)
    for line in restored.actions:
        announce(f"  {line}")
    for line in restored.differences:
        announce(f"  differs: {line}")
    announce(f"{station}: {'as it was found' if restored.clean else 'NOT as it was found'}")
    return restored


def stopped_text(identity: str, answer: str, *, going_on: bool) -> str:
    """Say what the station's answer to RequestStopTransaction means, and what is to be done."""
    match answer, going_on:
        case "Accepted", False:
            return f"stopped transaction {identity}"
        case "Rejected", False:
            return f"transaction {identity} is over: the station knows none such any more (RequestStopTransaction: Rejected)"
        case "Accepted", True:
            what = "the station said that it stops, and told no end"
        case "Rejected", True:
            what = "the station said no to stopping it (RequestStopTransaction: Rejected)"
        case _:
            what = f"RequestStopTransaction got no answer: {answer}"
    return f"transaction {identity} may still run: {what}. End it at the station, by its card or its cable, then restore again"


async def _open_contactor(order: RestoreOrder, station: str, journal: JournalFile, announce: Callable[[str], None]) -> bool:
    """Take the supply away where the rig can, before limits are loosened; return whether that was done."""
    if not order.rig.has_power_switch(station):
        return False
    evidence = order.out / "guard.jsonl"
    if not await open_contactors(order.rig_path, evidence):
        announce(f"  the contactor could not be opened: see {evidence}")
        return False
    journal.write(Kind.RIG_ACTION, {"station": station, "action": "contactor", "closed": False})
    announce("  opened the contactor")
    return True

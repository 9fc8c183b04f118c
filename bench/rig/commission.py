"""Commissioning from the files to the target file: the folder, the clock, the bench, the observations, the text."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import __version__
from bench.adapters.clock import LoopClock, VirtualLoop, wall_now
from bench.adapters.ids import SeededIds, SystemIds
from bench.adapters.journal import JournalFile, open_journal, write_result
from bench.domain.documents import Kind
from bench.domain.verdicts import RunState
from bench.errors import UsageError
from bench.ports import Clock, IdSource
from bench.rig.compose import open_bench
from bench.rig.feed import open_feed
from bench.rig.files import new_folder
from bench.rig.session import VIRTUAL_EPOCH, Order, ending, host_facts, stop_signals
from bench.runs.bench import Bench
from bench.runs.commission import Commissioner, Commissioning, commission_scenario, target_of
from bench.runs.commission_model import Sampling
from bench.runs.procedure import open_procedure
from bench.runs.station_clock import open_station_clock
from bench.settings.rig import RigSettings, StationSettings
from bench.settings.scenario import Fault
from bench.settings.target import TargetSettings
from bench.settings.target_text import target_text


@dataclass(frozen=True, slots=True)
class CommissionOrder:
    """What is to be commissioned."""

    station: str
    rig: RigSettings
    rig_path: Path
    folder: Path
    """Of the run; must not exist or be empty."""
    out: Path | None = None
    """The target file to write; must not exist. None: by the station's maker and model, in `config/targets` here."""
    observe: bool = True
    keep: bool = False
    """Whether measurands and intervals stay as they were set."""
    seed: int = 1
    fault: Fault | None = None
    """To be seeded into the emulated rig first."""
    station_clock: datetime | None = None

    @property
    def settings(self) -> StationSettings:
        """Return the station's part of the rig file. Raises UsageError."""
        found = next((one for one in self.rig.station if one.id == self.station), None)
        if found is None:
            known = ", ".join(one.id for one in self.rig.station)
            raise UsageError(f"no station {self.station!r} in rig {self.rig.name}; there: {known}")
        return found


@dataclass(slots=True)
class Commissioned:
    """What became of it."""

    folder: Path
    state: RunState = RunState.COMPLETED
    reason: str = ""
    result: Commissioning | None = None
    target: TargetSettings | None = None
    target_path: Path | None = None

    @property
    def whole(self) -> bool:
        """Say whether nothing ended it early."""
        return self.state is RunState.COMPLETED and not self.reason and self.target is not None

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        result = self.result or Commissioning()
        return {
            "state": self.state, "reason": self.reason, "run": str(self.folder),
            "target_file": None if self.target_path is None else str(self.target_path),
            "target": None if self.target is None else self.target.model_dump(mode="json", by_alias=True, exclude_none=True),
            "variables": len(result.model.variables), "differences": result.differences, "notes": result.notes,
        }  # fmt: skip


def commission(order: CommissionOrder) -> Commissioned:
    """Commission a station on a loop of its own. Raises UsageError where nothing can begin."""
    virtual = _base(order).virtual
    with asyncio.Runner(loop_factory=VirtualLoop if virtual else None) as runner:
        return runner.run(commission_here(order))


def _base(order: CommissionOrder) -> Order:
    """Return the order as a run has it. Raises UsageError."""
    scenario = commission_scenario(order.settings.id).model_copy(update={"tests_defaults": order.observe})
    if order.out is not None and order.out.exists():
        raise UsageError(f"{order.out}: is there already; a target file is never overwritten, choose another --out")
    return Order(
        scenario, Path("commission"), order.rig, order.rig_path, order.folder, seed=order.seed,
        faults=() if order.fault is None else (order.fault,), station_clock=order.station_clock,
    )  # fmt: skip


async def commission_here(order: CommissionOrder) -> Commissioned:
    """Commission a station on the running loop. Raises UsageError where nothing can begin."""
    base = _base(order)
    done = Commissioned(new_folder(order.folder))
    clock: Clock = LoopClock(VIRTUAL_EPOCH if base.virtual else wall_now())
    ids: IdSource = SeededIds(order.seed, "bench") if base.virtual else SystemIds()
    key = f"{order.seed}/journal".encode() if base.virtual else os.urandom(32)
    host, boot = host_facts(base), None
    failure: Exception | None = None
    with (
        open_journal(order.folder / "journal.jsonl", clock, key) as journal,
        stop_signals() as abort,
        open_feed(order.rig, journal, clock, order.folder.name, lambda _: abort()),
    ):
        _write_start(journal, base)
        try:
            async with open_bench(base, clock, journal, ids) as bench:
                host |= bench.host
                abort.guard = bench.guard
                await _take_steps(order, base, bench, done)
                boot = bench.csms.stations[order.station].boot
        except (Exception, asyncio.CancelledError) as error:
            done.state, done.reason, failure = ending(error, journal)
        journal.write(Kind.RUN_END, {"state": done.state, "reason": done.reason})
    write_result(order.folder / "host.json", host)
    if failure is not None:
        raise failure
    if done.result is not None and done.state is RunState.COMPLETED:
        _write_target(order, done, boot)
    write_result(order.folder / "commission.json", done.as_json())
    return done


async def _take_steps(order: CommissionOrder, base: Order, bench: Bench, done: Commissioned) -> None:
    """Take the steps; measurands, then the clock, are put back after the safe state, whatever happened."""
    sampling = Sampling(bench.csms, order.station)
    try:
        async with open_station_clock(bench, order.station) as clock, open_procedure(bench, base.scenario) as procedure:
            if order.station_clock is not None:
                await clock.take_effect()
            commissioner = Commissioner(bench, procedure, sampling)
            done.result = commissioner.result
            await commissioner.read()
            await commissioner.set_sampling()
            if order.observe:
                await commissioner.observe()
    finally:
        if not order.keep:
            await sampling.restore()
        if done.result is not None:
            done.result.notes += sampling.notes


def _write_target(order: CommissionOrder, done: Commissioned, boot: dict[str, Any] | None) -> None:
    assert done.result is not None
    done.target = target = target_of(done.result, order.settings.features, boot, order.station)
    path = order.out or _free(Path("config") / "targets", target.name)
    head = (f"{target.vendor} {target.model} {target.firmware}".strip(), f"Written by bench commission {order.station}.",
            *(f"Differs from the rig file: {one}" for one in done.result.differences),
            *(f"Note: {one}" for one in done.result.notes))  # fmt: skip
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(target_text(target, head), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
    done.target_path = path


def _free(folder: Path, name: str) -> Path:
    path, number = folder / f"{name}.toml", 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}.toml"
    return path


def _write_start(journal: JournalFile, base: Order) -> None:
    rig = base.rig.model_dump(mode="json", by_alias=True)
    start = {"scenario": {}, "rig": rig, "seed": base.seed, "bench": __version__, "mode": "virtual" if base.virtual else "real",
             "judged": False}  # fmt: skip
    journal.write(Kind.RUN_START, start)

"""What the console shows while a run goes on. It follows the journal, needs no thread and no tick."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from bench.adapters.clock import wall_now
from bench.domain.documents import Kind
from bench.domain.oracle import Supply
from bench.rig.session import VIRTUAL_EPOCH
from bench.runs.facts import readings
from bench.runs.live import LiveLimits
from bench.settings.scenario import ScenarioSettings

REFRESH_S: Final = 0.1
"""Real seconds between two pictures, at least."""
PREPARING: Final = ("connect", "snapshot", "baseline")
"""The steps before the scenario's own time begins; what they take counts for nothing."""


def _real_seconds() -> float:
    return wall_now().timestamp()


class _LastTime:
    """The run's time as the last document with a time in it told it: near enough for people."""

    def __init__(self, start: datetime) -> None:
        self.start = self.last = start

    def reach(self, moment: datetime) -> None:
        self.last = max(self.last, moment)

    def now(self) -> datetime:
        return self.last

    def monotonic(self) -> float:
        return (self.last - self.start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError("whoever watches does not wait")


class Progress(AbstractContextManager["Progress"]):
    """Subscribes to a journal and shows step, time, limit, power, last frame and findings on standard error.

    On a terminal it is a picture that goes away at the end; elsewhere one line per step; nothing at all when quiet. Standard
    output is left to the verdict.
    """

    def __init__(
        self,
        scenario: ScenarioSettings,
        *,
        quiet: bool = False,
        console: Console | None = None,
        real_s: Callable[[], float] = _real_seconds,
    ) -> None:
        self._scenario, self._quiet, self._real_s = scenario, quiet, real_s
        self._console = console or Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if self._console.is_terminal else None
        self._time = _LastTime(datetime.fromtimestamp(0, UTC))
        self._limits: LiveLimits | None = None
        self._meter = ""
        self._step, self._power_w, self._frame, self._findings = "waiting for the station", None, ("", "", ""), 0
        self._drawn = float("-inf")
        self._real = self._begun = False

    def __enter__(self) -> Progress:
        """Begin to show."""
        if self._live is not None and not self._quiet:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the console as it was."""
        if self._live is not None:
            self._live.stop()

    def __call__(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take one document of the journal."""
        if self._quiet:
            return
        try:
            self._show(kind, data)
        except OSError:  # nobody reads standard error any more: the run goes on without a picture
            self._quiet, self._live = True, None

    def _show(self, kind: str, data: Mapping[str, Any]) -> None:
        self._take(kind, data)
        if self._live is not None and self._real_s() - self._drawn >= REFRESH_S:
            self._drawn = self._real_s()
            self._live.update(self.picture(), refresh=True)

    def _take(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind == Kind.RUN_START:
            self._begin(data)
        elif kind == Kind.STEP_START:
            self._step = f"{data['step']} {data['name']}"
            self._say(f"{self._reached(data['name'], data['at_s'])}  step {self._step}")
        elif kind == Kind.STEP_END and data["outcome"] != "done":
            stopped = data["detail"] == "CancelledError"  # by the operator, or by what watches meters and guard
            self._say(f"step {data['step']} " + ("ended early" if stopped else f"{data['outcome']}: {data['detail']}"))
        elif kind == Kind.METER_SAMPLE:
            self._time.reach(data["received"])
            if data["meter"] == self._meter:
                self._power_w = data["power_w"]
        elif kind == Kind.OCPP_FRAME:
            self._frame = (data["station"], data["dir"], data["raw"])
        elif kind == Kind.FINDING:
            self._findings += 1
        elif kind == Kind.SAFE_STATE and data["stop"]:
            self._step = f"safe state: {data['action']}"
        if self._limits is not None:
            self._limits(kind, data)

    def _begin(self, data: Mapping[str, Any]) -> None:
        virtual = data["mode"] == "virtual"
        self._real, self._begun = not virtual, False
        self._time = _LastTime((self._scenario.start or VIRTUAL_EPOCH) if virtual else wall_now())
        scenario = data["scenario"]
        station = next(one for one in data["rig"]["station"] if one["id"] == scenario["station"])
        features = station["features"]
        supply = Supply(features["nominal_voltage_v"], features["supply_phases"])
        self._limits = LiveLimits(self._time, station["id"], scenario["evse"], supply, readings(features))
        self._meter = next((one["meter"] for one in station["evse"] if one["id"] == scenario["evse"]), "")

    def _reached(self, name: str, at_s: float) -> str:
        """Take the time of a step and return it in words: one clock, which begins with the scenario's first own step."""
        if not self._begun and name in PREPARING:
            return "preparing"
        if not self._begun and self._real:
            self._time.start = wall_now() - timedelta(seconds=at_s)
        self._begun = True
        self._time.reach(self._time.start + timedelta(seconds=at_s))
        return f"{_clock(at_s)} of {_clock(self._scenario.duration_s)}"

    def _say(self, line: str) -> None:
        if self._live is None:
            self._console.print(line, markup=False, soft_wrap=True)

    def picture(self) -> Table:
        """Return what a terminal shows now."""
        total = self._scenario.duration_s
        elapsed = min(self._time.monotonic(), total) if self._begun else 0.0
        limit = self._limits.limit if self._limits is not None else None
        grid = Table.grid(padding=(0, 2))
        left = f"{_clock(elapsed)} of {_clock(total)}, {_clock(total - elapsed)} left"
        grid.add_row("run" if self._begun else "preparing", left, ProgressBar(total=total, completed=elapsed, width=30))
        grid.add_row("step", self._step)
        grid.add_row("limit", "none" if limit is None else _quantity(limit.limit, limit.unit))
        grid.add_row("power", "no reading" if self._power_w is None else _quantity(self._power_w, "W"))
        grid.add_row("frame", _frame_text(*self._frame))
        grid.add_row("findings", str(self._findings))
        return grid


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _quantity(value: float, unit: str) -> str:
    return f"{value / 1000:.2f} kW" if unit == "W" else f"{value:.1f} A"


def _frame_text(station: str, direction: str, raw: str) -> str:
    """Return `CS-1 → CSMS: Heartbeat` for a frame."""
    if not raw:
        return "none yet"
    try:
        frame = json.loads(raw)
        what = {2: frame[2], 3: "answer"}.get(frame[0], "CALLERROR")
    except (ValueError, RecursionError, LookupError, TypeError):
        what = "unreadable"
    return f"{station} → CSMS: {what}" if direction == "in" else f"CSMS → {station}: {what}"

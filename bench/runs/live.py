"""What limits now, while the run goes on: tells the sampler when to look closely."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from typing import Any

from bench.domain.documents import STATION_CLOCK, Kind
from bench.domain.exchange import Call, Pairing
from bench.domain.oracle import TEXT, ExpectedLimit, OracleOptions, Supply, Transaction, expected_limit
from bench.domain.quantities import seconds, time_or
from bench.domain.timeline import Timeline, Window
from bench.ports import Clock
from bench.runs.expected import ExternalLimit, Store, TransactionEnd, change_by, in_bench_time
from bench.runs.facts import with_power_path

_AHEAD_S = 40 * 86_400.0


def _nothing() -> None:
    return


class LiveLimits:
    """Follows the journal's frames and knows each change of one EVSE's expected limit, past and planned."""

    def __init__(self, clock: Clock, station: str, evse_id: int, supply: Supply, options: OracleOptions = TEXT) -> None:
        self._clock, self._station, self._evse_id, self._supply = clock, station, evse_id, supply
        self._options = options
        self._pairing, self._store = Pairing(), Store()
        self._transaction: Transaction | None = None
        self._changes: list[float] = []
        self._limits: Timeline[ExpectedLimit | None] | None = None
        self._offset_s = 0.0
        self.on_change: Callable[[], None] = _nothing
        """Called when the plan changed."""

    def __call__(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take one document of the journal."""
        if kind == Kind.SETTING and data["what"] == STATION_CLOCK and data["value"]["station"] == self._station:
            self._offset_s = data["value"]["offset_s"]
            self._plan()
        if kind == Kind.RIG_ACTION and data["station"] == self._station and data["action"] == "external_limit":
            ExternalLimit(-1, seconds(self._clock.now()), data)(self._store)
            self._plan()
        if kind != Kind.OCPP_FRAME or data["station"] != self._station:
            return
        call = self._pairing.frame(data["station"], data["dir"] == "in", data["raw"], seconds(self._clock.now()), 0)
        self._pairing.calls.clear()
        if call is not None and call.response is not None and self._takes(call):
            self._plan()

    @property
    def limit(self) -> ExpectedLimit | None:
        """Return the limit that holds now."""
        now = seconds(self._clock.now())
        return self._limits.at(now) if self._limits and self._limits.start <= now < self._limits.end else None

    @property
    def limit_since(self) -> float | None:
        """Return since when it holds, in seconds since 1970 UTC; None where nothing limits or ever did."""
        index = bisect_right(self._changes, seconds(self._clock.now()))
        return self._changes[index - 1] if index and self.limit is not None else None

    def near(self, now: float, before_s: float, after_s: float) -> bool:
        """Say whether a change lies within the last `after_s` or the next `before_s` seconds."""
        first = bisect_left(self._changes, now - after_s)
        return first < len(self._changes) and self._changes[first] <= now + before_s

    def next_change(self, now: float) -> float | None:
        """Return the next planned change after `now`, in seconds since 1970 UTC."""
        index = bisect_right(self._changes, now)
        return self._changes[index] if index < len(self._changes) else None

    def _takes(self, call: Call) -> bool:
        change = change_by(call)
        if change is not None:
            self._store.at = seconds(self._clock.now()) + self._offset_s
            change(self._store)
        if change is not None and not call.from_station:
            return True
        request = call.request
        if call.action != "TransactionEvent" or not call.from_station:
            return False
        identity = request["transactionInfo"]["transactionId"]
        known = self._transaction is not None and self._transaction.id == identity
        if request["eventType"] == "Ended":
            TransactionEnd(identity)(self._store)
            self._transaction = None if known else self._transaction
            return True
        if not known and request.get("evse", {}).get("id") == self._evse_id:
            begun = Transaction(identity, time_or(request["timestamp"], call.asked + self._offset_s))
            self._transaction = with_power_path(begun, request, call.asked + self._offset_s)
            return True
        if known and self._transaction is not None and self._options.relative_anchor == "power_path_closed":
            before = self._transaction
            self._transaction = with_power_path(before, request, call.asked + self._offset_s)
            return before != self._transaction or change is not None
        return change is not None

    def _plan(self) -> None:
        now = seconds(self._clock.now())
        window = Window(now, now + _AHEAD_S)
        self._limits = in_bench_time(
            lambda there: expected_limit(
                self._store.profiles, self._evse_id, there, self._transaction, self._supply, self._options
            ),
            window, self._offset_s,
        )  # fmt: skip
        self._changes = [*(at for at in self._changes if at < now), *self._limits.starts]
        self.on_change()

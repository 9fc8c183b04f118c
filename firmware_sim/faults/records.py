"""Faults in what the station records of its transactions: numbers, flags, states and meter values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Final

from ocpp.v201 import call

_ENERGY: Final = "Energy.Active.Import.Register"
_OFFERED: Final = ("Current.Offered", "Power.Offered")
_FROM: Final = "seconds from the begin of the transaction after which it begins"


def _number(fault: str, key: str, value: float, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{fault}: {key} = {value!r}: must be a number from {low:g} to {high:g}")
    return float(value)


def _values(payload: Any) -> Iterator[dict[str, Any]]:
    """Yield each sampled value of a TransactionEvent or MeterValues."""
    for one in getattr(payload, "meter_value", None) or ():
        yield from one["sampledValue"]


def _energy(payload: Any) -> float | None:
    return next((float(one["value"]) for one in _values(payload) if one["measurand"] == _ENERGY), None)


def _changed(payload: Any, values: Mapping[int, float]) -> Any:
    """Return the request with other values, each by its place among all of them."""
    number, told = 0, []
    for one in payload.meter_value:
        sampled = []
        for value in one["sampledValue"]:
            sampled.append({**value, "value": values[number]} if number in values else value)
            number += 1
        told.append({**one, "sampledValue": sampled})
    return replace(payload, meter_value=told)


class EndsTwice:
    """The queue and the store of open transactions both tell the end (E11, E12)."""

    ID: ClassVar = "station.ends-twice"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "after an offline end and a reboot a transaction's Ended is sent twice"
    PARAMS: ClassVar[dict[str, str]] = {"same_seq": "whether the second one is the same message, or carries the next seqNo"}

    def __init__(self, *, same_seq: bool) -> None:
        if not isinstance(same_seq, bool):
            raise ValueError(f"{self.ID}: same_seq = {same_seq!r}: must be true or false")  # noqa: TRY004
        self._same_seq = same_seq
        self._ended: list[Any] = []
        self._restarted = False

    def request(self, payload: Any) -> Any:
        """Remember each end that nobody heard."""
        ended = isinstance(payload, call.TransactionEvent) and payload.event_type == "Ended"
        if ended and payload.offline and not self._restarted:
            self._ended.append(payload)
        return payload

    def on_restart(self, profiles: Any) -> Any:
        """From now on the store is looked through at the next connection."""
        self._restarted = bool(self._ended)
        return profiles

    def on_accepted(self, payloads: list[Any]) -> list[Any]:
        """Say the ends again."""
        again = self._ended if self._restarted else []
        if self._restarted:
            self._ended, self._restarted = [], False
        return [*payloads, *(one if self._same_seq else replace(one, seq_no=one.seq_no + 1) for one in again)]


class SequenceNumbers:
    """seqNo and the offline flag of TransactionEvents (E01 to E04)."""

    ID: ClassVar = "station.seqno"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "TransactionEvents are numbered wrongly, or do not say that they happened offline"
    PARAMS: ClassVar[dict[str, str]] = {"mode": "continue (over transactions), repeat (one number) or no-offline"}

    def __init__(self, *, mode: str) -> None:
        if mode not in ("continue", "repeat", "no-offline"):
            raise ValueError(f"{self.ID}: mode = {mode!r}: must be continue, repeat or no-offline")
        self._mode = mode
        self._first: dict[str, int] = {}
        self._next = 0

    def request(self, payload: Any) -> Any:
        """Number it anew, or drop its flag."""
        if not isinstance(payload, call.TransactionEvent):
            return payload
        if self._mode == "no-offline":
            return replace(payload, offline=None)
        if self._mode == "repeat":
            return replace(payload, seq_no=payload.seq_no - 1) if payload.seq_no >= 2 else payload
        first = self._first.setdefault(payload.transaction_info["transactionId"], self._next)
        self._next = max(self._next, first + payload.seq_no + 1)
        return replace(payload, seq_no=first + payload.seq_no)


class StaysSuspended:
    """The charging state is not brought up to date when delivery resumes."""

    ID: ClassVar = "station.stays-suspended"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "once SuspendedEVSE was told, the charging state stays so until the end"
    PARAMS: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._suspended: set[str] = set()

    def request(self, payload: Any) -> Any:
        """Keep the state."""
        if not isinstance(payload, call.TransactionEvent):
            return payload
        info = payload.transaction_info
        if info["chargingState"] == "SuspendedEVSE":
            self._suspended.add(info["transactionId"])
        if info["transactionId"] not in self._suspended or payload.event_type == "Ended":
            return payload
        return replace(payload, transaction_info={**info, "chargingState": "SuspendedEVSE"})


class CountsTwice:
    """At the end the register jumps by what was counted already."""

    ID: ClassVar = "station.counts-twice"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "when a transaction ends, its energy is added to the station's register again"
    PARAMS: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._begin: dict[str, float] = {}
        self._added = 0.0

    def request(self, payload: Any) -> Any:
        """Shift the register."""
        energy = _energy(payload)
        if energy is None:
            return payload
        if isinstance(payload, call.TransactionEvent):
            begin = self._begin.setdefault(payload.transaction_info["transactionId"], energy)
            if payload.event_type == "Ended":
                self._added += energy - begin
        values = enumerate(_values(payload))
        return _changed(
            payload, {place: round(one["value"] + self._added, 3) for place, one in values if one["measurand"] == _ENERGY}
        )


class RepeatsBegin:
    """The value of Transaction.Begin stands beside each periodic one."""

    ID: ClassVar = "station.repeats-begin"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "each periodic report carries the energy at the begin of the transaction as well"
    PARAMS: ClassVar[dict[str, str]] = {"position": "first or last in the list of values"}

    def __init__(self, *, position: str) -> None:
        if position not in ("first", "last"):
            raise ValueError(f"{self.ID}: position = {position!r}: must be first or last")
        self._last = position == "last"
        self._begin: dict[str, dict[str, Any]] = {}

    def request(self, payload: Any) -> Any:
        """Put it beside the others."""
        if not isinstance(payload, call.TransactionEvent):
            return payload
        identity = payload.transaction_info["transactionId"]
        for one in _values(payload):
            if one["measurand"] == _ENERGY and one["context"] == "Transaction.Begin":
                self._begin.setdefault(identity, one)
        begin = self._begin.get(identity)
        if begin is None or payload.event_type != "Updated":
            return payload
        told = [
            {**one, "sampledValue": [*one["sampledValue"], begin] if self._last else [begin, *one["sampledValue"]]}
            for one in payload.meter_value
        ]
        return replace(payload, meter_value=told)


class _MeterOfStation:
    """A fault of the station's own meter for a while."""

    ID: ClassVar[str]
    LAYER: ClassVar = "station"

    def __init__(self, from_s: float, for_s: float) -> None:
        self._from_s = _number(self.ID, "from_s", from_s, 0, 1e6)
        self._for_s = _number(self.ID, "for_s", for_s, 0, 1e6)
        self._began: datetime | None = None

    def request(self, payload: Any) -> Any:
        """Change its values while the fault lasts."""
        if not getattr(payload, "meter_value", None):
            return payload
        now = datetime.fromisoformat(payload.meter_value[-1]["timestamp"])
        self._began = self._began or now
        at = (now - self._began).total_seconds()
        evse_id = payload.evse["id"] if isinstance(payload, call.TransactionEvent) else payload.evse_id
        return _changed(payload, self._told(evse_id, list(_values(payload)), self._from_s <= at < self._from_s + self._for_s))

    def _told(self, evse_id: int, values: list[dict[str, Any]], hit: bool) -> dict[int, float]:
        raise NotImplementedError


class StationMeterFrozen(_MeterOfStation):
    """The driver goes on to give the last values of a dead meter."""

    ID: ClassVar = "station.meter-frozen"
    TEXT: ClassVar = "for a while the station reports its meter's last values with new time stamps"
    PARAMS: ClassVar[dict[str, str]] = {"from_s": _FROM, "for_s": "how long, s"}

    def __init__(self, *, from_s: float, for_s: float) -> None:
        super().__init__(from_s, for_s)
        self._last: dict[tuple[int, str, str], float] = {}

    def _told(self, evse_id: int, values: list[dict[str, Any]], hit: bool) -> dict[int, float]:
        told = {}
        for place, one in enumerate(values):
            key = evse_id, one["measurand"], one.get("phase", "")
            if one["measurand"] in _OFFERED:
                continue
            if hit and key in self._last:
                told[place] = self._last[key]
            elif not hit:
                self._last[key] = one["value"]
        return told


class StationMeterSentinel(_MeterOfStation):
    """What a meter says while it boots is taken for a reading."""

    ID: ClassVar = "station.meter-sentinel"
    TEXT: ClassVar = "for a while the station reports its meter's 'not available' as energy, power and current"
    PARAMS: ClassVar[dict[str, str]] = {"from_s": _FROM, "for_s": "how long, s", "value": "what is decoded, in Wh, W or A"}

    def __init__(self, *, from_s: float, for_s: float, value: float) -> None:
        super().__init__(from_s, for_s)
        self._value = _number(self.ID, "value", value, -1e12, 1e12)

    def _told(self, evse_id: int, values: list[dict[str, Any]], hit: bool) -> dict[int, float]:
        return {place: self._value for place, one in enumerate(values) if hit and one["measurand"] not in _OFFERED}


RECORD_FAULTS: Final = (
    EndsTwice, SequenceNumbers, StaysSuspended, CountsTwice, RepeatsBegin, StationMeterFrozen, StationMeterSentinel,
)  # fmt: skip

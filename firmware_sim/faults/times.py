"""Faults of the station's time stamps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from ocpp.v201 import call

from firmware_sim.clock import text_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _restamped(payload: Any, event: Callable[[str], str], sample: Callable[[str], str]) -> Any:
    """Return a request with other time stamps, where it has any."""
    if isinstance(payload, call.TransactionEvent | call.StatusNotification):
        payload = replace(payload, timestamp=event(payload.timestamp))
    if getattr(payload, "meter_value", None):
        told = [{**one, "timestamp": sample(one["timestamp"])} for one in payload.meter_value]
        payload = replace(payload, meter_value=told)
    return payload


class LocalTime:
    """The wall clock's time is written without its offset, or as if it were UTC."""

    ID: ClassVar = "station.local-time"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "time stamps are in local time, without a zone or with a false Z"
    PARAMS: ClassVar[dict[str, str]] = {"offset_h": "hours ahead of UTC, -12 to 14", "suffix": "Z, or empty for no zone"}

    def __init__(self, *, offset_h: float, suffix: str) -> None:
        if isinstance(offset_h, bool) or not isinstance(offset_h, int | float) or not -12 <= offset_h <= 14:
            raise ValueError(f"{self.ID}: offset_h = {offset_h!r}: must be a number from -12 to 14")
        if suffix not in ("", "Z"):
            raise ValueError(f"{self.ID}: suffix = {suffix!r}: must be Z or empty")
        self._offset, self._suffix = timedelta(hours=offset_h), suffix

    def request(self, payload: Any) -> Any:
        """Write local time."""
        return _restamped(payload, self._local, self._local)

    def _local(self, text: str) -> str:
        return text_of(datetime.fromisoformat(text) + self._offset).removesuffix("Z") + self._suffix


class UnsynchronisedTime:
    """After power-on the clock counts from 1970 until the CSMS has told the time."""

    ID: ClassVar = "station.unsynchronised-time"
    LAYER: ClassVar = "station"
    TEXT: ClassVar = "what is recorded between power-on and the first connection has time stamps of 1970"
    PARAMS: ClassVar[dict[str, str]] = {"fix": "none, or start: only the time stamp of Started is put right before it is sent"}

    def __init__(self, *, fix: str) -> None:
        if fix not in ("none", "start"):
            raise ValueError(f"{self.ID}: fix = {fix!r}: must be none or start")
        self._fix = fix
        self._waiting, self._power_on = False, ""

    def on_restart(self, profiles: Any) -> Any:
        """Forget the time."""
        self._waiting, self._power_on = True, ""
        return profiles

    def on_link(self, online: bool) -> bool:
        """Know it again."""
        self._waiting = self._waiting and not online
        return online

    def request(self, payload: Any) -> Any:
        """Count from 1970."""
        if not self._waiting:
            return payload
        started = isinstance(payload, call.TransactionEvent) and payload.event_type == "Started"
        return _restamped(payload, str if started and self._fix == "start" else self._uptime, self._uptime)

    def _uptime(self, text: str) -> str:
        self._power_on = self._power_on or text
        return text_of(_EPOCH + (datetime.fromisoformat(text) - datetime.fromisoformat(self._power_on)))


TIME_FAULTS: Final = (LocalTime, UnsynchronisedTime)

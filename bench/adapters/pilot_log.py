"""The control pilot as a logger beside the bench writes it to a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from bench.adapters.scpi import number
from bench.errors import RigError
from bench.ports import Clock
from bench.settings.actuators import PilotLog

_TAIL_BYTES: Final = 65_536
"""As much of the file's end is looked at."""


class PilotFile:
    """Fits Witness: the last whole line about an EVSE, as long as it is fresh."""

    def __init__(self, name: str, settings: PilotLog, path: Path, clock: Clock) -> None:
        self._where, self._settings, self._path, self._clock = f"actuators.{name} ({path})", settings, path, clock

    async def look(self, evse_id: int) -> Mapping[str, object]:
        """Return state, duty cycle and `time`, the logger's own time stamp. Raises RigError where there is nothing fresh."""
        row = self._last(evse_id)
        settings = self._settings
        try:
            seen = datetime.fromisoformat(row[settings.time_column])
            age_s = (self._clock.now() - seen).total_seconds()
        except (ValueError, TypeError):
            raise RigError(f"{self._where}: {row[settings.time_column]!r} is no time with an offset from UTC") from None
        if abs(age_s) > settings.stale_s:
            raise RigError(f"{self._where}: the last line is {age_s:.1f} s old, more than {settings.stale_s:g} s")
        state, duty = row[settings.state_column].strip(), row[settings.duty_column].strip()
        if state not in tuple("ABCDEF"):
            raise RigError(f"{self._where}: state {state!r}: must be A to F")
        return {"state": state, "duty_percent": number(duty, self._where) if duty else None, "ev_wants_a": None, "time": seen}

    def _last(self, evse_id: int) -> dict[str, str]:
        settings = self._settings
        try:
            with self._path.open("rb") as file:
                head = file.readline(4096)
                size = file.seek(0, 2)
                begin = max(len(head), size - _TAIL_BYTES)
                file.seek(begin)
                tail = file.read(_TAIL_BYTES)
        except OSError as error:
            raise RigError(f"{self._where}: {error.strerror or error}") from error
        whole = tail[: tail.rfind(b"\n") + 1].decode(errors="replace").split("\n")
        lines = [line for line in (whole if begin == len(head) else whole[1:]) if line.strip()]
        names = next(csv.reader([head.decode("utf-8-sig", errors="replace").strip()], delimiter=settings.delimiter), [])
        wanted = [settings.time_column, settings.state_column, settings.duty_column]
        lacking = [one for one in (*wanted, settings.evse_column) if one and one not in names]
        if lacking:
            raise RigError(f"{self._where}: no column {lacking[0]!r}; columns: {', '.join(names)[:200]}")
        try:
            for values in csv.reader(reversed(lines), delimiter=settings.delimiter):
                row = dict(zip(names, values, strict=False))
                if len(values) >= len(names) and (not settings.evse_column or row[settings.evse_column].strip() == str(evse_id)):
                    return row
        except csv.Error as error:
            raise RigError(f"{self._where}: is no CSV: {error}") from None
        raise RigError(f"{self._where}: no line about EVSE {evse_id} yet")

"""An emulated EV emulator that speaks SCPI over TCP and moves the emulated EV; its commands are this project's own.

Source of the form: SCPI-1999 and IEEE 488.2. Commands that end in a number take the EVSE from it: `EV:PLUG 1`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from firmware_sim.tcp_server import open_tcp_server

IDENTITY: Final = "charge point bench,EMU-EV,0,1"
_UNDEFINED, _RANGE, _PARAMETER = '-113,"Undefined header"', '-222,"Data out of range"', '-109,"Missing parameter"'


@dataclass(frozen=True, slots=True)
class InstrumentSpec:
    """One EV emulator."""

    station: str
    port: int = 0

    @classmethod
    def from_data(cls, data: Mapping[str, Any], where: str) -> InstrumentSpec:
        """Take plain data with the names of the fields. Raises ValueError."""
        try:
            return cls(**data)
        except TypeError as error:
            raise ValueError(f"{where}: {error}") from None


class Vehicle(Protocol):
    """What the instrument acts on; wrong arguments raise ValueError."""

    async def plug(self, evse_id: int) -> None: ...
    async def unplug(self, evse_id: int) -> None: ...
    async def demand(self, evse_id: int, amperes: float) -> None: ...
    async def vehicle(self, evse_id: int, settings: Mapping[str, float | str]) -> None: ...
    async def look(self, evse_id: int) -> Any: ...


class EvEmulator:
    """Takes one line, gives the answer or None; what is wrong goes to the error queue."""

    def __init__(self, vehicle: Vehicle) -> None:
        self._vehicle = vehicle
        self._errors: deque[str] = deque(maxlen=16)
        self._asked: dict[int, float] = {}

    async def answer(self, line: str) -> str | None:
        """Carry out one line.

        `EV:PLUG n`, `EV:UNPL n`, `EV:CURR n,A`, `EV:CURR:MAX n,A`, `EV:PHAS n,N`, `EV:SOC n,%`, `EV:BATT n,Wh`; `EV:CURR? n`,
        `EV:STAT? n`, `EV:DUTY? n`, `*IDN?`, `SYST:ERR?`, `*CLS`.
        """
        header, _, rest = line.strip().partition(" ")
        words = [one.strip() for one in rest.split(",")] if rest.strip() else []
        try:
            return await self._obey(header.upper(), words)
        except ValueError:
            self._errors.append(_RANGE)
        except IndexError:
            self._errors.append(_PARAMETER)
        return None

    async def _obey(self, header: str, words: list[str]) -> str | None:
        match header:
            case "":
                return None
            case "*IDN?":
                return IDENTITY
            case "*CLS":
                self._errors.clear()
            case "SYST:ERR?":
                return self._errors.popleft() if self._errors else '0,"No error"'
            case "EV:PLUG":
                await self._vehicle.plug(int(words[0]))
            case "EV:UNPL":
                await self._vehicle.unplug(int(words[0]))
            case "EV:CURR":
                await self._vehicle.demand(int(words[0]), float(words[1]))
                self._asked[int(words[0])] = float(words[1])
            case "EV:PHAS":
                await self._vehicle.vehicle(int(words[0]), {"phases": int(words[1])})
            case "EV:SOC":
                await self._vehicle.vehicle(int(words[0]), {"soc_percent": float(words[1])})
            case "EV:CURR:MAX":
                await self._vehicle.vehicle(int(words[0]), {"max_current_a": float(words[1])})
            case "EV:BATT":
                await self._vehicle.vehicle(int(words[0]), {"battery_wh": float(words[1])})
            case "EV:CURR?":
                return f"{self._asked.get(int(words[0]), 0.0):g}"
            case "EV:STAT?":
                return str((await self._vehicle.look(int(words[0])))["state"])
            case "EV:DUTY?":
                duty = (await self._vehicle.look(int(words[0])))["duty_percent"]
                return "NONE" if duty is None else f"{duty:.2f}"
            case _:
                self._errors.append(_UNDEFINED)
        return None


def open_instrument(emulator: EvEmulator, *, host: str, port: int) -> AbstractAsyncContextManager[int]:
    """Serve an instrument on TCP and yield the port (`port` 0: a free one). Raises OSError where it is taken."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            answer = await emulator.answer(line.decode("ascii", errors="replace"))
            if answer is not None:
                writer.write(answer.encode() + b"\n")

    return open_tcp_server(talk, host=host, port=port)

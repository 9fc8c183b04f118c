"""What a rig needs for itself: its own lease, and one for each serial port."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from bench.adapters.clock import wall_now
from bench.adapters.lease import Held, all_held, held
from bench.settings.lines import SerialLine
from bench.settings.rig import RigSettings


def serial_ports(rig: RigSettings) -> dict[str, str]:
    """Return each serial port of a rig by the key in its file that names it."""
    found = {f"lines.{name}.port": line.port for name, line in rig.lines.items() if isinstance(line, SerialLine)}
    found |= {f"meters.{name}.port": one.port for name, one in rig.meters.items() if one.kind in ("p1", "sml")}
    found |= {f"actuators.{name}.serial_port": one.serial_port for name, one in rig.actuators.items() if one.kind == "scpi"}
    return {key: port for key, port in found.items() if port}


def things(rig: RigSettings) -> list[str]:
    """Return what one user at a time may have: nothing of a rig that is emulated inside the bench."""
    if rig.emulator is not None:
        return []
    ports = sorted({str(Path(port).resolve()) for port in serial_ports(rig).values()})  # by-id and ttyUSB0 are the same port
    return [f"rig {rig.name}", *(f"port {port}" for port in ports)]


@contextmanager
def leased(rig: RigSettings, reason: str, *, expected_s: float | None = None) -> Iterator[None]:
    """Hold a rig inside the block. Where it is taken from this process, which stood still, the process is told to stop.

    Args: reason: the command. expected_s: how long it is likely to take.
    Raises: LeaseHeldError.
    """
    wanted = things(rig)
    if not wanted:
        yield
        return
    until = wall_now() + timedelta(seconds=expected_s) if expected_s is not None else None
    with held(wanted, reason, until=until, say=_say, lost=_stop):
        yield


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _stop(text: str) -> None:
    _say(f"{text}; stopping")
    os.kill(os.getpid(), signal.SIGINT)  # which pytest and asyncio know as well


def holder_of(rig: RigSettings, among: list[Held] | None = None) -> Held | None:
    """Return who holds a rig, or one of its serial ports."""
    wanted = things(rig)
    return next((one for one in (all_held() if among is None else among) if one.lease.what in wanted and one.alive), None)

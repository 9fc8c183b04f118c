"""What this computer tells of itself: its clock's synchronisation, who has a device open, the browser that is there."""

from __future__ import annotations

import ctypes
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SERVICES: Final = ("chronyd", "ntpd", "systemd-timesyn", "ptp4l", "phc2sys")
"""As /proc tells their names, cut after 15 characters."""
_TIME_ERROR: Final = 5
_UNSYNCHRONISED: Final = 0x0040


class _Timex(ctypes.Structure):
    """The head of `struct timex`, <sys/timex.h>; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_char * 256),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClockSync:
    """How far the computer's clock can be trusted, as its kernel tells."""

    synchronised: bool
    most_s: float
    """Largest error, in s."""
    service: str
    """What synchronises it; empty where no known service runs here, as in a container."""


def clock_sync() -> ClockSync | None:
    """Return how the clock is synchronised; None where the kernel does not tell (adjtimex, which changes nothing here)."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    good = state != _TIME_ERROR and not timex.status & _UNSYNCHRONISED
    return ClockSync(good, timex.maxerror / 1e6, next((name for name in _SERVICES if name in _running()), ""))


def _running() -> set[str]:
    names = set()
    for entry in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            names.add(entry.read_text().strip())
    return names


def users_of(device: Path) -> list[str]:
    """Return who has a device open, as `name (process id)`; only what /proc lets this user see."""
    real, found = os.path.realpath(device), []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):
            if any(os.path.realpath(one) == real for one in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
    return found


def browser() -> str | None:
    """Return the browser that makes PDFs and tests pages."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)

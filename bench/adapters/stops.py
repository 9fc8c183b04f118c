"""The signals by which somebody stops a command. Imports nothing heavy: it has to be there before everything else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, *([] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]))
"""Not SIGHUP where `nohup` keeps it out."""
Handler = Callable[[int, FrameType | None], Any] | int | None


class Stops:
    """Takes the signals before, between and after runs: none is lost, and none ends the process where it happens to be."""

    def __init__(self) -> None:
        self.asked = False
        """Somebody has asked for the end, before a run or during one."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal."""
        self.asked = True


def remember_stops() -> Stops:
    """Remember signals from here on."""
    stops = Stops()
    for number in SIGNALS:
        signal.signal(number, stops)
    return stops


def end_while_loading(number: int, frame: FrameType | None) -> None:
    """Take SIGINT for a program: while a module is loaded it ends at once, for extensions make anything of a KeyboardInterrupt.

    Raises: KeyboardInterrupt at any other time, as ever.
    """
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


def handlers() -> dict[signal.Signals, Handler]:
    """Return who takes each of the signals now."""
    return {number: signal.getsignal(number) for number in SIGNALS}


def give_back(before: dict[signal.Signals, Handler]) -> None:
    """Let those take the signals who did before; one that no Python code has set (None) cannot be, nor any in another thread."""
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def ignore_stops() -> None:
    """Let nothing change the exit code of a command that is over: the interpreter itself takes a while to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)

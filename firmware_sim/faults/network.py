"""Faults of the network, where they act at the station's own socket."""

from __future__ import annotations

from typing import Any, ClassVar, Final


def number(name: str, value: Any) -> float:
    """Return a parameter that is a number from 0 to 1000000. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6:
        raise ValueError(f"{name} = {value!r}: must be a number from 0 to 1000000")
    return float(value)


class HalfOpen:
    """The connection is dead and nobody is told."""

    ID: ClassVar = "network.half-open"
    LAYER: ClassVar = "network"
    TEXT: ClassVar = "for a while everything is swallowed in both directions, then the connection breaks"
    PARAMS: ClassVar[dict[str, str]] = {"from_s": "begin, in s from the start of the rig on", "for_s": "how long, in s"}

    def __init__(self, from_s: float, for_s: float) -> None:
        self._from_s, self._for_s = number("from_s", from_s), number("for_s", for_s)

    def dead_spans(self, spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
        """Add it."""
        return [*spans, (self._from_s, self._from_s + self._for_s)]


class LateAnswer:
    """The answer to one kind of CALL comes late; what follows overtakes it."""

    ID: ClassVar = "network.late-answer"
    LAYER: ClassVar = "network"
    TEXT: ClassVar = "the answers to one action come late, and are overtaken by what follows"
    PARAMS: ClassVar[dict[str, str]] = {"action": "of the CALL", "delay_s": "how late, in s"}

    def __init__(self, action: str, delay_s: float) -> None:
        self._action, self._delay_s = str(action), number("delay_s", delay_s)

    def answers_after(self, action: str, delays: list[float]) -> list[float]:
        """Delay each."""
        return [one + self._delay_s for one in delays] if action == self._action else delays


class DuplicateAnswer:
    """One answer arrives twice."""

    ID: ClassVar = "network.duplicate-answer"
    LAYER: ClassVar = "network"
    TEXT: ClassVar = "each answer to one action arrives twice"
    PARAMS: ClassVar[dict[str, str]] = {"action": "of the CALL"}

    def __init__(self, action: str) -> None:
        self._action = str(action)

    def answers_after(self, action: str, delays: list[float]) -> list[float]:
        """Send it again."""
        return [*delays, delays[-1] + 1.0] if action == self._action else delays


class IdleClose:
    """A connection without traffic is closed."""

    ID: ClassVar = "network.idle-close"
    LAYER: ClassVar = "network"
    TEXT: ClassVar = "after a while without a message the connection is closed; the station comes back later"
    PARAMS: ClassVar[dict[str, str]] = {"idle_s": "without a message, in s", "back_s": "how long it is away, in s"}

    def __init__(self, idle_s: float, back_s: float) -> None:
        self._idle_s, self._back_s = number("idle_s", idle_s), number("back_s", back_s)
        if not idle_s:
            raise ValueError("idle_s: 0 leaves no time to speak")

    def idle(self, limits: tuple[float, float] | None) -> tuple[float, float]:
        """Set seconds of silence and of absence."""
        return (self._idle_s, self._back_s)


class ReplaysLast:
    """An event that was answered is delivered again."""

    ID: ClassVar = "network.replays-last"
    LAYER: ClassVar = "network"
    TEXT: ClassVar = "after a reconnect the last event before the last end of a transaction is delivered once more"
    PARAMS: ClassVar[dict[str, str]] = {}

    def replayed(self, history: list[Any], replays: list[Any]) -> list[Any]:
        """Repeat the last event that is followed by an end of its transaction."""
        ends = [index for index, one in enumerate(history) if one.event_type == "Ended"]
        if not ends:
            return replays
        identity = history[ends[-1]].transaction_info["transactionId"]
        before = [one for one in history[: ends[-1]] if one.transaction_info["transactionId"] == identity]
        return [*replays, *before[-1:]]


NETWORK_FAULTS: Final = (HalfOpen, LateAnswer, DuplicateAnswer, IdleClose, ReplaysLast)

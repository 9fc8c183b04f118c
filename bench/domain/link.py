"""How a connection to the CSMS can be disturbed, and how long a station may take to come back afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

LinkMode = Literal["close", "reset", "refuse", "swallow", "delay", "throttle"]
Direction = Literal["both", "to_station", "to_csms"]


@dataclass(frozen=True, slots=True)
class LinkFault:
    """One disturbance of all connections to the CSMS port. Raises ValueError where it makes no sense.

    close: ends each open connection in an orderly way (FIN), and each that comes while it lasts. reset: the same with RST.
    refuse: lets the open connections be and resets those that come. swallow: nothing arrives, the connections stay open; as
    on any TCP connection, what was sent meanwhile arrives afterwards, if both ends still hold it open. delay: everything
    arrives `delay_s` later. throttle: no more than `bytes_per_s` arrive.
    """

    mode: LinkMode
    seconds: float
    """How long it lasts; 0 only for close and reset: once."""
    direction: Direction = "both"
    """For swallow, delay and throttle."""
    delay_s: float = 0.0
    bytes_per_s: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in get_args(LinkMode):
            raise ValueError(f"mode = {self.mode!r}: must be one of {', '.join(get_args(LinkMode))}")
        if self.direction not in get_args(Direction):
            raise ValueError(f"direction = {self.direction!r}: must be one of {', '.join(get_args(Direction))}")
        for name in ("seconds", "delay_s", "bytes_per_s"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} = {getattr(self, name)}: must be a finite number")
        if self.seconds < 0 or (self.seconds == 0 and self.mode not in ("close", "reset")):
            raise ValueError(f"seconds = {self.seconds:g}: {self.mode} needs more than 0")
        if self.direction != "both" and self.mode in ("close", "reset", "refuse"):
            raise ValueError(f"direction = {self.direction!r}: {self.mode} has none")
        for name, mode in (("delay_s", "delay"), ("bytes_per_s", "throttle")):
            value: float = getattr(self, name)
            if (value > 0) != (self.mode == mode) or value < 0:
                raise ValueError(f"{name} = {value:g}: must be more than 0 with mode {mode}, and absent with any other")

    def acts_on(self, direction: Direction) -> bool:
        """Say whether what flows in that direction is disturbed."""
        return self.direction in ("both", direction)


@dataclass(frozen=True, slots=True)
class BackOff:
    """How a station waits before it tries to connect again.

    It waits RetryBackOffWaitMinimum plus a random time of up to RetryBackOffRandomRange, and doubles the wait up to
    RetryBackOffRepeatTimes times. Source: OCPP 2.0.1 Part 4, section 5.3; OCPPCommCtrlr.
    """

    wait_minimum_s: float
    random_range_s: float
    repeat_times: int

    @property
    def longest_s(self) -> float:
        """Return the longest wait between two attempts, in s."""
        return self.wait_minimum_s * 2.0 ** min(self.repeat_times, 32) + self.random_range_s

    def after(self, outage_s: float) -> float:
        """Return the longest that the wait can still last which is going on when an outage of so many s ends."""
        begun, attempt, longest = 0.0, 0, 0.0
        while begun <= outage_s and longest < self.longest_s:
            wait = self.wait_minimum_s * 2.0 ** min(attempt, self.repeat_times, 32)
            longest = wait + self.random_range_s
            begun, attempt = begun + wait, attempt + 1
        return longest


DEFAULT_BACK_OFF: Final = BackOff(wait_minimum_s=30, random_range_s=15, repeat_times=2)
"""For a station that tells nothing of it, and whose target file does not either; OCPP has no default."""

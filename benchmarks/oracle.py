"""The oracle: a 24 h window over 4 purposes x 10 stack levels x 96 periods, against a bare pass over the same breakpoints.

    python benchmarks/oracle.py [ROUNDS]

Each stack level leads for a part of the day, and a TxProfile leaves half of its part to the defaults, so that none of the 40
profiles is left out unread. The baseline makes one tuple of each
period of every profile and sorts them: what any oracle that looks at all of them has to do at least.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence

from bench.domain.oracle import Supply, Transaction, expected_limit
from bench.domain.profiles import (
    ChargingProfile,
    ChargingSchedule,
    ChargingSchedulePeriod,
    InstalledProfile,
    Kind,
    Purpose,
)
from bench.domain.timeline import Window

T0 = 1_767_225_600.0
DAY_S, LEVELS, PERIODS = 86_400, 10, 96
WINDOW, SUPPLY, TRANSACTION = Window(T0, T0 + DAY_S), Supply(), Transaction("tx-1", T0)
GOAL_MS = 1.0
"""Told, not gated: a shared computer must not fail a benchmark."""
LIMIT = 0.8


def installed() -> list[InstalledProfile]:
    """Return 40 profiles of 96 periods of a quarter of an hour; level n starts n tenths of the day after midnight."""
    profiles = []
    for number, purpose in enumerate(Purpose):
        for level in range(LEVELS):
            identity = number * LEVELS + level + 1
            periods = tuple(
                ChargingSchedulePeriod(900 * index, 6.0 + (index * 7 + identity) % 26, 1 + index % 3) for index in range(PERIODS)
            )
            start = T0 + level * DAY_S / LEVELS
            lasts = DAY_S / LEVELS / 2 if purpose is Purpose.TX else None
            schedule = ChargingSchedule("A" if level % 2 else "W", periods, lasts, start)
            profile = ChargingProfile(identity, level, purpose, Kind.ABSOLUTE, schedule)
            evse_id = 0 if purpose in (Purpose.STATION_MAX, Purpose.EXTERNAL) else 1
            profiles.append(InstalledProfile(evse_id, profile, T0))
    return profiles


def breakpoints(profiles: Sequence[InstalledProfile]) -> list[tuple[float, float]]:
    """Return when each period of every profile begins with its limit, in order."""
    found: list[tuple[float, float]] = []
    for one in profiles:
        start = one.profile.schedule.start or 0.0
        found.extend((start + period.start_s, period.limit) for period in one.profile.schedule.periods)
    found.sort()
    return found


def cpu_ms(call: Callable[[], object], repeats: int = 20) -> float:
    """Return the CPU time of one call in ms."""
    begin = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - begin) / repeats * 1000


def main() -> None:
    """Print the medians and their ratio; exit 1 above the limit."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    profiles = installed()
    bare, oracle, ratios = [], [], []
    for _ in range(rounds):
        bare.append(cpu_ms(lambda: breakpoints(profiles)))
        oracle.append(cpu_ms(lambda: expected_limit(profiles, 1, WINDOW, TRANSACTION, SUPPLY)))
        ratios.append(oracle[-1] / bare[-1])
    ratio = statistics.median(ratios)
    count = len(expected_limit(profiles, 1, WINDOW, TRANSACTION, SUPPLY).starts)
    print(f"bare pass   {statistics.median(bare):7.3f} ms  {len(breakpoints(profiles))} breakpoints built and sorted")
    print(f"oracle      {statistics.median(oracle):7.3f} ms  {count} periods; best {min(oracle):.3f} ms (goal: {GOAL_MS:g} ms)")
    print(f"ratio       {ratio:7.2f}x  (limit: {LIMIT:g}x)")
    sys.exit(ratio > LIMIT)


if __name__ == "__main__":
    main()

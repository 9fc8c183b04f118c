"""Windows of a long schedule at a station whose clock is wrong: what it does by its own clock is never more than what is asked.

The station here is a few lines of its own: it obeys, by its clock, the raw profile that came last.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import example, given
from hypothesis import strategies as st

from bench.wire.ocpi.limits import merge, window
from bench.wire.ocpi.mapping import EvseSupply
from bench.wire.ocpi.profiles import ChargingProfile

T0: Final = 1_768_435_200.0
MARGIN_S: Final = 60
"""A clock that is ahead or behind by so much raises no limit; one by half as much lowers none, with a slow answer added."""
NEAR_S: Final = 100
"""How far a lower limit is away at most that counts instead: a margin, half of one, and a slow answer."""
Raw = dict[str, Any]


@st.composite
def raws(draw: st.DrawFn) -> Raw:
    """Return a profile of up to eight periods, from a second to some minutes long."""
    lengths = draw(st.lists(st.integers(1, 20) | st.integers(40, 200), max_size=7))
    starts = [sum(lengths[:index]) for index in range(len(lengths) + 1)]
    periods = [{"start_period": start, "limit": float(draw(st.integers(0, 32)))} for start in starts]
    begin = datetime.fromtimestamp(T0 + draw(st.integers(0, 100)), UTC).isoformat().replace("+00:00", "Z")
    raw: Raw = {"start_date_time": begin, "charging_rate_unit": "A", "charging_profile_period": periods}
    duration = draw(st.none() | st.integers(1, 900))
    return raw if duration is None else raw | {"duration": duration}


def _says(raw: Raw, at: float) -> float | None:
    begin = datetime.fromisoformat(raw["start_date_time"]).timestamp()
    if not begin <= at < begin + raw.get("duration", 10**9):
        return None
    starts = [one["start_period"] for one in raw["charging_profile_period"]]
    return float(raw["charging_profile_period"][bisect_right(starts, at - begin) - 1]["limit"])


def _lowest(asked: Sequence[Raw], at: float) -> float | None:
    return min((limit for one in asked if (limit := _says(one, at)) is not None), default=None)


def _station(
    asked: Sequence[Raw], most: int, sent: float, off: float, slow: Sequence[float]
) -> Iterator[tuple[float, float | None]]:
    """Yield what the station obeys in each second from its first window on, with the time by its own clock."""
    spans = merge([ChargingProfile.model_validate(one) for one in asked], "A", EvseSupply(), None)
    installed: list[tuple[float, Raw]] = []
    latencies, due = iter(slow), T0 + sent
    while due < T0 + 1000 and (cut := window(spans, due, "A", most)) is not None:
        arrives = due + next(latencies, 0.0)
        installed.append((arrives, cut.profile.plain()))
        if cut.renew_at is None:
            break
        due = max(arrives, cut.renew_at)
    for second in range(1000):
        held = [raw for arrives, raw in installed if arrives <= T0 + second]
        if held:
            yield T0 + second + off, _says(held[-1], T0 + second + off)


SENT: Final = st.integers(0, 600)
SLOW: Final = st.lists(st.floats(0, 5))
"""How slowly the station takes each window."""


@given(st.lists(raws(), min_size=1, max_size=3), st.integers(1, 5), SENT, st.floats(-MARGIN_S, MARGIN_S), SLOW)
def test_a_wrong_clock_never_raises_a_limit(asked: list[Raw], most: int, sent: int, off: float, slow: list[float]) -> None:
    """By its own clock the station has a TxProfile while one is asked for, and at no moment a higher limit than that."""
    for at, limit in _station(asked, most, sent, off, slow):
        wanted = _lowest(asked, at)
        assert wanted is None or (limit is not None and limit <= wanted)


PAUSE: Final[Raw] = {
    "start_date_time": "2026-01-15T00:00:00Z",
    "charging_rate_unit": "A",
    "charging_profile_period": [{"start_period": 300 * at, "limit": limit} for at, limit in enumerate([16.0, 10.0, 12.0, 0.0])],
}


@example(PAUSE, 2, 0, 30.0, [5.0, 5.0, 5.0, 5.0, 5.0])
@given(raws(), st.integers(2, 5), SENT, st.floats(-MARGIN_S / 2, MARGIN_S / 2), SLOW)
def test_a_wrong_clock_is_not_held_down(asked: Raw, most: int, sent: int, off: float, slow: list[float]) -> None:
    """From two periods on, a limit is lower only where a lower one is near, and never because a renewal came late."""
    for at, limit in _station([asked], most, sent, off, slow):
        wanted = _says(asked, at)
        if wanted is not None and limit is not None and limit < wanted:
            near = (_says(asked, at + step) for step in range(-NEAR_S, NEAR_S + 1))
            assert limit >= min(one for one in near if one is not None)

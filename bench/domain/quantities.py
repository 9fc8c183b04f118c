"""Time and limits as the oracle uses them, and the control pilot of IEC 61851-1."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

MINIMUM_CURRENT_A: Final = 6.0
"""IEC 61851-1: the lowest current that a duty cycle can offer; below it the EVSE pauses."""
_FIRST: Final = datetime.min.replace(tzinfo=UTC).timestamp()
_LAST: Final = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()


def seconds(moment: datetime) -> float:
    """Return seconds since 1970 UTC."""
    return moment.timestamp()


def moment(at: float) -> datetime:
    """Return the UTC time of so many seconds since 1970; the first or last that there is where it lies beyond.

    An offset from UTC can lead out of the years 1 to 9999: `0001-01-01T00:00:00+14:00` is a date-time that a peer may send.
    """
    return datetime.fromtimestamp(min(max(at, _FIRST), _LAST), UTC)


def parse_time(text: str) -> float:
    """Return an RFC 3339 date-time as seconds since 1970 UTC; without an offset it is taken as UTC. Raises ValueError."""
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def time_or(text: str, otherwise: float) -> float:
    """Return a peer's date-time as seconds since 1970 UTC, or another moment where it is none."""
    try:
        return parse_time(text)
    except ValueError:
        return otherwise


def clock_text(at: float) -> str:
    """Return a moment for people: `2023-07-02 08:00:15Z`, with tenths where there are any; `beyond the calendar` outside it."""
    at = round(at, 1)
    if abs(seconds(moment(at)) - at) > 1:
        return "beyond the calendar"
    text = moment(at).strftime("%Y-%m-%d %H:%M:%S")
    tenth = round(at % 1 * 10) % 10
    return f"{text}.{tenth}Z" if tenth else f"{text}Z"


def offered_current_a(duty_percent: float | None) -> float:
    """Return the current per phase that the EV may draw at a duty cycle of the control pilot.

    Source: IEC 61851-1:2017 Annex A, table A.7. No PWM, an error duty and 5 % (digital communication) offer nothing.
    """
    if duty_percent is None or duty_percent < 8 or duty_percent > 97:
        return 0.0
    if duty_percent < 10:
        return 6.0
    if duty_percent <= 85:
        return 0.6 * duty_percent
    if duty_percent <= 96:
        return 2.5 * (duty_percent - 64)
    return 80.0

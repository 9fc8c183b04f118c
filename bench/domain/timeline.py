"""A step function of time: what holds from when, without a gap."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time [start, end), in seconds since 1970 UTC."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Segment(Generic[T]):
    """One value that holds over [start, end)."""

    start: float
    end: float
    value: T


class Timeline(Generic[T]):
    """Values over [start, end), in seconds since 1970 UTC; equal neighbours are one segment."""

    __slots__ = ("end", "starts", "values")

    def __init__(self, pieces: Iterable[tuple[float, T]], end: float) -> None:
        self.starts: list[float] = []
        self.values: list[T] = []
        self.end = end
        for start, value in pieces:
            if start >= end:
                break
            if self.starts and start <= self.starts[-1]:
                self.starts.pop()
                self.values.pop()
                start = max(start, self.starts[-1] if self.starts else start)
            if self.values and self.values[-1] == value:
                continue
            self.starts.append(start)
            self.values.append(value)

    @property
    def start(self) -> float:
        """Return where the timeline begins; its end where it is empty."""
        return self.starts[0] if self.starts else self.end

    def at(self, when: float) -> T:
        """Return the value that holds at `when`. Raises ValueError outside the timeline."""
        if not self.start <= when < self.end:
            raise ValueError(f"{when} is outside [{self.start}, {self.end})")
        return self.values[bisect_right(self.starts, when) - 1]

    def segments(self) -> Iterator[Segment[T]]:
        """Yield the segments in order."""
        for index, (start, value) in enumerate(zip(self.starts, self.values, strict=True)):
            yield Segment(start, self.starts[index + 1] if index + 1 < len(self.starts) else self.end, value)

    def between(self, start: float, end: float) -> list[T]:
        """Return each value that holds at some moment of the closed span [start, end]."""
        if not self.starts or end < self.start or start >= self.end:
            return []
        first = max(0, bisect_right(self.starts, start) - 1)
        return self.values[first : bisect_right(self.starts, end)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Timeline):
            return NotImplemented
        return (self.starts, self.values, self.end) == (other.starts, other.values, other.end)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        pieces = ", ".join(f"{start:.0f}: {value}" for start, value in zip(self.starts, self.values, strict=True))
        return f"Timeline({pieces}; end {self.end:.0f})"


def joined(parts: Iterable[Timeline[T]], end: float) -> Timeline[T]:
    """Return timelines that follow one another as one."""
    return Timeline(((one.start, one.value) for part in parts for one in part.segments()), end)

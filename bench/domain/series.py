"""The readings of one meter on the phases of one EVSE, kept as columns.

A day at 1 Hz is 86 400 readings; as read-only arrays they take 8 bytes a value and are searched without a loop. Who judges
reading by reading sees a sequence of `Sample`, made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


class Sample(NamedTuple):
    """One reading of a meter, on the phases of one EVSE."""

    requested: float
    received: float
    current_a: tuple[float, ...]
    power_w: float | None
    energy_wh: float | None
    seq: int
    voltage_v: tuple[float | None, ...] = ()


class Series(Sequence[Sample]):
    """Readings in the order of the journal. Each column is a read-only array of length n; NaN where there is no value.

    `requested`, `received` (s since 1970 UTC), `power_w`, `energy_wh`: float64 of shape (n,); `current_a`, `voltage_v`: float64
    of shape (phases, n), the latter (0, n) where nobody measured it; `seq`: int64 of shape (n,), number of the document.
    A slice with step 1 shares the arrays.
    """

    __slots__ = ("_columns", "_part", "_pending", "_rows")

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self._columns = _EMPTY
        self._part: slice | None = None
        self._pending: list[Sample] = list(samples)
        self._rows: list[Sample] | None = None

    @classmethod
    def of_columns(
        cls, requested: Any, received: Any, current_a: Any, power_w: Any, energy_wh: Any, seq: Any, voltage_v: Any = None
    ) -> Series:
        """Return a series of columns as above, or of what numpy makes such columns of; None for `voltage_v` where there is none.

        Raises ValueError where the lengths differ.
        """
        received = np.asarray(received, np.float64)
        volts = np.empty((0, len(received))) if voltage_v is None else voltage_v
        series = cls()
        series._columns = _frozen(requested, received, current_a, power_w, energy_wh, seq, volts)
        return series

    @property
    def requested(self) -> Floats:
        """Return when each reading was asked for."""
        column: Floats = self._column(0)
        return column

    @property
    def received(self) -> Floats:
        """Return when each reading was there."""
        column: Floats = self._column(1)
        return column

    @property
    def current_a(self) -> Floats:
        """Return the currents, one row for each phase of the EVSE."""
        column: Floats = self._column(2)
        return column

    @property
    def power_w(self) -> Floats:
        """Return the total power."""
        column: Floats = self._column(3)
        return column

    @property
    def energy_wh(self) -> Floats:
        """Return the energy register."""
        column: Floats = self._column(4)
        return column

    @property
    def seq(self) -> Ints:
        """Return the number of the document of each reading."""
        column: Ints = self._column(5)
        return column

    @property
    def voltage_v(self) -> Floats:
        """Return the voltages, one row for each phase of the EVSE."""
        column: Floats = self._column(6)
        return column

    @property
    def highest_a(self) -> Floats:
        """Return the highest current of any phase at each reading."""
        current = self.current_a
        return np.maximum.reduce(current) if len(current) else np.zeros(0)

    def range_in(self, whole: Series) -> slice | None:
        """Return which indices of another series these readings have; None where they are no slice of it."""
        if self._settled() is not whole._settled() or whole._part is not None:
            return None
        return slice(0, len(self)) if self._part is None else self._part

    def append(self, sample: Sample) -> None:
        """Add a reading. Raises TypeError on a slice."""
        self.extend((sample,))

    def extend(self, samples: Iterable[Sample]) -> None:
        """Add readings. Raises TypeError on a slice."""
        if self._part is not None:
            raise TypeError("a slice of a series cannot grow")
        self._pending.extend(samples)

    def __iadd__(self, samples: Iterable[Sample]) -> Series:
        self.extend(samples)
        return self

    def taken(self, chosen: NDArray[np.bool_]) -> Series:
        """Return the readings that are chosen; they share the arrays where they follow one another."""
        count, first = int(np.count_nonzero(chosen)), int(chosen.argmax()) if len(chosen) else 0
        if chosen[first : first + count].all():
            return self[first : first + count]
        series = Series()
        series._columns = _frozen(*(self._column(number)[..., chosen] for number in range(len(self._settled()))))
        return series

    def within(self, start: float, end: float) -> Series:
        """Return the readings that were asked for at `start` or later and received before `end`."""
        return self.taken((self.requested >= start) & (self.received < end))

    def __len__(self) -> int:
        if self._part is not None:
            return int(self._part.stop - self._part.start)
        return len(self._columns[1]) + len(self._pending)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Series: ...

    def __getitem__(self, index: int | slice) -> Sample | Series:
        columns, length = self._settled(), len(self)
        if isinstance(index, slice):
            start, stop, step = index.indices(length)
            if step != 1:
                series = Series()
                series._columns = tuple(self._column(number)[..., index] for number in range(len(columns)))
                return series
            begin = start if self._part is None else start + self._part.start
            series = Series.__new__(Series)
            series._columns, series._part, series._pending = columns, slice(begin, begin + max(0, stop - start)), _NOTHING
            series._rows = None if self._rows is None else self._rows[start:stop]
            return series
        if not -length <= index < length:
            raise IndexError(index)
        if self._rows is not None:
            return self._rows[index]
        at = index % length + (0 if self._part is None else self._part.start)
        requested, received, current, power, energy, seq, volts = columns
        return Sample(
            requested.item(at), received.item(at), tuple(current[:, at].tolist()), _value(power.item(at)),
            _value(energy.item(at)), seq.item(at), tuple([None if one != one else one for one in volts[:, at].tolist()]),
        )  # fmt: skip

    def __iter__(self) -> Iterator[Sample]:
        columns = self._settled()
        if self._rows is not None:
            yield from self._rows
            return
        rows, size, first = list[Sample](), 16, 0 if self._part is None else self._part.start
        while len(rows) < len(self):  # who stops early pays for what it looked at
            begin, size = first + len(rows), min(size, len(self) - len(rows))
            block = list(_rows(tuple(column[..., begin : begin + size] for column in columns)))
            rows += block
            yield from block
            size = min(2 * size, 8192)
        self._rows = rows

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Series | list | tuple):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Series({len(self)} readings)"

    def _settled(self) -> tuple[NDArray[Any], ...]:
        """Return the columns of all readings, what was added included."""
        if self._pending:
            added, self._pending, self._rows = _columns_of(self._pending), [], None
            if len(self._columns[1]):
                added = _frozen(*(np.concatenate(pair, axis=-1) for pair in zip(self._columns, added, strict=True)))
            self._columns = added
        return self._columns

    def _column(self, number: int) -> NDArray[Any]:
        column = self._settled()[number]
        return column if self._part is None else column[..., self._part]


def _frozen(*columns: Any) -> tuple[NDArray[Any], ...]:
    """Return columns as read-only arrays of their types. Raises ValueError where the lengths differ."""
    types = (np.float64, np.float64, np.float64, np.float64, np.float64, np.int64, np.float64)
    arrays = tuple(np.ascontiguousarray(column, kind) for column, kind in zip(columns, types, strict=True))
    if len({one.shape[-1] for one in arrays}) > 1:
        raise ValueError(f"columns of different lengths: {[one.shape for one in arrays]}")
    for one in arrays:
        one.flags.writeable = False
    return arrays


_NOTHING: Final[list[Sample]] = []
_EMPTY: Final = _frozen((), (), np.empty((0, 0)), (), (), (), np.empty((0, 0)))


def _columns_of(samples: Sequence[Sample]) -> tuple[NDArray[Any], ...]:
    requested, received, current, power, energy, seq, volts = zip(*samples, strict=True)
    by_phase = np.array(volts, np.float64).reshape(len(samples), -1).T
    return _frozen(requested, received, np.array(current, np.float64).T, np.array(power, np.float64),
                   np.array(energy, np.float64), seq, by_phase)  # fmt: skip


def _rows(columns: tuple[NDArray[Any], ...]) -> Iterator[Sample]:
    requested, received, current, power, energy, seq, volts = columns
    count = len(received)
    amps = zip(*current.tolist(), strict=True) if len(current) else iter([()] * count)
    voltage = zip(*(_optional(phase) for phase in volts), strict=True) if len(volts) else iter([()] * count)
    return map(Sample, requested.tolist(), received.tolist(), amps, _optional(power), _optional(energy), seq.tolist(), voltage)


def _value(number: float) -> float | None:
    return None if number != number else number


def _optional(column: Floats) -> list[float | None]:
    """Return the values; None where there is none."""
    values: list[float | None] = column.tolist()
    return [None if one != one else one for one in values] if np.isnan(column).any() else values

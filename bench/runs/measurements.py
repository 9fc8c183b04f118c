"""What meters and pilot witnesses saw, from the documents of a journal into columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final

import numpy as np

from bench.domain.documents import Document, Kind
from bench.domain.evidence import EvseFacts, PilotSample, RunFacts
from bench.domain.quantities import moment, offered_current_a, parse_time, seconds
from bench.domain.series import Series
from bench.domain.uncertainty import accuracy_of

_VALUES: Final = itemgetter("requested", "received", "current_a", "power_w", "energy_import_wh", "voltage_v")
_WIDTH: Final = 7
"""Those, and the number of the document: one list of all is made without an object for each reading."""


def fold_measurements(documents: Iterable[Document], facts: RunFacts) -> None:
    """Add to each EVSE, and to each supply, what was measured there; a reading without one of its currents is a gap."""
    by_meter: dict[str, list[tuple[EvseFacts, list[Any]]]] = {}
    for one in (*facts.evses, *facts.supplies.values()):
        by_meter.setdefault(one.meter, []).append((one, []))
    for document in documents:
        if document.kind != "meter.sample":  # the plain text: nearly all documents pass here
            _fold(document, facts, [one for one, _ in by_meter.get(document.data.get("meter", ""), ())])
            continue
        amps = document.data["current_a"]
        for one, rows in by_meter.get(document.data["meter"], ()):
            if None in amps and any(amps[phase - 1] is None for phase in one.phases):
                one.gaps.append(seconds(document.t))
            else:
                rows += _VALUES(document.data)
                rows.append(document.seq)
    for one, rows in (pair for pairs in by_meter.values() for pair in pairs):
        if rows:
            one.samples = series_of(rows, one.phases)


def _fold(document: Document, facts: RunFacts, measured: Sequence[EvseFacts]) -> None:
    """Add what a document tells that is no reading, of the EVSEs that its meter measures."""
    data = document.data
    if document.kind == Kind.METER_IDENTITY:
        on = moment(facts.start).date()
        for one in measured:
            one.current = accuracy_of(data["accuracy"], "current", "a", on)
            one.power = accuracy_of(data["accuracy"], "power", "w", on)
    elif document.kind == Kind.METER_GAP:
        for one in measured:
            one.gaps.append(seconds(document.t))
            one.gap_reason = data["reason"]
    elif document.kind == Kind.PILOT_SAMPLE:
        seen = facts.evse(data["station"], data["evse"])
        if seen is not None:
            duty = data["duty_percent"]
            offered, digital = offered_current_a(duty), duty is not None and 3 <= duty <= 7
            look = PilotSample(seconds(document.t), data["state"], offered, data["ev_wants_a"], document.seq, digital)
            seen.pilot.append(look)


def series_of(flat: Sequence[Any], phases: Sequence[int]) -> Series:
    """Return the values of samples, one after the other and each with the number of its document, as columns on these phases."""
    requested, received, current, power, energy, volts, seq = (flat[first::_WIDTH] for first in range(_WIDTH))
    chosen = [phase - 1 for phase in phases]
    return Series.of_columns(
        [parse_time(one) for one in requested], [parse_time(one) for one in received],
        np.array(current, np.float64).T[chosen], np.array(power, np.float64), np.array(energy, np.float64), seq,
        np.array(volts, np.float64).T[chosen],
    )  # fmt: skip

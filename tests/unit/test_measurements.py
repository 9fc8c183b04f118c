"""Documents of meters and pilot witnesses, folded into the facts of each EVSE."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.documents import Document
from bench.domain.evidence import EvseFacts, RunFacts
from bench.domain.oracle import Supply
from bench.domain.quantities import moment
from bench.domain.uncertainty import UNKNOWN
from bench.domain.verdicts import RunState
from bench.runs.measurements import fold_measurements

Phases = tuple[float | None, float | None, float | None]


def sample(seq: int, amps: Phases, volts: Phases = (230.0, 231.0, 232.0), power_w: float | None = 1.0) -> Document:
    """Return a reading of the second `seq`, received half a second later."""
    at = [f"1970-01-01T00:00:{seq:02}{part}Z" for part in ("", ".500000")]
    data = dict(zip(("meter", "requested", "received", "current_a", "power_w", "energy_import_wh", "voltage_v"),
                    ("m", *at, amps, power_w, None, volts), strict=True))  # fmt: skip
    return Document(seq, moment(seq), "meter.sample", data)


def folded(documents: list[Document], *phases: int) -> EvseFacts:
    """Return the facts of an EVSE on these phases of meter m."""
    evse = EvseFacts("CS", 1, "m", phases, Supply(), 0.0, UNKNOWN, UNKNOWN, (0.0, 0.2))
    fold_measurements(documents, RunFacts({}, {}, 1, 0.0, 60.0, RunState.COMPLETED, "", [], [], [evse]))
    return evse


def test_an_evse_gets_its_own_phases_of_the_meter() -> None:
    """Currents and voltages of phases 3 and 1, in that order; a value that the meter has not is None."""
    (one,) = folded([sample(5, (1.0, 2.0, 3.0), power_w=None)], 3, 1).samples
    assert one == (5.0, 5.5, (3.0, 1.0), None, None, 5, (232.0, 230.0))


@pytest.mark.parametrize(("phases", "read", "gaps"), [((1,), [1, 3], [2.0]), ((1, 2), [1], [2.0, 3.0])])
def test_a_reading_without_one_of_its_currents_is_a_gap(phases: Any, read: list[int], gaps: list[float]) -> None:
    """Never a zero; where only a phase of another EVSE is missing it is a reading."""
    evse = folded([sample(1, (1.0, 1.0, 1.0)), sample(2, (None, None, None)), sample(3, (2.0, None, None))], *phases)
    assert evse.samples.seq.tolist() == read
    assert evse.gaps == gaps


def test_other_meters_are_not_the_evses() -> None:
    """A reading of a meter that measures no EVSE is nobody's."""
    other = sample(1, (1.0, 1.0, 1.0))
    other.data["meter"] = "another"
    assert not folded([other], 1).samples

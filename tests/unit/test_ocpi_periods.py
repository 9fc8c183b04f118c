"""The measured periods of a session on their own."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from bench.cso.ocpi.periods import Periods
from tests.support import EPOCH


def _meter(periods: Periods, value: float, at_s: float = 0, **more: Any) -> None:
    periods.meter({"sampledValue": [{"value": value, **more}]}, EPOCH + timedelta(seconds=at_s))


def test_a_period_without_length_is_told_at_the_end_alone() -> None:
    """Its energy goes on in the next one: two that begin in the same millisecond would be one and the same to a peer."""
    periods, at = Periods(EPOCH, charging=True), EPOCH + timedelta(minutes=5)
    _meter(periods, 0)
    _meter(periods, 1000)
    assert periods.close(at) is not None
    _meter(periods, 1001)
    assert periods.close(at + timedelta(microseconds=400)) is None
    _meter(periods, 1002)
    last = periods.close(at + timedelta(microseconds=800), last=True)
    assert last is not None
    assert {one["type"]: one["volume"] for one in last["dimensions"]}["ENERGY"] == 0.002


def test_a_restart_loses_nothing_that_was_told() -> None:
    """Energy, periods and their figures come back as they were, by way of JSON."""
    periods = Periods(EPOCH, charging=True)
    _meter(periods, 1.0, unitOfMeasure={"unit": "kWh"})
    _meter(periods, 1500)
    _meter(periods, 6.0, measurand="Power.Active.Import", unitOfMeasure={"unit": "kW"})
    periods.close(EPOCH + timedelta(minutes=5))
    _meter(periods, 1700)
    again = Periods.restored(json.loads(json.dumps(periods.saved())))
    assert again == periods
    assert (again.kwh, len(again.closed)) == (0.7, 1)


def test_readings_count_by_their_own_time() -> None:
    """An older one that comes late changes neither the energy nor a period that is closed; the oldest one is the begin."""
    periods = Periods(EPOCH, charging=True)
    for value, at_s in ((1500, 300), (2000, 600), (1800, 450), (1000, 0)):
        _meter(periods, value, at_s)
    assert periods.kwh == 1.0
    periods.close(EPOCH + timedelta(seconds=600))
    _meter(periods, 9000, 500, measurand="Power.Active.Import")
    _meter(periods, 90, 500, measurand="SoC")
    assert (periods.powers_w, periods.soc) == ([], None)

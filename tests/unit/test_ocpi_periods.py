"""The measured periods of a session on their own."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from bench.cso.ocpi.periods import Periods
from tests.support import EPOCH


def _sample(value: float, **more: Any) -> list[dict[str, Any]]:
    return [{"sampledValue": [{"value": value, **more}]}]


def test_a_period_without_length_is_told_at_the_end_alone() -> None:
    """Its energy goes on in the next one: two that begin in the same millisecond would be one and the same to a peer."""
    periods, at = Periods(EPOCH, charging=True), EPOCH + timedelta(minutes=5)
    periods.meter(_sample(0))
    periods.meter(_sample(1000))
    assert periods.close(at) is not None
    periods.meter(_sample(1001))
    assert periods.close(at + timedelta(microseconds=400)) is None
    periods.meter(_sample(1002))
    last = periods.close(at + timedelta(microseconds=800), last=True)
    assert last is not None
    assert {one["type"]: one["volume"] for one in last["dimensions"]}["ENERGY"] == 0.002


def test_a_restart_loses_nothing_that_was_told() -> None:
    """Energy, periods and their figures come back as they were, by way of JSON."""
    periods = Periods(EPOCH, charging=True)
    periods.meter(_sample(1.0, unitOfMeasure={"unit": "kWh"}))
    periods.meter(_sample(1500))
    periods.meter(_sample(6.0, measurand="Power.Active.Import", unitOfMeasure={"unit": "kW"}))
    periods.close(EPOCH + timedelta(minutes=5))
    periods.meter(_sample(1700))
    again = Periods.restored(json.loads(json.dumps(periods.saved())))
    assert again == periods
    assert (again.kwh, len(again.closed)) == (0.7, 1)

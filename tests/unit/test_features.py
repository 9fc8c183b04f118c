"""What a device model says about smart charging, also a hostile one."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.device_model import DeviceModel, ReportParts, Variable, from_get_variables
from bench.domain.features import asked_variables, differences, evse_ids, reported_features


def entry(component: str, variable: str, value: str | None, **more: Any) -> dict[str, Any]:
    """Return one ReportDataType."""
    attribute = {} if value is None else {"value": value}
    return {"component": {"name": component}, "variable": {"name": variable}, "variableAttribute": [attribute], **more}


def part(number: int, *entries: dict[str, Any], more: bool = False, request: int = 7) -> dict[str, Any]:
    """Return one NotifyReportRequest."""
    told = {"generatedAt": "2026-01-15T00:00:00Z", "reportData": list(entries)}
    return {"requestId": request, "seqNo": number, "tbc": more, **told}


def model(**values: str) -> DeviceModel:
    """Return a device model of SmartChargingCtrlr."""
    return DeviceModel(tuple(Variable("SmartChargingCtrlr", name, value) for name, value in values.items()))


def test_parts_are_put_in_order() -> None:
    """The last part comes first: the values are those of all, and the disorder is told."""
    parts = ReportParts(7)
    parts.take(part(1, entry("SmartChargingCtrlr", "Entries", "12")))
    assert not parts.complete
    parts.take(part(0, entry("SmartChargingCtrlr", "RateUnit", "A,W"), more=True))
    assert parts.complete
    found = parts.model()
    assert [one.variable for one in found.variables] == ["RateUnit", "Entries"]
    assert found.notes == ("part 0 of the report came after part 1",)


def test_missing_parts_are_named() -> None:
    """Parts 0 and 3 came, 3 is the last: 1 and 2 are missing, and what came is kept."""
    parts = ReportParts(7)
    parts.take(part(0, entry("SmartChargingCtrlr", "Entries", "12"), more=True))
    parts.take(part(3))
    assert not parts.complete
    assert parts.model().notes == ("parts 1, 2 of the report are missing",)
    assert parts.model().find("smartchargingctrlr", "ENTRIES") is not None


def test_absurd_part_numbers_cost_nothing() -> None:
    """Part two thousand million is the last, and repeated for ever: the first ten that lack are named, ten notes are kept."""
    parts = ReportParts(7)
    parts.take(part(0, more=True))
    for _ in range(100):
        parts.take(part(2_000_000_000))
    assert not parts.complete
    notes = parts.model().notes
    assert len(notes) == 11
    assert notes[-1] == "parts 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 of the report are missing"


def test_a_report_without_its_end_is_told() -> None:
    """`tbc` promised more."""
    parts = ReportParts(7)
    parts.take(part(0, more=True))
    assert parts.model().notes == ("the last part of the report did not come",)


def test_parts_of_another_request_are_left_out() -> None:
    """requestId tells reports apart; a repeated part does not count twice."""
    parts = ReportParts(7)
    parts.take(part(0, entry("SmartChargingCtrlr", "Entries", "99"), request=8))
    parts.take(part(0, entry("SmartChargingCtrlr", "Entries", "12")))
    parts.take(part(0, entry("SmartChargingCtrlr", "Entries", "13")))
    entries = parts.model().find("SmartChargingCtrlr", "Entries")
    assert entries is not None
    assert entries.value == "12"
    assert parts.model().notes == ("part 0 of the report came twice; the first counts",)


def test_characteristics_and_target_attributes_are_read_apart() -> None:
    """Only Actual is a value; valuesList says what may be set."""
    parts = ReportParts(7)
    allowed = {"valuesList": "SoC, Voltage"}
    parts.take(part(0, entry("SampledDataCtrlr", "TxUpdatedMeasurands", "SoC", variableCharacteristics=allowed),
                    {**entry("EVSE", "Power", None), "variableAttribute": [{"type": "MaxSet", "value": "1"}]}))  # fmt: skip
    (only,) = parts.model().variables
    assert only.values_list == ("SoC", "Voltage")


def test_features_are_reported() -> None:
    """Each feature comes from the variable that the specification names."""
    told = reported_features(model(
        RateUnit="W", ProfileStackLevel="4", PeriodsPerSchedule="96", Entries="3", ACPhaseSwitchingSupported="true",
        Phases3to1="false", Available="true", Enabled="false", LimitChangeSignificance="1.5",
    ))  # fmt: skip
    assert told.features == {
        "rate_units": ("W",), "profile_stack_level": 4, "periods_per_schedule": 96, "ac_phase_switching": True,
        "phases_3to1": False, "smart_charging": False,
    }  # fmt: skip
    assert told.values == {"limit_change_significance_percent": 1.5}
    assert told.notes == []


@pytest.mark.parametrize(("limit", "features"), [(20.0, {"entries": 20}), (0.0, {}), (2.5, {}), (1e300, {})])
def test_the_store_holds_as_many_profiles_as_the_limit_of_entries(limit: float, features: dict[str, int]) -> None:
    """Entries itself counts those that are installed now; an absurd limit is left out."""
    variable = Variable("SmartChargingCtrlr", "Entries", "3", instance="ChargingProfiles", max_limit=limit)
    told = reported_features(DeviceModel((variable,)))
    assert told.features == features
    assert bool(told.notes) is not bool(features)


def test_letter_case_of_a_boolean_does_not_matter() -> None:
    """Some stations write "True"."""
    assert reported_features(model(Phases3to1="True")).features["phases_3to1"] is True


def test_a_dc_station_has_no_supply_phases() -> None:
    """SupplyPhases 0 means DC."""
    told = reported_features(DeviceModel((Variable("ChargingStation", "SupplyPhases", "0"),)))
    assert told.features == {"current_type": "DC"}


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("ProfileStackLevel", "", "is no whole number"),
        ("ProfileStackLevel", "high", "is no whole number"),
        ("ProfileStackLevel", "2.5", "is no whole number"),
        ("ProfileStackLevel", "-1", "is not from 0 to 2147483647"),
        ("PeriodsPerSchedule", "0", "is not from 1"),
        ("PeriodsPerSchedule", "1e300", "is not from 1"),
        ("PeriodsPerSchedule", "nan", "is no whole number"),
        ("PeriodsPerSchedule", "9" * 5000, "is no whole number"),
        ("RateUnit", "kW", "names another unit"),
        ("RateUnit", ",,", "is no list of names"),
        ("Phases3to1", "1", "is neither true nor false"),
        ("LimitChangeSignificance", "inf", "is no number from 0 to 100"),
    ],
)
def test_what_cannot_be_read_is_left_out_and_noted(variable: str, value: str, reason: str) -> None:
    """A station's texts are a peer's texts: nothing is guessed, nothing stops."""
    told = reported_features(model(**{variable: value}))
    assert told.features == {}
    assert told.values == {}
    assert reason in told.notes[0]
    assert len(told.notes[0]) < 250


def test_unknown_variables_of_get_variables_are_left_out() -> None:
    """A status other than Accepted has no value; the evse's own variables do not pass for the station's."""
    results = [
        {"attributeStatus": "UnknownVariable", "component": {"name": "ClockCtrlr"}, "variable": {"name": "TimeSource"}},
        {"attributeStatus": "Accepted", "attributeValue": "3", "component": {"name": "ChargingStation"},
         "variable": {"name": "SupplyPhases"}},
        {"attributeStatus": "Accepted", "attributeValue": "1", "component": {"name": "EVSE", "evse": {"id": 2}},
         "variable": {"name": "SupplyPhases"}},
    ]  # fmt: skip
    found = from_get_variables(results)
    assert reported_features(found).features == {"supply_phases": 3}
    assert evse_ids(found) == [2]


def test_contradictions_are_told() -> None:
    """The rig file says one thing, the station another; what agrees is not mentioned."""
    told = {"rate_units": ("A",), "phases_3to1": True, "entries": 20}
    assert differences(told, {"rate_units": ("A", "W"), "phases_3to1": False, "entries": 20}) == [
        "phases_3to1: the station reports true, the rig file says false",
        "rate_units: the station reports A, the rig file says A, W",
    ]


def test_every_variable_is_asked_for_once() -> None:
    """GetVariables is the way where GetBaseReport is not there."""
    asked = asked_variables()
    assert len(asked) == len(set(asked))
    assert ("SmartChargingCtrlr", "RateUnit", "") in asked
    assert ("ClockCtrlr", "DateTime", "") in asked
    assert ("OCPPCommCtrlr", "MessageTimeout", "Default") in asked

"""Which variables the station's device model has. Source: OCPP 2.0.1 Part 2, appendix 3.1; K for SmartChargingCtrlr."""

from __future__ import annotations

from collections.abc import Mapping

from firmware_sim.clock import Clock, text_of
from firmware_sim.device_model import (
    TX_POINT,
    DeviceModel,
    StationVariables,
    Variable,
    measurand_list,
    percentage,
    truth,
    whole_number,
)
from firmware_sim.evse import EvseController
from firmware_sim.profile_service import ENTRIES
from firmware_sim.spec import StationSpec


def station_variables(
    spec: StationSpec, variables: StationVariables, evses: Mapping[int, EvseController], clock: Clock
) -> DeviceModel:
    """Return the device model of one station: what a CSMS needs to know and set for smart charging."""
    model, features = DeviceModel(), spec.features

    def set_interval(seconds: int) -> None:
        variables.meter_values_interval_s = seconds

    def set_heartbeat(seconds: int) -> None:
        variables.heartbeat_interval_s = seconds

    def set_timeout(seconds: int) -> None:
        variables.ev_connection_timeout_s = seconds

    def set_measurands(names: list[str]) -> None:
        variables.measurands = names

    def set_significance(percent: float) -> None:
        variables.limit_change_significance = percent

    def set_with_schedules(on: bool) -> None:
        variables.limit_with_schedules = on

    for name, value in {
        "Enabled": "true",
        "Available": "true",
        "ProfileStackLevel": str(features.profile_stack_level),
        "RateUnit": ",".join(features.rate_units),
        "PeriodsPerSchedule": str(features.periods_per_schedule),
        "Entries": str(ENTRIES),
        "Phases3to1": "false",
        "ACPhaseSwitchingSupported": "false",
    }.items():
        model.add("SmartChargingCtrlr", name, value)
    model.add(
        "SmartChargingCtrlr",
        "LimitChangeSignificance",
        Variable(lambda: f"{variables.limit_change_significance:g}", percentage(set_significance)),
    )
    model.add(
        "SmartChargingCtrlr",
        "NotifyChargingLimitWithSchedules",
        Variable(lambda: str(variables.limit_with_schedules).lower(), truth(set_with_schedules)),
    )
    model.add("ChargingStation", "Available", "true")
    model.add("ChargingStation", "SupplyPhases", str(features.supply_phases))
    for evse in spec.evses:
        controller = evses[evse.id]
        model.add("EVSE", "Available", "true", evse.id)
        model.add("EVSE", "AvailabilityState", Variable(controller.status), evse.id)
        model.add("EVSE", "SupplyPhases", str(spec.phases_of(evse)), evse.id)
        model.add("SmartChargingCtrlr", "ACPhaseSwitchingSupported", "false", evse.id)
    model.add("ClockCtrlr", "DateTime", Variable(lambda: text_of(clock.now())))
    model.add("TxCtrlr", "TxStartPoint", TX_POINT)
    model.add("TxCtrlr", "TxStopPoint", TX_POINT)
    model.add(
        "TxCtrlr",
        "EVConnectionTimeOut",
        Variable(lambda: str(variables.ev_connection_timeout_s), whole_number(1, 86_400, set_timeout)),
    )
    model.add(
        "OCPPCommCtrlr",
        "HeartbeatInterval",
        Variable(lambda: str(variables.heartbeat_interval_s), whole_number(1, 86_400, set_heartbeat)),
    )
    model.add(
        "SampledDataCtrlr",
        "TxUpdatedInterval",
        Variable(lambda: str(variables.meter_values_interval_s), whole_number(0, 86_400, set_interval)),
    )
    model.add(
        "SampledDataCtrlr",
        "TxUpdatedMeasurands",
        Variable(lambda: ",".join(variables.measurands), measurand_list(set_measurands)),
    )
    return model

"""Which variables the station's device model has. Source: OCPP 2.0.1 Part 2, appendix 3.1; K for SmartChargingCtrlr."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from firmware_sim.clock import Clock, text_of
from firmware_sim.device_model import (
    AVAILABILITY,
    ITEMS_PER_MESSAGE,
    MEASURANDS,
    TIME_SOURCES,
    TX_POINT,
    DeviceModel,
    Place,
    StationVariables,
    Variable,
    decimal_number,
    fixed,
    listed,
    truth,
    whole_number,
)
from firmware_sim.evse import EvseController
from firmware_sim.random_delay import MOST_S, VARIABLE
from firmware_sim.spec import StationSpec

MODEL: Final = "firmware_sim"
VENDOR: Final = "Charge Point Bench"
BYTES_PER_MESSAGE: Final = 100_000
TX_POINTS: Final = ("EVConnected", "Authorized", "DataSigned", "PowerPathClosed", "EnergyTransfer")
DAY_S: Final = 86_400


class _Writable:
    """Makes variables of the fields of StationVariables."""

    def __init__(self, variables: StationVariables) -> None:
        self._variables = variables

    def seconds(self, name: str, low: int = 0, high: int = DAY_S, unit: str | None = "s") -> Variable:
        return Variable(self._read(name), whole_number(low, high, self._set(name)), "integer", unit, high)

    def flag(self, name: str) -> Variable:
        return Variable(self._read(name), truth(self._set(name)), "boolean")

    def percent(self, name: str) -> Variable:
        return Variable(self._read(name), decimal_number(0, 100, self._set(name)), "decimal", "Percent", 100)

    def names(self, name: str, known: tuple[str, ...], data_type: str = "MemberList") -> Variable:
        return Variable(self._read(name), listed(known, self._set(name)), data_type, values=known)

    def _set(self, name: str) -> Callable[[Any], None]:
        return lambda value: setattr(self._variables, name, value)

    def _read(self, name: str) -> Callable[[], str]:
        def read() -> str:
            value = getattr(self._variables, name)
            if isinstance(value, list):
                return ",".join(value)
            return str(value).lower() if isinstance(value, bool) else f"{value:g}"

        return read


def station_variables(
    spec: StationSpec, variables: StationVariables, evses: Mapping[int, EvseController], clock: Clock,
    installed: Callable[[], int],
) -> DeviceModel:  # fmt: skip
    """Return the device model of one station: what a CSMS needs to know and set for smart charging.

    `installed` counts the charging profiles that the store holds.
    """
    model, own = DeviceModel(), _Writable(variables)

    def add(component: str, entries: Mapping[str, Variable]) -> None:
        for name, entry in entries.items():
            variable, _, instance = name.partition("/")
            model.add(Place(component, variable, instance or None), entry)

    _charging(spec, own, installed, add)
    _hardware(spec, evses, model)
    add("ClockCtrlr", {
        "DateTime": Variable(lambda: text_of(clock.now()), None, "dateTime"),
        "TimeSource": own.names("time_source", TIME_SOURCES, "SequenceList"),
    })  # fmt: skip
    add("TxCtrlr", {
        "TxStartPoint": fixed(TX_POINT, "MemberList", values=TX_POINTS),
        "TxStopPoint": fixed(TX_POINT, "MemberList", values=TX_POINTS),
        "EVConnectionTimeOut": own.seconds("ev_connection_timeout_s", 1),
        "StopTxOnEVSideDisconnect": fixed(True, "boolean"),
        "StopTxOnInvalidId": fixed(True, "boolean"),
        "TxBeforeAcceptedEnabled": fixed(True, "boolean"),
    })  # fmt: skip
    _communication(own, add)
    _metering(own, add)
    add("AuthCtrlr", {
        "Enabled": fixed(True, "boolean"),
        "AuthorizeRemoteStart": fixed(False, "boolean"),
        "LocalAuthorizeOffline": fixed(True, "boolean"),
        "LocalPreAuthorize": fixed(False, "boolean"),
        "OfflineTxForUnknownIdEnabled": fixed(True, "boolean"),
    })  # fmt: skip
    add("ISO15118Ctrlr", {
        "Available": fixed(spec.features.iso15118, "boolean"),
        "Enabled": fixed(spec.features.iso15118, "boolean"),
        "ContractValidationOffline": fixed(False, "boolean"),
    })  # fmt: skip
    return model


_Add = Callable[[str, Mapping[str, Variable]], None]


def _charging(spec: StationSpec, own: _Writable, installed: Callable[[], int], add: _Add) -> None:
    features = spec.features
    add("SmartChargingCtrlr", {
        "Enabled": fixed(features.smart_charging, "boolean"),
        "Available": fixed(features.smart_charging, "boolean"),
        "ProfileStackLevel": fixed(features.profile_stack_level, "integer"),
        "RateUnit": fixed(",".join(features.rate_units), "MemberList", values=("A", "W")),
        "PeriodsPerSchedule": fixed(features.periods_per_schedule, "integer"),
        "Entries/ChargingProfiles": Variable(lambda: str(installed()), None, "integer", max_limit=features.entries),
        "Phases3to1": fixed(features.phases_3to1, "boolean"),
        "ACPhaseSwitchingSupported": fixed(features.ac_phase_switching, "boolean"),
        "LimitChangeSignificance": own.percent("limit_change_significance"),
    })  # fmt: skip
    if features.random_delay:
        add("SmartChargingCtrlr", {VARIABLE: own.seconds("random_delay_s", 0, MOST_S)})
    if features.external_limits:
        add("SmartChargingCtrlr", {
            "ExternalControlSignalsEnabled": own.flag("external_signals"),
            "NotifyChargingLimitWithSchedules": own.flag("limit_with_schedules"),
        })  # fmt: skip


def _hardware(spec: StationSpec, evses: Mapping[int, EvseController], model: DeviceModel) -> None:
    features, here = spec.features, "ChargingStation"

    def whole() -> str:
        states = {evse.status() for evse in evses.values()}
        return "Available" if "Available" in states else min(states)

    model.add(Place(here, "Available"), fixed(True, "boolean"))
    model.add(Place(here, "AvailabilityState"), Variable(whole, None, "OptionList", values=AVAILABILITY))
    model.add(Place(here, "SupplyPhases"), fixed(features.supply_phases, "integer"))
    model.add(Place(here, "Model"), fixed(MODEL))
    model.add(Place(here, "VendorName"), fixed(VENDOR))
    for evse in spec.evses:
        status, phases = evses[evse.id].status, spec.phases_of(evse)
        watts = evse.max_current_a * spec.grid_w_per_a * (1 if spec.dc else phases)
        model.add(Place("EVSE", "Available", None, evse.id), fixed(True, "boolean"))
        model.add(Place("EVSE", "AvailabilityState", None, evse.id), Variable(status, None, "OptionList", values=AVAILABILITY))
        model.add(Place("EVSE", "SupplyPhases", None, evse.id), fixed(0 if spec.dc else phases, "integer"))
        model.add(Place("EVSE", "Power", None, evse.id), Variable(evses[evse.id].power, None, "decimal", "W", watts))
        if not spec.dc:
            switching = fixed(features.ac_phase_switching, "boolean")
            model.add(Place("SmartChargingCtrlr", "ACPhaseSwitchingSupported", None, evse.id), switching)
        model.add(Place("Connector", "Available", None, evse.id, 1), fixed(True, "boolean"))
        states = Variable(status, None, "OptionList", values=AVAILABILITY)
        model.add(Place("Connector", "AvailabilityState", None, evse.id, 1), states)
        model.add(Place("Connector", "ConnectorType", None, evse.id, 1), fixed("cCCS2" if spec.dc else "sType2"))
        model.add(Place("Connector", "SupplyPhases", None, evse.id, 1), fixed(0 if spec.dc else phases, "integer"))


def _communication(own: _Writable, add: _Add) -> None:
    add("OCPPCommCtrlr", {
        "HeartbeatInterval": own.seconds("heartbeat_interval_s", 1),
        "RetryBackOffWaitMinimum": own.seconds("back_off_wait_s", 1, 3600),
        "RetryBackOffRepeatTimes": own.seconds("back_off_repeats", 0, 16, None),
        "RetryBackOffRandomRange": fixed(0, "integer"),
        "OfflineThreshold": own.seconds("offline_threshold_s"),
        "NetworkConfigurationPriority": fixed(1, "SequenceList", values=("1",)),
        "NetworkProfileConnectionAttempts": fixed(3, "integer"),
        "ActiveNetworkProfile": fixed(1),
        "MessageTimeout/Default": fixed(30, "integer", unit="s"),
        "MessageAttempts/TransactionEvent": fixed(3, "integer"),
        "MessageAttemptInterval/TransactionEvent": fixed(60, "integer", unit="s"),
        "FileTransferProtocols": fixed("", "MemberList"),
        "ResetRetries": fixed(0, "integer"),
        "UnlockOnEVSideDisconnect": fixed(True, "boolean"),
        "WebSocketPingInterval": fixed(20, "integer", unit="s"),
    })  # fmt: skip
    add("DeviceDataCtrlr", {
        f"{name}/{message}": fixed(most, "integer")
        for name, most in (("ItemsPerMessage", ITEMS_PER_MESSAGE), ("BytesPerMessage", BYTES_PER_MESSAGE))
        for message in ("GetReport", "GetVariables", "SetVariables")
    })  # fmt: skip


def _metering(own: _Writable, add: _Add) -> None:
    add("SampledDataCtrlr", {
        "Available": fixed(True, "boolean"),
        "Enabled": fixed(True, "boolean"),
        "TxUpdatedInterval": own.seconds("meter_values_interval_s"),
        "TxUpdatedMeasurands": own.names("measurands", MEASURANDS),
        "TxStartedMeasurands": own.names("measurands_started", MEASURANDS),
        "TxEndedInterval": fixed(0, "integer", unit="s"),
        "TxEndedMeasurands": own.names("measurands_ended", MEASURANDS),
    })  # fmt: skip
    add("AlignedDataCtrlr", {
        "Available": fixed(False, "boolean"),
        "Enabled": fixed(False, "boolean"),
        "Interval": fixed(0, "integer", unit="s"),
        "Measurands": fixed("", "MemberList", values=MEASURANDS),
        "TxEndedInterval": fixed(0, "integer", unit="s"),
        "TxEndedMeasurands": fixed("", "MemberList", values=MEASURANDS),
    })  # fmt: skip

"""The emulated station seen by a CSMS: boot, transactions, reports and commands, in virtual time over real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.adapters.clock import VirtualLoop
from tests.support_firmware import STATION, Json, Lab, charging_profile, open_lab, specification

pytestmark = pytest.mark.virtual


def triggers(lab: Lab) -> list[tuple[str, str, str]]:
    """Return event type, trigger and charging state of each TransactionEvent."""
    return [
        (one["eventType"], one["triggerReason"], one["transactionInfo"]["chargingState"])
        for one in lab.csms.of("TransactionEvent")
    ]


def sampled(event: Json) -> dict[str, Any]:
    """Return the values of an event's only meter value by measurand and phase."""
    (meter_value,) = event["meterValue"]
    return {one["measurand"] + one.get("phase", ""): one["value"] for one in meter_value["sampledValue"]}


def variable(component: str, name: str, value: str | None = None) -> Json:
    """Return a GetVariableData, or a SetVariableData with a value."""
    data: Json = {"component": {"name": component}, "variable": {"name": name}}
    return data if value is None else {**data, "attributeValue": value}


async def test_it_boots_and_tells_the_status_of_each_connector() -> None:
    """BootNotification first, with subprotocol and its own id at the end of the path."""
    async with open_lab() as lab:
        assert [name for name, _ in lab.csms.calls] == ["BootNotification", "StatusNotification", "StatusNotification"]
        assert lab.csms.calls[0][1]["reason"] == "PowerUp"
        assert [one["connectorStatus"] for one in lab.csms.of("StatusNotification")] == ["Available", "Available"]
        assert (lab.csms.paths, lab.csms.subprotocols) == ([f"/ocpp/{STATION}"], ["ocpp2.0.1"])


async def test_it_authenticates_when_it_has_a_password() -> None:
    """CS-T:secret in base64 (security profile 1)."""
    async with open_lab(specification(password="secret")) as lab:
        assert lab.csms.headers["Authorization"] == "Basic Q1MtVDpzZWNyZXQ="


async def test_a_rejected_boot_is_repeated_after_the_interval() -> None:
    """B02, B03: nothing else is said before the CSMS accepts."""
    async with open_lab() as lab:
        begin = lab.clock.monotonic()
        accept = lab.csms.answers["BootNotification"]
        later = [lambda one: {**accept(one), "interval": 40, "status": "Rejected"}, accept]  # type: ignore[dict-item]
        lab.csms.answers["BootNotification"] = lambda one: later.pop(0)(one)
        await lab.csms.ask("Reset", {"type": "Immediate"})
        await lab.csms.until("StatusNotification", count=4)
        assert [name for name, _ in lab.csms.calls[3:5]] == ["BootNotification", "BootNotification"]
        assert 40 <= lab.clock.monotonic() - begin < 45


async def test_plugged_and_authorised_it_charges() -> None:
    """Started by the card, then the offered current rises, then the car charges with 16 A less 0.5 A."""
    async with open_lab() as lab:
        await lab.charge()
        assert triggers(lab) == [
            ("Started", "Authorized", "EVConnected"),
            ("Updated", "ChargingRateChanged", "EVConnected"),
            ("Updated", "ChargingStateChanged", "Charging"),
        ]
        assert lab.csms.of("Authorize") == [{"idToken": {"idToken": "CARD-1", "type": "ISO14443"}}]
        assert await lab.duty() == 26.66
        assert lab.power_w() == pytest.approx((0.6 * 26.66 - 0.5) * 690, abs=0.1)


async def test_the_cable_may_come_after_the_card() -> None:
    """Authorised first: CablePluggedIn starts the transaction; without a cable the authorisation lapses after 60 s."""
    async with open_lab() as lab:
        await lab.control.authorise(1, "CARD-1")
        await lab.clock.sleep(59)
        await lab.control.plug(1)
        assert (await lab.csms.until("TransactionEvent"))["triggerReason"] == "CablePluggedIn"
        await lab.control.authorise(2, "CARD-2")
        await lab.clock.sleep(61)
        await lab.control.plug(2)
        await lab.clock.sleep(10)
        assert lab.control.state()["evses"][1]["transaction_id"] is None


async def test_a_refused_card_starts_nothing() -> None:
    """C01: the CSMS says Blocked."""
    async with open_lab() as lab:
        lab.csms.answers["Authorize"] = lambda _: {"idTokenInfo": {"status": "Blocked"}}
        await lab.control.plug(1)
        await lab.control.authorise(1, "CARD-1")
        await lab.clock.sleep(60)
        assert lab.csms.of("TransactionEvent") == []
        assert await lab.duty() is None


async def test_the_card_that_started_it_ends_it() -> None:
    """StopAuthorized; another card does nothing."""
    async with open_lab() as lab:
        await lab.charge()
        await lab.control.authorise(1, "CARD-2")
        assert lab.control.state()["evses"][0]["transaction_id"]
        await lab.control.authorise(1, "CARD-1")
        ended = await lab.csms.until("TransactionEvent", lambda one: one["eventType"] == "Ended")
        assert (ended["triggerReason"], ended["transactionInfo"]["stoppedReason"]) == ("StopAuthorized", "Local")
        await lab.clock.sleep(10)
        assert lab.power_w() == 0


async def test_unplugging_ends_it() -> None:
    """seqNo counts without a gap, the last meter value is the true energy, the connector is Available again."""
    async with open_lab() as lab:
        await lab.charge()
        await lab.clock.sleep(3600)
        await lab.control.unplug(1)
        ended = await lab.csms.until("TransactionEvent", lambda one: one["eventType"] == "Ended")
        assert ended["transactionInfo"]["stoppedReason"] == "EVDisconnected"
        assert [one["seqNo"] for one in lab.csms.of("TransactionEvent")] == list(range(len(triggers(lab))))
        assert sampled(ended)["Energy.Active.Import.Register"] == lab.control.state()["evses"][0]["energy_wh"]
        assert (await lab.csms.until("StatusNotification", count=4))["connectorStatus"] == "Available"


async def test_meter_values_come_each_interval_from_the_start_of_the_transaction() -> None:
    """TxUpdatedInterval 300 s, aligned to Started, and changed by SetVariables to 600 s."""
    async with open_lab() as lab:
        await lab.charge()
        began = lab.clock.monotonic() - 30
        periodic = lambda one: one["triggerReason"] == "MeterValuePeriodic"  # noqa: E731
        for number in (1, 2):
            event = await lab.csms.until("TransactionEvent", periodic, count=number)
            assert lab.clock.monotonic() - began == pytest.approx(300 * number, abs=0.1)
        assert sampled(event) == pytest.approx({
            "Energy.Active.Import.Register": lab.control.state()["evses"][0]["energy_wh"],
            "Power.Active.Import": 10_692.2, "Current.ImportL1": 15.496, "Current.ImportL2": 15.496, "Current.ImportL3": 15.496,
            "VoltageL1-N": 230, "VoltageL2-N": 230, "VoltageL3-N": 230, "Current.Offered": 15.996, "Power.Offered": 11_037.2,
        })  # fmt: skip
        await lab.csms.ask("SetVariables", {"setVariableData": [variable("SampledDataCtrlr", "TxUpdatedInterval", "600")]})
        await lab.csms.until("TransactionEvent", periodic, count=3)
        assert lab.clock.monotonic() - began == pytest.approx(1200, abs=0.1)


async def test_a_car_that_does_not_ask_is_reported_as_suspended() -> None:
    """SuspendedEV when its demand is gone, Charging when it is back."""
    async with open_lab() as lab:
        await lab.charge()
        await lab.control.demand(1, 0)
        await lab.clock.sleep(20)
        await lab.control.demand(1, 16)
        await lab.clock.sleep(20)
        assert [state for _, trigger, state in triggers(lab) if trigger == "ChargingStateChanged"] == [
            "Charging",
            "SuspendedEV",
            "Charging",
        ]


async def test_a_pause_is_reported_as_suspended_evse() -> None:
    """A limit of 0 A and back: SuspendedEVSE once, never SuspendedEV in between."""
    async with open_lab() as lab:
        await lab.charge()
        start = lab.clock.now()
        profile = charging_profile((0, 0), (120, 10), start=start)
        await lab.csms.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
        await lab.clock.sleep(180)
        assert [state for _, trigger, state in triggers(lab) if trigger == "ChargingStateChanged"] == [
            "Charging",
            "SuspendedEVSE",
            "Charging",
        ]


async def test_it_starts_and_stops_on_request() -> None:
    """F01, F03: with the profile that came along, and remoteStartId in Started."""
    async with open_lab() as lab:
        await lab.control.plug(2)
        profile = charging_profile((0, 8), purpose="TxProfile", start=lab.clock.now())
        answer = await lab.csms.ask(
            "RequestStartTransaction",
            {"remoteStartId": 7, "idToken": {"idToken": "APP", "type": "Central"}, "chargingProfile": profile},
        )
        started = await lab.csms.until("TransactionEvent")
        assert (answer["status"], answer["transactionId"]) == ("Accepted", started["transactionInfo"]["transactionId"])
        assert (started["triggerReason"], started["transactionInfo"]["remoteStartId"], started["evse"]["id"]) == (
            "RemoteStart",
            7,
            2,
        )
        await lab.clock.sleep(30)
        assert await lab.duty(2) == pytest.approx(13.33)
        stop = {"transactionId": answer["transactionId"]}
        assert (await lab.csms.ask("RequestStopTransaction", stop))["status"] == "Accepted"
        assert (await lab.csms.until("TransactionEvent", lambda one: one["eventType"] == "Ended"))[
            "triggerReason"
        ] == "RemoteStop"
        assert (await lab.csms.ask("RequestStopTransaction", stop))["status"] == "Rejected"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"evseId": 9}, "TxInProgress"),
        ({"evseId": 1, "chargingProfile": charging_profile((0, 8))}, "InvalidProfile"),
        ({"evseId": 1, "chargingProfile": charging_profile((5, 8), purpose="TxProfile")}, "InvalidSchedule"),
    ],
)
async def test_a_wrong_request_to_start_is_rejected(payload: Json, reason: str) -> None:
    """K05.FR.05 for the profile; no EVSE 9."""
    async with open_lab() as lab:
        request = {"remoteStartId": 1, "idToken": {"idToken": "APP", "type": "Central"}, **payload}
        answer = await lab.csms.ask("RequestStartTransaction", request)
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)


async def test_variables_of_smart_charging_can_be_read_and_set() -> None:
    """B05, B06: values, and the proper word for what is not there or cannot be set."""
    async with open_lab() as lab:
        asked = [
            variable("SmartChargingCtrlr", "RateUnit"),
            variable("smartchargingctrlr", "ProfileStackLevel"),
            variable("ClockCtrlr", "DateTime"),
            variable("TxCtrlr", "TxStartPoint"),
            variable("SmartChargingCtrlr", "Colour"),
            variable("Toaster", "Heat"),
            {**variable("ClockCtrlr", "DateTime"), "attributeType": "Target"},
            {"component": {"name": "EVSE", "evse": {"id": 2}}, "variable": {"name": "AvailabilityState"}},
        ]
        found = (await lab.csms.ask("GetVariables", {"getVariableData": asked}))["getVariableResult"]
        assert [one.get("attributeValue", one["attributeStatus"]) for one in found] == [
            "A,W", "9", "2026-01-15T00:00:00.000Z", "PowerPathClosed",
            "UnknownVariable", "UnknownComponent", "NotSupportedAttributeType", "Available",
        ]  # fmt: skip
        sent = [
            variable("OCPPCommCtrlr", "HeartbeatInterval", "30"),
            variable("OCPPCommCtrlr", "HeartbeatInterval", "soon"),
            variable("SmartChargingCtrlr", "RateUnit", "A"),
            variable("SampledDataCtrlr", "TxUpdatedMeasurands", "Voltage,Colour"),
        ]
        results = (await lab.csms.ask("SetVariables", {"setVariableData": sent}))["setVariableResult"]
        assert [one["attributeStatus"] for one in results] == ["Accepted", "Rejected", "Rejected", "Rejected"]


async def test_heartbeats_come_only_when_nothing_else_was_said() -> None:
    """Interval 300 s: at 299 s the cable is plugged in, so that the heartbeat is due 300 s after that."""
    async with open_lab() as lab:
        await lab.clock.sleep(299)
        await lab.control.plug(1)
        at = lab.clock.monotonic()
        await lab.csms.until("Heartbeat")
        assert lab.clock.monotonic() - at == pytest.approx(300, abs=1)


@pytest.mark.parametrize("message", ["BootNotification", "Heartbeat", "StatusNotification", "MeterValues", "TransactionEvent"])
async def test_messages_can_be_triggered(message: str) -> None:
    """F06: each is sent after the answer."""
    async with open_lab() as lab:
        await lab.charge()
        before = len(lab.csms.of(message))
        answer = await lab.csms.ask("TriggerMessage", {"requestedMessage": message, "evse": {"id": 1}})
        assert answer == {"status": "Accepted"}
        await lab.csms.until(message, count=before + 1)


async def test_without_a_transaction_there_is_no_event_to_trigger() -> None:
    """F06.FR.05: Rejected where the message will not be sent, so that nobody waits for it; also of an EVSE that is free."""
    async with open_lab() as lab:
        await lab.charge(1)
        for evse, status in ((None, "Accepted"), (1, "Accepted"), (2, "Rejected")):
            request = {"requestedMessage": "TransactionEvent"} | ({} if evse is None else {"evse": {"id": evse}})
            assert (await lab.csms.ask("TriggerMessage", request))["status"] == status


async def test_what_it_does_not_do_it_says() -> None:
    """CALLERROR NotImplemented for an action without handler, a TriggerMessage it does not know, and a broken payload."""
    async with open_lab() as lab:
        assert (await lab.csms.ask("CancelReservation", {"reservationId": 1}))[:2] == ["CALLERROR", "NotImplemented"]
        assert await lab.csms.ask("TriggerMessage", {"requestedMessage": "LogStatusNotification"}) == {"status": "NotImplemented"}
        assert (await lab.csms.ask("Reset", {"type": "Gently"}))[:2] == ["CALLERROR", "PropertyConstraintViolation"]
        assert (await lab.csms.ask("Reset", {}))[:2] == ["CALLERROR", "OccurrenceConstraintViolation"]
        assert (await lab.csms.ask("MakeCoffee", {}))[:2] == ["CALLERROR", "NotSupported"]


async def test_a_connector_is_unlocked_while_nobody_charges() -> None:
    """F05: a running transaction keeps it locked; what it does not have it does not know."""
    async with open_lab() as lab:
        asked = [{"evseId": 1, "connectorId": 1}, {"evseId": 1, "connectorId": 2}, {"evseId": 9, "connectorId": 1}]
        words = [(await lab.csms.ask("UnlockConnector", one))["status"] for one in asked]
        assert words == ["Unlocked", "UnknownConnector", "UnknownConnector"]
        await lab.charge(1)
        assert (await lab.csms.ask("UnlockConnector", asked[0]))["status"] == "OngoingAuthorizedTransaction"


async def test_an_immediate_reset_ends_transactions_and_boots_again() -> None:
    """B12; profiles survive, as K01.FR.27 asks."""
    async with open_lab() as lab:
        await lab.csms.ask("SetChargingProfile", {"evseId": 0, "chargingProfile": charging_profile((0, 9))})
        await lab.charge()
        assert (await lab.csms.ask("Reset", {"type": "Immediate"}))["status"] == "Accepted"
        ended = await lab.csms.until("TransactionEvent", lambda one: one["eventType"] == "Ended")
        assert ended["transactionInfo"]["stoppedReason"] == "ImmediateReset"
        assert (await lab.csms.until("BootNotification", count=2))["reason"] == "RemoteReset"
        await lab.csms.until("StatusNotification", count=5)
        await lab.control.authorise(1, "CARD-1")
        await lab.clock.sleep(30)
        assert await lab.duty() == 15.0


async def test_a_reset_on_idle_waits_for_the_end_of_the_transaction() -> None:
    """B12: Scheduled, and nothing happens until the car has left."""
    async with open_lab() as lab:
        await lab.charge()
        assert (await lab.csms.ask("Reset", {"type": "OnIdle"}))["status"] == "Scheduled"
        await lab.clock.sleep(600)
        assert len(lab.csms.of("BootNotification")) == 1
        await lab.control.unplug(1)
        assert (await lab.csms.until("BootNotification", count=2))["reason"] == "ScheduledReset"


async def test_an_evse_becomes_unavailable_after_its_transaction() -> None:
    """G03: Scheduled while the car charges, then state F and status Unavailable; Operative brings it back."""
    async with open_lab() as lab:
        await lab.charge()
        wish = {"operationalStatus": "Inoperative", "evse": {"id": 1}}
        assert (await lab.csms.ask("ChangeAvailability", wish))["status"] == "Scheduled"
        assert lab.power_w() > 0
        await lab.control.unplug(1)
        assert (await lab.control.look(1))["state"] == "F"
        assert (await lab.csms.until("StatusNotification", count=4))["connectorStatus"] == "Unavailable"
        await lab.csms.ask("ChangeAvailability", {"operationalStatus": "Operative"})
        assert (await lab.csms.until("StatusNotification", count=5))["connectorStatus"] == "Available"


async def test_an_idle_rig_hardly_turns_the_loop() -> None:
    """An hour and ten seconds with nothing but heartbeats takes fewer than 1,000 turns of the loop."""
    async with open_lab() as lab:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        before = loop.iterations
        await lab.clock.sleep(3610)
        assert loop.iterations - before < 1000
        assert len(lab.csms.of("Heartbeat")) in (11, 12)


async def test_one_seed_gives_one_conversation() -> None:
    """The same seed twice: every frame is the same; another seed: other ids."""

    async def conversation(seed: int) -> list[str]:
        async with open_lab(seed=seed) as lab:
            await lab.charge()
            await lab.clock.sleep(1000)
            return lab.csms.frames

    assert await conversation(1) == await conversation(1)
    assert await conversation(2) != await conversation(1)

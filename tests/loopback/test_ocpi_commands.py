"""Commands of eMSPs: what they are told at once, what the station is sent, and what they are told afterwards (mod_commands)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.errors import CallRejectedError, CallTimeoutError, StationOfflineError
from bench.wire.ocpi.transport import VERSIONS
from tests.ocpi_emsp import Emsp, open_emsp, token
from tests.ocpi_rig import open_ocpi_rig

pytestmark = pytest.mark.virtual

UID = "0123-CARD"
START: dict[str, Any] = {"token": token(), "location_id": "test", "evse_uid": "CS-1-1"}
UNLOCK = {"location_id": "test", "evse_uid": "CS-1-1", "connector_id": "1"}


@pytest.fixture(params=VERSIONS)
async def emsp(request: pytest.FixtureRequest) -> AsyncIterator[Emsp]:
    """Return an eMSP that is registered with a CPO whose station does what it is told."""
    async with open_ocpi_rig(version=request.param) as rig, open_emsp(rig, request.param) as opened:
        for action in ("RequestStartTransaction", "RequestStopTransaction", "CancelReservation"):
            rig.stations.answers[action] = {"status": "Accepted"}
        rig.stations.answers["UnlockConnector"] = {"status": "Unlocked"}
        yield opened


async def _result(emsp: Emsp, name: str, **fields: Any) -> str:
    """Send a command; return the result's word, or the answer's where no result is due."""
    answer = await emsp.command(name, **fields)
    if answer["status_code"] != 1000 or answer["data"]["result"] != "ACCEPTED":
        return str(answer.get("data", {}).get("result", answer["status_code"]))
    return str((await emsp.result(name))["result"])


async def _started(emsp: Emsp, **fields: Any) -> dict[str, Any]:
    """Start a session by command; return it as it was told."""
    await _result(emsp, "START_SESSION", **{**START, **fields})
    number = emsp.rig.stations.sent("RequestStartTransaction")[0]["remoteStartId"]
    emsp.rig.stations.transaction("Started", id_token=UID, remote_start_id=number)
    return await emsp.session()


async def test_a_command_is_answered_and_its_result_follows(emsp: Emsp) -> None:
    """CommandResponse with the time in which the CommandResult comes, at the very response_url."""
    answer = await emsp.command("START_SESSION", **START)
    assert answer["data"] == {"result": "ACCEPTED", "timeout": 45}
    assert await emsp.result("START_SESSION") == {"result": "ACCEPTED"}


async def test_a_start_reaches_the_station(emsp: Emsp) -> None:
    """StartSession: the Token as it is, unchecked, at the EVSE that was asked for."""
    await _result(emsp, "START_SESSION", **{**START, "token": token(valid=False)})
    (sent,) = emsp.rig.stations.sent("RequestStartTransaction")
    assert sent | {"remoteStartId": 0} == {"remoteStartId": 0, "evseId": 1, "idToken": {"idToken": UID, "type": "ISO14443"}}
    assert sent["remoteStartId"] > 0


async def test_the_station_may_choose_the_evse(emsp: Emsp) -> None:
    """StartSession.evse_uid is optional; connector_id requires it."""
    assert await _result(emsp, "START_SESSION", token=token(), location_id="TEST") == "ACCEPTED"
    assert "evseId" not in emsp.rig.stations.sent("RequestStartTransaction")[0]
    assert await _result(emsp, "START_SESSION", token=token(), location_id="test", connector_id="1") == "2001"


async def test_the_session_of_a_command_says_so(emsp: Emsp) -> None:
    """Session.auth_method COMMAND, the Token of the command and its authorization_reference."""
    session = await _started(emsp, authorization_reference="ref-2")
    assert (session["status"], session["auth_method"], session["authorization_reference"]) == ("ACTIVE", "COMMAND", "ref-2")
    assert session["cdr_token"]["contract_id"] == "NL-EVL-C1"


async def test_a_commanded_token_is_not_asked_for(emsp: Emsp) -> None:
    """StartSession: no real-time authorization of an RFID token for 15 minutes, and never of an app's."""
    await _result(emsp, "START_SESSION", **START)
    await _result(emsp, "START_SESSION", **{**START, "token": token("app", type="APP_USER")})
    emsp.authorization = {"allowed": "BLOCKED", "token": token()}
    await asyncio.sleep(890)
    assert await emsp.rig.stations.present(UID) == {"status": "Accepted"}
    await asyncio.sleep(20)
    assert await emsp.rig.stations.present(UID) == {"status": "Blocked"}
    assert await emsp.rig.stations.present("app", "Central") == {"status": "Accepted"}
    assert len(emsp.asked) == 1


@pytest.mark.parametrize(
    ("answer", "due"),
    [
        ({"status": "Rejected"}, "REJECTED"),
        ({"status": "Rejected", "statusInfo": {"reasonCode": "TxInProgress"}}, "EVSE_OCCUPIED"),
        ({"status": "Rejected", "statusInfo": {"reasonCode": "Faulted"}}, "EVSE_INOPERATIVE"),
        (CallTimeoutError("silent"), "TIMEOUT"),
        (StationOfflineError("gone"), "FAILED"),
        (CallRejectedError("RequestStartTransaction", "NotImplemented", ""), "NOT_SUPPORTED"),
        (CallRejectedError("RequestStartTransaction", "NotSupported", ""), "NOT_SUPPORTED"),
        (CallRejectedError("RequestStartTransaction", "InternalError", ""), "FAILED"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_the_stations_answer_becomes_a_result(emsp: Emsp, answer: Any, due: str) -> None:
    """CommandResultType: each failure has its own word, and a message says more."""
    emsp.rig.stations.answers["RequestStartTransaction"] = answer
    await emsp.command("START_SESSION", **START)
    result = await emsp.result("START_SESSION")
    assert result["result"] == due
    assert result["message"][0]["text"]
    assert len(emsp.rig.found("command")) == 1


async def test_what_is_known_of_the_evse_explains_a_refusal(emsp: Emsp) -> None:
    """EVSE_OCCUPIED where another session runs there, EVSE_INOPERATIVE where its connector is faulted."""
    emsp.rig.stations.answers["RequestStartTransaction"] = {"status": "Rejected"}
    emsp.rig.stations.transaction("Started", id_token="somebody")
    assert await _result(emsp, "START_SESSION", **START) == "EVSE_OCCUPIED"
    emsp.rig.stations.tell("status", evse=1, connector=1, status="Faulted", timestamp="")
    assert await _result(emsp, "START_SESSION", **START) == "EVSE_INOPERATIVE"


async def test_a_silent_station_is_a_timeout_in_the_promised_time(emsp: Emsp) -> None:
    """CommandResponse.timeout: TIMEOUT is told before it has passed, and nothing afterwards."""
    emsp.rig.stations.answers["RequestStartTransaction"] = asyncio.get_running_loop().create_future()
    begun = asyncio.get_running_loop().time()
    answer = await emsp.command("START_SESSION", **START)
    assert (await emsp.result("START_SESSION"))["result"] == "TIMEOUT"
    assert asyncio.get_running_loop().time() - begun < answer["data"]["timeout"]


@pytest.mark.parametrize(
    ("fields", "due"),
    [
        ({"token": token(party_id="ABC")}, "REJECTED"),
        ({"location_id": "elsewhere"}, "2003"),
        ({"evse_uid": "CS-1-7"}, "2003"),
        ({"response_url": "http://elsewhere.bench/"}, "2001"),
        ({"token": None}, "2001"),
    ],
    ids=["a token of another eMSP", "unknown location", "unknown EVSE", "foreign response_url", "no token"],
)
async def test_a_command_that_cannot_be_sent_is_answered_at_once(emsp: Emsp, fields: dict[str, Any], due: str) -> None:
    """StartSession: tokens of others are not allowed; 2003 is an unknown location; nothing goes to the station."""
    assert await _result(emsp, "START_SESSION", **{**START, **fields}) == due
    assert emsp.rig.stations.sent("RequestStartTransaction") == []


async def test_an_absent_station_is_rejected(emsp: Emsp) -> None:
    """Nothing waits for a station to come back."""
    emsp.rig.stations.tell("disconnected")
    assert await _result(emsp, "START_SESSION", **START) == "REJECTED"
    assert await _result(emsp, "START_SESSION", token=token(), location_id="test") == "REJECTED"


async def test_only_an_emsp_commands(emsp: Emsp) -> None:
    """The SCSP steers profiles and starts nothing."""
    emsp.platform.parties = (type(emsp.platform.parties[0])(emsp.party, "SCSP"),)
    assert await _result(emsp, "START_SESSION", **START) == "REJECTED"


async def test_a_session_is_stopped_by_its_own_emsp(emsp: Emsp) -> None:
    """StopSession: UNKNOWN_SESSION, REJECTED for another's customer and for one that is over."""
    session = await _started(emsp)
    emsp.rig.stations.transaction("Started", "tx-2", id_token="somebody")
    await asyncio.sleep(1)
    other = next(one for one in emsp.rig.scsp.sessions if one != session["id"])
    assert await _result(emsp, "STOP_SESSION", session_id="S-nowhere") == "UNKNOWN_SESSION"
    assert await _result(emsp, "STOP_SESSION", session_id=other) == "REJECTED"
    assert await _result(emsp, "STOP_SESSION", session_id=session["id"].upper()) == "ACCEPTED"
    assert emsp.rig.stations.sent("RequestStopTransaction") == [{"transactionId": "tx-1"}]
    emsp.rig.stations.transaction("Ended", id_token=UID)
    assert await _result(emsp, "STOP_SESSION", session_id=session["id"]) == "REJECTED"


async def test_a_refused_stop_is_rejected(emsp: Emsp) -> None:
    """That the session itself runs there explains nothing."""
    session = await _started(emsp)
    emsp.rig.stations.answers["RequestStopTransaction"] = {"status": "Rejected"}
    assert await _result(emsp, "STOP_SESSION", session_id=session["id"]) == "REJECTED"


@pytest.mark.parametrize(
    ("status", "due"),
    [("Unlocked", "ACCEPTED"), ("UnlockFailed", "FAILED"), ("OngoingAuthorizedTransaction", "REJECTED")],
)
async def test_a_connector_is_unlocked(emsp: Emsp, status: str, due: str) -> None:
    """UnlockConnector, with the words of its OCPP answer."""
    emsp.rig.stations.answers["UnlockConnector"] = {"status": status}
    assert await _result(emsp, "UNLOCK_CONNECTOR", **UNLOCK) == due
    assert emsp.rig.stations.sent("UnlockConnector") == [{"evseId": 1, "connectorId": 1}]


async def test_an_unknown_connector_is_an_unknown_location(emsp: Emsp) -> None:
    """status codes: what cannot be a connector is not sent."""
    assert await _result(emsp, "UNLOCK_CONNECTOR", **{**UNLOCK, "connector_id": "left"}) == "2003"


async def test_an_unknown_command_is_not_supported(emsp: Emsp) -> None:
    """CommandType is open in 2.3.0: what is none of the five is answered, not refused by HTTP."""
    assert await _result(emsp, "MAKE_COFFEE") == "NOT_SUPPORTED"

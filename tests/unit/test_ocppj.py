"""OCPP-J frames in and out of a session, without a socket: what the peer does wrong is an event, never an exception."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bench.errors import SchemaError
from bench.wire.ocppj import (
    BadFrame,
    CallReceived,
    ErrorReceived,
    MessageIds,
    OcppSession,
    ResultReceived,
    call_id,
)

BOOT = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}
STATUS = {"timestamp": "2023-07-01T22:00:00Z", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
GET_PROFILES = {"requestId": 7, "chargingProfile": {}}

DEEP = "[" * 1015 + "]" * 1015


def text(*message: Any) -> str:
    """Return a frame."""
    return orjson.dumps(message).decode()


def refused(event: object) -> tuple[str, str, str]:
    """Return the finding, and message id and code of the CALLERROR, of a frame that got one."""
    assert isinstance(event, BadFrame)
    assert event.reply is not None
    reply = orjson.loads(event.reply)
    assert reply[0] == 4
    assert len(reply) == 5
    return event.remark.code, reply[1], reply[2]


@pytest.mark.parametrize(
    ("frame", "finding", "message_id", "code"),
    [
        (b"[]", "binary_frame", "-1", "RpcFrameworkError"),
        ("", "invalid_json", "-1", "RpcFrameworkError"),
        ('[2,"a","Heartbeat",{}', "invalid_json", "-1", "RpcFrameworkError"),
        ('[2,"a","Heartbeat",{"x":NaN}]', "invalid_json", "-1", "RpcFrameworkError"),
        ("[" * 5000, "invalid_json", "-1", "RpcFrameworkError"),
        ('"\\ud800"', "invalid_json", "-1", "RpcFrameworkError"),
        (f'[{DEEP},"a","x",{{}}]', "unknown_message_type", "a", "MessageTypeNotSupported"),
        (f'[2,{DEEP},"x",{{}}]', "bad_message_id", "-1", "RpcFrameworkError"),
        (f'[2,"a","Heartbeat",{DEEP}]', "invalid_request", "a", "FormatViolation"),
        ("{}", "not_a_message", "-1", "RpcFrameworkError"),
        ("null", "not_a_message", "-1", "RpcFrameworkError"),
        ("[]", "not_a_message", "-1", "RpcFrameworkError"),
        ("[2]", "bad_message_id", "-1", "RpcFrameworkError"),
        (text(2, 17, "Heartbeat", {}), "bad_message_id", "-1", "RpcFrameworkError"),
        (text(2, "", "Heartbeat", {}), "bad_message_id", "-1", "RpcFrameworkError"),
        (text(2, "x" * 37, "Heartbeat", {}), "bad_message_id", "-1", "RpcFrameworkError"),
        (text(5, "a", "Heartbeat", {}), "unknown_message_type", "a", "MessageTypeNotSupported"),
        (text("2", "a", "Heartbeat", {}), "unknown_message_type", "a", "MessageTypeNotSupported"),
        (text(2.0, "a", "Heartbeat", {}), "unknown_message_type", "a", "MessageTypeNotSupported"),
        (text(2, "a", "Heartbeat"), "malformed_call", "a", "RpcFrameworkError"),
        (text(2, "a", "Heartbeat", {}, {}), "malformed_call", "a", "RpcFrameworkError"),
        (text(2, "a", ["Heartbeat"], {}), "malformed_call", "a", "RpcFrameworkError"),
        (text(2, "a", "heartbeat", {}), "unknown_action", "a", "NotImplemented"),
        (text(2, "a", "Heartbeat", []), "invalid_request", "a", "FormatViolation"),
        (text(2, "a", "Heartbeat", {"zz": 1}), "invalid_request", "a", "FormatViolation"),
        (text(2, "a", "BootNotification", {}), "invalid_request", "a", "OccurrenceConstraintViolation"),
        (text(2, "a", "BootNotification", {**BOOT, "reason": "Boredom"}), "invalid_request", "a",
         "PropertyConstraintViolation"),
        (text(2, "a", "StatusNotification", {**STATUS, "evseId": "1"}), "invalid_request", "a",
         "TypeConstraintViolation"),
    ],
)  # fmt: skip
def test_frame_that_breaks_the_rules_gets_its_callerror(
    frame: str | bytes, finding: str, message_id: str, code: str
) -> None:
    """Part 4, 4.2.3 and table 8: the code that fits; the id "-1" where the message's own cannot be read."""
    assert refused(OcppSession().receive(frame, 0.0)) == (finding, message_id, code)


def test_oversized_frame_is_refused_unread() -> None:
    """The limit counts bytes, not characters."""
    frame = text(2, "a", "DataTransfer", {"vendorId": "v", "data": "é" * 600})
    assert isinstance(OcppSession(max_bytes=2000).receive(frame, 0.0), CallReceived)
    assert refused(OcppSession(max_bytes=1100).receive(frame, 0.0))[0] == "oversized_frame"


def test_the_text_of_a_refusal_stays_short() -> None:
    """errorDescription has at most 255 characters, however long what it complains of."""
    event = OcppSession().receive(text(2, "a", "A" * 100_000, {}), 0.0)
    assert isinstance(event, BadFrame)
    assert event.reply is not None
    assert len(orjson.loads(event.reply)[3]) <= 255


def test_a_refusal_names_the_place_and_no_token() -> None:
    """The first violation's path is told; the value of an identification token is not repeated."""
    token = {"idToken": "SECRET-" + "7" * 40, "type": "ISO14443"}
    event = OcppSession().receive(text(2, "a", "Authorize", {"idToken": token}), 0.0)
    assert isinstance(event, BadFrame)
    assert "idToken.idToken" in event.remark.text
    assert "SECRET" not in f"{event.remark.text} {event.reply}"


def test_call_is_answered_once() -> None:
    """A valid CALL becomes an event; its result carries its message id."""
    session = OcppSession()
    event = session.receive(text(2, "a", "BootNotification", BOOT), 0.0)
    assert event == CallReceived("a", "BootNotification", BOOT)
    answer = {"currentTime": "2023-07-01T22:00:00Z", "interval": 300, "status": "Accepted"}
    assert orjson.loads(session.make_result("a", answer)) == [3, "a", answer]
    with pytest.raises(KeyError):
        session.make_result("a", answer)


def test_wrong_date_is_a_remark_and_no_rejection() -> None:
    """Stock libraries let a wrong date-time pass, so a station may never have been told."""
    event = OcppSession().receive(text(2, "a", "StatusNotification", {**STATUS, "timestamp": "yesterday"}), 0.0)
    assert isinstance(event, CallReceived)
    assert [remark.code for remark in event.remarks] == ["invalid_format"]


def test_worse_violation_goes_before_a_wrong_date() -> None:
    """A tolerable violation does not hide one that is not."""
    event = OcppSession().receive(text(2, "a", "StatusNotification", {**STATUS, "timestamp": "?", "evseId": "1"}), 0.0)
    assert refused(event)[2] == "TypeConstraintViolation"


def test_null_payload_is_taken_for_an_empty_one() -> None:
    """Part 4, 4.1.5 allows both notations and prefers the object."""
    event = OcppSession().receive(text(2, "a", "Heartbeat", None), 0.0)
    assert isinstance(event, CallReceived)
    assert event.payload == {}
    assert [remark.code for remark in event.remarks] == ["null_payload"]


def test_peer_that_does_not_wait_for_its_answer_is_noticed() -> None:
    """4.1.1: a second CALL before the answer to the first is taken, with a remark; a reused id in handling is not."""
    session = OcppSession()
    session.receive(text(2, "a", "Heartbeat", {}), 0.0)
    second = session.receive(text(2, "b", "Heartbeat", {}), 0.0)
    assert isinstance(second, CallReceived)
    assert [remark.code for remark in second.remarks] == ["second_call_outstanding"]
    assert refused(session.receive(text(2, "a", "Heartbeat", {}), 0.0))[0] == "duplicate_message_id"


def test_message_id_of_an_earlier_connection_is_noticed() -> None:
    """4.1.4: ids are unique over all connections of a station."""
    seen = MessageIds()
    OcppSession(seen=seen).receive(text(2, "a", "Heartbeat", {}), 0.0)
    again = OcppSession(seen=seen).receive(text(2, "a", "Heartbeat", {}), 0.0)
    assert isinstance(again, CallReceived)
    assert [remark.code for remark in again.remarks] == ["message_id_reused"]


def test_old_message_ids_are_forgotten() -> None:
    """A station that runs for months does not fill the memory."""
    ids = MessageIds(limit=2)
    assert [ids.add(one) for one in ("a", "b", "c", "a", "c")] == [True, True, True, True, False]


def test_result_reaches_its_call() -> None:
    """The action comes from our CALL, the interval from the caller's clock."""
    session = OcppSession()
    assert orjson.loads(session.make_call("GetChargingProfiles", GET_PROFILES, "m1", 10.0)) == [
        2, "m1", "GetChargingProfiles", GET_PROFILES,
    ]  # fmt: skip
    event = session.receive(text(3, "m1", {"status": "NoProfiles"}), 10.5)
    assert event == ResultReceived("m1", "GetChargingProfiles", {"status": "NoProfiles"}, 0.5)
    assert session.outstanding is None


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (text(3, "m1", {"status": "Perhaps"}), "PropertyConstraintViolation"),
        (text(3, "m1", {}), "OccurrenceConstraintViolation"),
        (text(3, "m1", None), "TypeConstraintViolation"),
        (text(3, "m1"), "RpcFrameworkError"),
        (text(3, "m1", {"status": "Accepted"}, 5), "RpcFrameworkError"),
    ],
)
def test_invalid_result_ends_the_call_and_says_so(frame: str, code: str) -> None:
    """The caller must not wait for its deadline because the answer was malformed."""
    session = OcppSession()
    session.make_call("GetChargingProfiles", GET_PROFILES, "m1", 0.0)
    event = session.receive(frame, 1.0)
    assert isinstance(event, ResultReceived)
    assert event.violation is not None
    assert event.violation.code == code
    assert [remark.code for remark in event.remarks] == ["invalid_result"]


@pytest.mark.parametrize(
    ("frame", "remarks"),
    [
        (text(4, "m1", "NotSupported", "no", {}), []),
        (text(4, "m1", "NoIdea", "no", {}), ["unknown_error_code"]),
        (text(4, "m1", "NotSupported", "x" * 256, {}), ["long_description"]),
        (text(4, "m1", "NotSupported"), ["malformed_error"]),
        (text(4, "m1"), ["malformed_error"]),
        (text(4, "m1", 5, None, []), ["malformed_error"]),
    ],
)
def test_callerror_ends_the_call_however_malformed(frame: str, remarks: list[str]) -> None:
    """Code and description are texts in the event, whatever the peer sent."""
    session = OcppSession()
    session.make_call("Reset", {"type": "Immediate"}, "m1", 0.0)
    event = session.receive(frame, 1.0)
    assert isinstance(event, ErrorReceived)
    assert isinstance(event.code + event.description, str)
    assert [remark.code for remark in event.remarks] == remarks
    assert session.outstanding is None


@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("rest", [["zz", {}], [5], []])
def test_answer_to_nothing_is_never_answered(kind: int, rest: list[Any]) -> None:
    """A CALLERROR for a CALLERROR would go on for ever."""
    event = OcppSession().receive(text(kind, *rest), 0.0)
    assert isinstance(event, BadFrame)
    assert event.reply is None


def test_answer_after_the_deadline_is_late_and_then_unknown() -> None:
    """A late answer must not end the next call."""
    session = OcppSession()
    session.make_call("Reset", {"type": "Immediate"}, "m1", 0.0)
    session.give_up()
    session.make_call("Reset", {"type": "OnIdle"}, "m2", 30.0)
    codes = []
    for _ in range(2):
        event = session.receive(text(3, "m1", {"status": "Accepted"}), 31.0)
        assert isinstance(event, BadFrame)
        codes.append(event.remark.code)
    assert codes == ["late_answer", "unknown_answer"]
    assert session.outstanding is not None


def test_one_call_at_a_time() -> None:
    """4.1.1 binds us as well."""
    session = OcppSession()
    session.make_call("Reset", {"type": "Immediate"}, "m1", 0.0)
    with pytest.raises(RuntimeError, match="still outstanding"):
        session.make_call("Reset", {"type": "Immediate"}, "m2", 0.0)


def test_we_send_nothing_invalid_unless_forced() -> None:
    """An invalid call or result of ours is our mistake; negative tests of a station may insist."""
    session = OcppSession()
    session.receive(text(2, "a", "Heartbeat", {}), 0.0)
    with pytest.raises(SchemaError, match=r"HeartbeatResponse: .*currentTime"):
        session.make_result("a", {})
    with pytest.raises(SchemaError, match="no action"):
        session.make_call("Explode", {}, "m1", 0.0)
    with pytest.raises(SchemaError, match="ResetRequest: type"):
        session.make_call("Reset", {"type": "Hard"}, "m1", 0.0)
    assert session.make_call("Explode", {}, "m1", 0.0, check=False) == '[2,"m1","Explode",{}]'
    assert isinstance(session.receive(text(3, "m1", {"anything": 1}), 0.0), ResultReceived)


def test_our_callerrors_use_the_codes_of_the_standard() -> None:
    """And a description that fits."""
    session = OcppSession()
    session.receive(text(2, "a", "Heartbeat", {}), 0.0)
    with pytest.raises(RuntimeError):
        session.make_error("a", "Nope", "")
    assert orjson.loads(session.make_error("a", "InternalError", "x" * 300)) == [4, "a", "InternalError", "x" * 255, {}]


def test_answers_nested_too_deeply_are_answers() -> None:
    """A result's payload is a violation, an error's code is remarked."""
    session = OcppSession()
    session.make_call("Reset", {"type": "Immediate"}, "a", 0)
    result = session.receive(f'[3,"a",{DEEP}]', 1)
    assert isinstance(result, ResultReceived)
    assert result.violation is not None
    session.make_call("Reset", {"type": "Immediate"}, "b", 2)
    error = session.receive(f'[4,"b",{DEEP},"",{{}}]', 3)
    assert isinstance(error, ErrorReceived)
    assert [remark.code for remark in error.remarks] == ["malformed_error"]


@pytest.mark.parametrize("value", [2**64, "\ud800", orjson.loads(DEEP)])
def test_a_call_that_json_cannot_carry_is_ours_to_mend(value: object) -> None:
    """Nothing is outstanding after it, checked or not."""
    session = OcppSession()
    for check in (True, False):
        with pytest.raises(SchemaError, match=r"cannot be written as JSON|nested too deeply"):
            session.make_call("DataTransfer", {"vendorId": "v", "data": value}, "a", 0, check=check)
    assert session.outstanding is None


@pytest.mark.parametrize(
    ("frame", "message_id"),
    [(' [2, "a-1","Reset"', "a-1"), ('[3,"a",{}]', None), ('[2,"","Reset"]', None), ("[2," + DEEP, None), (b"[]", None)],
)
def test_message_id_of_what_begins_like_a_call(frame: str | bytes, message_id: str | None) -> None:
    """It can be had without reading the rest."""
    assert call_id(frame) == message_id

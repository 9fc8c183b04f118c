"""One OCPP-J 2.0.1 connection as seen from one of its ends, sans I/O: frames in, events out, and frames to send.

No socket and no clock: the caller passes `now` in seconds and moves the text. Whatever the peer sends becomes an event,
never an exception; what we do wrong ourselves is an exception. Clauses are those of OCPP 2.0.1 Part 4.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from bench.errors import SchemaError
from bench.wire.schemas import Violation, check_payload, known_actions

CALL: Final = 2
CALL_RESULT: Final = 3
CALL_ERROR: Final = 4
SUBPROTOCOL: Final = "ocpp2.0.1"
NO_MESSAGE_ID: Final = "-1"
"""The message id of a CALLERROR for a message whose own id cannot be read (4.2.3)."""
MAX_MESSAGE_ID: Final = 36
MAX_DESCRIPTION: Final = 255
REMEMBERED_IDS: Final = 10_000
ERROR_CODES: Final = frozenset({
    "FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported", "NotImplemented", "NotSupported",
    "OccurrenceConstraintViolation", "PropertyConstraintViolation", "ProtocolError", "RpcFrameworkError",
    "SecurityError", "TypeConstraintViolation",
})  # fmt: skip
"""Table 8."""

_CALL_OPENING: Final = re.compile(rf'\s*\[\s*{CALL}\s*,\s*"([^"\\]{{1,{MAX_MESSAGE_ID}}})"')


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a frame that is worth a finding and changes nothing else."""

    code: str
    text: str


@dataclass(slots=True)
class CallReceived:
    """A valid CALL; answer it with `make_result` or `make_error`."""

    message_id: str
    action: str
    payload: dict[str, Any]
    remarks: tuple[Remark, ...] = ()


@dataclass(slots=True)
class ResultReceived:
    """The CALLRESULT of our outstanding CALL. With a `violation` its payload cannot be relied upon."""

    message_id: str
    action: str
    payload: Any
    elapsed_s: float
    violation: Violation | None = None
    remarks: tuple[Remark, ...] = ()


@dataclass(slots=True)
class ErrorReceived:
    """The CALLERROR of our outstanding CALL."""

    message_id: str
    action: str
    code: str
    description: str
    details: Any
    elapsed_s: float
    remarks: tuple[Remark, ...] = ()


@dataclass(slots=True)
class BadFrame:
    """A frame that carries nothing we can act on; `reply` is the CALLERROR to send, where one is due."""

    reply: str | None
    remark: Remark


Event = CallReceived | ResultReceived | ErrorReceived | BadFrame


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Our CALL that waits for its answer."""

    message_id: str
    action: str
    sent_s: float


class MessageIds:
    """The message ids that a station used for CALLs, over all its connections (4.1.4); the oldest are forgotten."""

    def __init__(self, limit: int = REMEMBERED_IDS) -> None:
        self._limit = limit
        self._ids: set[str] = set()
        self._order: deque[str] = deque()

    def add(self, message_id: str) -> bool:
        """Remember an id; return False if it was used before."""
        if message_id in self._ids:
            return False
        self._ids.add(message_id)
        self._order.append(message_id)
        if len(self._order) > self._limit:
            self._ids.remove(self._order.popleft())
        return True


class OcppSession:
    """The state of one connection: our outstanding CALL, the peer's unanswered ones, and our CALLs given up.

    Args:
        max_bytes: a longer frame is refused unread.
        seen: message ids that the peer used on earlier connections.
    """

    def __init__(self, *, max_bytes: int = 1_000_000, seen: MessageIds | None = None) -> None:
        self._max_bytes = max_bytes
        self._seen = seen or MessageIds()
        self._unanswered: dict[str, str] = {}
        self._given_up: dict[str, str] = {}
        self._actions = known_actions()
        self.outstanding: Outstanding | None = None

    # what we send ----------------------------------------------------------------------------------------------

    def make_call(
        self, action: str, payload: Mapping[str, Any], message_id: str, now: float, *, check: bool = True
    ) -> str:
        """Return the text of a CALL, which is outstanding from now on (4.1.1: one at a time).

        Raises:
            SchemaError: unknown action or invalid payload, unless `check` is off (for tests of the peer); a payload that
                JSON cannot carry.
            RuntimeError: another CALL is outstanding, or the id is not usable: a mistake of the caller.
        """
        if self.outstanding is not None:
            raise RuntimeError(f"{self.outstanding.action} is still outstanding: one CALL at a time (OCPP-J 4.1.1)")
        if not 0 < len(message_id) <= MAX_MESSAGE_ID:
            raise RuntimeError(f"message id {message_id!r}: must have 1 to {MAX_MESSAGE_ID} characters")
        if check:
            self._check_own(action, payload, response=False)
        try:
            text = orjson.dumps([CALL, message_id, action, payload]).decode()
        except TypeError as error:  # a number over 64 bits, a lone surrogate, 255 levels
            raise SchemaError(f"{action}Request: cannot be written as JSON: {error}") from None
        self.outstanding = Outstanding(message_id, action, now)
        return text

    def give_up(self) -> None:
        """Our outstanding CALL timed out (4.1.1): another one may be made, and its answer will be late."""
        if self.outstanding is not None:
            self._given_up[self.outstanding.message_id] = self.outstanding.action
            self.outstanding = None

    def make_result(self, message_id: str, payload: Mapping[str, Any], *, check: bool = True) -> str:
        """Return the text of the CALLRESULT for a received CALL. Raises SchemaError for an invalid payload."""
        action = self._unanswered[message_id]
        if check:
            self._check_own(action, payload, response=True)
        text = orjson.dumps([CALL_RESULT, message_id, payload]).decode()
        del self._unanswered[message_id]
        return text

    def make_error(self, message_id: str, code: str, description: str, details: Mapping[str, Any] | None = None) -> str:
        """Return the text of the CALLERROR for a received CALL."""
        if code not in ERROR_CODES:
            raise RuntimeError(f"{code} is no error code of OCPP-J 2.0.1")
        self._unanswered.pop(message_id, None)
        return orjson.dumps([CALL_ERROR, message_id, code, description[:MAX_DESCRIPTION], details or {}]).decode()

    def _check_own(self, action: str, payload: Mapping[str, Any], *, response: bool) -> None:
        if action not in self._actions:
            raise SchemaError(f"{action} is no action of OCPP 2.0.1")
        violation = check_payload(action, response, payload)
        if violation is not None:
            raise SchemaError(f"{action}{'Response' if response else 'Request'}: {violation}")

    # what we receive -------------------------------------------------------------------------------------------

    def receive(self, frame: str | bytes, now: float) -> Event:
        """Return what a frame means. It never raises for what the peer did."""
        if isinstance(frame, bytes):
            return self._refuse(NO_MESSAGE_ID, "binary_frame", "a binary frame: OCPP-J messages are text")
        if len(frame) > self._max_bytes or (len(frame) * 4 > self._max_bytes and len(frame.encode()) > self._max_bytes):
            return self._refuse(NO_MESSAGE_ID, "oversized_frame", f"longer than {self._max_bytes} bytes, not read")
        try:
            message = orjson.loads(frame)
        except ValueError as error:
            return self._refuse(NO_MESSAGE_ID, "invalid_json", f"not valid JSON: {error}")
        if type(message) is not list or not message:
            return self._refuse(NO_MESSAGE_ID, "not_a_message", "not a JSON array that starts with a message type")
        kind = message[0]
        message_id = message[1] if len(message) > 1 else None
        if type(message_id) is not str or not 0 < len(message_id) <= MAX_MESSAGE_ID:
            return self._bad_id(kind, message_id)
        if kind == CALL and type(kind) is int:
            return self._call(message, message_id)
        if kind == CALL_RESULT and type(kind) is int:
            return self._result(message, message_id, now)
        if kind == CALL_ERROR and type(kind) is int:
            return self._error(message, message_id, now)
        return self._refuse(
            message_id, "unknown_message_type", f"message type {_short(kind)} is not 2, 3 or 4", "MessageTypeNotSupported"
        )

    def _bad_id(self, kind: Any, message_id: Any) -> BadFrame:
        text = f"message id {_short(message_id)} is not a string of 1 to {MAX_MESSAGE_ID} characters"
        if kind in (CALL_RESULT, CALL_ERROR):
            return BadFrame(None, Remark("bad_message_id", text))
        return self._refuse(NO_MESSAGE_ID, "bad_message_id", text)

    def _call(self, message: list[Any], message_id: str) -> CallReceived | BadFrame:
        if len(message) != 4 or type(message[2]) is not str:
            text = "a CALL is [2, messageId, action, payload] with a text as action"
            return self._refuse(message_id, "malformed_call", text)
        action, payload = message[2], message[3]
        if message_id in self._unanswered:
            text = f"a CALL with message id {message_id} is being handled already"
            return self._refuse(message_id, "duplicate_message_id", text)
        if action not in self._actions:
            text = f"{_short(action)} is no action of OCPP 2.0.1"
            return self._refuse(message_id, "unknown_action", text, "NotImplemented")
        remarks: tuple[Remark, ...] = ()
        if payload is None:
            payload = {}
            remarks += (Remark("null_payload", f"{action}: an empty payload should be {{}}, not null (4.1.5)"),)
        violation = check_payload(action, False, payload)
        if violation is not None:
            if not violation.tolerable:
                code = "FormatViolation" if type(payload) is not dict else violation.code
                return self._refuse(message_id, "invalid_request", f"{action}: {violation}", code)
            remarks += (Remark("invalid_format", f"{action}: {violation}"),)
        if self._unanswered:
            text = f"{action} sent before the answer to {next(iter(self._unanswered.values()))} (4.1.1)"
            remarks += (Remark("second_call_outstanding", text),)
        if not self._seen.add(message_id):
            remarks += (Remark("message_id_reused", f"{action}: message id {message_id} was used before (4.1.4)"),)
        self._unanswered[message_id] = action
        return CallReceived(message_id, action, payload, remarks)

    def _result(self, message: list[Any], message_id: str, now: float) -> ResultReceived | BadFrame:
        sent = self._answered(message_id)
        if sent is None:
            return self._unmatched("CALLRESULT", message_id)
        payload = message[2] if len(message) > 2 else None
        remarks: tuple[Remark, ...] = ()
        violation: Violation | None
        if len(message) != 3:
            violation = Violation("RpcFrameworkError", "", "a CALLRESULT is [3, messageId, payload]")
        elif sent.action in self._actions:
            violation = check_payload(sent.action, True, payload)
        else:
            violation = None
        if violation is not None:
            remarks = (Remark("invalid_format" if violation.tolerable else "invalid_result", f"{sent.action}: {violation}"),)
            violation = None if violation.tolerable else violation
        return ResultReceived(message_id, sent.action, payload, now - sent.sent_s, violation, remarks)

    def _error(self, message: list[Any], message_id: str, now: float) -> ErrorReceived | BadFrame:
        sent = self._answered(message_id)
        if sent is None:
            return self._unmatched("CALLERROR", message_id)
        code, description, details = (*message[2:5], None, None, None)[:3]
        remarks: tuple[Remark, ...] = ()
        if len(message) != 5 or type(code) is not str or type(description) is not str or type(details) is not dict:
            text = "a CALLERROR is [4, messageId, code, description, details] with two texts and an object"
            remarks += (Remark("malformed_error", text),)
        elif code not in ERROR_CODES:
            remarks += (Remark("unknown_error_code", f"{_short(code)} is no error code of OCPP-J 2.0.1 (4.3)"),)
        elif len(description) > MAX_DESCRIPTION:
            remarks += (Remark("long_description", f"errorDescription has more than {MAX_DESCRIPTION} characters"),)
        elapsed_s = now - sent.sent_s
        return ErrorReceived(
            message_id, sent.action, _text(code), _text(description), details, elapsed_s, remarks
        )

    def _answered(self, message_id: str) -> Outstanding | None:
        sent = self.outstanding
        if sent is None or sent.message_id != message_id:
            return None
        self.outstanding = None
        return sent

    def _unmatched(self, kind: str, message_id: str) -> BadFrame:
        """A CALLRESULT or CALLERROR is never answered, whatever is wrong with it."""
        if message_id in self._given_up:
            text = f"{kind} for {self._given_up.pop(message_id)} came after its deadline"
            return BadFrame(None, Remark("late_answer", text))
        return BadFrame(None, Remark("unknown_answer", f"{kind} for message id {message_id}, which waits for none"))

    def _refuse(self, message_id: str, finding: str, text: str, code: str = "RpcFrameworkError") -> BadFrame:
        reply = orjson.dumps([CALL_ERROR, message_id, code, text[:MAX_DESCRIPTION], {}]).decode()
        return BadFrame(reply, Remark(finding, text))


def call_id(frame: str | bytes) -> str | None:
    """Return the message id of what begins like a CALL, without reading the rest of it; None where it is none."""
    match = _CALL_OPENING.match(frame) if isinstance(frame, str) else None
    return match.group(1) if match else None


def _short(value: Any) -> str:
    """Return a value of the peer's as text that fits into a message."""
    try:
        text = repr(value)
    except RecursionError:
        return "(nested too deeply to be shown)"
    return text if len(text) <= 60 else f"{text[:59]}…"


def _text(value: Any) -> str:
    return value if type(value) is str else "" if value is None else _short(value)

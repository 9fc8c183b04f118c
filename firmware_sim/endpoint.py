"""The station's end of OCPP 2.0.1, on the `ocpp` package: one handler per action that a CSMS may send.

Anything else is answered with CALLERROR NotImplemented by the package. Payloads are checked by `schemas`, not by the package,
whose own validation costs more than the station itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from ocpp.exceptions import (
    FormatViolationError,
    GenericError,
    NotSupportedError,
    OccurrenceConstraintViolationError,
    UnknownCallErrorCodeError,
)
from ocpp.exceptions import NotImplementedError as NoHandlerError
from ocpp.messages import CallError, MessageType
from ocpp.routing import on
from ocpp.v201 import ChargePoint, call_result
from ocpp.v201.enums import Action
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from firmware_sim.device_model import ITEMS_PER_MESSAGE
from firmware_sim.ids import Identifiers
from firmware_sim.schemas import breach

ANSWER_PATIENCE_S: Final = 30
LOGGER: Final = logging.getLogger("firmware_sim.endpoint")
_MOST_EXACT: Final = 2**53
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether the package's log line is more than an action that this station does not know."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, NoHandlerError | NotSupportedError | OccurrenceConstraintViolationError)


LOGGER.addFilter(_is_news)


def _answers(action: Action) -> Callable[[_Handler], _Handler]:
    """Make the method the handler of an action, unchecked by the package."""
    decorate: Callable[[_Handler], _Handler] = on(action, skip_schema_validation=True)
    return decorate


def _check_number(items: Sequence[object]) -> None:
    """Refuse more than ItemsPerMessage. Raises OccurrenceConstraintViolationError."""
    if len(items) > ITEMS_PER_MESSAGE:
        raise OccurrenceConstraintViolationError(description=f"{len(items)} variables: at most {ITEMS_PER_MESSAGE}")


def _number(text: str) -> float:
    """Read 1.0 as 1: to a schema it is an integer, so it must be one to the handlers."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) <= _MOST_EXACT else value


class Wire(Protocol):
    """What carries the messages."""

    def carries(self) -> bool:
        """Note that a message is on its way; say whether it arrives."""
        ...

    def delays(self, action: str) -> list[float]:
        """Return after how many seconds the answer to a CALL is sent; more than one: again."""
        ...


class ProfileCommands(Protocol):
    """What a CSMS may ask about charging profiles; payloads are in the `ocpp` package's snake case."""

    def install(self, evse_id: int, content: dict[str, Any]) -> Any: ...
    def clear(self, profile_id: int | None, criteria: dict[str, Any] | None) -> Any: ...
    def report(self, request_id: int, evse_id: int | None, criteria: dict[str, Any]) -> Any: ...
    def composite(self, duration: int, evse_id: int, unit: str | None) -> Any: ...


class StationCommands(Protocol):
    """What else a CSMS may ask of the station."""

    def request_start(
        self, id_token: dict[str, Any], remote_id: int, evse_id: int | None, profile: dict[str, Any] | None
    ) -> Any: ...
    def request_stop(self, transaction_id: str) -> Any: ...
    def get_variables(self, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]: ...
    def set_variables(self, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]: ...
    def base_report(self, request_id: int, base: str) -> Any: ...
    def trigger(self, requested_message: str, evse_id: int | None) -> Any: ...
    def reset(self, kind: str, evse_id: int | None) -> Any: ...
    def change_availability(self, status: str, evse_id: int | None) -> Any: ...
    def unlock(self, evse_id: int, connector_id: int) -> Any: ...


class Endpoint(ChargePoint):  # type: ignore[misc]
    """One connection of the station."""

    def __init__(
        self,
        station_id: str,
        connection: ClientConnection,
        ids: Identifiers,
        station: StationCommands,
        profiles: ProfileCommands,
        wire: Wire,
    ) -> None:
        super().__init__(station_id, connection, response_timeout=ANSWER_PATIENCE_S, logger=LOGGER)
        self._unique_id_generator = ids.token
        self._station, self._profiles = station, profiles
        self._asking = ""
        self._wire = wire
        self._delays: dict[str, list[float]] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def ask(self, payload: Any) -> Any:
        """Send a request and return its answer. Raises OCPPError on a CALLERROR or a wrong answer, TimeoutError."""
        async with self._turn:
            self._asking = type(payload).__name__
            try:
                return await self.call(payload, suppress=False, skip_schema_validation=True)
            except UnknownCallErrorCodeError as error:
                raise GenericError(description=str(error)) from None

    def close(self) -> None:
        """Send nothing any more."""
        for task in self._late:
            task.cancel()

    async def _send(self, message: str) -> None:
        """Send a message, late or twice where the wire says so; a dead one swallows it."""
        delays = [0.0]
        if self._delays:
            frame = json.loads(message)
            delays = delays if frame[0] == MessageType.Call else self._delays.pop(frame[1], delays)
        for seconds in delays:
            if seconds:
                task = asyncio.create_task(self._send_later(seconds, message))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
            elif self._wire.carries():
                await super()._send(message)

    async def _send_later(self, seconds: float, message: str) -> None:
        await asyncio.sleep(seconds)
        if self._wire.carries():
            with suppress(ConnectionClosed):
                await super()._send(message)

    async def route_message(self, raw_msg: str) -> None:
        """Take a message; one that cannot be taken at all is answered with RpcFrameworkError and "-1" (Part 4, 4.2.3)."""
        if not self._wire.carries():
            return
        try:
            await self._route(raw_msg)
        except ConnectionClosed:
            raise
        except Exception as error:  # whatever a CSMS sends, the station goes on
            LOGGER.warning("%s: a message of %d characters cannot be taken: %r", self.id, len(raw_msg), error)
            await self._send(CallError("-1", "RpcFrameworkError", "the message cannot be read", {}).to_json())

    async def _route(self, raw_msg: str) -> None:
        """Check a message against its schema before the package takes it."""
        message = json.loads(raw_msg, parse_float=_number)
        if isinstance(message, list) and len(message) == 4 and message[0] == MessageType.Call and isinstance(message[2], str):
            delays = self._wire.delays(message[2])
            if delays != [0.0]:
                self._delays[message[1]] = delays
            wrong = breach(f"{message[2]}Request", message[3])
            if wrong:
                await self._send(CallError(message[1], *wrong, {}).to_json())
                return
        if isinstance(message, list) and len(message) == 3 and message[0] == MessageType.CallResult:
            wrong = breach(f"{self._asking}Response", message[2])
            if wrong:
                self._response_queue.put_nowait(CallError(message[1], FormatViolationError.code, wrong[1], {}))
                return
        await super().route_message(json.dumps(message))

    @_answers(Action.set_charging_profile)
    def on_set_charging_profile(self, evse_id: int, charging_profile: dict[str, Any], **_: Any) -> Any:
        """K01."""
        return self._profiles.install(evse_id, charging_profile)

    @_answers(Action.clear_charging_profile)
    def on_clear_charging_profile(
        self, charging_profile_id: int | None = None, charging_profile_criteria: dict[str, Any] | None = None, **_: Any
    ) -> Any:
        """K10."""
        return self._profiles.clear(charging_profile_id, charging_profile_criteria)

    @_answers(Action.get_charging_profiles)
    def on_get_charging_profiles(
        self, request_id: int, charging_profile: dict[str, Any], evse_id: int | None = None, **_: Any
    ) -> Any:
        """K09."""
        return self._profiles.report(request_id, evse_id, charging_profile)

    @_answers(Action.get_composite_schedule)
    def on_get_composite_schedule(self, duration: int, evse_id: int, charging_rate_unit: str | None = None, **_: Any) -> Any:
        """K08."""
        return self._profiles.composite(duration, evse_id, charging_rate_unit)

    @_answers(Action.request_start_transaction)
    def on_request_start_transaction(
        self, id_token: dict[str, Any], remote_start_id: int, evse_id: int | None = None, charging_profile: Any = None, **_: Any
    ) -> Any:
        """F01, F02, K05."""
        return self._station.request_start(id_token, remote_start_id, evse_id, charging_profile)

    @_answers(Action.request_stop_transaction)
    def on_request_stop_transaction(self, transaction_id: str, **_: Any) -> Any:
        """F03."""
        return self._station.request_stop(transaction_id)

    @_answers(Action.get_variables)
    def on_get_variables(self, get_variable_data: list[dict[str, Any]], **_: Any) -> Any:
        """B06."""
        _check_number(get_variable_data)
        return call_result.GetVariables(self._station.get_variables(get_variable_data))

    @_answers(Action.set_variables)
    def on_set_variables(self, set_variable_data: list[dict[str, Any]], **_: Any) -> Any:
        """B05."""
        _check_number(set_variable_data)
        return call_result.SetVariables(self._station.set_variables(set_variable_data))

    @_answers(Action.get_base_report)
    def on_get_base_report(self, request_id: int, report_base: str, **_: Any) -> Any:
        """B07."""
        return self._station.base_report(request_id, report_base)

    @_answers(Action.trigger_message)
    def on_trigger_message(self, requested_message: str, evse: dict[str, int] | None = None, **_: Any) -> Any:
        """F06."""
        return self._station.trigger(requested_message, evse["id"] if evse else None)

    @_answers(Action.reset)
    def on_reset(self, type: str, evse_id: int | None = None, **_: Any) -> Any:  # noqa: A002  the name on the wire
        """B11, B12."""
        return self._station.reset(type, evse_id)

    @_answers(Action.change_availability)
    def on_change_availability(self, operational_status: str, evse: dict[str, int] | None = None, **_: Any) -> Any:
        """G03, G04."""
        return self._station.change_availability(operational_status, evse["id"] if evse else None)

    @_answers(Action.unlock_connector)
    def on_unlock_connector(self, evse_id: int, connector_id: int, **_: Any) -> Any:
        """F05."""
        return self._station.unlock(evse_id, connector_id)

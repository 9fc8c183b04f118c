"""Answers to the CALLs of stations: most at once, some when somebody outside has decided on an identification token."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from bench.cso.faults import OwnFaults
from bench.cso.handlers import Handlers, NotSupportedError
from bench.cso.station import Outbox, StationState
from bench.errors import SchemaError
from bench.wire.ocppj import CallReceived, OcppSession

DEFECT: Final = "bench_defect"
"""Code of a finding about ourselves."""

_log = logging.getLogger("bench.ocpp")


class Answering:
    """Makes the answer to a CALL; a defect of ours costs neither the answer nor the connection.

    Args: own_finding: called with station, code and text of a finding about the bench.
    """

    def __init__(self, handlers: Handlers, faults: OwnFaults, own_finding: Callable[[str, str, str], None]) -> None:
        self._handlers, self._faults, self._own_finding = handlers, faults, own_finding

    def answer(self, station: StationState, session: OcppSession, call: CallReceived, out: Outbox) -> str | None:
        """Return the frame that answers; None where `out.later` says that it has to wait."""
        try:
            payload = self._handlers.answer(station, call.action, call.payload, out)
            if call.action == "TransactionEvent":
                identity = call.payload["transactionInfo"]["transactionId"]
                self._faults.apply("event", identity, call.payload, value=station.transactions)
            return session.make_result(call.message_id, payload) if out.later is None else None
        except NotSupportedError as error:
            out.findings.append(("not_supported", str(error)))
            return session.make_error(call.message_id, "NotSupported", str(error))
        except Exception as error:
            out.later = None
            return self._failed(station, session, call, error)

    async def later(self, station: StationState, session: OcppSession, call: CallReceived, out: Outbox) -> str:
        """Wait for the decision and return the frame that answers; what happened is told in either case."""
        assert out.later is not None
        try:
            info = await out.later.ask()
            reply = session.make_result(call.message_id, {"idTokenInfo": info})
        except Exception as error:
            out.later.settled("Invalid")
            return self._failed(station, session, call, error)
        out.later.settled(info["status"])
        return reply

    def _failed(self, station: StationState, session: OcppSession, call: CallReceived, error: Exception) -> str:
        _log.error("a call could not be answered", exc_info=error)
        code = "invalid_answer" if isinstance(error, SchemaError) else DEFECT
        self._own_finding(station.station_id, code, f"{call.action}: {type(error).__name__}: {error}")
        return session.make_error(call.message_id, "InternalError", f"the bench failed to answer {call.action}")

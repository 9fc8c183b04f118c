"""The profile of a remote start is bound to the transaction that carries its remoteStartId, whichever comes first."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.exchange import Call
from bench.runs.expected import Store, change_by

SCHEDULE = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}]}
PROFILE = {"id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
           "chargingSchedule": [SCHEDULE]}  # fmt: skip


def call(from_station: bool, action: str, request: dict[str, Any], response: dict[str, Any]) -> Call:
    """Return an answered call."""
    return Call("CS-1", from_station, action, request, 0.0, 0, response, answered=0.0, answered_seq=1)


REQUEST = {"remoteStartId": 7, "evseId": 2, "chargingProfile": PROFILE}
START = call(False, "RequestStartTransaction", REQUEST, {"status": "Accepted"})
INFO = {"transactionId": "T", "remoteStartId": 7}
EVENT = call(True, "TransactionEvent", {"eventType": "Started", "transactionInfo": INFO, "evse": {"id": 2}}, {})


@pytest.mark.parametrize("calls", [(START, EVENT), (EVENT, START)])
def test_the_profile_is_of_the_transaction_with_the_id(calls: tuple[Call, Call]) -> None:
    """K05.FR.03, F01: the event may overtake the answer; one of them alone installs nothing."""
    store = Store()
    for index, one in enumerate(calls):
        change = change_by(one)
        assert change is not None
        change(store)
        assert len(store.profiles) == index
    assert [(one.evse_id, one.profile.transaction_id) for one in store.profiles] == [(2, "T")]

"""The schemas of OCPP 2.0.1 as the bench uses them."""

from __future__ import annotations

import subprocess
import sys

import orjson
import pytest

from bench.wire.schemas import MAX_REASON, check_payload, known_actions


def test_all_actions_are_known() -> None:
    """OCPP 2.0.1 has 64 actions, each with a request and a response."""
    actions = known_actions()
    assert len(actions) == 64
    assert {"BootNotification", "Get15118EVCertificate", "SetChargingProfile"} <= actions


@pytest.mark.parametrize("action", sorted(known_actions()))
@pytest.mark.parametrize("response", [False, True])
def test_each_schema_compiles(action: str, response: bool) -> None:
    """A list is never a payload."""
    violation = check_payload(action, response, [])
    assert violation is not None
    assert violation.code == "TypeConstraintViolation"


def test_violation_says_where() -> None:
    """Path and reason are enough to mend the message."""
    period = {"startPeriod": 0, "limit": "16"}
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
    profile = {"id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
               "chargingSchedule": [schedule]}  # fmt: skip
    violation = check_payload("SetChargingProfile", False, {"evseId": 1, "chargingProfile": profile})
    assert str(violation) == (
        'chargingProfile.chargingSchedule[0].chargingSchedulePeriod[0].limit: "16" is not of type "number"'
    )


def test_reason_is_cut() -> None:
    """A station's megabyte does not come back in every text about it."""
    violation = check_payload("DataTransfer", False, {"vendorId": "v" * 1_000_000})
    assert violation is not None
    assert len(violation.reason) <= MAX_REASON


@pytest.mark.parametrize("payload", ["[" * 1000 + "]" * 1000, '{"timestamp":' + "[" * 1000 + "]" * 1000 + "}"])
def test_a_payload_nested_too_deeply_is_a_violation(payload: str) -> None:
    """The validator gives up below 255 levels; that is the payload's fault."""
    violation = check_payload("StatusNotification", False, orjson.loads(payload))
    assert violation is not None
    assert (violation.code, violation.reason, violation.tolerable) == ("FormatViolation", "nested too deeply", False)


def test_unknown_action_is_a_mistake_of_the_caller() -> None:
    """The session asks for known actions only; a path never reaches the file system."""
    with pytest.raises(KeyError):
        check_payload("../../secrets", False, {})


def test_the_ocpp_package_is_not_imported() -> None:
    """Its import costs more than a whole command should."""
    program = (
        "import sys; from bench.wire.schemas import check_payload; check_payload('Reset', False, {});"
        "sys.exit(any(name.split('.')[0] == 'ocpp' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

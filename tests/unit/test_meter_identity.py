"""Which accuracy is in force for a meter, and what the report has to doubt."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.identity import check_plausible, identity_of, read_serial_number
from bench.adapters.mqtt_meter import MqttMeter
from bench.domain.meter import MeterReading
from bench.domain.uncertainty import accuracy_of
from bench.errors import RigError
from bench.settings.base import load
from bench.settings.instruments import ModbusTcpMeter
from bench.settings.instruments import MqttMeter as MqttMeterSettings
from bench.settings.meter import MeterMap
from bench.wire.registers import text_of
from tests.support import EPOCH

METERS = Path(__file__).parents[2] / "config/meters"
ABB = load(MeterMap, METERS / "abb-b23.toml")
CERTIFIED = {"current_percent": 0.2, "power_percent": 0.25, "certificate": "C-17"}


def identity(told: str, **settings: Any) -> dict[str, Any]:
    """Return what is known of a meter without a data sheet that tells this number."""
    meter = ModbusTcpMeter.model_validate({"kind": "modbus-tcp", "register_map": "x", **settings})
    return identity_of("m", meter, ABB, told)


@pytest.mark.parametrize(
    ("settings", "told", "certificate", "doubt"),
    [
        ({"serial_number": "17", "accuracy": CERTIFIED}, "17", "C-17", ""),
        ({"serial_number": "00 1A-7", "accuracy": CERTIFIED}, "1a7", "C-17", ""),
        ({"serial_number": "17", "accuracy": CERTIFIED}, "", "C-17", "serial number 17 was not checked: the meter does not"),
        ({"accuracy": CERTIFIED}, "17", "C-17", "certificate C-17 was not checked: the rig file has no serial_number"),
        ({"serial_number": "18", "accuracy": CERTIFIED}, "17", "", "tells serial number 17, the rig file 18"),
        ({}, "17", "", "its accuracy is not known"),
    ],
)
def test_what_is_doubted(settings: dict[str, Any], told: str, certificate: str, doubt: str) -> None:
    """Only the number of the certificate, told by the meter, leaves no doubt; blanks, hyphens, case and zeros do not count."""
    found = identity(told, **settings)
    assert found["certificate"] == certificate
    assert doubt in found["doubt"] if doubt else found["doubt"] == ""
    assert (found["accuracy"] is None) == (certificate == "")


TABLE = {"number": "K-9", "date": "2026-01-10", "due": "2027-01-10", "current": [[6, 0.01, 0.02], [16, 0.02, 0.03]]}


def test_a_certificate_with_points_is_in_force() -> None:
    """The document has its table beside what counts elsewhere; from it the judge takes U of a current, and none of power."""
    found = identity("17", serial_number="17", certificate=TABLE)
    assert (found["certificate"], found["doubt"]) == ("K-9", "")
    assert accuracy_of(found["accuracy"], "current", "a").expanded(16) == pytest.approx(0.05)
    assert not accuracy_of(found["accuracy"], "power", "w").known
    assert identity("18", serial_number="17", certificate=TABLE)["accuracy"] is None


def test_drift_counts_from_the_calibration_on() -> None:
    """0.1 % a year of 10 A over one year: 0.01 A / sqrt 3 beside U / 2 = 0.012 A."""
    found = identity("17", serial_number="17", certificate={**TABLE, "drift_percent_per_year": 0.1})
    today = accuracy_of(found["accuracy"], "current", "a", date(2026, 1, 10))
    later = accuracy_of(found["accuracy"], "current", "a", date(2027, 1, 10))
    assert today.standard(10) == pytest.approx(0.012)
    assert later.standard(10) == pytest.approx(0.01332, abs=2e-5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"current": [[16, 0, 0.1], [6, 0, 0.1]]}, "readings must ascend"),
        ({"current": []}, "needs points of current or power"),
        ({"due": "2025-12-31"}, "due = 2025-12-31 lies before date = 2026-01-10"),
    ],
)
def test_a_certificate_that_cannot_be(changes: dict[str, Any], reason: str) -> None:
    """Points out of order, none at all, a due day before its date: told by key and reason."""
    with pytest.raises(ValueError, match=reason):
        identity("17", certificate={**TABLE, **changes})


def test_one_certificate_only() -> None:
    """Two numbers for one meter contradict each other."""
    with pytest.raises(ValueError, match="keep one of them"):
        identity("17", accuracy=CERTIFIED, certificate=TABLE)


async def test_a_number_that_is_cut_short_is_asked_for_again() -> None:
    """Some meters tell the first character only, and the whole at the next time."""
    answers = [(0x4200, 0, 0, 0, 0, 0, 0), (0x4142, 0x4344, 0, 0, 0, 0, 0)]

    async def read(function: str, address: int, count: int) -> tuple[int, ...]:
        return answers.pop(0)

    text, constant = await read_serial_number(load(MeterMap, METERS / "carlo-gavazzi-em340.toml"), read)
    assert text == "ABCD"
    assert constant is not None
    assert constant.content[:2] == (0x4142, 0x4344)


async def test_a_refused_number_is_none() -> None:
    """A meter that has no such register is not asked for it again and again."""

    async def read(function: str, address: int, count: int) -> tuple[int, ...]:
        raise RigError("refused with exception 2")

    assert await read_serial_number(ABB, read) == ("", None)


def test_one_character_in_a_word_is_text() -> None:
    """The ET340 has its characters in the low bytes."""
    assert text_of([0x41, 0x42, 0x37, 0, 0], "ascii") == "AB7"
    assert text_of([0x4142, 0x3700, 0, 0], "ascii") == "AB7"


def test_a_dead_meter_is_told_apart_from_a_wrong_one() -> None:
    """0 V asks where the contactor is; 5 V asks whether it is this model."""
    for volts, hint in ((0.0, True), (5.0, False)):
        none = (None, None, None)
        reading = MeterReading(EPOCH, EPOCH, (volts, volts, volts), none, None, none, None, None, {})
        with pytest.raises(RigError, match="Is this meter really the ABB B23") as error:
            check_plausible("m", ABB, reading)
        assert ("wire it before the contactor" in str(error.value)) is hint


async def test_a_meter_that_publishes_tells_no_number() -> None:
    """It is identified all the same, by what the rig file says, and nothing is waited for."""
    quantity = {"power_total": {"path": "p"}}
    settings = MqttMeterSettings.model_validate({"kind": "mqtt", "topic": "t", "quantity": quantity, "serial_number": "17"})
    found = await MqttMeter("m", settings, LoopClock(EPOCH)).identify()
    assert (found["serial_number"], found["accuracy"]) == ("", None)
    assert "the meter does not tell it; its accuracy is not known" in found["doubt"]

"""The faults of Modbus meters, each asked at the point of the seam where it acts."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_sim.faults import FaultSeam
from firmware_sim.instruments.modbus import Reply

FRAME = bytes([1, 4, 4, 0x43, 0x66, 0x80, 0x00, 0xAA, 0xBB])
SHOWN = {"power_l1": 100.0, "power_l2": 200.0, "power_l3": 300.0, "power_total": 600.0, "energy_import": 1500.0}


def seeded(fault_id: str, **params: Any) -> FaultSeam:
    """Return a seam with one fault of meter m1."""
    seam = FaultSeam()
    seam.seed(fault_id, {"meter": "m1", **params})
    return seam


def reply(seam: FaultSeam, t: float = 0.0, meter: str = "m1", *, rtu: bool = True) -> Reply:
    """Let a reply pass."""
    passed: Reply = seam.apply("reply", meter, t, value=Reply(FRAME, rtu=rtu))
    return passed


def shown(seam: FaultSeam, t: float = 0.0, meter: str = "m1", **changed: float) -> dict[str, float]:
    """Let values pass."""
    passed: dict[str, float] = seam.apply("registers", meter, t, value={**SHOWN, **changed})
    return passed


@pytest.mark.parametrize(
    ("fault_id", "params", "frame", "delay_s"),
    [
        ("meter.late-reply", {"late_s": 0.3}, FRAME, 0.3),
        ("meter.stray-byte", {"byte": 0}, b"\0" + FRAME, 0.0),
        ("meter.crc-error", {}, FRAME[:4] + bytes([FRAME[4] ^ 1]) + FRAME[5:], 0.0),
        ("meter.truncated", {"lost_bytes": 3}, FRAME[:-3], 0.0),
    ],
)
def test_every_second_reply_of_one_meter_is_spoilt(fault_id: str, params: dict[str, Any], frame: bytes, delay_s: float) -> None:
    """The first is sound, the second is not, and those of another meter do not count."""
    seam = seeded(fault_id, every=2, **params)
    assert reply(seam, meter="m2") == Reply(FRAME)
    assert [reply(seam) for _ in range(3)] == [Reply(FRAME), Reply(frame, delay_s), Reply(FRAME)]


def test_noise_is_of_a_wire_and_not_of_tcp() -> None:
    """A stray byte or a wrong CRC does not come through a connection."""
    for seam in (seeded("meter.stray-byte", byte=0, every=1), seeded("meter.crc-error", every=1)):
        assert reply(seam, rtu=False) == Reply(FRAME, rtu=False)


def test_a_meter_is_silent_for_a_time() -> None:
    """From 10 s on for 5 s, counted from the first request to it."""
    seam = seeded("meter.silent", from_s=10, for_s=5)
    assert [bool(reply(seam, t).frame) for t in (100, 109, 110, 114.9, 115)] == [True, True, False, False, True]


def test_a_reboot_is_a_silence_after_which_energy_is_gone() -> None:
    """Silent from 10 s to 15 s; then 400 Wh of 1500 Wh are forgotten."""
    seam = seeded("meter.reboot", from_s=10, for_s=5, lost_wh=400)
    assert [shown(seam, t)["energy_import"] for t in (100, 115)] == [1500, 1100]
    assert [bool(reply(seam, t).frame) for t in (100, 112, 115)] == [True, False, True]


def test_values_stand_still_for_a_time() -> None:
    """From 10 s on for 20 s the meter shows 1 W, whatever there is, and then the truth again."""
    seam = seeded("meter.frozen", from_s=10, for_s=20)
    found = [shown(seam, t, power_total=power)["power_total"] for t, power in ((0, 0), (10, 1), (20, 2), (30, 3))]
    assert found == [0, 1, 1, 3]


def test_registers_can_say_that_there_is_no_value() -> None:
    """7fff ffff for one quantity of two registers; one word is repeated."""
    seam = seeded("meter.not-available", quantity="power_total", content="7fffffff")
    assert seam.apply("encoded", "m1", "power_total", value=(1, 2)) == (0x7FFF, 0xFFFF)
    assert seam.apply("encoded", "m1", "power_l1", value=(1, 2)) == (1, 2)
    assert seeded("meter.not-available", quantity="*", content="ffff").apply("encoded", "m1", "x", value=(1, 2)) == (0xFFFF,) * 2


def test_registers_come_in_the_other_order() -> None:
    """Those of the quantity that is named."""
    seam = seeded("meter.word-order", quantity="power_total")
    assert seam.apply("encoded", "m1", "power_total", value=(1, 2, 3, 4)) == (4, 3, 2, 1)
    assert seam.apply("encoded", "m2", "power_total", value=(1, 2)) == (1, 2)


def test_a_phase_has_the_wrong_sign() -> None:
    """L1 and L3 turned round: -100 + 200 - 300 W."""
    found = shown(seeded("meter.sign", phases="13"))
    assert (found["power_l1"], found["power_l2"], found["power_l3"], found["power_total"]) == (-100, 200, -300, -200)


def test_the_counter_rolls_over() -> None:
    """1500 Wh on a counter that is full at 1000 Wh."""
    assert shown(seeded("meter.rollover", modulus_wh=1000))["energy_import"] == 500


def test_an_average_has_a_window() -> None:
    """Of the meter that is named."""
    seam = seeded("meter.slow-average", window_s=20)
    assert [seam.apply("averaging_s", meter, value=0.0) for meter in ("m1", "m2")] == [20, 0]


@pytest.mark.parametrize(
    ("fault_id", "params", "reason"),
    [
        ("meter.late-reply", {"late_s": -1, "every": 1}, "late_s = -1"),
        ("meter.stray-byte", {"byte": 256, "every": 1}, "byte = 256"),
        ("meter.crc-error", {"every": 0}, "every = 0"),
        ("meter.not-available", {"quantity": "power_total", "content": "7ff"}, "content = '7ff'"),
        ("meter.word-order", {"quantity": ""}, "quantity = ''"),
        ("meter.slow-average", {"window_s": 301}, "window_s = 301"),
        ("meter.sign", {"phases": "14"}, "phases = '14'"),
        ("meter.crc-error", {"every": 1, "meter": ""}, "meter = ''"),
    ],
)
def test_a_wrong_parameter_is_refused(fault_id: str, params: dict[str, Any], reason: str) -> None:
    """The message names the parameter and its value."""
    with pytest.raises(ValueError, match=reason):
        seeded(fault_id, **params)


def test_a_drift_grows_to_its_factor() -> None:
    """Begins after 10 s and grows for 10 s; of the power, and of what the register gains."""
    power = seeded("meter.drift", from_s=10, over_s=10, factor=1.1, of="power")
    assert [round(shown(power, t)["power_total"]) for t in (0, 9, 15, 20, 90)] == [600, 600, 630, 660, 660]
    energy = seeded("meter.drift", from_s=10, over_s=0, factor=1.1, of="energy")
    looks = [shown(energy, t, energy_import=wh)["energy_import"] for t, wh in ((0, 1000), (10, 1000), (20, 1100))]
    assert [round(one) for one in looks] == [1000, 1000, 1110]

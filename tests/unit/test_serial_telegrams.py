"""P1 and SML: bytes to telegrams to readings; what is wrong is a reason, never a zero."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from bench.adapters.journal import encode
from bench.domain.meter import MeterReading
from bench.wire.p1 import P1Framer, P1Version, decode_p1, p1_serial_number, p1_stamp
from bench.wire.sml import SmlFramer, decode_sml, sml_serial_number
from firmware_sim.instruments import p1, sml
from firmware_sim.instruments.serial_meter import Shown
from tests.support import EPOCH

SHOWN = Shown(EPOCH, (230.1, 229.9, 231.0), (16.4, 6.6, 1.5), (3773.0, 1517.0, -346.0), 1_234_567.0)
LATER = EPOCH + timedelta(milliseconds=70)
VERSIONS = get_args(P1Version)


def read_p1(raw: bytes, version: P1Version = "5") -> MeterReading:
    """Decode a telegram."""
    return decode_p1(raw, version, EPOCH, LATER)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_gives_power_and_energy(version: P1Version) -> None:
    """Import less export in W (2.2: in steps of 10 W), energy in Wh, and the telegram itself to decode again."""
    raw = p1.telegram(SHOWN, version)
    reading = read_p1(raw, version)
    assert reading.power_w == (4940.0 if version == "2.2" else 4944.0)
    assert reading.energy_import_wh == pytest.approx(1_234_567)
    assert (reading.registers, reading.requested, reading.received) == ({"p1": raw.hex()}, EPOCH, LATER)


def test_phases_of_version_5() -> None:
    """Voltage in 0.1 V, current in whole A without a sign, phase power with its sign; no frequency."""
    reading = read_p1(p1.telegram(SHOWN, "5"))
    assert reading.voltage_v == (230.1, 229.9, 231.0)
    assert reading.current_a == (16.0, 7.0, 2.0)
    assert reading.phase_power_w == (3773.0, 1517.0, -346.0)
    assert reading.frequency_hz is None


def test_what_a_version_does_not_tell_is_none() -> None:
    """Version 4 has no voltage, 2.2 neither voltage, current nor phase power."""
    assert read_p1(p1.telegram(SHOWN, "4"), "4").voltage_v == (None, None, None)
    old = read_p1(p1.telegram(SHOWN, "2.2"), "2.2")
    assert {*old.voltage_v, *old.current_a, *old.phase_power_w} == {None}


def signed(text: str) -> bytes:
    """Return a telegram of version 5 of these lines with its checksum."""
    body = f"/EMU5\\x\r\n\r\n{text}!".encode()
    return body + f"{p1.crc16(body):04X}\r\n".encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (p1.telegram(SHOWN, "5").replace(b"04.944", b"04.945"), "checksum"),
        (signed("1-0:2.7.0(00.000*kW)\r\n"), r"no 1\.7\.0"),
        (signed("1-0:1.7.0(00.100*kW)\r\n"), r"no 2\.7\.0"),
        (signed("1-0:1.7.0()\r\n1-0:2.7.0(00.000*kW)\r\n"), "None"),
        (signed("1-0:1.7.0(00.100*hp)\r\n1-0:2.7.0(00.000*kW)\r\n"), "unit"),
        (signed("1-0:1.7.0(ab.cde*kW)\r\n1-0:2.7.0(00.000*kW)\r\n"), "cannot be read"),
        (b"/EMU5\\x\r\n\xff\xfe\r\n!1234\r\n", "ASCII"),
        (b"/EMU5\\x\r\n\r\n!ZZZZ\r\n", "cannot be read"),
    ],
)
def test_a_bad_telegram_has_a_reason(raw: bytes, reason: str) -> None:
    """Checksum, missing power, empty value, unknown unit, no number, no text: each is told, none is a zero."""
    with pytest.raises(ValueError, match=reason):
        read_p1(raw)


def test_without_a_checksum_a_broken_line_condemns_the_telegram() -> None:
    """Version 2.2: a line that is cut or told twice."""
    raw = p1.telegram(SHOWN, "2.2")
    for broken in (raw.replace(b"*kW)", b"*k", 1), raw.replace(b"!", b"1-0:1.7.0(0000.01*kW)\r\n!")):
        with pytest.raises(ValueError, match="broken or told twice"):
            read_p1(broken, "2.2")


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_telegrams_are_found_in_any_chunks(chunk: int) -> None:
    """Garbage, half a telegram and noise between: each whole telegram is found at its place in the stream."""
    one = p1.telegram(SHOWN, "5")
    stream = b"\x00\xff*kW)\r\n!12" + one + one[:200] + one + b"noise\r\n" + one
    framer = P1Framer()
    found = [telegram for at in range(0, len(stream), chunk) for telegram in framer.feed(stream[at : at + chunk])]
    assert [telegram.raw for telegram in found] == [one] * 3
    assert all(stream[telegram.start : telegram.end] == one for telegram in found)


def test_a_long_telegram_is_read_and_an_endless_one_given_up() -> None:
    """100 kB come through; a beginning without an end does not keep the next telegram away."""
    filler = "".join(f"0-0:96.13.{number}({'30' * 400})\r\n" for number in range(125))
    long = signed(f"{filler}1-0:1.7.0(01.000*kW)\r\n1-0:2.7.0(00.000*kW)\r\n")
    framer = P1Framer()
    assert [read_p1(one.raw).power_w for at in range(0, len(long), 999) for one in framer.feed(long[at : at + 999])] == [1000.0]
    assert framer.feed(b"/EMU5\\x\r\n" + b"x" * 300_000) == []
    assert [one.raw for one in framer.feed(b"\r\n" + p1.telegram(SHOWN, "5"))] == [p1.telegram(SHOWN, "5")]


def test_a_disturbed_stream_gives_no_wrong_reading() -> None:
    """300 telegrams with random bytes turned over: sound ones read right, the others have a reason."""
    dice, framer, right = random.Random(4), P1Framer(), 0
    for _ in range(300):
        raw = bytearray(p1.telegram(SHOWN, "5"))
        if dice.random() < 0.7:
            raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
        for telegram in framer.feed(bytes(raw)):
            try:
                assert read_p1(telegram.raw).power_w == 4944.0
                right += 1
            except ValueError:
                pass
    assert right > 50


def test_a_summer_telegram_says_so() -> None:
    """The meter's clock: CET with W, CEST with S."""
    assert p1.local_time(datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)) == "260329015959W"
    assert p1.local_time(datetime(2026, 3, 29, 1, 0, 0, tzinfo=UTC)) == "260329030000S"


def summed(body: bytes) -> bytes:
    """Return a file with its checksum."""
    return body + sml.crc16(body).to_bytes(2, "little")


def test_an_sml_file_gives_a_reading() -> None:
    """Power with its sign, phases, frequency and energy; the file itself to decode again."""
    raw = sml.telegram(SHOWN)
    reading = decode_sml(raw, EPOCH, LATER)
    assert (reading.power_w, reading.energy_import_wh, reading.frequency_hz) == (4944.0, 1_234_567.0, 50.0)
    assert (reading.voltage_v, reading.current_a) == (SHOWN.voltage_v, SHOWN.current_a)
    assert (reading.phase_power_w, reading.registers) == (SHOWN.power_w, {"sml": raw.hex()})


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_sml_files_are_found_in_any_chunks(chunk: int) -> None:
    """Garbage and half a file before: whole files are found; the broken one has a wrong checksum."""
    one = sml.telegram(SHOWN)
    stream = b"\x1b\x1b\x00" + one + one[:150] + one + one
    framer = SmlFramer()
    found = [telegram for at in range(0, len(stream), chunk) for telegram in framer.feed(stream[at : at + chunk])]
    assert [telegram.raw for telegram in found if len(telegram.raw) == len(one)] == [one] * 2
    assert all(stream[telegram.start : telegram.end] == telegram.raw for telegram in found)


def test_an_sml_file_that_was_disturbed_or_has_no_power_is_refused() -> None:
    """A wrong checksum; a meter that tells only its energy before the PIN."""
    raw = sml.telegram(SHOWN)
    with pytest.raises(ValueError, match="checksum"):
        decode_sml(raw[:60] + bytes([raw[60] ^ 1]) + raw[61:], EPOCH, LATER)
    body = raw[:-2].replace(bytes.fromhex("0100100700ff"), bytes.fromhex("0100110700ff"))
    with pytest.raises(ValueError, match="PIN"):
        decode_sml(summed(body), EPOCH, LATER)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"0-0:96.1.1(4530303434)", "E0044"), (b"0-0:96.1.0(4C4F47)", "LOG"), (b"0-0:96.1.0(4C4F47)\r\n0-0:96.1.1(4530)", "E0"),
        (b"0-0:96.1.1(7359992890941742)", "7359992890941742"), (b"0-0:96.1.1()", ""), (b"0-1:96.1.1(4530)", ""),
    ],
)  # fmt: skip
def test_the_number_in_a_telegram(line: bytes, number: str) -> None:
    """Hexadecimal digits are text where that can be printed; the number of a gas meter is not the meter's."""
    assert p1_serial_number(b"/EMU5\\50\r\n\r\n" + line + b"\r\n!0000\r\n") == number


def test_the_server_id_of_an_sml_file() -> None:
    """As hexadecimal digits."""
    assert sml_serial_number(sml.telegram(SHOWN)) == "0A01454D550000000001"


@pytest.mark.parametrize(
    ("old", "new"),
    [(bytes.fromhex("621b52ff"), bytes.fromhex("621e52ff")), (bytes.fromhex("0100240700ff"), bytes.fromhex("0100100700ff"))],
    ids=["power in Wh", "power told twice"],
)
def test_an_sml_file_that_contradicts_itself_is_refused(old: bytes, new: bytes) -> None:
    """A power in another unit, or two of them: which one holds is not for the bench to guess."""
    with pytest.raises(ValueError, match="or is told twice"):
        decode_sml(summed(sml.telegram(SHOWN)[:-2].replace(old, new)), EPOCH, LATER)


def test_an_absurd_sml_number_can_be_written_down() -> None:
    """A power of ten of 127 is still a number that a journal takes; whether it is true is for others to say."""
    raw = summed(sml.telegram(SHOWN)[:-2].replace(b"\x52\xff", b"\x52\x7f"))
    assert json.loads(encode(decode_sml(raw, EPOCH, LATER).as_document("main")))["power_w"] > 1e100


@pytest.mark.parametrize("month", [1, 7])
def test_a_p1_telegram_tells_its_own_time(month: int) -> None:
    """In winter and in summer the same moment as it was sent; a broken one is none."""
    at = datetime(2026, month, 5, 12, 30, 15, tzinfo=UTC)
    raw = p1.telegram(Shown(at, SHOWN.voltage_v, SHOWN.current_a, SHOWN.power_w, 0.0), "5")
    assert datetime.fromisoformat(read_p1(raw).stamp) == at
    assert p1_stamp(b"0-0:1.0.0(269999999999S)\r\n") == ""

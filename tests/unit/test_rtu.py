"""The reply to a Modbus RTU request, found in what a line brought."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.wire.rtu import crc16, reply_in

REQUEST = bytes.fromhex("010400340002300541"[:16])
REPLY = bytes.fromhex("0104044366800e") + crc16(bytes.fromhex("0104044366800e")).to_bytes(2, "little")


def test_the_crc_is_that_of_the_standard() -> None:
    """MODBUS over Serial Line V1.02, appendix B: unit 2, function 7 has CRC 0x1241, sent as 41 12."""
    assert crc16(b"\x02\x07") == 0x1241


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_stray_bytes_are_cut_off(before: bytes, after: bytes) -> None:
    """Whatever stands around a whole reply, the reply is found."""
    assert reply_in(before + REPLY + after, REQUEST) == REPLY


@given(st.integers(0, len(REPLY) - 1))
def test_a_part_of_a_reply_is_none(end: int) -> None:
    """A reply is whole or nothing."""
    assert reply_in(REPLY[:end], REQUEST) == b""


@given(st.integers(0, 8 * len(REPLY) - 1))
def test_a_reply_with_a_flipped_bit_is_none(bit: int) -> None:
    """Unit, function code, length and CRC have to be right."""
    broken = bytearray(REPLY)
    broken[bit // 8] ^= 1 << bit % 8
    assert reply_in(bytes(broken), REQUEST) == b""


@given(st.binary(max_size=300))
def test_noise_is_no_reply(noise: bytes) -> None:
    """What is found has the unit and the function code of the request, or the code of its refusal."""
    found = reply_in(noise, REQUEST)
    assert not found or (found[0], found[1] & 0x7F) == (REQUEST[0], REQUEST[1])


def test_an_exception_is_a_reply() -> None:
    """A refusal is the request's function code with its highest bit set."""
    refusal = b"\x01\x84\x02" + crc16(b"\x01\x84\x02").to_bytes(2, "little")
    assert reply_in(b"\x00" + refusal, REQUEST) == refusal


def test_only_what_follows_an_echo_is_a_reply() -> None:
    """A write is confirmed by its own request, which an echoing line gives back too."""
    write = b"\x01\x05\x00\x03\xff\x00" + crc16(b"\x01\x05\x00\x03\xff\x00").to_bytes(2, "little")
    assert reply_in(write, write, echoed=True) == b""
    assert reply_in(b"\x00" + write + write, write, echoed=True) == write

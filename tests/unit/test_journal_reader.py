"""What a reader says of a journal that was damaged, cut off, or never was one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.adapters import journal_reader
from bench.adapters.journal import open_journal
from bench.adapters.journal_reader import read_journal
from bench.domain.documents import FIRST_HASH, chain
from bench.errors import EvidenceError
from tests.support import FakeClock


@pytest.fixture
def path(tmp_path: Path, clock: FakeClock) -> Path:
    """Return a sound journal of four documents."""
    path = tmp_path / "journal.jsonl"
    with open_journal(path, clock, b"key") as journal:
        for number in range(4):
            journal.write("sample", {"n": number, "text": 'a "quoted" ü'})
            clock.advance(0.25)
    return path


def forge(path: Path, *bodies: bytes) -> None:
    """Write lines with a sound chain, whatever they say."""
    head, content = FIRST_HASH, b""
    for body in bodies:
        head = chain(head, body)
        content += b'%b,"h":"%b"}\n' % (body[:-1], head)
    path.write_bytes(content)


def test_each_flipped_bit_pattern_is_found(path: Path) -> None:
    """Whatever byte is changed, the reader names the line, and gives what stands before it."""
    sound = path.read_bytes()
    for at in range(len(sound)):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 0x01]) + sound[at + 1 :])
        reading = read_journal(path)
        line = sound.count(b"\n", 0, at)
        assert (reading.broken_at, reading.torn_tail) in ((line, False), (None, at == len(sound) - 1)), f"byte {at}"
        assert len(reading.documents) == line


@pytest.mark.parametrize("byte", [b"\n", b'"', b"\x00", b"\xff"])
def test_each_replaced_byte_is_found(path: Path, byte: bytes) -> None:
    """A newline, a quote, a NUL or a byte that is no UTF-8 in any place is found as well."""
    sound = path.read_bytes()
    for at in range(len(sound)):
        if sound[at : at + 1] != byte:
            path.write_bytes(sound[:at] + byte + sound[at + 1 :])
            reading = read_journal(path)
            assert reading.broken_at is not None or reading.torn_tail, f"byte {at}"


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_missing_line_is_found(path: Path, gone: int) -> None:
    """A removed line breaks the chain at its place, and the reason says so."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    reading = read_journal(path)
    assert reading.broken_at == gone
    assert reading.reason.startswith(f"it is document {gone + 1} where document {gone} is due")


def test_a_changed_value_is_named_as_such(path: Path) -> None:
    """A line that still reads well but does not fit its hash was changed."""
    path.write_bytes(path.read_bytes().replace(b'"n":2', b'"n":7'))
    reading = read_journal(path)
    assert (reading.broken_at, reading.reason) == (2, "its hash does not fit: this line, or the hash before it, was changed")


@pytest.mark.parametrize("cut", [1, 2, 50])
def test_a_torn_tail_is_reported_and_dropped(path: Path, cut: int) -> None:
    """A last line without its newline was being written when the bench died; all before it stands."""
    path.write_bytes(path.read_bytes()[:-cut])
    reading = read_journal(path)
    assert (len(reading.documents), reading.torn_tail, reading.broken_at) == (3, True, None)


def test_the_head_tells_a_journal_that_was_cut_between_lines(path: Path) -> None:
    """Whole lines cut off at the end leave a sound chain: only the head, kept in result.json, shows it."""
    whole = read_journal(path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    shorter = read_journal(path)
    assert shorter.broken_at is None
    assert shorter.head != whole.head


def test_an_empty_journal_has_no_documents(tmp_path: Path) -> None:
    """A bench that died before its first document leaves an empty file: nothing is broken, nothing is there."""
    path = tmp_path / "journal.jsonl"
    path.touch()
    reading = read_journal(path)
    assert (reading.documents, reading.head, reading.broken_at, reading.torn_tail) == ([], FIRST_HASH.decode(), None, False)


@pytest.mark.parametrize("content", [b"\x7fELF\x00\xff\n", b"\n", b"[]\n", b'{"seq":0}\n', b"hello\n", b"[" * 100_000 + b"\n"])
def test_a_file_that_is_no_journal_is_a_finding(tmp_path: Path, content: bytes) -> None:
    """Any file can be given to the reader; it says why it is no journal and never fails otherwise."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    reading = read_journal(path)
    assert reading.broken_at == 0
    assert reading.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"v":2,"seq":0,"t":"2026-01-15T00:00:00Z","kind":"a","data":{}}', "its schema version is 2; this bench reads 1"),
        (b'{"v":1,"seq":5,"t":"2026-01-15T00:00:00Z","kind":"a","data":{}}', "it is document 5 where document 0 is due"),
        (b'{"v":1,"seq":0,"t":"yesterday","kind":"a","data":{}}', "Invalid isoformat string: 'yesterday'"),
        (b'{"v":1,"seq":0,"t":"2026-01-15T00:00:00Z","kind":7,"data":{}}', "`kind` must be text and `data` an object"),
        (b'{"v":1,"seq":0,"t":"2026-01-15T00:00:00Z","kind":"a","data":[]}', "`kind` must be text and `data` an object"),
        (b'{"v":1,"seq":0,"kind":"a","data":{}}', "it is no document of a journal ('t')"),
    ],
)
def test_a_sound_chain_of_unsound_documents_is_a_finding(tmp_path: Path, body: bytes, reason: str) -> None:
    """Whoever forges a chain still has to forge documents that this bench can read."""
    path = tmp_path / "journal.jsonl"
    forge(path, body)
    reading = read_journal(path)
    assert (reading.broken_at, reading.reason) == (0, reason)


def test_a_huge_line_is_a_finding(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line without end is not read into memory."""
    monkeypatch.setattr(journal_reader, "LONGEST_LINE", 1000)
    path.write_bytes(path.read_bytes() + b"x" * 5000 + b"\n")
    reading = read_journal(path)
    assert (reading.broken_at, reading.reason) == (4, "it is longer than 1000 bytes: no document of a bench")


@pytest.mark.parametrize(("name", "reason"), [("nothing", "No such file or directory"), (".", "Is a directory")])
def test_what_cannot_be_read_is_an_error(tmp_path: Path, name: str, reason: str) -> None:
    """A wrong path is told with its reason, not with a traceback."""
    with pytest.raises(EvidenceError, match=reason):
        read_journal(tmp_path / name)

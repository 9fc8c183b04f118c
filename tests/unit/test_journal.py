"""The journal on paper and back: numbering, chain, secrets, torn tails, and what a reader says of a damaged one."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.adapters.journal import JournalFile, encode, open_journal, write_result
from bench.adapters.journal_reader import read_journal
from bench.adapters.redact import Redactor
from bench.domain.documents import FIRST_HASH, Kind, chain
from bench.errors import EvidenceError
from tests.support import EPOCH, FakeClock

KEY = b"key of this run"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the journal under test stands."""
    return tmp_path / "journal.jsonl"


@pytest.fixture
def written(path: Path, clock: FakeClock) -> Iterator[JournalFile]:
    """Return an open journal."""
    with open_journal(path, clock, KEY) as journal:
        yield journal


def test_documents_are_numbered_and_timed(path: Path, written: JournalFile, clock: FakeClock) -> None:
    """Each document has the next number and the clock's time; the reader gives both back."""
    assert written.write(Kind.FINDING, {"code": "a"}) == 0
    clock.advance(1.5)
    assert written.write("other", {"n": None, "text": "ü\n"}) == 1
    reading = read_journal(path)
    assert [(one.seq, one.t - EPOCH, one.kind, one.data) for one in reading.documents] == [
        (0, timedelta(0), "finding", {"code": "a"}),
        (1, timedelta(seconds=1.5), "other", {"n": None, "text": "ü\n"}),
    ]
    assert (reading.broken_at, reading.torn_tail) == (None, False)


def test_the_chain_can_be_recomputed_by_hand(path: Path, written: JournalFile) -> None:
    """h is the SHA-256 of the previous h and of the line without its own, as the format says."""
    written.write("a", {"x": 1})
    written.write("b", {})
    first, second = path.read_bytes().splitlines()
    head = chain(FIRST_HASH, b'{"v":1,"seq":0,"t":"2026-01-15T00:00:00Z","kind":"a","data":{"x":1}}')
    assert first.endswith(b',"h":"%b"}' % head)
    assert json.loads(second)["h"].encode() == chain(head, b'{"v":1,"seq":1,"t":"2026-01-15T00:00:00Z","kind":"b","data":{}}')
    assert read_journal(path).head.encode() == written.head


def test_a_document_is_one_write(path: Path, written: JournalFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whole line per system call, so that a killed process leaves whole lines."""
    calls: list[bytes] = []
    write = os.write

    def spy(fd: int, content: bytes) -> int:
        calls.append(content)
        return write(fd, content)

    monkeypatch.setattr(os, "write", spy)
    for number in range(5):
        written.write("a", {"n": number})
    assert calls == path.read_bytes().splitlines(keepends=True)


def test_nothing_is_buffered(path: Path, written: JournalFile) -> None:
    """A document can be read by others as soon as `write` returned."""
    written.write("a", {})
    assert len(read_journal(path).documents) == 1


def test_a_full_disk_ends_the_journal(path: Path, written: JournalFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a document that could not be written whole no other follows it: the chain stays readable up to there."""
    written.write("a", {})
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: write(fd, content[:10]) if len(content) > 60 else no_space())
    with pytest.raises(EvidenceError, match="document 1 cannot be written to the journal: No space left on device"):
        written.write("b", {"x": "y" * 100})
    monkeypatch.undo()
    with pytest.raises(EvidenceError, match="the journal ended at document 1"):
        written.write("c", {})
    assert len(read_journal(path).documents) == 1


def no_space() -> int:
    """Fail as a full disk does."""
    raise OSError(28, "No space left on device")


def test_a_journal_is_never_overwritten(path: Path, clock: FakeClock) -> None:
    """A run's folder holds one run."""
    path.write_text("old")
    with pytest.raises(EvidenceError, match="cannot be created: File exists"), open_journal(path, clock, KEY):
        pass
    assert path.read_text() == "old"


def test_a_listener_hears_each_document(written: JournalFile) -> None:
    """The live page and the console are folds over the same stream."""
    heard: list[tuple[str, Any]] = []
    written.subscribe(lambda kind, data: heard.append((kind, data)))
    written.write("a", {"x": 1})
    assert heard == [("a", {"x": 1})]


@dataclass
class Point:
    """A value of the domain."""

    x: int


def test_values_of_the_domain_are_encoded(tmp_path: Path) -> None:
    """Dataclasses, paths, times and sets have one form each; a set is sorted, so that the journal is repeatable."""
    assert encode({"p": Point(1), "f": tmp_path / "a", "t": EPOCH, "s": {"b", "a"}}) == (
        b'{"p":{"x":1},"f":"%b","t":"2026-01-15T00:00:00Z","s":["a","b"]}' % bytes(tmp_path / "a")
    )


def test_a_value_without_a_form_is_refused() -> None:
    """An object that JSON cannot hold is a mistake of the bench and never written as something else."""
    with pytest.raises(TypeError):
        encode({"x": object()})


# Secrets


def redacted(data: Any, *, key: bytes = KEY, known: tuple[str, ...] = ()) -> Any:
    """Return the data of a document as a journal with this key would hold it."""
    redact = Redactor(key)
    for value in known:
        redact.learn(value)
    return orjson.loads(redact(encode({"v": 1, "kind": "ocpp.frame", "data": data})))["data"]


def nested(value: Any, depth: int) -> Any:
    """Return a value as text of JSON in text of JSON …, that many times."""
    for _ in range(depth):
        value = json.dumps(value)
    return value


def unnested(value: Any, depth: int) -> Any:
    """Return what `nested` was given."""
    for _ in range(depth):
        value = json.loads(value)
    return value


def test_an_id_token_in_a_raw_frame_is_replaced() -> None:
    """The raw text of a frame stays JSON, its idToken becomes a hash, all else stays as it was."""
    frame = [2, "1", "Authorize", {"idToken": {"idToken": "DEADBEEF", "type": "ISO14443"}}]
    raw = json.loads(redacted({"station": "CS-1", "raw": json.dumps(frame)})["raw"])
    token = raw[3]["idToken"].pop("idToken")
    assert token.startswith("hmac:")
    assert len(token) == 21
    assert raw == [2, "1", "Authorize", {"idToken": {"type": "ISO14443"}}]


@pytest.mark.parametrize("key", ["idToken", "token", "password", "BasicAuthPassword", "idTag", "Authorization"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_secret_key_is_replaced_at_any_depth(key: str, depth: int) -> None:
    """A value under a secret key is replaced in the document, in JSON inside it and in JSON inside that."""
    value = unnested(redacted(nested({key: "s3cret", "b": 1}, depth)), depth)
    assert value == {key: redacted({"token": "s3cret"})["token"], "b": 1}


@given(secret=st.text(min_size=1), depth=st.integers(0, 3))
def test_any_text_is_replaced_whole(secret: str, depth: int) -> None:
    """Quotes, backslashes and control characters in a secret neither leak a part of it nor break the JSON around it."""
    value = unnested(redacted(nested({"a": secret[:0], "idToken": secret, "b": "after"}, depth)), depth)
    assert value == {"a": "", "idToken": redacted({"token": secret})["token"], "b": "after"}
    assert value["idToken"].startswith("hmac:")


PLAIN = st.text("abc123 -_/:?=&")


@given(secret=st.text(min_size=8), depth=st.integers(0, 2), before=PLAIN, after=PLAIN)
def test_a_learned_secret_is_replaced_wherever_it_stands(secret: str, depth: int, before: str, after: str) -> None:
    """Inside any text, at any depth, nothing of a learned secret is left, and what surrounds it is."""
    data = redacted({"url": nested(f"{before}{secret}{after}", depth)}, known=(secret,))
    value = unnested(data["url"], depth)
    assert value == f"{before}{secret}{after}".replace(secret, redacted({"token": secret})["token"])


def test_an_ocpi_token_is_replaced_in_its_header_and_body() -> None:
    """OCPI 2.2.1 sends the token in base64: header and credentials body show the same hash, so that they can be compared."""
    token = "ebf3b399-779f-4497-9b9d-ac6ad3cc44d2"
    header = f"Token {base64.b64encode(token.encode()).decode()}"
    data = redacted({"headers": {"authorization": header}, "body": json.dumps({"token": token})}, known=(token,))
    assert data["headers"]["authorization"] == f"Token {json.loads(data['body'])['token']}"


def test_a_header_that_nobody_announced_is_replaced() -> None:
    """A peer's wrong token is a secret as well: perhaps it is the right one of another bench."""
    data = redacted({"headers": {"Authorization": "Basic Y3M6cGFzcw=="}})
    assert data["headers"]["Authorization"].startswith("Basic hmac:")


def test_a_password_that_is_set_over_ocpp_is_replaced() -> None:
    """SetVariables carries BasicAuthPassword's value under attributeValue, before or after the name."""
    item = {"attributeValue": "0123456789abcdef", "variable": {"name": "BasicAuthPassword"}}
    raw = redacted({"raw": json.dumps([2, "1", "SetVariables", {"setVariableData": [item]}])})["raw"]
    assert "0123456789abcdef" not in raw
    assert json.loads(raw)[3]["setVariableData"][0]["attributeValue"].startswith("hmac:")


def test_ocpis_copy_of_an_id_token_hashes_alike() -> None:
    """The uid of a session's cdr_token is the idToken of OCPP: replaced, and still recognisably the same."""
    data = redacted({"raw": '{"idToken":"DEADBEEF"}', "body": '{"cdr_token":{"uid":"DEADBEEF","type":"RFID"}}'})
    assert json.loads(data["raw"])["idToken"] == json.loads(data["body"])["cdr_token"]["uid"]


@pytest.mark.parametrize(
    "data",
    [
        {"url": "http://cso/ocpi/2.3.0/tokens/NL/EMS/(hidden)", "body": '{"uid": "DEADBEEF", "valid": true}'},
        {"url": "http://cso/ocpi/2.3.0/commands/X", "body": '{"token": {"uid": "DEADBEEF", "contract_id": "DEADBEEF"}}'},
        {"status": 200, "body": '{"data": [{"contract_id": "DEADBEEF", "uid": "DEADBEEF", "type": "RFID"}]}'},
    ],
    ids=["told", "commanded", "listed"],
)
def test_the_uid_of_a_token_is_replaced_before_anybody_knows_it(data: dict[str, Any]) -> None:
    """A Token of OCPI is journalled before it is read: its uid is the idToken of OCPP, and hashes alike."""
    body = redacted(data)["body"]
    assert "DEADBEEF" not in body
    assert redacted({"idToken": "DEADBEEF"})["idToken"] in body


def test_other_variables_and_uids_stay() -> None:
    """An ordinary attributeValue and an EVSE's uid are evidence, not secrets."""
    data = {"raw": '{"attributeValue":"30","uid":"BE-1"}'}
    assert redacted(data) == data


def test_another_key_gives_another_hash() -> None:
    """Hashes of two runs cannot be compared, so that nobody follows a person from run to run."""
    assert redacted({"token": "a"}) != redacted({"token": "a"}, key=b"other")


def test_a_long_secret_is_not_spoilt_by_a_short_one() -> None:
    """If one secret is part of another, the longer one goes first and leaves no rest."""
    value = redacted({"x": "abcdefgh-abcd"}, known=("abcd", "abcdefgh"))["x"]
    assert value == "-".join(redacted({"token": one})["token"] for one in ("abcdefgh", "abcd"))


def test_digits_of_a_secret_do_not_break_the_envelope(path: Path, written: JournalFile) -> None:
    """A secret such as 2026 stands in each time stamp; only texts of the data are searched."""
    written.secret("2026")
    written.write("a", {"n": 2026, "text": "in 2026"})
    (document,) = read_journal(path).documents
    assert document.t == EPOCH
    assert document.data["n"] == 2026
    assert document.data["text"].startswith("in hmac:")


def test_a_frame_that_was_cut_off_leaks_nothing() -> None:
    """A malformed frame is evidence too: a secret without its closing quote ends where the frame ends."""
    data = redacted({"raw": '[2,"1","Authorize",{"idToken":"DEADBE', "station": "CS-1"})
    assert data["raw"].startswith('[2,"1","Authorize",{"idToken":"hmac:')
    assert data["station"] == "CS-1"


def test_secrets_are_replaced_before_chaining(path: Path, written: JournalFile) -> None:
    """The chain holds over what stands in the file, so that it can be checked without the key."""
    written.secret("s3cret-s3cret")
    written.write("a", {"x": "s3cret-s3cret"})
    assert b"s3cret" not in path.read_bytes()
    assert read_journal(path).broken_at is None


# Results


def test_a_result_is_written_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash before the last step leaves the old file; nobody ever sees half of the new one."""
    path = tmp_path / "result.json"
    write_result(path, {"verdict": "PASS"})
    monkeypatch.setattr(Path, "replace", lambda *_: no_space())
    with pytest.raises(OSError, match="No space"):
        write_result(path, {"verdict": "FAIL"})
    assert json.loads(path.read_text()) == {"verdict": "PASS"}

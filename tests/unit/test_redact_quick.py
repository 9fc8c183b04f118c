"""Known secrets are replaced in the encoded document where that is sure, and in the decoded one elsewhere: to the same effect."""

from __future__ import annotations

import json
from collections.abc import Mapping

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.adapters import redact
from bench.adapters.redact import Redactor

WORDS = (
    "secret-4711", "0065secret", "12345678", "nullnull", "true1e55", 'quo"ted', "back\\slash", "hmac:00", "tokenA==", "DE*8AA*C1",
    "tokenA==x",
)  # fmt: skip
SECRETS = st.sampled_from(WORDS)
PIECES = st.one_of(SECRETS, st.sampled_from(["\\", "\\u00", "\n", "\x00", '"', ":", "12345678"]), st.text(max_size=4))
TEXTS = st.lists(PIECES, max_size=5).map("".join)
NESTED = TEXTS.map(lambda text: json.dumps({"a": text}))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.just(12345678), TEXTS, NESTED),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)), max_leaves=8,
)  # fmt: skip


@given(st.lists(SECRETS, max_size=3, unique=True), VALUES)
def test_the_quick_way_finds_what_the_slow_one_finds(secrets: list[str], value: object) -> None:
    """Whatever stands in a document, at any depth of JSON inside JSON and beside escapes: each way writes the same."""
    body = orjson.dumps({"v": 1, "seq": 1, "kind": "finding", "data": {"body": value}})
    written = []
    for of_many, decodes in ((False, True), (False, False), (True, False)):
        with pytest.MonkeyPatch.context() as patch:
            if of_many:
                patch.setattr(redact, "_MANY", 0)
                patch.setattr(redact, "_LONG", 0)
            if decodes:
                patch.setattr(redact, "_without_marks", lambda body, found: None)
            one = Redactor(b"key")
            for secret in secrets:
                one.learn(secret)
            written.append(one(body))
    assert written == written[:1] * 3


def test_thousands_of_tokens_take_no_longer_look_each() -> None:
    """Only those whose end stands in the document are looked for in it."""
    redactor = Redactor(b"key")
    for number in range(2_000):
        redactor.learn(f"DE8ACC12C{number:08d}")
    body = orjson.dumps({"data": {"body": "a DE8ACC12C00000042 b"}})
    assert list(redactor._found(body)) == [b"DE8ACC12C00000042"]
    assert b"00000042" not in redactor(body)


def test_a_long_list_of_known_tokens_is_looked_through_once() -> None:
    """A page of an eMSP's Tokens that does without a limit: each of them was looked for in all of it, which took ten seconds."""
    redactor, uids = Redactor(b"key"), [f"DE*8AA*C{number:08d}" for number in range(5_000)]
    for uid in uids:
        redactor.learn(uid)
    body = orjson.dumps({"data": {"body": json.dumps([{"uid": uid, "issuer": "x" * 60} for uid in uids])}})
    quick, looked = redact._without_marks, 0

    def counted(part: bytes, found: Mapping[bytes, tuple[str, str]]) -> bytes | None:
        nonlocal looked
        looked += len(part) * len(found)
        return quick(part, found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redact, "_without_marks", counted)
        written = redactor(body)
    assert b"DE*8AA*" not in written
    assert looked < len(body) * len(uids) / 2


def test_a_token_in_a_header_needs_no_decoding() -> None:
    """The commonest document of OCPI, with its token in Base64, is not decoded."""
    one = Redactor(b"key")
    one.learn("scsp-c-token")
    body = orjson.dumps({"data": {"headers": {"authorization": "Token c2NzcC1jLXRva2Vu"}, "body": '{"a":"b"}'}})
    written = redact._without_marks(body, one._found(body))
    assert written is not None
    assert b"c2NzcC1jLXRva2Vu" not in written


@pytest.mark.parametrize("rest", ["\\" * 200_000 + "x", '\\"' * 200_000], ids=["backslashes", "escaped quotes"])
@pytest.mark.parametrize("opening", ['"token":[', '"token":"'])
def test_a_hostile_body_takes_no_time_that_grows_with_its_square(opening: str, rest: str) -> None:
    """Anybody may send one, and nothing else goes on meanwhile: this list of backslashes took three minutes."""
    written = Redactor(b"key")(orjson.dumps({"data": {"body": opening + rest}}))
    assert len(written) < 100

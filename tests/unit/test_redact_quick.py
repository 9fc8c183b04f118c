"""Known secrets are replaced in the encoded document where that is sure, and in the decoded one elsewhere: to the same effect."""

from __future__ import annotations

import json

import orjson
from hypothesis import given
from hypothesis import strategies as st

from bench.adapters.redact import Redactor

WORDS = ("secret-4711", "0065secret", "12345678", "nullnull", "true1e55", 'quo"ted', "back\\slash", "hmac:00", "tokenA==")
SECRETS = st.sampled_from(WORDS)
PIECES = st.one_of(SECRETS, st.sampled_from(["\\", "\\u00", "\n", "\x00", '"', ":", "12345678"]), st.text(max_size=4))
TEXTS = st.lists(PIECES, max_size=5).map("".join)
NESTED = TEXTS.map(lambda text: json.dumps({"a": text}))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.just(12345678), TEXTS, NESTED),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)), max_leaves=8,
)  # fmt: skip


class Slow(Redactor):
    """Always decodes."""

    def _without_marks(self, body: bytes) -> bytes | None:
        return None


@given(st.lists(SECRETS, max_size=3, unique=True), VALUES)
def test_the_quick_way_finds_what_the_slow_one_finds(secrets: list[str], value: object) -> None:
    """Whatever stands in a document, at any depth of JSON inside JSON and beside escapes: both ways write the same."""
    body = orjson.dumps({"v": 1, "seq": 1, "kind": "finding", "data": {"body": value}})
    quick, slow = Redactor(b"key"), Slow(b"key")
    for one in secrets:
        quick.learn(one)
        slow.learn(one)
    assert quick(body) == slow(body)


def test_a_token_in_a_header_needs_no_decoding() -> None:
    """The commonest document of OCPI, with its token in Base64, is not decoded."""
    redact = Redactor(b"key")
    redact.learn("scsp-c-token")
    body = orjson.dumps({"data": {"headers": {"authorization": "Token c2NzcC1jLXRva2Vu"}, "body": '{"a":"b"}'}})
    written = redact._without_marks(body)
    assert written is not None
    assert b"c2NzcC1jLXRva2Vu" not in written

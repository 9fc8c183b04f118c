"""Secrets out of documents before they are chained: a keyed hash takes the place of each."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

_KEYS: Final = rb"(?:additionalI|i)dToken|token|password|[Bb](?i:asicAuthPassword)|apnPassword|idTag|parentIdTag|[Aa]uthorization"
_PASSWORD_SET: Final = b"basicauthpassword"
"""In any case: names of OCPP variables are case-insensitive."""
_NETWORK: Final = b"SetNetworkProfile"
_VALUE: Final = b"attributeValue"
_CONTRACT: Final = b"contract_id"
"""It, `cdr_token` or `/tokens/` stands in each document with a Token of OCPI, with a field of one, or with its URL."""
_BESIDE: Final = rb"attributeValue|uid|contract_id"
"""Secret where a password is set or a Token of OCPI, whose uid is an idToken, stands in the document."""
_PIN: Final = re.compile(rb'("simPin\\*"\s*:\s*)(\d+)')
_SCHEME: Final = re.compile(rb"(?i:(?:token|basic|bearer) +)")
_IN_STRINGS: Final = re.compile(rb"[\w+/=.*-]*[bcdg-kmo-qv-zA-DF-Z_/=*][\w+/=.*-]*", re.ASCII)
"""What no number, no `true`, `false` and `null`, and no sign of JSON has a part of."""
_TAIL: Final = 8
_MANY: Final = 100
"""Of so many known texts each is looked for by itself; of more, by their ends."""
_LONG: Final = 50_000
"""A document of so many bytes is no long one."""
_DATA: Final = b'"data":'
_DONE: Final = re.compile(rb"hmac:[0-9a-f]{16}")
_SPACE: Final = rb"(?:\s|\\+[nrt])*"
_OF_TOKENS: Final = re.compile(rb'"token\\*"' + _SPACE + rb":" + _SPACE + rb'\{|"whitelist\\*"' + _SPACE + rb":")
"""A Token of a command, an authorization or a list that lacks its contract_id names a card all the same."""
_ESCAPED_KEY: Final = re.compile(rb'"((?:\w|\\+u00[4-7][0-9A-Fa-f])+)(?=(\\*)"' + _SPACE + rb":)", re.ASCII)
_ANY_KEY: Final = re.compile(_KEYS + rb"|key|simPin|cdr_token|" + _BESIDE)
_OF_LISTS: Final = re.compile(rb'[][]|(?<!\\)\\*"')
"""Of the backslashes before a quote it tries the first one alone, so that a million of them without one take no hours."""


def _opening(keys: bytes) -> re.Pattern[bytes]:
    """Return the pattern of a key, its colon, and what its value begins with, at any depth of JSON inside JSON.

    A quote inside n layers of strings has 2^n - 1 backslashes before it.
    """
    return re.compile(
        rb'"(?=[itpaABbuck])(?:' + keys + rb')(\\*)"' + _SPACE + rb":" + _SPACE + rb'(?:(\1")|(\[)|(-?\d[\d.eE+-]*))'
    )


_STRING, _LIST, _NUMBER = 2, 3, 4
"""Groups of the pattern: what the value is."""
_PLAIN: Final = _opening(_KEYS)
_EXTENDED: Final = _opening(_KEYS + b"|" + _BESIDE)
_VPN: Final = _opening(_KEYS + b"|key")
"""With the shared key of a VPN, as SetNetworkProfile has it."""


class Redactor:
    """Replaces secrets by a keyed hash: equal secrets stay recognisably equal, and nobody can read or guess them."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[bytes, tuple[str, str]] = {}
        """By what stands in a document for it: a known text, and what takes its place."""
        self._by_tail: dict[int, dict[bytes, list[bytes]]] = {}
        """The same marks by their last bytes, and by how many these are: of thousands of tokens few need a look."""

    def learn(self, value: str) -> None:
        """Replace this text from now on wherever it stands in a document's data, also escaped or in base64."""
        replacement = self._hash(value.encode())
        for form in _forms(value) if value else ():
            mark = orjson.dumps(form)[1:-1]
            if mark not in self._known:
                tail = mark[-_TAIL:]
                self._by_tail.setdefault(len(tail), {}).setdefault(tail, []).append(mark)
            self._known[mark] = (form, replacement)

    def __call__(self, body: bytes) -> bytes:
        """Return the encoded document without secrets; what stands in `data` is searched, the envelope has none."""
        if found := self._found(body):
            body = self._without_found(body, found) or _reread(body, list(found.values()))
        if b"\\u" in body:
            body = _plain_keys(body)
        if _may_have_keys(body):
            body = self._without_keyed(body)
        return body

    def _found(self, body: bytes) -> dict[bytes, tuple[str, str]]:
        """Return what of the known stands in a document, the longest first."""
        if len(self._known) <= _MANY:
            marks = [mark for mark in self._known if mark in body]
        else:
            marks = [mark for size, by_tail in self._by_tail.items() for mark in _ending(body, size, by_tail)]
        found = sorted(marks, key=lambda mark: (-len(mark), mark))
        return {mark: self._known[mark] for mark in found}

    def _without_found(self, body: bytes, found: Mapping[bytes, tuple[str, str]]) -> bytes | None:
        """Do as `_without_marks`; with a long document and many marks part by part, for to look for each in all of it is slow."""
        if len(found) <= _MANY or len(body) <= _LONG or not all(_IN_STRINGS.fullmatch(mark) for mark in found):
            return _without_marks(body, found)
        at = body.index(_DATA) + len(_DATA)
        parts = [body[:at]]
        while at < len(body):
            end = body.find(b'"', at + _LONG) + 1 or len(body)  # no such mark has a quote
            part = _DATA + body[at:end]
            cleaned = _without_marks(part, self._found(part))
            if cleaned is None:
                return None
            parts.append(cleaned.removeprefix(_DATA))
            at = end
        return b"".join(parts)

    def _without_keyed(self, body: bytes) -> bytes:
        opening = _EXTENDED if _has_secrets_beside(body) else _PLAIN
        if _NETWORK in body:
            body, opening = _PIN.sub(lambda pin: pin[1] + b"0", body), _VPN
        parts: list[bytes] = []
        at = 0
        while match := opening.search(body, at):
            start, end, put = self._instead(body, match)
            parts += [body[at:start], put]
            at = end
        return b"".join([*parts, body[at:]])

    def _instead(self, body: bytes, match: re.Match[bytes]) -> tuple[int, int, bytes]:
        """Return where the secret begins and ends whose key was found, and what takes its place."""
        start, slashes = match.end(), len(match[1])
        if match.lastindex == _STRING:
            end = _closing(body, start, slashes)
            if scheme := _SCHEME.match(body, start, end):
                start = scheme.end()
            secret = body[start:end]
            keep = not secret or _DONE.fullmatch(secret)
            return start, end, secret if keep else self._hash(_unescaped(secret, slashes)).encode()
        if match.lastindex == _LIST:
            end, quote = _end_of_list(body, start, slashes), match[1] + b'"'
            secret = body[start:end]
            keep = not secret or _DONE.fullmatch(secret.strip(b'\\"'))
            return start, end, secret if keep else quote + self._hash(secret).encode() + quote
        return match.start(_NUMBER), start, b"0"

    def _hash(self, value: bytes) -> str:
        return f"hmac:{hmac.digest(self._key, value, 'sha256').hex()[:16]}"


def _ending(body: bytes, size: int, by_tail: Mapping[bytes, Sequence[bytes]]) -> Iterator[bytes]:
    """Yield each mark that may stand in a document by its last bytes, so many."""
    ends = {body[at : at + size]: at + size for at in range(len(body) - size + 1)}
    for tail in by_tail.keys() & ends.keys():
        yield from (mark for mark in by_tail[tail] if body.endswith(mark, 0, ends[tail]) or mark in body)


def _without_marks(body: bytes, found: Mapping[bytes, tuple[str, str]]) -> bytes | None:
    """Return the document without known texts, unread; None where one may stand elsewhere than within a string, as itself."""
    envelope, data_key, data = body.partition(_DATA)
    for mark, (_, put) in found.items():
        at = data.find(mark)
        if at >= 0 and _IN_STRINGS.fullmatch(mark) is None:
            return None
        while at >= 0:
            if b"\\" in data[max(0, at - 5) : at] and not data.endswith(b'"', 0, at):  # it may begin within an escape
                return None
            at = data.find(mark, at + 1)
        data = data.replace(mark, put.encode())
    return envelope + data_key + data


def _reread(body: bytes, known: Sequence[tuple[str, str]]) -> bytes:
    document = orjson.loads(body)
    document["data"] = _without_known(document["data"], known)
    return orjson.dumps(document)


def _without_known(value: Any, known: Sequence[tuple[str, str]]) -> Any:
    if isinstance(value, str):
        for form, replacement in known:
            value = value.replace(form, replacement)
        return value
    if isinstance(value, dict):
        return {_without_known(key, known): _without_known(item, known) for key, item in value.items()}
    return [_without_known(item, known) for item in value] if isinstance(value, list) else value


def _has_secrets_beside(body: bytes) -> bool:
    """Say whether a Token of OCPI or the setting of a password stands in a document."""
    return (
        (107 in body and (b"cdr_token" in body or b"/tokens/" in body))
        or _CONTRACT in body
        or ((b"token" in body or b"whitelist" in body) and _OF_TOKENS.search(body) is not None)
        or (86 in body and _VALUE in body and _PASSWORD_SET in body.lower())
    )


def _plain_keys(body: bytes) -> bytes:
    """Return a document in which no key of a secret is written with escapes of letters, as JSON allows."""

    def plain(match: re.Match[bytes]) -> bytes:
        letter = rb"(?<!\\)\\{%d}u00(..)" % (len(match[2]) + 1)  # with more before it, a backslash itself is meant
        key = re.sub(letter, lambda one: bytes.fromhex(one[1].decode()), match[1])
        return b'"' + key if _ANY_KEY.fullmatch(key) else match[0]

    return _ESCAPED_KEY.sub(plain, body)


def _may_have_keys(body: bytes) -> bool:
    """Say whether a part of one of the keys stands in a document: cheaper to look for than the keys.

    For the commonest ones a single rare letter is looked for first, which costs next to nothing: `k`, `w`, `z`, `g`, `V`.
    """
    return (
        (107 in body and b"oken" in body)
        or (119 in body and b"assword" in body)
        or (122 in body and b"uthorization" in body)
        or (103 in body and b"dTag" in body)
        or (119 in body and _NETWORK in body)
        or _CONTRACT in body
        or (119 in body and b"whitelist" in body)
        or (86 in body and _VALUE in body and _PASSWORD_SET in body.lower())
    )


def _forms(value: str) -> list[str]:
    """Return how a text can stand in a decoded string: as it is, in JSON, in JSON in JSON, in base64 (OCPI 2.2.1 headers)."""
    once = [json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)]
    twice = [json.dumps(text, ensure_ascii=False)[1:-1] for text in once]
    return [value, *once, *twice, base64.b64encode(value.encode()).decode()]


def _closing(body: bytes, start: int, slashes: int) -> int:
    """Return where a value ends whose quotes have that many backslashes before them.

    A closing quote has exactly as many, beyond pairs that stand for backslashes of the value; more belong to a quote inside
    the value; fewer end an outer string, in a frame that was cut off.
    """
    at = start
    while (quote := body.find(b'"', at)) >= 0:
        run = quote - at - len(body[at:quote].rstrip(b"\\"))
        rest = run % (2 * slashes + 2)
        if rest <= slashes:
            return quote - rest
        at = quote + 1
    return len(body)


def _end_of_list(body: bytes, start: int, slashes: int) -> int:
    """Return where the last bracket of a list stands whose first one is before `start`, or where the list was cut off."""
    depth, at = 1, start
    while found := _OF_LISTS.search(body, at):
        at = found.end()
        if found[0] in b"[]":
            depth += 1 if found[0] == b"[" else -1
            if not depth:
                return found.start()
        else:
            at = _closing(body, at, slashes) if len(found[0]) > slashes else found.start()
            if not body.startswith(b"\\" * slashes + b'"', at):  # the text around it ends
                return at
            at += slashes + 1
    return len(body)


def _unescaped(value: bytes, slashes: int) -> bytes:
    """Return the text that a value stands for, so that it hashes alike at any depth; the value itself if it is no JSON."""
    text = value
    try:
        for _ in range((slashes + 1).bit_length()):
            text = orjson.loads(b'"%b"' % text).encode()
    except orjson.JSONDecodeError:
        return value
    return text

"""Which addresses of a peer the bench calls."""

from __future__ import annotations

import pytest

from bench.wire.ocpi.url import hide_userinfo, web_host


def test_scheme_and_host_of_a_web_address_are_known() -> None:
    """Case of the host does not matter, port and path neither."""
    assert web_host("https://Peer.Bench:8443/ocpi?x=1") == ("https", "peer.bench")
    assert web_host("http://[::1]:80/") == ("http", "::1")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/", "http://127.0.0.1:65536/", "http://127.0.0.1:-1/", "http://127.0.0.1:x/", "http://[::1",
        "http://user:word@peer/", "http://@peer/", "http://127.0.0.1\\@peer/", "ftp://peer/", "http:///x", "",
        "http://127.0.0\t.1/", "http://127.0.0.1/\r\nx", "http://peer/a b", "http://peer/\u202e", "http://peer/\ud800",
    ],
)  # fmt: skip
def test_an_address_that_can_be_read_in_two_ways_is_none(url: str) -> None:
    """Impossible ports, user names, control characters and other schemes."""
    assert web_host(url) is None


@pytest.mark.parametrize("text", ['{"url": "http://user:w@rd@peer/v"}', '{"url": "http:\\/\\/user:word@peer\\/v"}'])
def test_user_names_are_hidden_in_a_text(text: str) -> None:
    """Also in JSON with escaped slashes; the rest stays as it is."""
    hidden = hide_userinfo(text)
    assert "user" not in hidden
    assert "rd" not in hidden
    assert "(hidden)@peer" in hidden
    assert hide_userinfo('{"url": "http://peer/a@b", "mail": "a@b"}') == '{"url": "http://peer/a@b", "mail": "a@b"}'
